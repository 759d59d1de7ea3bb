"""Books of the mempool: pending transactions, and what each account and delegated key has waiting.

What a commit does to a waiting transaction is decided here, once for who follows it and for who only asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import structs

from abci_app.accounts import ACCOUNTS, DELEGATIONS, Account, Delegation
from abci_app.chain.registry import TAG_OF
from abci_app.chain.transaction import Transaction
from abci_app.module import BlockContext
from abci_app.modules.accounts import FIRST_DELEGABLE_TYPE
from abci_app.parameters import Parameters
from abci_app.policy import Policy, address_of


@dataclass(slots=True)
class Pending:
    """One admitted transaction: what it may cost whom, and for which block it was admitted or last rechecked."""

    sender: bytes
    sequence: int
    expiry_height: int
    digest: bytes
    costs: tuple[tuple[bytes, int], ...]
    changes_keys: bool
    seen_height: int
    # The parameters under which its fee was computed.
    parameters: Parameters
    # The delegated key that signed, or empty: its limit counts pending spends too.
    delegated_key: bytes = b""
    # Accounts whose first policy it brings along, and these policies: they are stored when it is included.
    brings_policies: tuple[tuple[bytes, bytes], ...] = ()

    def own_cost_nopen(self) -> int:
        """The most that the transaction may cost its sender."""
        return sum([cost for payer, cost in self.costs if payer == self.sender])


@dataclass(slots=True)
class PendingAccount:
    """Committed state of an account as last read, its pending transactions by sequence, and what they may cost it."""

    key: bytes
    account: Account
    pending: dict[int, Pending] = field(default_factory=dict)
    reserved_nopen: int = 0
    # Transactions that this account sends or pays for; some may cost nothing.
    waiting: int = 0
    # One above the last pending sequence. A number of its own, because queries read it from another thread.
    next_pending: int = 0
    # The pending transaction that brings the account's first policy, and that policy.
    bringer: Pending | None = None
    first_policy: bytes = b""

    def next_sequence(self) -> int:
        """The sequence that the next transaction must have."""
        return max(self.account.sequence, self.next_pending)

    def as_next_seen(self) -> Account:
        """The account with the policy that its own next transaction will find stored."""
        if not self.first_policy:
            return self.account
        return Account(self.account.sequence, self.account.balance_nopen, self.first_policy)


@dataclass(slots=True)
class PendingKey:
    """A delegated key with pending transactions: its bounds as last read, and what may be spent of its limit."""

    key: bytes
    # State key of how often its account changed its policy: written there, it ended.
    changes_key: bytes
    delegation: Delegation
    reserved_nopen: int = 0
    waiting: int = 0


def pending_of(
    transaction: Transaction, digest: bytes, costs: tuple[tuple[bytes, int], ...], block: BlockContext
) -> Pending:
    """The entry of a transaction that may wait for this block."""
    body = transaction.body
    return Pending(
        sender=body.sender,
        sequence=body.sequence,
        expiry_height=body.expiry_height,
        digest=digest,
        costs=costs,
        changes_keys=any(TAG_OF[type(message)] < FIRST_DELEGABLE_TYPE for message in body.messages),
        seen_height=block.height,
        parameters=block.parameters,
    )


def first_policies(transaction: Transaction) -> tuple[tuple[bytes, bytes], ...]:
    """Accounts whose first policy the transaction brings along, and these policies."""
    places = zip(transaction.auths, transaction.presented, strict=True)
    return tuple([(auth.account, auth.policy) for auth, presented in places if isinstance(presented, Policy)])


def bounds_after(entry: PendingKey, writes: Mapping[bytes, bytes | None]) -> Delegation | None:
    """The delegation after a commit, None where more than its spending changed or its account's policy did."""
    if entry.changes_key in writes:
        return None
    if entry.key not in writes:
        return entry.delegation
    written = writes[entry.key]
    after = DELEGATIONS.decode_value(written) if written is not None else None
    if after is None or structs.replace(after, spent_nopen=entry.delegation.spent_nopen) != entry.delegation:
        return None
    return after


def costs_of(transaction: Transaction, fee: int) -> tuple[tuple[bytes, int], ...]:
    """List who may have to pay for the transaction, and how much each payer may have to pay."""
    body, spend = transaction.body, transaction.maximum_spend_nopen()
    return ((body.sponsor, fee), (body.sender, spend)) if body.sponsor else ((body.sender, fee + spend),)


def keys_changed(address: bytes, before: bytes, after: bytes) -> bool:
    """Whether other keys act for the account now; storing the first policy, the address's own, changes nothing."""
    return before != after and (bool(before) or address_of(after) != address)


def key_change_waits(entry: PendingAccount) -> bool:
    """Nothing is admitted behind a change of keys, so only the last pending transaction can be one."""
    last = next(reversed(entry.pending.values()), None)
    return last is not None and last.changes_keys


def loses_place(pending: Pending, payer: bytes, before: Account, written: bytes) -> bool:
    """Whether a commit that wrote this account of a payer takes a waiting transaction its permission."""
    after = ACCOUNTS.decode_value(written)
    if keys_changed(payer, before.policy, after.policy):
        return True
    return bool(after.policy) and any(address == payer for address, _ in pending.brings_policies)
