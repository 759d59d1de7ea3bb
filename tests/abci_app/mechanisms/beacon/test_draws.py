"""Draws: when they are made, from which value, what they wait for, and the order in which they take candidates."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.errors import InvariantBroken, Rejected
from abci_app.mechanisms import beacon
from abci_app.mechanisms.beacon import BeaconCode, Draw, ranked
from abci_app.mechanisms.beacon.module import BeaconQuery, WaitingPage, WaitingQuery, query_waiting
from abci_app.mechanisms.beacon.records import REQUESTS, DrawRequest
from abci_app.module import HookContext
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from abci_app.types import MAX_INTEGER, SUPPLY_NOPEN
from tests.kit.revealing import DRAW_KIND, RevealingChain
from tests.kit.scheduled import job_id

DELAY, LIMIT = 6, 10
PARAMETERS = {"beacon": {"draw_delay_blocks": DELAY, "draw_limit_blocks": LIMIT}}
CASE = job_id(7)


def started(monkeypatch: pytest.MonkeyPatch, **options: Any) -> RevealingChain:
    return RevealingChain.start(monkeypatch, parameters=PARAMETERS, **options)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> RevealingChain:
    return started(monkeypatch)


def go_to(net: RevealingChain, height: int, *, silent: bool = False) -> list[Any]:
    """Blocks of all validators in turn up to a height; their events of draws."""
    made = []
    while net.chain.height < height:
        turn = net.chain.next_height % len(net.revealers)
        events = net.block_by(turn, silent=silent).events
        made += [event for event in events if event.type == "draw_made"]
    return made


def test_a_draw_is_made_after_its_delay_and_its_work_runs_in_the_next_block(net: RevealingChain) -> None:
    asked = net.request(CASE, number=3, at_stake_nopen=500)
    assert go_to(net, asked + DELAY - 1) == []
    waiting = net.beacon
    assert (waiting.waiting, waiting.at_stake_nopen, waiting.first_request) == (1, 500, 1)
    (event,) = go_to(net, asked + DELAY)
    value = net.beacon.value
    assert [(attribute.key, attribute.value) for attribute in event.attributes] == [
        ("object", CASE.hex()), ("kind", str(DRAW_KIND)), ("number", "3"), ("value", value.hex()), ("weak", "0"),
    ]  # fmt: skip
    assert net.taken(CASE, 3) is None
    after = net.beacon
    assert (after.waiting, after.at_stake_nopen, after.first_request) == (0, 0, 2)
    go_to(net, asked + DELAY + 1)
    taken = net.taken(CASE, 3)
    assert taken is not None
    assert (taken.draw, taken.height) == (Draw(value, asked + DELAY, 0), asked + DELAY + 1)
    assert beacon.drawn_height(net.chain.application.store, DRAW_KIND, CASE, 3) is None


def test_the_value_is_that_before_the_block_that_draws_so_its_proposer_adds_nothing(net: RevealingChain) -> None:
    asked = net.request(CASE)
    go_to(net, asked + DELAY - 1)
    values = []
    for silent in (False, True):
        net.turn_of(0, silent=silent)
        proposal = net.chain.propose()
        (event,) = [event for event in net.chain.finalize(*proposal).events if event.type == "draw_made"]
        values.append(event.attributes[3].value)
        net.chain.application.discard_uncommitted()
    assert values[0] == values[1]


def test_a_draw_waits_for_four_reveals_since_it_was_asked_for(net: RevealingChain) -> None:
    asked = net.request(CASE)
    assert go_to(net, asked + DELAY + 2, silent=True) == []
    for number in (0, 1, 2, 3):
        assert [event.type for event in net.block_by(number).events] == []
    (event,) = net.block_by(0).events
    assert (event.type, event.attributes[4].value) == ("draw_made", "0")


@pytest.mark.parametrize("validators", [1, 2, 3, 5])
def test_where_there_are_fewer_validators_one_reveal_for_each_is_enough(
    monkeypatch: pytest.MonkeyPatch, validators: int
) -> None:
    net = started(monkeypatch, validators=validators)
    asked = net.request(CASE)
    assert go_to(net, asked + DELAY, silent=True) == []
    for turn in range(min(validators, 4)):
        assert [event.type for event in net.block_by(turn).events] == []
    assert [event.type for event in net.block_by(0).events] == ["draw_made"]


def test_after_its_limit_a_draw_is_made_anyway_and_marked_weak(monkeypatch: pytest.MonkeyPatch) -> None:
    net = started(monkeypatch, with_onions=[])
    asked = net.request(CASE)
    assert go_to(net, asked + DELAY + LIMIT - 1) == []
    (event,) = go_to(net, asked + DELAY + LIMIT)
    assert event.attributes[4].value == "1"
    go_to(net, asked + DELAY + LIMIT + 1)
    taken = net.taken(CASE)
    assert taken is not None
    assert taken.draw == Draw(bytes(32), asked + DELAY + LIMIT, 1)


def test_draws_are_made_in_order_and_as_many_as_a_block_holds(net: RevealingChain) -> None:
    asked = net.chain.next_height
    for number in range(150):
        net.request(CASE, number)
    assert go_to(net, asked + DELAY - 1) == []
    made = [[event.attributes[2].value for event in go_to(net, asked + DELAY + later)] for later in range(4)]
    assert [len(numbers) for numbers in made] == [64, 64, 22, 0]
    assert [int(number) for numbers in made for number in numbers] == list(range(150))
    go_to(net, asked + DELAY + 6)
    assert all(net.taken(CASE, number) is not None for number in range(150))
    assert (net.beacon.waiting, net.beacon.at_stake_nopen, net.chain.violations()) == (0, 0, [])


def test_what_waits_is_listed_and_counted(net: RevealingChain) -> None:
    asked = net.chain.next_height
    for number in range(3):
        net.request(CASE, number, at_stake_nopen=number)
    net.block_by(0)
    store = net.chain.application.store
    page = query_waiting(store, WaitingQuery(0, 2))
    requests = tuple(
        [
            DrawRequest(kind=DRAW_KIND, object=CASE, number=number, height=asked, reveals=0, at_stake_nopen=number)
            for number in range(3)
        ]
    )
    assert page == WaitingPage(requests[:2], 2)
    assert query_waiting(store, WaitingQuery(2, 2)) == WaitingPage(requests[2:], 0)
    answer = net.chain.query("/query/beacon/state", encode(BeaconQuery()))
    assert (answer.code, net.beacon.waiting, net.beacon.at_stake_nopen) == (0, 3, 3)
    waiting = net.chain.query("/query/beacon/waiting", encode(WaitingQuery(0, 1)))
    assert waiting.code == 0


def test_a_request_that_is_counted_wrongly_is_found(net: RevealingChain) -> None:
    net.request(CASE, at_stake_nopen=5)
    net.block_by(0)
    state = Overlay(net.chain.application.store)
    REQUESTS.delete(state, 1)
    (violations,) = [[line for invariant in beacon.MODULE.invariants for line in invariant(state)]]
    assert violations == [
        "1 requests from 1 on are counted, 0 are there", "5 nopen are at stake, requests add up to 0",
    ]  # fmt: skip


def test_more_than_can_be_counted_is_refused(net: RevealingChain) -> None:
    state = Overlay(net.chain.application.store)
    block = HookContext(net.chain.application._context(9, 0)).block
    for _ in range(9):
        beacon.request_draw(state, block, net.module.kind, CASE, 0, SUPPLY_NOPEN)
    with pytest.raises(Rejected) as refused:
        beacon.request_draw(state, block, net.module.kind, CASE, 0, SUPPLY_NOPEN)
    assert refused.value.code == BeaconCode.STAKE_TOO_LARGE
    assert refused.value.text == (
        f"draws that wait would decide about {10 * SUPPLY_NOPEN} nopen, at most {MAX_INTEGER} can be counted: try "
        "again when some are made"
    )


def test_a_draw_is_taken_once_and_only_when_it_was_made(net: RevealingChain) -> None:
    state = Overlay(net.chain.application.store)
    with pytest.raises(InvariantBroken, match="no draw was made for deadline kind 210"):
        beacon.take_draw(state, DRAW_KIND, CASE, 0)


def test_work_that_fails_keeps_its_draw_and_holds_up_no_other(
    net: RevealingChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a deadline: put aside and listed, and what it draws from is there when it is tried again."""
    work = net.module.work

    def fail(state: Overlay, context: HookContext, object_id: bytes, number: int) -> None:
        work(state, context, object_id, number)
        if number == 0:
            raise ValueError("a bug")

    monkeypatch.setattr(net.module, "work", fail)
    net.module.register(monkeypatch)
    asked = net.request(CASE, 0)
    net.request(CASE, 1)
    go_to(net, asked + DELAY + 1)
    store = net.chain.application.store
    assert (net.taken(CASE, 0), net.taken(CASE, 1) is not None) == (None, True)
    assert beacon.drawn_height(store, DRAW_KIND, CASE, 0) == asked + DELAY + 1
    assert net.beacon.waiting == 0


