"""Fresh means proven fresh: on every way to a header witnesses say how far the chain is, and not knowing is refused."""

from typing import Any

import pytest

from openledger.client.light_client import LightClient
from openledger.client.rpc_calls import Call, RpcRejected
from openledger.client.trust_store import MemoryTrustStore
from openledger.light.anchors import FirstUseAnchor
from openledger.light.errors import FreshnessUnknown, NoWitness, StaleAnswer, TrustExpired, VerificationFailed
from openledger.light.results import Freshness, Trusted, WitnessReport
from openledger.light.wire import NANOSECONDS_PER_SECOND as SECOND
from tests.kit.openledger.light_clients import forge, light_client, trust_in
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode, digest, validators

DAY = 86_400 * SECOND
NOW = [b"number/now"]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses take no time."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.fixture
def chain() -> SimulatedChain:
    made = SimulatedChain()
    made.make_blocks(60)
    return made


class OldAnswers(SimulatedNode):
    """Answers questions about now with the state of `lie`, though it shows every block."""

    lie = 0

    def _query(self, params: Any) -> bytes:
        return super()._query({**params, "height": params["height"] if int(params["height"]) else str(self.lie)})


def _liar(chain: SimulatedChain, lie: int) -> OldAnswers:
    node = OldAnswers(chain, "primary")
    node.lie = lie
    return node


@pytest.mark.parametrize("lie", [5, 17, 18, 19, 20, 21, 50, 56])
def test_an_old_answer_is_stale_wherever_the_anchor_lies(chain: SimulatedChain, lie: int) -> None:
    """Below the anchor the way down asked no witness how far the chain is."""
    with pytest.raises(StaleAnswer, match=f"primary answered for height {lie}, but height 60 is verified"):
        light_client(chain, _liar(chain, lie), anchor=trust_in(chain, 20)).read(NOW)
    allowed = light_client(chain, _liar(chain, lie), anchor=trust_in(chain, 20), allow_stale=True).read(NOW)
    assert (allowed.freshness, allowed.stale, allowed.latest_height) == (Freshness.STALE, True, 60)
    assert "STALE: height 60 is verified already" in allowed.in_words()


@pytest.mark.parametrize("lie", [5, 19, 20, 50])
def test_once_all_trust_has_expired_nothing_is_known_to_be_new(chain: SimulatedChain, lie: int) -> None:
    later = chain.now_ns + 90 * DAY
    with pytest.raises(TrustExpired, match="pass a newer HEIGHT:HASH from somebody you trust with --trust"):
        light_client(chain, _liar(chain, lie), anchor=trust_in(chain, 20), now_ns=later).read(NOW)


def test_an_expired_anchor_may_answer_about_the_past_and_says_that_it_knows_no_more(chain: SimulatedChain) -> None:
    later = chain.now_ns + 90 * DAY
    client = light_client(chain, _liar(chain, 18), anchor=trust_in(chain, 20), now_ns=later, allow_stale=True)
    answer = client.read(NOW)
    assert (answer.height, answer.freshness) == (18, Freshness.UNKNOWN)
    assert answer.in_words().endswith("HOW NEW IT IS IS UNKNOWN")
    chosen = light_client(chain, anchor=trust_in(chain, 20), now_ns=later).read(NOW, height=18)
    assert (chosen.freshness, chosen.value.values) == (Freshness.CHOSEN, (b"18",))


@pytest.mark.parametrize("days", [0, 3])
def test_a_primary_that_stopped_at_the_newest_trusted_block_is_not_current(chain: SimulatedChain, days: int) -> None:
    """With the base at the answer's own header there was no path, and so no look at its age."""
    store = MemoryTrustStore()
    store.save(chain.chain_id, Trusted(str(chain.genesis), (chain.blocks[20],)))
    primary, witness = SimulatedNode(chain, "primary", newest=20), SimulatedNode(chain, "witness")
    client = LightClient(primary, [witness], store=store, clock=lambda: chain.now_ns + days * DAY)
    with pytest.raises(TrustExpired if days else StaleAnswer):
        client.read(NOW)
    with pytest.raises(TrustExpired if days else StaleAnswer):
        LightClient(primary, [witness], store=store, clock=lambda: chain.now_ns + days * DAY).header()


def test_a_node_whose_newest_header_is_old_is_refused_when_asked_for_the_newest(chain: SimulatedChain) -> None:
    with pytest.raises(StaleAnswer):
        light_client(chain, SimulatedNode(chain, "primary", newest=20)).header()
    assert light_client(chain).header().freshness == Freshness.PROVEN
    assert light_client(chain).header(20).freshness == Freshness.CHOSEN


