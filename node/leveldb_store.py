"""The chain's state in LevelDB: latest values, tree pages, and what the last heights need to be read.

A block is one synced batch: values, old values, new pages, both records, and the removal of what no kept height
reads any more. Nothing is written before it, except genesis: a large one goes to its final place in synced pieces
while no height is committed, becomes the state with the first commit, and is wiped when the store opens without one.
Keys and records stand in leveldb_records.py.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import plyvel

from abci_app.state.pages import CorruptPage, leaf_hash
from abci_app.state.staging import Change, StagedBlock, check_changes, stage_changes
from abci_app.state.store import HISTORY_HEIGHTS, UnknownHeight
from abci_app.state.trie import EMPTY_ROOT, TreeUpdate, app_hash_of, build, root_of
from abci_app.state.trie_read import walk
from abci_app.state.work import Spend, free
from node.leveldb_records import (
    COMMIT_KEY,
    FORMAT,
    FORMAT_KEY,
    Commit,
    StoreError,
    decode_record,
    encode_page,
    encode_record,
    height_key,
    history_key,
    page_key,
    scan,
)
from node.leveldb_version import Head, LevelDBVersion, PageCache, Undo, page_reader
from node.value_cache import ValueCache

DEFAULT_CACHE_BYTES: Final = 192 * 2**20
# Latest values: about 100,000 accounts.
_VALUE_CACHE_BYTES: Final = 32 * 2**20
# LevelDB's own block cache and write buffer (two of them at worst), stated because they are part of the node's memory.
_BLOCK_CACHE_BYTES: Final = 32 * 2**20
_WRITE_BUFFER_BYTES: Final = 32 * 2**20
# One synced piece of a genesis under construction.
_GENESIS_PIECE_BYTES: Final = 8 * 2**20
# Blocks whose old values stay in memory: nearly all proofs are for the last height but one.
_RECENT_BLOCKS: Final = 4
_NOTHING: Final = Commit(0, 1, 1, EMPTY_ROOT.number, EMPTY_ROOT.hash)


def _damaged(error: plyvel.Error) -> OSError:
    return OSError(f"the state store is damaged: {error}; restore a backup")


class LevelDBStore:
    """See `store.Store`. One thread stages and commits; all reads may be called from any."""

    def __init__(self, database: Any, history_heights: int, cache_bytes: int, commit: Commit) -> None:
        self.history_heights = history_heights
        self._database = database
        self._cache_bytes = cache_bytes
        self._cache = PageCache(cache_bytes)
        self._values = ValueCache(_VALUE_CACHE_BYTES, self._read_value)
        self._genesis = _NOTHING
        self._head = self._new_head(commit, 0, ())

    @classmethod
    def open(
        cls, folder: Path, *, history_heights: int = HISTORY_HEIGHTS, cache_bytes: int = DEFAULT_CACHE_BYTES
    ) -> Self:
        """Open or create the store in `folder`; raises `StoreError`."""
        if history_heights < 2:
            raise StoreError(
                f"history of {history_heights} heights: at least 2 are needed, proofs are for the last but one"
            )
        try:
            database = plyvel.DB(
                str(folder),
                create_if_missing=True,
                lru_cache_size=_BLOCK_CACHE_BYTES,
                write_buffer_size=_WRITE_BUFFER_BYTES,
                bloom_filter_bits=10,
            )
        except plyvel.IOError as error:
            raise StoreError(
                f"the state store {folder} cannot be opened: {error}; is another node running on it?"
            ) from error
        except plyvel.Error as error:
            raise StoreError(f"the state store {folder} is damaged: {error}; restore a backup") from error
        try:
            return cls._opened(database, folder, history_heights, cache_bytes)
        except BaseException:
            database.close()
            raise

    @classmethod
    def _opened(cls, database: Any, folder: Path, history_heights: int, cache_bytes: int) -> Self:
        found = database.get(FORMAT_KEY)
        if found is None:
            with database.iterator(include_value=False) as rows:
                if next(rows, None) is not None:
                    raise StoreError(
                        f"{folder} holds a LevelDB database that is not a state store; choose another folder"
                    )
            database.put(FORMAT_KEY, FORMAT, sync=True)
        elif found != FORMAT:
            raise StoreError(
                f"the state store {folder} has format {found.decode('ascii', 'replace')}, this program reads "
                f"{FORMAT.decode()}: use the program that wrote it, or start from a snapshot"
            )
        stored = database.get(COMMIT_KEY)
        store = cls(database, history_heights, cache_bytes, _NOTHING if stored is None else Commit.decode(stored))
        if stored is None:
            store._wipe()
        else:
            store._head = store._new_head(store._head.commit, store._find_earliest(), ())
        return store

    def _new_head(self, commit: Commit, earliest_height: int, recent: tuple[Undo, ...]) -> Head:
        """Everything as it is now."""
        return Head(commit, earliest_height, self._database.snapshot(), recent, self._values, self._values.generation)

    def _find_earliest(self) -> int:
        """First kept height; every one from there on must be there, else a write was lost in the middle."""
        height = self._head.commit.height
        with self._database.iterator(
            start=height_key(b"h", 0), stop=height_key(b"h", height + 1), include_key=False
        ) as rows:
            heights = [Commit.decode(data).height for data in rows]
        if not heights or heights != list(range(heights[0], height + 1)):
            raise StoreError(f"the state store is damaged: records below height {height} are missing; restore a backup")
        return heights[0]

    @property
    def height(self) -> int:
        """Of the last commit; 0 when nothing is committed."""
        return self._head.commit.height

    @property
    def earliest_height(self) -> int:
        """First kept height; 0 when nothing is committed."""
        return self._head.earliest_height

    @property
    def app_hash(self) -> bytes:
        """Of the last commit, or of an empty tree."""
        return app_hash_of(self._head.commit.root_hash)

    def get(self, key: bytes) -> bytes | None:
        """Last value, or None. A damaged file is an OSError: it halts the node, no transaction is blamed for it."""
        return self._values.get(key)

    def _read_value(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._database.get(b"k" + key)
        except plyvel.CorruptionError as error:
            raise _damaged(error) from error
        return value

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """[start, end) of the last state."""
        if start >= end:
            return
        try:
            for stored, value in scan(self._database, b"k", start, end, reverse=reverse):
                yield stored[1:], value
        except plyvel.CorruptionError as error:
            raise _damaged(error) from error

    def latest(self, spend: Spend = free) -> LevelDBVersion:
        """The last committed version; `spend` hears of the work that reading it costs."""
        head = self._head
        return LevelDBVersion(head, head.commit, self._cache, spend)

    def version(self, height: int, spend: Spend = free) -> LevelDBVersion:
        """A kept version; raises `UnknownHeight`."""
        head = self._head
        if height == head.commit.height and height:
            return LevelDBVersion(head, head.commit, self._cache, spend)
        if not head.earliest_height <= height < head.commit.height:
            raise UnknownHeight(f"height {height} is not kept: {head.earliest_height} to {head.commit.height} are")
        commit = Commit.decode(head.snapshot.get(height_key(b"h", height)))
        return LevelDBVersion(head, commit, self._cache, spend)

    # --- Genesis

    def stage_genesis(self, initial_height: int, changes: Sequence[Change]) -> bytes:
        """Build the genesis state on disk, in pieces; repeatable until the first commit adopts it."""
        if self.height:
            raise ValueError(f"genesis cannot be staged: height {self.height} is committed")
        if initial_height < 1 or any(value is None for _, value in changes):
            raise ValueError("genesis needs an initial height of at least 1 and no removals")
        check_changes(changes)
        self._wipe()
        update = TreeUpdate(1)
        batch = self._database.write_batch(sync=True)
        batch_bytes = 0

        def write_piece() -> None:
            nonlocal batch, batch_bytes
            for number, page in update.pages:
                batch.put(page_key(number), encode_page(number, page))
            update.pages.clear()
            batch.write()
            batch = self._database.write_batch(sync=True)
            batch_bytes = 0

        def write_value(index: int) -> bytes:
            nonlocal batch_bytes
            key, value = changes[index]
            if value is None:
                raise ValueError("genesis removes a key")
            batch.put(b"k" + key, value)
            batch_bytes += 150 + len(value)
            if batch_bytes > _GENESIS_PIECE_BYTES:
                write_piece()
            return leaf_hash(key, value)

        root = build(update, [key for key, _ in changes], write_value)
        write_piece()
        self._values.clear()
        self._genesis = Commit(0, 1, update.next_number, root.number, root.hash)
        return app_hash_of(root.hash)

    def _wipe(self) -> None:
        """Remove everything but the format: nothing is committed."""
        self._genesis = _NOTHING
        self._cache = PageCache(self._cache_bytes)
        self._values.clear()
        while True:
            with self._database.iterator(include_value=False, start=FORMAT_KEY + b"\x00") as rows:
                keys = [key for key, _ in zip(rows, range(20_000), strict=False)]
            if not keys:
                return
            with self._database.write_batch() as batch:
                for key in keys:
                    batch.delete(key)

    # --- Blocks

    def _base(self) -> Commit:
        return self._head.commit if self.height else self._genesis

    def stage(self, height: int, changes: Sequence[Change]) -> StagedBlock:
        """Compute the root after `changes`; writes nothing."""
        if (self.height and height != self.height + 1) or height < 1:
            raise ValueError(f"height {height} cannot follow height {self.height}")
        base = self._base()
        read = page_reader(self._database, self._cache)
        return stage_changes(height, changes, base.root, base.next_number, read, self.get)

    def commit(self, staged: StagedBlock) -> None:
        """One synced batch."""
        base, update = self._base(), staged.update
        if staged.base != base.root or (self.height and staged.height != self.height + 1):
            raise ValueError(f"block {staged.height} was not staged on the last commit")
        commit = Commit(staged.height, base.next_number, update.next_number, staged.root.number, staged.root.hash)
        batch = self._database.write_batch(sync=True)
        put, delete = batch.put, batch.delete
        for key, value in zip(staged.keys, staged.values, strict=True):
            if value is None:
                delete(b"k" + key)
            else:
                put(b"k" + key, value)
        for number, page in update.pages:
            put(page_key(number), encode_page(number, page))
        if self.height:
            for key, old in zip(staged.keys, staged.old_values, strict=True):
                put(history_key(key, staged.height), b"\x00" if old is None else b"\x01" + old)
            put(height_key(b"u", staged.height), encode_record(update.superseded, staged.keys))
        else:  # no earlier height reads the genesis state
            for number in update.superseded:
                delete(page_key(number))
        put(height_key(b"h", staged.height), commit.encode())
        put(COMMIT_KEY, commit.encode())
        earliest = self._prune(batch, staged.height)
        batch.write()
        self._values.committed(zip(staged.keys, staged.values, strict=True))
        self._cache.drop(update.superseded)
        for number, page in update.pages:
            self._cache.put(number, page)
        undo = Undo(
            staged.height, staged.keys, dict(zip(staged.keys, staged.old_values, strict=True)), update.superseded
        )
        recent = (*self._head.recent, undo)[-_RECENT_BLOCKS:]
        self._head = self._new_head(commit, earliest, recent)

    def _prune(self, batch: Any, height: int) -> int:
        """Remove what only heights before the kept ones read; the new earliest height."""
        earliest = self._head.earliest_height or height
        while earliest <= height - self.history_heights:
            batch.delete(height_key(b"h", earliest))
            earliest += 1
            stored = self._database.get(height_key(b"u", earliest))
            if stored is None:
                raise CorruptPage(
                    f"record of height {earliest} is missing: the state store is damaged, restore a backup"
                )
            superseded, keys = decode_record(stored)
            for number in superseded:
                batch.delete(page_key(number))
            for key in keys:
                batch.delete(history_key(key, earliest))
            batch.delete(height_key(b"u", earliest))
        return earliest

    def rollback(self) -> None:
        """Back to the height before, in one synced batch; raises `UnknownHeight` when that is not kept."""
        head = self._head
        height = head.commit.height
        if height <= head.earliest_height:
            raise UnknownHeight(f"height {height - 1} is not kept: nothing to roll back to")
        before = Commit.decode(self._database.get(height_key(b"h", height - 1)))
        _, keys = decode_record(self._database.get(height_key(b"u", height)))
        with self._database.write_batch(sync=True) as batch:
            for key in keys:
                old = self._database.get(history_key(key, height))
                if old[0]:
                    batch.put(b"k" + key, old[1:])
                else:
                    batch.delete(b"k" + key)
                batch.delete(history_key(key, height))
            for number in range(head.commit.first_number, head.commit.next_number):
                batch.delete(page_key(number))
            batch.delete(height_key(b"u", height))
            batch.delete(height_key(b"h", height))
            batch.put(COMMIT_KEY, before.encode())
        # Page numbers are used again: a version from before the rollback keeps the old cache to itself.
        self._cache = PageCache(self._cache_bytes)
        self._values.clear()
        self._head = self._new_head(before, head.earliest_height, head.recent[:-1])

    # --- Maintenance

    def check(self) -> int:
        """Recompute the tree from keys and values alone, and walk all pages; the number of keys.

        Raises `CorruptPage` when they do not agree with each other or with the root of the last commit.
        """
        head = self._head
        leaves: list[tuple[bytes, bytes]] = []
        with head.snapshot.iterator(start=b"k", stop=b"l", verify_checksums=True) as rows:
            leaves = [(stored[1:], leaf_hash(stored[1:], value)) for stored, value in rows]
        if root_of(leaves) != head.commit.root_hash:
            raise CorruptPage(
                f"keys and values do not lead to the root of height {head.commit.height}: restore a backup"
            )
        read = page_reader(head.snapshot, PageCache(0))
        position = 0
        for position, leaf in enumerate(walk(read, head.commit.root, b"", None), 1):
            if leaf != leaves[position - 1]:
                raise CorruptPage(f"the tree's leaf for key {leaf[0].hex()} is not that of the table: restore a backup")
        if position != len(leaves):
            raise CorruptPage("the tree has fewer leaves than there are keys: restore a backup")
        return len(leaves)

    def close(self) -> None:
        """Release the folder; versions must not be used afterwards."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
