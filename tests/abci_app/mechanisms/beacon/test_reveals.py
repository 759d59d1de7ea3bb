"""Reveals: made by the proposer, valid in one place only, counted in the next block, forgotten with a failed round."""

from collections.abc import Callable

import pytest

from abci_app.chain.queries import LocalNode
from abci_app.chain.transaction import decode_transaction
from abci_app.errors import Rejected
from abci_app.mechanisms.beacon import BeaconCode, is_reveal, next_onion, reveal_transaction
from abci_app.mechanisms.beacon.records import NEW_BEACON, Beacon, next_value
from abci_app.modules.bank import Burn
from abci_app.pb import abci_pb2 as pb
from abci_app.state.codec import encode
from tests.kit.chain import Chain, accounts_with, replay
from tests.kit.revealing import LENGTH, RevealingChain
from tests.kit.signing import Signer

ALICE = Signer.named("alice")


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> RevealingChain:
    ALICE.sequence = 0
    return RevealingChain.start(monkeypatch, balances=accounts_with(10**9, [ALICE]))


def link(net: RevealingChain, number: int, used: int) -> bytes:
    return net.revealers[number].links[LENGTH - used - 1]


# --- What it is


def test_a_reveal_is_a_list_of_two_and_a_byte_string_and_no_transaction_begins_so() -> None:
    raw = reveal_transaction(b"\x07" * 32)
    assert raw == b"\x92\x02\xc4\x20" + b"\x07" * 32
    assert is_reveal(raw)
    assert not is_reveal(ALICE.transaction(Burn(1), sequence=0))
    assert not is_reveal(b"")


def test_it_goes_first_into_its_proposers_block_and_counts_in_the_next_one(net: RevealingChain) -> None:
    raw = ALICE.transaction(Burn(1))
    shown = link(net, 2, 0)
    assert net.propose_by(2, raw) == [reveal_transaction(shown), raw]
    response = net.block_by(2, raw)
    (first, second) = response.tx_results
    assert (first.code, first.log, first.codespace, list(first.events), first.data) == (0, "beacon reveal", "", [], b"")
    assert (first.gas_wanted, first.gas_used, second.code) == (0, 0, 0)
    waiting = Beacon(
        value=NEW_BEACON.value,
        reveals=0,
        shown=shown,
        shown_by=net.revealers[2].owner,
        first_request=1,
        waiting=0,
        at_stake_nopen=0,
    )
    assert (net.beacon, net.used(2)) == (waiting, 0)
    net.block_by(0, silent=True)
    value = next_value(NEW_BEACON.value, shown)
    assert net.beacon == Beacon(
        value=value, reveals=1, shown=b"", shown_by=b"", first_request=1, waiting=0, at_stake_nopen=0
    )
    assert [net.used(number) for number in range(4)] == [0, 0, 1, 0]
    assert net.chain.violations() == []


def test_it_is_free(net: RevealingChain) -> None:
    before = net.chain.balance(ALICE)
    for number in (0, 1, 2, 3):
        net.block_by(number)
    assert net.chain.balance(ALICE) == before


