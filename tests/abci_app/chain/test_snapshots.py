"""The verbs of state sync, over an application that has nothing and one that was given something."""

from __future__ import annotations

from collections.abc import Sequence

from abci_app.chain.application import Application
from abci_app.chain.snapshots import ChunkAnswer, NoSnapshots, OfferAnswer, Taken, announcement_of, message_of
from abci_app.pb import abci_pb2 as pb
from abci_app.state.memory_store import MemoryStore
from abci_app.state.snapshot import Announcement

ANNOUNCED = Announcement(height=7, format=1, chunks=3, hash=b"h" * 32, map_bytes=b"map")


class Recorder(NoSnapshots):
    def __init__(self) -> None:
        self.heard: list[object] = []

    def announced(self) -> Sequence[Announcement]:
        return [ANNOUNCED]

    def chunk(self, height: int, format_number: int, index: int) -> bytes:
        return b"%d %d %d" % (height, format_number, index)

    def offer(self, announced: Announcement, app_hash: bytes) -> OfferAnswer:
        self.heard.append((announced, app_hash))
        return OfferAnswer.REJECT_SENDER

    def take(self, index: int, chunk: bytes, sender: str) -> Taken:
        self.heard.append((index, chunk, sender))
        return Taken(ChunkAnswer.RETRY, (index,), (sender,))


def test_an_application_without_snapshots_has_none_and_takes_none() -> None:
    application = Application(MemoryStore())
    assert application.list_snapshots(pb.RequestListSnapshots()) == pb.ResponseListSnapshots()
    offered = application.offer_snapshot(pb.RequestOfferSnapshot(snapshot=message_of(ANNOUNCED)))
    assert offered.result == pb.ResponseOfferSnapshot.ABORT
    assert application.load_snapshot_chunk(pb.RequestLoadSnapshotChunk(height=7, format=1)).chunk == b""
    applied = application.apply_snapshot_chunk(pb.RequestApplySnapshotChunk())
    assert applied.result == pb.ResponseApplySnapshotChunk.ABORT


def test_the_verbs_pass_on_what_is_asked_and_answered() -> None:
    snapshots = Recorder()
    application = Application(MemoryStore(), snapshots=snapshots)
    (listed,) = application.list_snapshots(pb.RequestListSnapshots()).snapshots
    assert announcement_of(listed) == ANNOUNCED
    offered = application.offer_snapshot(pb.RequestOfferSnapshot(snapshot=listed, app_hash=b"a"))
    assert offered.result == pb.ResponseOfferSnapshot.REJECT_SENDER
    asked = pb.RequestLoadSnapshotChunk(height=7, format=1, chunk=2)
    assert application.load_snapshot_chunk(asked).chunk == b"7 1 2"
    applied = application.apply_snapshot_chunk(pb.RequestApplySnapshotChunk(index=2, chunk=b"c", sender="s"))
    assert applied.result == pb.ResponseApplySnapshotChunk.RETRY
    assert (list(applied.refetch_chunks), list(applied.reject_senders)) == ([2], ["s"])
    assert snapshots.heard == [(ANNOUNCED, b"a"), (2, b"c", "s")]
