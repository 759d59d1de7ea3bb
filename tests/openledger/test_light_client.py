"""The whole light client against simulated nodes: honest, lying, lagging, silent and malformed ones."""

import asyncio
import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from abci_app.accounts import ACCOUNTS, Account
from abci_app.modules.bank import AccountQuery
from openledger.light.anchors import Anchor, FirstUseAnchor, HashAnchor
from openledger.light.blocks import LightBlock
from openledger.light.errors import (
    BadStateProof,
    Divergence,
    LightError,
    MalformedAnswer,
    NoAnchor,
    NotEnoughPower,
    NoWitness,
    ProviderFailed,
    QueryRejected,
    StaleAnswer,
    TrustExpired,
    VerificationFailed,
    WrongChain,
)
from openledger.light.query import ReadAnswer
from openledger.light.results import Settings, Trusted, WitnessReport
from openledger.light.verifier import TrustRules
from openledger.light.wire import NANOSECONDS_PER_SECOND as SECOND
from openledger.light_client import AsyncLightClient, LightClient
from openledger.rpc_calls import Call, NodeDown
from openledger.trust_store import FileTrustStore, MemoryTrustStore, TrustStore
from tests.simulated_chain import SimulatedChain, SimulatedNode, digest, sign, validators

ALICE = digest("alice")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses take no time."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.fixture
def chain() -> SimulatedChain:
    made = SimulatedChain()
    made.make_block([(ACCOUNTS.key(ALICE), _account(500)), (b"number/now", b"1")])
    made.make_blocks(29)
    return made


def _account(balance: int) -> bytes:
    from abci_app.state.codec import encode

    return encode(Account(3, balance, b""))


def _client(
    chain: SimulatedChain,
    primary: SimulatedNode | None = None,
    witnesses: Sequence[SimulatedNode] | None = None,
    *,
    anchor: Anchor | None = None,
    store: TrustStore | None = None,
    now_ns: int = 0,
    **settings: Any,
) -> LightClient:
    primary = primary or SimulatedNode(chain, "primary")
    witnesses = [SimulatedNode(chain, "witness")] if witnesses is None else witnesses
    return LightClient(
        primary,
        witnesses,
        anchor=anchor or chain.genesis,
        settings=Settings(**settings),
        store=store,
        clock=lambda: now_ns or chain.now_ns,
    )


def _trust(chain: SimulatedChain, height: int) -> HashAnchor:
    return HashAnchor(height, chain.blocks[height].hash)


def _forge(chain: SimulatedChain, at: int, signers: Sequence[Any] | None = None, /, **changes: Any) -> LightBlock:
    """A changed header signed by the chain's own validators (or `signers` among them)."""
    members = chain.genesis_members
    header = dataclasses.replace(chain.blocks[at].header, **changes)
    return sign(header, members, members if signers is None else signers)


# Honest nodes


def test_a_query_is_run_again_on_proven_state_and_says_what_it_rests_on(chain: SimulatedChain) -> None:
    answer = _client(chain).query("bank", "account", AccountQuery(ALICE))
    assert (answer.value.balance_nopen, answer.value.sequence) == (500, 3)
    assert (answer.height, answer.header.height, answer.latest_height, answer.stale) == (29, 30, 30, False)
    assert (answer.chain_id, answer.path, answer.age_seconds) == ("dev-simulated", (1, 30), 2)
    assert answer.anchor == str(chain.genesis)
    assert answer.witnesses == (WitnessReport("witness", "agrees"),)


def test_raw_state_is_read_with_absence_and_completeness(chain: SimulatedChain) -> None:
    answer = _client(chain).read([b"number/now", b"number/none"], [(b"number/", b"number0")])
    assert answer.value == ReadAnswer((b"29", None), (((b"number/now", b"29"),),))


def test_a_past_height_is_read_as_it_was(chain: SimulatedChain) -> None:
    answer = _client(chain).read([b"number/now"], height=7)
    assert (answer.value.values, answer.height, answer.stale) == ((b"7",), 7, False)


