"""Records of runs as messages of the models module, and the chain as the trainer sees it through the SDK's client.

with Client(url) as client:
    ledger = ClientLedger(client, wallet.signer("alice"), prove=False)
    published = ledger.publish(record)                # entry, run event, evaluations; the model is made if new
    trainer.add_callback(OpenLedgerCallback(ledger.publish, "my-model", inputs=[...]))
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from abci_app.bech32 import PREFIXES, decode_id, encode_id
from abci_app.errors import Code
from abci_app.module import Message
from abci_app.modules.bank import SupplyQuery
from abci_app.modules.datanets.queries import (
    MAX_FULL_PAGE,
    ContributionQuery,
    ContributionView,
    DatanetQuery,
    DatanetView,
    FullContribution,
    FullVersionView,
    VersionQuery,
)
from abci_app.modules.licences import RegisterTerms
from abci_app.modules.licences.queries import TermsQuery, TermsView
from abci_app.modules.models.queries import (
    MAX_PAGE,
    EntryEventsQuery,
    EntryQuery,
    EntryView,
    EvaluationsPage,
    ModelQuery,
    ModelVersionsPage,
    ModelVersionsQuery,
    ModelView,
    RunsPage,
    VerdictQuery,
)
from abci_app.modules.models.records import (
    CreateModel,
    Grade,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    StoredEntry,
    entry_id_of,
)
from abci_app.types import MAX_NAME_LENGTH
from openledger.client.core import SigningParty
from openledger.client.names import QuestionNames, query_of_name
from openledger.client.provenance import id_of_text
from openledger.client.results import Answer
from openledger.data.manifest import Manifest
from openledger.data.ownership import find_owner
from openledger.data.versions import ContributionRecord, VersionRecord
from openledger.errors import Denied, NotVerified, OpenLedgerError, QueryFailed, TimedOut, UsageError
from openledger.terms import terms_of_name
from trainer import verify
from trainer.ancestry import KnownEntry
from trainer.chain_records import (
    from_entry,
    to_contribution,
    to_entry,
    to_evaluation_drafts,
    to_measurement,
    to_quality,
    to_run,
    to_run_draft,
)
from trainer.claiming import Claim, NotClaimed, claim_if_taken
from trainer.environment import environment_line
from trainer.ledger_client import LedgerClient
from trainer.licence_check import draft_entry, verdict_of
from trainer.measurements import RecordedMeasurement
from trainer.run_records import ParentRecord, RunEventRecord, RunRecord
from trainer.train import TrainedRun
from trainer.verify import RunVerdict
from trainer.workflow import LicenceVerdict

GRADES = {
    verify.RunGrade.BIT_EXACT: Grade.BIT_EXACT,
    verify.RunGrade.TRACE_MATCH: Grade.TRACE_MATCH,
    verify.RunGrade.DIFFERS: Grade.DIFFERS,
}
# For the block that lets what was just recorded be proven.
_LONGEST_WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Published:
    """A recorded run: its entry (as text and bytes), the model that it is a version of, the height of its block."""

    entry: str
    entry_id: bytes
    model_id: bytes
    height: int
    # Where another account had recorded the entry first, and the signer claimed it.
    claim: Claim | None = None


def entry_text(entry_id: bytes) -> str:
    """`olrun1…`"""
    return encode_id("olrun", entry_id)


class ClientLedger:
    """The chain through an SDK client: reads (proven unless told otherwise) and, with a signer, writes."""

    def __init__(self, client: LedgerClient, signer: SigningParty | None = None, *, prove: bool = True) -> None:
        self._client = client
        self._signer = signer
        self._prove = prove
        self._chain_id = ""
        # What was named so far, by id: a licence check asks with these names again.
        self._names: dict[bytes, tuple[str, str]] = {}
        self._origins: dict[bytes, tuple[str, str]] = {}
        # Licences that what is published refers to and nobody registered yet.
        self._registrations: list[RegisterTerms] = []

    # --- Reads

    def datanet_version(self, reference: str, version: int) -> VersionRecord:
        """A version with all its contributions, by DataNet id, hex or name; pages are read at one height."""
        datanet_id, name = parse_reference("oldata", reference)
        records: list[ContributionRecord] = []
        after_number, height = 0, 0
        while True:
            query = VersionQuery(
                datanet_id=datanet_id, name=name, version=version, after_number=after_number, limit=MAX_FULL_PAGE
            )
            answer = self._query("datanets", "version_contributions", query, height)
            page: FullVersionView = answer.value
            datanet_id = page.datanet_id
            if name:
                self._names[datanet_id], name = ("oldata", name), ""
            records += [to_contribution(item) for item in page.contributions]
            after_number, height = page.next_number, answer.height
            if not after_number:
                break
        through = page.record.accepted_through
        made = VersionRecord.recorded(page.datanet_id, page.version, through, tuple(records))
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
        return self._id_of_name("olrun", name) if name else entry_id

    def stored_entry(self, entry_id: bytes) -> StoredEntry:
        """An entry with what the chain wrote beside it."""
        view: EntryView = self._query("models", "entry", EntryQuery(entry_id)).value
        return view.stored

    def measurements(self, entry_id: bytes) -> tuple[RecordedMeasurement, ...]:
        """Qualities that its runs declare, and evaluations of it by anybody."""
        stored = self.stored_entry(entry_id)
        # What counts against an entry is what its owner measured, not who recorded a copy of it first.
        owner, recorder = stored.owner, stored.admission.recorder
        found = [to_quality(recorder, stored.first_run, by_recorder=recorder == owner)]
        after = 0
        while True:
            runs: RunsPage = self._query("models", "runs", EntryEventsQuery(entry_id, after, MAX_PAGE)).value
            found += [
                to_quality(item.run.operator, item.run.run, by_recorder=item.run.operator == owner)
                for item in runs.runs
            ]
            after = runs.next_event
            if not after:
                break
        while True:
            page: EvaluationsPage = self._query(
                "models", "evaluations", EntryEventsQuery(entry_id, after, MAX_PAGE)
            ).value
            found += [to_measurement(item.evaluation, owner) for item in page.evaluations]
            after = page.next_event
            if not after:
                return tuple([item for item in found if item is not None])

    def contribution(self, contribution_id: bytes) -> ContributionRecord:
        """One contribution."""
        view: ContributionView = self._query("datanets", "contribution", ContributionQuery(contribution_id)).value
        return to_contribution(FullContribution(contribution_id, view.stored))

    def origin(self, contribution_id: bytes) -> tuple[str, str]:
        """The DataNet of a contribution and its terms, both by name."""
        if contribution_id not in self._origins:
            view: ContributionView = self._query("datanets", "contribution", ContributionQuery(contribution_id)).value
            made = view.stored.contribution
            datanet: DatanetView = self._query("datanets", "datanet", DatanetQuery(made.datanet_id, "")).value
            terms: TermsView = self._query("licences", "terms", TermsQuery(made.terms_id)).value
            self._origins[contribution_id] = datanet.datanet.name, terms.terms.spdx or terms.terms.name
        return self._origins[contribution_id]

    def model_name(self, model_id: bytes) -> str:
        """Name of a model."""
        view: ModelView = self._query("models", "model", ModelQuery(model_id, "")).value
        return view.model.name

    @property
    def chain_id(self) -> str:
        """Id of the chain that answers: taken from its signed headers where answers are proven."""
        if self._prove and not self._chain_id:
            self._query("bank", "supply", SupplyQuery())
        return self._chain_id or self._client.chain_id

    def licence_verdict(
        self, kind: str, parents: Sequence[ParentRecord], inputs: Sequence[tuple[bytes, int]]
    ) -> LicenceVerdict:
        """The chain's dry run, as of now, for an entry with these parents and inputs; weights play no part in it.

        What was asked for by name before is asked for by name again, so that the answer itself proves what the names
        stand for; raises `NotVerified` when one stands for something else by now.
        """
        names = QuestionNames()
        draft = draft_entry(
            kind,
            [replace(parent, entry_id=self._named(names, parent.entry_id)) for parent in parents],
            [(self._named(names, datanet_id), version) for datanet_id, version in inputs],
        )
        answer = self._query("models", "verdict", names.arguments(VerdictQuery(draft, int(time.time()))))
        for found in answer.names:
            if self._names.get(found.id) != (found.kind, found.text):
                raise NotVerified(f"{found.text!r} stands for something else than a moment ago: run the command again")
        verdict = verdict_of(answer.value)
        known = [f"{found.text} is {encode_id(found.kind, found.id)}" for found in answer.names]
        return LicenceVerdict((*verdict.lines, *known), verdict.conflict)

    def _named(self, names: QuestionNames, id_: bytes) -> bytes:
        """Give the stand-in of the name by which this id was asked for; give the id itself where there was no name."""
        return names.stand_in(*self._names[id_]) or id_ if id_ in self._names else id_

    def terms(self, reference: str) -> bytes:
        """Id of terms given by id, licence or name; a licence not registered yet goes with what is published."""
        terms_id, registration = terms_of_name(self._client, reference, prove=self._prove)
        if registration is not None and registration not in self._registrations:
            self._registrations.append(registration)
        return terms_id

    def _id_of_name(self, kind: str, text: str) -> bytes:
        found = self._query(*query_of_name(kind, text)).names[0].id
        self._names[found] = (kind, text)
        return found

    def _query(self, module: str, name: str, arguments: object, height: int = 0) -> Answer[Any]:
        answer = self._client.query(module, name, arguments, height=height, prove=self._prove)
        if answer.verified:
            self._chain_id = answer.evidence.chain_id
        return answer

    # --- Writes

    @property
    def signer_address(self) -> bytes:
        """Address of the account that records, which manifests name as owner; empty without a signer."""
        return self._signer.address if self._signer else b""

    def publish(self, record: RunRecord, label: str = "") -> Published:
        """Record a run with its measurements in one transaction; the model is created first when its name is free.

        Where somebody else recorded the entry first and its manifest names the signer, the signer claims it. Raises
        `NotClaimed` when it is recorded and that did not come to an end.
        """
        signer = self._signer
        if signer is None:
            raise UsageError("which key records the run? make the ledger with a signer (--from KEY)")
        model_id = self._get_or_create(record.model_name, signer)
        messages: list[Message] = [*self._registrations, RecordRuns((to_run_draft(record, model_id, label),))]
        evaluations = to_evaluation_drafts(record)
        messages += [RecordEvaluations(evaluations)] if evaluations else []
        committed = self._client.send(signer, *messages).wait()
        self._registrations.clear()
        entry_id = entry_id_of(to_entry(record.entry))
        return Published(
            entry=entry_text(entry_id),
            entry_id=entry_id,
            model_id=model_id,
            height=committed.height,
            claim=self._claim(record, entry_id, model_id, committed.height),
        )

    def _claim(self, record: RunRecord, entry_id: bytes, model_id: bytes, height: int) -> Claim | None:
        """Claim what was recorded if it is another's by now and its manifest names the signer.

        The state after `height`, where the run was recorded, can be proven only a block later.
        """
        if find_owner(record.manifest) != self.signer_address:
            return None
        try:
            deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
            while self._query("bank", "supply", SupplyQuery()).height < height:
                if time.monotonic() > deadline:
                    raise TimedOut(f"no block came after {height}, where it stands: wait until the chain goes on")
                time.sleep(_PAUSE_SECONDS)
            return claim_if_taken(self, entry_id, record.manifest, model_id)
        except OpenLedgerError as error:
            raise NotClaimed(entry_text(entry_id), record.model_name, error) from error

    def claim(self, entry_id: bytes, manifest: Manifest, model_name: str) -> Claim | None:
        """Claim an entry as a version of this model if another owns it and its manifest names the signer."""
        model = self._find_model(model_name)
        return claim_if_taken(self, entry_id, manifest, model.model_id if model else b"")

    def model_versions(self, name: str) -> list[tuple[int, bytes]]:
        """Versions of a model with the ids of their entries, oldest first; none where there is no such model."""
        model = self._find_model(name)
        return self.versions_of(model.model_id) if model else []

    def versions_of(self, model_id: bytes) -> list[tuple[int, bytes]]:
        """Versions of the model with this id, as above."""
        found: list[tuple[int, bytes]] = []
        after = 0
        while True:
            query = ModelVersionsQuery(model_id=model_id, name="", after_version=after, limit=MAX_PAGE)
            page: ModelVersionsPage = self._query("models", "versions", query).value
            found += [(item.version, item.entry_id) for item in page.versions]
            after = page.next_version
            if not after:
                return found

    def check_model(self, name: str) -> None:
        """Before any compute is spent: the signer may add a version to this model, or make it; else `UsageError`."""
        model = self._find_model(name)
        if model is not None and self._signer is not None and model.model.owner != self._signer.address:
            raise UsageError(
                f"model {name!r} belongs to {encode_id('open', model.model.owner)}, and only its owner adds versions: "
                "choose another name"
            )

    def publish_verification(self, known: KnownEntry, verdict: RunVerdict, run: TrainedRun) -> int:
        """Record what retraining an entry gave; returns the height."""
        event = RunEventRecord(
            started_seconds=run.started_seconds,
            finished_seconds=run.finished_seconds,
            environment=environment_line(),
            quality_metric="",
            quality_value=0,
        )
        message = RecordReproduction(
            entry_id=known.entry_id,
            grade=GRADES[verdict.grade],
            artefact_digest=run.artefact.artefact_digest,
            tensor_digest=run.artefact.tensor_digest,
            run=to_run(event),
        )
        return self.send(message)

    def send(self, message: Message, memo_digest: bytes = b"") -> int:
        """One message of the signer's, in a transaction that binds a document by its digest; returns the height."""
        if self._signer is None:
            raise UsageError("which key records it? make the ledger with a signer (--from KEY)")
        return self._client.send(self._signer, message, memo_digest=memo_digest).wait().height

    def _get_or_create(self, name: str, signer: SigningParty) -> bytes:
        model = self._find_model(name)
        if model is not None:
            return model.model_id
        pending = self._client.send(signer, CreateModel(name, ""))
        pending.wait()
        return pending.sent.object_id("model")

    def _find_model(self, name: str) -> ModelView | None:
        try:
            view: ModelView = self._query("models", "model", ModelQuery(b"", name)).value
        except QueryFailed as failure:
            # A bare refusal is no answer where answers are proven: the model may exist and be ours.
            if failure.code != Code.NOT_FOUND or (self._prove and not isinstance(failure, Denied)):
                raise
            return None
        return view


def parse_reference(prefix: str, text: str) -> tuple[bytes, str]:
    """(id, "") for an id in bech32m or hex, else ("", name); raises `IdError` for an id of another kind."""
    if text.lower().startswith(tuple([f"{known}1" for known in PREFIXES])) and len(text) > MAX_NAME_LENGTH:
        return decode_id(text, prefix)[1], ""
    found = id_of_text(prefix, text)
    return found, "" if found else text
