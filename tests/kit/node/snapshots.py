"""What the tests of snapshots share: stores with a few hundred entries, and a CometBFT that joins through them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from abci_app.chain.snapshots import ChunkAnswer, OfferAnswer, Taken
from abci_app.state.snapshot import Announcement
from node.leveldb.store import LevelDBStore
from node.snapshots.folder import SnapshotFolder, StoredSnapshot
from node.snapshots.making import make
from node.snapshots.restoring import Restoring

HEIGHT = 5
CHUNK_BYTES = 1500


def random_state(entries: int = 300, seed: int = 1) -> dict[bytes, bytes]:
    chance = random.Random(seed)
    return {
        b"table/%d/" % chance.randrange(3) + chance.randbytes(8): chance.randbytes(chance.randrange(1, 60))
        for _ in range(entries)
    }


def fill(store: LevelDBStore, state: dict[bytes, bytes], height: int = HEIGHT) -> None:
    """Commit the state by genesis and a few blocks, the last at `height`."""
    rows = sorted(state.items())
    store.stage_genesis(height - 3, rows[: len(rows) // 2])
    later = rows[len(rows) // 2 :]
    third = len(later) // 3
    for at, part in (
        (height - 3, later[:third]),
        (height - 2, later[third : 2 * third]),
        (height - 1, later[2 * third :]),
    ):
        store.commit(store.stage(at, part))
    store.commit(store.stage(height, []))


def snapshot_of(store: LevelDBStore, folder: Path, chunk_bytes: int = CHUNK_BYTES) -> StoredSnapshot:
    """A snapshot of the store's last height."""
    snapshots = SnapshotFolder(folder)
    snapshots.open()
    with store.latest() as version:
        return make(version, snapshots, keep=2, chunk_bytes=chunk_bytes)


class Peer:
    """A provider: true chunks, unless it lies."""

    def __init__(self, name: str, stored: StoredSnapshot, lie: Callable[[int, bytes], bytes] | None = None) -> None:
        self.name = name
        self.stored = stored
        self.lie = lie

    def chunk(self, index: int) -> bytes:
        true = self.stored.chunk(index)
        return true if self.lie is None else self.lie(index, true)


def join(
    restoring: Restoring, announced: Announcement, app_hash: bytes, peers: Sequence[Peer]
) -> tuple[list[Taken], list[str]]:
    """Do as CometBFT does: chunks in order from peers in turn, again after RETRY; (answers, peers shut out)."""
    assert restoring.offer(announced, app_hash) is OfferAnswer.ACCEPT
    answers: list[Taken] = []
    shut_out: list[str] = []
    index = asked = 0
    while index < announced.chunks:
        left = [peer for peer in peers if peer.name not in shut_out]
        peer = left[asked % len(left)]
        asked += 1
        taken = restoring.take(index, peer.chunk(index), peer.name)
        answers.append(taken)
        shut_out += taken.reject_senders
        if taken.verdict is ChunkAnswer.RETRY:
            assert taken.refetch == (index,)
            continue
        assert taken.verdict is ChunkAnswer.ACCEPT
        index += 1
    return answers, shut_out
