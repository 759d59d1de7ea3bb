"""Reading the paged trie: one leaf, leaves in order, and the part of the tree that a proof shows."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from abci_app.state.tree.pages import LeafPage, siblings
from abci_app.state.tree.trie import ReadPage, Root

# What a proof shows of the tree: a hash stands for a hidden subtree, a list for a shown leaf, a pair for a node.
Shown = bytes | list[bytes] | tuple["Shown", "Shown"]


def find(read: ReadPage, root: Root, key: bytes) -> bytes | None:
    """Leaf hash of a key, or None."""
    number = root.number
    while number:
        page = read(number)
        if isinstance(page, LeafPage):
            index = page.find(key)
            return page.hash_at(index) if index >= 0 else None
        slot = bisect_right(page.keys, key) - 1
        if slot < 0:
            return None
        number = page.numbers[slot]
    return None


def walk(
    read: ReadPage, root: Root, start: bytes, end: bytes | None, *, reverse: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """(key, leaf hash) of start <= key < end in key order, pages read as the walk gets there; end None: no end."""
    todo = [root.number] if root.number else []
    while todo:
        page = read(todo.pop())
        if isinstance(page, LeafPage):
            keys, _, hashes = page.unpack()
            low, high = bisect_left(keys, start), len(keys) if end is None else bisect_left(keys, end)
            rows = list(zip(keys[low:high], hashes[low:high], strict=True))
            yield from reversed(rows) if reverse else rows
            continue
        # A child's key is a lower bound: keys from `start` on may be in the child before the first such key.
        low = max(bisect_right(page.keys, start) - 1, 0)
        high = len(page.keys) if end is None else bisect_left(page.keys, end)
        numbers = page.numbers[low:high]
        todo.extend(numbers if reverse else reversed(numbers))


def show(read: ReadPage, root: Root, intervals: Sequence[tuple[bytes, bytes]]) -> Shown | None:
    """The tree with all leaves of these intervals shown, everything else hidden; None for an empty tree.

    Intervals are closed [first key, last key], both existing keys, disjoint and in order.
    """
    if not root.number:
        return None
    firsts = [first for first, _ in intervals]
    lasts = [last for _, last in intervals]
    visits: list[_Shape] = []
    # (page number, intervals [low, high) that touch it, where the result goes)
    todo = [(root.number, 0, len(intervals), -1, 0)]
    while todo:
        number, low, high, parent, slot = todo.pop()
        page = read(number)
        if isinstance(page, LeafPage):
            keys, between, hashes = page.unpack()
            leaf = _Shape(list(hashes), between, page.inner_hashes(hashes, between), parent, slot)
            for i in range(low, high):
                for j in range(bisect_left(keys, firsts[i]), bisect_right(keys, lasts[i])):
                    leaf.show(j, [keys[j], hashes[j]])
            visits.append(leaf)
            continue
        here = len(visits)
        visits.append(_Shape(list(page.hashes), page.positions, page.inner_hashes(), parent, slot))
        # The first interval may begin before this page.
        for child in range(max(bisect_right(page.keys, firsts[low]) - 1, 0) if low < high else 0, len(page.keys)):
            if low >= high:
                break
            after = page.keys[child + 1] if child + 1 < len(page.keys) else None
            until = high if after is None else bisect_left(firsts, after, low, high)
            if until > low:
                todo.append((page.numbers[child], low, until, here, child))
                # The last of them may reach into the next child.
                low = until - 1 if after is not None and lasts[until - 1] >= after else until
    top: Shown = b""
    for visit in reversed(visits):  # children stand after their parents
        top = visit.fold()
        if visit.parent >= 0:
            visits[visit.parent].show(visit.slot, top)
    return top


class _Shape:
    """One page on the way down: hashes of its items, of which some are replaced by what is shown below them."""

    __slots__ = ("inner", "nodes", "parent", "positions", "shown", "slot")

    def __init__(
        self, nodes: list[Shown], positions: Sequence[int], inner: list[bytes], parent: int, slot: int
    ) -> None:
        self.nodes = nodes
        self.positions = positions
        self.inner = inner
        self.parent = parent
        self.slot = slot
        self.shown: list[int] = []

    def show(self, index: int, node: Shown) -> None:
        """Put something shown in the place of a hash."""
        self.nodes[index] = node
        self.shown.append(index)

    def fold(self) -> Shown:
        """The page's subtree."""
        if len(self.shown) != 1:
            return self._fold_all()
        slot = self.shown[0]
        node = self.nodes[slot]
        for branch, sibling in siblings(self.positions, slot - 1, slot):
            beside = self.inner[sibling] if sibling >= 0 else self.nodes[-1 - sibling]
            node = (beside, node) if branch < slot else (node, beside)
        return node

    def _fold_all(self) -> Shown:
        """Like `pages.fold`; pairs with something shown stay pairs, hidden pairs have their hash in the page."""
        positions, inner = self.positions, self.inner
        top = self.nodes[0]
        lefts: list[Shown] = []
        pending = [-1]
        last = -1
        for index, position in enumerate(positions):
            while last > position:
                left, branch = lefts.pop(), pending.pop()
                top = inner[branch] if type(left) is bytes and type(top) is bytes else (left, top)
                last = positions[pending[-1]] if lefts else -1
            lefts.append(top)
            pending.append(index)
            last = position
            top = self.nodes[index + 1]
        while lefts:
            left, branch = lefts.pop(), pending.pop()
            top = inner[branch] if type(left) is bytes and type(top) is bytes else (left, top)
        return top


def path(read: ReadPage, root: Root, key: bytes) -> tuple[bytes, list[tuple[bytes, bool]]] | None:
    """(leaf hash, siblings from the leaf up with True where the sibling stands on the left), or None."""
    if find(read, root, key) is None:
        return None
    node = show(read, root, [(key, key)])
    siblings: list[tuple[bytes, bool]] = []
    while isinstance(node, tuple):
        left, right = node
        hidden_left = isinstance(left, bytes)
        sibling = left if hidden_left else right
        if not isinstance(sibling, bytes):
            raise TypeError("a single path shows two subtrees")
        siblings.append((sibling, hidden_left))
        node = right if hidden_left else left
    if not isinstance(node, list):
        raise TypeError("a shown key is hidden")
    siblings.reverse()
    return node[1], siblings
