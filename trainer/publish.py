"""Records of runs as messages of the models module, and the chain as the trainer sees it through the SDK's client.

with Client(url) as client:
    ledger = ClientLedger(client, wallet.signer("alice"), prove=False)
    published = ledger.publish(record)                # entry, run event, evaluations; the model is made if new
    trainer.add_callback(OpenLedgerCallback(ledger.publish, "my-model", inputs=[...]))
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from abci_app.bech32 import PREFIXES, decode_id, encode_id
from abci_app.errors import Code
from abci_app.module import Message
from abci_app.modules.datanets.queries import (
    MAX_FULL_PAGE,
    ContributionQuery,
    ContributionView,
    FullContribution,
    FullVersionView,
    VersionQuery,
)
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.queries import (
    EntryQuery,
    EntryView,
    ModelQuery,
    ModelVersionsPage,
    ModelVersionsQuery,
    ModelView,
    VerdictQuery,
)
from abci_app.modules.models.records import (
    Attribution,
    CreateModel,
    Entry,
    EvaluationDraft,
    Grade,
    Input,
    Output,
    Parent,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    Run,
    RunDraft,
    StoredEntry,
    entry_id_of,
)
from abci_app.types import MAX_NAME_LENGTH, MAX_TEXT_LENGTH
from openledger.client.core import SigningParty
from openledger.client.names import find_id
from openledger.client.provenance import id_of_text, split_version
from openledger.client.results import Answer, Committed, Sent
from openledger.data.rows import RowCommitment
from openledger.data.versions import ContributionRecord, DatanetVersion
from openledger.errors import NotVerified, QueryFailed, UsageError
from openledger.words import word_of
from trainer import verify
from trainer.environment import environment_line
from trainer.licence_check import draft_entry, verdict_of
from trainer.record import EntryRecord, EvaluationRecord, InputRecord, ParentRecord, RunEventRecord, RunRecord
from trainer.train import TrainedRun
from trainer.verify import Verdict
from trainer.workflow import KnownEntry, LicenceVerdict

GRADES = {
    verify.Grade.BIT_EXACT: Grade.BIT_EXACT,
    verify.Grade.TRACE_MATCH: Grade.TRACE_MATCH,
    verify.Grade.DIFFERS: Grade.DIFFERS,
}


class Pending(Protocol):
    """A transaction on its way."""

    @property
    def sent(self) -> Sent:
        """What was handed over."""

    def wait(self) -> Committed:
        """Until it is in a block; raises when it failed."""


class LedgerClient(Protocol):
    """What is needed of a client: `openledger.Client` fulfils it."""

    @property
    def chain_id(self) -> str:
        """Of the chain that answers."""

    def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        """A module's query."""

    def send(self, signer: SigningParty, *messages: Message, memo_digest: bytes = b"") -> Pending:
        """Build, sign and hand over."""


@dataclass(frozen=True, slots=True)
class Published:
    """A recorded run: its entry (as text and bytes), the model that it is a version of, the height of its block."""

    entry: str
    entry_id: bytes
    model_id: bytes
    height: int


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
        undeclared=Undeclared[record.undeclared.upper().replace("-", "_")],
        terms_id=record.terms_id,
        manifest_root=record.manifest_root,
        output=Output(record.artefact_digest, record.tensor_digest, record.byte_count, record.format),
        attribution=Attribution(record.attribution_method, record.attribution_root),
    )


def from_entry(entry: Entry) -> EntryRecord:
    """The reverse."""
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
        undeclared=word_of("undeclared", entry.undeclared),
        attribution_method=entry.attribution.method,
        attribution_root=entry.attribution.commitment_root,
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


