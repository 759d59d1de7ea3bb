"""Deadlines on the real way of a block: run in order, bounded, one by one, and nothing of them can stop the chain."""

from dataclasses import replace
from typing import Any

import pytest

from abci_app.errors import InvariantBroken, MachineFailure, Rejected
from abci_app.mechanisms.deadlines import (
    BUDGETS,
    COUNTS,
    CURSORS,
    ENTRIES,
    STUCK,
    Count,
    Cursor,
    Deadline,
    DeadlinesCode,
    Stuck,
    kinds_by_number,
    retry_stuck,
    run_deadlines,
    schedule,
)
from abci_app.mechanisms.module import DueQuery, DueView, StuckPage, StuckQuery, entries_are_counted
from abci_app.module import Alarm, HookContext
from abci_app.modules.bank import Burn
from abci_app.state.overlay import Overlay
from tests.kit.chain import Chain, accounts_with, replay
from tests.kit.modules.ledger import ask
from tests.kit.scheduled import JOBS, KIND_OF_LANE, Job, JobCode, Jobs, job_id, raises
from tests.kit.signing import Signer

ALICE = Signer.named("alice")
REFUSAL = Rejected(JobCode.NOT_NOW, "not now")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    return Jobs().register(monkeypatch)


def start() -> Chain:
    ALICE.sequence = 0
    return Chain.start(accounts_with(10**9, [ALICE]))


def run_to(chain: Chain, height: int) -> Chain:
    """Every block is proposed, judged and decided; all three ways must agree."""
    while chain.height < height:
        raw = ALICE.transaction(Burn(1), sequence=chain.account(ALICE.address).sequence)
        proposal = chain.propose(raw)
        assert proposal == [raw]
        assert chain.accepts(*proposal)
        chain.block(*proposal)
    return chain


def job(chain: Chain, number: int) -> Job | None:
    return JOBS.get(chain.application.store, job_id(number))


def events(response: Any) -> list[tuple[str, dict[str, str]]]:
    return [(event.type, {each.key: each.value for each in event.attributes}) for event in response.events]


def no_faults(chain: Chain) -> bool:
    return entries_are_counted(chain.application.store) == []


def test_a_job_runs_at_its_height_and_leaves_no_entry(jobs: Jobs) -> None:
    jobs.plan = {1: [(1, 7, 3)]}
    chain = run_to(start(), 2)
    assert (job(chain, 7), no_faults(chain)) == (Job(3, 0, 0), True)
    response = chain.decide()
    assert events(response) == [("job_done", {"job": job_id(7).hex()})]
    assert job(chain, 7) == Job(0, 1, 0)
    # The epoch's end alone waits.
    assert [ENTRIES.split_key(key)[:2] for key in chain.state() if key.startswith(ENTRIES.prefix)] == [(0, 50_001)]


def test_what_is_due_already_is_due_in_the_next_block(jobs: Jobs) -> None:
    jobs.plan = {2: [(1, 1, 0), (1, 2, 2)]}
    chain = run_to(start(), 3)
    assert (job(chain, 1), job(chain, 2)) == (Job(0, 1, 0), Job(0, 1, 0))


@pytest.mark.parametrize("lane", [0, 1, 2])
def test_a_block_runs_no_more_than_its_budget_and_the_next_ones_the_rest_in_order(jobs: Jobs, lane: int) -> None:
    budget = BUDGETS[lane]
    total = 2 * budget + budget // 2 + 1
    ran: list[bytes] = []
    jobs.deeds["handler"] = lambda state, context, job: ran.append(job)
    jobs.plan = {1: [(lane, number, 3) for number in range(total)]}
    chain = start()
    for _ in range(2):
        chain.block()
    done = []
    for _ in range(4):
        ran.clear()
        chain.block()
        done.append(list(ran))
        assert no_faults(chain)
    assert [len(each) for each in done] == [budget, budget, total - 2 * budget, 0]
    assert [each for block in done for each in block] == [job_id(number) for number in range(total)]
    assert CURSORS.get(chain.application.store, lane) is None


THOUSAND = 1_000


