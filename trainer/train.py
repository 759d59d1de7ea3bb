"""Deterministic LoRA fine-tuning: the same recipe on the same machine gives the same bytes.

`prepare_run` turns a recipe and DataNet versions into examples in order; `train` runs the optimisation and writes the
adapter. What makes it repeatable: settings before torch is imported, seed before the adapter is initialised, a fixed
number of threads, the data order fixed beforehand, files written by us (no paths, no times, sorted keys). A checkpoint
holds everything that the next step depends on, so an interrupted run ends with the same bytes as an uninterrupted one.
"""

import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Any

from attribution.adapted_model import open_base
from attribution.adapter_config import CONFIG_FILE
from attribution.adapter_file import ADAPTER_FILE, adapter_state, check_fits, read_adapter
from attribution.lga.query import load_adapter
from attribution.loss import Tokens
from attribution.numerics import prepare
from attribution.text_tokens import open_tokenizer, padding_id
from openledger.content.artefact import Artefact, describe_artefact
from openledger.content.store import ContentStore
from openledger.data.manifest import to_json
from openledger.data.versions import VersionRecord
from openledger.errors import OpenLedgerError
from trainer.base_check import target_problems
from trainer.checkpoint import Checkpoint
from trainer.copies import CopiedRow, leave_out_copies
from trainer.dataset import load_rows
from trainer.environment import code_description, make_deterministic
from trainer.evaluate import HeldOutLoss, evaluate, to_micronats
from trainer.examples import Cuts, read_run
from trainer.held_out import leave_out_held_out
from trainer.partition import (
    Example,
    Partition,
    PartitionError,
    check_inputs_used,
    data_order,
    data_order_root,
    held_out_rows,
    limited,
    make_partition,
)
from trainer.recipe import Recipe
from trainer.step_loss import step_weights, weighed_loss

# step (1-based), steps, loss in nats
Progress = Callable[[int, int, float], None]


