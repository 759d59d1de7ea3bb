"""The light client against nodes that lie: forged headers, proofs of something else, changed and malformed answers."""

import random
from typing import Any

import pytest

from abci_app.modules.bank import AccountQuery
from openledger.client.rpc_calls import Call
from openledger.client.trust_store import MemoryTrustStore
from openledger.light.anchors import HashAnchor
from openledger.light.errors import (
    BadStateProof,
    MalformedAnswer,
    NotEnoughPower,
    QueryRejected,
    StaleAnswer,
    TrustExpired,
    VerificationFailed,
    WrongChain,
)
from openledger.light.results import Trusted
from openledger.light.verifier import TrustRules
from openledger.light.wire import NANOSECONDS_PER_SECOND as SECOND
from tests.kit.openledger.light_clients import ALICE, forge, gap, light_client, thirty_blocks, trust_in
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode, digest


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses take no time."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.fixture
def chain() -> SimulatedChain:
    return thirty_blocks()


# Lying primaries


def test_a_forged_header_without_signatures_is_refused(chain: SimulatedChain) -> None:
    forged = forge(chain, 30, chain.members[:1], app_hash=digest("forged"))
    # One of four is less than the third that skipping needs; bisection goes down to the block after the trusted one.
    primary = SimulatedNode(chain, "primary", replaced={30: forged, **gap(chain)})
    with pytest.raises(NotEnoughPower, match="height 2 is signed by 10 of 40 power, more than 26 is needed"):
        light_client(chain, primary).header(30)


def test_a_header_signed_by_half_is_refused(chain: SimulatedChain) -> None:
    forged = forge(chain, 30, chain.members[:2], app_hash=digest("forged"))
    with pytest.raises(NotEnoughPower):
        light_client(chain, SimulatedNode(chain, "primary", replaced={30: forged})).header(30)


def test_a_header_of_another_height_is_refused(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", replaced={30: chain.blocks[29]})
    with pytest.raises(MalformedAnswer, match="asked for height 30, the node answered with 29"):
        light_client(chain, primary).header(30)


def test_an_answer_for_another_height_is_refused(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", change_answer=lambda answer: answer.update(height="9"))
    with pytest.raises(VerificationFailed, match="asked for height 7, the node answered for height 9"):
        light_client(chain, primary).read([b"number/now"], height=7)


def test_a_true_proof_of_another_height_is_refused(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", change_answer=lambda answer: answer.update(height="9"))
    with pytest.raises(BadStateProof, match=r"the state proof does not hold"):
        light_client(chain, primary, allow_stale=True).read([b"number/now"])


def test_a_true_proof_of_another_key_is_refused(chain: SimulatedChain) -> None:
    other = SimulatedNode(chain)
    (answer,) = other.send_batch([_read_call(b"account/")])
    primary = SimulatedNode(chain, "primary", change_answer=lambda found: found.update(value=answer.value))
    with pytest.raises(BadStateProof, match="the state proof leaves out what the question reads"):
        light_client(chain, primary).read([b"number/now"])


def _read_call(key: bytes) -> Call[Any]:
    from openledger.client.rpc_calls import abci_query
    from openledger.light.query import ReadQuestion

    question = ReadQuestion((key,))
    return abci_query(question.path, question.data, 0, True)


@pytest.mark.parametrize("place", [0, 10, 40, -40, -1])
def test_a_changed_proof_is_refused(chain: SimulatedChain, place: int) -> None:
    def change(answer: dict[str, Any]) -> None:
        value = bytearray(answer["value"])
        value[place] ^= 1
        answer["value"] = bytes(value)

    with pytest.raises(BadStateProof):
        light_client(chain, SimulatedNode(chain, "primary", change_answer=change)).query(
            "bank", "account", AccountQuery(ALICE)
        )


def test_a_coded_answer_is_the_nodes_word(chain: SimulatedChain) -> None:
    primary = SimulatedNode(
        chain, "primary", change_answer=lambda answer: answer.update(code=22, log="no such thing", value=None)
    )
    with pytest.raises(QueryRejected) as caught:
        light_client(chain, primary).read([b"number/now"])
    assert (caught.value.code, caught.value.text) == (22, "no such thing")
    assert str(caught.value).endswith("; this is the node's word, not proven")


def test_an_old_answer_is_stale(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", newest=20)
    with pytest.raises(StaleAnswer, match="primary answered for height 19, but height 30 is verified"):
        light_client(chain, primary).read([b"number/now"])
    answer = light_client(chain, primary, allow_stale=True).read([b"number/now"])
    assert (answer.height, answer.latest_height, answer.stale) == (19, 30, True)


def test_the_age_of_the_header_is_bounded_on_demand(chain: SimulatedChain) -> None:
    client = light_client(chain, max_age_seconds=60, now_ns=chain.now_ns + 61 * SECOND)
    with pytest.raises(StaleAnswer, match="the newest verified header is 63 s old, more than the allowed 60 s"):
        client.read([b"number/now"])


def test_a_chain_beyond_the_trusting_period_needs_a_newer_anchor(chain: SimulatedChain) -> None:
    rules = TrustRules(trusting_period_seconds=3600)
    with pytest.raises(TrustExpired):
        light_client(chain, rules=rules, now_ns=chain.now_ns + 4000 * SECOND).read([b"number/now"])


def test_another_chain_is_refused(chain: SimulatedChain) -> None:
    other = SimulatedChain(chain_id="dev-other")
    other.make_blocks(5)
    with pytest.raises(WrongChain):
        light_client(chain, SimulatedNode(other, "primary")).header()


@pytest.mark.parametrize("method", ["commit", "validators", "abci_query"])
@pytest.mark.parametrize("data", [b"{}", b"null", b"[1, 2", b"\xff\xfe"])
def test_malformed_answers_are_refused(chain: SimulatedChain, method: str, data: bytes) -> None:
    from openledger.errors import OpenLedgerError

    primary = SimulatedNode(chain, "primary", raw={method: data})
    with pytest.raises(OpenLedgerError, match="malformed"):
        light_client(chain, primary).read([b"number/now"])


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
            header = light_client(chain, primary, anchor=_trust_known(chain), store=_store(chain)).header(30).header
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
    return trust_in(chain, 20)
