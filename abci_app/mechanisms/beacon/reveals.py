"""Reveals: the first transaction of a block, when it is valid, when it counts, and who is silent."""

from msgspec import structs

from abci_app.errors import Rejected
from abci_app.mechanisms.beacon.onions import OnionInForce, count_onion, onion_in_force
from abci_app.mechanisms.beacon.records import (
    BEACON,
    BeaconCode,
    Reveal,
    beacon_of,
    next_onion,
    next_value,
)
from abci_app.module import BlockContext, HookContext, Revealers
from abci_app.state.codec import CodecError, decode, encode
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import MutableState

# How the bytes of every reveal begin, and of no transaction: a list of two, then 2.
_REVEAL_HEAD = b"\x92\x02"


def is_reveal(raw: bytes) -> bool:
    """Whether these bytes of a block are a reveal, or would be one if they were well-formed."""
    return raw.startswith(_REVEAL_HEAD)


def reveal_transaction(reveal: bytes) -> bytes:
    """The bytes of a reveal in a block."""
    return encode(Reveal(reveal))


def require_no_reveal(raw: bytes) -> None:
    """Raises `Rejected` for a reveal where a transaction is expected."""
    if is_reveal(raw):
        raise Rejected(
            BeaconCode.REVEAL_NOT_SENT,
            "these bytes are a beacon reveal: nobody sends it, its block's proposer puts it first into the block",
        )


def due_onion(view: StateView, block: BlockContext, revealers: Revealers) -> OnionInForce | None:
    """The onion that the reveal of this block must lead to; None where its proposer owes none."""
    owner = revealers.owner_of(view, block.proposer) if block.proposer else None
    return None if owner is None else onion_in_force(view, owner, block.height)


def show(state: MutableState, block: BlockContext, revealers: Revealers, raw: bytes) -> None:
    """Take the reveal of a block, its first transaction; raises `Rejected` for one that is not valid."""
    try:
        reveal = decode(Reveal, raw).reveal
    except CodecError as error:
        raise Rejected(BeaconCode.REVEAL_MALFORMED, f"beacon reveal is malformed: {error}") from error
    owner = revealers.owner_of(state, block.proposer) if block.proposer else None
    onion = onion_in_force(state, owner, block.height) if owner is not None else None
    if owner is None or onion is None:
        raise Rejected(
            BeaconCode.NO_ONION, f"proposer {block.proposer.hex()} has no onion: its blocks hold no beacon reveal"
        )
    if next_onion(reveal) != onion.onion:
        raise Rejected(
            BeaconCode.WRONG_REVEAL,
            f"the beacon reveal does not lead to the onion of proposer {block.proposer.hex()}: only its next one does",
        )
    BEACON.set(state, structs.replace(beacon_of(state), shown=reveal, shown_by=owner))


def count_shown(state: Overlay, context: HookContext) -> None:
    """Run the begin hook: what the last block showed counts if that block was decided in round 0, else it is forgotten.

    A reveal counts even where its owner is gone meanwhile; the onion follows if it is still the one that was met.
    """
    beacon = beacon_of(state)
    if not beacon.shown:
        return
    value, reveals = beacon.value, beacon.reveals
    if context.block.last_commit.round == 0:
        value, reveals = next_value(value, beacon.shown), reveals + 1
        count_onion(state, beacon.shown_by, next_onion(beacon.shown), beacon.shown, context.height - 1)
    BEACON.set(state, structs.replace(beacon, value=value, reveals=reveals, shown=b"", shown_by=b""))


def is_silent(view: StateView, block: BlockContext, owner: bytes) -> bool:
    """Whether a block of this owner shows no reveal although an onion is in force; asked after its transactions."""
    return not beacon_of(view).shown and onion_in_force(view, owner, block.height) is not None