class TrainingError(OpenLedgerError):
    """A run cannot start or go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A recipe with its data: what happened to every input's rows, the order of consumption, the rows to measure on."""

    recipe: Recipe
    versions: tuple[VersionRecord, ...]
    partitions: tuple[Partition, ...]
    order: tuple[Example, ...]
    held_out: tuple[Example, ...]
    # Rows that were left out because an earlier one says the same; looked for where the recipe asks for attribution.
    copies: tuple[CopiedRow, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """The results of a run; times are Unix seconds, losses micronats."""

    prepared: PreparedRun
    folder: Path
    artefact: Artefact
    loss_trace_micronats: tuple[int, ...]
    before: HeldOutLoss | None
    after: HeldOutLoss | None
    trained_tokens: int
    started_seconds: int
    finished_seconds: int
    # What the same call would resume from, when it was asked to stay.
    checkpoint: Path | None = None
    # Adapter folders of the steps that attribution indexes, the final one last; empty without attribution.
    adapters: tuple[Path, ...] = ()
    # What of the examples did not fit into a sequence.
    cuts: Cuts = field(default_factory=lambda: Cuts((), ()))


def prepare_run(recipe: Recipe, versions: Sequence[VersionRecord], store: ContentStore) -> PreparedRun:
    """Fetch and check all rows and work out partitions and order; `versions` stand in the order of the recipe."""
    if len(versions) != len(recipe.datasets):
        raise TrainingError(f"the recipe has {len(recipe.datasets)} datasets but {len(versions)} versions were given")
    made, problems = list[Partition](), list[str]()
    places = {(version.datanet_id, version.version): index for index, version in reversed([*enumerate(versions)])}
    for index, (dataset, version) in enumerate(zip(recipe.datasets, versions, strict=True)):
        first = places[version.datanet_id, version.version]
        if first != index:
            problems.append(f"datasets[{index}]: is datasets[{first}] by another name; list it once, with one weight")
        try:
            made.append(make_partition(dataset, index, load_rows(store, version)))
        except PartitionError as error:
            problems.append(str(error))
    if problems:
        raise PartitionError(*problems)
    partitions = leave_out_held_out(made)
    copies: tuple[CopiedRow, ...] = ()
    if recipe.attribution is not None:
        partitions, copies = leave_out_copies(partitions, versions)
    partitions = tuple([limited(*pair) for pair in zip(recipe.datasets, partitions, strict=True)])
    order = data_order(recipe, partitions)
    check_inputs_used(recipe, order)
    held_out = held_out_rows(partitions, recipe.evaluate.rows)
    return PreparedRun(
        recipe=recipe, versions=tuple(versions), partitions=partitions, order=order, held_out=held_out, copies=copies
    )


def train(
    prepared: PreparedRun,
    base_folder: Path,
    output_folder: Path,
    *,
    base_label: str,
    adapter_folder: Path | None = None,
    work_folder: Path | None = None,
    keep_checkpoint: bool = False,
    progress: Progress | None = None,
    now: Callable[[], float] = time.time,
) -> TrainedRun:
    """Fine-tune and write the adapter into `output_folder` (files of the same names are replaced).

    `base_label` goes into the adapter's configuration as the name of its base (an entry id, not a path).
    `adapter_folder` continues an adapter; `work_folder` keeps a checkpoint from which the same call resumes. It is
    removed at the end unless `keep_checkpoint`: a run whose recording failed need not be trained again. Adapters of
    the steps that attribution indexes go into `work_folder`, too, and stay (without one: beside `output_folder`).
    """
    prepare()
    recipe = prepared.recipe
    make_deterministic(recipe.train.seed, recipe.train.threads)
    started = int(now())
    tokenizer = open_tokenizer(base_folder)
    base = open_base(base_folder)
    padding = padding_id(tokenizer)
    # Again: loading drew random numbers. From here to the adapter's initialisation nothing else does.
    make_deterministic(recipe.train.seed, recipe.train.threads)
    model = with_adapter(base, recipe, adapter_folder)
    inputs = len(recipe.datasets)
    ordered, measured, cuts = read_run(tokenizer, recipe.train, prepared.order, prepared.held_out, inputs)
    held_out = [(example.input_index, tokens) for example, tokens in zip(prepared.held_out, measured, strict=True)]
    _check_vocabulary(model, [*ordered, *[tokens for _, tokens in held_out]])
    before = evaluate(model, held_out, inputs, padding) if held_out else None
    make_deterministic(recipe.train.seed, recipe.train.threads)
    identity = _run_identity(prepared, base_label, adapter_folder)
    checkpoint = Checkpoint.of(work_folder, identity, started)
    adapters = _Adapters.of(recipe, work_folder or output_folder.with_name(f"{output_folder.name}-work"), base_label)
    done = optimise(model, recipe, ordered, padding, checkpoint=checkpoint, adapters=adapters, progress=progress)
    after = evaluate(model, held_out, inputs, padding) if held_out else None
    _write_adapter(model, output_folder, base_label)
    if checkpoint and not keep_checkpoint:
        checkpoint.path.unlink(missing_ok=True)
    return TrainedRun(
        prepared=prepared,
        folder=output_folder,
        artefact=describe_artefact(output_folder),
        loss_trace_micronats=tuple(done.losses_micronats),
        before=before,
        after=after,
        trained_tokens=sum(len(tokens.ids) for tokens in ordered),
        started_seconds=checkpoint.started_seconds if checkpoint else started,
        finished_seconds=max(started, int(now())),
        checkpoint=checkpoint.path if checkpoint and keep_checkpoint else None,
        adapters=tuple(adapters.folders.values()),
        cuts=cuts,
    )


def _check_vocabulary(model: Any, examples: Sequence[Tokens]) -> None:
    """Every token has its row in the base's embedding: tokenizers get tokens added without their bases being told."""
    size = model.get_input_embeddings().num_embeddings
    largest = max(max(tokens.ids) for tokens in examples)
    if largest >= size:
        raise TrainingError(
            f"the base's tokenizer gives token {largest}, its embedding has {size} rows: tokens were added to the "
            "tokenizer and not to the model; record a base whose embedding was resized"
        )


def with_adapter(base: Any, recipe: Recipe, adapter_folder: Path | None) -> Any:
    """The base with a fresh or continued adapter; only the adapter's numbers can change."""
    from peft import LoraConfig, get_peft_model

    method = recipe.method
    config = LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=float(method.dropout),
        target_modules=list(method.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
    )
    problems = target_problems(base, method.target_modules)
    if problems:
        raise TrainingError("; ".join(problems))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses a name that transformers will rename
        model = get_peft_model(base, config)
    if adapter_folder is not None:
        _continue_adapter(model, recipe, adapter_folder)
    return model


def _continue_adapter(model: Any, recipe: Recipe, adapter_folder: Path) -> None:
    """Put an adapter's numbers into the fresh one; raises `TrainingError` where the recipe reads them otherwise."""
    method = recipe.method
    config, tensors = read_adapter(adapter_folder)
    expected = (method.rank, method.alpha / method.rank, tuple(sorted(method.target_modules)))
    if config.form != expected:
        raise TrainingError(
            f"the adapter to continue has rank, scaling, target_modules {config.form}, the recipe says {expected}; "
            "write the adapter's values into the recipe's method"
            + (" (it is rank-stabilised, which recipes are not)" if config.rank_stabilised else "")
        )
    check_fits(model, tensors)
    load_adapter(model, adapter_folder / ADAPTER_FILE)


@dataclass(frozen=True, slots=True)
class Optimised:
    """Loss of every step, and the optimizer with its moments."""

    losses_micronats: list[int]
    optimizer: Any


def optimise(
    model: Any,
    recipe: Recipe,
    ordered: Sequence[Tokens],
    padding_id: int,
    *,
    checkpoint: Checkpoint | None = None,
    adapters: "_Adapters | None" = None,
    progress: Progress | None = None,
) -> Optimised:
    """Run all steps on `ordered`, batch after batch."""
    import torch

    settings = recipe.train
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=float(settings.learning_rate), weight_decay=float(settings.weight_decay), foreach=False
    )
    model.train()
    trace = checkpoint.restore(model, optimizer) if checkpoint else []
    if adapters:
        adapters.check(len(trace))
    for step in range(len(trace), settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(recipe, step)
        examples = ordered[step * settings.batch_size : (step + 1) * settings.batch_size]
        loss = weighed_loss(model, settings, examples, step_weights(settings, examples), padding_id)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, float(settings.max_gradient_norm), foreach=False)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value = float(loss.detach())
        if value != value or value in (float("inf"), float("-inf")):
            raise TrainingError(f"the loss of step {step + 1} is {value}; lower train.learning_rate")
        trace.append(to_micronats(value))
        if progress:
            progress(step + 1, settings.steps, value)
        if adapters:
            adapters.save(model, step + 1)
        every = settings.checkpoint_steps
        if checkpoint and ((every and (step + 1) % every == 0) or step + 1 == settings.steps):
            checkpoint.save(model, optimizer, trace)
    return Optimised(trace, optimizer)


