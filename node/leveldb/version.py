"""Reading one committed height from a LevelDB snapshot, and the page cache that all versions share."""

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from abci_app.state import proof_build
from abci_app.state.proof import SimpleProof
from abci_app.state.store import NOTHING_KNOWN
from abci_app.state.tree.pages import LeafPage, Page
from abci_app.state.tree.read import path
from abci_app.state.tree.trie import ReadPage, app_hash_of
from abci_app.state.work import HISTORY_GET_UNITS, HISTORY_ROW_UNITS, PAGE_READ_UNITS, Spend, free
from node.leveldb.memory import DEFAULT_MEMORY
from node.leveldb.records import (
    StoredCommit,
    decode_stored_page,
    history_key,
    history_prefix,
    page_key,
    scan,
    split_history_key,
)
from node.leveldb.records import read as read_stored
from node.value_cache import ValueCache


def _size_of(page: Page) -> int:
    """About what CPython takes for the page, its number and its place in a dictionary."""
    if isinstance(page, LeafPage):
        return len(page.data) + len(page.inner) + 260
    return 700 + 350 * len(page.keys)


_QUERIES_BYTES: Final = DEFAULT_MEMORY.query_pages_bytes


class PageCache:
    """Pages by number, at most about `limit_bytes`; the one that was not used for longest goes first.

    Reads take no lock: each step on the dictionary is one C call, and a page that goes away between two of them was
    still the right page.
    """

    def __init__(self, limit_bytes: int, queries_bytes: int = _QUERIES_BYTES) -> None:
        # Pages that only queries read: they find what consensus keeps, and never push it out.
        self.for_queries: PageCache = PageCache(queries_bytes, 0) if queries_bytes else self
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._pages: OrderedDict[int, Page] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """How much of the limit is used."""
        return self._bytes

    def look(self, number: int) -> Page | None:
        """The page, if it is here; looking leaves no trace."""
        return self._pages.get(number)

    def get(self, number: int) -> Page | None:
        """The page, if it is here."""
        page = self._pages.get(number)
        if page is not None:
            try:
                self._pages.move_to_end(number)
            except KeyError:  # another thread dropped it
                return page
        return page

    def put(self, number: int, page: Page) -> None:
        """Keep a page."""
        with self._lock:
            if number in self._pages:
                return
            self._pages[number] = page
            self._bytes += _size_of(page)
            while self._bytes > self._limit_bytes:
                self._bytes -= _size_of(self._pages.popitem(last=False)[1])

    def drop(self, numbers: Sequence[int]) -> None:
        """Forget pages that only older heights read."""
        with self._lock:
            for number in numbers:
                page = self._pages.pop(number, None)
                if page is not None:
                    self._bytes -= _size_of(page)


@dataclass(frozen=True, slots=True)
class Undo:
    """Old values of one block."""

    height: int
    keys: list[bytes]  # in order
    old_values: dict[bytes, bytes | None]
    superseded: list[int]

    def keys_between(self, start: bytes, end: bytes) -> list[bytes]:
        """Changed keys in [start, end)."""
        return self.keys[bisect_left(self.keys, start) : bisect_left(self.keys, end)]


@dataclass(frozen=True, slots=True)
class Head:
    """Everything that a version needs of one moment; replaced as a whole by a commit."""

    commit: StoredCommit
    earliest_height: int
    snapshot: Any
    recent: tuple[Undo, ...]
    values: ValueCache
    generation: int  # of `values` at this commit


def page_reader(source: Any, cache: PageCache, spend: Spend = free) -> ReadPage:
    """Read pages through the cache from a database or snapshot; a reader that pays is a query, which keeps its own."""
    own = cache if spend is free else cache.for_queries

    def read(number: int) -> Page:
        page = own.get(number)
        if page is None:
            page = cache.look(number)
        if page is None:
            spend(PAGE_READ_UNITS)
            page = decode_stored_page(number, read_stored(source, page_key(number)))
            own.put(number, page)
        return page

    return read


