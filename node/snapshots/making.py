"""Makes snapshots: one pass over an immutable version of the state, in slices, so that blocks do not wait for it.

Inside a running node a thread does it, which rests three times as long as it works; it holds a version of its own, so
consensus writes on. Room is made before anything is written, and a disk without room costs a snapshot and nothing else.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from abci_app.state.snapshot import CHUNK_BYTES, SnapshotCutter, SnapshotTooLarge
from abci_app.state.store import Version
from abci_app.state.tree.pages import MAX_KEY_BYTES, CorruptPage
from node import disk
from node.errors import NodeError
from node.leveldb.records import StoreDamaged
from node.snapshots.folder import ENTRIES_FILE, SnapshotFolder, StoredSnapshot

_LOG = logging.getLogger("openledger.snapshots")

# Entries between two rests: a few milliseconds of work.
_SLICE_ENTRIES: Final = 256
_RESTS_PER_WORK: Final = 3.0
# Left free for consensus, which pauses at `disk.PAUSE_BELOW_BYTES`.
RESERVED_BYTES: Final = 256 * 2**20
_SYNC_EVERY_BYTES: Final = 8 * 2**20
_END: Final = b"\xff" * (MAX_KEY_BYTES + 1)


class NoRoom(OSError):
    """The disk has too little room for a snapshot; consensus needs what is left."""


class Stopped(Exception):
    """The node stops; the snapshot is given up."""


def _no_rest(_work_seconds: float) -> None:
    """Do not rest: somebody waits for the snapshot."""


def make_room(folder: SnapshotFolder, keep: int, need_bytes: int) -> None:
    """Remove snapshots that the new one replaces; raises `NoRoom` where it would not fit beside the others.

    One is left for those who fetch it, until the new one is there.
    """
    folder.keep(max(keep - 1, 1))
    free = disk.free_bytes(folder.folder)
    if free < need_bytes + RESERVED_BYTES:
        raise NoRoom(
            f"{free // 2**20} MiB are free in {folder.folder}, the snapshot may take {need_bytes // 2**20} MiB and "
            f"{RESERVED_BYTES // 2**20} MiB are left for blocks"
        )


def make(
    version: Version,
    folder: SnapshotFolder,
    *,
    keep: int,
    need_bytes: int = 0,
    rest: Callable[[float], None] = _no_rest,
    chunk_bytes: int = CHUNK_BYTES,
) -> StoredSnapshot:
    """Write the snapshot of a version and keep the newest `keep`. Raises `NoRoom`, `SnapshotTooLarge`, OSError.

    `rest` is called after every slice with the seconds of processor time that it took, and may raise.
    """
    make_room(folder, keep, max(need_bytes, folder.kept[0].size_bytes * 5 // 4 if folder.kept else 0))
    unfinished = folder.begin()
    try:
        cutter = SnapshotCutter(version.height, chunk_bytes)
        _write_entries(version, cutter, unfinished / ENTRIES_FILE, rest)
        cut = cutter.finish()
        if cut.app_hash != version.app_hash:
            raise CorruptPage(
                f"keys and values do not lead to the app hash of height {version.height}: the state store is damaged, "
                "run `openledger node check`"
            )
        stored = folder.finish(cut.announced, cut.sizes_bytes)
    except BaseException:
        folder.abandon()
        raise
    folder.keep(keep)
    return stored


def _write_entries(version: Version, cutter: SnapshotCutter, path: Path, rest: Callable[[float], None]) -> None:
    began = time.thread_time()
    pieces: list[bytes] = []
    unsynced_bytes = 0
    with path.open("wb") as file:
        for key, value in version.iterate(b"", _END):
            pieces.append(cutter.add(key, value))
            if len(pieces) < _SLICE_ENTRIES:
                continue
            data = b"".join(pieces)
            pieces.clear()
            file.write(data)
            unsynced_bytes += len(data)
            if unsynced_bytes > _SYNC_EVERY_BYTES:  # in small steps, so that a commit's own sync does not wait long
                unsynced_bytes = 0
                file.flush()
                os.fsync(file.fileno())
                if disk.free_bytes(path.parent) < RESERVED_BYTES:
                    raise NoRoom(f"less than {RESERVED_BYTES // 2**20} MiB are left on the disk")
            rest(time.thread_time() - began)
            began = time.thread_time()
        file.write(b"".join(pieces))
        file.flush()
        os.fsync(file.fileno())


class SnapshotMaker:
    """The thread beside consensus that makes one snapshot at a time."""

    def __init__(self, folder: SnapshotFolder, *, keep: int, need_bytes: Callable[[], int] = lambda: 0) -> None:
        self._folder = folder
        self._keep = keep
        self._need_bytes = need_bytes
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a snapshot is being made."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, version: Version) -> bool:
        """Make the snapshot of this version, which is closed afterwards; False while another one is being made."""
        if self.busy or self._stopping.is_set():
            return False
        self._thread = threading.Thread(target=self._run, args=(version,), name="snapshot", daemon=True)
        self._thread.start()
        return True

    def stop(self) -> None:
        """Give up what is being made, and wait until the version is closed."""
        self._stopping.set()
        self.wait()

    def wait(self) -> None:
        """Wait until nothing is being made."""
        if self._thread is not None:
            self._thread.join()

    def _rest(self, work_seconds: float) -> None:
        if self._stopping.wait(work_seconds * _RESTS_PER_WORK):
            raise Stopped

    def _run(self, version: Version) -> None:
        began = time.monotonic()
        try:
            with version:
                made = make(version, self._folder, keep=self._keep, need_bytes=self._need_bytes(), rest=self._rest)
        except Stopped:
            _LOG.info("the snapshot of height %d was given up: the node stops", version.height)
        except (CorruptPage, StoreDamaged) as error:
            _LOG.critical("the snapshot of height %d was not made: %s", version.height, error)
        except (OSError, SnapshotTooLarge, NodeError) as error:
            _LOG.warning("the snapshot of height %d was not made, blocks go on: %s", version.height, error)
        except Exception:  # noqa: BLE001 - a snapshot is no reason to stop, and silence none to go on
            _LOG.exception("the snapshot of height %d was not made, blocks go on", version.height)
        else:
            _LOG.info(
                "made the snapshot of height %d: %d chunks, %.1f MB, in %.0f s",
                made.height,
                made.announced.chunks,
                made.size_bytes / 1e6,
                time.monotonic() - began,
            )
