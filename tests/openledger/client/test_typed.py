"""Results with attributes: a client, an asyncio client and a bundle give the same to what people ask most."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from openledger import AsyncClient, Client, read_bundles
from openledger.client.light_client import AsyncLightClient, LightClient
from openledger.client.typed.results import AccountFound, Affected, Clean, ContributionFound, Contributor, Lineage
from openledger.errors import Denied, UsageError
from openledger.light.errors import NoAnchor
from openledger.light.results import LightSettings
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA, EVE
from tests.kit.openledger.local_node import LocalNode
from tests.kit.openledger.story import FREE, Story
from tests.kit.simulated_chain import SimulatedChain

ALONE = LightSettings(without_witness=True)
NAMES = {BOB.address: "bob", DORA.address: "dora"}


@pytest.fixture
def client(signed: SimulatedChain) -> Client:
    node = LocalNode(signed, "primary")
    light = LightClient(node, anchor=signed.genesis, settings=ALONE, clock=lambda: signed.now_ns)
    made = Client(light=light)
    made.people = NAMES
    return made


class _AsyncNode:
    """A simulated node for asyncio."""

    def __init__(self, node: LocalNode) -> None:
        self._node = node

    async def send_batch(self, calls: Sequence[Any]) -> list[Any]:
        return self._node.send_batch(calls)


def _open(signer: Any) -> str:
    return encode_id("open", signer.address)


def test_a_lineage_has_names_and_texts_and_says_where_it_ends(client: Client, story: Story) -> None:
    found = client.lineage("tutor")
    entry = {name: encode_id("olrun", entry_id) for name, entry_id in story.entries.items()}
    assert (found.model, found.version, found.entry) == ("tutor", 2, entry["second"])
    assert (found.complete, found.verified, found.height) == (True, True, 4)
    assert [(one.reference, one.kind, one.undeclared) for one in found.entries] == [
        ("tutor@2", "lora", "nothing"),
        ("tutor@1", "lora", "nothing"),
        ("base@1", "import", "nothing"),
    ]
    second = found.entries[0]
    assert [(one.id, one.role, one.share) for one in second.parents] == [
        (entry["base"], "base", 0.5),
        (entry["first"], "adapter", 0.5),
    ]
    assert [(one.datanet, one.share, one.rows_used) for one in second.inputs] == [("reference@1", 1.0, 3)]
    assert sorted([one.reference for one in found.datanets]) == ["questions@1", "reference@1"]
    assert {one.address: one for one in found.contributors}[_open(BOB)] == Contributor(
        address=_open(BOB), rows=10, terms=(FREE.name,), datanets=("reference@1",), name="bob"
    )
    assert {one.address for one in found.contributors} == {_open(one) for one in (BOB, CARL, DORA, EVE)}
    assert [(one.reference, one.entry) for one in found.unknown] == [("base@1", entry["base"])]
    assert found.unknown[0].why == "it came from outside, and what it was made from is not on this chain"
    assert (found.use, found.duties) == ("any", ("attribution", "share alike", "notice"))
    contribution = next(one for one in found.datanets if one.name == "reference").contributions[0]
    assert contribution == ContributionFound(
        id=contribution.id,
        number=1,
        contributor=_open(BOB),
        terms=FREE.name,
        rows=10,
        byte_count=contribution.byte_count,
    )
    assert contribution.id.startswith("olcontrib1")


def test_results_can_be_read_as_they_are_printed(client: Client) -> None:
    assert repr(client.lineage("tutor")).startswith("<Lineage of tutor@2: 3 entries, DataNets ")
    assert repr(client.lineage("tutor")).endswith(
        "4 contributors, unknown below base@1; complete, verified at height 4>"
    )
    assert repr(client.impact("questions@1")) == (
        "<Impact of questions@1: tutor@1, tutor@2; complete, verified at height 4>"
    )
    assert repr(client.clean("tutor", "exam")) == (
        "<Clean of exam: unknown-below, 3 entries looked at; verified at height 4>"
    )
    assert repr(client.account("bob")).startswith("<Account bob: ")
    assert repr(client.verdict(["reference@1"])).startswith("<Verdict: compatible")
    assert repr(client.may("tutor", "sell")).startswith("<Permission to sell tutor: ")


def test_what_was_made_from_a_version_and_whether_it_is_in_there(client: Client, story: Story) -> None:
    impact = client.impact("questions@1")
    assert impact.entries[0] == Affected(
        id=encode_id("olrun", story.entries["first"]),
        model="tutor",
        version=1,
        kind="lora",
        direct=True,
        owner=_open(ALICE),
        superseded_by="",
    )
    assert [one.direct for one in impact.entries] == [True, False]
    assert [one.reference for one in client.impact("questions", direct_only=True).entries] == ["tutor@1"]
    clean = client.clean("tutor", "exam@1")
    assert clean == Clean(
        height=4,
        verified=True,
        note=clean.note,
        record=None,
        entry=encode_id("olrun", story.entries["second"]),
        datanet="exam",
        answer="unknown-below",
        found=(),
        unknown=(encode_id("olrun", story.entries["base"]),),
        looked_at=3,
    )
    assert client.clean("tutor", "questions").answer == "present"


def test_mixes_permissions_and_accounts(client: Client) -> None:
    clash = client.verdict(["questions@1", "exam@1"])
    assert (clash.outcome, len(clash.between)) == ("conflict", 2)
    assert client.verdict(["questions@1"], parents=["base"]).unknown_below
    permission = client.may("tutor", "share", at_seconds=1_800_000_000)
    assert permission.answer == "yes"
    assert permission.in_words.startswith("Yes, as far as it is declared. Credit: base@1 (CC BY 4.0 (CC-BY-4.0)), bob")
    assert [one.reference for one in permission.unknown] == ["base@1"]
    assert {(one.who, one.name) for one in permission.credit} >= {(_open(BOB), "bob")}
    account = client.account("bob")
    assert account == AccountFound(
        height=4,
        verified=True,
        note=account.note,
        record=None,
        address=_open(BOB),
        balance_nopen=account.balance_nopen,
        sequence=account.sequence,
        exists=True,
        policy=account.policy,
        name="bob",
    )
    assert account == client.account(_open(BOB)) == client.account(BOB.address)
    assert account.balance.endswith(" OPEN")


def test_a_mistake_is_told_before_anything_is_asked(client: Client) -> None:
    with pytest.raises(UsageError, match=r"'nobody' is neither an address .* known here \(bob, dora\)"):
        client.account("nobody")
    with pytest.raises(UsageError, match="use 'steal': one of sell, serve"):
        client.may("tutor", "steal")
    with pytest.raises(UsageError, match="name what is mixed"):
        client.verdict()
    with pytest.raises(UsageError, match="no light client to verify the answer"):
        Client().lineage("tutor")
    with pytest.raises(Denied, match="there is no model named 'nobody'"):
        client.lineage("nobody")


def test_asyncio_gives_the_same_results(signed: SimulatedChain, client: Client) -> None:
    async def ask() -> tuple[Any, ...]:
        node = _AsyncNode(LocalNode(signed, "primary"))
        light = AsyncLightClient(node, anchor=signed.genesis, settings=ALONE, clock=lambda: signed.now_ns)
        async with AsyncClient(light=light) as made:
            made.people = NAMES
            return (
                await made.lineage("tutor"),
                await made.impact("questions"),
                await made.clean("tutor", "exam"),
                await made.verdict(["questions@1"], at_seconds=1_800_000_000),
                await made.may("tutor", at_seconds=1_800_000_000),
                await made.account("bob"),
            )

    assert asyncio.run(ask()) == (
        client.lineage("tutor"),
        client.impact("questions"),
        client.clean("tutor", "exam"),
        client.verdict(["questions@1"], at_seconds=1_800_000_000),
        client.may("tutor", at_seconds=1_800_000_000),
        client.account("bob"),
    )


def test_a_bundle_gives_the_same_without_a_node(
    client: Client, signed: SimulatedChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from openledger.client.provenance import lineage, lineage_question

    monkeypatch.setattr("time.time_ns", lambda: signed.now_ns)
    monkeypatch.setenv("OPENLEDGER_HOME", str(tmp_path / "home"))
    whole = lineage(client, lineage_question("tutor"))
    assert client.light is not None
    bundle, genesis = tmp_path / "lineage.json", tmp_path / "genesis.json"
    bundle.write_bytes(client.light.bundle(whole.answers[0].evidence))
    genesis.write_bytes(signed.genesis_bytes())
    client.people = {}
    online, offline = client.lineage("tutor"), read_bundles(bundle, genesis=genesis)
    assert isinstance(offline, Lineage)
    assert (offline.entries, offline.datanets, offline.contributors, offline.unknown, offline.complete) == (
        online.entries,
        online.datanets,
        online.contributors,
        online.unknown,
        True,
    )
    assert offline.note.startswith("verified offline: state after block 4 of dev-simulated")
    with pytest.raises(NoAnchor, match="nothing that you trust vouches for it"):
        read_bundles(bundle)
    with pytest.raises(UsageError, match="name the bundle"):
        read_bundles()
    with pytest.raises(Denied, match="there is no model named 'nobody'") as denied:
        client.lineage("nobody")
    bundle.write_bytes(client.light.bundle(denied.value.evidence))  # type: ignore[arg-type]
    with pytest.raises(Denied, match=r"there is no model named 'nobody'.*verified offline"):
        read_bundles(bundle, genesis=genesis)
