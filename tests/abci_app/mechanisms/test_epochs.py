"""Epochs on the real way of a block: they end in time with any fault in what modules do then, and fees add up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.accounts import ACCOUNTS, Account, get_account
from abci_app.errors import InvariantBroken, Rejected
from abci_app.integers import NumbersRefused
from abci_app.mechanisms.deadlines import ENTRIES, STUCK, Deadline
from abci_app.mechanisms.epochs import (
    EPOCH,
    EPOCH_BLOCKS,
    FEES_TO_VALIDATORS,
    MAX_PAYEES,
    MODULE,
    NO_OBJECT,
    PARAMETERS,
    TICK_KIND,
    Epoch,
    EpochQuery,
    EpochsCode,
    current,
    distribute,
    note_spent,
    the_epoch_is_in_order,
    the_epoch_will_end,
)
from abci_app.mechanisms.hooks import FAILING, FailingHook
from abci_app.mechanisms.payees import set_payee
from abci_app.module import FEES_ACCOUNT, TREASURY_ACCOUNT, Alarm, HookContext
from abci_app.modules.bank import Burn
from abci_app.parameters import write_parameters
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from abci_app.types import PPB
from tests.kit.chain import replay, treasury_nopen
from tests.kit.modules.corruption import delete
from tests.kit.modules.corruption import replace as replacing
from tests.kit.modules.drafts import digest
from tests.kit.modules.ledger import ALICE, BOB, EVERYBODY, FREE, FUNDS, Ledger
from tests.kit.scheduled import JOBS, Job, JobCode, Jobs, job_id, raises

BLOCKS = 10
# An election may last as many epochs as powers are kept apart: short epochs, short elections.
SHORT: dict[str, dict[str, int]] = {"epochs": {"epoch_blocks": BLOCKS}, "governance": {"voting_blocks": 20}}
TREASURY_NOPEN = treasury_nopen(FUNDS * len(EVERYBODY))


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    return Jobs().register(monkeypatch)


def start() -> Ledger:
    return Ledger.start(parameters={**SHORT, "fees": FREE})


def run_to(ledger: Ledger, height: int) -> None:
    while ledger.height < height:
        ledger.chain.block()


def epoch_at(number: int, start_height: int, **changes: int) -> Epoch:
    fields = {
        "number": number,
        "start_height": start_height,
        "end_height": start_height + BLOCKS,
        "treasury_start_nopen": TREASURY_NOPEN,
        "spent_nopen": 0,
        **changes,
    }
    return Epoch(**fields)


def test_genesis_begins_epoch_0_and_schedules_its_end() -> None:
    ledger = start()
    assert EPOCH.get(ledger.store) == epoch_at(0, 1)
    assert list(ENTRIES.iterate(ledger.store)) == [((0, 11, 0), Deadline(TICK_KIND, NO_OBJECT, 0))]
    assert ledger.violations() == []


def test_an_epoch_ends_with_its_last_block_and_the_next_begins(jobs: Jobs) -> None:
    seen: list[Epoch] = []
    jobs.deeds["epoch"] = lambda state, context, _: seen.append(current(state))
    ledger = start()
    run_to(ledger, 10)
    assert (EPOCH.get(ledger.store), seen) == (epoch_at(0, 1), [])
    response = ledger.chain.decide()
    events = [(event.type, {each.key: each.value for each in event.attributes}) for event in response.events]
    assert events == [("epoch_began", {"number": "1", "end_height": "21"})]
    assert (EPOCH.get(ledger.store), seen) == (epoch_at(1, 11), [epoch_at(0, 1)])
    assert list(ENTRIES.iterate(ledger.store)) == [((0, 21, 0), Deadline(TICK_KIND, NO_OBJECT, 1))]
    run_to(ledger, 45)
    assert EPOCH.get(ledger.store) == epoch_at(4, 41)
    assert [epoch.number for epoch in seen] == [0, 1, 2, 3]
    assert ledger.ask("epochs", "current", EpochQuery()) == epoch_at(4, 41)
    assert ledger.violations() == []
    assert replay(ledger.chain) == ledger.chain.hashes


def test_a_changed_length_acts_from_the_next_epoch_on(jobs: Jobs) -> None:
    def change(state: Overlay, context: HookContext, _: bytes) -> None:
        if context.height == 5:
            values = {**context.block.parameters.values, ("epochs", EPOCH_BLOCKS.index): 30}
            write_parameters(state, (PARAMETERS,), replace(context.block.parameters, values=values))

    jobs.deeds["begin"] = change
    ledger = start()
    run_to(ledger, 20)
    assert EPOCH.get(ledger.store) == epoch_at(1, 11, end_height=41)


def test_spending_is_counted_until_the_epoch_ends(jobs: Jobs) -> None:
    def spend(state: Overlay, context: HookContext, _: bytes) -> None:
        if context.height in (3, 4):
            note_spent(state, context.height)

    jobs.deeds["begin"] = spend
    ledger = start()
    run_to(ledger, 5)
    assert EPOCH.get(ledger.store) == epoch_at(0, 1, spent_nopen=7)
    run_to(ledger, 11)
    assert EPOCH.get(ledger.store) == epoch_at(1, 11)


# --- Faults


@pytest.mark.parametrize("error", [KeyError("bug"), AssertionError(), Rejected(JobCode.NOT_NOW, "later")], ids=repr)
def test_a_hook_that_fails_costs_its_own_writes_and_the_next_epoch_begins(jobs: Jobs, error: Exception) -> None:
    def write_and_fail(state: Overlay, context: HookContext, _: bytes) -> None:
        JOBS.set(state, job_id(1), Job(1, 1, 1))
        context.set_power(bytes(32), 1)
        raise error

    jobs.deeds["epoch"] = write_and_fail
    heard: list[Alarm] = []
    ledger = start()
    ledger.chain.application.local = replace(ledger.chain.application.local, alarm=heard.append)
    run_to(ledger, 10)
    response = ledger.chain.decide()
    expected = isinstance(error, Rejected)
    assert [event.type for event in response.events] == ["hook_refused" if expected else "hook_failed", "epoch_began"]
    assert len(response.validator_updates) == 0
    assert JOBS.get(ledger.store, job_id(1)) is None
    failing = FailingHook("jobs.epoch_end", 11, 1)
    assert [hook for _, hook in FAILING.iterate(ledger.store)] == ([] if expected else [failing])
    assert [alarm.text.split(" raised")[0] for alarm in heard] == (
        [] if expected else ["hook jobs.epoch_end at height 11"]
    )
    run_to(ledger, 20)
    assert len(list(FAILING.iterate(ledger.store))) == (0 if expected else 1)
    del jobs.deeds["epoch"]
    run_to(ledger, 21)
    assert EPOCH.get(ledger.store) == epoch_at(2, 21)
    assert (list(FAILING.iterate(ledger.store)), list(STUCK.iterate(ledger.store))) == ([], [])


def test_errors_of_the_machine_in_an_epochs_hook_stop_the_node(jobs: Jobs) -> None:
    jobs.deeds["epoch"] = raises(MemoryError())
    ledger = start()
    run_to(ledger, 10)
    for way in (ledger.chain.propose, ledger.chain.accepts, ledger.chain.finalize):
        with pytest.raises(MemoryError):
            way()
    assert ledger.height == 10


def test_an_epoch_waits_while_its_lane_is_behind(jobs: Jobs) -> None:
    """Lane 0 runs 256 entries a block; these were scheduled before the second epoch's end."""
    jobs.plan = {2: [(0, number, 21) for number in range(300)]}
    ledger = start()
    run_to(ledger, 21)
    assert EPOCH.get(ledger.store) == epoch_at(1, 11)
    run_to(ledger, 22)
    assert EPOCH.get(ledger.store) == epoch_at(2, 22)
    assert the_epoch_will_end(ledger.store) == []