def test_a_claim_that_can_be_neither_proven_nor_refuted_leaves_it_unknown(chain: SimulatedChain) -> None:
    """A witness that is 30 blocks on, past a change of all validators, and keeps no old blocks to show the way."""
    primary = SimulatedNode(chain, "primary", newest=60)
    chain.next_members = validators("eva", "fay", "gil", "hal")
    chain.make_blocks(30)

    class Pruned(SimulatedNode):
        def _answer(self, call: Call[Any]) -> bytes:
            if call.method == "commit" and 60 < int(call.params.get("height", 90)) < 85:  # type: ignore[call-overload]
                raise RpcRejected(call.method, -32603, "Internal error", "pruned")
            return super()._answer(call)

    with pytest.raises(FreshnessUnknown, match="pruned speaks of height 90, which cannot be proven"):
        light_client(chain, primary, [Pruned(chain, "pruned")]).read(NOW)
    honest = SimulatedNode(chain, "honest", newest=60)
    with pytest.raises(FreshnessUnknown, match="name another witness with --witness"):
        light_client(chain, primary, [Pruned(chain, "pruned"), honest]).read(NOW)


def test_a_header_ahead_of_the_clock_is_unknown_rather_than_ignored(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", newest=40)
    ahead = chain.blocks[41].header.time_ns
    with pytest.raises(FreshnessUnknown, match=r"speaks of height 60, which cannot be proven.*set the clock"):
        light_client(chain, primary, now_ns=ahead).read(NOW)


def test_without_a_witness_it_is_said_that_nobody_vouches_for_the_newest(chain: SimulatedChain) -> None:
    answer = light_client(chain, witnesses=[], without_witness=True).read(NOW)
    assert answer.freshness == Freshness.UNWITNESSED
    assert "no witness asked: that nothing newer exists is the node's word" in answer.in_words()
    with pytest.raises(StaleAnswer):
        light_client(chain, _liar(chain, 5), witnesses=[], without_witness=True).read(NOW)


def test_first_use_is_fresh_only_with_a_witness_that_says_so(chain: SimulatedChain) -> None:
    with pytest.raises(StaleAnswer):
        light_client(chain, SimulatedNode(chain, "primary", newest=30), anchor=FirstUseAnchor()).read(NOW)


def test_a_primary_that_shows_two_blocks_of_one_height_below_the_anchor_is_refused(chain: SimulatedChain) -> None:
    primary = _liar(chain, 17)
    primary.replaced[18] = forge(chain, 18, app_hash=digest("other"))
    with pytest.raises(VerificationFailed):
        light_client(chain, primary, anchor=trust_in(chain, 20)).read(NOW)


# Who is a witness


def test_the_node_asked_is_no_witness_under_another_address(chain: SimulatedChain) -> None:
    """A node keeps its id behind another name: a proxy, a second interface, a DNS alias."""

    class Alias(SimulatedNode):
        def _status(self) -> dict[str, Any]:
            status = super()._status()
            return {**status, "node_info": {**status["node_info"], "id": digest("primary")[:20].hex()}}

    alias = Alias(chain, "alias")
    with pytest.raises(NoWitness, match="alias is the node asked: it is the node asked primary under another address"):
        light_client(chain, witnesses=[alias]).read(NOW)
    client = light_client(chain, witnesses=[alias, SimulatedNode(chain, "other")], anchor=trust_in(chain, 40))
    for height in (0, 30, 50):
        assert [each.verdict for each in client.read(NOW, height=height).witnesses] == ["the node asked", "agrees"]


@pytest.mark.parametrize(
    ("primary", "witness"),
    [
        ("http://127.0.0.1:26657", "http://localhost:26657/"),
        ("http://127.0.0.1:26657", "tcp://127.1:26657"),
        ("http://127.0.0.1:26657", "[::1]:26657"),
        ("http://NODE.example:80", "http://user@node.example./"),
    ],
)
def test_the_node_asked_is_no_witness_in_another_spelling(chain: SimulatedChain, primary: str, witness: str) -> None:
    nodes = [SimulatedNode(chain, primary), SimulatedNode(chain, witness)]
    with pytest.raises(NoWitness, match=r"it is the node asked .* in another spelling"):
        light_client(chain, nodes[0], [nodes[1]]).read(NOW)


def test_one_witness_named_twice_counts_once_and_one_that_hides_its_id_not_at_all(chain: SimulatedChain) -> None:
    class Nameless(SimulatedNode):
        def _answer(self, call: Call[Any]) -> bytes:
            if call.method == "status":
                raise RpcRejected(call.method, -32601, "Method not found", "")
            return super()._answer(call)

    witnesses = [SimulatedNode(chain, "witness"), SimulatedNode(chain, "witness"), Nameless(chain, "nameless")]
    reports = light_client(chain, witnesses=witnesses).read(NOW).witnesses
    assert reports == (
        WitnessReport("witness", "agrees"),
        WitnessReport("witness", "the node asked", "it is the witness witness named twice"),
        WitnessReport("nameless", "the node asked", "it does not say which node it is"),
    )
    with pytest.raises(NoWitness, match="it does not say which node it is"):
        light_client(chain, witnesses=witnesses[2:]).read(NOW)
