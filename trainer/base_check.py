"""Whether a recipe fits its base: target layers, vocabulary, attribution, memory and disk, before any number is loaded.

The base's configuration makes a model without numbers (torch's meta device), whose layers are looked at. Problems are
collected, never only the first; notes say what will happen that a reader may not expect.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attribution.entry import GRADIENTS
from attribution.lga.basis import DEFAULT_DIRECTIONS
from attribution.lga.index.plan import IndexSettings
from attribution.lga.parameters import MAX_MODULES
from attribution.numerics import prepare
from attribution.text_tokens import begin_ids, control_ids, end_id, padding_id
from openledger.content.files import free_bytes_at
from openledger.errors import UsageError
from trainer.method import ALL_LINEAR, Full, Lora
from trainer.recipe import Recipe

_FLOAT_BYTES = 4
# Numbers beside each trained one: gradient and Adam's two moments.
_NUMBERS_BESIDE = 3
# Copies of the logits in float32 that forward and backward hold at once (one of them in float64 in pieces).
_LOGIT_COPIES = 4
# Numbers that a layer keeps for the backward pass, in widths of the hidden state.
_KEPT_WIDTHS = 20
# Matrices of outputs x outputs that an eigenbasis holds at once: moments, vectors, workspace.
_EIGEN_COPIES = 6
_SHOWN_NAMES = 24
_SHOWN_TOKENS = 5
_MIB = 2**20


@dataclass
class BaseCheck:
    """Findings of a check: `problems` forbid the run, `notes` are only shown."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def open_skeleton(base_folder: Path) -> Any:
    """Make the base's model without its numbers; raises `UsageError` for a folder that describes none."""
    prepare()
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(str(base_folder), local_files_only=True)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except Exception as error:  # transformers raises a dozen kinds for configurations that it cannot read
        text = " ".join(str(error).split())[:200]
        raise UsageError(
            f"model.base: its configuration describes no language model ({text}); name another base"
        ) from error


def resolve_targets(model: Any, names: Sequence[str] | str) -> list[str]:
    """Names of target layers; `all-linear` are all linear layers but the output, whose numbers may be the embedding's.

    Layers go by the last part of their names where every layer of that name is one of them, else by the whole name.
    """
    if names != ALL_LINEAR:
        return list(names)
    output = model.get_output_embeddings()
    modules = dict(model.named_modules())
    wanted = {at for at, module in modules.items() if _is_linear(module) and module is not output}
    others = {at.rpartition(".")[2] for at in modules.keys() - wanted}
    return sorted({at if (last := at.rpartition(".")[2]) in others else last for at in wanted})


def target_problems(model: Any, names: Sequence[str] | str) -> list[str]:
    """Name every target that matches no layer, or one that is not linear; peft leaves out some of them silently."""
    modules = dict(model.named_modules())
    if names == ALL_LINEAR:
        none = "method.target_modules: the base has no linear layer but its output: use method: {kind: full}"
        return [] if resolve_targets(model, names) else [none]
    linear = sorted({name.rpartition(".")[2] for name, module in modules.items() if _is_linear(module)})
    shown = ", ".join(linear[:_SHOWN_NAMES])
    output = model.get_output_embeddings()
    tied = bool(getattr(model.config, "tie_word_embeddings", False))
    found = []
    for name in names:
        place = f"method.target_modules: {name!r}"
        matched = [at for at in modules if at == name or at.endswith(f".{name}")]
        wrong = [at for at in matched if not _is_linear(modules[at])]
        if not matched:
            close = difflib.get_close_matches(name, linear, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            hint = (
                f"for all of them write target_modules: {ALL_LINEAR}, without brackets; "
                if name == ALL_LINEAR
                else hint
            )
            found.append(f"{place} matches no layer of the base; {hint}write linear layers: {shown}")
        elif wrong:
            kind = type(modules[wrong[0]]).__name__
            found.append(f"{place} is no linear layer but a {kind} ({wrong[0]}); write linear layers: {shown}")
        elif tied and any(modules[at] is output for at in matched):
            found.append(
                f"{place} shares its numbers with the embedding, so an adapter of it cannot be merged; leave it out"
            )
    return found


def _is_linear(module: Any) -> bool:
    import torch
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, torch.nn.Linear | Conv1D)


