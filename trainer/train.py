"""Deterministic fine-tuning: the same recipe on the same machine gives the same bytes.

`prepare_run` turns a recipe and DataNet versions into examples in order; `train` runs the optimisation and writes the
adapter, or the whole model. What makes it repeatable: settings before torch is imported, seed before the adapter is
initialised, a fixed number of threads, the data order fixed beforehand, files written by us. A checkpoint holds
everything that the next step depends on, so an interrupted run ends with the same bytes as an uninterrupted one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from attribution.adapted_model import open_base
from attribution.adapter_config import CONFIG_FILE
from attribution.loss import Tokens
from attribution.numerics import prepare
from attribution.text_tokens import open_tokenizer, padding_id
from openledger.content.artefact import Artefact, describe_artefact
from openledger.content.store import ContentStore, calling_content
from openledger.data.manifest import to_json
from openledger.data.versions import VersionRecord
from trainer.checkpoint import Checkpoint
from trainer.copies import CopiedRow, leave_out_copies
from trainer.dataset import load_rows
from trainer.devices import Devices
from trainer.environment import code_description, make_deterministic
from trainer.evaluate import HeldOutLoss, evaluate
from trainer.examples import Cuts, read_run
from trainer.held_out import leave_out_held_out
from trainer.optimise import Optimised, Progress, TrainingError, optimise
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
from trainer.run_folder import making_output
from trainer.schedule import fault_of_steps, indexed_steps, steps_of
from trainer.trainee import make_trainee, write_adapter, write_output
from trainer.watch import Watch


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

    @property
    def steps(self) -> int:
        """Steps of the optimizer, also where the recipe says epochs."""
        return len(self.order) // self.recipe.train.step_rows


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """The results of a run; times are Unix seconds, losses micronats.

    `folder` holds the adapter, or the whole model of a full fine-tune.
    """

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
    devices: Devices = field(default_factory=Devices)


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
            with calling_content(f"a contribution of {dataset.datanet} version {dataset.version}"):
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
    problem = fault_of_steps(recipe, steps_of(recipe.train, sum(len(each.training) for each in partitions)))
    if problem:
        raise PartitionError(problem)
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
    devices: Devices | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    now: Callable[[], float] = time.time,
) -> TrainedRun:
    """Fine-tune and write adapter or model into `output_folder` (files of the same names are replaced).

    `base_label` is what an adapter calls its base; `adapter_folder` continues an adapter. `work_folder` keeps a
    checkpoint from which the same call resumes, removed at the end unless `keep_checkpoint`, and adapters of the steps
    that attribution indexes (without it: beside `output_folder`). The other processes of `devices` are in `assist`.
    """
    recipe, devices, watch = prepared.recipe, devices or Devices(), watch or Watch()
    watch.stage("load", f"on {devices.words}")
    started = int(now())
    padding = padding_id(tokenizer := open_tokenizer(base_folder))
    model = _open_model(recipe, base_folder, adapter_folder, devices)
    ordered, held_out, cuts = _read_rows(prepared, tokenizer, model)
    measured = _Measured(model=model, rows=held_out, inputs=len(recipe.datasets), padding_id=padding, watch=watch)
    before = measured.take("before")
    checkpoint = Checkpoint.of(work_folder, _run_identity(prepared, base_label, adapter_folder, devices), started)
    adapters = _Adapters.of(prepared, work_folder or output_folder.with_name(f"{output_folder.name}-work"), base_label)
    job = Job(
        recipe=recipe,
        base_folder=base_folder,
        adapter_folder=adapter_folder,
        ordered=ordered,
        padding_id=padding,
        checkpoint=checkpoint,
    )
    watch.stage("train", f"{prepared.steps} steps of {recipe.train.step_rows} rows")
    done = job.run(model, devices, adapters, progress, watch)
    after = measured.take("after")
    with making_output(output_folder, work_folder) as made:
        write_output(model, recipe, base_folder, made, base_label)
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
        devices=devices,
    )


@dataclass(frozen=True, slots=True)
class Job:
    """The work of all processes of a run, as process 0 tells the others."""

    recipe: Recipe
    base_folder: Path
    adapter_folder: Path | None
    ordered: tuple[Tokens, ...]
    padding_id: int
    checkpoint: Checkpoint | None

    def run(
        self,
        model: Any,
        devices: Devices,
        adapters: "_Adapters | None" = None,
        progress: Progress | None = None,
        watch: Watch | None = None,
    ) -> Optimised:
        """All steps, from the same random numbers in every process; the first process tells the others of them."""
        if devices.rank == 0:
            devices.tell(self)
        make_deterministic(self.recipe.train.seed, self.recipe.train.threads, strict=devices.kind == "cpu")
        return optimise(
            model,
            self.recipe,
            self.ordered,
            self.padding_id,
            devices=devices,
            checkpoint=self.checkpoint,
            adapters=adapters,
            progress=progress,
            watch=watch,
        )


@dataclass(frozen=True)
class _Measured:
    """Takes the loss on held-out rows."""

    model: Any
    rows: Sequence[tuple[int, Tokens]]
    inputs: int
    padding_id: int
    watch: Watch

    def take(self, when: str) -> HeldOutLoss | None:
        """None where nothing is held out."""
        if not self.rows:
            return None
        self.watch.stage("measure", f"{len(self.rows)} held-out rows {when} training")
        found = evaluate(self.model, self.rows, self.inputs, self.padding_id)
        self.watch.evaluation(when, found)
        return found


def assist(devices: Devices) -> None:
    """Compute the share of a process that is not the first one, until the run is over; nothing when there is none."""
    prepare()
    job: Job | None = devices.tell()
    if job is None:
        return
    job.run(_open_model(job.recipe, job.base_folder, job.adapter_folder, devices), devices)


def _read_rows(
    prepared: PreparedRun, tokenizer: Any, model: Any
) -> tuple[tuple[Tokens, ...], list[tuple[int, Tokens]], Cuts]:
    """Tokens of all rows in order, those of the held-out rows with the numbers of their inputs, and what was cut."""
    recipe = prepared.recipe
    ordered, measured, cuts = read_run(tokenizer, recipe.train, prepared.order, prepared.held_out, len(recipe.datasets))
    held_out = [(example.input_index, tokens) for example, tokens in zip(prepared.held_out, measured, strict=True)]
    check_vocabulary(model, [*ordered, *measured])
    return ordered, held_out, cuts


def _open_model(recipe: Recipe, base_folder: Path, adapter_folder: Path | None, devices: Devices) -> Any:
    """The model as training begins, equal in every process."""
    make_deterministic(recipe.train.seed, recipe.train.threads)
    base = open_base(base_folder)
    # Again: loading drew random numbers. From here to the adapter's initialisation nothing else does.
    make_deterministic(recipe.train.seed, recipe.train.threads)
    return make_trainee(base, recipe, adapter_folder).to(devices.name)


def check_vocabulary(model: Any, examples: Sequence[Tokens]) -> None:
    """Every token has its row in the base's embedding: tokenizers get tokens added without their bases being told."""
    size = model.get_input_embeddings().num_embeddings
    largest = max(max(tokens.ids) for tokens in examples)
    if largest >= size:
        raise TrainingError(
            f"the base's tokenizer gives token {largest}, its embedding has {size} rows: tokens were added to the "
            "tokenizer and not to the model; record a base whose embedding was resized"
        )


