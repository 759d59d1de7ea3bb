"""accounts: changing who can sign for an account.

State: see `abci_app.accounts` (the bank module lists the tables).

A stored policy always wins over a presented one. Rotating keys keeps the address and everything that it holds.
Delegated keys let an agent or a worker act within bounds: message types, total spend (fees included), last height. They
end with the policy that made them, and so does the account's payee: an owner who changes keys because one was stolen is
rid of what the thief set up.
"""

from enum import IntEnum
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, structs

from abci_app.accounts import (
    ACCOUNTS,
    DELEGATIONS,
    MAX_DELEGATED_TYPES,
    MAX_POLICY_BYTES,
    POLICY_CHANGES,
    Delegation,
    PolicyChanges,
    get_account,
    policy_id_of,
)
from abci_app.errors import Code, Rejected
from abci_app.mechanisms.payees import end_payee
from abci_app.module import Context, Event, Message, Module, Query
from abci_app.policy import Policy, decode_policy
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import U16, Bytes32, Height, Nopen


class AccountsCode(IntEnum):
    """Codes of the accounts module."""

    UNKNOWN_DELEGATION = 60
    BAD_DELEGATION = 61


class SetPolicy(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0011):
    """Replace the sender's policy (canonical bytes); every delegated key and the payee end with the old one."""

    weight_each: ClassVar[int] = 70

    policy: Annotated[bytes, Meta(min_length=1, max_length=MAX_POLICY_BYTES)]

    def validate(self) -> None:
        """The policy must be a policy, well-formed and reachable; its keys are looked at once the sender can pay."""
        if not isinstance(decode_policy(self.policy), Policy):
            raise Rejected(Code.BAD_POLICY, "a delegated key cannot be an account's policy")

    def new_keys(self) -> tuple[bytes, ...]:
        """Every key of the policy."""
        policy = decode_policy(self.policy)
        return tuple([key.public_key for key in policy.keys]) if isinstance(policy, Policy) else ()


class SetDelegation(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0012):
    """Let `public_key` act for the sender within bounds; setting it again replaces the bounds and resets the spend."""

    weight_each: ClassVar[int] = 8

    public_key: Bytes32
    message_types: Annotated[tuple[U16, ...], Meta(min_length=1, max_length=MAX_DELEGATED_TYPES)]
    spend_limit_nopen: Nopen
    expiry_height: Height

    def validate(self) -> None:
        """Types sorted and unique, none of them able to change keys."""
        if list(self.message_types) != sorted(frozenset(self.message_types)):
            raise Rejected(AccountsCode.BAD_DELEGATION, "delegated message types must be sorted and unique")
        if self.message_types[0] < FIRST_DELEGABLE_TYPE:
            raise Rejected(AccountsCode.BAD_DELEGATION, "changing policies and delegations cannot be delegated")

    def new_keys(self) -> tuple[bytes, ...]:
        """The key that is to act."""
        return (self.public_key,)


class RevokeDelegation(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0013):
    """End a delegation of the sender at once."""

    weight_each: ClassVar[int] = 4

    public_key: Bytes32


# Message types below this one change who can sign.
FIRST_DELEGABLE_TYPE = 0x0100


class PolicyChanged(Event, frozen=True, gc=False):
    """The keys that act for `account` changed."""

    account: bytes


def execute_set_policy(context: Context, message: SetPolicy) -> None:
    """Store the new policy; the address stays, what the old policy delegated and the payee it named end."""
    account = get_account(context.state, context.sender)
    changes = POLICY_CHANGES.get(context.state, context.sender)
    POLICY_CHANGES.set(context.state, context.sender, PolicyChanges(changes.count + 1 if changes else 1))
    ACCOUNTS.set(context.state, context.sender, structs.replace(account, policy=message.policy))
    end_payee(context.state, context.sender)
    context.emit(PolicyChanged(context.sender))


def execute_set_delegation(context: Context, message: SetDelegation) -> None:
    """Store the delegation with nothing spent yet."""
    if message.expiry_height < context.height:
        raise Rejected(AccountsCode.BAD_DELEGATION, f"expiry height {message.expiry_height} is already past")
    policy = get_account(context.state, context.sender).policy
    delegation = Delegation(
        public_key=message.public_key,
        message_types=message.message_types,
        spend_limit_nopen=message.spend_limit_nopen,
        spent_nopen=0,
        expiry_height=message.expiry_height,
        policy_id=policy_id_of(context.state, context.sender, policy),
    )
    DELEGATIONS.set(context.state, context.sender, message.public_key, delegation)


def execute_revoke_delegation(context: Context, message: RevokeDelegation) -> None:
    """Remove the delegation."""
    if not DELEGATIONS.has(context.state, context.sender, message.public_key):
        raise Rejected(AccountsCode.UNKNOWN_DELEGATION, "this key is not delegated: nothing to revoke")
    DELEGATIONS.delete(context.state, context.sender, message.public_key)


class DelegationsQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Whose delegations."""

    address: Bytes32


class DelegationView(Struct, frozen=True):
    """One delegated key; `ended` 1: the policy that made it is no longer the account's."""

    delegation: Delegation
    ended: int


class DelegationsView(Struct, frozen=True):
    """All delegated keys of an account that were not revoked, complete."""

    delegations: tuple[DelegationView, ...]


def query_delegations(view: StateView, args: DelegationsQuery) -> DelegationsView:
    """Every delegated key of an account, its bounds, and whether it ended with its policy."""
    current = policy_id_of(view, args.address, get_account(view, args.address).policy)
    return DelegationsView(
        tuple(
            [
                DelegationView(delegation, int(delegation.policy_id != current))
                for _, delegation in DELEGATIONS.iterate(view, args.address)
            ]
        )
    )


MODULE = Module(
    name="accounts",
    tables=(),
    errors=AccountsCode,
    messages={
        SetPolicy: execute_set_policy,
        SetDelegation: execute_set_delegation,
        RevokeDelegation: execute_revoke_delegation,
    },
    events=(PolicyChanged,),
    queries=(
        Query("delegations", DelegationsQuery, DelegationsView, query_delegations, "delegated keys of an account"),
    ),
)
