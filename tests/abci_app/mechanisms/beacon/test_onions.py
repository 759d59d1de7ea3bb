"""Onions: the first is in force at once, another one two epochs later, and the last reveal of one is its end."""

import pytest

from abci_app.chain.queries import LocalNode
from abci_app.mechanisms import beacon
from abci_app.mechanisms.beacon import OnionInForce, OnionQuery, next_onion, reveal_transaction
from abci_app.mechanisms.beacon.records import NEW_BEACON, next_value
from abci_app.module import HookContext
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from tests.kit.revealing import Revealer, RevealingChain

EPOCH_BLOCKS = 10
LATER = Revealer.named("a later onion")


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> RevealingChain:
    return RevealingChain.start(monkeypatch, length=4)


def set_by(net: RevealingChain, number: int, onion: bytes) -> list[int]:
    """Set an onion in the next block, of two epochs of ten blocks; the height at which it is in force comes later."""
    heights: list[int] = []

    def deed(state: Overlay, context: HookContext) -> None:
        heights.append(beacon.set_onion(state, context.block, net.revealers[number].owner, onion))

    net.module.at(net.chain.next_height, deed)
    return heights


def in_force(net: RevealingChain, number: int, height: int) -> OnionInForce | None:
    return beacon.onion_in_force(net.chain.application.store, net.revealers[number].owner, height)


def test_the_first_onion_is_in_force_at_once_and_a_later_one_two_epochs_after(net: RevealingChain) -> None:
    first = net.revealers[0].onion
    assert in_force(net, 0, 2) == OnionInForce(first, 0)
    heights = set_by(net, 0, LATER.onion)
    net.block_by(1)
    height = 2 + 2 * 50_000
    assert set(heights) == {height}
    assert in_force(net, 0, height - 1) == OnionInForce(first, 0)
    assert in_force(net, 0, height) == OnionInForce(LATER.onion, 0)


def test_an_onion_that_waits_is_replaced_and_its_time_begins_anew(net: RevealingChain) -> None:
    set_by(net, 0, LATER.onion)
    net.block_by(1)
    heights = set_by(net, 0, b"\x05" * 32)
    net.block_by(1)
    assert set(heights) == {3 + 2 * 50_000}
    assert in_force(net, 0, 2 + 2 * 50_000) == OnionInForce(net.revealers[0].onion, 0)
    assert in_force(net, 0, heights[0]) == OnionInForce(b"\x05" * 32, 0)


@pytest.fixture
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> RevealingChain:
    short = {"epochs": {"epoch_blocks": EPOCH_BLOCKS}, "governance": {"voting_blocks": 20}}
    return RevealingChain.start(monkeypatch, parameters=short)


def test_reveals_go_over_from_one_onion_to_the_next(short_epochs: RevealingChain) -> None:
    net = short_epochs
    heights = set_by(net, 0, LATER.onion)
    for _ in range(19):
        net.block_by(0)
    assert (set(heights), net.chain.height, net.used(0)) == ({22}, 20, 18)
    old = net.revealers[0]
    net.revealers[0] = Revealer(old.name, (*LATER.links,))
    # Block 21 shows the old onion's link, block 22 the first one of the new onion; both count.
    net.turn_of(0)
    net.chain.application.local = node_of(old)
    twentieth = net.chain.propose()
    assert twentieth == [reveal_transaction(old.links[64 - 19 - 1])]
    net.chain.decide(*twentieth)
    net.take_votes(0)
    assert net.propose_by(0) == [reveal_transaction(LATER.links[-2])]
    net.block_by(0)
    net.block_by(0)
    assert net.beacon.reveals == 21
    assert (net.used(0), net.chain.violations()) == (1, [])


def node_of(revealer: Revealer) -> LocalNode:
    return LocalNode(reveal=revealer.reveal)


def test_an_onion_that_is_used_up_is_silence(net: RevealingChain) -> None:
    for _ in range(5):
        net.block_by(0)
    assert net.used(0) == 4
    assert in_force(net, 0, net.chain.next_height) == OnionInForce(net.revealers[0].links[0], 4)
    assert net.propose_by(0) == []
    assert [event.type for event in net.block_by(0).events] == ["proposer_silent"]


def test_who_lost_its_onion_reveals_no_more_but_what_it_showed_counts(net: RevealingChain) -> None:
    """Else to leave in the block of one's reveal would be to withhold it for nothing."""
    shown = net.revealers[0].links[-2]

    def remove(state: Overlay, context: HookContext) -> None:
        beacon.remove_onion(state, net.revealers[0].owner)

    net.module.at_end(net.chain.next_height, remove)
    net.block_by(0)
    assert net.propose_by(0) == []
    assert list(net.block_by(0).events) == []
    assert net.beacon.value == next_value(NEW_BEACON.value, shown)
    assert in_force(net, 0, net.chain.height) is None


def test_an_onion_set_anew_in_between_is_not_replaced_by_the_old_ones_reveal(net: RevealingChain) -> None:
    def begin_anew(state: Overlay, context: HookContext) -> None:
        beacon.remove_onion(state, net.revealers[0].owner)
        beacon.set_onion(state, context.block, net.revealers[0].owner, LATER.onion)

    net.module.at_end(net.chain.next_height, begin_anew)
    net.block_by(0)
    net.block_by(1)
    assert net.beacon.reveals == 1
    assert in_force(net, 0, net.chain.height) == OnionInForce(LATER.onion, 0)


def test_the_same_key_rotated_reveals_the_same_onion(net: RevealingChain) -> None:
    """Onions are an operator's: a rotated key goes on, and the old one's last block owes its reveal, too."""
    net.block_by(0)
    rotated = b"\x77" * 20
    net.module.owners[rotated] = net.revealers[0].owner
    net.chain.proposer = rotated
    net.chain.application.local = node_of(net.revealers[0])
    proposal = net.chain.propose()
    assert proposal == [reveal_transaction(net.revealers[0].links[-3])]
    net.chain.decide(*proposal)
    net.take_votes(0)
    net.block_by(0)
    assert net.used(0) == 2


def test_anybody_can_ask_for_an_onion(net: RevealingChain) -> None:
    net.block_by(0)
    net.block_by(1)
    owner = net.revealers[0].owner
    found = net.chain.query("/query/beacon/onion", encode(OnionQuery(owner)))
    assert found.code == 0
    assert net.revealers[0].links[-2] in found.value
    unknown = net.chain.query("/query/beacon/onion", encode(OnionQuery(bytes(32))))
    assert unknown.log == f"{bytes(32).hex()} has no onion: its validator reveals nothing"
    assert next_onion(net.revealers[0].links[-2]) == net.revealers[0].onion
