"""bank: who has what, what is refused, and that nothing comes from nowhere."""

import pytest

from abci_app.accounts import ACCOUNTS, Account, credit, show_address
from abci_app.chain.block import FEES_ACCOUNT
from abci_app.errors import Code, Rejected
from abci_app.modules.bank import (
    SUPPLY,
    TREASURY_ACCOUNT,
    AccountQuery,
    AccountView,
    BankCode,
    Burn,
    Supply,
    SupplyQuery,
    Transfer,
    supply_equals_balances,
)
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from abci_app.types import MAX_INTEGER, SUPPLY_NOPEN
from tests.kit.chain import changed, treasury_nopen
from tests.kit.modules.drafts import digest
from tests.kit.modules.ledger import ALICE, BOB, EVERYBODY, FUNDS, Ledger

STRANGER = digest("an address that nobody used")


@pytest.fixture
def ledger() -> Ledger:
    return Ledger.start()


def test_a_transfer_changes_two_accounts_and_nothing_else(ledger: Ledger) -> None:
    before = ledger.chain.state()
    assert ledger.accept(ALICE, Transfer(BOB.address, 5)) == []
    assert changed(before, ledger.chain.state()) == {
        ACCOUNTS.key(ALICE.address): encode(Account(1, FUNDS - 5, ALICE.policy)),
        ACCOUNTS.key(BOB.address): encode(Account(0, FUNDS + 5, b"")),
    }


def test_a_transfer_to_an_address_that_nobody_used_makes_its_account(ledger: Ledger) -> None:
    ledger.accept(ALICE, Transfer(STRANGER, FUNDS))
    assert ledger.chain.account(STRANGER) == Account(0, FUNDS, b"")
    assert ledger.chain.account(ALICE.address) == Account(1, 0, ALICE.policy)


def test_both_sides_find_a_transfer_in_their_history(ledger: Ledger) -> None:
    assert ledger.involved(ALICE, Transfer(BOB.address, 5)) == [ALICE.address, BOB.address]


def test_burning_takes_from_the_sender_and_from_the_supply(ledger: Ledger) -> None:
    before = ledger.chain.state()
    assert ledger.accept(ALICE, Burn(7)) == []
    assert changed(before, ledger.chain.state()) == {
        ACCOUNTS.key(ALICE.address): encode(Account(1, FUNDS - 7, ALICE.policy)),
        SUPPLY.key(): encode(Supply(SUPPLY_NOPEN, 7)),
    }
    assert ledger.violations() == []


def test_a_module_account_can_be_paid_but_no_key_has_its_address(ledger: Ledger) -> None:
    ledger.accept(ALICE, Transfer(TREASURY_ACCOUNT, 5))
    expected = treasury_nopen(FUNDS * len(EVERYBODY)) + 5
    assert ledger.chain.account(TREASURY_ACCOUNT) == Account(0, expected, b"")


@pytest.mark.parametrize(
    ("message", "code", "log"),
    [
        (Transfer(BOB.address, 0), BankCode.ZERO_AMOUNT, "transfer of 0 nopen: give an amount above zero"),
        (Burn(0), BankCode.ZERO_AMOUNT, "burn of 0 nopen: give an amount above zero"),
        (Transfer(ALICE.address, 1), BankCode.SELF_TRANSFER, "sender and recipient are the same account"),
        (
            Transfer(BOB.address, FUNDS + 1),
            Code.INSUFFICIENT_FUNDS,
            f"{show_address(ALICE.address)} has {FUNDS} nopen, needs {FUNDS + 1}: fund the account first",
        ),
        (
            Burn(MAX_INTEGER),
            Code.INSUFFICIENT_FUNDS,
            f"{show_address(ALICE.address)} has {FUNDS} nopen, needs {MAX_INTEGER}: fund the account first",
        ),
    ],
)
def test_what_is_refused(ledger: Ledger, message: Transfer | Burn, code: int, log: str) -> None:
    assert ledger.refuse(ALICE, message) == (code, log)


def test_everything_can_be_sent_away_but_not_twice(ledger: Ledger) -> None:
    assert ledger.send_together((ALICE, Transfer(BOB.address, FUNDS)), (ALICE, Transfer(BOB.address, 1))) == [
        0,
        Code.INSUFFICIENT_FUNDS,
    ]
    assert (ledger.chain.balance(ALICE), ledger.chain.balance(BOB)) == (0, 2 * FUNDS)


def test_an_amount_beyond_the_range_of_integers_is_malformed(ledger: Ledger) -> None:
    for amount_nopen in (-1, MAX_INTEGER + 1):
        code, log = ledger.refuse(ALICE, Transfer(BOB.address, amount_nopen))
        assert (code, log.startswith("transaction is malformed: ")) == (Code.MALFORMED, True)


def test_a_balance_never_exceeds_what_an_integer_can_hold(ledger: Ledger) -> None:
    state = Overlay(ledger.store)
    ACCOUNTS.set(state, STRANGER, Account(0, MAX_INTEGER - 1, b""))
    credit(state, STRANGER, 1)
    with pytest.raises(Rejected) as rejection:
        credit(state, STRANGER, 1)
    assert (rejection.value.code, rejection.value.text) == (
        Code.INSUFFICIENT_FUNDS,
        f"balance of {show_address(STRANGER)} would exceed {MAX_INTEGER} nopen",
    )


def test_the_maximum_spend_of_a_message_is_its_amount() -> None:
    assert (Transfer(BOB.address, 5).maximum_spend_nopen(), Burn(7).maximum_spend_nopen()) == (5, 7)


def test_fees_move_to_the_fees_account_and_stay_in_the_supply() -> None:
    ledger = Ledger.start(
        parameters={"fees": {"fee_per_byte_nopen": 0, "fee_per_message_nopen": 1_000}, "surcharges": {"bank.burn": 3}}
    )
    assert ledger.send_together((ALICE, Transfer(BOB.address, 5)), (BOB, Burn(2))) == [0, 0]
    assert ledger.chain.account(FEES_ACCOUNT) == Account(0, 2_003, b"")
    assert (ledger.chain.balance(ALICE), ledger.chain.balance(BOB)) == (FUNDS - 1_005, FUNDS - 1_000)
    assert ledger.violations() == []


def test_queries_tell_used_from_unused_accounts(ledger: Ledger) -> None:
    ledger.accept(ALICE, Burn(5))
    answers = [ledger.ask("bank", "account", AccountQuery(who)) for who in (ALICE.address, BOB.address, STRANGER)]
    assert answers == [
        AccountView(ALICE.address, 1, 1, FUNDS - 5, ALICE.policy),
        AccountView(BOB.address, 1, 0, FUNDS, b""),
        AccountView(STRANGER, 0, 0, 0, b""),
    ]
    assert ledger.ask("bank", "supply", SupplyQuery()) == Supply(SUPPLY_NOPEN, 5)


def test_a_balance_from_nowhere_breaks_the_invariant(ledger: Ledger) -> None:
    state = Overlay(ledger.store)
    ACCOUNTS.set(state, STRANGER, Account(0, 1, b""))
    assert supply_equals_balances(state) == [f"balances sum to {SUPPLY_NOPEN + 1} nopen, supply is {SUPPLY_NOPEN}"]
    ACCOUNTS.delete(state, STRANGER)
    SUPPLY.set(state, Supply(SUPPLY_NOPEN, 1))
    assert supply_equals_balances(state) == [f"balances sum to {SUPPLY_NOPEN} nopen, supply is {SUPPLY_NOPEN - 1}"]