@dataclass(frozen=True, slots=True)
class _Adapters:
    """Where the adapters of indexed steps go: step -> folder."""

    folders: dict[int, Path]
    base_label: str

    @classmethod
    def of(cls, prepared: PreparedRun, folder: Path, base_label: str) -> "_Adapters":
        steps = indexed_steps(prepared.recipe, prepared.steps)
        return cls({step: folder / f"adapter-after-{step}" for step in steps}, base_label)

    def check(self, steps_done: int) -> None:
        """Adapters of steps that are not run again must be there."""
        for step, folder in self.folders.items():
            if step <= steps_done and not (folder / CONFIG_FILE).is_file():
                raise TrainingError(f"{folder} is missing: empty {folder.parent} and train again from the start")

    def save(self, model: Any, step: int) -> None:
        if step in self.folders:
            write_adapter(model, self.folders[step], self.base_label)


def _run_identity(prepared: PreparedRun, base_label: str, adapter_folder: Path | None, devices: Devices) -> str:
    """Digest of what a checkpoint belongs to."""
    adapter = describe_artefact(adapter_folder).tensor_digest if adapter_folder else b""
    code = to_json(code_description())
    where = f"{devices.kind} {devices.processes}".encode()
    parts = (prepared.recipe.digest(), data_order_root(prepared.order), base_label.encode(), adapter, code, where)
    return sha256(b"\0".join(parts)).hexdigest()
