"""bank: balances, transfers, burning, payees, module accounts.

Genesis: `balances`, [[address, nopen], ...]. What they leave of the supply goes to the `treasury` module account.

State (owned by `abci_app.accounts`, so that a transfer rewrites one leaf an account):
    account/ | H(address) -> Account(sequence, balance_nopen, policy)
    bank/supply/value -> Supply(minted_nopen, burned_nopen)
Payees (`SetPayee`) are kept by `abci_app.mechanisms.payees`.

Invariant: minted - burned = the sum of all balances (module accounts hold stakes, escrows and fees).
Nothing mints after genesis.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import ClassVar

from msgspec import Struct

from abci_app import accounts
from abci_app.accounts import ACCOUNTS, DELEGATIONS, POLICY_CHANGES
from abci_app.errors import GenesisError, Rejected
from abci_app.genesis_fields import read_address
from abci_app.mechanisms.payees import PAYEES, payee_of, set_payee
from abci_app.module import (
    TREASURY_ACCOUNT,
    Context,
    GenesisContext,
    GenesisSection,
    Message,
    Module,
    Query,
    is_module_account,
)
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import Item, MutableState
from abci_app.types import SUPPLY_NOPEN, Address, Bytes32, Flag, Nopen, OptionalBytes32

ADDRESS_BYTES = 32

# --- Tables


class Supply(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The amount that genesis minted and the amount that was burned since."""

    minted_nopen: Nopen
    burned_nopen: Nopen


SUPPLY = Item("bank/supply/", Supply)


# --- Error codes


class BankCode(IntEnum):
    """Codes of the bank module."""

    ZERO_AMOUNT = 100
    SELF_TRANSFER = 101
    MODULE_ACCOUNT = 102
    BAD_PAYEE = 103


# --- Messages


class Transfer(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0101):
    """Move `amount_nopen` from the sender to `recipient`."""

    weight_each: ClassVar[int] = 3

    recipient: Bytes32
    amount_nopen: Nopen

    def validate(self) -> None:
        """The amount must be positive, the recipient somebody's account: a module counts what it holds itself."""
        require_no_module_account("recipient", self.recipient)
        if not self.amount_nopen:
            raise Rejected(BankCode.ZERO_AMOUNT, "transfer of 0 nopen: give an amount above zero")

    def maximum_spend_nopen(self) -> int:
        """The amount."""
        return self.amount_nopen


class Burn(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0102):
    """Destroy `amount_nopen` of the sender for ever."""

    weight_each: ClassVar[int] = 2

    amount_nopen: Nopen

    def validate(self) -> None:
        """The amount must be positive."""
        if not self.amount_nopen:
            raise Rejected(BankCode.ZERO_AMOUNT, "burn of 0 nopen: give an amount above zero")

    def maximum_spend_nopen(self) -> int:
        """The amount."""
        return self.amount_nopen


class SetPayee(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0103):
    """Let `payee` receive what rules pay the sender from now on; empty, or the sender: the sender receives again."""

    weight_each: ClassVar[int] = 2

    payee: OptionalBytes32

    def validate(self) -> None:
        """The payee must be an address, and no module's."""
        if len(self.payee) not in (0, ADDRESS_BYTES):
            raise Rejected(
                BankCode.BAD_PAYEE,
                f"payee has {len(self.payee)} bytes: give an address of {ADDRESS_BYTES}, or none to receive yourself",
            )
        require_no_module_account("payee", self.payee)


# --- Handlers


def execute_transfer(context: Context, message: Transfer) -> None:
    """A transfer has no event of its own: the transaction's event names both accounts."""
    if message.recipient == context.sender:
        raise Rejected(BankCode.SELF_TRANSFER, "sender and recipient are the same account")
    move(context.state, context.sender, message.recipient, message.amount_nopen)
    context.involved.append(Address(message.recipient))


def execute_burn(context: Context, message: Burn) -> None:
    """Take from the sender and count it as burned."""
    burn(context.state, context.sender, message.amount_nopen)


def execute_set_payee(context: Context, message: SetPayee) -> None:
    """Store or end it; the payee finds the transaction in its history."""
    set_payee(context.state, context.sender, message.payee)
    if message.payee:
        context.involved.append(Address(message.payee))


# --- For other modules


def move(state: MutableState, source: bytes, destination: bytes, amount_nopen: int) -> None:
    """Move an amount between two accounts; raises `Rejected(INSUFFICIENT_FUNDS)`."""
    accounts.debit(state, source, amount_nopen)
    accounts.credit(state, destination, amount_nopen)


def require_no_module_account(field: str, address: bytes) -> None:
    """Raises for an address that a module owns: what somebody else puts there would break the module's books."""
    if is_module_account(address):
        raise Rejected(
            BankCode.MODULE_ACCOUNT,
            f"{field} {accounts.show_address(address)} belongs to a module of the chain: name an account that has keys",
        )


