"""Records as messages: what the trainer writes is what the models module takes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from abci_app.bech32 import IdError, encode_id
from abci_app.hashing import list_root
from abci_app.module import Message
from abci_app.modules.datanets.queries import ContributionsQuery
from abci_app.modules.datanets.records import Contribute, CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.facts import plain_terms
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.queries import TermsQuery
from abci_app.modules.licences.records import Stated
from abci_app.modules.models.kinds import RULES, EntryKind
from abci_app.modules.models.queries import EntryEventsQuery, ModelQuery
from abci_app.modules.models.records import (
    CreateModel,
    EvaluationDraft,
    Grade,
    RecordEvaluations,
    RecordRuns,
    Run,
    RunDraft,
    check_entry,
    entry_id_of,
)
from abci_app.state.codec import decode, encode
from abci_app.types import PPB
from openledger.client.client import Client
from openledger.client.core import SigningParty
from openledger.client.results import Answer
from openledger.content.store import ContentStore
from openledger.data.manifest import Manifest
from openledger.data.ownership import owner_parts
from openledger.errors import NotVerified, QueryFailed, TransactionFailed, UsageError
from openledger.keys.signer import Signer
from tests.kit.chain import Chain
from tests.kit.modules.drafts import FREE, terms
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.trainer.on_chain import TERMS_ID, fill_chain, publish_base
from tests.kit.trainer.tiny import fact_batches, put_rows, tiny_recipe
from trainer.ancestry import KnownEntry
from trainer.chain_records import from_entry, to_entry, to_evaluation_drafts, to_run_draft
from trainer.dataset import load_rows
from trainer.evaluate import METRIC
from trainer.ledger_client import PendingRecord
from trainer.publish import (
    ClientLedger,
    Published,
    parse_reference,
)
from trainer.record import KINDS
from trainer.run_records import EntryRecord, EvaluationRecord, InputRecord, ParentRecord, RunEventRecord, RunRecord
from trainer.workflow import LicenceVerdict, train_recipe, verify_entry

OWNER, OTHER = [Signer.from_seed(bytes([number]) * 32) for number in (1, 2)]
MANIFEST = Manifest({"recipe": b"x"})
ENTRY = EntryRecord(
    kind="lora",
    parents=(ParentRecord(b"\1" * 32, "base", PPB // 2), ParentRecord(b"\2" * 32, "adapter", PPB // 2)),
    inputs=(InputRecord(b"\3" * 32, 1, PPB, 5, list_root("rows-used", ())),),
    manifest_root=MANIFEST.root,
    artefact_digest=b"\4" * 32,
    tensor_digest=b"\5" * 32,
    byte_count=99,
    format="safetensors",
)
EVENT = RunEventRecord(100, 200, "8 × GPU", METRIC, 3_000_000)
RECORD = RunRecord(
    "mine",
    MANIFEST,
    ENTRY,
    EVENT,
    (
        EvaluationRecord(b"\3" * 32, 1, METRIC, 4_000_000, 9, 200, of_parent=True),
        EvaluationRecord(b"\3" * 32, 1, METRIC, 3_000_000, 9, 100, of_parent=False),
    ),
)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "import"])
def test_an_entry_survives_the_way_to_the_chain_and_back(kind: str) -> None:
    rule = RULES[EntryKind[kind.upper()]]
    parents = ENTRY.parents
    if rule.needed_role not in ("", "base"):
        parents = (replace(parents[0], role=rule.needed_role), parents[1])
    record = replace(ENTRY, kind=kind, parents=parents if rule.takes_parents else ())
    entry = to_entry(record)
    check_entry(entry)
    assert decode(type(entry), encode(entry)) == entry
    assert from_entry(entry) == record


def test_an_import_brings_its_terms() -> None:
    record = replace(ENTRY, kind="import", parents=(), inputs=(), terms_id=b"\6" * 32)
    check_entry(to_entry(record))
    assert from_entry(to_entry(record)) == record


def test_a_run_is_one_item_of_a_valid_message() -> None:
    draft = to_run_draft(RECORD, b"\7" * 32, "v1")
    run = Run(100, 200, b"", "8 ? GPU", METRIC, 3_000_000)
    assert draft == RunDraft(to_entry(ENTRY), run, b"\7" * 32, "v1")
    message = RecordRuns((draft,))
    message.validate()
    assert decode(RecordRuns, encode(message)) == message


def test_measurements_before_training_belong_to_the_model_that_it_started_from() -> None:
    own = entry_id_of(to_entry(ENTRY))
    drafts = to_evaluation_drafts(RECORD)
    assert drafts == (
        EvaluationDraft(b"\2" * 32, b"\3" * 32, 1, METRIC, 4_000_000, 9, 200),
        EvaluationDraft(own, b"\3" * 32, 1, METRIC, 3_000_000, 9, 100),
    )
    message = RecordEvaluations(drafts)
    assert decode(RecordEvaluations, encode(message)) == message
    without = replace(RECORD, entry=replace(ENTRY, parents=()))
    assert [draft.value for draft in to_evaluation_drafts(without)] == [3_000_000]


# --- The chain through a client, on the real application


@dataclass
class Net:
    """A node in this process with the tiny DataNets and base model on its chain."""

    node: FakeNode
    client: Client
    store: ContentStore
    datanets: dict[str, bytes]
    base: Published

    def ledger(self, signer: Signer | None = None) -> ClientLedger:
        return ClientLedger(self.client, signer, prove=False)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    node = FakeNode(Chain.start(dict.fromkeys((OWNER.address, OTHER.address), 10**12)), make_blocks_after=3)
    store = ContentStore.open(tmp_path_factory.mktemp("content"))
    with node.client() as client:
        datanets = fill_chain(client, OWNER, OTHER, store)
        base = publish_base(ClientLedger(client, OWNER, prove=False), store)
        yield Net(node, client, store, datanets, base)


def test_a_version_is_read_by_name_id_or_hex_and_its_rows_are_those_contributed(net: Net) -> None:
    facts = net.datanets["facts"]
    versions = [net.ledger().datanet_version(name, 1) for name in ("facts", encode_id("oldata", facts), facts.hex())]
    assert versions[0] == versions[1] == versions[2]
    assert (versions[0].datanet_id, versions[0].version, len(versions[0].contributions)) == (facts, 1, 2)
    assert {record.contributor for record in versions[0].contributions} == {OTHER.address}
    rows = [row.fields() for row in load_rows(net.store, versions[0])]
    assert sorted(map(str, rows)) == sorted(str(row) for batch in fact_batches() for row in batch)


def test_a_version_of_many_contributions_is_read_page_by_page(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = net.ledger().datanet_version("facts", 1)
    monkeypatch.setattr("trainer.publish.MAX_FULL_PAGE", 1)
    assert net.ledger().datanet_version("facts", 1) == whole


def test_a_contribution_is_told_by_datanet_and_licence(net: Net) -> None:
    ledger = net.ledger()
    for name in ("facts", "questions"):
        (first, *_) = ledger.datanet_version(name, 1).contributions
        assert ledger.origin(first.contribution_id) == (name, FREE.spdx or FREE.name)


def test_a_node_that_leaves_a_contribution_out_is_found_out(net: Net) -> None:
    class Liar:
        chain_id = "liars"

        def query(self, *arguments: Any, **options: Any) -> Answer[Any]:
            answer = net.client.query(*arguments, **options)
            return replace(answer, value=structs.replace(answer.value, contributions=answer.value.contributions[:1]))

        def send(self, signer: SigningParty, *messages: Message, memo_digest: bytes = b"") -> PendingRecord:
            raise NotImplementedError

    with pytest.raises(NotVerified, match="contributions of facts version 1 do not hash to its root on the chain"):
        ClientLedger(Liar(), prove=False).datanet_version("facts", 1)


def test_an_entry_is_read_by_id_or_as_the_latest_version_of_a_model(net: Net) -> None:
    ledger = net.ledger()
    known = ledger.entry("base")
    assert known == ledger.entry("base@1") == ledger.entry(net.base.entry) == ledger.entry(net.base.entry_id.hex())
    assert (known.entry_id, known.record.kind, known.record.terms_id) == (net.base.entry_id, "import", TERMS_ID)
    with pytest.raises(QueryFailed, match="model 'base' has no version 7"):
        ledger.entry("base@7")
    with pytest.raises(QueryFailed, match="there is no model named 'nobody'"):
        ledger.entry("nobody")
    net.client.send(OWNER, CreateModel("empty", "")).wait()
    with pytest.raises(QueryFailed, match="model 'empty' has no version yet"):
        ledger.entry("empty")
    with pytest.raises(IdError, match="is an id of kind DataNet, here one of kind provenance entry is needed"):
        parse_reference("olrun", encode_id("oldata", net.datanets["facts"]))


def test_terms_are_found_by_name_and_missing_ones_are_said(net: Net) -> None:
    net.client.send(OWNER, RegisterTerms(terms(name="garden terms", spdx=""))).wait()
    mine = terms_id_of(terms(name="garden terms", spdx=""))
    assert net.ledger().terms("garden terms") == net.ledger().terms(encode_id("olterms", mine)) == mine
    with pytest.raises(QueryFailed, match="terms 'my own' are neither a licence that the table knows nor registered"):
        net.ledger().terms("my own")


def test_a_licence_that_nobody_registered_goes_with_the_run_that_needs_it(net: Net) -> None:
    ledger = net.ledger(OWNER)
    plain = plain_terms("CC-BY-4.0")
    assert ledger.terms("cc-by-4.0") == ledger.terms("CC-BY-4.0") == terms_id_of(plain)
    entry = replace(ENTRY, kind="import", parents=(), inputs=(), terms_id=terms_id_of(plain))
    ledger.publish(replace(RECORD, model_name="received", entry=entry, evaluations=()))
    assert net.client.query("licences", "terms", TermsQuery(terms_id_of(plain)), prove=False).value.terms == plain


def test_a_run_is_recorded_once_and_the_same_run_again_makes_no_new_version(net: Net) -> None:
    ledger = net.ledger(OWNER)
    record = replace(
        RECORD,
        entry=replace(
            ENTRY,
            parents=(ParentRecord(net.base.entry_id, "base", PPB),),
            inputs=(replace(ENTRY.inputs[0], datanet_id=net.datanets["facts"]),),
        ),
        evaluations=tuple(replace(item, datanet_id=net.datanets["facts"]) for item in RECORD.evaluations),
    )
    first = ledger.publish(record, "first")
    again = ledger.publish(record)
    assert (first.entry_id, first.model_id) == (again.entry_id, again.model_id)
    assert first.entry == encode_id("olrun", first.entry_id)
    assert ledger.entry("mine") == KnownEntry(first.entry_id, record.entry)
    model = net.client.query("models", "model", ModelQuery(b"", "mine"), prove=False).value
    assert (model.model_id, model.model.version_count) == (first.model_id, 1)
    events = EntryEventsQuery(first.entry_id, 0, 10)
    own = net.client.query("models", "evaluations", events, prove=False).value.evaluations
    assert {(item.evaluation.metric, item.evaluation.value) for item in own} == {(METRIC, 3_000_000)}
    of_base = EntryEventsQuery(net.base.entry_id, 0, 10)
    before = net.client.query("models", "evaluations", of_base, prove=False).value.evaluations
    assert {item.evaluation.value for item in before} == {4_000_000}
    ledger.check_model("mine")
    ledger.check_model("still-free")
    with pytest.raises(UsageError, match=r"model 'mine' belongs to open1.*, and only its owner adds versions: choose"):
        net.ledger(OTHER).check_model("mine")
    with pytest.raises(TransactionFailed, match="only the owner of model 'mine' adds versions"):
        net.ledger(OTHER).publish(record)


def test_the_licence_check_names_both_that_clash(net: Net) -> None:
    base = [ParentRecord(net.base.entry_id, "base", PPB)]
    inputs = [(net.datanets[name], 1) for name in ("facts", "questions")]
    assert net.ledger().licence_verdict("lora", base, inputs) == LicenceVerdict(
        (
            "licence check: compatible under the chain's conservative policy",
            "unknown below: this speaks of declared sources, and there are some that are not on this chain",
        ),
        conflict=False,
    )
    closed = structs.replace(FREE, name="look, do not train", spdx="", training=Stated.NO)
    sent = net.client.send(OWNER, RegisterTerms(closed), CreateDatanet("closed", "", terms_id_of(closed), (), 1))
    sent.wait()
    closed_id = sent.sent.object_id("datanet", 1)
    rows = put_rows(net.store, 9, [{"text": "closed"}])
    offered = Contribute(
        closed_id, rows.rows_root, rows.row_count, rows.byte_count, rows.content_digest, rows.sketch, b"", b"", 0
    )
    net.client.send(OTHER, offered).wait()
    contribution_id = contribution_of_only(net, closed_id)
    net.client.send(OWNER, ReviewContribution(contribution_id, Decision.ACCEPT, 0), CreateVersion(closed_id, "")).wait()
    verdict = net.ledger().licence_verdict("lora", base, [*inputs, (closed_id, 1)])
    assert verdict.conflict
    assert verdict.lines[0] == "licence check: conflict under the chain's conservative policy"
    assert "DataNet 'closed' version 1 (look, do not train)" in verdict.lines[1]


class Proving:
    """A client that answers from the node and notes what was asked for without proof, and with which names."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.chain_id = client.chain_id
        self.unproven: list[str] = []
        self.names: dict[str, list[str]] = {}

    def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        path = f"{module}/{name}"
        if not prove:
            self.unproven.append(path)
        self.names[path] = [each.text for each in getattr(args, "names", ())]
        return self.client.query(module, name, args, height=height, prove=False)

    def send(self, signer: SigningParty, *messages: Message, memo_digest: bytes = b"") -> PendingRecord:
        return self.client.send(signer, *messages, memo_digest=memo_digest)


