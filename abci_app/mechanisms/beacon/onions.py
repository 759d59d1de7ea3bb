"""Onions: which hash an owner's next reveal must lead to."""

from typing import NamedTuple

from msgspec import structs

from abci_app.mechanisms.beacon.records import ONIONS, Onion
from abci_app.mechanisms.epochs import EPOCH_BLOCKS
from abci_app.module import BlockContext
from abci_app.state.store import StateView
from abci_app.state.table import MutableState

# A later onion is in force after as many epochs: who set it knew nothing of the draws of then.
ONION_EPOCHS = 2


class OnionInForce(NamedTuple):
    """The onion that counts at a height, and how many reveals it gave before."""

    onion: bytes
    used: int


def set_onion(state: MutableState, block: BlockContext, owner: bytes, onion: bytes) -> int:
    """Set an owner's onion: the first is in force at once, another one after two epochs; returns that height.

    One that waits already is replaced, and its time begins anew.
    """
    record = _settled(ONIONS.get(state, owner), block.height)
    if record is None:
        first = Onion(owner=owner, onion=onion, used=0, next_onion=b"", next_from_height=0)
        ONIONS.set(state, owner, first)
        return block.height
    height = block.height + ONION_EPOCHS * block.parameters[EPOCH_BLOCKS]
    ONIONS.set(state, owner, structs.replace(record, next_onion=onion, next_from_height=height))
    return height


def remove_onion(state: MutableState, owner: bytes) -> None:
    """Forget an owner's onion; its blocks then hold no reveal."""
    if ONIONS.has(state, owner):
        ONIONS.delete(state, owner)


def _settled(record: Onion | None, height: int) -> Onion | None:
    """The record with its next onion moved up if that one is in force at a height."""
    if record is None or not record.next_onion or height < record.next_from_height:
        return record
    return structs.replace(record, onion=record.next_onion, used=0, next_onion=b"", next_from_height=0)


def onion_in_force(view: StateView, owner: bytes, height: int) -> OnionInForce | None:
    """The onion of an owner that counts in the block of a height; None for who has none."""
    record = _settled(ONIONS.get(view, owner), height)
    return None if record is None else OnionInForce(record.onion, record.used)


def count_onion(state: MutableState, owner: bytes, onion: bytes, reveal: bytes, height: int) -> None:
    """Replace the onion in force at a height by the reveal that led to it; nothing where that onion is gone."""
    record = _settled(ONIONS.get(state, owner), height)
    if record is not None and record.onion == onion:
        ONIONS.set(state, owner, structs.replace(record, onion=reveal, used=record.used + 1))
