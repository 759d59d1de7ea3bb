"""Locks as modules use them: each call changes what it says and nothing else, and refuses the rest."""

from typing import Any

import pytest

from abci_app.accounts import ACCOUNTS, Account, get_account, show_address
from abci_app.errors import Code, InvariantBroken, Rejected
from abci_app.mechanisms.locks import (
    LOCKS_ACCOUNT,
    NO_OBJECT,
    Leaving,
    Lock,
    LockKey,
    LocksCode,
    Purpose,
    amount_of,
    find,
    fine,
    give_back,
    leave,
    move,
    pay,
    slash,
    take,
)
from abci_app.mechanisms.locks.ledger import split
from abci_app.mechanisms.locks.queries import account_holds_all_locks, locks_are_whole
from abci_app.mechanisms.locks.records import BY_OWNER, LOCKS
from abci_app.mechanisms.payees import set_payee
from abci_app.module import TREASURY_ACCOUNT, BlockContext
from abci_app.parameters import Parameters
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from abci_app.state.table import PRESENT
from abci_app.state.views import EmptyView
from abci_app.types import PPB
from tests.kit.modules.corruption import delete, put, replace
from tests.kit.modules.drafts import digest
from tests.kit.signing import CHAIN_ID

ALICE, BOB, CARL = digest("alice"), digest("bob"), digest("carl")
FUNDS = 1_000
BOND = LockKey(Purpose.VALIDATOR_BOND, NO_OBJECT, ALICE)
STAKE = LockKey(Purpose.CONTRIBUTION_STAKE, digest("contribution"), ALICE)
POT = LockKey(Purpose.DATANET_POT, digest("net"), digest("net"))


def block(height: int = 10, time_seconds: int = 100) -> BlockContext:
    return BlockContext(CHAIN_ID, height, time_seconds, Parameters())


@pytest.fixture
def state() -> Overlay:
    overlay = Overlay(EmptyView())
    for address in (ALICE, BOB, CARL):
        ACCOUNTS.set(overlay, address, Account(0, FUNDS, b""))
    return overlay


def holdings(state: Overlay) -> dict[str, int]:
    """Balances of everybody; what is locked must add up."""
    assert account_holds_all_locks(state) == [] == locks_are_whole(state)
    names = {"alice": ALICE, "bob": BOB, "carl": CARL, "treasury": TREASURY_ACCOUNT, "locks": LOCKS_ACCOUNT}
    return {name: get_account(state, address).balance_nopen for name, address in names.items()}


def held(alice: int = FUNDS, bob: int = FUNDS, carl: int = FUNDS, treasury: int = 0, locks: int = 0) -> dict[str, int]:
    return {"alice": alice, "bob": bob, "carl": carl, "treasury": treasury, "locks": locks}


def refused(call: Any, *arguments: Any) -> tuple[int, str]:
    with pytest.raises(Rejected) as rejection:
        call(*arguments)
    return rejection.value.code, rejection.value.text


def test_taking_writes_the_lock_its_entry_in_the_owners_list_and_two_balances(state: Overlay) -> None:
    before = dict(state.changes())
    take(state, BOND, 300)
    changes = {key: value for key, value in state.changes() if before.get(key) != value}
    assert changes == {
        ACCOUNTS.key(ALICE): encode(Account(0, FUNDS - 300, b"")),
        ACCOUNTS.key(LOCKS_ACCOUNT): encode(Account(0, 300, b"")),
        LOCKS.key(*BOND): encode(Lock(ALICE, 300, ())),
        BY_OWNER.key(ALICE, Purpose.VALIDATOR_BOND, NO_OBJECT): PRESENT,
    }
    assert (find(state, BOND), amount_of(state, BOND)) == (Lock(ALICE, 300, ()), 300)
    assert (find(state, STAKE), amount_of(state, STAKE)) == (None, 0)


def test_what_is_given_back_whole_leaves_no_lock_behind(state: Overlay) -> None:
    before = {key: value for key, value in state.changes() if value}
    take(state, BOND, 300)
    take(state, BOND, 200)
    give_back(state, BOND, 500)
    after = {key: value for key, value in state.changes() if value}
    assert after.pop(ACCOUNTS.key(LOCKS_ACCOUNT)) == encode(Account(0, 0, b""))
    assert after == before


def test_somebody_pays_into_a_pot_that_no_account_owns(state: Overlay) -> None:
    take(state, POT, 300, BOB)
    assert find(state, POT) == Lock(POT.owner, 300, ())
    pay(state, POT, CARL, 100)
    move(state, POT, STAKE, 50)
    assert (amount_of(state, POT), amount_of(state, STAKE)) == (150, 50)
    assert holdings(state) == held(bob=FUNDS - 300, carl=FUNDS + 100, locks=200)


