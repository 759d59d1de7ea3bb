"""An account's locks as objects with attributes, and the question that lists all of them."""

from dataclasses import dataclass

from abci_app.bech32 import encode_id
from abci_app.mechanisms.locks import NO_OBJECT, LocksQuery, LockView, Purpose, has_ended
from openledger.amounts import show_amount
from openledger.client.provenance import MAX_PAGES, Pages
from openledger.client.typed.make import People
from openledger.client.typed.questions import address_named
from openledger.client.typed.results import Found
from openledger.errors import NodeFailure
from openledger.words import word_of_number

# What one answer can surely hold with its proof.
_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavingFound:
    """An amount on its way out: it can be withdrawn in a block of this height and this time, or later."""

    amount_nopen: int
    height: int
    time_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFound:
    """One lock: its purpose in words (`validator-bond`), the object's id in hex or empty, what is in it."""

    purpose: str
    object_id: str
    locked_nopen: int
    leaving: tuple[LeavingFound, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LocksFound(Found):
    """All locks of an account, complete."""

    address: str
    name: str
    locks: tuple[LockFound, ...]

    @property
    def total_nopen(self) -> int:
        """Everything that is locked or leaving."""
        return sum([lock.locked_nopen + sum([each.amount_nopen for each in lock.leaving]) for lock in self.locks])

    def __repr__(self) -> str:
        held = f"{len(self.locks)} locks, {show_amount(self.total_nopen)}"
        return f"<Locks of {self.name or self.address}: {held}; {self._standing()}>"


def ask_locks(people: People, account: str | bytes, height: int) -> Pages[LocksFound]:
    """Ask for every lock of an account (address, or what its key is called here), all pages at one height."""
    address = account if isinstance(account, bytes) else address_named(people, account)
    found: list[LockView] = []
    after_purpose, after_object_id = 0, b""
    for _ in range(MAX_PAGES):
        question = LocksQuery(owner=address, after_purpose=after_purpose, after_object_id=after_object_id, limit=_PAGE)
        answer = yield "locks", "list", question, height
        found += answer.value.locks
        after_purpose, after_object_id, height = answer.value.next_purpose, answer.value.next_object_id, answer.height
        if not after_purpose:
            return LocksFound(
                height=answer.height,
                verified=answer.verified,
                note=answer.note,
                record=tuple(found),
                address=encode_id("open", address),
                name=people.get(address, ""),
                locks=tuple([_lock(each) for each in found]),
            )
    raise NodeFailure(f"the node lists more than {MAX_PAGES * _PAGE} locks of one account: ask another node")


def _lock(view: LockView) -> LockFound:
    return LockFound(
        purpose=word_of_number(Purpose, view.purpose),
        object_id="" if view.object_id == NO_OBJECT else view.object_id.hex(),
        locked_nopen=view.amount_nopen,
        leaving=tuple(
            [
                LeavingFound(amount_nopen=each.amount_nopen, height=each.height, time_seconds=each.time_seconds)
                for each in view.leaving
            ]
        ),
    )


def withdrawable_nopen(lock: LockView, height: int, time_seconds: int) -> int:
    """The amount that a withdrawal in a block of this height and time pays."""
    return sum([entry.amount_nopen for entry in lock.leaving if has_ended(entry, height, time_seconds)])