def _learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step (0-based)."""
    relative = _relative_rate(recipe, step)
    # The order of operations decides the last bit.
    return float(recipe.train.learning_rate) * relative.numerator / relative.denominator


def _relative_rate(recipe: Recipe, step: int) -> Fraction:
    """Linear warm-up, then constant or linearly falling to zero after the last step; 1 is the full rate."""
    settings = recipe.train
    if step < settings.warmup_steps:
        return Fraction(step + 1, settings.warmup_steps)
    if settings.schedule == "constant":
        return Fraction(1)
    return Fraction(settings.steps - step, max(1, settings.steps - settings.warmup_steps))


def _write_adapter(model: Any, folder: Path, base_label: str) -> None:
    """Adapter tensors and peft's configuration, in a form that depends on their content only."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous() for name, tensor in adapter_state(model).items()}
    # One metadata key: safetensors writes several in an order that differs from run to run.
    save_file(dict(sorted(tensors.items())), folder / ADAPTER_FILE, metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict() | {"base_model_name_or_path": base_label, "inference_mode": True}
    text = json.dumps(config, sort_keys=True, indent=2, default=_plain)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def indexed_steps(recipe: Recipe) -> tuple[int, ...]:
    """After which steps (1-based, increasing) the adapter is kept for attribution.

    What training does to a loss is, to first order, a sum over steps of step size times gradient product (TracIn,
    Pruthi et al. 2020); few points of it are best taken at the middles of equal shares of the summed step sizes.
    """
    if recipe.attribution is None:
        return ()
    count, steps = recipe.attribution.checkpoints, recipe.train.steps
    spent = list(accumulate(_relative_rate(recipe, step) for step in range(steps)))
    chosen: list[int] = []
    for part in range(count):
        middle = spent[-1] * (2 * part + 1) / (2 * count)
        found = 1 + next(step for step in range(steps) if spent[step] >= middle)
        # Few steps may have several middles in one of them.
        chosen.append(max(min(found, steps - (count - 1 - part)), chosen[-1] + 1 if chosen else 1))
    return tuple(chosen)


@dataclass(frozen=True, slots=True)
class _Adapters:
    """Where the adapters of indexed steps go: step -> folder."""

    folders: dict[int, Path]
    base_label: str

    @classmethod
    def of(cls, recipe: Recipe, folder: Path, base_label: str) -> "_Adapters":
        return cls({step: folder / f"adapter-after-{step}" for step in indexed_steps(recipe)}, base_label)

    def check(self, steps_done: int) -> None:
        """Adapters of steps that are not run again must be there."""
        for step, folder in self.folders.items():
            if step <= steps_done and not (folder / CONFIG_FILE).is_file():
                raise TrainingError(f"{folder} is missing: empty {folder.parent} and train again from the start")

    def save(self, model: Any, step: int) -> None:
        if step in self.folders:
            _write_adapter(model, self.folders[step], self.base_label)


def _plain(value: object) -> object:
    """JSON form of what peft keeps as sets and enumerations."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def _run_identity(prepared: PreparedRun, base_label: str, adapter_folder: Path | None) -> str:
    """Digest of what a checkpoint belongs to."""
    adapter = describe_artefact(adapter_folder).tensor_digest if adapter_folder else b""
    code = to_json(code_description())
    parts = (prepared.recipe.digest(), data_order_root(prepared.order), base_label.encode(), adapter, code)
    return sha256(b"\0".join(parts)).hexdigest()