def test_a_check_before_training_asks_nothing_without_proof_and_names_what_it_judges(net: Net) -> None:
    """Once the licence check judged ids that were looked up before it, some of them on the node's word."""
    client = Proving(net.client)
    ledger = ClientLedger(client, OWNER)
    version, base = ledger.datanet_version("facts", 1), ledger.entry("base")
    verdict = ledger.licence_verdict(
        "lora", [ParentRecord(base.entry_id, "base", PPB)], [(version.datanet_id, version.version)]
    )
    ledger.check_model("base")
    assert ledger.terms("CC-BY-4.0") == terms_id_of(plain_terms("CC-BY-4.0"))
    assert client.unproven == []
    assert client.names["models/verdict"] == ["facts", "base"]
    assert verdict.lines[-2:] == (
        f"facts is {encode_id('oldata', version.datanet_id)}",
        f"base is {encode_id('olrun', base.entry_id)}",
    )


def test_a_name_that_stands_for_something_else_by_the_time_of_the_check_is_said(net: Net) -> None:
    ledger = net.ledger()
    base = ledger.entry("base")
    ledger._names[bytes(32)] = ledger._names.pop(base.entry_id)
    with pytest.raises(NotVerified, match="'base' stands for something else than a moment ago"):
        ledger.licence_verdict("lora", [ParentRecord(bytes(32), "base", PPB)], [(net.datanets["facts"], 1)])


