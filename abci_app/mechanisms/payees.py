"""Payees: who receives what an account is paid.

    payees/payee/ | H(address) -> Payee(payee)        only for accounts that named one

An account may let another one receive what rules pay it (`SetPayee` of the bank): a laboratory keeps the key that signs
apart from the account that collects. Every payment that a rule makes, also of what was earned before, asks `payee_of`.
It follows one hop only, so nobody can build chains or circles; transfers between people and money that returns to its
owner are not redirected. A payee is an account with keys, never a module's.

It ends when its account changes its policy: who changed keys because one was stolen is rid of the thief's payee.
"""

from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import HASHED, Map, MutableState
from abci_app.types import Address, Bytes32


class Payee(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The account that receives for another one."""

    payee: Bytes32


PAYEES = Map("payees/payee/", (HASHED,), Payee)


def payee_of(view: StateView, address: bytes) -> Address:
    """The account that receives what `address` is paid: its payee, or itself."""
    named = PAYEES.get(view, address)
    return Address(named.payee if named else address)


def set_payee(state: MutableState, address: bytes, payee: bytes) -> None:
    """Let `payee` receive for `address`; the address itself, or nothing, ends it."""
    if payee in (b"", address):
        end_payee(state, address)
    else:
        PAYEES.set(state, address, Payee(payee))


def end_payee(state: MutableState, address: bytes) -> None:
    """Let an address receive for itself again."""
    if PAYEES.has(state, address):
        PAYEES.delete(state, address)
