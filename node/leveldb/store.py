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

from abci_app.state.staging import Change, StagedBlock, check_changes, stage_changes
from abci_app.state.store import HISTORY_HEIGHTS, UnknownHeight
from abci_app.state.tree.pages import CorruptPage, leaf_hash
from abci_app.state.tree.trie import EMPTY_ROOT, Root, TreeUpdate, app_hash_of, build
from abci_app.state.work import Spend, free
from node.leveldb.memory import DEFAULT_MEMORY, StoreMemory
from node.leveldb.open import damage_is_refused, open_database
from node.leveldb.pieces import Pieces, wipe
from node.leveldb.recompute import recompute
from node.leveldb.records import (
    COMMIT_KEY,
    FORMAT,
    FORMAT_KEY,
    RESTORED_KEY,
    StoreDamaged,
    StoredCommit,
    StoreError,
    decode_record,
    encode_page,
    encode_record,
    height_key,
    history_key,
    page_key,
    read,
    scan,
)
from node.leveldb.version import Head, LevelDBVersion, PageCache, Undo, page_reader
from node.value_cache import ValueCache

# Heights of any size that a commit prunes (one for the new block, one so that a surplus shrinks), and pages and
# old values that it removes beyond those: about 30 ms.
_PRUNED_HEIGHTS: Final = 2
_PRUNED_RECORDS: Final = 10_000
# Blocks whose old values stay in memory: nearly all proofs are for the last height but one.
_RECENT_BLOCKS: Final = 4
_NOTHING: Final = StoredCommit(
    height=0, first_number=1, next_number=1, root_number=EMPTY_ROOT.number, root_hash=EMPTY_ROOT.hash
)


