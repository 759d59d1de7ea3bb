"""Records, tables and codes of locks."""

from enum import IntEnum
from typing import Annotated, NamedTuple

from msgspec import Meta

from abci_app.module import module_account
from abci_app.state.codec import Record
from abci_app.state.table import HASHED, ID, U8, Index, Map
from abci_app.types import ID_BYTES, Bytes32, Height, Nopen, Seconds

# Its balance is the sum of all locks.
LOCKS_ACCOUNT = module_account("locks")
# A holder who leaves in steps waits for the first to end; a slash walks all of them.
MAX_LEAVING = 8
# In the place of an object where a purpose has none.
NO_OBJECT = bytes(ID_BYTES)


class Purpose(IntEnum):
    """The reason for which an amount is locked; released numbers, 16 to 31 belong to claims and what comes later."""

    GOPEN = 1
    VALIDATOR_BOND = 2
    REVIEWER_BOND = 3
    CONTRIBUTION_STAKE = 4
    CASE_ESCROW = 5
    DATANET_POT = 6
    DEPOSIT = 7
    MODEL_STAKE = 8
    MODEL_REWARDS = 9


# The owner of these is the id of an object, not an account: nothing can be given back to it.
POOLED_PURPOSES = (Purpose.DATANET_POT, Purpose.MODEL_STAKE)


class LockKey(NamedTuple):
    """Which lock: why, about which object (32 bytes, `NO_OBJECT` where there is none), and whose."""

    purpose: int
    object_id: bytes
    owner: bytes


class Leaving(Record, frozen=True, array_like=True, tag=1, gc=False):
    """An amount on its way out: paid in a block of at least this height and at least this time."""

    amount_nopen: Nopen
    height: Height
    time_seconds: Seconds


class Lock(Record, frozen=True, array_like=True, tag=1, gc=False):
    """An amount locked, and what of it is leaving beside it, oldest first."""

    owner: Bytes32
    amount_nopen: Nopen
    leaving: Annotated[tuple[Leaving, ...], Meta(max_length=MAX_LEAVING)]

    @property
    def total_nopen(self) -> int:
        """Everything that the lock holds, with what is leaving."""
        return self.amount_nopen + sum([entry.amount_nopen for entry in self.leaving])


LOCKS = Map("locks/lock/", (U8, ID, HASHED), Lock)
# The same locks by their owners, so that a page of one owner's locks is complete.
BY_OWNER = Index("locks/by-owner/", (HASHED, U8, ID))


class LocksCode(IntEnum):
    """Codes of locks."""

    ZERO_AMOUNT = 1100
    TOO_LITTLE_LOCKED = 1101
    TOO_MANY_LEAVING = 1102
    NO_LOCK = 1103
    NOTHING_TO_WITHDRAW = 1104
    BAD_OBJECT = 1105