class ClientLedger:
    """The chain through an SDK client: reads (proven unless told otherwise) and, with a signer, writes."""

    def __init__(self, client: LedgerClient, signer: SigningParty | None = None, *, prove: bool = True) -> None:
        self._client = client
        self._signer = signer
        self._prove = prove

    # --- Reads

    def datanet_version(self, reference: str, version: int) -> DatanetVersion:
        """A version with all its contributions, by DataNet id, hex or name; pages are read at one height."""
        datanet_id, name = parse_reference("oldata", reference)
        records: list[ContributionRecord] = []
        after_number, height = 0, 0
        while True:
            query = VersionQuery(datanet_id, name, version, after_number, MAX_FULL_PAGE)
            answer = self._query("datanets", "version_contributions", query, height)
            page: FullVersionView = answer.value
            records += [_contribution(item) for item in page.contributions]
            after_number, height = page.next_number, answer.height
            if not after_number:
                break
        through = page.record.accepted_through
        made = DatanetVersion.recorded(page.datanet_id, page.version, through, tuple(records))
        if made.root != page.record.contributions_root:
            raise NotVerified(
                f"contributions of {reference} version {page.version} do not hash to its root on the chain: do not "
                "train on it, ask another node"
            )
        return made

    def entry(self, reference: str) -> KnownEntry:
        """An entry by id or hex, or a version of a model: `my-model` is the latest, `my-model@2` the second."""
        entry_id = self.entry_id(reference)
        return KnownEntry(entry_id, from_entry(self.stored_entry(entry_id).entry))

    def entry_id(self, reference: str) -> bytes:
        """Id of such an entry."""
        entry_id, name = parse_reference("olrun", reference)
        return self._entry_of_model(*split_version(name)) if name else entry_id

    def stored_entry(self, entry_id: bytes) -> StoredEntry:
        """An entry with what the chain wrote beside it."""
        view: EntryView = self._query("models", "entry", EntryQuery(entry_id)).value
        return view.stored

    def contribution(self, contribution_id: bytes) -> ContributionRecord:
        """One contribution."""
        view: ContributionView = self._query("datanets", "contribution", ContributionQuery(contribution_id)).value
        return _contribution(FullContribution(contribution_id, view.stored))

    def model_name(self, model_id: bytes) -> str:
        """Name of a model."""
        view: ModelView = self._query("models", "model", ModelQuery(model_id, "")).value
        return view.model.name

    @property
    def chain_id(self) -> str:
        """Of the chain that answers."""
        return self._client.chain_id

    def licence_verdict(
        self, kind: str, parents: Sequence[ParentRecord], inputs: Sequence[tuple[bytes, int]]
    ) -> LicenceVerdict:
        """The chain's dry run, as of now, for an entry with these parents and inputs; weights play no part in it."""
        query = VerdictQuery(draft_entry(kind, parents, inputs), int(time.time()))
        return verdict_of(self._query("models", "verdict", query).value)

    def terms(self, reference: str) -> bytes:
        """Id of terms given by id, name or SPDX name; on the node's word, the chain checks the id again."""
        terms_id, name = parse_reference("olterms", reference)
        found = terms_id or find_id(self._client, "olterms", name)
        if not found:
            raise UsageError(f"there are no terms {name!r} on this chain: see `openledger query licences list`")
        return found

    def _entry_of_model(self, name: str, version: int) -> bytes:
        if not version:
            model: ModelView = self._query("models", "model", ModelQuery(b"", name)).value
            if not model.latest_entry_id:
                raise UsageError(f"model {name!r} has no version yet: name an entry (olrun1...)")
            return model.latest_entry_id
        page: ModelVersionsPage = self._query("models", "versions", ModelVersionsQuery(b"", name, version - 1, 1)).value
        if not page.versions or page.versions[0].version != version:
            raise UsageError(f"model {name!r} has no version {version}: see `openledger query models versions`")
        return page.versions[0].entry_id

    def _query(self, module: str, name: str, arguments: object, height: int = 0) -> Answer[Any]:
        return self._client.query(module, name, arguments, height=height, prove=self._prove)

    # --- Writes

    def publish(self, record: RunRecord, label: str = "") -> Published:
        """Record a run with its measurements in one transaction; the model is created first when its name is free."""
        signer = self._signer
        if signer is None:
            raise UsageError("which key records the run? make the ledger with a signer (--from KEY)")
        model_id = self._find_or_create(record.model_name, signer)
        messages: list[Message] = [RecordRuns((to_run_draft(record, model_id, label),))]
        evaluations = to_evaluation_drafts(record)
        messages += [RecordEvaluations(evaluations)] if evaluations else []
        committed = self._client.send(signer, *messages).wait()
        entry_id = entry_id_of(to_entry(record.entry))
        return Published(encode_id("olrun", entry_id), entry_id, model_id, committed.height)

    def check_model(self, name: str) -> None:
        """Before any compute is spent: the signer may add a version to this model, or make it; else `UsageError`."""
        model = self._find_model(name)
        if model is not None and self._signer is not None and model.model.owner != self._signer.address:
            raise UsageError(
                f"model {name!r} belongs to {encode_id('open', model.model.owner)}, and only its owner adds versions: "
                "choose another name"
            )

    def publish_verification(self, known: KnownEntry, verdict: Verdict, run: TrainedRun) -> int:
        """Record what retraining an entry gave; returns the height."""
        event = RunEventRecord(run.started_seconds, run.finished_seconds, environment_line(), "", 0)
        message = RecordReproduction(
            known.entry_id,
            GRADES[verdict.grade],
            run.artefact.artefact_digest,
            run.artefact.tensor_digest,
            to_run(event),
        )
        return self.send(message)

    def send(self, message: Message, memo_digest: bytes = b"") -> int:
        """One message of the signer's, in a transaction that binds a document by its digest; returns the height."""
        if self._signer is None:
            raise UsageError("which key records it? make the ledger with a signer (--from KEY)")
        return self._client.send(self._signer, message, memo_digest=memo_digest).wait().height

    def _find_or_create(self, name: str, signer: SigningParty) -> bytes:
        model = self._find_model(name)
        if model is not None:
            return model.model_id
        pending = self._client.send(signer, CreateModel(name, ""))
        pending.wait()
        return pending.sent.object_id("model")

    def _find_model(self, name: str) -> ModelView | None:
        try:
            # On the node's word: the newest state counts here, and the chain checks again.
            view: ModelView = self._client.query("models", "model", ModelQuery(b"", name), prove=False).value
        except QueryFailed as failure:
            if failure.code != Code.NOT_FOUND:
                raise
            return None
        return view


def parse_reference(prefix: str, text: str) -> tuple[bytes, str]:
    """(id, "") for an id in bech32m or hex, else ("", name); raises `IdError` for an id of another kind."""
    if text.lower().startswith(tuple([f"{known}1" for known in PREFIXES])) and len(text) > MAX_NAME_LENGTH:
        return decode_id(text, prefix)[1], ""
    found = id_of_text(prefix, text)
    return found, "" if found else text


def _contribution(item: FullContribution) -> ContributionRecord:
    record = item.stored.contribution
    commitment = RowCommitment(
        record.rows_root, record.row_count, record.byte_count, record.content_digest, record.sketch
    )
    when, number = (item.stored.height, item.stored.submitted_number), item.stored.accepted_number
    return ContributionRecord(item.contribution_id, record.contributor, commitment, *when, record.datanet_id, number)
