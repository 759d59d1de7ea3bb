"""Snapshots of a running node: what the application's verbs of state sync and its commits lead to.

Every node that makes snapshots makes them of the same heights, multiples of the interval, with the same bytes; so a
joining node fetches from all of them at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from abci_app.chain.snapshots import OfferAnswer, Taken
from abci_app.state.snapshot import SNAPSHOT_FORMAT, Announcement
from node import disk
from node.leveldb.store import LevelDBStore
from node.snapshots.block_keeping import BlockKeeping
from node.snapshots.folder import SnapshotFolder
from node.snapshots.making import SnapshotMaker
from node.snapshots.restoring import Restoring

_LOG = logging.getLogger("openledger.snapshots")

# While a node is further behind it executes blocks of others, and its snapshots would be old when they are finished.
_BEHIND_SECONDS: Final = 600
WANTED_FILE: Final = "wanted"


class NodeSnapshots:
    """See `abci_app.chain.snapshots.Snapshots`. A context: what is being made is given up at its end."""

    def __init__(
        self,
        store: LevelDBStore,
        folder: Path,
        *,
        interval_heights: int,
        keep: int,
        blocks: BlockKeeping | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = SnapshotFolder(folder)
        self._store = store
        self._interval_heights = interval_heights
        self._blocks = blocks
        self._clock = clock
        self._wanted = folder / WANTED_FILE
        self.restoring = Restoring(store)
        self.maker = SnapshotMaker(self.folder, keep=keep, need_bytes=self._need_bytes)
        self._store_folder = folder.parent / "application"

    def announced(self) -> Sequence[Announcement]:
        """All kept snapshots, the newest first."""
        return [each.announced for each in self.folder.kept]

    def chunk(self, height: int, format_number: int, index: int) -> bytes:
        """One chunk from the disk."""
        found = self.folder.at(height) if format_number == SNAPSHOT_FORMAT else None
        return b"" if found is None else found.chunk(index)

    def offer(self, announced: Announcement, app_hash: bytes) -> OfferAnswer:
        """Begin to restore."""
        return self.restoring.offer(announced, app_hash)

    def take(self, index: int, chunk: bytes, sender: str) -> Taken:
        """Go on restoring."""
        return self.restoring.take(index, chunk, sender)

    def committed(self, height: int, time_seconds: int) -> int:
        """Begin a snapshot where one is due, and say which blocks are still needed. Never fails a commit."""
        try:
            if self._is_due(height, time_seconds):
                self._begin()
            if self._blocks is None:
                return 0
            kept = self.folder.kept  # the maker's thread may replace it meanwhile
            oldest = kept[-1].height if kept else 0
            return self._blocks.retain_height(height, time_seconds, oldest)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            _LOG.warning("snapshots and pruning wait, blocks go on: %s", error)
            return 0

    def _is_due(self, height: int, time_seconds: int) -> bool:
        if self._wanted.exists():
            return True
        if not self._interval_heights or height % self._interval_heights:
            return False
        return self._clock() - time_seconds < _BEHIND_SECONDS

    def _begin(self) -> None:
        version = self._store.latest()
        if self.maker.begin(version):
            self._wanted.unlink(missing_ok=True)
        else:
            version.close()

    def _need_bytes(self) -> int:
        # Of the first one nothing is known; the store holds the tree and the past, too.
        return 0 if self.folder.kept else disk.size_of_files(self._store_folder)

    def __enter__(self) -> Self:
        self.folder.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.maker.stop()