@pytest.mark.parametrize("call", [give_back, lambda state, key, amount: leave(state, block(), key, amount, 1, 1), take])
def test_a_rule_that_returns_a_pot_to_its_owner_is_a_bug(state: Overlay, call: Any) -> None:
    take(state, POT, 300, BOB)
    with pytest.raises(InvariantBroken, match="DATANET_POT has no account"):
        call(state, POT, 1)


def test_payment_goes_to_the_payee_and_returned_money_to_the_owner(state: Overlay) -> None:
    set_payee(state, ALICE, CARL)
    take(state, BOND, 300)
    give_back(state, BOND, 100)
    pay(state, BOND, ALICE, 50)
    fine(state, BOND, 30, [(ALICE, PPB)])
    assert holdings(state) == held(alice=FUNDS - 200, carl=FUNDS + 80, locks=120)


def test_moving_between_locks_leaves_balances_as_they_are(state: Overlay) -> None:
    take(state, BOND, 300)
    before = holdings(state)
    move(state, BOND, STAKE, 300)
    assert holdings(state) == before
    assert (find(state, BOND), find(state, STAKE)) == (None, Lock(ALICE, 300, ()))
    move(state, STAKE, STAKE, 300)
    assert find(state, STAKE) == Lock(ALICE, 300, ())


@pytest.mark.parametrize(
    ("call", "verb"),
    [
        (lambda state, amount: take(state, BOND, amount), "lock"),
        (lambda state, amount: give_back(state, BOND, amount), "release"),
        (lambda state, amount: pay(state, BOND, BOB, amount), "release"),
        (lambda state, amount: move(state, BOND, STAKE, amount), "release"),
        (lambda state, amount: leave(state, block(), BOND, amount, 1, 1), "release"),
    ],
)
def test_nothing_is_no_amount(state: Overlay, call: Any, verb: str) -> None:
    take(state, BOND, 300)
    for amount in (0, -1):
        expected = (LocksCode.ZERO_AMOUNT, f"{verb} {amount} nopen: give an amount above zero")
        assert refused(call, state, amount) == expected


def test_no_more_than_there_is(state: Overlay) -> None:
    take(state, BOND, 300)
    leave(state, block(), BOND, 100, 5, 50)
    too_much = (
        LocksCode.TOO_LITTLE_LOCKED,
        f"{show_address(ALICE)} has 200 nopen locked for this, 201 are asked for: give a smaller amount",
    )
    assert refused(give_back, state, BOND, 201) == too_much
    assert refused(pay, state, BOND, BOB, 201) == too_much
    assert refused(move, state, BOND, STAKE, 201) == too_much
    assert refused(leave, state, block(), BOND, 201, 1, 1) == too_much
    assert refused(take, state, BOND, FUNDS)[0] == Code.INSUFFICIENT_FUNDS
    assert refused(pay, state, POT, BOB, 1) == (
        LocksCode.TOO_LITTLE_LOCKED, "it has 0 nopen locked for this, 1 are asked for: give a smaller amount"
    )  # fmt: skip


def test_what_leaves_stays_in_the_lock_as_entries_of_their_own(state: Overlay) -> None:
    take(state, BOND, 300)
    assert leave(state, block(10, 100), BOND, 100, 5, 50) == Leaving(100, 15, 150)
    leave(state, block(11, 101), BOND, 200, 5, 50)
    assert find(state, BOND) == Lock(ALICE, 0, (Leaving(100, 15, 150), Leaving(200, 16, 151)))
    assert amount_of(state, BOND) == 0
    assert holdings(state) == held(alice=FUNDS - 300, locks=300)


TOO_MANY = (
    "8 parts of this lock are leaving already, the oldest until height 15 and time 150: "
    "withdraw what has ended, then let more leave"
)


def test_a_ninth_entry_is_refused(state: Overlay) -> None:
    take(state, BOND, 300)
    for number in range(8):
        leave(state, block(10 + number, 100), BOND, 1, 5, 50)
    assert refused(leave, state, block(20, 200), BOND, 1, 5, 50) == (
        LocksCode.TOO_MANY_LEAVING,
        TOO_MANY,
    )


def leaving_lock(state: Overlay, amount: int, *entries: int) -> None:
    take(state, BOND, amount + sum(entries))
    for number, entry in enumerate(entries):
        leave(state, block(10 + number, 100), BOND, entry, 5, 50)


