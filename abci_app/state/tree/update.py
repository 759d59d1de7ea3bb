"""A batch of changes to the paged trie: every page on the way is read, rewritten and hashed once.

Downwards, the sorted changes are shared out among the children of each page; upwards, every page gets its children's
results. A result is one page (`replaced`), or several or no pages (`fragments`) after a split or when little is left.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from abci_app.state.tree.pages import (
    BRANCH,
    MAX_ITEMS,
    SMALL_BRANCH,
    SMALL_LEAF,
    BranchPage,
    CorruptPage,
    LeafPage,
    branch_position,
    fold,
)
from abci_app.state.tree.trie import Child, ReadPage, Root, TreeUpdate, build, pack_children, pack_leaves, top_of

# More changes in one leaf page than this are cheaper done on its unpacked lists.
_FEW_CHANGES = 3


class _Visit:
    """A branch page on the way down: what happened to its children comes back here."""

    __slots__ = ("fragments", "news", "number", "page", "parent", "replaced", "slot")

    def __init__(self, number: int, page: BranchPage, parent: "_Visit | None", slot: int) -> None:
        self.number = number
        self.page = page
        self.parent = parent
        self.slot = slot
        self.replaced: list[tuple[int, Child]] = []
        self.fragments: list[tuple[int, list[Child], list[int]]] = []
        self.news: list[int] = []


class _OpenLeaves:
    """Leaves without a page yet, between the children of a branch page."""

    __slots__ = ("hashes", "keys", "positions")

    def __init__(self, keys: list[bytes], positions: list[int], hashes: list[bytes]) -> None:
        self.keys = keys
        self.positions = positions
        self.hashes = hashes

    @property
    def key(self) -> bytes:
        return self.keys[0]


_Node = Child | _OpenLeaves


class TreeWriter:
    """One batch of changes against one version: `apply`, then take `update`."""

    def __init__(self, read: ReadPage, next_number: int) -> None:
        self.update = TreeUpdate(next_number)
        self._read = read
        self._keys: Sequence[bytes] = ()
        self._hashes: Sequence[bytes | None] = ()
        self._inserted: Sequence[bool] | None = None

    def apply(
        self, root: Root, keys: Sequence[bytes], hashes: Sequence[bytes | None], inserted: Sequence[bool] | None
    ) -> TreeUpdate:
        """Sorted, distinct keys with their new leaf hashes; None removes.

        `inserted[i]` says that key i does not exist yet; None that all exist. Removed keys must exist.
        """
        update = self.update
        if not keys:
            update.root = root
            return update
        if not root.number:
            present = [i for i in range(len(keys)) if hashes[i] is not None]
            leaves = [leaf for leaf in hashes if leaf is not None]
            update.root = build(update, [keys[i] for i in present], leaves.__getitem__)
            return update
        self._keys, self._hashes, self._inserted = keys, hashes, inserted
        visits = self._descend(root)
        for visit in reversed(visits):  # children stand after their parents
            self._finish(visit)
        return update

    def _descend(self, root: Root) -> list[_Visit]:
        """Visit every page that changes; leaf pages are rewritten at once."""
        visits: list[_Visit] = []
        work: list[tuple[int, int, int, _Visit | None, int]] = [(root.number, 0, len(self._keys), None, 0)]
        read, superseded = self._read, self.update.superseded
        while work:
            number, low, high, parent, slot = work.pop()
            page = read(number)
            superseded.append(number)
            if type(page) is LeafPage:
                self._rewrite_leaf(page, low, high, parent, slot)
                continue
            visit = _Visit(number, page, parent, slot)  # type: ignore[arg-type]
            visits.append(visit)
            if self._inserted is None:
                self._route_existing(visit, low, high, work)
            else:
                self._route(visit, low, high, work)
        return visits

    def _route_existing(
        self, visit: _Visit, low: int, high: int, work: list[tuple[int, int, int, _Visit | None, int]]
    ) -> None:
        keys, page = self._keys, visit.page
        child_keys, numbers = page.keys, page.numbers
        last = len(child_keys)
        while low < high:
            after = bisect_right(child_keys, keys[low])
            end = high
            if after < last and low + 1 < high:
                end = bisect_left(keys, child_keys[after], low + 1, high)
            elif after < last:
                end = low + 1
            work.append((numbers[after - 1], low, end, visit, after - 1))
            low = end

    def _route(self, visit: _Visit, low: int, high: int, work: list[tuple[int, int, int, _Visit | None, int]]) -> None:
        page, inserted = visit.page, self._inserted or ()
        start, slot, last = low, -1, low
        for index in range(low, high):
            key = self._keys[index]
            if inserted[index]:
                target = _slot_of(page.keys, page.positions, key)[0]
            else:
                target = bisect_right(page.keys, key) - 1
            if target < 0:
                if not inserted[index]:
                    raise CorruptPage(f"key {key.hex()} is in the table but not in the tree")
                visit.news.append(index)
                continue
            if target != slot:
                if slot >= 0:
                    work.append((page.numbers[slot], start, last + 1, visit, slot))
                start, slot = index, target
            last = index
        if slot >= 0:
            work.append((page.numbers[slot], start, last + 1, visit, slot))

    def _rewrite_leaf(self, page: LeafPage, low: int, high: int, parent: _Visit | None, slot: int) -> None:
        if high - low <= _FEW_CHANGES and self._replace_hashes(page, low, high, parent, slot):
            return
        keys, positions, hashes = page.unpack()
        for i in range(low, high):
            _change_leaf(keys, positions, hashes, self._keys[i], self._hashes[i])
        if parent is None:
            self.update.root = top_of(self.update, *pack_leaves(self.update, keys, positions, hashes))
        elif not keys:
            parent.fragments.append((slot, [], []))
        elif len(keys) <= MAX_ITEMS:
            parent.replaced.append((slot, self.update.add_leaf(keys, positions, hashes)))
        else:
            parent.fragments.append((slot, *pack_leaves(self.update, keys, positions, hashes)))

    def _replace_hashes(self, page: LeafPage, low: int, high: int, parent: _Visit | None, slot: int) -> bool:
        """The usual case, existing keys with new values; False when it is not."""
        root = b""
        for i in range(low, high):
            changed = self._hashes[i]
            if changed is None or (self._inserted is not None and self._inserted[i]):
                return False
            index = page.find(self._keys[i])
            if index < 0:
                raise CorruptPage(f"key {self._keys[i].hex()} is in the table but not in the tree")
            page, root = page.with_hash(index, changed)
        number = self.update.add(page)
        if parent is None:
            self.update.root = Root(root, number)
        else:
            parent.replaced.append(
                (slot, Child(key=parent.page.keys[slot], hash=root, number=number, size=page.data[1]))
            )
        return True

    def _finish(self, visit: _Visit) -> None:
        """All children are rewritten: rewrite the page, and hand the result to its parent."""
        page, update = visit.page, self.update
        if visit.fragments or visit.news:
            children, positions = self._restructure(visit)
        else:
            hashes, numbers = page.hashes.copy(), page.numbers.copy()
            reshaped = False
            for slot, child in visit.replaced:
                hashes[slot] = child.hash
                numbers[slot] = child.number
                reshaped |= child.size != page.sizes[slot] or child.key != page.keys[slot]
            if not reshaped:
                replaced, root = page.with_children(hashes, numbers, [slot for slot, _ in visit.replaced])
                self._hand_up(visit, replaced, root)
                return
            keys, sizes = page.keys.copy(), page.sizes.copy()
            small = False
            for slot, child in visit.replaced:
                small |= child.size < sizes[slot] and child.size <= SMALL_LEAF
                keys[slot] = child.key
                sizes[slot] = child.size
            if not small:
                self._hand_up(
                    visit, BranchPage(keys, page.positions, sizes, hashes, numbers), fold(hashes, page.positions)
                )
                return
            children, positions = self._restructure(visit)
        if visit.parent is None:
            update.root = top_of(update, *pack_children(update, children, positions))
        elif SMALL_BRANCH < len(children) <= MAX_ITEMS:
            visit.parent.replaced.append((visit.slot, update.add_branch(children, positions)))
        else:
            visit.parent.fragments.append((visit.slot, *pack_children(update, children, positions)))

    def _hand_up(self, visit: _Visit, page: BranchPage, root: bytes) -> None:
        number = self.update.add(page)
        if visit.parent is None:
            self.update.root = Root(root, number)
        else:
            visit.parent.replaced.append(
                (visit.slot, Child(key=page.keys[0], hash=root, number=number, size=page.size_code))
            )

    def _restructure(self, visit: _Visit) -> tuple[list[Child], list[int]]:
        """Children after splits, removals and keys that part above all children; small neighbours are merged."""
        page = visit.page
        rows = zip(page.keys, page.hashes, page.numbers, page.sizes, strict=True)
        nodes: list[_Node] = [Child(*row) for row in rows]
        positions = page.positions.copy()
        for slot, child in visit.replaced:
            nodes[slot] = child
        for slot, children, between in sorted(visit.fragments, key=lambda fragment: fragment[0], reverse=True):
            if children:
                nodes[slot : slot + 1] = children
                positions[slot:slot] = between
            else:
                del nodes[slot]
                _drop_position(positions, slot)
        for index in visit.news:
            leaf = self._hashes[index]
            if leaf is not None:
                _insert_node(nodes, positions, self._keys[index], leaf)
        self._merge_small(nodes, positions)
        return self._close_leaves(nodes, positions)

    def _merge_small(self, nodes: list[_Node], positions: list[int]) -> None:
        """Join sibling leaf pages when one of them is small."""
        index = 0
        while index < len(nodes):
            low = _sibling(positions, index)
            if not (
                _is_small(nodes[index]) and low >= 0 and _leaf_count(nodes[low]) + _leaf_count(nodes[low + 1]) <= 12
            ):
                index += 1
                continue
            left, right = self._open(nodes[low]), self._open(nodes[low + 1])
            joined = [*left.positions, positions.pop(low), *right.positions]
            nodes[low : low + 2] = [_OpenLeaves(left.keys + right.keys, joined, left.hashes + right.hashes)]
            index = max(low - 1, 0)

    def _open(self, node: _Node) -> _OpenLeaves:
        if isinstance(node, _OpenLeaves):
            return node
        self.update.superseded.append(node.number)
        written = node.number - (self.update.next_number - len(self.update.pages))
        page = self.update.pages[written][1] if written >= 0 else self._read(node.number)
        if not isinstance(page, LeafPage):
            raise CorruptPage(f"page {node.number} is not the leaf page that its parent lists")
        return _OpenLeaves(*page.unpack())

    def _close_leaves(self, nodes: list[_Node], positions: list[int]) -> tuple[list[Child], list[int]]:
        children: list[Child] = []
        between: list[int] = []
        for index, node in enumerate(nodes):
            if index:
                between.append(positions[index - 1])
            if isinstance(node, Child):
                children.append(node)
                continue
            written, inside = pack_leaves(self.update, node.keys, node.positions, node.hashes)
            children.extend(written)
            between.extend(inside)
        return children, between


def _slot_of(keys: Sequence[bytes], positions: Sequence[int], key: bytes) -> tuple[int, int, int, int]:
    """Where a new key belongs among children: (child, ...), or (-1, gap, position before, position after).

    It belongs to a child when it parts from that child's keys below the child's own parent node; otherwise it is a
    new child in a gap. Positions of the ends are -1.
    """
    right = bisect_right(keys, key)
    left = right - 1
    across = positions[left] if 0 <= left < len(positions) else -1
    if left >= 0:
        parting = branch_position(keys[left], key)
        if parting > across:
            outer = positions[left - 1] if left else -1
            return (left, 0, 0, 0) if parting > outer else (-1, right, parting, across)
    parting = branch_position(key, keys[right])
    outer = positions[right] if right < len(positions) else -1
    return (right, 0, 0, 0) if parting > outer else (-1, right, across, parting)


def _insert_node(nodes: list[_Node], positions: list[int], key: bytes, leaf: bytes) -> None:
    """Add one new leaf between the children of a page."""
    if not nodes:
        nodes.append(_OpenLeaves([key], [], [leaf]))
        return
    target, gap, before, after = _slot_of([node.key for node in nodes], positions, key)
    if target >= 0:
        node = nodes[target]
        if isinstance(node, _OpenLeaves):
            _change_leaf(node.keys, node.positions, node.hashes, key, leaf)
            return
        # The neighbour that kept it apart from this child went in the same block: it stands beside the child.
        parting = branch_position(min(key, node.key), max(key, node.key))
        gap = target + 1 if key > node.key else target
        before = parting if gap > target else positions[target - 1] if target else -1
        after = parting if gap == target else positions[target] if target < len(positions) else -1
    nodes.insert(gap, _OpenLeaves([key], [], [leaf]))
    _add_positions(positions, gap, before, after)


def _add_positions(positions: list[int], index: int, before: int, after: int) -> None:
    """An item was inserted at `index`."""
    if index == 0:
        positions.insert(0, after)
    elif index > len(positions):
        positions.append(before)
    else:
        positions[index - 1 : index] = [before, after]


def _drop_position(positions: list[int], index: int) -> None:
    """The item at `index` was removed: its neighbours part where the upper of its two positions is."""
    if index == 0:
        del positions[:1]
    elif index >= len(positions):
        del positions[-1:]
    else:
        positions[index - 1 : index + 1] = [min(positions[index - 1 : index + 1])]


def _change_leaf(keys: list[bytes], positions: list[int], hashes: list[bytes], key: bytes, leaf: bytes | None) -> None:
    """Replace, insert or (None) remove one leaf in unpacked lists."""
    index = bisect_left(keys, key)
    exists = index < len(keys) and keys[index] == key
    if leaf is None:
        if not exists:
            raise CorruptPage(f"key {key.hex()} is in the table but not in the tree")
        del keys[index], hashes[index]
        _drop_position(positions, index)
    elif exists:
        hashes[index] = leaf
    else:
        before = branch_position(keys[index - 1], key) if index else -1
        after = branch_position(key, keys[index]) if index < len(keys) else -1
        keys.insert(index, key)
        hashes.insert(index, leaf)
        if len(keys) > 1:
            _add_positions(positions, index, before, after)


def _sibling(positions: Sequence[int], index: int) -> int:
    """Index of the left one of a node and its sibling, when the sibling is one node too; else -1."""
    before = positions[index - 1] if index else -1
    after = positions[index] if index < len(positions) else -1
    if before == after:
        return -1
    low = index - 1 if before > after else index
    outer_left = positions[low - 1] if low else -1
    outer_right = positions[low + 1] if low + 1 < len(positions) else -1
    return low if positions[low] > outer_left and positions[low] > outer_right else -1


def _leaf_count(node: _Node) -> int:
    if isinstance(node, _OpenLeaves):
        return len(node.keys)
    return node.size if node.size < BRANCH else MAX_ITEMS


def _is_small(node: _Node) -> bool:
    return isinstance(node, _OpenLeaves) or node.size <= SMALL_LEAF