class LevelDBVersion:
    """One committed height, read from a snapshot: usable from any thread while blocks go on. See `store.Version`."""

    def __init__(self, head: Head, commit: StoredCommit, cache: PageCache, spend: Spend = free) -> None:
        self._head: Head | None = head
        self._root = commit.root
        self._spend = spend
        self._read = page_reader(head.snapshot, cache, spend)
        self.height = commit.height
        self.app_hash = app_hash_of(commit.root_hash)
        later = [undo for undo in head.recent if undo.height > commit.height]
        # None: some later block is no longer in memory, look in the history table.
        self._undo = later if len(later) == head.commit.height - commit.height else None

    @property
    def _open_head(self) -> Head:
        if self._head is None:
            raise ValueError(f"version {self.height} is closed")
        return self._head

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        if self._undo is None:
            self._spend(HISTORY_GET_UNITS)
            start = history_key(key, self.height + 1)[1:]
            for _, stored in scan(self._open_head.snapshot, b"o", start, start[:-8] + b"\xff" * 8):
                return stored[1:] if stored[0] else None
        else:
            for undo in self._undo:
                if key in undo.old_values:
                    return undo.old_values[key]
        head = self._open_head
        return head.values.get_of(head.generation, key, self._read_last, keep=self._spend is free)

    def _read_last(self, key: bytes) -> bytes | None:
        """The value at the commit that the snapshot is of."""
        return read_stored(self._open_head.snapshot, b"k" + key)

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """[start, end) in key order."""
        snapshot = self._open_head.snapshot
        if start >= end:
            return
        if self._undo is None:
            changed = self._changed_from_history(start, end, reverse)
        else:
            changed = self._changed_recently(start, end, reverse)
        old = next(changed, None)
        for stored, value in scan(snapshot, b"k", start, end, reverse=reverse):
            key = stored[1:]
            while old is not None and (old[0] > key if reverse else old[0] < key):
                if old[1] is not None:
                    yield old[0], old[1]
                old = next(changed, None)
            if old is not None and old[0] == key:
                if old[1] is not None:
                    yield key, old[1]
                old = next(changed, None)
            else:
                yield key, value
        while old is not None:
            if old[1] is not None:
                yield old[0], old[1]
            old = next(changed, None)

    def _changed_recently(self, start: bytes, end: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes | None]]:
        merged: dict[bytes, bytes | None] = {}
        for undo in self._undo or ():
            changed = undo.keys_between(start, end)
            self._spend(HISTORY_ROW_UNITS * len(changed))
            for key in changed:
                merged.setdefault(key, undo.old_values[key])
        return iter(sorted(merged.items(), reverse=reverse))

    def _changed_from_history(self, start: bytes, end: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes | None]]:
        """The oldest entry above this height, for every key that has one."""
        low, high = history_prefix(start), history_prefix(end)
        current: tuple[bytes, bytes | None] | None = None
        for stored, data in scan(self._open_head.snapshot, b"o", low, high, reverse=reverse):
            self._spend(HISTORY_ROW_UNITS)
            key, height = split_history_key(stored)
            if height <= self.height:
                continue
            if current is not None and current[0] != key:
                yield current
                current = None
            if current is None or reverse:
                current = key, data[1:] if data[0] else None
        if current is not None:
            yield current

    def prove(
        self,
        keys: Sequence[bytes],
        ranges: Sequence[tuple[bytes, bytes]],
        known: Mapping[bytes, bytes] = NOTHING_KNOWN,
    ) -> bytes:
        """Native proof."""
        return proof_build.prove(self._read, self._root, self, self.height, keys, ranges, known, self._spend)

    def prove_simple(self, key: bytes) -> SimpleProof:
        """`simple:v` path; raises `KeyError` or `ProofTooDeep`."""
        return proof_build.prove_simple(self._read, self._root, key)

    def neighbours(self, key: bytes) -> tuple[bytes | None, bytes | None]:
        """Nearest existing keys below and above an absent one."""
        return proof_build.neighbours(self._read, self._root, key, key)

    def path(self, key: bytes) -> tuple[bytes, list[tuple[bytes, bool]]] | None:
        """(leaf hash, siblings bottom-up with True for a left one), or None."""
        return path(self._read, self._root, key)

    def root_hash(self) -> bytes:
        """Root of the tree below the upper leaf."""
        return self._root.hash

    def close(self) -> None:
        """Let go of the snapshot."""
        self._head = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