def test_the_value_is_the_chain_of_all_reveals_that_counted(net: RevealingChain) -> None:
    value = NEW_BEACON.value
    for turn in range(9):
        net.block_by(turn % 4)
        value = next_value(value, link(net, turn % 4, turn // 4))
    net.block_by(1, silent=True)
    assert (net.beacon.value, net.beacon.reveals) == (value, 9)
    assert replay(net.chain) == net.chain.hashes


def test_the_state_does_not_grow(net: RevealingChain) -> None:
    """A reveal replaces what was there: one record, and one for each validator."""
    for turn in range(8):
        net.block_by(turn % 4)
    keys = list(net.chain.state())
    assert len([key for key in keys if key.startswith(b"beacon/")]) == 5
    for turn in range(40):
        net.block_by(turn % 4)
    assert list(net.chain.state()) == keys


def test_one_validator_alone_reveals_block_after_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its last block showed is counted before its next reveal is judged."""
    net = RevealingChain.start(monkeypatch, validators=1)
    for turn in range(5):
        assert net.propose_by(0) == [reveal_transaction(link(net, 0, turn))]
        net.block_by(0)
    assert net.used(0) == 4


def test_without_onions_blocks_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    net = RevealingChain.start(monkeypatch, with_onions=[])
    for turn in range(4):
        assert net.propose_by(turn) == []
        assert list(net.block_by(turn).events) == []
    assert len({app_hash for _, app_hash in net.chain.hashes}) == 1
    assert net.beacon == NEW_BEACON


def test_a_block_without_a_reveal_that_is_due_is_allowed_and_told(net: RevealingChain) -> None:
    (event,) = net.block_by(3, silent=True).events
    owner = net.revealers[3].owner
    told = [(attribute.key, attribute.value) for attribute in event.attributes]
    assert (event.type, told) == (
        "proposer_silent",
        [("proposer", net.revealers[3].address.hex()), ("owner", owner.hex()), ("fine_nopen", "0")],
    )
    assert net.beacon == NEW_BEACON


# --- Rounds


def test_a_reveal_of_a_failed_round_is_forgotten_and_must_be_shown_again(net: RevealingChain) -> None:
    net.block_by(0, decided_round=1)
    net.block_by(1)
    assert (net.beacon.reveals, net.used(0)) == (0, 0)
    net.block_by(0)
    assert (net.beacon.value, net.beacon.reveals) == (next_value(NEW_BEACON.value, link(net, 1, 0)), 1)
    assert net.propose_by(0) == [reveal_transaction(link(net, 0, 1))]
    net.block_by(2)
    assert (net.used(0), net.beacon.reveals) == (1, 2)


def test_a_block_of_an_earlier_round_that_is_proposed_again_keeps_its_own_proposer(net: RevealingChain) -> None:
    """CometBFT keeps the header's proposer whoever sends the block again; no node has to know the reveal for that."""
    proposal = net.propose_by(0)
    net.turn_of(0, silent=True)
    net.chain.application.discard_uncommitted()
    assert net.chain.accepts(*proposal)
    net.chain.proposer = net.revealers[1].address
    assert not net.chain.accepts(*proposal)


# --- Hostile proposers and senders


def other_places(net: RevealingChain) -> dict[str, list[bytes]]:
    own, burn = reveal_transaction(link(net, 0, 0)), ALICE.transaction(Burn(1), sequence=0)
    return {
        "second": [burn, own],
        "twice": [own, own],
        "first and last": [own, burn, own],
        "another's first": [reveal_transaction(link(net, 1, 0))],
        "another's behind the own": [own, reveal_transaction(link(net, 1, 0))],
        "the one after": [reveal_transaction(link(net, 0, 1))],
        "the onion itself": [reveal_transaction(net.revealers[0].onion)],
        "of 31 bytes": [encode((2, link(net, 0, 0)[:31]))],
        "with a third item": [encode((2, link(net, 0, 0), b""))],
        "in a longer form": [b"\x92\x02\xc5\x00\x20" + link(net, 0, 0)],
        "with bytes behind": [own + b"\x00"],
        "huge": [encode((2, bytes(2**20)))],
        "cut off": [b"\x92\x02"],
    }


def test_a_proposal_with_a_reveal_that_is_not_valid_is_rejected(net: RevealingChain) -> None:
    before = net.chain.state()
    for name, transactions in other_places(net).items():
        net.turn_of(0)
        assert not net.chain.accepts(*transactions), name
        net.chain.application.discard_uncommitted()
    assert net.chain.state() == before
    assert net.chain.accepts(reveal_transaction(link(net, 0, 0)))


CODES: dict[str, tuple[list[int], str]] = {
    "second": ([0, BeaconCode.REVEAL_NOT_SENT], "these bytes are a beacon reveal: nobody sends it, its block's"),
    "twice": ([0, BeaconCode.REVEAL_NOT_SENT], "these bytes are a beacon reveal"),
    "another's first": ([BeaconCode.WRONG_REVEAL], "the beacon reveal does not lead to the onion of proposer"),
    "the one after": ([BeaconCode.WRONG_REVEAL], "the beacon reveal does not lead to the onion of proposer"),
    "with bytes behind": ([BeaconCode.REVEAL_MALFORMED], "beacon reveal is malformed:"),
    "huge": ([BeaconCode.REVEAL_MALFORMED], "beacon reveal is malformed:"),
}


@pytest.mark.parametrize("name", CODES)
def test_a_decided_block_with_one_gets_codes_and_no_reveal_of_it_counts(net: RevealingChain, name: str) -> None:
    """No honest majority decides such a block; executed it must be all the same, and alike everywhere."""
    transactions = other_places(net)[name]
    codes, text = CODES[name]
    net.turn_of(0)
    response = net.chain.decide(*transactions)
    assert [result.code for result in response.tx_results] == codes
    last = response.tx_results[-1]
    assert (last.log[: len(text)], last.codespace) == (text, "beacon")
    net.take_votes(0)
    net.block_by(1, silent=True)
    assert net.beacon.reveals == (1 if name == "twice" else 0)
    assert replay(net.chain) == net.chain.hashes


def test_a_reveal_of_who_has_no_onion_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net = RevealingChain.start(monkeypatch, with_onions=[1, 2, 3])
    raw = reveal_transaction(link(net, 0, 0))
    for proposer in (net.revealers[0].address, b"\x01" * 20, b""):
        net.chain.proposer = proposer
        assert not net.chain.accepts(raw)
        (result,) = net.chain.block(raw)
        assert (result.code, result.log) == (
            BeaconCode.NO_ONION, f"proposer {proposer.hex()} has no onion: its blocks hold no beacon reveal",
        )  # fmt: skip


def test_nobody_can_send_one(net: RevealingChain) -> None:
    raw = reveal_transaction(link(net, 0, 0))
    text = "these bytes are a beacon reveal: nobody sends it, its block's proposer puts it first into the block"
    for bytes_of_one in (raw, raw + b"\x00", b"\x92\x02"):
        assert net.chain.check(bytes_of_one) == (BeaconCode.REVEAL_NOT_SENT, text)
        assert net.chain.check(bytes_of_one, recheck=True) == (BeaconCode.REVEAL_NOT_SENT, text)
        with pytest.raises(Rejected) as refused:
            decode_transaction(bytes_of_one)
        assert (refused.value.code, refused.value.text) == (BeaconCode.REVEAL_NOT_SENT, text)
        assert text.encode() in net.chain.query("/simulate", bytes_of_one).value


def test_a_reveal_that_came_into_the_mempool_all_the_same_is_left_out(net: RevealingChain) -> None:
    raw = reveal_transaction(link(net, 0, 0))
    assert net.propose_by(0, raw, silent=True) == []
    assert net.propose_by(0, raw) == [raw]


def test_a_replayed_reveal_is_refused_for_ever(net: RevealingChain) -> None:
    used = [link(net, 0, 0), link(net, 0, 1)]
    for number in (0, 1, 0, 2):
        net.block_by(number)
    net.turn_of(0)
    for old in used:
        assert not net.chain.accepts(reveal_transaction(old))
    assert net.chain.accepts(reveal_transaction(link(net, 0, 2)))


@pytest.mark.parametrize(
    "answer",
    [lambda onion, used: None, lambda onion, used: bytes(32), lambda onion, used: b"", lambda onion, used: onion],
)
def test_a_node_that_knows_no_link_that_others_would_take_is_silent(
    net: RevealingChain, answer: Callable[[bytes, int], bytes | None]
) -> None:
    net.turn_of(0)
    net.chain.application.local = LocalNode(reveal=answer)
    assert net.chain.propose() == []
    assert net.chain.accepts()


def test_the_application_asks_its_node_for_the_onion_in_force_and_how_much_of_it_is_used(net: RevealingChain) -> None:
    asked: list[tuple[bytes, int]] = []
    for number in (0, 1, 0, 2):
        net.block_by(number)
    net.turn_of(0)
    net.chain.application.local = LocalNode(reveal=lambda onion, used: asked.append((onion, used)))
    net.chain.propose()
    assert asked == [(link(net, 0, 1), 2)]
    assert next_onion(link(net, 0, 2)) == link(net, 0, 1)


# --- Proposals


def test_its_bytes_count_among_those_that_cometbft_allows(net: RevealingChain) -> None:
    raw, own = ALICE.transaction(Burn(1)), reveal_transaction(link(net, 0, 0))
    sizes = [len(pb.ResponsePrepareProposal(txs=[each]).SerializeToString()) for each in (own, raw)]
    assert sizes[0] == 38
    assert net.propose_by(0, raw, max_tx_bytes=sum(sizes)) == [own, raw]
    assert net.propose_by(0, raw, max_tx_bytes=sum(sizes) - 1) == [own]
    assert net.propose_by(0, raw, max_tx_bytes=sizes[0] - 1) == []


def test_the_own_proposal_is_executed_once(net: RevealingChain, monkeypatch: pytest.MonkeyPatch) -> None:
    proposal = net.propose_by(0, ALICE.transaction(Burn(1)))

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("executed again")

    monkeypatch.setattr("abci_app.chain.application.execute_block", fail)
    assert net.chain.accepts(*proposal)
    net.chain.application.work_ahead()
    assert [result.code for result in net.chain.decide(*proposal).tx_results] == [0, 0]


@pytest.mark.parametrize("again", ["prepared", "processed", "finalized"])
def test_a_restart_at_any_point_of_a_block_gives_the_same_reveal_and_the_same_hash(
    monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    hashes = []
    for restarts in (False, True):
        net = RevealingChain.start(monkeypatch)
        for turn in range(6):
            proposal = net.propose_by(turn % 4)
            for step in ("prepared", "processed", "finalized"):
                if step == "processed":
                    assert net.chain.accepts(*proposal)
                if step == "finalized":
                    net.chain.finalize(*proposal)
                if restarts and step == again:
                    net.chain.application.discard_uncommitted()
                    assert net.propose_by(turn % 4) == proposal
            net.chain.decide(*proposal)
            net.take_votes(0)
        hashes.append(net.chain.hashes)
        assert net.beacon.reveals == 5
    assert hashes[0] == hashes[1]


def test_a_node_that_saw_neither_proposal_nor_reveal_comes_to_the_same_state(
    net: RevealingChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    for turn in range(7):
        net.block_by(turn % 4, silent=turn == 3, decided_round=turn % 3 // 2)
    assert replay(net.chain) == net.chain.hashes


def test_a_chain_without_onions_takes_no_reveal_from_anybody() -> None:
    """By the registry's own modules."""
    chain = Chain.start()
    chain.proposer = b"\x01" * 20
    assert chain.propose() == []
    (result,) = chain.block(reveal_transaction(bytes(32)))
    assert result.code == BeaconCode.NO_ONION