def contribution_of_only(net: Net, datanet_id: bytes) -> bytes:
    page = net.client.query("datanets", "contributions", ContributionsQuery(datanet_id, "", 0, 5), prove=False).value
    return bytes(page.contributions[0].contribution_id)


def test_without_a_key_nothing_is_recorded(net: Net) -> None:
    with pytest.raises(UsageError, match="which key records the run"):
        net.ledger().publish(RECORD)


@pytest.mark.ml
def test_train_record_and_repeat_on_the_chain(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ledger = net.ledger(OWNER)
    _, record = train_recipe(tiny_recipe(), ledger, net.store, tmp_path / "adapter")
    published = ledger.publish(record)
    checker = net.ledger(OTHER)
    known = checker.entry(published.entry)
    assert known == KnownEntry(published.entry_id, record.entry)
    measured = checker.measurements(known.entry_id)
    assert {(item.by_recorder, item.metric, bool(item.datanet_id)) for item in measured} == {
        (True, METRIC, False), (True, METRIC, True),
    }  # fmt: skip
    verdict, run = verify_entry(known, checker, net.store)
    assert f"measurements taken again on the recorded tensors: {len(measured)} hold" in verdict.findings
    lie = EvaluationDraft(known.entry_id, net.datanets["facts"], 1, METRIC, 7, 4, 1)
    net.client.send(OTHER, RecordEvaluations((lie,))).wait()
    again = verify_entry(known, checker, net.store)[0]
    assert (again.failed, again.contradictions) == (False, ())
    assert [line for line in again.findings if "MADE UP: the recorded tensors give" in line and "open1" in line]
    height = checker.publish_verification(known, verdict, run)
    page = net.client.query(
        "models", "reproductions", EntryEventsQuery(published.entry_id, 0, 10), prove=False
    ).value.reproductions
    assert [(item.reproduction.reproducer, item.reproduction.grade, item.reproduction.height) for item in page] == [
        (OTHER.address, Grade.BIT_EXACT, height)
    ]
    assert page[0].reproduction.tensor_digest == record.entry.tensor_digest
    with pytest.raises(UsageError, match="which key records it"):
        net.ledger().publish_verification(known, verdict, run)


def test_a_run_that_somebody_else_recorded_first_is_claimed_at_once(net: Net) -> None:
    """Its owner sends the run as ever; the entry, its model and its supersession are the owner's afterwards."""
    manifest = Manifest({"about": b"{}", **owner_parts(OWNER.address)})
    parents = (ParentRecord(net.base.entry_id, "base", PPB),)
    inputs = (replace(ENTRY.inputs[0], datanet_id=net.datanets["facts"]),)
    entry = replace(ENTRY, parents=parents, inputs=inputs, manifest_root=manifest.root)
    record = replace(RECORD, model_name="claimed", manifest=manifest, entry=entry, evaluations=())
    stolen = net.ledger(OTHER).publish(replace(record, model_name="stolen"))
    assert (net.ledger().stored_entry(stolen.entry_id).owner, stolen.claim) == (OTHER.address, None)
    published = net.ledger(OWNER).publish(record)
    assert published.claim is not None
    assert published.claim.height > published.height
    assert published.claim.first_recorder == OTHER.address
    stored = net.ledger().stored_entry(published.entry_id)
    assert (stored.owner, stored.claimed_height) == (OWNER.address, published.claim.height)
    assert (stored.model_id, stored.model_version) == (published.model_id, 1)
    assert (stored.admission.recorder, published.entry_id) == (OTHER.address, stolen.entry_id)
    measured = net.ledger().measurements(published.entry_id)
    assert [item.by_recorder for item in measured] == [False, True]
    again = net.ledger(OWNER).publish(record)
    assert again.claim is None
