"""From a recipe to a recorded run, against a narrow view of the chain; what `openledger train` does.

`ChainReader` is all that training needs to know about the chain. The SDK's client fulfils it through
`trainer.publish.ClientLedger`; tests use a dictionary.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from abci_app.types import PPB
from openledger.content.artefact import Artefact
from openledger.content.files import cache_home
from openledger.content.store import ContentStore
from openledger.data.manifest import Manifest, get_manifest
from openledger.data.outputs import fetch_output
from openledger.data.versions import VersionRecord
from openledger.errors import NotVerified, UsageError
from trainer.ancestry import KnownEntry, check_adapter_stands_on
from trainer.base_model import SOURCE_SHA256, BaseModelError, import_base_model
from trainer.devices import Devices
from trainer.evaluate import METRIC
from trainer.indexes import FOLDER_PREFIX, build_indexes
from trainer.indexes import Progress as IndexProgress
from trainer.measurements import (
    RecordedMeasurement,
    examine_measurements,
    examine_parent,
    measure,
    recorded_with,
)
from trainer.optimise import Progress
from trainer.partition import held_out_rows
from trainer.pinned import pinned
from trainer.recipe import Recipe
from trainer.record import record_training
from trainer.run_folder import check_output_folder, forget_output, remember_recipe, runs_home
from trainer.run_records import EntryRecord, ParentRecord, RunRecord
from trainer.train import PreparedRun, TrainedRun, prepare_run, train
from trainer.verify import AttributionGrade, RunGrade, RunVerdict, grade, read_plan, retrain
from trainer.verify.indexes import check_methods, with_indexes
from trainer.verify.parts import with_parts
from trainer.watch import Watch

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LicenceVerdict:
    """The verdict that the chain would give on the terms of a run, in lines for people."""

    lines: tuple[str, ...]
    conflict: bool


class ChainReader(Protocol):
    """The questions that training asks the chain; references are ids as text, or names that the chain resolves."""

    def datanet_version(self, reference: str, version: int) -> VersionRecord:
        """Record of one DataNet version with its contributions."""

    def entry(self, reference: str) -> KnownEntry:
        """One provenance entry."""

    def measurements(self, entry_id: bytes) -> Sequence[RecordedMeasurement]:
        """Everything that anybody recorded as measured of an entry."""

    def licence_verdict(
        self, kind: str, parents: Sequence[ParentRecord], inputs: Sequence[tuple[bytes, int]]
    ) -> "LicenceVerdict":
        """Dry run of the licence join over parents and inputs (DataNet id, version)."""


def train_recipe(
    recipe: Recipe,
    chain: ChainReader,
    store: ContentStore,
    output_folder: Path,
    *,
    keep_checkpoint: bool = False,
    progress: Progress | None = None,
    index_progress: IndexProgress | None = None,
    devices: Devices | None = None,
    watch: Watch | None = None,
    say: Say = lambda _: None,
    owner: bytes = b"",
) -> tuple[TrainedRun, RunRecord]:
    """Fetch, check, train and record (not yet publish); everything is named by digests that the chain knows.

    An interrupted run goes on from its last checkpoint when the same recipe is given again. With `keep_checkpoint`
    a finished one does too, until `discard_checkpoint`: use it where publishing may fail. What is recorded is the
    recipe with ids for names. The manifest names `owner`, the account that will record the run, where it is given.
    """
    written, (recipe, versions, base, adapter) = recipe, resolve(recipe, chain)
    work_folder = run_folder(recipe, base)
    check_output_folder(output_folder, work_folder)
    remember_recipe(work_folder, recipe.canonical())
    watch = watch or Watch()
    watch.stage("fetch")
    say(f"fetching and checking {len(versions)} DataNet version{'' if len(versions) == 1 else 's'}")
    # With the names that people know in what it says.
    prepared = replace(prepare_run(written, versions, store), recipe=recipe)
    base_folder, base_artefact = artefact_folder(base, store)
    adapter_folder = artefact_folder(adapter, store)[0] if adapter else None
    say(f"training {prepared.steps} steps on {len({example.row.leaf for example in prepared.order})} rows")
    run = train(
        prepared,
        base_folder,
        output_folder,
        base_label=recipe.model.base,
        adapter_folder=adapter_folder,
        work_folder=work_folder,
        keep_checkpoint=keep_checkpoint,
        devices=devices,
        progress=progress,
        watch=watch,
    )
    if recipe.attribution:
        watch.stage("index", ", ".join(recipe.attribution.methods))
    indexes = build_indexes(run, base_folder, work_folder, progress=index_progress, say=say)
    if indexes:
        indexes.put(store)
    watch.stage("record")
    record = record_training(
        run,
        base_artefact,
        parents_of(recipe, base, adapter),
        store,
        attribution_method=indexes.commitment.method if indexes else 0,
        attribution_root=indexes.commitment.root if indexes else b"",
        owner=owner,
    )
    return run, record


def resolve(recipe: Recipe, chain: ChainReader) -> tuple[Recipe, list[VersionRecord], KnownEntry, KnownEntry | None]:
    """The recipe with ids for names, and what they stand for: versions of DataNets, base, adapter."""
    versions = [chain.datanet_version(dataset.datanet, dataset.version) for dataset in recipe.datasets]
    base = chain.entry(recipe.model.base)
    adapter = chain.entry(recipe.model.adapter) if recipe.model.adapter else None
    if adapter:
        check_adapter_stands_on(chain, adapter, base)
    return pinned(recipe, versions, base, adapter), versions, base, adapter


def run_folder(recipe: Recipe, base: KnownEntry) -> Path:
    """Where the run of a pinned recipe keeps what it can go on from."""
    return runs_home() / f"{recipe.digest().hex()[:32]}-{base.record.tensor_digest.hex()[:16]}"


def discard_checkpoint(run: TrainedRun, entry: str = "") -> None:
    """Forget what a run that is recorded as `entry` could be resumed from; its indexes lie in the content store."""
    if run.checkpoint is not None:
        run.checkpoint.unlink(missing_ok=True)
        forget_output(run.checkpoint.parent, entry)
        for folder in run.checkpoint.parent.glob(f"{FOLDER_PREFIX}*"):
            shutil.rmtree(folder)


def parents_of(recipe: Recipe, base: KnownEntry, adapter: KnownEntry | None) -> tuple[ParentRecord, ...]:
    """The entries that a recipe builds on, with their shares."""
    if adapter is None:
        return (ParentRecord(base.entry_id, "base", PPB),)
    share_ppb = recipe.model.adapter_share_ppb
    return (
        ParentRecord(base.entry_id, "base", PPB - share_ppb),
        ParentRecord(adapter.entry_id, "adapter", share_ppb),
    )


def verify_entry(
    known: KnownEntry,
    chain: ChainReader,
    store: ContentStore,
    *,
    output_folder: Path | None = None,
    with_attribution: bool = True,
    progress: Progress | None = None,
    watch: Watch | None = None,
    index_progress: IndexProgress | None = None,
    say: Say = lambda _: None,
) -> tuple[RunVerdict, TrainedRun]:
    """Retrain an entry and grade the result; `output_folder` keeps the adapter, without it nothing stays.

    The indexes that the entry commits to are built again, too, unless the adapter differs already.
    Raises `NotVerified` when manifest and entry contradict each other, `UsageError` for what cannot be repeated.
    """
    record = known.record
    manifest = get_manifest(store, record.manifest_root)
    plan = read_plan(manifest)
    check_methods(record, plan.recipe)
    versions = _versions_of(record, manifest, chain)
    base, adapter = _parents_to_repeat(known, plan.recipe, chain)
    base_folder, base_artefact = artefact_folder(base, store)
    adapter_folder = artefact_folder(adapter, store)[0] if adapter else None
    say(f"training {_length(plan.recipe)} again, as entry {known.entry_id.hex()[:16]}… records them")
    with _work_folder(known) as work:
        run = retrain(
            record,
            plan,
            versions,
            store,
            base_folder,
            output_folder or work / "adapter",
            adapter_folder=adapter_folder,
            work_folder=work,
            progress=progress,
            watch=watch,
        )
        verdict = grade(record, plan, run, lambda: artefact_folder(known, store)[0], base_folder)
        # A run that differs already can be trusted as little as its indexes: nothing to compare.
        wanted = with_attribution and verdict.grade != RunGrade.DIFFERS
        built = (
            build_indexes(run, base_folder, work, code=plan.code, progress=index_progress, say=say) if wanted else None
        )
        verdict = with_indexes(verdict, record, run, built, store, base_folder)
        verdict = with_parts(verdict, manifest, run, base_artefact)
        say("taking the recorded measurements again")
        started_from = adapter or base
        verdict = _with_measurements(verdict, known, chain, store, run, base_folder)
        return _with_parent_measurements(verdict, known, started_from, chain, run), run


def _with_measurements(
    verdict: RunVerdict,
    known: KnownEntry,
    chain: ChainReader,
    store: ContentStore,
    run: TrainedRun,
    base_folder: Path,
) -> RunVerdict:
    """The verdict with every recorded measurement, taken again on the recorded tensors, and what was not compared."""
    recorded = chain.measurements(known.entry_id)
    wanted = any(item.metric == METRIC for item in recorded)
    measured = run.after
    if wanted and verdict.grade != RunGrade.BIT_EXACT:
        try:
            measured = measure(base_folder, artefact_folder(known, store)[0], run.prepared)
        except UsageError as error:
            lines = tuple(f"{item.metric} {item.value}, {item.source} ({error})" for item in recorded)
            return replace(verdict, unchecked=(*verdict.unchecked, *lines, *_never_checked(verdict, run)))
    checked = examine_measurements(recorded, measured, known.record.inputs)
    findings = list(verdict.findings)
    if checked.right:
        findings.append(f"measurements taken again on the recorded tensors: {len(checked.right)} hold")
    return replace(
        verdict,
        findings=(*findings, *checked.notes),
        contradictions=(*verdict.contradictions, *checked.contradictions),
        unchecked=(*verdict.unchecked, *checked.unchecked, *_never_checked(verdict, run)),
    )


def _with_parent_measurements(
    verdict: RunVerdict, known: KnownEntry, started_from: KnownEntry, chain: ChainReader, run: TrainedRun
) -> RunVerdict:
    """The verdict with what the recorder measured of the model that training started from, taken again on its output.

    That model's files are at hand: the repetition has trained from them.
    """
    if run.before is None:
        return verdict
    what = "the model that training started from"
    recorded = recorded_with(chain.measurements(known.entry_id), chain.measurements(started_from.entry_id))
    checked = examine_parent(recorded, run.before, known.record.inputs)
    right = (f"measurements of {what}, taken again: {len(checked.right)} hold",) if checked.right else ()
    whose = "measurements by others" if recorded else "measurements"
    return replace(
        verdict,
        findings=(*verdict.findings, *right),
        contradictions=(*verdict.contradictions, *[f"of {what}: {line}" for line in checked.contradictions]),
        unchecked=(
            *verdict.unchecked,
            *[f"of {what}: {line}" for line in checked.unchecked],
            f"{whose} of {what}, which stand at that model's entry",
        ),
    )


def _never_checked(verdict: RunVerdict, run: TrainedRun) -> tuple[str, ...]:
    """List the points that a repetition of this grade leaves open for everybody who runs it."""
    open_points = ["times, machine and environment of the recorded run, which are declared"]
    if run.adapters and verdict.attribution not in (AttributionGrade.EQUAL, AttributionGrade.CONSISTENT):
        open_points.append(f"adapters at the {len(run.adapters)} checkpoints that attribution indexes")
    if verdict.attribution == AttributionGrade.NOT_COMPARED:
        open_points.append("the attribution that the entry commits to")
    return tuple(open_points)


def repeatable_run(
    entry_id: bytes, chain: ChainReader, store: ContentStore, *, queries: int
) -> tuple[PreparedRun, Path, Path | None]:
    """A recorded run prepared again, with folders of its base and of the adapter that it continued.

    `queries` held-out rows at most are kept ready. Raises as `verify_entry` does.
    """
    known = chain.entry(entry_id.hex())
    manifest = get_manifest(store, known.record.manifest_root)
    recipe = read_plan(manifest).recipe
    versions = _versions_of(known.record, manifest, chain)
    base, adapter = _parents_to_repeat(known, recipe, chain)
    prepared = prepare_run(recipe, versions, store)
    prepared = replace(prepared, held_out=held_out_rows(prepared.partitions, queries))
    adapter_folder = artefact_folder(adapter, store)[0] if adapter else None
    return prepared, artefact_folder(base, store)[0], adapter_folder


def _parents_to_repeat(known: KnownEntry, recipe: Recipe, chain: ChainReader) -> tuple[KnownEntry, KnownEntry | None]:
    """Base and adapter of an entry, after a check that its recipe builds on the same ones."""
    by_role = {parent.role: parent.entry_id for parent in known.record.parents}
    base = chain.entry(by_role["base"].hex()) if "base" in by_role else None
    adapter = chain.entry(by_role["adapter"].hex()) if "adapter" in by_role else None
    wants_adapter = bool(recipe.model.adapter)
    if (
        base is None
        or wants_adapter != (adapter is not None)
        or known.record.parents != parents_of(recipe, base, adapter)
    ):
        raise NotVerified("the entry's parents are not those of its recipe; do not rely on this entry")
    if adapter:
        check_adapter_stands_on(chain, adapter, base)
    return base, adapter


def _length(recipe: Recipe) -> str:
    settings = recipe.train
    return f"{settings.epochs} epochs" if settings.steps is None else f"{settings.steps} steps"


@contextmanager
def _work_folder(known: KnownEntry) -> Iterator[Path]:
    """For what a verification makes on its way: beside other caches, because indexes may be large; gone afterwards."""
    parent = cache_home() / "verifications"
    parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{known.entry_id.hex()[:8]}-", dir=parent) as folder:
        yield Path(folder)


def _versions_of(record: EntryRecord, manifest: Manifest, chain: ChainReader) -> Sequence[VersionRecord]:
    """The inputs' versions, after a check that entry and manifest name the same ones."""
    try:
        declared = [
            (part["datanet"], part["version"], part["weight_ppb"], part["rows_used_root"]) for part in manifest.inputs
        ]
    except (KeyError, TypeError) as error:
        raise NotVerified(f"the inputs in the entry's manifest cannot be read ({error})") from error
    recorded = [
        (item.datanet_id.hex(), item.version, item.weight_ppb, item.rows_used_root.hex()) for item in record.inputs
    ]
    if declared != recorded:
        raise NotVerified("the entry's inputs are not those of its manifest; do not rely on this entry")
    return [chain.datanet_version(item.datanet_id.hex(), item.version) for item in record.inputs]


def artefact_folder(known: KnownEntry, store: ContentStore) -> tuple[Path, Artefact]:
    """A folder with the entry's output files, each checked: the converted base model, or fetched from the store."""
    record = known.record
    manifest = get_manifest(store, record.manifest_root)
    if record.kind == "import" and SOURCE_SHA256.encode() in manifest.parts.get("source", b""):
        try:
            base = import_base_model()
        except BaseModelError:
            base = None  # then the content store may have it
        if base is not None and base.artefact.artefact_digest == record.artefact_digest:
            return base.folder, base.artefact
    return fetch_output(
        store,
        entry_id=known.entry_id,
        manifest_root=record.manifest_root,
        artefact_digest=record.artefact_digest,
        tensor_digest=record.tensor_digest,
    )


def now_seconds() -> int:
    """Unix time in whole seconds."""
    return int(time.time())
