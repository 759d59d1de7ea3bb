"""Locks as modules use them. Each function keeps the balance of the account of locks equal to the sum of all locks."""

from collections.abc import Sequence

from msgspec import structs

from abci_app.accounts import credit, debit, show_address
from abci_app.errors import InvariantBroken, Rejected
from abci_app.mechanisms.locks.records import (
    BY_OWNER,
    LOCKS,
    LOCKS_ACCOUNT,
    MAX_LEAVING,
    POOLED_PURPOSES,
    Leaving,
    Lock,
    LockKey,
    LocksCode,
    Purpose,
)
from abci_app.mechanisms.payees import payee_of
from abci_app.module import BlockContext
from abci_app.state.store import StateView
from abci_app.state.table import MutableState
from abci_app.types import PPB

# An account, or another lock, and its part of what is taken.
Receiver = tuple[bytes | LockKey, int]


def find(view: StateView, key: LockKey) -> Lock | None:
    """The lock, or None where nothing is locked or leaving."""
    return LOCKS.get(view, *key)


def amount_of(view: StateView, key: LockKey) -> int:
    """Nopen that are locked, without what is leaving."""
    lock = find(view, key)
    return lock.amount_nopen if lock else 0


def take(state: MutableState, key: LockKey, amount_nopen: int, payer: bytes = b"") -> None:
    """Lock an amount of the owner's balance, or of another payer's; raises `Rejected` when it does not suffice."""
    _require_amount(amount_nopen, "lock")
    if not payer:
        _require_account(key)
    debit(state, payer or key.owner, amount_nopen)
    credit(state, LOCKS_ACCOUNT, amount_nopen)
    _add(state, key, amount_nopen)


def give_back(state: MutableState, key: LockKey, amount_nopen: int) -> None:
    """Return a locked amount to its owner at once; a payee changes nothing about that."""
    _require_account(key)
    _remove(state, key, amount_nopen)
    _pay_out(state, key.owner, amount_nopen)


def pay(state: MutableState, key: LockKey, recipient: bytes, amount_nopen: int) -> None:
    """Pay a locked amount to somebody: to the recipient's payee, or to the recipient."""
    _remove(state, key, amount_nopen)
    _pay_out(state, payee_of(state, recipient), amount_nopen)


def move(state: MutableState, source_key: LockKey, target_key: LockKey, amount_nopen: int) -> None:
    """Move a locked amount into another lock, also of another owner."""
    _remove(state, source_key, amount_nopen)
    _add(state, target_key, amount_nopen)


def leave(
    state: MutableState, block: BlockContext, key: LockKey, amount_nopen: int, blocks: int, seconds: int
) -> Leaving:
    """Let a locked amount leave: its owner can withdraw it after so many blocks and so many seconds, both."""
    _require_account(key)
    lock = _require_locked(state, key, amount_nopen)
    if len(lock.leaving) >= MAX_LEAVING:
        first = lock.leaving[0]
        raise Rejected(
            LocksCode.TOO_MANY_LEAVING,
            f"{MAX_LEAVING} parts of this lock are leaving already, the oldest until height {first.height} and time "
            f"{first.time_seconds}: withdraw what has ended, then let more leave",
        )
    entry = Leaving(amount_nopen, block.height + blocks, block.time_seconds + seconds)
    _store(
        state, key, structs.replace(lock, amount_nopen=lock.amount_nopen - amount_nopen, leaving=(*lock.leaving, entry))
    )
    return entry


def withdraw(state: MutableState, block: BlockContext, key: LockKey) -> int:
    """Pay the owner every entry whose height and time have both come; returns the amount, 0 where none has."""
    _require_account(key)
    lock = find(state, key)
    if lock is None:
        return 0
    waiting = [entry for entry in lock.leaving if not has_ended(entry, block.height, block.time_seconds)]
    kept = structs.replace(lock, leaving=tuple(waiting))
    amount_nopen = lock.total_nopen - kept.total_nopen
    if amount_nopen:
        _store(state, key, kept)
        _pay_out(state, key.owner, amount_nopen)
    return amount_nopen


def has_ended(entry: Leaving, height: int, time_seconds: int) -> bool:
    """Whether a block of this height and time pays an entry out."""
    return height >= entry.height and time_seconds >= entry.time_seconds


