"""Restores the snapshot of others into an empty store: checked chunk by chunk, made current by one record.

Nothing here counts until the last chunk was checked and the whole tree led to the app hash; then one synced batch makes
it the state of its height. Killed before, the store is empty at the next start; killed after, it has all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from abci_app.chain.snapshots import ChunkAnswer, OfferAnswer, Taken
from abci_app.state.snapshot import SNAPSHOT_FORMAT, Announcement, FalseSnapshot, TreeRebuilder, verify_map
from abci_app.state.tree.trie import app_hash_of
from node.leveldb.pieces import Pieces
from node.leveldb.store import LevelDBStore

_LOG = logging.getLogger("openledger.snapshots")
_SAY_EVERY_CHUNKS: Final = 50


def _nothing(_point: str, _chunk: int) -> None:
    """No fault is injected."""


class Restoring:
    """One store's way from nothing to a snapshot's state.

    `reach` hears of every durable step, with the chunk's number (fault injection).
    """

    def __init__(self, store: LevelDBStore) -> None:
        self.reach: Callable[[str, int], None] = _nothing
        self._store = store
        self._rebuilder: TreeRebuilder | None = None
        self._pieces: Pieces | None = None
        self._app_hash = b""

    def offer(self, announced: Announcement, app_hash: bytes) -> OfferAnswer:
        """See `abci_app.chain.snapshots.Snapshots.offer`. What an earlier snapshot has written is removed.

        CometBFT offers only while it has no state of its own. When it ended before it saved one, what was restored for
        it and followed by no block is forgotten, too.
        """
        if self._store.height and self._store.height == self._store.restored_height:
            _LOG.warning("CometBFT joins anew: the state of height %d is forgotten", self._store.height)
            self._store.forget()
        if self._store.height:
            _LOG.error("a snapshot was offered although height %d is committed: refused", self._store.height)
            return OfferAnswer.ABORT
        self._rebuilder = self._pieces = None
        if announced.format != SNAPSHOT_FORMAT:
            return OfferAnswer.REJECT_FORMAT
        try:
            checked = verify_map(announced, app_hash)
        except FalseSnapshot as error:
            _LOG.warning(
                "a false snapshot of height %d was offered, its senders are shut out: %s", announced.height, error
            )
            return OfferAnswer.REJECT_SENDER
        self._pieces = self._store.begin_restoring()
        self.reach("begun", 0)
        self._rebuilder = TreeRebuilder(checked)
        self._app_hash = app_hash
        _LOG.info("joining by the snapshot of height %d, %d chunks", checked.height, checked.chunks)
        return OfferAnswer.ACCEPT

    def take(self, index: int, chunk: bytes, sender: str) -> Taken:
        """See `abci_app.chain.snapshots.Snapshots.take`."""
        rebuilder, pieces = self._rebuilder, self._pieces
        if rebuilder is None or pieces is None:
            return Taken(ChunkAnswer.ABORT)
        if index != rebuilder.next_chunk:
            if index < rebuilder.next_chunk:
                return Taken(ChunkAnswer.ACCEPT)  # it was checked and written
            return Taken(ChunkAnswer.RETRY_SNAPSHOT)
        try:
            entries, update = rebuilder.take(chunk)
        except FalseSnapshot as error:
            _LOG.warning("chunk %d of %s is false, it is fetched from others: %s", index, sender or "a peer", error)
            return Taken(ChunkAnswer.RETRY, (index,), (sender,) if sender else ())
        for key, value in entries:
            pieces.put(key, value, update)
        pieces.write(update)
        self.reach("chunk", index)
        if index % _SAY_EVERY_CHUNKS == 0:
            _LOG.info("chunk %d of %d is in place", index + 1, rebuilder.map.chunks)
        if not rebuilder.complete:
            return Taken(ChunkAnswer.ACCEPT)
        return self._finish(rebuilder, pieces)

    def _finish(self, rebuilder: TreeRebuilder, pieces: Pieces) -> Taken:
        top = rebuilder.finish()
        self._rebuilder = self._pieces = None
        if app_hash_of(top.root.hash) != self._app_hash:  # each part was checked: this is a bug here, not a lie
            _LOG.error("the snapshot of height %d does not lead to its app hash: refused", rebuilder.map.height)
            return Taken(ChunkAnswer.REJECT_SNAPSHOT)
        pieces.write(top)
        self.reach("top", 0)
        self._store.adopt(rebuilder.map.height, top.root, top.next_number)
        self.reach("adopted", 0)
        _LOG.info("the state of height %d is restored; the blocks after it follow", rebuilder.map.height)
        return Taken(ChunkAnswer.ACCEPT, complete=True)
