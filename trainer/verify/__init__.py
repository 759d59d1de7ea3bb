"""Retrain a recorded run and grade how close the result comes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from attribution.adapter_config import read_adapter_config
from openledger.content.folder import artefact_files
from openledger.content.store import ContentStore
from openledger.data.manifest import Manifest
from openledger.data.versions import VersionRecord
from openledger.errors import NotVerified, UsageError
from trainer.compare import MAX_ADAPTER_DISTANCE, AdapterDistance, adapter_distance, model_distance
from trainer.devices import Devices, device_of
from trainer.environment import code_digest, library_versions
from trainer.optimise import Progress
from trainer.outside import describe_folder
from trainer.partition import data_order_root
from trainer.recipe import Recipe, parse_recipe
from trainer.record import input_records
from trainer.run_records import EntryRecord
from trainer.train import TrainedRun, prepare_run, train
from trainer.watch import Watch


@dataclass(frozen=True, slots=True)
class Band:
    """How far a repetition may be: losses of single steps in micronats, and the output (trainer.compare)."""

    losses_micronats: int
    distance: float


# float32 sums in another order (other threads, other processor) differ by some 1e-6 a step and grow over a run of
# tens of steps; other data, seed or rates move single losses by 1e-2 and more. Products in bfloat16 keep eight bits, so
# sums in another order differ by 1e-3 from the first step on (docs/adr/0036). Both were measured on CPUs: whether GPUs
# keep within them was not.
BANDS = {"float32": Band(5_000, MAX_ADAPTER_DISTANCE), "bf16": Band(50_000, 0.3)}


class RunGrade(StrEnum):
    """How a repetition compares with the record."""

    BIT_EXACT = "bit-exact"
    TRACE_MATCH = "trace match"
    DIFFERS = "differs"


class AttributionGrade(StrEnum):
    """How the indexes of a repetition compare with those that the entry committed to."""

    EQUAL = "equal"
    CONSISTENT = "consistent"
    DIFFERS = "differs"
    NOT_COMPARED = "not compared"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """The grades and, in words, what is equal and what is not.

    `contradictions`: things that the record says beside its output, and that its recipe does not give.
    `unchecked`: everything that was not compared, so that the grades speak of nothing else.
    """

    grade: RunGrade
    findings: tuple[str, ...]
    attribution: AttributionGrade = AttributionGrade.NONE
    contradictions: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the record is not what its recipe gives."""
        return (
            self.grade == RunGrade.DIFFERS or self.attribution == AttributionGrade.DIFFERS or bool(self.contradictions)
        )


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The parts of a manifest that grading needs: the recipe, losses of the steps (micronats), root of the data order.

    `code` is the part as it stands in the manifest.
    """

    recipe: Recipe
    losses_micronats: tuple[int, ...]
    data_order_root: bytes
    code: bytes
    code_digest: str
    libraries: tuple[tuple[str, str], ...]
    # Kind of the devices that the run says it was computed on, and in how many processes.
    device: str = "cpu"
    processes: int = 1

    @property
    def band(self) -> Band:
        """How far a repetition may be from the record."""
        return BANDS[self.recipe.train.precision]


def read_plan(manifest: Manifest) -> RunPlan:
    """How to repeat a run, from its manifest, which anybody may have written.

    Raises `UsageError` for runs of other frameworks and imports, `NotVerified` when a part is not of our form.
    """
    try:
        about = manifest.json("about")
        framework, repeatable = str(about["framework"]), about["data_checked"] is True
        plan = _read_parts(manifest, manifest.json("code")) if repeatable else None
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:  # a bad part, or a bad recipe
        reason = " ".join(str(error).split())
        raise NotVerified(
            f"the entry's manifest is not one that this trainer writes ({reason}); it cannot be repeated here"
        ) from error
    if plan is None:
        raise UsageError(
            f"this entry was recorded from {framework}; its recipe cannot run here: "
            "repeat it with that framework and compare the output digests"
        )
    return plan


def _read_parts(manifest: Manifest, code: Any) -> RunPlan:
    devices: Any = manifest.json("devices") if "devices" in manifest.parts else {"kind": "cpu", "processes": 1}
    return RunPlan(
        recipe=parse_recipe(manifest.parts["recipe"], "recipe of the entry"),
        losses_micronats=tuple([int(loss) for loss in manifest.json("loss-trace")["losses"]]),
        data_order_root=bytes.fromhex(manifest.json("data-order")["root"]),
        code=manifest.parts["code"],
        code_digest=str(code["digest"]),
        libraries=tuple(sorted([(str(name), str(version)) for name, version in code["libraries"].items()])),
        device="cuda" if devices["kind"] == "cuda" else "cpu",
        processes=int(devices["processes"]),
    )


def retrain(
    entry: EntryRecord,
    plan: RunPlan,
    versions: Sequence[VersionRecord],
    store: ContentStore,
    base_folder: Path,
    output_folder: Path,
    *,
    adapter_folder: Path | None = None,
    work_folder: Path | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> TrainedRun:
    """Run the recipe again on the same inputs; adapters of the steps that attribution indexes go into `work_folder`.

    Raises `NotVerified`, before any training, when recipe and rows do not give the inputs that the entry records.
    """
    recipe = plan.recipe
    if len(recipe.datasets) != len(versions):
        raise NotVerified(
            f"the entry has {len(versions)} inputs, its recipe {len(recipe.datasets)}; do not rely on this entry"
        )
    prepared = prepare_run(recipe, versions, store)
    for index, (recorded, found) in enumerate(zip(entry.inputs, input_records(prepared), strict=True)):
        if recorded != found:
            raise NotVerified(
                f"input {index}: the recipe uses {found.rows_used} rows at weight {found.weight_ppb}, the entry "
                f"records {recorded.rows_used} at {recorded.weight_ppb} (or other rows); do not rely on this entry"
            )
    return train(
        prepared,
        base_folder,
        output_folder,
        base_label=recipe.model.base,
        adapter_folder=adapter_folder,
        work_folder=work_folder,
        devices=Devices(device_of("auto") if plan.device == "cuda" else "cpu"),
        progress=progress,
        watch=watch,
    )


def grade(
    entry: EntryRecord, plan: RunPlan, run: TrainedRun, fetch: Callable[[], Path], base_folder: Path = Path()
) -> RunVerdict:
    """Compare a repetition with the record: output, loss trace, order of the data; differences of set-up are named.

    `fetch` gives a folder with the recorded output; it is asked where the digests differ, since then only the tensors
    themselves can tell float noise from another training. Raises what it raises: without output there is no grade. A
    whole model is compared with the base's folder at hand.
    """
    findings = _differences_of_setup(plan, run)
    trace, trace_holds = _compare_traces(plan, run)
    same_order = data_order_root(run.prepared.order) == plan.data_order_root
    if (run.artefact.artefact_digest, run.artefact.tensor_digest) == (entry.artefact_digest, entry.tensor_digest):
        contradictions = [] if trace_holds else [f"the recorded losses are not those of this run: {trace}"]
        contradictions += [] if same_order else ["the recorded order of the examples is not that of the recipe"]
        equal = "output files and tensors are equal byte for byte"
        return RunVerdict(RunGrade.BIT_EXACT, (equal, *findings), contradictions=tuple(contradictions))
    recorded = fetch()
    output, output_holds = _compare_outputs(entry, plan, run, recorded, base_folder)
    findings[:0] = [*output, trace]
    holds = output_holds and trace_holds and same_order
    known = [file.name for file in run.artefact.files]
    more = sorted(file.name for file in artefact_files(recorded) if file.name not in known)
    return RunVerdict(
        RunGrade.TRACE_MATCH if holds else RunGrade.DIFFERS,
        tuple(findings),
        unchecked=tuple([f"the recorded file {name}, which the repetition has not" for name in more]),
    )


def _compare_traces(plan: RunPlan, run: TrainedRun) -> tuple[str, bool]:
    """The loss of every step: in words, and whether float noise explains the difference."""
    recorded, repeated = plan.losses_micronats, run.loss_trace_micronats
    if len(recorded) != len(repeated):
        return f"the record has {len(recorded)} steps, the repetition {len(repeated)}", False
    largest = max(abs(one - other) for one, other in zip(recorded, repeated, strict=True))
    allowed = plan.band.losses_micronats
    words = f"largest difference of a step's loss: {largest} micronats, allowed {allowed}"
    return words, largest <= allowed


def _compare_outputs(
    entry: EntryRecord, plan: RunPlan, run: TrainedRun, recorded: Path, base_folder: Path
) -> tuple[list[str], bool]:
    """The recorded tensors and configuration against the repeated ones."""
    kind = plan.recipe.method.kind
    try:
        describe_folder(recorded, kind)
    except UsageError as error:
        what = "whole model" if kind == "full" else "adapter"
        return [f"the recorded output is no {what} alone: {error}"], False
    if run.artefact.tensor_digest == entry.tensor_digest:
        lines, holds = ["tensors are equal byte for byte, the files around them are not"], True
    else:
        try:
            distance = _distance(plan, run, recorded, base_folder)
        except UsageError as error:
            return [f"the recorded tensors cannot be read: {error}"], False
        lines, holds = [distance.words], distance.is_near
    if kind == "full":
        lines += _other_files(recorded, run.folder)
        return lines, holds and len(lines) == 1
    try:
        said, repeated = read_adapter_config(recorded), read_adapter_config(run.folder)
    except UsageError as error:
        return [*lines, f"the recorded configuration of the adapter cannot be read: {error}"], False
    if said.form != repeated.form:
        lines.append(
            f"the adapter's configuration says rank, scaling, modules {said.form}, the recipe gives {repeated.form}"
        )
        holds = False
    return lines, holds


def _distance(plan: RunPlan, run: TrainedRun, recorded: Path, base_folder: Path) -> AdapterDistance:
    if plan.recipe.method.kind == "full":
        return model_distance(recorded, run.folder, base_folder, plan.band.distance)
    return adapter_distance(recorded, run.folder, plan.band.distance)


def _other_files(recorded: Path, repeated: Path) -> list[str]:
    """Configuration and tokenizer of a whole model, which are those of its base: name the files that are not."""
    found = []
    for path in sorted(repeated.iterdir()):
        theirs = recorded / path.name
        if path.name.endswith(".safetensors") or not path.is_file():
            continue
        if not theirs.is_file() or theirs.read_bytes() != path.read_bytes():
            found.append(f"the recorded file {path.name} is not what the base and the recipe give")
    return found


def _differences_of_setup(plan: RunPlan, run: TrainedRun) -> list[str]:
    """List the differences that were there from the start."""
    findings = []
    if data_order_root(run.prepared.order) != plan.data_order_root:
        findings.append("the examples or their order differ from the record")
    if (plan.device, plan.processes) != (run.devices.kind, run.devices.processes):
        findings.append(
            f"other devices: {_devices(plan.device, plan.processes)} in the record, "
            f"{_devices(run.devices.kind, run.devices.processes)} here; bits differ between them"
        )
    if "cuda" in (plan.device, run.devices.kind):
        findings.append("GPUs: the allowed differences were measured on CPUs, and on no GPU so far")
    here = code_digest()
    if plan.code_digest != here:
        findings.append(f"other training code: {plan.code_digest[:16]}… in the record, {here[:16]}… here")
    recorded, versions = dict(plan.libraries), library_versions()
    changed = [
        f"{name} {recorded.get(name, 'absent')} / {version}"
        for name, version in sorted(versions.items())
        if recorded.get(name) != version
    ]
    if changed:
        findings.append(f"other library versions (record / here): {', '.join(changed)}")
    return findings


def _devices(kind: str, processes: int) -> str:
    return f"{kind} in {processes} {'process' if processes == 1 else 'processes'}"
