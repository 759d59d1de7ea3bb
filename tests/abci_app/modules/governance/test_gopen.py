"""gOPEN: locking, unlocking, delegating; power by epoch."""

import pytest

from abci_app.accounts import show_address
from abci_app.mechanisms import electorates, epochs, locks
from abci_app.mechanisms.electorates import EpochAmount, Power
from abci_app.mechanisms.locks import Leaving, Lock, Withdraw
from abci_app.modules.bank import BankCode
from abci_app.modules.governance import (
    HOLDERS,
    CastVote,
    Delegate,
    GovernanceCode,
    Holder,
    HolderQuery,
    HolderView,
    LockGopen,
    Lot,
    NoteDown,
    UnlockGopen,
    VoteChoice,
    gopen_key,
)
from abci_app.modules.governance.records import MAX_LOTS
from tests.kit.modules.hall import EPOCH, HALL_FUNDS, OPEN, UNLOCK, Hall
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA


@pytest.fixture
def hall() -> Hall:
    return Hall.begin()


def power(hall: Hall, who: bytes) -> Power:
    return electorates.find_power(hall.store, electorates.GOPEN, who) or electorates.NO_POWER


def test_locked_open_votes_one_to_one_from_the_next_epoch_on(hall: Hall) -> None:
    assert hall.accept(ALICE, LockGopen(3 * OPEN)) == [
        (
            "gopen_changed",
            {"holder": ALICE.address.hex(), "delegate": ALICE.address.hex(), "locked_nopen": str(3 * OPEN)},
        )
    ]
    assert hall.chain.balance(ALICE) == HALL_FUNDS - 3 * OPEN
    assert HOLDERS.get(hall.store, ALICE.address) == Holder(ALICE.address, (Lot(0, 3 * OPEN),))
    assert locks.find(hall.store, gopen_key(ALICE.address)) == Lock(ALICE.address, 3 * OPEN, ())
    view = hall.ask("governance", "holder", HolderQuery(ALICE.address))
    assert (view.counts_nopen, view.electorate_nopen, view.epoch) == (0, 0, 0)
    hall.wait(EPOCH)
    assert hall.ask("governance", "holder", HolderQuery(ALICE.address)) == HolderView(
        holder=Holder(ALICE.address, (Lot(0, 3 * OPEN),)),
        power=Power(0, 3 * OPEN, ()),
        counts_nopen=3 * OPEN,
        electorate_nopen=3 * OPEN,
        epoch=1,
    )
    assert hall.violations() == []


def test_what_leaves_votes_no_more_and_is_withdrawn_later(hall: Hall) -> None:
    hall.accept(ALICE, LockGopen(3 * OPEN))
    hall.wait(EPOCH)
    hall.accept(ALICE, LockGopen(2 * OPEN))
    hall.accept(ALICE, UnlockGopen(3 * OPEN))
    # The newest lot goes first, then a part of the older one.
    assert HOLDERS.get(hall.store, ALICE.address) == Holder(ALICE.address, (Lot(0, 2 * OPEN),))
    assert power(hall, ALICE.address) == Power(0, 2 * OPEN, ())
    leaving = Leaving(3 * OPEN, hall.height + UNLOCK, hall.seconds)
    assert locks.find(hall.store, gopen_key(ALICE.address)) == Lock(ALICE.address, 2 * OPEN, (leaving,))
    hall.wait(UNLOCK - 1)
    hall.accept(ALICE, Withdraw(1, b""))
    assert hall.chain.balance(ALICE) == HALL_FUNDS - 2 * OPEN
    assert hall.violations() == []


def test_a_holder_who_unlocks_all_is_forgotten(hall: Hall) -> None:
    hall.accept(ALICE, LockGopen(OPEN))
    hall.accept(ALICE, Delegate(BOB.address))
    hall.accept(ALICE, UnlockGopen(OPEN))
    assert HOLDERS.get(hall.store, ALICE.address) is None
    assert power(hall, BOB.address) == electorates.NO_POWER
    assert electorates.find_total(hall.store, electorates.GOPEN) is None
    assert hall.violations() == []


