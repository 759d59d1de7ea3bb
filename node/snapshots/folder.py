"""Snapshots of one node on its disk: written whole or not at all, few of them, read chunk by chunk.

    data/snapshots/HEIGHT/map        the map (abci_app.state.snapshot)
    data/snapshots/HEIGHT/entries    bodies of all chunks, one after another
    data/snapshots/HEIGHT/chunks     for each chunk: bytes u64, CRC-32 u32, big-endian
    data/snapshots/unfinished/       under construction; removed when the node starts

A snapshot that is not what was written is not served: its reader would take this node for a liar.
"""

from __future__ import annotations

import logging
import os
import shutil
import zlib
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from struct import Struct
from struct import error as StructError  # noqa: N812  # an exception type under a lower-case name
from typing import Final

from abci_app.state.codec import CodecError, decode
from abci_app.state.snapshot import Announcement, SnapshotMap, chunk_head
from node.disk import sync_folder

_LOG = logging.getLogger("openledger.snapshots")

UNFINISHED: Final = "unfinished"
MAP_FILE, ENTRIES_FILE, CHUNKS_FILE = "map", "entries", "chunks"
_CHUNK = Struct(">QI")


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """One snapshot on disk: its announcement, and where each chunk's body lies."""

    folder: Path
    announced: Announcement
    map: SnapshotMap
    sizes_bytes: tuple[int, ...]
    checksums: tuple[int, ...]
    starts: tuple[int, ...]

    @property
    def height(self) -> int:
        return self.announced.height

    @property
    def size_bytes(self) -> int:
        """The size of all chunks' bodies."""
        return sum(self.sizes_bytes)

    def chunk(self, index: int) -> bytes:
        """One chunk; nothing where the disk does not hold what was written."""
        if not 0 <= index < len(self.sizes_bytes):
            return b""
        try:
            with (self.folder / ENTRIES_FILE).open("rb") as file:
                body = os.pread(file.fileno(), self.sizes_bytes[index], self.starts[index])
        except OSError as error:
            _LOG.warning("chunk %d of the snapshot of height %d cannot be read: %s", index, self.height, error)
            return b""
        if zlib.crc32(body) != self.checksums[index]:
            _LOG.error(
                "chunk %d of the snapshot of height %d is not what was written: the disk may be failing; run "
                "`openledger node doctor`",
                index,
                self.height,
            )
            return b""
        return chunk_head(self.map, index) + body


def read_snapshot(folder: Path) -> StoredSnapshot | None:
    """The snapshot in a folder, or None for what is none."""
    try:
        data = (folder / MAP_FILE).read_bytes()
        found = decode(SnapshotMap, data)
        chunks = [*_CHUNK.iter_unpack((folder / CHUNKS_FILE).read_bytes())]
        written_bytes = (folder / ENTRIES_FILE).stat().st_size
    except (OSError, CodecError, StructError) as error:
        _LOG.warning("%s is no snapshot: %s", folder, error)
        return None
    sizes = tuple([size for size, _ in chunks])
    if str(found.height) != folder.name or found.chunks != len(chunks) or sum(sizes) != written_bytes:
        _LOG.warning("%s is no whole snapshot", folder)
        return None
    return StoredSnapshot(
        folder=folder,
        announced=Announcement.of(found),
        map=found,
        sizes_bytes=sizes,
        checksums=tuple([checksum for _, checksum in chunks]),
        starts=tuple(accumulate(sizes, initial=0))[:-1],
    )


class SnapshotFolder:
    """All snapshots of one node, the newest first. One thread writes; any may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: tuple[StoredSnapshot, ...] = ()

    def open(self) -> None:
        """Look at what is there and remove what was not finished."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
        self.look()

    def look(self) -> None:
        """Read what is there."""
        folders = [path for path in self.folder.glob("*") if path.name.isdigit()] if self.folder.is_dir() else []
        found = [each for each in map(read_snapshot, folders) if each is not None]
        self.kept = tuple(sorted(found, key=lambda each: -each.height))

    def at(self, height: int) -> StoredSnapshot | None:
        """The snapshot of a height."""
        return next((each for each in self.kept if each.height == height), None)

    def keep(self, newest: int) -> None:
        """Remove all but the newest ones."""
        for old in self.kept[newest:]:
            self.kept = tuple([each for each in self.kept if each is not old])
            shutil.rmtree(old.folder, ignore_errors=True)

    def begin(self) -> Path:
        """An empty folder to write into."""
        folder = self.folder / UNFINISHED
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def abandon(self) -> None:
        """Remove what was begun."""
        shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)

    def finish(self, announced: Announcement, sizes_bytes: tuple[int, ...]) -> StoredSnapshot:
        """Put the map and the checksums beside the entries that were written, and make it one of the snapshots."""
        folder = self.folder / UNFINISHED
        with (folder / ENTRIES_FILE).open("rb") as entries:
            rows = b"".join([_CHUNK.pack(size, zlib.crc32(entries.read(size))) for size in sizes_bytes])
        for name, data in ((MAP_FILE, announced.map_bytes), (CHUNKS_FILE, rows)):
            with (folder / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(folder)
        final = self.folder / str(announced.height)
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
        sync_folder(self.folder)
        self.look()
        found = self.at(announced.height)
        if found is None:
            raise OSError(f"the snapshot in {final} cannot be read again")
        return found
