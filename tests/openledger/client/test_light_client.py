"""The whole light client against simulated nodes: honest, lagging and silent ones, witnesses, the trust store."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from abci_app.modules.bank import AccountQuery
from openledger.client.light_client import AsyncLightClient, LightClient
from openledger.client.rpc_calls import Call, NodeDown
from openledger.client.trust_store import FileTrustStore, MemoryTrustStore
from openledger.errors import UsageError
from openledger.light.anchors import FirstUseAnchor, HashAnchor
from openledger.light.errors import (
    Divergence,
    FreshnessUnknown,
    LightError,
    NoAnchor,
    NoWitness,
    ProviderFailed,
    TrustExpired,
    VerificationFailed,
)
from openledger.light.query import ReadAnswer
from openledger.light.results import Freshness, LightSettings, Trusted, WitnessReport
from openledger.light.wire import NANOSECONDS_PER_SECOND as SECOND
from tests.kit.openledger.light_clients import ALICE, forge, gap, light_client, thirty_blocks, trust_in
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode, digest, validators


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses take no time."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.fixture
def chain() -> SimulatedChain:
    return thirty_blocks()


# Honest nodes


def test_a_query_is_run_again_on_proven_state_and_says_what_it_rests_on(chain: SimulatedChain) -> None:
    answer = light_client(chain).query("bank", "account", AccountQuery(ALICE))
    assert (answer.value.balance_nopen, answer.value.sequence) == (500, 3)
    assert (answer.height, answer.header.height, answer.latest_height, answer.stale) == (29, 30, 30, False)
    assert (answer.chain_id, answer.path, answer.age_seconds) == ("dev-simulated", (1, 30), 2)
    assert answer.anchor == str(chain.genesis)
    assert answer.witnesses == (WitnessReport("witness", "agrees"),)


def test_raw_state_is_read_with_absence_and_completeness(chain: SimulatedChain) -> None:
    answer = light_client(chain).read([b"number/now", b"number/none"], [(b"number/", b"number0")])
    assert answer.value == ReadAnswer((b"29", None), (((b"number/now", b"29"),),))


def test_a_past_height_is_read_as_it_was(chain: SimulatedChain) -> None:
    answer = light_client(chain).read([b"number/now"], height=7)
    assert (answer.value.values, answer.height, answer.stale) == ((b"7",), 7, False)


def test_the_newest_height_can_be_asked_once_its_header_exists(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary")
    with pytest.raises(LightError, match="the node does not have that height yet"):
        light_client(chain, primary).read([b"number/now"], height=30)
    chain.make_blocks(1)
    assert light_client(chain, primary).read([b"number/now"], height=30).value.values == (b"30",)


def test_asyncio_gives_the_same_answer(chain: SimulatedChain) -> None:
    class AsyncNode(SimulatedNode):
        async def send_batch(self, calls: Sequence[Call[Any]]) -> list[Any]:  # type: ignore[override]
            return SimulatedNode.send_batch(self, calls)

    async def ask() -> Any:
        client = AsyncLightClient(
            AsyncNode(chain, "primary"), [AsyncNode(chain, "witness")], anchor=chain.genesis, clock=lambda: chain.now_ns
        )
        return await client.query("bank", "account", AccountQuery(ALICE))

    assert asyncio.run(ask()) == light_client(chain).query("bank", "account", AccountQuery(ALICE))


def test_bisection_finds_the_way_through_changing_validators() -> None:
    chain = SimulatedChain(validators("v0", "v1", "v2", "v3"))
    for height in range(1, 31):
        chain.next_members = validators(*[f"v{height // 3 + index}" for index in range(4)])
        chain.make_blocks(1)
    verified = light_client(chain).header(30)
    assert (verified.header, verified.path[0], verified.path[-1]) == (chain.blocks[30].header, 1, 30)
    assert len(verified.path) > 4


def test_trust_in_a_hash_leads_forward_and_back(chain: SimulatedChain) -> None:
    client = light_client(chain, anchor=trust_in(chain, 20))
    assert client.header(30).path == (20, 30)
    assert client.header(5).path == tuple(range(20, 4, -1))
    assert client.header(5).header == chain.blocks[5].header


def test_an_old_hash_still_proves_what_lies_below_it(chain: SimulatedChain) -> None:
    now_ns = chain.now_ns + 400 * 86_400 * SECOND
    client = light_client(chain, anchor=trust_in(chain, 20), now_ns=now_ns)
    assert client.read([b"number/now"], height=7).value.values == (b"7",)
    assert client.read([b"number/now"], height=19).value.values == (b"19",)
    with pytest.raises(TrustExpired):
        client.read([b"number/now"], height=20)


def test_the_first_answer_is_trusted_only_on_demand_and_said(chain: SimulatedChain) -> None:
    answer = light_client(chain, anchor=FirstUseAnchor()).read([b"number/now"])
    assert answer.anchor == "first use: the queried node itself, unchecked (primary at height 30)"
    nothing = LightClient(SimulatedNode(chain), [SimulatedNode(chain)], clock=lambda: chain.now_ns)
    with pytest.raises(NoAnchor, match=r"^nothing to start trusting from: pass the genesis file"):
        nothing.read([b"number/now"])


def test_a_validator_set_is_fetched_once(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary")
    client = light_client(chain, primary)
    for height in (5, 15, 25):
        client.header(height)
    assert [method for method, _ in primary.asked].count("validators") == 1


def test_more_validators_than_a_page_holds_are_fetched() -> None:
    chain = SimulatedChain(validators(*[f"v{index}" for index in range(130)]))
    chain.make_blocks(3)
    assert light_client(chain).header(3).header == chain.blocks[3].header


# The trust store


def test_what_was_verified_is_remembered_on_disk(chain: SimulatedChain, tmp_path: Path) -> None:
    light_client(chain, store=FileTrustStore(tmp_path)).header(30)
    assert [path.name for path in tmp_path.iterdir()] == ["dev-simulated.json"]
    primary = SimulatedNode(chain, "primary")
    later = LightClient(
        primary, [SimulatedNode(chain, "witness")], store=FileTrustStore(tmp_path), clock=lambda: chain.now_ns
    )
    chain.make_blocks(5)
    answer = later.read([b"number/now"])
    assert (answer.anchor, answer.path) == (str(chain.genesis), (30, 35))


def test_the_store_stays_small_and_keeps_the_first_block(chain: SimulatedChain) -> None:
    store = MemoryTrustStore()
    client = light_client(chain, store=store)
    for height in range(2, 11):
        client.header(height)
    assert [block.height for block in store.known[chain.chain_id].blocks] == list(range(1, 11))
    for height in range(11, 31):
        client.header(height)
    assert [block.height for block in store.known[chain.chain_id].blocks] == [1, *range(16, 31)]


def test_what_a_first_use_left_behind_does_not_survive_a_real_anchor(chain: SimulatedChain) -> None:
    liars = SimulatedChain(validators("eve"))
    liars.make_blocks(30)
    store = MemoryTrustStore()
    deceived = light_client(liars, anchor=FirstUseAnchor(), store=store)
    assert deceived.header(30).header == liars.blocks[30].header
    for anchor in (chain.genesis, trust_in(chain, 5)):
        client = light_client(chain, anchor=anchor, store=store)
        assert client.header(30).header == chain.blocks[30].header
        assert store.known[chain.chain_id].anchor == str(anchor)
        assert liars.blocks[30] not in store.known[chain.chain_id].blocks
        store.save(chain.chain_id, Trusted("first use: the queried node itself, unchecked", (liars.blocks[30],)))


def test_a_store_of_another_history_contradicts_the_hash_given(chain: SimulatedChain) -> None:
    store = MemoryTrustStore()
    light_client(chain, store=store).header(30)
    with pytest.raises(VerificationFailed, match="the trust store has"):
        light_client(chain, store=store, anchor=HashAnchor(30, digest("other"))).header(30)


def test_a_node_that_denies_a_verified_block_is_refused(chain: SimulatedChain) -> None:
    store = MemoryTrustStore()
    light_client(chain, store=store).header(30)
    primary = SimulatedNode(chain, "primary", replaced={30: forge(chain, 30, app_hash=digest("forged"))})
    with pytest.raises(VerificationFailed, match="another block of height 30 than the one verified earlier"):
        light_client(chain, primary, store=store).header(30)


def test_where_several_chains_are_trusted_the_node_does_not_choose_which_one_answers(
    chain: SimulatedChain, tmp_path: Path
) -> None:
    other = SimulatedChain(chain_id="dev-other")
    other.make_blocks(30)
    for each in (chain, other):
        light_client(each, store=FileTrustStore(tmp_path)).header(30)
    nodes = SimulatedNode(other, "primary"), [SimulatedNode(other, "witness")]
    store = FileTrustStore(tmp_path)
    with pytest.raises(UsageError, match=r"several chains are trusted here \(dev-other, dev-simulated\): name"):
        LightClient(*nodes, store=store, clock=lambda: chain.now_ns).read([b"number/now"])
    named = LightClient(*nodes, store=store, clock=lambda: chain.now_ns, settings=LightSettings(chain_id="dev-other"))
    assert named.read([b"number/now"]).chain_id == "dev-other"


def test_an_anchor_is_known_again_by_its_digest_and_never_by_words(chain: SimulatedChain) -> None:
    store = MemoryTrustStore()
    liars = SimulatedChain(validators("eve"))
    liars.make_blocks(30)
    store.save(chain.chain_id, Trusted(str(chain.genesis), (liars.blocks[30],), "genesis:" + "00" * 32))
    assert light_client(chain, store=store).header(30).header == chain.blocks[30].header
    assert store.known[chain.chain_id].anchor_id == chain.genesis.id


# Witnesses


def test_two_signed_histories_are_an_attack_with_evidence(chain: SimulatedChain, tmp_path: Path) -> None:
    forged = forge(chain, 30, app_hash=digest("forged"))
    for primary, witness in (
        (SimulatedNode(chain, "primary", replaced={30: forged}), SimulatedNode(chain, "witness")),
        (SimulatedNode(chain, "primary"), SimulatedNode(chain, "witness", replaced={30: forged})),
    ):
        message = "primary and witness show different, validly signed blocks of height 30"
        with pytest.raises(Divergence, match=message) as caught:
            light_client(chain, primary, [witness], store=FileTrustStore(tmp_path)).header(30)
        assert {caught.value.primary[-1], caught.value.witness[-1]} == {chain.blocks[30], forged}
    evidence = sorted(path.name.rsplit("-", 1)[0] for path in tmp_path.iterdir())
    assert evidence == ["evidence-dev-simulated-30", "evidence-dev-simulated-30"]


def test_a_witness_that_cannot_prove_its_block_is_faulty_and_another_one_decides(chain: SimulatedChain) -> None:
    forged = forge(chain, 30, chain.members[:2], app_hash=digest("forged"))
    liar = SimulatedNode(chain, "liar", replaced={30: forged})
    answer = light_client(chain, witnesses=[liar, SimulatedNode(chain, "honest")]).header(30)
    assert [(report.name, report.verdict) for report in answer.witnesses] == [("liar", "faulty"), ("honest", "agrees")]
    with pytest.raises(NoWitness, match="no second node confirms the header \\(liar is faulty"):
        light_client(chain, witnesses=[liar]).header(30)


def test_without_a_witness_the_caller_must_say_so(chain: SimulatedChain) -> None:
    with pytest.raises(NoWitness, match=r"none was named.*name one with --witness, or do without with --no-witness"):
        light_client(chain, witnesses=[]).header(30)
    assert light_client(chain, witnesses=[], without_witness=True).header(30).witnesses == ()


def test_a_silent_witness_is_reported(chain: SimulatedChain) -> None:
    silent = SimulatedNode(chain, "silent", down=NodeDown("no node answers at silent"))
    answer = light_client(chain, witnesses=[silent, SimulatedNode(chain, "honest")]).header(30)
    assert answer.witnesses[0] == WitnessReport("silent", "unreachable", "no node answers at silent")
    with pytest.raises(NoWitness):
        light_client(chain, witnesses=[silent]).header(30)


def test_a_lagging_witness_is_waited_for_and_then_reported(chain: SimulatedChain) -> None:
    behind = SimulatedNode(chain, "behind", newest=12)
    with pytest.raises(NoWitness, match="behind is behind"):
        light_client(chain, witnesses=[behind]).header(30)
    assert [params.get("height") for method, params in behind.asked if method == "commit"].count("30") == 10


def test_a_witness_that_claims_a_newer_height_must_prove_it(chain: SimulatedChain) -> None:
    chain.make_blocks(5)
    unproven = {35: forge(chain, 35, chain.members[:1])}
    liar = SimulatedNode(chain, "liar", replaced={**gap(chain), **unproven, 30: chain.blocks[30]})
    primary = SimulatedNode(chain, "primary", newest=30)
    with pytest.raises(FreshnessUnknown, match=r"whether height 29 is the newest cannot be told \(no witness"):
        light_client(chain, primary, [liar]).read([b"number/now"])
    honest = SimulatedNode(chain, "honest", newest=30)
    answer = light_client(chain, primary, [liar, honest]).read([b"number/now"])
    assert (answer.height, answer.latest_height, answer.freshness) == (29, 30, Freshness.PROVEN)


def test_a_primary_that_is_down_is_named(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", down=NodeDown("no node answers at primary"))
    with pytest.raises(NodeDown, match="no node answers at primary"):
        light_client(chain, primary).header(30)


def test_a_node_that_lost_its_first_block_is_named(chain: SimulatedChain) -> None:
    class Pruned(SimulatedNode):
        def _answer(self, call: Call[Any]) -> bytes:
            if call.params.get("height") == "1":
                from openledger.client.rpc_calls import RpcRejected

                raise RpcRejected(call.method, -32603, "Internal error", "height 1 was pruned")
            return super()._answer(call)

    with pytest.raises(ProviderFailed, match="the node refused: commit: Internal error: height 1 was pruned"):
        light_client(chain, Pruned(chain, "primary")).header(30)
