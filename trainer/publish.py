"""Records of runs as messages of the models module, and the chain as the trainer sees it through the SDK's client.

with Client(url) as client:
    ledger = ClientLedger(client, wallet.signer("alice"), prove=False)
    published = ledger.publish(record)                # entry, run event, evaluations; the model is made if new
    trainer.add_callback(OpenLedgerCallback(ledger.publish, "my-model", inputs=[...]))
"""

from abci_app.bech32 import encode_id
from abci_app.modules.models_records import (
    Attribution,
    Entry,
    EntryKind,
    EvaluationDraft,
    Input,
    Output,
    Parent,
    Run,
    RunDraft,
    entry_id_of,
)
from abci_app.types import MAX_TEXT_LENGTH
from trainer.record import EntryRecord, EvaluationRecord, InputRecord, ParentRecord, RunEventRecord, RunRecord

_NO_ATTRIBUTION = Attribution(0, b"")


def to_entry(record: EntryRecord) -> Entry:
    """The chain's record of an entry."""
    return Entry(
        kind=EntryKind[record.kind.upper()],
        parents=tuple([Parent(item.entry_id, item.role, item.share_ppb) for item in record.parents]),
        inputs=tuple(
            [
                Input(item.datanet_id, item.version, item.weight_ppb, item.rows_used, item.rows_used_root)
                for item in record.inputs
            ]
        ),
        terms_id=record.terms_id,
        manifest_root=record.manifest_root,
        output=Output(record.artefact_digest, record.tensor_digest, record.byte_count, record.format),
        attribution=_NO_ATTRIBUTION,
    )


def from_entry(entry: Entry) -> EntryRecord:
    """The reverse; attribution is left out."""
    return EntryRecord(
        kind=EntryKind(entry.kind).name.lower(),
        parents=tuple([ParentRecord(item.entry_id, item.role, item.share_ppb) for item in entry.parents]),
        inputs=tuple(
            [
                InputRecord(item.datanet_id, item.version, item.weight_ppb, item.rows_used, item.rows_used_root)
                for item in entry.inputs
            ]
        ),
        manifest_root=entry.manifest_root,
        artefact_digest=entry.output.artefact_digest,
        tensor_digest=entry.output.tensor_digest,
        byte_count=entry.output.byte_count,
        format=entry.output.format,
        terms_id=entry.terms_id,
    )


def to_run(event: RunEventRecord) -> Run:
    """What differs between repetitions."""
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
    return RunDraft(to_entry(record.entry), to_run(record.event), model_id, label)


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


def entry_text(entry_id: bytes) -> str:
    """`olrun1…`"""
    return encode_id("olrun", entry_id)
