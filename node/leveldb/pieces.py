"""Writes a whole state to its final place in synced pieces, while no height is committed and nothing is current.

Genesis and the state of a snapshot are written so. A record of a commit makes them current; without one, all of it is
wiped when the store opens.
"""

from __future__ import annotations

from typing import Any, Final

from abci_app.state.tree.trie import TreeUpdate
from node.leveldb.records import FORMAT_KEY, encode_page, page_key

_PIECE_BYTES: Final = 8 * 2**20
_WIPED_AT_ONCE: Final = 20_000


class Pieces:
    """Values and pages on their way to the disk; `update`'s pages are taken out of it as they are written."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._batch = database.write_batch(sync=True)
        self._bytes = 0

    def put(self, key: bytes, value: bytes, update: TreeUpdate) -> None:
        """One value; a piece that is full is written, with the pages that are finished."""
        self._batch.put(b"k" + key, value)
        self._bytes += 150 + len(value)
        if self._bytes > _PIECE_BYTES:
            self.write(update)

    def write(self, update: TreeUpdate) -> None:
        """Everything until now, synced."""
        for number, page in update.pages:
            self._batch.put(page_key(number), encode_page(number, page))
        update.pages.clear()
        self._batch.write()
        self._batch = self._database.write_batch(sync=True)
        self._bytes = 0


def wipe(database: Any) -> None:
    """Remove everything but the format. A record of a commit must be gone, synced, before."""
    while True:
        with database.iterator(include_value=False, start=FORMAT_KEY + b"\x00") as rows:
            keys = [key for key, _ in zip(rows, range(_WIPED_AT_ONCE), strict=False)]
        if not keys:
            return
        # Synced: deletions that a power cut undid would put old values into the state that is adopted next.
        with database.write_batch(sync=True) as batch:
            for key in keys:
                batch.delete(key)