class LevelDBStore:
    """See `store.Store`. One thread stages and commits; all reads may be called from any."""

    def __init__(self, database: Any, history_heights: int, memory: StoreMemory, commit: StoredCommit) -> None:
        self.history_heights = history_heights
        self._database = database
        self._memory = memory
        self._cache = self._new_page_cache()
        self._values = ValueCache(memory.values_bytes, self._read_value)
        self._genesis = _NOTHING
        self._head = self._new_head(commit, 0, ())

    @classmethod
    def open(
        cls, folder: Path, *, history_heights: int = HISTORY_HEIGHTS, memory: StoreMemory = DEFAULT_MEMORY
    ) -> Self:
        """Open or create the store in `folder`; raises `StoreError`."""
        if history_heights < 2:
            raise StoreError(
                f"history of {history_heights} heights: at least 2 are needed, proofs are for the last but one"
            )

        def check(unchecked: Any) -> None:
            cls._opened(unchecked, folder, history_heights, memory).check()

        database = open_database(folder, check, memory)
        try:
            with damage_is_refused(folder):
                return cls._opened(database, folder, history_heights, memory)
        except BaseException:
            database.close()
            raise

    @classmethod
    def _opened(cls, database: Any, folder: Path, history_heights: int, memory: StoreMemory) -> Self:
        found = read(database, FORMAT_KEY)
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
        stored = read(database, COMMIT_KEY)
        store = cls(database, history_heights, memory, _NOTHING if stored is None else StoredCommit.decode(stored))
        if stored is None:
            store._wipe()
        else:
            store._head = store._new_head(store._head.commit, store._earliest_kept(), ())
        return store

    def _new_page_cache(self) -> PageCache:
        return PageCache(self._memory.pages_bytes, self._memory.query_pages_bytes)

    def _new_head(self, commit: StoredCommit, earliest_height: int, recent: tuple[Undo, ...]) -> Head:
        """Everything as it is now."""
        return Head(
            commit=commit,
            earliest_height=earliest_height,
            snapshot=self._database.snapshot(),
            recent=recent,
            values=self._values,
            generation=self._values.generation,
        )

    def _earliest_kept(self) -> int:
        """First kept height; every one from there on must be there, else a write was lost in the middle."""
        height = self._head.commit.height
        stop = height_key(b"", height + 1)
        heights = [StoredCommit.decode(data).height for _, data in scan(self._database, b"h", b"", stop)]
        if not heights or heights != list(range(heights[0], height + 1)):
            raise StoreDamaged(f"records below height {height} are missing")
        return heights[0]

    @property
    def height(self) -> int:
        """Height of the last commit; 0 when nothing is committed."""
        return self._head.commit.height

    @property
    def earliest_height(self) -> int:
        """First kept height; 0 when nothing is committed."""
        return self._head.earliest_height

    @property
    def app_hash(self) -> bytes:
        """App hash of the last commit, or of an empty tree."""
        return app_hash_of(self._head.commit.root_hash)

    def cache_bytes(self) -> dict[str, int]:
        """How much each cache holds, by its name; any thread may ask."""
        pages, values = self._cache, self._values
        return {
            "values": values.used_bytes,
            "pages": pages.used_bytes,
            "query_pages": pages.for_queries.used_bytes if pages.for_queries is not pages else 0,
        }

    def get(self, key: bytes) -> bytes | None:
        """Last value, or None. A damaged file is an OSError: it halts the node, no transaction is blamed for it."""
        return self._values.get(key)

    def _read_value(self, key: bytes) -> bytes | None:
        return read(self._database, b"k" + key)

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """[start, end) of the last state."""
        if start >= end:
            return
        for stored, value in scan(self._database, b"k", start, end, reverse=reverse):
            yield stored[1:], value

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
        commit = StoredCommit.decode(read(head.snapshot, height_key(b"h", height)))
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
        update, pieces = TreeUpdate(1), Pieces(self._database)

        def write_value(index: int) -> bytes:
            key, value = changes[index]
            if value is None:
                raise ValueError("genesis removes a key")
            pieces.put(key, value, update)
            return leaf_hash(key, value)

        root = build(update, [key for key, _ in changes], write_value)
        pieces.write(update)
        self._values.clear()
        self._genesis = StoredCommit(
            height=0, first_number=1, next_number=update.next_number, root_number=root.number, root_hash=root.hash
        )
        return app_hash_of(root.hash)

    def _wipe(self) -> None:
        """Remove everything but the format: nothing is committed."""
        self._genesis = _NOTHING
        self._cache = self._new_page_cache()
        self._values.clear()
        wipe(self._database)

    # --- The state of a snapshot

    @property
    def restored_height(self) -> int:
        """The height of the snapshot that this state began with; 0 where it began with genesis."""
        return int.from_bytes(read(self._database, RESTORED_KEY) or b"", "big")

    def begin_restoring(self) -> Pieces:
        """Make room for the state of a snapshot: what is written is wiped at the next start until `adopt` is done."""
        if self.height:
            raise ValueError(f"a snapshot cannot be restored: height {self.height} is committed")
        self._wipe()
        return Pieces(self._database)

    def adopt(self, height: int, root: Root, next_page: int) -> None:
        """Make what was written since `begin_restoring` the state of this height: one synced batch."""
        if self.height or height < 1:
            raise ValueError(f"height {height} cannot be adopted on height {self.height}")
        commit = StoredCommit(
            height=height, first_number=1, next_number=next_page, root_number=root.number, root_hash=root.hash
        )
        with self._database.write_batch(sync=True) as batch:
            batch.put(COMMIT_KEY, commit.encode())
            batch.put(height_key(b"h", height), commit.encode())
            batch.put(RESTORED_KEY, height.to_bytes(8, "big"))
        self._values.clear()
        self._head = self._new_head(commit, height, ())

    def forget(self) -> None:
        """Go back to nothing: first the commit, so that a kill leaves all or nothing that counts."""
        self._database.delete(COMMIT_KEY, sync=True)
        self._wipe()
        self._head = self._new_head(_NOTHING, 0, ())

    # --- Blocks

    def _base(self) -> StoredCommit:
        return self._head.commit if self.height else self._genesis

    def stage(self, height: int, changes: Sequence[Change]) -> StagedBlock:
        """Compute the root after `changes`; writes nothing."""
        if (self.height and height != self.height + 1) or height < 1:
            raise ValueError(f"height {height} cannot follow height {self.height}")
        base = self._base()
        read_page = page_reader(self._database, self._cache)
        return stage_changes(height, changes, base.root, base.next_number, read_page, self.get)

    def commit(self, staged: StagedBlock) -> None:
        """One synced batch."""
        base, update = self._base(), staged.update
        if staged.base != base.root or (self.height and staged.height != self.height + 1):
            raise ValueError(f"block {staged.height} was not staged on the last commit")
        commit = StoredCommit(
            height=staged.height,
            first_number=base.next_number,
            next_number=update.next_number,
            root_number=staged.root.number,
            root_hash=staged.root.hash,
        )
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
        try:
            batch.write()
        except plyvel.CorruptionError as error:  # found while LevelDB rewrote older files
            raise StoreDamaged(error) from error
        self._values.committed(zip(staged.keys, staged.values, strict=True))
        self._cache.drop(update.superseded)
        for number, page in update.pages:
            self._cache.put(number, page)
        undo = Undo(
            height=staged.height,
            keys=staged.keys,
            old_values=dict(zip(staged.keys, staged.old_values, strict=True)),
            superseded=update.superseded,
        )
        recent = (*self._head.recent, undo)[-_RECENT_BLOCKS:]
        self._head = self._new_head(commit, earliest, recent)

    def _prune(self, batch: Any, height: int) -> int:
        """Remove what only heights before the kept ones read; the new earliest height.

        A surplus (history_heights was lowered) goes in steps: two heights a block, so that it shrinks however large
        blocks are, and more while they are small.
        """
        earliest = self._head.earliest_height or height
        pruned_heights = removed = 0
        while earliest <= height - self.history_heights:
            stored = read(self._database, height_key(b"u", earliest + 1))
            if stored is None:
                raise CorruptPage(
                    f"record of height {earliest + 1} is missing: the state store is damaged, restore a backup"
                )
            superseded, keys = decode_record(stored)
            removed += len(superseded) + len(keys)
            if pruned_heights >= _PRUNED_HEIGHTS and removed > _PRUNED_RECORDS:
                break
            batch.delete(height_key(b"h", earliest))
            earliest += 1
            pruned_heights += 1
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
        before = StoredCommit.decode(read(self._database, height_key(b"h", height - 1)))
        _, keys = decode_record(self._required(height_key(b"u", height)))
        with self._database.write_batch(sync=True) as batch:
            for key in keys:
                old = self._required(history_key(key, height))
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
        self._cache = self._new_page_cache()
        self._values.clear()
        self._head = self._new_head(before, head.earliest_height, head.recent[:-1])

    def _required(self, key: bytes) -> bytes:
        stored = read(self._database, key)
        if stored is None:
            raise StoreDamaged(f"record {key.hex()} is missing")
        return stored

    # --- Maintenance

    def check(self) -> int:
        """Recompute the tree from keys and values alone, and walk all pages; the number of keys.

        Raises `CorruptPage` when they do not agree with each other or with the root of the last commit, `StoreDamaged`
        for what cannot be read.
        """
        return recompute(self._head)

    def close(self) -> None:
        """Release the folder; versions must not be used afterwards."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