def test_a_delegate_votes_with_what_came_before_and_nobody_overrides_it(hall: Hall) -> None:
    hall.accept(ALICE, LockGopen(5 * OPEN))
    hall.accept(BOB, LockGopen(OPEN))
    hall.accept(ALICE, Delegate(BOB.address))
    hall.wait(EPOCH)
    assert power(hall, BOB.address).amount == 6 * OPEN
    number = hall.propose(CARL, NoteDown("a note", b""))
    hall.accept(BOB, CastVote(number, VoteChoice.YES))
    assert hall.proposal(number).tally.yes == 6 * OPEN
    assert hall.refuse(ALICE, CastVote(number, VoteChoice.NO)) == (
        GovernanceCode.NO_POWER,
        (
            f"{show_address(ALICE.address)} votes with no gOPEN that came before epoch 1, in which proposal {number} "
            "was submitted"
        ),
    )


def test_power_that_moves_after_a_vote_votes_with_nobody_on_that_proposal(hall: Hall) -> None:
    hall.accept(ALICE, LockGopen(5 * OPEN))
    hall.wait(EPOCH)
    number = hall.propose(CARL, NoteDown("a note", b""))
    hall.accept(ALICE, CastVote(number, VoteChoice.YES))
    hall.accept(ALICE, Delegate(BOB.address))
    code, _ = hall.refuse(BOB, CastVote(number, VoteChoice.YES))
    assert code == GovernanceCode.NO_POWER
    assert hall.proposal(number).tally.yes == 5 * OPEN
    assert hall.violations() == []


def test_a_flash_lock_has_no_vote(hall: Hall) -> None:
    hall.accept(ALICE, LockGopen(OPEN))
    hall.wait(EPOCH)
    hall.accept(DORA, LockGopen(500 * OPEN))
    number = hall.propose(DORA, NoteDown("a coup", b""))
    assert hall.proposal(number).electorate == OPEN
    code, _ = hall.refuse(DORA, CastVote(number, VoteChoice.YES))
    assert code == GovernanceCode.NO_POWER


def test_a_seventeenth_lot_is_merged_with_the_one_before_it(hall: Hall) -> None:
    for _ in range(MAX_LOTS + 1):
        hall.accept(ALICE, LockGopen(OPEN))
        hall.wait_until(epochs.current(hall.store).end_height)
    holder = HOLDERS.get(hall.store, ALICE.address)
    assert holder is not None
    assert holder.lots == (*[Lot(epoch, OPEN) for epoch in range(MAX_LOTS - 1)], Lot(MAX_LOTS, 2 * OPEN))
    assert power(hall, ALICE.address).before(MAX_LOTS) == 15 * OPEN
    assert hall.violations() == []


def test_lots_keep_their_epochs_while_they_go_and_all_come_anew_when_moved(hall: Hall) -> None:
    hall.accept(ALICE, LockGopen(OPEN))
    hall.wait(EPOCH)
    hall.accept(ALICE, LockGopen(OPEN))
    hall.wait(EPOCH)
    hall.accept(ALICE, Delegate(BOB.address))
    assert HOLDERS.get(hall.store, ALICE.address) == Holder(BOB.address, (Lot(2, 2 * OPEN),))
    assert power(hall, BOB.address) == Power(0, 0, (EpochAmount(2, 2 * OPEN),))
    hall.wait(EPOCH)
    hall.accept(ALICE, Delegate(ALICE.address))
    assert power(hall, ALICE.address) == Power(0, 0, (EpochAmount(3, 2 * OPEN),))
    assert hall.violations() == []


def test_what_cannot_be_done_with_gopen_is_refused(hall: Hall) -> None:
    alice = show_address(ALICE.address)
    nothing = (
        GovernanceCode.NOTHING_LOCKED,
        f"{alice} has no gOPEN: lock some first (`openledger gov lock`)",
    )
    assert hall.refuse(ALICE, UnlockGopen(1)) == nothing
    assert hall.refuse(ALICE, Delegate(BOB.address)) == nothing
    assert hall.refuse(ALICE, LockGopen(0))[0] == locks.LocksCode.ZERO_AMOUNT
    hall.accept(ALICE, LockGopen(OPEN))
    assert hall.refuse(ALICE, UnlockGopen(2 * OPEN)) == (
        GovernanceCode.TOO_LITTLE_LOCKED,
        f"{alice} has {OPEN} nopen locked as gOPEN, {2 * OPEN} are asked for: unlock less",
    )
    assert hall.refuse(ALICE, UnlockGopen(0))[0] == locks.LocksCode.ZERO_AMOUNT
    assert hall.refuse(ALICE, Delegate(ALICE.address)) == (
        GovernanceCode.ALREADY_DELEGATED,
        f"{alice} votes with your gOPEN already",
    )
    assert hall.refuse(ALICE, Delegate(locks.LOCKS_ACCOUNT))[0] == BankCode.MODULE_ACCOUNT
