"""Records, tables, codes and hashes of the beacon."""

from enum import IntEnum

from abci_app.hashing import TAGS, tagged_hash
from abci_app.module import Event
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import HASHED, ID, Item, Map
from abci_app.state.table import U8 as U8_PART
from abci_app.state.table import U64 as U64_PART
from abci_app.types import U8, U32, Bytes32, Flag, Height, Integer, Nopen, OptionalBytes32

FIRST_VALUE = bytes(32)
# How a reveal is called where transactions are listed.
REVEAL_IN_WORDS = "beacon reveal"


class Beacon(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Value and number of the reveals that counted, the one shown by the last block and its owner, draws that wait."""

    value: Bytes32
    reveals: Integer
    shown: OptionalBytes32
    shown_by: OptionalBytes32
    # The number of the oldest request that waits; the newest has this number plus `waiting` less one.
    first_request: Integer
    waiting: U32
    at_stake_nopen: Nopen


class Onion(Record, frozen=True, array_like=True, tag=1, gc=False):
    """An owner's onion, how many reveals it gave, and the onion that follows from a height on (empty and 0: none)."""

    owner: Bytes32
    onion: Bytes32
    used: Integer
    next_onion: OptionalBytes32
    next_from_height: Height


class DrawRequest(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Work that waits for a draw: which, since which block, how many reveals had counted then, and what depends on it.

    The draw is for the deadline's kind, object and number.
    """

    kind: U8
    object: Bytes32
    number: Integer
    height: Height
    reveals: Integer
    at_stake_nopen: Nopen


class Draw(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A draw: the value, the block that made it, and whether too few reveals went into it."""

    value: Bytes32
    height: Height
    weak: Flag


class Reveal(Record, frozen=True, array_like=True, tag=2, gc=False):
    """The first transaction of a block: the preimage of its proposer's onion."""

    reveal: Bytes32


BEACON = Item("beacon/state/", Beacon)
ONIONS = Map("beacon/onion/", (HASHED,), Onion)
REQUESTS = Map("beacon/request/", (U64_PART,), DrawRequest)
DRAWS = Map("beacon/draw/", (U8_PART, ID, U64_PART), Draw)
NEW_BEACON = Beacon(value=FIRST_VALUE, reveals=0, shown=b"", shown_by=b"", first_request=1, waiting=0, at_stake_nopen=0)


class BeaconCode(IntEnum):
    """Codes of the beacon."""

    REVEAL_NOT_SENT = 1400
    REVEAL_MALFORMED = 1401
    NO_ONION = 1402
    WRONG_REVEAL = 1403
    STAKE_TOO_LARGE = 1404


class ProposerSilent(Event, frozen=True, gc=False):
    """A block shows no reveal although its proposer owes one: which address, whose, and what that cost."""

    proposer: bytes
    owner: bytes
    fine_nopen: int


class DrawMade(Event, frozen=True, gc=False):
    """A draw got its value."""

    object: bytes
    kind: int
    number: int
    value: bytes
    weak: int


def beacon_of(view: StateView) -> Beacon:
    """The beacon as a state has it; before its first reveal or request it is a constant."""
    return BEACON.get(view) or NEW_BEACON


def next_onion(link: bytes) -> bytes:
    """H('openledger/onion/v1', link): the link of a chain of hashes that follows, which is revealed before."""
    return tagged_hash(TAGS["beacon_onion"], link)


def next_value(value: bytes, reveal: bytes) -> bytes:
    """H('openledger/beacon/v1', value || reveal): the value once this reveal counts."""
    return tagged_hash(TAGS["beacon_value"], value + reveal)


def place_of(value: bytes, object_id: bytes, candidate: bytes) -> bytes:
    """H('openledger/draw/v1', value || object || candidate): candidates are ranked by it."""
    return tagged_hash(TAGS["beacon_draw"], value + object_id + candidate)
