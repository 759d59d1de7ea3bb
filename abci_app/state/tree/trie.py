"""Canonical binary Merkle trie over sorted keys (design 4.2), stored in pages: bulk build and batch update.

    leaf  = SHA-256(00 || uvarint(len key) || key || 20 || SHA-256(value))
    inner = SHA-256(01 || left || right)         the branching bit is not hashed
    empty = SHA-256("")
    app hash = SHA-256(00 || uvarint(10) || "openledger" || 20 || SHA-256(root))

The tree, hence its root, depends on the set of keys and values only. How it is cut into pages depends on history and
is nobody else's business (trie_update.py sees that pages are neither overfull nor many and small). Everything is
iterative: depth is bounded by keys, not by Python's stack.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from abci_app.hashing import EMPTY_HASH
from abci_app.state.tree.pages import MAX_ITEMS, BranchPage, LeafPage, Page, branch_position, fold, leaf_hash

STORE_NAME: Final = b"openledger"


class Child(NamedTuple):
    """One page as its parent knows it."""

    key: bytes  # not above any key of the page
    hash: bytes
    number: int
    size: int  # size code, see pages.py


@dataclass(frozen=True, slots=True)
class Root:
    """The top page of one version; number 0 and the hash of nothing for an empty tree."""

    hash: bytes = EMPTY_HASH
    number: int = 0


EMPTY_ROOT = Root()
ReadPage = Callable[[int], Page]


@dataclass(slots=True)
class TreeUpdate:
    """New pages and the numbers of those that they replace."""

    next_number: int
    root: Root = EMPTY_ROOT
    pages: list[tuple[int, Page]] = field(default_factory=list)
    superseded: list[int] = field(default_factory=list)

    def add(self, page: Page) -> int:
        """Give a new page its number."""
        number = self.next_number
        self.next_number = number + 1
        self.pages.append((number, page))
        return number

    def add_leaf(self, keys: list[bytes], positions: list[int], hashes: list[bytes]) -> Child:
        """Write a leaf page."""
        page = LeafPage.pack(keys, positions, hashes)
        return Child(key=keys[0], hash=fold(hashes, positions), number=self.add(page), size=len(keys))

    def add_branch(self, children: Sequence[Child], positions: list[int]) -> Child:
        """Write a branch page."""
        keys, hashes, numbers, sizes = (list(column) for column in zip(*children, strict=True))
        page = BranchPage(keys, positions, sizes, hashes, numbers)
        return Child(key=keys[0], hash=fold(hashes, positions), number=self.add(page), size=page.size_code)


def app_hash_of(root_hash: bytes) -> bytes:
    """The upper leaf: one more leaf above the root, whose key is the store's name."""
    return leaf_hash(STORE_NAME, root_hash)


def root_of(leaves: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Root over (key, leaf hash) sorted by key: the whole tree at once, the reference for all else."""
    if not leaves:
        return EMPTY_HASH
    positions = [branch_position(leaves[i][0], leaves[i + 1][0]) for i in range(len(leaves) - 1)]
    return fold([leaf for _, leaf in leaves], positions)


def named_parts_root(parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Root of a tree of the same form over (name, value), without the upper leaf (design 3)."""
    return root_of([(name, leaf_hash(name, value)) for name, value in sorted(parts)])


def _groups(positions: Sequence[int], items: int) -> Iterable[tuple[int, int]]:
    """Cut a sorted list into complete subtrees of at most MAX_ITEMS, left to right: index pairs [low, high)."""
    todo = [(0, items)] if items else []
    while todo:
        low, high = todo.pop()
        if high - low <= MAX_ITEMS:
            yield low, high
            continue
        inside = positions[low : high - 1]
        cut = low + inside.index(min(inside)) + 1
        todo.append((cut, high))
        todo.append((low, cut))


def pack_children(update: TreeUpdate, children: list[Child], positions: Sequence[int]) -> tuple[list[Child], list[int]]:
    """Gather children under new branch pages until one page can list them."""
    while len(children) > MAX_ITEMS:
        packed: list[Child] = []
        between: list[int] = []
        for low, high in _groups(positions, len(children)):
            if low:
                between.append(positions[low - 1])
            if high - low == 1:
                packed.append(children[low])
            else:
                packed.append(update.add_branch(children[low:high], list(positions[low : high - 1])))
        children, positions = packed, between
    return children, list(positions)


def pack_leaves(
    update: TreeUpdate, keys: list[bytes], positions: Sequence[int], hashes: list[bytes]
) -> tuple[list[Child], list[int]]:
    """Leaf pages, and branch pages above them until one page can list them."""
    children: list[Child] = []
    between: list[int] = []
    for low, high in _groups(positions, len(keys)):
        if low:
            between.append(positions[low - 1])
        children.append(update.add_leaf(keys[low:high], list(positions[low : high - 1]), hashes[low:high]))
    return pack_children(update, children, between)


def build(update: TreeUpdate, keys: Sequence[bytes], hash_of: Callable[[int], bytes]) -> Root:
    """Build a tree over sorted keys from nothing; `hash_of(i)` gives the leaf hash of key i, asked once, in order.

    `update.pages` may be emptied by the caller inside `hash_of`: pages are complete when they are added.
    """
    if not keys:
        return EMPTY_ROOT
    positions = [branch_position(keys[i], keys[i + 1]) for i in range(len(keys) - 1)]
    children: list[Child] = []
    between: list[int] = []
    for low, high in _groups(positions, len(keys)):
        if low:
            between.append(positions[low - 1])
        hashes = [hash_of(i) for i in range(low, high)]
        children.append(update.add_leaf(list(keys[low:high]), positions[low : high - 1], hashes))
    return top_of(update, *pack_children(update, children, between))


def top_of(update: TreeUpdate, children: list[Child], positions: list[int]) -> Root:
    if not children:
        return EMPTY_ROOT
    top = children[0] if len(children) == 1 else update.add_branch(children, positions)
    return Root(top.hash, top.number)
