"""Questions about locks, and the conditions that always hold of them."""

from typing import Annotated

from msgspec import Meta, Struct

from abci_app.accounts import get_account
from abci_app.errors import Code, Rejected
from abci_app.mechanisms.locks.ledger import find
from abci_app.mechanisms.locks.records import BY_OWNER, LOCKS, LOCKS_ACCOUNT, Leaving, LockKey
from abci_app.mechanisms.locks.withdraw import ObjectId, PurposeNumber, key_of, require_object
from abci_app.module import Query
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import hash_key_part
from abci_app.types import U8, Bytes32

# One page of a listing.
MAX_PAGE = 100


class LockQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which lock; `object_id` empty where the purpose has none."""

    purpose: PurposeNumber
    object_id: ObjectId
    owner: Bytes32


class LocksQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of an owner's locks by purpose and object, after these (purpose 0 = from the start)."""

    owner: Bytes32
    after_purpose: U8
    after_object_id: ObjectId
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class LockView(Struct, frozen=True):
    """One lock as it stands; where there is none, zero and nothing that leaves."""

    purpose: PurposeNumber
    object_id: bytes
    owner: bytes
    amount_nopen: int
    leaving: tuple[Leaving, ...]


class LocksPage(Struct, frozen=True):
    """One page; `next_purpose` is 0 on the last one."""

    locks: tuple[LockView, ...]
    next_purpose: int
    next_object_id: bytes


def view_of(view: StateView, key: LockKey) -> LockView:
    """A lock as people are shown it."""
    lock = find(view, key)
    return LockView(
        purpose=key.purpose,
        object_id=key.object_id,
        owner=key.owner,
        amount_nopen=lock.amount_nopen if lock else 0,
        leaving=lock.leaving if lock else (),
    )


def query_lock(view: StateView, args: LockQuery) -> LockView:
    """One lock: its amount, and what is leaving until when."""
    require_object(args.object_id)
    return view_of(view, key_of(args.purpose, args.object_id, args.owner))


def query_list(view: StateView, args: LocksQuery) -> LocksPage:
    """A page of all locks of one owner."""
    require_object(args.after_object_id)
    if args.after_object_id and not args.after_purpose:
        raise Rejected(Code.BAD_QUERY, "after_object_id without after_purpose: give both, or neither")
    after = key_of(args.after_purpose, args.after_object_id, args.owner)
    start = (args.owner, after.purpose, after.object_id) if args.after_purpose else None
    locks: list[LockView] = []
    for _, purpose, object_id in BY_OWNER.iterate(view, args.owner, after=start):
        if len(locks) == args.limit:
            return LocksPage(tuple(locks), locks[-1].purpose, locks[-1].object_id)
        locks.append(view_of(view, LockKey(purpose, object_id, args.owner)))
    return LocksPage(tuple(locks), 0, b"")


# --- Invariants


def account_holds_all_locks(view: StateView) -> list[str]:
    """Compare the balance of the locks' account with the sum of all locks, what is leaving included."""
    locked_nopen = sum([lock.total_nopen for _, lock in LOCKS.iterate(view)])
    held_nopen = get_account(view, LOCKS_ACCOUNT).balance_nopen
    if held_nopen == locked_nopen:
        return []
    return [f"locks sum to {locked_nopen} nopen, their account holds {held_nopen}"]


def locks_are_whole(view: StateView) -> list[str]:
    """No lock is empty or has an empty entry, each lies under its owner and in its owner's list, and no other does."""
    faults = []
    keys = []
    for (purpose, object_id, owner_hash), lock in LOCKS.iterate(view):
        name = f"lock {purpose} of {lock.owner.hex()} for {object_id.hex()}"
        keys.append((owner_hash, purpose, object_id))
        if hash_key_part(lock.owner) != owner_hash:
            faults.append(f"{name} lies under another owner")
        if not lock.total_nopen or any(not entry.amount_nopen for entry in lock.leaving):
            faults.append(f"{name} is empty, or an entry of it is")
    listed = list(BY_OWNER.iterate(view))
    if listed != sorted(keys):
        faults.append(f"owners list {len(listed)} locks, {len(keys)} are stored, or others")
    return faults


QUERIES = (
    Query("lock", LockQuery, LockView, query_lock, "one lock of an owner"),
    Query("list", LocksQuery, LocksPage, query_list, "all locks of an owner, paged"),
)
INVARIANTS = (account_holds_all_locks, locks_are_whole)