def test_a_slash_rounds_the_amount_and_every_entry_down(state: Overlay) -> None:
    leaving_lock(state, 99, 19, 10, 9)
    assert slash(state, BOND, PPB // 10, [(BOB, PPB)]) == 9 + 1 + 1 + 0
    assert find(state, BOND) == Lock(ALICE, 90, (Leaving(18, 15, 150), Leaving(9, 16, 150), Leaving(9, 17, 150)))
    assert holdings(state) == held(alice=FUNDS - 137, bob=FUNDS + 11, locks=126)


def test_a_slash_of_everything_leaves_nothing(state: Overlay) -> None:
    leaving_lock(state, 99, 19, 10)
    assert slash(state, BOND, PPB, [(TREASURY_ACCOUNT, PPB)]) == 128
    assert find(state, BOND) is None
    assert holdings(state) == held(alice=FUNDS - 128, treasury=128)


def test_a_fine_takes_from_the_amount_and_then_from_the_newest_entry(state: Overlay) -> None:
    leaving_lock(state, 50, 20, 10, 5)
    assert fine(state, BOND, 40, [(BOB, PPB)]) == 40
    assert find(state, BOND) == Lock(ALICE, 10, (Leaving(20, 15, 150), Leaving(10, 16, 150), Leaving(5, 17, 150)))
    assert fine(state, BOND, 22, [(BOB, PPB)]) == 22
    assert find(state, BOND) == Lock(ALICE, 0, (Leaving(20, 15, 150), Leaving(3, 16, 150)))
    assert fine(state, BOND, 10**12, [(BOB, PPB)]) == 23
    assert find(state, BOND) is None
    assert holdings(state) == held(alice=FUNDS - 85, bob=FUNDS + 85)


def test_slashing_and_fining_nothing_changes_nothing(state: Overlay) -> None:
    leaving_lock(state, 50, 20)
    before = state.changes()
    assert slash(state, BOND, 0, [(BOB, PPB)]) == slash(state, BOND, 1, [(BOB, PPB)]) == 0
    assert fine(state, BOND, 0, [(BOB, PPB)]) == fine(state, STAKE, 5, [(BOB, PPB)]) == 0
    assert slash(state, STAKE, PPB, [(BOB, PPB)]) == 0
    assert state.changes() == before


def test_what_is_missing_after_rounding_goes_to_the_first_receivers(state: Overlay) -> None:
    third = PPB // 3
    take(state, BOND, 100)
    assert fine(state, BOND, 5, [(CARL, 0), (BOB, third), (POT, third), (CARL, third + 1)]) == 5
    assert holdings(state) == held(alice=FUNDS - 100, bob=FUNDS + 2, carl=FUNDS + 1, locks=97)
    assert amount_of(state, POT) == 2
    assert fine(state, BOND, 5, [(BOND, PPB)]) == 5
    assert amount_of(state, BOND) == 95


@pytest.mark.parametrize("parts", [[], [PPB - 1], [PPB, 1], [PPB + 1, -1]])
def test_parts_of_receivers_that_are_not_one_are_a_bug(state: Overlay, parts: list[int]) -> None:
    with pytest.raises(InvariantBroken, match="do not sum to 1000000000"):
        split(7, parts)
    take(state, BOND, 100)
    with pytest.raises(InvariantBroken):
        slash(state, BOND, PPB, [(BOB, part) for part in parts])


def test_an_impossible_slash_or_fine_is_a_bug(state: Overlay) -> None:
    take(state, BOND, 100)
    for part_ppb in (-1, PPB + 1):
        with pytest.raises(InvariantBroken, match="slash of"):
            slash(state, BOND, part_ppb, [(BOB, PPB)])
    with pytest.raises(InvariantBroken, match="fine of -1 nopen"):
        fine(state, BOND, -1, [(BOB, PPB)])


@pytest.mark.parametrize(
    ("corrupt", "fault"),
    [
        (put(ACCOUNTS, LOCKS_ACCOUNT, Account(0, 99, b"")), "locks sum to 100 nopen, their account holds 99"),
        (replace(LOCKS, *BOND, amount_nopen=101), "locks sum to 101 nopen, their account holds 100"),
        (replace(LOCKS, *BOND, owner=BOB), f"lock 2 of {BOB.hex()} for {NO_OBJECT.hex()} lies under another owner"),
        (put(LOCKS, *STAKE, Lock(ALICE, 0, ())), "lock 4 of"),
        (replace(LOCKS, *BOND, leaving=(Leaving(0, 1, 1),)), "is empty, or an entry of it is"),
        (delete(BY_OWNER, ALICE, Purpose.VALIDATOR_BOND, NO_OBJECT), "owners list 0 locks, 1 are stored, or others"),
        (delete(LOCKS, *BOND), "owners list 1 locks, 0 are stored, or others"),
    ],
)
def test_a_damaged_book_of_locks_is_found(state: Overlay, corrupt: Any, fault: str) -> None:
    take(state, BOND, 100)
    corrupt(state)
    assert any(fault in line for line in account_holds_all_locks(state) + locks_are_whole(state))
