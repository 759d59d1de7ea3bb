"""Store without a disk, for tests and simulation: the same tree, values found through their leaf hashes.

A version reads everything through its own tree, so this store is also the check on LevelDB's tables and history.
A height is not pruned while a version of it is open: another thread may be reading it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from abci_app.state import proof_build
from abci_app.state.proof import SimpleProof
from abci_app.state.staging import Change, StagedBlock, check_changes, stage_changes
from abci_app.state.store import HISTORY_HEIGHTS, NOTHING_KNOWN, UnknownHeight
from abci_app.state.tree.pages import Page, leaf_hash
from abci_app.state.tree.read import find, path, walk
from abci_app.state.tree.trie import EMPTY_ROOT, Root, TreeUpdate, app_hash_of, build
from abci_app.state.work import Spend, free


class MemoryVersion:
    """One height of a `MemoryStore`, which stands among the store's `reading` until the version is closed."""

    def __init__(self, store: "MemoryStore", height: int, root: Root, spend: Spend) -> None:
        self._store = store
        self._spend = spend
        self._root = root
        self._reading = store.reading
        self.height = height
        self.app_hash = app_hash_of(root.hash)

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        leaf = find(self._store.read_page, self._root, key)
        return None if leaf is None else self._store.value_of(leaf)

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """[start, end) in key order."""
        for key, leaf in walk(self._store.read_page, self._root, start, end, reverse=reverse):
            yield key, self._store.value_of(leaf)

    def prove(
        self,
        keys: Sequence[bytes],
        ranges: Sequence[tuple[bytes, bytes]],
        known: Mapping[bytes, bytes] = NOTHING_KNOWN,
    ) -> bytes:
        """Native proof."""
        return proof_build.prove(self._store.read_page, self._root, self, self.height, keys, ranges, known, self._spend)

    def prove_simple(self, key: bytes) -> SimpleProof:
        """`simple:v` path; raises `KeyError` or `ProofTooDeep`."""
        return proof_build.prove_simple(self._store.read_page, self._root, key)

    def neighbours(self, key: bytes) -> tuple[bytes | None, bytes | None]:
        """Nearest existing keys below and above an absent one."""
        return proof_build.neighbours(self._store.read_page, self._root, key, key)

    def path(self, key: bytes) -> tuple[bytes, list[tuple[bytes, bool]]] | None:
        """(leaf hash, siblings bottom-up with True for a left one), or None."""
        return path(self._store.read_page, self._root, key)

    def root_hash(self) -> bytes:
        """Root of the tree below the upper leaf."""
        return self._root.hash

    def close(self) -> None:
        """Let the height be pruned."""
        if self._reading:
            self._reading.remove(self.height)
            self._reading = []

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Kept:
    """The data that one height keeps to be read, rolled back and pruned."""

    root: Root
    next_number_before: int
    superseded: list[int]
    old_leaves: list[bytes]
    new_leaves: list[bytes]
    undo: list[Change]