def test_a_thousand_due_at_once_in_every_lane_run_in_bounded_blocks_each_exactly_once(jobs: Jobs) -> None:
    """Jobs of one height: of each lane every second one is refused and falls back, every tenth meets a bug."""
    ran: list[int] = []

    def deed(state: Overlay, context: HookContext, job: bytes) -> None:
        number = int.from_bytes(job, "big")
        ran.append(number)
        if number % 10 == 0:
            raise KeyError("bug")
        if number % 2 == 0:
            raise REFUSAL

    jobs.deeds["handler"] = deed
    jobs.plan = {1: [(lane, lane * THOUSAND + number, 2) for number in range(THOUSAND) for lane in BUDGETS]}
    chain = start()
    chain.block()
    blocks: list[list[int]] = []
    while len(blocks) < THOUSAND // BUDGETS[2]:
        ran.clear()
        chain.block()
        blocks.append(list(ran))
    for lane, budget in BUDGETS.items():
        mine = [[number for number in block if number // THOUSAND == lane] for block in blocks]
        assert max([len(block) for block in mine]) == budget
        assert [number for block in mine for number in block] == list(range(lane * THOUSAND, (lane + 1) * THOUSAND))
    chain.block()
    stuck = [each.deadline.object for _, each in STUCK.iterate(chain.application.store)]
    assert sorted(stuck) == [job_id(number) for number in range(3 * THOUSAND) if number % 10 == 0]
    done = {number: job(chain, number) for number in range(3 * THOUSAND)}
    assert {number for number, each in done.items() if each == Job(0, 1, 0)} == set(range(1, 3 * THOUSAND, 2))
    fallen_back = {number for number in range(0, 3 * THOUSAND, 2) if number % 10}
    assert {number for number, each in done.items() if each == Job(0, 0, 1)} == fallen_back
    assert no_faults(chain)


def test_a_backlog_delays_no_other_lane(jobs: Jobs) -> None:
    jobs.plan = {1: [*[(2, number, 2) for number in range(20)], (1, 100, 2), (0, 101, 2)]}
    chain = run_to(start(), 2)
    assert (job(chain, 100), job(chain, 101)) == (Job(0, 1, 0), Job(0, 1, 0))
    assert CURSORS.get(chain.application.store, 2) == Cursor(2, 4)
    assert COUNTS.get(chain.application.store, 2, 2) == Count(20)


def test_work_that_is_scheduled_while_a_lane_is_behind_waits_for_its_turn(jobs: Jobs) -> None:
    jobs.plan = {1: [(2, number, 2) for number in range(6)], 2: [(2, 50, 3)]}
    chain = run_to(start(), 3)
    # Four of the six in block 2; the other two and then the later one in block 3.
    assert [job(chain, number) for number in (0, 5, 50)] == [Job(0, 1, 0)] * 3


def test_heights_without_work_are_caught_up_a_bounded_number_a_block(jobs: Jobs) -> None:
    chain = start()
    for _ in range(3):
        chain.block()
    state = Overlay(chain.application.store)
    context = HookContext(replace(chain.application._context(500, 0)))
    CURSORS.set(state, 2, Cursor(4, 0))
    run_deadlines(state, context, kinds_by_number(jobs.kinds.values()))
    assert CURSORS.get(state, 2) == Cursor(4 + 64, 0)


def test_an_entry_that_its_object_no_longer_names_is_stale_and_does_nothing(jobs: Jobs) -> None:
    jobs.plan = {1: [(1, 7, 3)], 2: [(1, 7, 5)]}  # scheduled again: the first entry stays where it is
    chain = run_to(start(), 4)
    assert job(chain, 7) == Job(5, 0, 0)
    run_to(chain, 5)
    assert job(chain, 7) == Job(0, 1, 0)


def test_stale_entries_cost_no_budget_and_are_bounded_all_the_same(jobs: Jobs) -> None:
    jobs.plan = {
        1: [*[(2, number, 3) for number in range(100)], (2, 999, 3)],
        2: [(2, number, 9) for number in range(100)],
    }
    chain = run_to(start(), 3)
    cursor = CURSORS.get(chain.application.store, 2)
    assert cursor is not None
    assert cursor.height == 3
    assert 16 <= cursor.index <= 64
    run_to(chain, 5)
    assert job(chain, 999) == Job(0, 1, 0)


def test_a_refusal_drops_the_work_says_so_and_takes_the_fallback(jobs: Jobs) -> None:
    jobs.deeds["handler"] = raises(REFUSAL, 7)
    jobs.plan = {1: [(1, 7, 2), (1, 8, 2)]}
    chain = start()
    chain.block()
    assert events(chain.decide()) == [
        ("deadline_refused", {"kind": "201", "object": job_id(7).hex(), "number": "0", "code": "9000"}),
        ("job_done", {"job": job_id(8).hex()}),
    ]
    assert (job(chain, 7), job(chain, 8)) == (Job(0, 0, 1), Job(0, 1, 0))
    assert STUCK.get(chain.application.store, 1) is None


def test_a_bug_is_put_aside_listed_and_alarmed_and_the_chain_goes_on(jobs: Jobs) -> None:
    heard: list[Alarm] = []
    jobs.deeds["handler"] = raises(KeyError("bug"), 7)
    jobs.plan = {1: [(1, 7, 2), (1, 8, 2)]}
    chain = start()
    chain.application.local = replace(chain.application.local, alarm=heard.append)
    chain.block()
    assert events(chain.decide()) == [
        ("deadline_stuck", {"kind": "201", "object": job_id(7).hex(), "number": "0", "stuck": "1"}),
        ("job_done", {"job": job_id(8).hex()}),
    ]
    stuck = Stuck(number=1, lane=1, due_height=2, stuck_height=2, deadline=Deadline(201, job_id(7), 0))
    with chain.application.store.latest() as version:
        assert ask(version, "deadlines", "stuck", StuckQuery(0, 10)) == StuckPage((stuck,), 0)
    assert job(chain, 7) == Job(2, 0, 0)  # nothing of the handler's writes
    (alarm,) = heard
    assert "deadline of kind 201" in alarm.text
    assert isinstance(alarm.error, KeyError)
    run_to(chain, 6)
    assert len(heard) == 1


def test_what_was_put_aside_can_be_run_again_once_and_fails_under_a_new_number(jobs: Jobs) -> None:
    jobs.deeds["handler"] = raises(KeyError("bug"))
    jobs.plan = {1: [(1, 7, 2)]}
    retried: list[int] = []

    def retry(state: Overlay, context: HookContext, job: bytes) -> None:
        for number in retried:
            retry_stuck(state, context, kinds_by_number(jobs.kinds.values()), number)

    jobs.deeds["end"] = retry
    chain = run_to(start(), 3)
    retried.append(1)
    chain.block()
    assert [number for (number,), _ in STUCK.iterate(chain.application.store)] == [2]
    retried[:] = [2]
    del jobs.deeds["handler"]
    chain.block()
    assert (job(chain, 7), list(STUCK.iterate(chain.application.store))) == (Job(0, 1, 0), [])
    response = chain.decide()  # 2 is no longer there: the hook is refused as expected
    assert events(response) == [("hook_refused", {"hook": "jobs.end_block", "code": str(int(DeadlinesCode.NOT_STUCK))})]


PLACES = ["handler", "fallback", "due"]
BUGS = [
    InvariantBroken("x"), KeyError("x"), ValueError("x"), AssertionError("x"), StopIteration(), ZeroDivisionError(),
    LookupError("x"),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bug", [*BUGS, REFUSAL], ids=repr)
@pytest.mark.parametrize("lane", [0, 1, 2])
def test_whatever_raises_at_whatever_place_the_chain_goes_on_alike_everywhere(
    jobs: Jobs, place: str, bug: Exception, lane: int
) -> None:
    """Two nodes and a replay have the same hashes; the neighbours of the job that fails run."""
    jobs.deeds[place] = raises(bug, 1, 3)
    if place == "fallback":
        jobs.deeds["handler"] = raises(REFUSAL, 1, 3)
    jobs.plan = {1: [(lane, number, 3) for number in range(5)]}
    chain = run_to(start(), 8)
    assert [job(chain, number) for number in (0, 2, 4)] == [Job(0, 1, 0)] * 3
    stuck = [deadline.deadline.object for _, deadline in STUCK.iterate(chain.application.store)]
    is_refusal_with_fallback = bug is REFUSAL and place != "fallback"
    assert stuck == ([] if is_refusal_with_fallback else [job_id(1), job_id(3)])
    assert no_faults(chain)
    assert replay(chain) == chain.hashes
    other = start()
    for request in chain.requests:
        other.commit_block(request)
    assert other.state() == chain.state()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), OSError("disk"), MachineFailure("page")], ids=repr)