def test_the_newest_height_can_be_asked_once_its_header_exists(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary")
    with pytest.raises(LightError, match="the node does not have that height yet"):
        _client(chain, primary).read([b"number/now"], height=30)
    chain.make_blocks(1)
    assert _client(chain, primary).read([b"number/now"], height=30).value.values == (b"30",)


def test_asyncio_gives_the_same_answer(chain: SimulatedChain) -> None:
    class AsyncNode(SimulatedNode):
        async def send_batch(self, calls: Sequence[Call[Any]]) -> list[Any]:  # type: ignore[override]
            return SimulatedNode.send_batch(self, calls)

    async def ask() -> Any:
        client = AsyncLightClient(
            AsyncNode(chain, "primary"), [AsyncNode(chain, "witness")], anchor=chain.genesis, clock=lambda: chain.now_ns
        )
        return await client.query("bank", "account", AccountQuery(ALICE))

    assert asyncio.run(ask()) == _client(chain).query("bank", "account", AccountQuery(ALICE))


def test_bisection_finds_the_way_through_changing_validators() -> None:
    chain = SimulatedChain(validators("v0", "v1", "v2", "v3"))
    for height in range(1, 31):
        chain.next_members = validators(*[f"v{height // 3 + index}" for index in range(4)])
        chain.make_blocks(1)
    verified = _client(chain).header(30)
    assert (verified.header, verified.path[0], verified.path[-1]) == (chain.blocks[30].header, 1, 30)
    assert len(verified.path) > 4


def test_trust_in_a_hash_leads_forward_and_back(chain: SimulatedChain) -> None:
    client = _client(chain, anchor=_trust(chain, 20))
    assert client.header(30).path == (20, 30)
    assert client.header(5).path == tuple(range(20, 4, -1))
    assert client.header(5).header == chain.blocks[5].header


def test_an_old_hash_still_proves_what_lies_below_it(chain: SimulatedChain) -> None:
    now_ns = chain.now_ns + 400 * 86_400 * SECOND
    client = _client(chain, anchor=_trust(chain, 20), now_ns=now_ns)
    assert client.read([b"number/now"], height=7).value.values == (b"7",)
    assert client.read([b"number/now"], height=19).value.values == (b"19",)
    with pytest.raises(TrustExpired):
        client.read([b"number/now"], height=20)


def test_the_first_answer_is_trusted_only_on_demand_and_said(chain: SimulatedChain) -> None:
    answer = _client(chain, anchor=FirstUseAnchor()).read([b"number/now"])
    assert answer.anchor == "first use: the queried node itself, unchecked (primary at height 30)"
    nothing = LightClient(SimulatedNode(chain), [SimulatedNode(chain)], clock=lambda: chain.now_ns)
    with pytest.raises(NoAnchor, match=r"^nothing to start trusting from: pass the genesis file"):
        nothing.read([b"number/now"])


def test_a_validator_set_is_fetched_once(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary")
    client = _client(chain, primary)
    for height in (5, 15, 25):
        client.header(height)
    assert [method for method, _ in primary.asked].count("validators") == 1


def test_more_validators_than_a_page_holds_are_fetched() -> None:
    chain = SimulatedChain(validators(*[f"v{index}" for index in range(130)]))
    chain.make_blocks(3)
    assert _client(chain).header(3).header == chain.blocks[3].header


# The trust store


def test_what_was_verified_is_remembered_on_disk(chain: SimulatedChain, tmp_path: Path) -> None:
    _client(chain, store=FileTrustStore(tmp_path)).header(30)
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
    client = _client(chain, store=store)
    for height in range(2, 11):
        client.header(height)
    assert [block.height for block in store.chains[chain.chain_id].blocks] == list(range(1, 11))
    for height in range(11, 31):
        client.header(height)
    assert [block.height for block in store.chains[chain.chain_id].blocks] == [1, *range(16, 31)]


def test_what_a_first_use_left_behind_does_not_survive_a_real_anchor(chain: SimulatedChain) -> None:
    liars = SimulatedChain(validators("eve"))
    liars.make_blocks(30)
    store = MemoryTrustStore()
    deceived = _client(liars, anchor=FirstUseAnchor(), store=store)
    assert deceived.header(30).header == liars.blocks[30].header
    for anchor in (chain.genesis, _trust(chain, 5)):
        client = _client(chain, anchor=anchor, store=store)
        assert client.header(30).header == chain.blocks[30].header
        assert store.chains[chain.chain_id].anchor == str(anchor)
        assert liars.blocks[30] not in store.chains[chain.chain_id].blocks
        store.save(chain.chain_id, Trusted("first use: the queried node itself, unchecked", (liars.blocks[30],)))


def test_a_store_of_another_history_contradicts_the_hash_given(chain: SimulatedChain) -> None:
    store = MemoryTrustStore()
    _client(chain, store=store).header(30)
    with pytest.raises(VerificationFailed, match="the trust store has"):
        _client(chain, store=store, anchor=HashAnchor(30, digest("other"))).header(30)


def test_a_node_that_denies_a_verified_block_is_refused(chain: SimulatedChain) -> None:
    store = MemoryTrustStore()
    _client(chain, store=store).header(30)
    primary = SimulatedNode(chain, "primary", replaced={30: _forge(chain, 30, app_hash=digest("forged"))})
    with pytest.raises(VerificationFailed, match="another block of height 30 than the one verified earlier"):
        _client(chain, primary, store=store).header(30)


# Lying primaries


def test_a_forged_header_without_signatures_is_refused(chain: SimulatedChain) -> None:
    forged = _forge(chain, 30, chain.members[:1], app_hash=digest("forged"))
    # One of four is less than the third that skipping needs; bisection goes down to the block after the trusted one.
    primary = SimulatedNode(chain, "primary", replaced={30: forged, **_gap(chain)})
    with pytest.raises(NotEnoughPower, match="height 2 is signed by 10 of 40 power, more than 26 is needed"):
        _client(chain, primary).header(30)


def _gap(chain: SimulatedChain) -> dict[int, LightBlock]:
    """Every block below signed by one validator only."""
    return {height: _forge(chain, height, chain.members[:1]) for height in range(2, 30)}


def test_a_header_signed_by_half_is_refused(chain: SimulatedChain) -> None:
    forged = _forge(chain, 30, chain.members[:2], app_hash=digest("forged"))
    with pytest.raises(NotEnoughPower):
        _client(chain, SimulatedNode(chain, "primary", replaced={30: forged})).header(30)


def test_a_header_of_another_height_is_refused(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", replaced={30: chain.blocks[29]})
    with pytest.raises(MalformedAnswer, match="asked for height 30, the node answered with 29"):
        _client(chain, primary).header(30)


def test_an_answer_for_another_height_is_refused(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", change_answer=lambda answer: answer.update(height="9"))
    with pytest.raises(VerificationFailed, match="asked for height 7, the node answered for height 9"):
        _client(chain, primary).read([b"number/now"], height=7)


def test_a_true_proof_of_another_height_is_refused(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", change_answer=lambda answer: answer.update(height="9"))
    with pytest.raises(BadStateProof, match=r"the state proof does not hold"):
        _client(chain, primary, allow_stale=True).read([b"number/now"])


def test_a_true_proof_of_another_key_is_refused(chain: SimulatedChain) -> None:
    other = SimulatedNode(chain)
    (answer,) = other.send_batch([_read_call(b"account/")])
    primary = SimulatedNode(chain, "primary", change_answer=lambda found: found.update(value=answer.value))
    with pytest.raises(BadStateProof, match="the state proof leaves out what the question reads"):
        _client(chain, primary).read([b"number/now"])


def _read_call(key: bytes) -> Call[Any]:
    from openledger.light.query import ReadQuestion
    from openledger.rpc_calls import abci_query

    question = ReadQuestion((key,))
    return abci_query(question.path, question.data, 0, True)


@pytest.mark.parametrize("place", [0, 10, 40, -40, -1])
def test_a_changed_proof_is_refused(chain: SimulatedChain, place: int) -> None:
    def change(answer: dict[str, Any]) -> None:
        value = bytearray(answer["value"])
        value[place] ^= 1
        answer["value"] = bytes(value)

    with pytest.raises(BadStateProof):
        _client(chain, SimulatedNode(chain, "primary", change_answer=change)).query(
            "bank", "account", AccountQuery(ALICE)
        )


def test_a_coded_answer_is_the_nodes_word(chain: SimulatedChain) -> None:
    primary = SimulatedNode(
        chain, "primary", change_answer=lambda answer: answer.update(code=22, log="no such thing", value=None)
    )
    with pytest.raises(QueryRejected) as caught:
        _client(chain, primary).read([b"number/now"])
    assert (caught.value.code, caught.value.text) == (22, "no such thing")
    assert str(caught.value).endswith("; this is the node's word, not proven")


def test_an_old_answer_is_stale(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", newest=20)
    with pytest.raises(StaleAnswer, match="primary answered for height 19, but height 30 is verified"):
        _client(chain, primary).read([b"number/now"])
    answer = _client(chain, primary, allow_stale=True).read([b"number/now"])
    assert (answer.height, answer.latest_height, answer.stale) == (19, 30, True)


def test_the_age_of_the_header_is_bounded_on_demand(chain: SimulatedChain) -> None:
    client = _client(chain, max_age_seconds=60, now_ns=chain.now_ns + 61 * SECOND)
    with pytest.raises(StaleAnswer, match="the newest verified header is 63 s old, more than the allowed 60 s"):
        client.read([b"number/now"])


def test_a_chain_beyond_the_trusting_period_needs_a_newer_anchor(chain: SimulatedChain) -> None:
    rules = TrustRules(trusting_period_seconds=3600)
    with pytest.raises(TrustExpired):
        _client(chain, rules=rules, now_ns=chain.now_ns + 4000 * SECOND).read([b"number/now"])


def test_another_chain_is_refused(chain: SimulatedChain) -> None:
    other = SimulatedChain(chain_id="dev-other")
    other.make_blocks(5)
    with pytest.raises(WrongChain):
        _client(chain, SimulatedNode(other, "primary")).header()


@pytest.mark.parametrize("method", ["commit", "validators", "abci_query"])
@pytest.mark.parametrize("data", [b"{}", b"null", b"[1, 2", b"\xff\xfe"])
def test_malformed_answers_are_refused(chain: SimulatedChain, method: str, data: bytes) -> None:
    from openledger.errors import OpenLedgerError

    primary = SimulatedNode(chain, "primary", raw={method: data})
    with pytest.raises(OpenLedgerError, match="malformed"):
        _client(chain, primary).read([b"number/now"])


def test_no_changed_byte_of_a_commit_makes_another_header_acceptable(chain: SimulatedChain) -> None:
    from openledger.errors import OpenLedgerError
    from openledger.light.path import commit_call

    honest: list[bytes] = []
    call = commit_call(30)
    SimulatedNode(chain).send_batch([Call(call.method, call.params, honest.append)])
    chooser = random.Random(3)
    accepted = 0
    for _ in range(300):
        changed = bytearray(honest[0])
        changed[chooser.randrange(len(changed))] ^= 1 << chooser.randrange(8)
        primary = SimulatedNode(chain, "primary", raw={"commit": bytes(changed)})
        try:
            header = _client(chain, primary, anchor=_trust_known(chain), store=_store(chain)).header(30).header
        except OpenLedgerError:
            continue
        assert header == chain.blocks[30].header
        accepted += 1
    # Flips in names of unread fields, or in one of four signatures.
    assert accepted < 150


def _store(chain: SimulatedChain) -> MemoryTrustStore:
    store = MemoryTrustStore()
    store.save(chain.chain_id, Trusted(str(_trust_known(chain)), (chain.blocks[20],)))
    return store


def _trust_known(chain: SimulatedChain) -> HashAnchor:
    return _trust(chain, 20)


# Witnesses


def test_two_signed_histories_are_an_attack_with_evidence(chain: SimulatedChain, tmp_path: Path) -> None:
    forged = _forge(chain, 30, app_hash=digest("forged"))
    for primary, witness in (
        (SimulatedNode(chain, "primary", replaced={30: forged}), SimulatedNode(chain, "witness")),
        (SimulatedNode(chain, "primary"), SimulatedNode(chain, "witness", replaced={30: forged})),
    ):
        message = "primary and witness show different, validly signed blocks of height 30"
        with pytest.raises(Divergence, match=message) as caught:
            _client(chain, primary, [witness], store=FileTrustStore(tmp_path)).header(30)
        assert {caught.value.primary[-1], caught.value.witness[-1]} == {chain.blocks[30], forged}
    evidence = sorted(path.name.rsplit("-", 1)[0] for path in tmp_path.iterdir())
    assert evidence == ["evidence-dev-simulated-30", "evidence-dev-simulated-30"]


def test_a_witness_that_cannot_prove_its_block_is_faulty_and_another_one_decides(chain: SimulatedChain) -> None:
    forged = _forge(chain, 30, chain.members[:2], app_hash=digest("forged"))
    liar = SimulatedNode(chain, "liar", replaced={30: forged})
    answer = _client(chain, witnesses=[liar, SimulatedNode(chain, "honest")]).header(30)
    assert [(report.name, report.verdict) for report in answer.witnesses] == [("liar", "faulty"), ("honest", "agrees")]
    with pytest.raises(NoWitness, match="no second node confirms the header \\(liar is faulty"):
        _client(chain, witnesses=[liar]).header(30)


def test_without_a_witness_the_caller_must_say_so(chain: SimulatedChain) -> None:
    with pytest.raises(NoWitness, match=r"none was named.*name one with --witness, or do without with --no-witness"):
        _client(chain, witnesses=[]).header(30)
    assert _client(chain, witnesses=[], without_witness=True).header(30).witnesses == ()


def test_a_silent_witness_is_reported(chain: SimulatedChain) -> None:
    silent = SimulatedNode(chain, "silent", down=NodeDown("no node answers at silent"))
    answer = _client(chain, witnesses=[silent, SimulatedNode(chain, "honest")]).header(30)
    assert answer.witnesses[0] == WitnessReport("silent", "unreachable", "no node answers at silent")
    with pytest.raises(NoWitness):
        _client(chain, witnesses=[silent]).header(30)


def test_a_lagging_witness_is_waited_for_and_then_reported(chain: SimulatedChain) -> None:
    behind = SimulatedNode(chain, "behind", newest=12)
    with pytest.raises(NoWitness, match="behind is behind"):
        _client(chain, witnesses=[behind]).header(30)
    assert [params.get("height") for method, params in behind.asked if method == "commit"].count("30") == 10


def test_a_witness_that_claims_a_newer_height_must_prove_it(chain: SimulatedChain) -> None:
    chain.make_blocks(5)
    unproven = {35: _forge(chain, 35, chain.members[:1])}
    liar = SimulatedNode(chain, "liar", replaced={**_gap(chain), **unproven, 30: chain.blocks[30]})
    primary = SimulatedNode(chain, "primary", newest=30)
    answer = _client(chain, primary, [liar]).read([b"number/now"])
    assert (answer.height, answer.latest_height) == (29, 30)


def test_a_primary_that_is_down_is_named(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", down=NodeDown("no node answers at primary"))
    with pytest.raises(NodeDown, match="no node answers at primary"):
        _client(chain, primary).header(30)


def test_a_node_that_lost_its_first_block_is_named(chain: SimulatedChain) -> None:
    class Pruned(SimulatedNode):
        def _answer(self, call: Call[Any]) -> bytes:
            if call.params.get("height") == "1":
                from openledger.rpc_calls import RpcRejected

                raise RpcRejected(call.method, -32603, "Internal error", "height 1 was pruned")
            return super()._answer(call)

    with pytest.raises(ProviderFailed, match="the node refused: commit: Internal error: height 1 was pruned"):
        _client(chain, Pruned(chain, "primary")).header(30)