class MemoryStore:
    """See `store.Store`."""

    def __init__(self, history_heights: int = HISTORY_HEIGHTS) -> None:
        self.height = 0
        self.earliest_height = 0
        self.history_heights = history_heights
        self._root = EMPTY_ROOT
        self._next_number = 1
        self._latest: dict[bytes, bytes] = {}
        self._pages: dict[int, Page] = {}
        self._values: dict[bytes, bytes] = {}
        # The same leaf may come back later, so values are counted.
        self._uses: Counter[bytes] = Counter()
        self._kept: dict[int, _Kept] = {}
        # Heights that open versions read.
        self.reading: list[int] = []

    @property
    def app_hash(self) -> bytes:
        """App hash of the last commit, or of an empty tree."""
        return app_hash_of(self._root.hash if self.height else EMPTY_ROOT.hash)

    def read_page(self, number: int) -> Page:
        """One page."""
        return self._pages[number]

    def value_of(self, leaf: bytes) -> bytes:
        """The value with this leaf hash."""
        return self._values[leaf]

    def get(self, key: bytes) -> bytes | None:
        """The last value, or None."""
        return self._latest.get(key)

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """[start, end) of the last state."""
        for key, leaf in walk(self.read_page, self._root, start, end, reverse=reverse):
            yield key, self.value_of(leaf)

    def latest(self, spend: Spend = free) -> MemoryVersion:
        """The last committed version; a commit may run meanwhile, and the height is what it changes last."""
        while True:
            height = self.height
            self.reading.append(height)
            kept = self._kept.get(height)
            if kept is not None or not height:
                return MemoryVersion(self, height, kept.root if kept else EMPTY_ROOT, spend)
            self.reading.remove(height)  # pruned between the two reads

    def version(self, height: int, spend: Spend = free) -> MemoryVersion:
        """A kept version; raises `UnknownHeight`."""
        if not self.earliest_height <= height <= self.height or not self.height:
            raise UnknownHeight(f"height {height} is not kept: {self.earliest_height} to {self.height} are")
        self.reading.append(height)
        return MemoryVersion(self, height, self._kept[height].root, spend)

    def stage_genesis(self, initial_height: int, changes: Sequence[Change]) -> bytes:
        """Build the genesis state; repeatable until the first commit."""
        if self.height:
            raise ValueError(f"genesis cannot be staged: height {self.height} is committed")
        if initial_height < 1 or any(value is None for _, value in changes):
            raise ValueError("genesis needs an initial height of at least 1 and no removals")
        check_changes(changes)
        history = self.history_heights
        self.__init__(history)  # type: ignore[misc]
        leaves = [leaf_hash(key, value) for key, value in changes if value is not None]
        update = TreeUpdate(1)
        self._root = build(update, [key for key, _ in changes], leaves.__getitem__)
        self._next_number = update.next_number
        self._pages.update(update.pages)
        for (key, value), leaf in zip(changes, leaves, strict=True):
            if value is not None:
                self._latest[key] = self._values[leaf] = value
                self._uses[leaf] += 1
        return app_hash_of(self._root.hash)

    def stage(self, height: int, changes: Sequence[Change]) -> StagedBlock:
        """Compute the root after `changes`."""
        if (self.height and height != self.height + 1) or height < 1:
            raise ValueError(f"height {height} cannot follow height {self.height}")
        return stage_changes(height, changes, self._root, self._next_number, self.read_page, self._latest.get)

    def commit(self, staged: StagedBlock) -> None:
        """Adopt a staged block."""
        if staged.base != self._root or (self.height and staged.height != self.height + 1):
            raise ValueError(f"block {staged.height} was not staged on the last commit")
        rows = list(zip(staged.keys, staged.old_values, staged.values, strict=True))
        old_leaves = [leaf_hash(key, old) for key, old, _ in rows if old is not None]
        new_leaves: list[bytes] = []
        for key, _, value in rows:
            if value is None:
                del self._latest[key]
                continue
            leaf = leaf_hash(key, value)
            new_leaves.append(leaf)
            self._latest[key] = self._values[leaf] = value
            self._uses[leaf] += 1
        undo = [(key, old) for key, old, _ in rows]
        kept = _Kept(
            root=staged.root,
            next_number_before=self._next_number,
            superseded=staged.update.superseded,
            old_leaves=old_leaves,
            new_leaves=new_leaves,
            undo=undo,
        )
        self._pages.update(staged.update.pages)
        self._kept[staged.height] = kept
        self._root = staged.root
        self._next_number = staged.update.next_number
        self.earliest_height = self.earliest_height or staged.height
        self.height = staged.height
        if self.earliest_height == self.height:
            self._prune(self.height)
        while self.earliest_height <= self.height - self.history_heights and self.earliest_height not in self.reading:
            del self._kept[self.earliest_height]
            self.earliest_height += 1
            self._prune(self.earliest_height)

    def _prune(self, height: int) -> None:
        """Drop what only versions below `height` read."""
        kept = self._kept[height]
        for number in kept.superseded:
            del self._pages[number]
        self._release(kept.old_leaves)

    def _release(self, leaves: Sequence[bytes]) -> None:
        for leaf in leaves:
            self._uses[leaf] -= 1
            if not self._uses[leaf]:
                del self._uses[leaf], self._values[leaf]

    def rollback(self) -> None:
        """Back to the height before; raises `UnknownHeight` when that is not kept."""
        if self.height <= self.earliest_height:
            raise UnknownHeight(f"height {self.height - 1} is not kept: nothing to roll back to")
        kept = self._kept.pop(self.height)
        for number in range(kept.next_number_before, self._next_number):
            self._pages.pop(number, None)
        self._release(kept.new_leaves)
        for key, old in kept.undo:
            if old is None:
                del self._latest[key]
            else:
                self._latest[key] = old
        self.height -= 1
        self._root = self._kept[self.height].root
        self._next_number = kept.next_number_before

    def close(self) -> None:
        """Nothing to release."""