def slash(state: MutableState, key: LockKey, part_ppb: int, receivers: Sequence[Receiver]) -> int:
    """Take a part of the amount and of each leaving entry, each rounded down; returns the sum that was taken."""
    if not 0 <= part_ppb <= PPB:
        raise InvariantBroken(f"slash of {part_ppb} parts per billion")
    lock = find(state, key)
    if lock is None:
        return 0
    kept = Lock(
        lock.owner,
        lock.amount_nopen - lock.amount_nopen * part_ppb // PPB,
        tuple([_reduced(entry, entry.amount_nopen * part_ppb // PPB) for entry in lock.leaving]),
    )
    return _take_away(state, key, lock, kept, receivers)


def fine(state: MutableState, key: LockKey, amount_nopen: int, receivers: Sequence[Receiver]) -> int:
    """Take an amount as far as there is, also of what is leaving, the newest first; returns what it took."""
    if amount_nopen < 0:
        raise InvariantBroken(f"fine of {amount_nopen} nopen")
    lock = find(state, key)
    if lock is None:
        return 0
    from_amount_nopen = min(amount_nopen, lock.amount_nopen)
    due_nopen = amount_nopen - from_amount_nopen
    entries: list[Leaving] = []
    for entry in reversed(lock.leaving):
        taken_nopen = min(due_nopen, entry.amount_nopen)
        due_nopen -= taken_nopen
        entries.insert(0, _reduced(entry, taken_nopen))
    kept = Lock(lock.owner, lock.amount_nopen - from_amount_nopen, tuple(entries))
    return _take_away(state, key, lock, kept, receivers)


def _reduced(entry: Leaving, taken_nopen: int) -> Leaving:
    return structs.replace(entry, amount_nopen=entry.amount_nopen - taken_nopen)


def _take_away(state: MutableState, key: LockKey, lock: Lock, kept: Lock, receivers: Sequence[Receiver]) -> int:
    """Store what is kept of a lock and give the difference to the receivers."""
    taken_nopen = lock.total_nopen - kept.total_nopen
    parts = split(taken_nopen, [part_ppb for _, part_ppb in receivers])
    if not taken_nopen:
        return 0
    left = tuple([entry for entry in kept.leaving if entry.amount_nopen])
    _store(state, key, structs.replace(kept, leaving=left))
    for (receiver, _), part_nopen in zip(receivers, parts, strict=True):
        if not part_nopen:
            continue
        if isinstance(receiver, LockKey):
            _add(state, receiver, part_nopen)
        else:
            _pay_out(state, payee_of(state, receiver), part_nopen)
    return taken_nopen


def split(amount_nopen: int, parts_ppb: Sequence[int]) -> list[int]:
    """Floors of the parts, and what is missing one nopen each from the first part on that is not zero: nothing is lost.

    Raises `InvariantBroken` unless the parts sum to one.
    """
    if sum(parts_ppb) != PPB or any(part_ppb < 0 for part_ppb in parts_ppb):
        raise InvariantBroken(f"parts {list(parts_ppb)} of receivers do not sum to {PPB}")
    parts = [amount_nopen * part_ppb // PPB for part_ppb in parts_ppb]
    missing_nopen = amount_nopen - sum(parts)
    for place, part_ppb in enumerate(parts_ppb):
        if missing_nopen and part_ppb:
            parts[place] += 1
            missing_nopen -= 1
    return parts


def _require_amount(amount_nopen: int, verb: str) -> None:
    if amount_nopen <= 0:
        raise Rejected(LocksCode.ZERO_AMOUNT, f"{verb} {amount_nopen} nopen: give an amount above zero")


def _require_account(key: LockKey) -> None:
    """Raises for a lock that no account owns: a rule that returns its money to anybody is wrong."""
    if key.purpose in POOLED_PURPOSES:
        raise InvariantBroken(f"a lock for purpose {Purpose(key.purpose).name} has no account as its owner")


def _require_locked(view: StateView, key: LockKey, amount_nopen: int) -> Lock:
    """The lock, which holds this amount; raises `Rejected` otherwise."""
    _require_amount(amount_nopen, "release")
    lock = find(view, key)
    if lock is None or lock.amount_nopen < amount_nopen:
        held_nopen = lock.amount_nopen if lock else 0
        whose = "it" if key.purpose in POOLED_PURPOSES else f"{show_address(key.owner)}"
        raise Rejected(
            LocksCode.TOO_LITTLE_LOCKED,
            f"{whose} has {held_nopen} nopen locked for this, {amount_nopen} are asked for: give a smaller amount",
        )
    return lock


def _add(state: MutableState, key: LockKey, amount_nopen: int) -> None:
    _require_amount(amount_nopen, "lock")
    lock = find(state, key) or Lock(key.owner, 0, ())
    _store(state, key, structs.replace(lock, amount_nopen=lock.amount_nopen + amount_nopen))


def _remove(state: MutableState, key: LockKey, amount_nopen: int) -> None:
    lock = _require_locked(state, key, amount_nopen)
    _store(state, key, structs.replace(lock, amount_nopen=lock.amount_nopen - amount_nopen))


def _store(state: MutableState, key: LockKey, lock: Lock) -> None:
    """Write a lock, or remove it when nothing is left in it; the owners' index follows."""
    known = LOCKS.has(state, *key)
    if lock.amount_nopen or lock.leaving:
        LOCKS.set(state, *key, lock)
        if not known:
            BY_OWNER.add(state, key.owner, key.purpose, key.object_id)
    elif known:
        LOCKS.delete(state, *key)
        BY_OWNER.remove(state, key.owner, key.purpose, key.object_id)


def _pay_out(state: MutableState, recipient: bytes, amount_nopen: int) -> None:
    debit(state, LOCKS_ACCOUNT, amount_nopen)
    credit(state, recipient, amount_nopen)
