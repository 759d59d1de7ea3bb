"""The one message of locks: an owner takes out what has finished leaving."""

from typing import Annotated, ClassVar

from msgspec import Meta

from abci_app.errors import Rejected
from abci_app.mechanisms.locks.ledger import find, withdraw
from abci_app.mechanisms.locks.records import NO_OBJECT, POOLED_PURPOSES, Leaving, LockKey, LocksCode, Purpose
from abci_app.module import Context, Event, Message
from abci_app.types import ID_BYTES, words
from abci_app.utc import utc_text

# Also those that have no word yet: nobody has a lock for them.
PurposeNumber = Annotated[int, words(Purpose, first=0, last=2**8 - 1)]
# Empty where a purpose has no object: gOPEN and the bonds of validators and reviewers.
ObjectId = Annotated[bytes, Meta(max_length=ID_BYTES)]


class Withdraw(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0B01):
    """Take out of the sender's own lock everything that has finished leaving; `object_id` empty where there is none."""

    weight_each: ClassVar[int] = 6

    purpose: PurposeNumber
    object_id: ObjectId

    def validate(self) -> None:
        """The object is an id, or none."""
        require_object(self.object_id)


class Withdrawn(Event, frozen=True, gc=False):
    """An owner took out what had finished leaving."""

    owner: bytes
    purpose: int
    amount_nopen: int


def require_object(object_id: bytes) -> None:
    """Raises `Rejected` for what is neither empty nor an id."""
    if len(object_id) not in (0, ID_BYTES):
        raise Rejected(
            LocksCode.BAD_OBJECT,
            f"object_id has {len(object_id)} bytes: give the {ID_BYTES} bytes of an id, or leave it empty",
        )


def key_of(purpose: int, object_id: bytes, owner: bytes) -> LockKey:
    """The lock that a message or a question names; an empty object stands for none."""
    return LockKey(purpose, object_id or NO_OBJECT, owner)


def execute_withdraw(context: Context, message: Withdraw) -> None:
    """Pay the sender every entry whose height and time have both come."""
    key = key_of(message.purpose, message.object_id, context.sender)
    lock = find(context.state, key)
    if lock is None or message.purpose in POOLED_PURPOSES:
        raise Rejected(
            LocksCode.NO_LOCK, "you have no lock for this purpose and object: see `openledger account locks`"
        )
    amount_nopen = withdraw(context.state, context.block, key)
    if not amount_nopen:
        raise Rejected(LocksCode.NOTHING_TO_WITHDRAW, _why_nothing(lock.leaving))
    context.emit(Withdrawn(context.sender, message.purpose, amount_nopen))


def _why_nothing(leaving: tuple[Leaving, ...]) -> str:
    if not leaving:
        return "nothing of this lock is leaving: let an amount leave first"
    # The one that ends first by height; its time may hold it longer.
    first = min(leaving, key=lambda entry: (entry.height, entry.time_seconds))
    return (
        f"nothing of this lock has finished leaving: the next {first.amount_nopen} nopen can be withdrawn from height "
        f"{first.height} on, and not before {utc_text(first.time_seconds)}"
    )