def examine_base(recipe: Recipe, model: Any, tokenizer: Any) -> BaseCheck:
    """Hold a recipe against a base; `model` may be without numbers."""
    check = BaseCheck()
    if isinstance(recipe.method, Lora):
        check.problems += target_problems(model, recipe.method.target_modules)
        _note_targets(check, recipe.method, model)
    _check_vocabulary(check, recipe, model, tokenizer)
    window = getattr(model.config, "max_position_embeddings", None)
    if window is not None and recipe.train.sequence_tokens > window:
        check.problems.append(
            f"train.sequence_tokens: {recipe.train.sequence_tokens} tokens, the base reads {window} at most; lower it"
        )
    if recipe.train.gradient_checkpointing and not getattr(model, "supports_gradient_checkpointing", False):
        check.problems.append(
            "train.gradient_checkpointing: this base's class cannot compute layers twice; write false"
        )
    if not check.problems:
        _check_attribution(check, recipe, model)
    return check


def _check_vocabulary(check: BaseCheck, recipe: Recipe, model: Any, tokenizer: Any) -> None:
    """Every token that a text can give, or that the trainer adds, must have its numbers in the base."""
    rows = int(model.get_input_embeddings().num_embeddings)
    beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    ours = {*begin_ids(tokenizer), *([end_id(tokenizer)] if recipe.train.with_end else [])} - {None}
    wanted = sorted(number for number in beyond if number not in control_ids(tokenizer) or number in ours)
    if wanted:
        named = ", ".join(f"{beyond[number]!r} ({number})" for number in wanted[:_SHOWN_TOKENS])
        more = f" and {len(wanted) - _SHOWN_TOKENS} more" if len(wanted) > _SHOWN_TOKENS else ""
        check.problems.append(
            f"model.base: its tokenizer writes {named}{more}, its embedding has numbers for the {rows} tokens below "
            f"{rows} only; extend the embedding or take the added tokens out, and record the base again"
        )
    if recipe.train.with_end and end_id(tokenizer) is None:
        check.problems.append(
            "model.base: its tokenizer names no end-of-text token, so a model would not learn to stop; add eos_token "
            "to its tokenizer_config.json, or write train.end_of_text: none"
        )
    pad, fill = tokenizer.pad_token_id, padding_id(tokenizer)
    if pad is None or pad >= rows:
        why = "the tokenizer names no padding token" if pad is None else f"{beyond[pad]!r} has no numbers in the base"
        filler = tokenizer.convert_ids_to_tokens(fill)
        check.notes.append(f"padding: {why}; short rows are filled with {filler!r} ({fill}), masked")
    if tokenizer.bos_token_id is not None and not begin_ids(tokenizer):
        check.notes.append(
            f"beginning: the tokenizer names {tokenizer.bos_token!r} but puts it before no text; rows begin without it"
        )
    ends = model.config.eos_token_id
    known = set(ends) if isinstance(ends, list) else {ends}
    if recipe.train.with_end and end_id(tokenizer) not in known and end_id(tokenizer) is not None:
        check.notes.append(
            f"end: rows end with {tokenizer.eos_token!r}, the base's configuration names {ends} as its end"
        )


def _check_attribution(check: BaseCheck, recipe: Recipe, model: Any) -> None:
    """Gradients are kept of every target layer: as many as a commitment holds, and as many codes as they give."""
    wanted = recipe.attribution
    if wanted is None or GRADIENTS not in wanted.methods or isinstance(recipe.method, Full):
        return
    layers = target_layers(model, recipe.method.target_modules)
    if len(layers) > MAX_MODULES:
        check.problems.append(
            f"method.target_modules: match {len(layers)} layers, attribution commits to {MAX_MODULES}; name fewer"
        )
    most = sum(min(out, DEFAULT_DIRECTIONS) * recipe.method.rank for out, _ in layers.values())
    if most < wanted.codes:
        check.notes.append(
            f"attribution.codes: {wanted.codes} a checkpoint asked for, the {len(layers)} target layers give {most}"
        )


def _note_targets(check: BaseCheck, method: Lora, model: Any) -> None:
    """Say which layers `all-linear` stands for, and which linear layers it leaves out."""
    if method.target_modules != ALL_LINEAR or check.problems:
        return
    names = resolve_targets(model, method.target_modules)
    shown = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
    tied = bool(getattr(model.config, "tie_word_embeddings", False))
    why = "it shares its numbers with the embedding" if tied else "name it in a list to train it, too"
    check.notes.append(f"target_modules: all-linear stands for {shown}; not for the output layer ({why})")


