"""The model that is trained: the base with a fresh or continued adapter, or the base itself; and its files afterwards.

Files are written by us: no paths, no times, sorted keys, one metadata key, so that they depend on the numbers alone. A
full fine-tune is a whole model, with the base's own configuration and tokenizer beside its numbers.
"""

import json
import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attribution.adapter_config import CONFIG_FILE
from attribution.adapter_file import ADAPTER_FILE, adapter_state, check_fits, read_adapter
from attribution.lga.query import load_adapter
from trainer.base_check import resolve_targets, target_problems
from trainer.method import Lora
from trainer.optimise import TrainingError
from trainer.recipe import Recipe

MODEL_CONFIG_FILE = "config.json"
# Beside the numbers of a whole model: configurations, tokenizers and chat templates of every form.
_COMPANIONS = (".json", ".jinja", ".model", ".txt")
_WEIGHT_INDEX = ".index.json"
# Of an adapter or another training, or words about another model.
_LEFT_OUT = frozenset((CONFIG_FILE, MODEL_CONFIG_FILE, "trainer_state.json", "all_results.json", "train_results.json"))


def make_trainee(base: Any, recipe: Recipe, adapter_folder: Path | None) -> Any:
    """The model with exactly those numbers free that the method trains."""
    if isinstance(recipe.method, Lora):
        model = with_adapter(base, recipe.method, adapter_folder)
    else:
        model = base
        model.requires_grad_(True)
    if recipe.train.gradient_checkpointing:
        try:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        except ValueError as error:
            raise TrainingError(f"train.gradient_checkpointing: this base cannot ({error}); write false") from error
    return model


def with_adapter(base: Any, method: Lora, adapter_folder: Path | None) -> Any:
    """The base with a fresh or continued adapter; only the adapter's numbers can change."""
    from peft import LoraConfig, get_peft_model

    problems = target_problems(base, method.target_modules)
    if problems:
        raise TrainingError("; ".join(problems))
    config = LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=float(method.dropout),
        target_modules=resolve_targets(base, method.target_modules),
        use_rslora=method.rslora,
        bias="none",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses a name that transformers will rename
        model = get_peft_model(base, config)
    if adapter_folder is not None:
        _continue_adapter(model, method, config.target_modules, adapter_folder)
    return model


def _continue_adapter(model: Any, method: Lora, targets: Any, adapter_folder: Path) -> None:
    """Put an adapter's numbers into the fresh one; raises `TrainingError` where the recipe reads them otherwise."""
    config, tensors = read_adapter(adapter_folder)
    expected = (method.rank, method.scaling, tuple(sorted(targets)))
    if config.form != expected:
        raise TrainingError(
            f"the adapter to continue has rank, scaling, target_modules {config.form}, the recipe says {expected}; "
            "write the adapter's values into the recipe's method"
            + (" (it is rank-stabilised: rslora: true)" if config.rank_stabilised and not method.rslora else "")
        )
    check_fits(model, tensors)
    load_adapter(model, adapter_folder / ADAPTER_FILE)


def write_output(model: Any, recipe: Recipe, base_folder: Path, folder: Path, base_label: str) -> None:
    """Write what the run made; `base_label` is what an adapter's configuration calls its base."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(recipe.method, Lora):
        write_adapter(model, folder, base_label)
    else:
        _write_model(model, base_folder, folder)


def write_adapter(model: Any, folder: Path, base_label: str) -> None:
    """Adapter tensors and peft's configuration, in a form that depends on their content only."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in adapter_state(model).items()}
    # One metadata key: safetensors writes several in an order that differs from run to run.
    save_file(dict(sorted(tensors.items())), folder / ADAPTER_FILE, metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict() | {"base_model_name_or_path": base_label, "inference_mode": True}
    text = json.dumps(config, sort_keys=True, indent=2, default=_plain)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def _write_model(model: Any, base_folder: Path, folder: Path) -> None:
    """Numbers as transformers names them in files, and the base's companions beside them."""
    for source in sorted(base_folder.iterdir()):
        name = source.name
        companion = name.endswith(_COMPANIONS) and not name.endswith(_WEIGHT_INDEX)
        if companion and name not in _LEFT_OUT and source.is_file():
            _copy(source, folder / name)
    config = json.loads((base_folder / MODEL_CONFIG_FILE).read_text(encoding="utf-8"))
    # Loaders read numbers in the type that the configuration names: these are of float32.
    config.pop("torch_dtype", None)
    config["dtype"] = "float32"
    text = json.dumps(config, sort_keys=True, indent=2)
    (folder / MODEL_CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
    with TemporaryDirectory(dir=folder, prefix=".incoming-") as made:
        # transformers knows the names that files have, which tensors are one, and how large a file may be.
        model.save_pretrained(made, safe_serialization=True)
        for path in sorted(Path(made).iterdir()):
            if path.name.endswith((".safetensors", _WEIGHT_INDEX)):
                path.replace(folder / path.name)


def _copy(source: Path, target: Path) -> None:
    """Copy what a file holds: a cache may keep its files write-protected."""
    with source.open("rb") as given, target.open("wb") as taken:
        shutil.copyfileobj(given, taken)


def _plain(value: object) -> object:
    """JSON form of what peft keeps as sets and enumerations."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