def burn(state: MutableState, source: bytes, amount_nopen: int) -> None:
    """Destroy an amount of an account."""
    accounts.debit(state, source, amount_nopen)
    supply = SUPPLY.get(state) or Supply(0, 0)
    SUPPLY.set(state, Supply(supply.minted_nopen, supply.burned_nopen + amount_nopen))


# --- Queries


class AccountQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which account."""

    address: Bytes32


class AccountView(Struct, frozen=True):
    """An account as it stands at one height; an unused address has zeros and `exists` 0."""

    address: bytes
    exists: Flag
    sequence: int
    balance_nopen: int
    policy: bytes


class PayeeQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Whose payee."""

    address: Bytes32


class PayeeView(Struct, frozen=True):
    """The account that receives what an address is paid: another one, or itself."""

    address: bytes
    payee: bytes


class SupplyQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


def query_account(view: StateView, args: AccountQuery) -> AccountView:
    """Balance, sequence and stored policy of an address."""
    account = ACCOUNTS.get(view, args.address)
    found = account or accounts.EMPTY_ACCOUNT
    return AccountView(
        address=args.address,
        exists=int(account is not None),
        sequence=found.sequence,
        balance_nopen=found.balance_nopen,
        policy=found.policy,
    )


def query_payee(view: StateView, args: PayeeQuery) -> PayeeView:
    """Who receives what an address is paid."""
    return PayeeView(args.address, payee_of(view, args.address))


def query_supply(view: StateView, args: SupplyQuery) -> Supply:
    """Minted and burned amounts."""
    return SUPPLY.get(view) or Supply(0, 0)


# --- Invariants


def supply_equals_balances(view: StateView) -> list[str]:
    """minted - burned = sum of all balances."""
    supply = SUPPLY.get(view) or Supply(0, 0)
    held_nopen = sum([account.balance_nopen for _, account in ACCOUNTS.iterate(view)])
    circulating_nopen = supply.minted_nopen - supply.burned_nopen
    if held_nopen == circulating_nopen:
        return []
    return [f"balances sum to {held_nopen} nopen, supply is {circulating_nopen}"]


# --- Genesis


Balances = tuple[tuple[str, Nopen], ...]


def genesis_balances(balances: Balances) -> Iterator[tuple[bytes, int]]:
    """(address, balance) of each account; raises `GenesisError` for a duplicate, a zero, or a module's account."""
    seen: dict[bytes, None] = {}
    for index, (text, balance_nopen) in enumerate(balances):
        field = f"balances[{index}]"
        address = read_address(field, text)
        if is_module_account(address):
            raise GenesisError(
                f"app_state.{field}: {text} belongs to a module: leave it out (the treasury gets what the others leave)"
            )
        if address in seen:
            raise GenesisError(f"app_state.{field}: {text} is listed twice")
        if not balance_nopen:
            raise GenesisError(f"app_state.{field}: balance of {text} is 0, leave the account out")
        seen[address] = None
        yield address, balance_nopen


def check_genesis(balances: Balances) -> None:
    """The balances are of different accounts and fit into the supply."""
    total_nopen = sum([balance_nopen for _, balance_nopen in genesis_balances(balances)])
    if total_nopen > SUPPLY_NOPEN:
        raise GenesisError(f"app_state.balances sum to {total_nopen} nopen, the supply is {SUPPLY_NOPEN}: give less")


def write_genesis(state: MutableState, balances: Balances, context: GenesisContext) -> None:
    """Mint the supply: to each its balance, the rest to the treasury."""
    minted_nopen = 0
    for address, balance_nopen in genesis_balances(balances):
        minted_nopen += balance_nopen
        ACCOUNTS.set(state, address, accounts.Account(0, balance_nopen, b""))
    if minted_nopen < SUPPLY_NOPEN:
        ACCOUNTS.set(state, TREASURY_ACCOUNT, accounts.Account(0, SUPPLY_NOPEN - minted_nopen, b""))
    SUPPLY.set(state, Supply(SUPPLY_NOPEN, 0))


MODULE = Module(
    name="bank",
    tables=(ACCOUNTS, DELEGATIONS, POLICY_CHANGES, PAYEES, SUPPLY),
    errors=BankCode,
    messages={Transfer: execute_transfer, Burn: execute_burn, SetPayee: execute_set_payee},
    queries=(
        Query("account", AccountQuery, AccountView, query_account, "balance, sequence and policy of an address"),
        Query("payee", PayeeQuery, PayeeView, query_payee, "who receives what an address is paid"),
        Query("supply", SupplyQuery, Supply, query_supply, "minted and burned nopen"),
    ),
    genesis=(GenesisSection(name="balances", type=Balances, default=(), check=check_genesis, write=write_genesis),),
    invariants=(supply_equals_balances,),
)