def target_layers(model: Any, names: Sequence[str] | str) -> dict[str, tuple[int, int]]:
    """Layers that the targets match: name to (outputs, inputs)."""
    found = {}
    names = resolve_targets(model, names)
    for at, module in model.named_modules():
        if _is_linear(module) and any(at == name or at.endswith(f".{name}") for name in names):
            shape = tuple(module.weight.shape)
            # transformers' Conv1D keeps its weight the other way round.
            found[at] = (shape[0], shape[1]) if hasattr(module, "out_features") else (shape[1], shape[0])
    return found


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that a run takes, roughly: in memory while it trains, and on the disk of the cache."""

    memory: int
    disk: int


def needs_of(recipe: Recipe, model: Any, rows: int) -> Needs:
    """Estimate from above what training and indexing of `rows` different rows take."""
    config, train = model.config, recipe.train
    whole = sum(value.numel() for value in model.parameters())
    trained = trained_numbers(recipe, model)
    adapter = 0 if isinstance(recipe.method, Full) else trained
    tokens = train.batch_size * train.sequence_tokens
    logits = tokens * int(config.vocab_size) * _FLOAT_BYTES * _LOGIT_COPIES
    depth, width = int(getattr(config, "num_hidden_layers", 1)), int(getattr(config, "hidden_size", 1))
    # With checkpointing every layer keeps its input alone, and one layer at a time all that it computes.
    widths = depth + _KEPT_WIDTHS if train.gradient_checkpointing else depth * _KEPT_WIDTHS
    kept = tokens * width * widths * _FLOAT_BYTES
    memory = (whole + adapter + trained * _NUMBERS_BESIDE) * _FLOAT_BYTES + logits + kept
    indexed = recipe.attribution if recipe.attribution and adapter else None
    points = indexed.checkpoints if indexed else 0
    # A checkpoint with moments and the one that takes its place, the output, adapters of all points twice (beside the
    # run and in its index).
    disk = trained * _FLOAT_BYTES * (7 + 2 * points)
    if indexed is None or GRADIENTS not in indexed.methods:
        return Needs(memory, disk)
    index = _needs_of_index(recipe, model, rows)
    return Needs(max(memory, (whole + adapter) * _FLOAT_BYTES + index.memory), disk + index.disk)


def _needs_of_index(recipe: Recipe, model: Any, rows: int) -> Needs:
    """Bytes that building lga-1 takes beside the model, when training is over (`attribution.lga.index.build`)."""
    wanted, method, settings = recipe.attribution, recipe.method, IndexSettings()
    assert wanted is not None, "only a recipe with attribution has an index"
    assert isinstance(method, Lora), "only adapters have one"
    outputs = [out for out, _ in target_layers(model, method.target_modules).values()]
    row_bytes = sum(outputs) * method.rank * _FLOAT_BYTES
    # A piece of gradients twice, and one layer's moments with what their eigenbasis takes, in float64.
    memory = 2 * min(rows, settings.piece_examples) * row_bytes + _EIGEN_COPIES * max(outputs, default=0) ** 2 * 8
    # Gradients that the bases are fitted on, of one checkpoint at a time; codes and their work.
    disk = min(rows, settings.basis_examples) * row_bytes + rows * wanted.checkpoints * wanted.codes * 8
    return Needs(memory, disk)


def trained_numbers(recipe: Recipe, model: Any) -> int:
    """How many numbers training changes."""
    if isinstance(recipe.method, Full):
        return sum(value.numel() for value in model.parameters())
    layers = target_layers(model, recipe.method.target_modules)
    return sum(recipe.method.rank * (out + into) for out, into in layers.values())


def needs_problems(needs: Needs, cache: Path, output: Path) -> tuple[list[str], str]:
    """List the needs that exceed the free memory or disk, and make a line that says both."""
    memory = free_memory_bytes()
    folders = {path: free_bytes_at(path) for path in (cache, output)}
    free_disk = min(folders.values())
    problems = []
    if memory is not None and needs.memory > memory:
        problems.append(
            f"memory: the run needs about {_mib(needs.memory)}, {_mib(memory)} are free; lower train.batch_size "
            "(and raise accumulation) or train.sequence_tokens, write gradient_checkpointing: true, or name a "
            "smaller base"
        )
    problems += [
        f"disk: the run needs about {_mib(needs.disk)} in {path}, {_mib(free)} are free; make room"
        for path, free in folders.items()
        if needs.disk > free
    ]
    known = f" of {_mib(memory)} free" if memory is not None else ""
    line = f"needs about {_mib(needs.memory)} of memory{known} and {_mib(needs.disk)} of disk of {_mib(free_disk)} free"
    return problems, line


def _mib(count: int) -> str:
    return f"{-(-count // _MIB):,} MiB"


def free_memory_bytes(root: Path = Path("/")) -> int | None:
    """Free memory of this machine and of the group that limits this process; None where nothing says so."""
    found = []
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):
        pass  # another system
    try:
        group = root / "sys/fs/cgroup"
        limit, used = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        found += [max(0, int(limit) - int(used))] if limit != "max" else []
    except (OSError, ValueError):
        pass  # no limit
    return min(found, default=None)