def test_an_epoch_that_began_in_no_genesis_is_said() -> None:
    with pytest.raises(InvariantBroken, match="not started by these rules"):
        current(EmptyView())
    assert the_epoch_will_end(EmptyView()) == ["no epoch has begun"]


def test_an_epoch_that_would_never_end_is_found() -> None:
    ledger = start()
    state = Overlay(ledger.store)
    delete(ENTRIES, 0, 11, 0)(state)
    assert the_epoch_will_end(state) == ["epoch 0 ends at height 11, its ticks wait for []"]
    replacing(EPOCH, start_height=11)(state)
    assert the_epoch_is_in_order(state) == ["epoch 0 starts at height 11 and ends at 11"]


def test_nothing_that_people_send_is_refused_for_epochs() -> None:
    assert (list(EpochsCode), MODULE.messages) == ([], {})


# --- Fees


def balances(state: Overlay, *addresses: bytes) -> list[int]:
    return [get_account(state, address).balance_nopen for address in addresses]


def with_fees(amount_nopen: int) -> Overlay:
    state = Overlay(EmptyView())
    if amount_nopen:
        ACCOUNTS.set(state, FEES_ACCOUNT, Account(0, amount_nopen, b""))
    return state


A, B, C = sorted([digest(name) for name in ("a", "b", "c")])


