"""The application's side of state sync: which snapshots there are, and what is made of those that others offer.

The state machine does no I/O: a node gives it something that keeps snapshots on its disk and restores them
(`node.snapshots`); without one, none are made and none are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from abci_app.pb import abci_pb2 as pb
from abci_app.state.snapshot import Announcement


class OfferAnswer(IntEnum):
    """The answer to an offered snapshot; CometBFT's numbers."""

    ACCEPT = 1
    ABORT = 2  # take no snapshot at all
    REJECT = 3
    REJECT_FORMAT = 4
    REJECT_SENDER = 5


class ChunkAnswer(IntEnum):
    """The answer to a chunk; CometBFT's numbers."""

    ACCEPT = 1
    ABORT = 2
    RETRY = 3  # this chunk again
    RETRY_SNAPSHOT = 4
    REJECT_SNAPSHOT = 5


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a chunk, with what follows from it; `complete` once the state of the snapshot is the store's."""

    verdict: ChunkAnswer
    refetch: tuple[int, ...] = ()
    reject_senders: tuple[str, ...] = ()
    complete: bool = False


class Snapshots(Protocol):
    """Keeps and restores snapshots of one store."""

    def announced(self) -> Sequence[Announcement]:
        """All snapshots that can be fetched here."""
        ...

    def chunk(self, height: int, format_number: int, index: int) -> bytes:
        """One chunk; nothing where there is none."""
        ...

    def offer(self, announced: Announcement, app_hash: bytes) -> OfferAnswer:
        """Begin to restore a snapshot, if its map leads to this app hash."""
        ...

    def take(self, index: int, chunk: bytes, sender: str) -> Taken:
        """The next chunk of the snapshot that was accepted."""
        ...

    def committed(self, height: int, time_seconds: int) -> int:
        """Hear of a commit; the first height whose block this node still needs, 0: all."""
        ...


class NoSnapshots:
    """None are made, none are taken, all blocks are kept."""

    def announced(self) -> Sequence[Announcement]:
        """None."""
        return ()

    def chunk(self, height: int, format_number: int, index: int) -> bytes:
        """Nothing."""
        return b""

    def offer(self, announced: Announcement, app_hash: bytes) -> OfferAnswer:
        """Take no snapshot."""
        return OfferAnswer.ABORT

    def take(self, index: int, chunk: bytes, sender: str) -> Taken:
        """Take no chunk."""
        return Taken(ChunkAnswer.ABORT)

    def committed(self, height: int, time_seconds: int) -> int:
        """Keep all blocks."""
        return 0


def message_of(announced: Announcement) -> pb.Snapshot:
    """CometBFT's form."""
    return pb.Snapshot(
        height=announced.height,
        format=announced.format,
        chunks=announced.chunks,
        hash=announced.hash,
        metadata=announced.map_bytes,
    )


def announcement_of(message: pb.Snapshot) -> Announcement:
    """From CometBFT's form."""
    return Announcement(
        height=message.height,
        format=message.format,
        chunks=message.chunks,
        hash=message.hash,
        map_bytes=message.metadata,
    )
