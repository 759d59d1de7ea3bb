"""Withdraw, and what people can ask about locks, on the real way of a block."""

import pytest

from abci_app.accounts import ACCOUNTS, Account
from abci_app.errors import Code
from abci_app.mechanisms.locks import (
    LOCKS_ACCOUNT,
    NO_OBJECT,
    Leaving,
    Lock,
    LockKey,
    LockQuery,
    LocksCode,
    LocksPage,
    LocksQuery,
    LockView,
    Purpose,
    Withdraw,
    leave,
    take,
)
from abci_app.mechanisms.locks.queries import account_holds_all_locks, locks_are_whole
from abci_app.mechanisms.locks.records import BY_OWNER, LOCKS
from abci_app.module import HookContext
from abci_app.modules.bank import SetPayee
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from abci_app.utc import utc_text
from tests.kit.modules.drafts import digest
from tests.kit.modules.ledger import ALICE, BOB, FUNDS, Ledger
from tests.kit.scheduled import Jobs

OBJECTS = [NO_OBJECT, digest("one"), digest("two")]
KEYS = sorted(
    [LockKey(purpose, each, ALICE.address) for purpose in (Purpose.GOPEN, Purpose.DEPOSIT) for each in OBJECTS]
)
FIRST = KEYS[0]
NOT_YET = "nothing of this lock has finished leaving: the next 5 nopen can be withdrawn from height"


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Block 1 locks 100 for each key; of the first, 5 leave for 3 blocks and 7 for 1 block and 4 seconds."""
    jobs = Jobs().register(monkeypatch)

    def begin(state: Overlay, context: HookContext, _: bytes) -> None:
        if context.height == 1:
            for key in KEYS:
                take(state, key, 100)
            leave(state, context.block, FIRST, 5, 3, 0)
            leave(state, context.block, FIRST, 7, 1, 4)

    jobs.deeds["begin"] = begin
    started = Ledger.start()
    started.chain.block()
    return started


WITHDRAW = Withdraw(Purpose.GOPEN, b"")


def test_an_entry_is_paid_when_its_height_and_its_time_have_come_and_not_before(ledger: Ledger) -> None:
    """One second a block: 7 wait for block 5 by time, 5 for block 4 by height."""
    second = ledger.seconds
    waits = NOT_YET.replace("5", "7")
    codes = [ledger.refuse(ALICE, WITHDRAW) for _ in (2, 3)]
    assert codes == [(LocksCode.NOTHING_TO_WITHDRAW, f"{waits} 2 on, and not before {utc_text(second + 4)}")] * 2
    assert ledger.accept(ALICE, WITHDRAW) == [
        ("withdrawn", {"owner": ALICE.address.hex(), "purpose": "1", "amount_nopen": "5"})
    ]
    assert LOCKS.get(ledger.store, *FIRST) == Lock(ALICE.address, 88, (Leaving(7, 2, second + 4),))
    ledger.accept(ALICE, WITHDRAW)
    assert LOCKS.get(ledger.store, *FIRST) == Lock(ALICE.address, 88, ())


def test_withdrawing_pays_all_that_has_ended_and_changes_nothing_else(ledger: Ledger) -> None:
    for _ in range(4):
        ledger.chain.block()
    before = ledger.chain.state()
    ledger.accept(ALICE, WITHDRAW)
    after = ledger.chain.state()
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    assert changed == {
        ACCOUNTS.key(ALICE.address): encode(Account(1, FUNDS - 600 + 12, ALICE.policy)),
        ACCOUNTS.key(LOCKS_ACCOUNT): encode(Account(0, 588, b"")),
        LOCKS.key(*FIRST): encode(Lock(ALICE.address, 88, ())),
    }
    assert before.keys() <= after.keys()
    assert account_holds_all_locks(ledger.store) == locks_are_whole(ledger.store) == []


def test_a_lock_that_is_withdrawn_whole_is_gone(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs().register(monkeypatch)

    def leave_whole(state: Overlay, context: HookContext, _: bytes) -> None:
        if context.height == 2:
            leave(state, context.block, FIRST, 88, 0, 0)

    jobs.deeds["begin"] = leave_whole
    for _ in range(4):
        ledger.chain.block()
    ledger.accept(ALICE, WITHDRAW)
    assert not LOCKS.has(ledger.store, *FIRST)
    assert not BY_OWNER.has(ledger.store, ALICE.address, FIRST.purpose, FIRST.object_id)
    assert ledger.refuse(ALICE, WITHDRAW)[0] == LocksCode.NO_LOCK


def test_what_is_withdrawn_goes_to_the_owner_and_not_to_its_payee(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.chain.block()
    ledger.accept(ALICE, SetPayee(BOB.address), WITHDRAW)
    assert ledger.chain.balance(BOB) == FUNDS
    assert ledger.chain.balance(ALICE) == FUNDS - 600 + 12


NOTHING_LEAVES = "nothing of this lock is leaving: let an amount leave first"
BAD_OBJECT = "object_id has 5 bytes: give the 32 bytes of an id, or leave it empty"
NO_LOCK = "you have no lock for this purpose and object: see `openledger account locks`"


@pytest.mark.parametrize(
    ("message", "code", "log"),
    [
        (Withdraw(Purpose.DEPOSIT, b""), LocksCode.NOTHING_TO_WITHDRAW, NOTHING_LEAVES),
        (Withdraw(Purpose.VALIDATOR_BOND, b""), LocksCode.NO_LOCK, NO_LOCK),
        (Withdraw(Purpose.GOPEN, digest("other")), LocksCode.NO_LOCK, NO_LOCK),
        (Withdraw(Purpose.DATANET_POT, b""), LocksCode.NO_LOCK, NO_LOCK),
        (Withdraw(255, b""), LocksCode.NO_LOCK, NO_LOCK),
        (Withdraw(Purpose.GOPEN, b"short"), LocksCode.BAD_OBJECT, BAD_OBJECT),
    ],
)  # fmt: skip
def test_what_is_refused(ledger: Ledger, message: Withdraw, code: int, log: str) -> None:
    assert ledger.refuse(ALICE, message) == (code, log)


def test_nobody_withdraws_what_is_not_theirs(ledger: Ledger) -> None:
    for _ in range(4):
        ledger.chain.block()
    assert ledger.refuse(BOB, WITHDRAW) == (LocksCode.NO_LOCK, NO_LOCK)


def test_locks_are_asked_one_by_one_and_page_by_page(ledger: Ledger) -> None:
    leaving = (Leaving(5, 4, ledger.seconds), Leaving(7, 2, ledger.seconds + 4))
    views = [
        LockView(key.purpose, key.object_id, key.owner, 88 if key == FIRST else 100, leaving if key == FIRST else ())
        for key in KEYS
    ]
    assert ledger.ask("locks", "lock", LockQuery(Purpose.GOPEN, b"", ALICE.address)) == views[0]
    nothing = LockView(Purpose.GOPEN, NO_OBJECT, BOB.address, 0, ())
    assert ledger.ask("locks", "lock", LockQuery(Purpose.GOPEN, NO_OBJECT, BOB.address)) == nothing
    first = ledger.ask("locks", "list", LocksQuery(ALICE.address, 0, b"", 4))
    assert first == LocksPage(tuple(views[:4]), KEYS[3].purpose, KEYS[3].object_id)
    rest = LocksQuery(ALICE.address, first.next_purpose, first.next_object_id, 4)
    assert ledger.ask("locks", "list", rest) == LocksPage(tuple(views[4:]), 0, b"")
    assert ledger.ask("locks", "list", LocksQuery(BOB.address, 0, b"", 4)) == LocksPage((), 0, b"")
    assert ledger.ask("locks", "list", LocksQuery(ALICE.address, 0, OBJECTS[1], 4)) == (
        Code.BAD_QUERY,
        "after_object_id without after_purpose: give both, or neither",
    )
    assert ledger.ask("locks", "lock", LockQuery(Purpose.GOPEN, b"x", ALICE.address))[0] == LocksCode.BAD_OBJECT


def test_no_roles_and_no_high_price_can_keep_people_from_their_money(ledger: Ledger) -> None:
    """The limits are in the code, so no vote reaches them."""
    from abci_app.chain.registry import SECTIONS

    limits = {
        (section.name, parameter.name): parameter.maximum for section in SECTIONS for parameter in section.parameters
    }
    names = ["locks.withdraw", "bank.transfer", "bank.set_payee", "accounts.set_policy"]
    assert [limits["roles", name] for name in names] == [0] * 4
    assert [limits["surcharges", name] for name in names] == [10**9] * 4
