"""Records of runs as records of the chain, and back: what the trainer writes, what the models module takes."""

from abci_app.bech32 import encode_id
from abci_app.modules.datanets import Form
from abci_app.modules.datanets.queries import (
    FullContribution,
)
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.records import (
    Attribution,
    Entry,
    Evaluation,
    EvaluationDraft,
    Input,
    Output,
    Parent,
    Run,
    RunDraft,
    entry_id_of,
)
from abci_app.types import MAX_TEXT_LENGTH
from openledger.data.rows import RowCommitment
from openledger.data.versions import ContributionRecord
from openledger.words import word_of
from trainer.measurements import RecordedMeasurement
from trainer.run_records import EntryRecord, EvaluationRecord, InputRecord, ParentRecord, RunEventRecord, RunRecord


def to_entry(record: EntryRecord) -> Entry:
    """The chain's record of an entry."""
    return Entry(
        kind=EntryKind[record.kind.upper()],
        parents=tuple([Parent(item.entry_id, item.role, item.share_ppb) for item in record.parents]),
        inputs=tuple(
            [
                Input(
                    datanet_id=item.datanet_id,
                    version=item.version,
                    weight_ppb=item.weight_ppb,
                    rows_used=item.rows_used,
                    rows_used_root=item.rows_used_root,
                )
                for item in record.inputs
            ]
        ),
        undeclared=Undeclared[record.undeclared.upper().replace("-", "_")],
        terms_id=record.terms_id,
        manifest_root=record.manifest_root,
        output=Output(
            artefact_digest=record.artefact_digest,
            tensor_digest=record.tensor_digest,
            byte_count=record.byte_count,
            format=record.format,
        ),
        attribution=Attribution(record.attribution_method, record.attribution_root),
    )


def from_entry(entry: Entry) -> EntryRecord:
    """The reverse."""
    return EntryRecord(
        kind=EntryKind(entry.kind).name.lower(),
        parents=tuple([ParentRecord(item.entry_id, item.role, item.share_ppb) for item in entry.parents]),
        inputs=tuple(
            [
                InputRecord(
                    datanet_id=item.datanet_id,
                    version=item.version,
                    weight_ppb=item.weight_ppb,
                    rows_used=item.rows_used,
                    rows_used_root=item.rows_used_root,
                )
                for item in entry.inputs
            ]
        ),
        manifest_root=entry.manifest_root,
        artefact_digest=entry.output.artefact_digest,
        tensor_digest=entry.output.tensor_digest,
        byte_count=entry.output.byte_count,
        format=entry.output.format,
        terms_id=entry.terms_id,
        undeclared=word_of("undeclared", entry.undeclared),
        attribution_method=entry.attribution.method,
        attribution_root=entry.attribution.commitment_root,
    )


def to_run(event: RunEventRecord) -> Run:
    """Make the record of the facts that differ between repetitions."""
    machine = "".join([character if " " <= character <= "~" else "?" for character in event.environment])
    return Run(
        started_seconds=event.started_seconds,
        finished_seconds=event.finished_seconds,
        environment_digest=b"",
        machine=machine[:MAX_TEXT_LENGTH],
        quality_metric=event.quality_metric,
        quality_value=event.quality_value,
    )


def to_run_draft(record: RunRecord, model_id: bytes = b"", label: str = "") -> RunDraft:
    """One item of a `RecordRuns` message; with `model_id` it becomes that model's next version."""
    return RunDraft(entry=to_entry(record.entry), run=to_run(record.event), model_id=model_id, label=label)


def to_evaluation_drafts(record: RunRecord) -> tuple[EvaluationDraft, ...]:
    """Measurements of the run's entry, and those taken before training, which speak of the model it started from.

    That is the adapter where training continued one, else the base (`parents[-1]`).
    """
    own = entry_id_of(to_entry(record.entry))
    parents = record.entry.parents
    return tuple(
        [
            _evaluation(item, parents[-1].entry_id if item.of_parent else own)
            for item in record.evaluations
            if parents or not item.of_parent
        ]
    )


def _evaluation(item: EvaluationRecord, entry_id: bytes) -> EvaluationDraft:
    return EvaluationDraft(
        entry_id=entry_id,
        benchmark_datanet_id=item.datanet_id,
        benchmark_version=item.version,
        metric=item.metric,
        value=item.value,
        sample_size=item.sample_size,
        interval=item.interval,
    )


def to_contribution(item: FullContribution) -> ContributionRecord:
    record = item.stored.contribution
    commitment = RowCommitment(
        rows_root=record.rows_root,
        row_count=record.row_count,
        byte_count=record.byte_count,
        content_digest=record.content_digest,
        sketch=record.sketch,
    )
    return ContributionRecord(
        contribution_id=item.contribution_id,
        contributor=record.contributor,
        commitment=commitment,
        registered_height=item.stored.height,
        registered_number=item.stored.submitted_number,
        datanet_id=record.datanet_id,
        accepted_number=item.stored.accepted_number,
        form=Form(record.form),
    )


def to_quality(operator: bytes, run: Run, *, by_recorder: bool) -> RecordedMeasurement | None:
    """The quality that a run event declares; None where it declares none."""
    if not run.quality_metric:
        return None
    source = f"declared in the run event of {encode_id('open', operator)}"
    return RecordedMeasurement(
        source=source, by_recorder=by_recorder, metric=run.quality_metric, value=run.quality_value
    )


def to_measurement(item: Evaluation, recorder: bytes) -> RecordedMeasurement:
    """An evaluation that somebody recorded."""
    return RecordedMeasurement(
        source=f"recorded by {encode_id('open', item.evaluator)} at height {item.height}",
        by_recorder=item.evaluator == recorder,
        metric=item.metric,
        value=item.value,
        datanet_id=item.benchmark_datanet_id,
        version=item.benchmark_version,
        sample_size=item.sample_size,
        interval=item.interval,
        evaluator=item.evaluator,
        height=item.height,
    )