def test_fees_are_divided_by_largest_remainder_and_the_rest_goes_to_the_treasury() -> None:
    state = with_fees(101)
    assert distribute(state, FEES_ACCOUNT, PPB // 2, [(C, 1), (B, 1), (A, 1)]) == 50
    assert balances(state, A, B, C, TREASURY_ACCOUNT, FEES_ACCOUNT) == [17, 17, 16, 51, 0]


def test_fees_reach_the_payees_of_those_who_earned_them() -> None:
    state = with_fees(100)
    set_payee(state, A, C)
    assert distribute(state, FEES_ACCOUNT, PPB, [(A, 2), (B, 1), (C, 1)]) == 100
    assert balances(state, A, B, C, TREASURY_ACCOUNT) == [0, 25, 75, 0]
    assert ACCOUNTS.get(state, TREASURY_ACCOUNT) is None


@pytest.mark.parametrize(("part_ppb", "weights"), [(0, [(A, 1)]), (PPB, []), (PPB, [(A, 0), (B, 0)])])
def test_what_nobody_earned_goes_to_the_treasury(part_ppb: int, weights: list[tuple[bytes, int]]) -> None:
    state = with_fees(100)
    assert distribute(state, FEES_ACCOUNT, part_ppb, weights) == 0
    assert balances(state, A, B, TREASURY_ACCOUNT, FEES_ACCOUNT) == [0, 0, 100, 0]


def test_no_fees_write_nothing() -> None:
    state = with_fees(0)
    assert distribute(state, FEES_ACCOUNT, PPB, [(A, 1)]) == 0
    assert state.changes() == []


@pytest.mark.parametrize(
    ("part_ppb", "weights", "error"),
    [
        (PPB + 1, [(A, 1)], InvariantBroken),
        (-1, [(A, 1)], InvariantBroken),
        (PPB, [(digest(str(number)), 1) for number in range(MAX_PAYEES + 1)], InvariantBroken),
        (PPB, [(A, 1), (A, 1)], NumbersRefused),
        (PPB, [(A, -1)], NumbersRefused),
    ],
)
def test_a_division_that_makes_no_sense_is_a_bug(
    part_ppb: int, weights: list[tuple[bytes, int]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        distribute(with_fees(100), FEES_ACCOUNT, part_ppb, weights)


@given(
    amount=st.integers(0, 10**18),
    part=st.one_of(st.integers(0, PPB), st.sampled_from([0, 1, PPB // 3, PPB])),
    weights=st.lists(st.one_of(st.integers(0, 3), st.integers(0, 10**18)), max_size=MAX_PAYEES),
)
def test_every_division_is_exact_and_nobody_gets_a_whole_nopen_too_much(
    amount: int, part: int, weights: list[int]
) -> None:
    state = with_fees(amount)
    people = [(digest(str(number)), weight) for number, weight in enumerate(weights)]
    shared = distribute(state, FEES_ACCOUNT, part, people)
    assert shared == (amount * part // PPB if any(weights) else 0)
    got = balances(state, *[address for address, _ in people])
    assert sum(got) == shared
    assert balances(state, TREASURY_ACCOUNT, FEES_ACCOUNT) == [amount - shared, 0]
    for weight, nopen in zip(weights, got, strict=True):
        assert abs(nopen * sum(weights) - shared * weight) < max(1, sum(weights))


def test_sixty_four_payees_are_paid_in_the_tick_of_a_real_block(jobs: Jobs) -> None:
    people = [digest(str(number)) for number in range(MAX_PAYEES)]

    def pay(state: Overlay, context: HookContext, _: bytes) -> None:
        weights = [(address, number) for number, address in enumerate(people)]
        distribute(state, BOB.address, context.block.parameters[FEES_TO_VALIDATORS], weights)

    jobs.deeds["epoch"] = pay
    fee = {"fee_per_byte_nopen": 0, "fee_per_weight_nopen": 50_001}
    ledger = Ledger.start(parameters={**SHORT, "fees": fee})
    ledger.accept(ALICE, Burn(1))
    fees = get_account(ledger.store, FEES_ACCOUNT).balance_nopen
    shared = get_account(ledger.store, BOB.address).balance_nopen
    run_to(ledger, 11)
    got = [get_account(ledger.store, address).balance_nopen for address in people]
    assert sum(got) == shared // 2 > 0
    assert got == sorted(got)
    # Nobody of this chain's validators has an operator: the fees go to the treasury whole.
    assert get_account(ledger.store, FEES_ACCOUNT).balance_nopen == 0 < fees
    assert current(ledger.store).treasury_start_nopen == TREASURY_NOPEN + fees + shared - shared // 2
    assert ledger.violations() == []