def test_errors_of_the_machine_stop_the_node_and_leave_nothing(jobs: Jobs, place: str, error: Exception) -> None:
    jobs.plan = {1: [(1, 1, 3)]}
    chain = run_to(start(), 2)
    before = chain.state()
    jobs.deeds[place] = raises(error)
    if place == "fallback":
        jobs.deeds["handler"] = raises(REFUSAL)
    for way in (chain.propose, chain.accepts, chain.finalize):
        with pytest.raises(type(error)):
            way()
    assert chain.state() == before
    jobs.deeds.clear()
    chain.block()
    assert job(chain, 1) == Job(0, 1, 0)


def test_a_kind_that_nobody_handles_is_put_aside(jobs: Jobs) -> None:
    chain = start()
    chain.block()
    state = Overlay(chain.application.store)
    unknown = replace(jobs.kinds[1], number=99)
    schedule(state, 1, unknown, 2, job_id(1))
    context = HookContext(chain.application._context(2, 0))
    run_deadlines(state, context, {})
    assert [stuck.deadline for _, stuck in STUCK.iterate(state)] == [Deadline(99, job_id(1), 0)]
    assert len(context.alarms) == 1


def test_an_entry_that_is_counted_and_missing_is_alarmed_and_passed_over(jobs: Jobs) -> None:
    jobs.plan = {1: [(1, 1, 2), (1, 2, 2)]}
    chain = start()
    chain.block()
    state = Overlay(chain.application.store)
    ENTRIES.delete(state, 1, 2, 0)
    assert entries_are_counted(state) == []  # a count above the entries is what a backlog leaves
    ENTRIES.delete(state, 1, 2, 1)
    ENTRIES.set(state, 1, 2, 0, Deadline(KIND_OF_LANE[1], job_id(1), 0))
    assert entries_are_counted(state) == ["lane 1 at height 2 counts 2 deadlines, holds [0]"]
    context = HookContext(chain.application._context(2, 0))
    run_deadlines(state, context, kinds_by_number(jobs.kinds.values()))
    assert JOBS.get(state, job_id(1)) == Job(0, 1, 0)
    assert len(context.alarms) == 1


