"""Accounts: sequence, balance and policy of an address.

    account/ | H(address) -> Account
    delegation/ | H(address) | H(public key) -> Delegation
    policy-changes/ | H(address) -> PolicyChanges        only for who ever changed keys

Balance and sequence stand in one record on purpose: a transfer then rewrites two tree leaves instead of four.
Records are never deleted: a sequence that restarted would make old transactions valid again.
"""

from typing import Annotated

from msgspec import Meta

from abci_app.bech32 import encode_id
from abci_app.errors import Code, Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.state.codec import Record, encode
from abci_app.state.store import StateView
from abci_app.state.table import HASHED, Map, MutableState
from abci_app.types import MAX_INTEGER, U16, Bytes32, Height, Integer, Nopen

# A canonical policy of ten keys takes under 450 bytes.
MAX_POLICY_BYTES = 512
MAX_DELEGATED_TYPES = 32


class Account(Record, frozen=True, array_like=True, tag=1, gc=False):
    """State of one address; `policy` is empty until the first transaction presents it (the address is its hash)."""

    sequence: Integer
    balance_nopen: Nopen
    policy: Annotated[bytes, Meta(max_length=MAX_POLICY_BYTES)]


class Delegation(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A key that may act for an account: these message types, a total spend (fees included), up to a height.

    It lives as long as the policy that made it: `policy_id` names that one, and never comes again.
    """

    public_key: Bytes32
    message_types: Annotated[tuple[U16, ...], Meta(min_length=1, max_length=MAX_DELEGATED_TYPES)]
    spend_limit_nopen: Nopen
    spent_nopen: Nopen
    expiry_height: Height
    policy_id: Bytes32


class PolicyChanges(Record, frozen=True, array_like=True, tag=1, gc=False):
    """How often an account changed its policy."""

    count: Integer


EMPTY_ACCOUNT = Account(0, 0, b"")
ACCOUNTS = Map("account/", (HASHED,), Account)
DELEGATIONS = Map("delegation/", (HASHED, HASHED), Delegation)
POLICY_CHANGES = Map("policy-changes/", (HASHED,), PolicyChanges)


def get_account(view: StateView, address: bytes) -> Account:
    """The account; an address that was never used is an empty account."""
    return ACCOUNTS.get(view, address) or EMPTY_ACCOUNT


def credit(state: MutableState, address: bytes, amount_nopen: int) -> None:
    """Add to a balance."""
    account = get_account(state, address)
    balance_nopen = account.balance_nopen + amount_nopen
    if balance_nopen > MAX_INTEGER:
        raise Rejected(Code.INSUFFICIENT_FUNDS, f"balance of {show_address(address)} would exceed {MAX_INTEGER} nopen")
    ACCOUNTS.set(state, address, Account(account.sequence, balance_nopen, account.policy))


def debit(state: MutableState, address: bytes, amount_nopen: int) -> None:
    """Take from a balance; raises `Rejected(INSUFFICIENT_FUNDS)` when it does not suffice."""
    account = get_account(state, address)
    if account.balance_nopen < amount_nopen:
        raise Rejected(
            Code.INSUFFICIENT_FUNDS,
            f"{show_address(address)} has {account.balance_nopen} nopen, needs {amount_nopen} nopen: fund the account "
            "first",
        )
    ACCOUNTS.set(state, address, Account(account.sequence, account.balance_nopen - amount_nopen, account.policy))


def policy_id_of(view: StateView, address: bytes, policy: bytes) -> bytes:
    """H('openledger/policy/v1', [changes so far, policy]): who goes back to an earlier policy has another id."""
    changes = POLICY_CHANGES.get(view, address)
    return tagged_hash(TAGS["policy"], encode((changes.count if changes else 0, policy)))


def show_address(address: bytes) -> str:
    """An address as people read it."""
    return encode_id("open", address)