# --- Ranking


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=20))
def test_candidates_are_ranked_alike_however_they_are_given(value: bytes, candidates: list[bytes]) -> None:
    order = ranked(value, CASE, candidates)
    assert order == ranked(value, CASE, reversed(candidates))
    assert sorted(order) == sorted(candidates)


def test_the_order_is_that_of_the_tagged_hashes() -> None:
    from hashlib import sha256

    tag = sha256(b"openledger/draw/v1").digest()
    value, candidates = b"\x01" * 32, [job_id(number) for number in range(50)]
    expected = sorted(candidates, key=lambda each: sha256(tag + tag + value + CASE + each).digest())
    assert ranked(value, CASE, candidates) == expected
    assert ranked(b"\x02" * 32, CASE, candidates) != expected
    assert ranked(value, job_id(8), candidates) != expected


def test_every_candidate_comes_first_about_as_often() -> None:
    candidates = [job_id(number) for number in range(8)]
    firsts = [ranked(job_id(draw), CASE, candidates)[0] for draw in range(4_000)]
    assert all(400 < firsts.count(candidate) < 600 for candidate in candidates)


def test_parameters_have_their_limits() -> None:
    parameters = (beacon.DRAW_DELAY, beacon.DRAW_LIMIT, beacon.SILENT_PENALTY)
    assert [(each.minimum, each.default, each.maximum) for each in parameters] == [
        (4, 40, 10**4), (10, 1_000, 10**5), (0, 10**11, 10**13),
    ]  # fmt: skip
    assert replace(beacon.DRAW_DELAY, since=2) == beacon.DRAW_DELAY