def test_what_waits_can_be_asked(jobs: Jobs) -> None:
    jobs.plan = {1: [(2, number, 2) for number in range(6)]}
    chain = run_to(start(), 2)
    with chain.application.store.latest() as version:
        waiting = tuple([Deadline(KIND_OF_LANE[2], job_id(number), 0) for number in (4, 5)])
        assert ask(version, "deadlines", "due", DueQuery(2, 2)) == DueView(waiting, 2, 4)


def test_kinds_have_different_numbers_and_lanes_that_exist(jobs: Jobs) -> None:
    kind = jobs.kinds[1]
    for wrong in ([kind, replace(kind, name="other")], [replace(kind, lane=3)]):
        with pytest.raises(ValueError, match="deadline kind"):
            kinds_by_number(wrong)


def test_validator_updates_of_work_that_failed_are_not_handed_out(jobs: Jobs) -> None:
    def change_power(state: Overlay, context: HookContext, job: bytes) -> None:
        context.set_power(job[:31] + b"\x01", 5)
        if job == job_id(1):
            raise KeyError("bug")

    jobs.deeds["handler"] = change_power
    jobs.plan = {1: [(0, 1, 2), (0, 2, 2)]}
    chain = start()
    chain.block()
    response = chain.decide()
    assert [(each.pub_key.ed25519, each.power) for each in response.validator_updates] == [
        (job_id(2)[:31] + b"\x01", 5)
    ]
