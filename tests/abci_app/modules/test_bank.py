"""bank: who has what, what is refused, and that nothing comes from nowhere."""

import pytest
from msgspec import structs

from abci_app.accounts import ACCOUNTS, Account, credit, show_address
from abci_app.errors import Code, GenesisError, Rejected
from abci_app.mechanisms.payees import PAYEES, Payee, payee_of
from abci_app.module import FEES_ACCOUNT, TREASURY_ACCOUNT, is_module_account, module_account
from abci_app.modules.bank import (
    SUPPLY,
    AccountQuery,
    AccountView,
    BankCode,
    Burn,
    PayeeQuery,
    PayeeView,
    SetPayee,
    Supply,
    SupplyQuery,
    Transfer,
    supply_equals_balances,
)
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from abci_app.types import MAX_INTEGER, SUPPLY_NOPEN
from tests.kit.chain import Chain, changed, treasury_nopen
from tests.kit.modules.drafts import contribute, digest
from tests.kit.modules.ledger import ALICE, BOB, CARL, EVERYBODY, FUNDS, Ledger

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


def test_the_treasury_holds_what_genesis_leaves_and_no_key_has_its_address(ledger: Ledger) -> None:
    expected = treasury_nopen(FUNDS * len(EVERYBODY))
    assert ledger.chain.account(TREASURY_ACCOUNT) == Account(0, expected, b"")
    assert is_module_account(TREASURY_ACCOUNT)
    assert not any(is_module_account(signer.address) for signer in EVERYBODY)


@pytest.mark.parametrize(
    ("message", "code", "log"),
    [
        (Transfer(BOB.address, 0), BankCode.ZERO_AMOUNT, "transfer of 0 nopen: give an amount above zero"),
        (Burn(0), BankCode.ZERO_AMOUNT, "burn of 0 nopen: give an amount above zero"),
        (Transfer(ALICE.address, 1), BankCode.SELF_TRANSFER, "sender and recipient are the same account"),
        (
            Transfer(BOB.address, FUNDS + 1),
            Code.INSUFFICIENT_FUNDS,
            f"{show_address(ALICE.address)} has {FUNDS} nopen, needs {FUNDS + 1} nopen: fund the account first",
        ),
        (
            Burn(MAX_INTEGER),
            Code.INSUFFICIENT_FUNDS,
            f"{show_address(ALICE.address)} has {FUNDS} nopen, needs {MAX_INTEGER} nopen: fund the account first",
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
    ledger = Ledger.start(parameters={"surcharges": {"bank.transfer": 1_000, "bank.burn": 1_003}})
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


# --- Payees


def test_a_payee_is_stored_for_its_account_and_nothing_else_changes(ledger: Ledger) -> None:
    assert ledger.effects(ALICE, SetPayee(BOB.address)) == {PAYEES.key(ALICE.address): encode(Payee(BOB.address))}
    assert ledger.involved(ALICE, SetPayee(CARL.address)) == [ALICE.address, CARL.address]
    assert ledger.ask("bank", "payee", PayeeQuery(ALICE.address)) == PayeeView(ALICE.address, CARL.address)
    assert ledger.ask("bank", "payee", PayeeQuery(BOB.address)) == PayeeView(BOB.address, BOB.address)


def test_payees_are_followed_one_hop_and_never_in_circles(ledger: Ledger) -> None:
    for signer, payee in ((ALICE, BOB), (BOB, CARL), (CARL, ALICE)):
        ledger.accept(signer, SetPayee(payee.address))
    following = [payee_of(ledger.store, signer.address) for signer in (ALICE, BOB, CARL)]
    assert following == [BOB.address, CARL.address, ALICE.address]


@pytest.mark.parametrize("ending", [b"", ALICE.address], ids=["nobody", "the account itself"])
def test_a_payee_can_be_taken_back(ledger: Ledger, ending: bytes) -> None:
    ledger.accept(ALICE, SetPayee(BOB.address))
    assert ledger.effects(ALICE, SetPayee(ending)) == {PAYEES.key(ALICE.address): None}
    assert ledger.effects(ALICE, SetPayee(ending)) == {}
    assert payee_of(ledger.store, ALICE.address) == ALICE.address


@pytest.mark.parametrize("size", [1, 31])
def test_a_payee_is_an_address(ledger: Ledger, size: int) -> None:
    text = f"payee has {size} bytes: give an address of 32, or none to receive yourself"
    assert ledger.refuse(ALICE, SetPayee(bytes([7]) * size)) == (BankCode.BAD_PAYEE, text)


def test_transfers_between_people_do_not_go_to_payees(ledger: Ledger) -> None:
    ledger.accept(ALICE, SetPayee(BOB.address))
    ledger.accept(CARL, Transfer(ALICE.address, 5))
    assert (ledger.chain.balance(ALICE), ledger.chain.balance(BOB)) == (FUNDS + 5, FUNDS)


# --- Module accounts


MODULES_OWN = [FEES_ACCOUNT, TREASURY_ACCOUNT, module_account("locks"), module_account("a module to come"), bytes(32)]


@pytest.mark.parametrize("account", MODULES_OWN)
def test_nobody_transfers_to_an_account_of_a_module(ledger: Ledger, account: bytes) -> None:
    """Before, anybody could put money beside what a module counts as its own."""
    assert ledger.refuse(ALICE, Transfer(account, 5)) == (
        BankCode.MODULE_ACCOUNT,
        f"recipient {show_address(account)} belongs to a module of the chain: name an account that has keys",
    )


@pytest.mark.parametrize("account", MODULES_OWN)
def test_no_part_of_a_transaction_pays_a_module(ledger: Ledger, account: bytes) -> None:
    both = ALICE.transaction(Transfer(BOB.address, 1), Transfer(account, 1), sequence=0)
    assert ledger.chain.codes(both) == [BankCode.MODULE_ACCOUNT]
    assert ledger.chain.balance(BOB) == FUNDS


@pytest.mark.parametrize("account", MODULES_OWN)
def test_no_contribution_names_a_module_as_payee(ledger: Ledger, account: bytes) -> None:
    message = structs.replace(contribute(bytes(32), "rows"), payee=account)
    assert ledger.refuse(ALICE, message)[0] == BankCode.MODULE_ACCOUNT


@pytest.mark.parametrize("account", MODULES_OWN)
def test_no_module_is_a_payee(ledger: Ledger, account: bytes) -> None:
    text = f"payee {show_address(account)} belongs to a module of the chain: name an account that has keys"
    assert ledger.refuse(ALICE, SetPayee(account)) == (BankCode.MODULE_ACCOUNT, text)


@pytest.mark.parametrize("account", MODULES_OWN)
def test_genesis_gives_no_module_a_balance(account: bytes) -> None:
    with pytest.raises(GenesisError, match=r"balances\[0\]: .* belongs to a module"):
        Chain.start({account: 5})


def test_fees_still_reach_their_module() -> None:
    ledger = Ledger.start(parameters={"fees": {"fee_per_byte_nopen": 1}})
    ledger.accept(ALICE, Transfer(BOB.address, 5))
    assert ledger.chain.account(FEES_ACCOUNT).balance_nopen > 0
