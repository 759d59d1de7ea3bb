"""Helpers of the tests of the tree: keys that are likely to collide, a second definition of the tree, page checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from hypothesis import strategies as st

from abci_app.state.tree.pages import BRANCH, MAX_ITEMS, BranchPage, LeafPage, Page, decode_page, leaf_hash
from abci_app.state.tree.trie import EMPTY_ROOT, Root, root_of
from abci_app.state.tree.update import TreeWriter

# Few distinct bytes and lengths: shared prefixes, prefixes of each other, both ends of the byte range.
keys = st.builds(
    lambda table, rest: table + rest,
    st.sampled_from([b"a/", b"b/", b"b/\x00", b"zz/"]),
    st.lists(st.sampled_from([0, 1, 65, 255]), max_size=5).map(bytes),
)
values = st.binary(min_size=1, max_size=4)
states = st.dictionaries(keys, values, max_size=80)
blocks = st.lists(st.dictionaries(keys, st.none() | values, max_size=40), max_size=8)
ranges = st.tuples(keys, keys).map(lambda pair: (min(pair), max(pair)))


def reference_root(state: Mapping[bytes, bytes]) -> bytes:
    """The tree by its definition, with bit strings and recursion: nothing shared with the code under test."""

    def bits(key: bytes) -> str:
        return "".join([f"1{byte:08b}" for byte in key]) + "0"

    def node(rows: list[tuple[str, bytes]]) -> bytes:
        if len(rows) == 1:
            return rows[0][1]
        at = next(i for i, (low, high) in enumerate(zip(rows[0][0], rows[-1][0], strict=False)) if low != high)
        left = [row for row in rows if row[0][at] == "0"]
        right = [row for row in rows if row[0][at] == "1"]
        return sha256(b"\x01" + node(left) + node(right)).digest()

    rows = [
        (bits(key), sha256(b"\x00" + bytes([len(key)]) + key + b"\x20" + sha256(value).digest()).digest())
        for key, value in sorted(state.items())
    ]
    return node(rows) if rows else sha256(b"").digest()


class PagedTree:
    """A tree kept in a dictionary of encoded pages; each `apply` is one block."""

    def __init__(self) -> None:
        self.root: Root = EMPTY_ROOT
        self.next_number = 1
        self.state: dict[bytes, bytes] = {}
        self.stored: dict[int, bytes] = {}
        self.live: set[int] = set()

    def read(self, number: int) -> Page:
        return decode_page(self.stored[number])

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        effective = [(k, v) for k, v in sorted(changes.items()) if v is not None or k in self.state]
        hashes = [None if value is None else leaf_hash(key, value) for key, value in effective]
        inserted = [key not in self.state for key, _ in effective]
        writer = TreeWriter(self.read, self.next_number)
        update = writer.apply(self.root, [key for key, _ in effective], hashes, inserted if any(inserted) else None)
        for key, value in effective:
            if value is None:
                del self.state[key]
            else:
                self.state[key] = value
        for number, page in update.pages:
            assert number not in self.stored
            self.stored[number] = page.encode()
            self.live.add(number)
        self.live -= set(update.superseded)
        self.root, self.next_number = update.root, update.next_number


def check_pages(tree: PagedTree) -> None:
    """Pages hold exactly the state, in order, within limits, and none is left over."""
    leaves: list[tuple[bytes, bytes]] = []
    seen: set[int] = set()
    todo = [(tree.root.number, tree.root.hash, b"")] if tree.root.number else []
    while todo:
        number, expected, lower_bound = todo.pop()
        seen.add(number)
        page = tree.read(number)
        assert page.root() == expected
        if isinstance(page, LeafPage):
            page_keys, _, hashes = page.unpack()
            assert 1 <= len(page_keys) <= MAX_ITEMS
            assert page_keys[0] >= lower_bound
            leaves += zip(page_keys, hashes, strict=True)
            continue
        assert isinstance(page, BranchPage)
        assert 2 <= len(page.keys) <= MAX_ITEMS
        assert page.keys[0] >= lower_bound
        for number, size in zip(page.numbers, page.sizes, strict=True):
            child = tree.read(number)
            assert size == child.size_code
            assert (size < BRANCH) == isinstance(child, LeafPage)
        todo += reversed(list(zip(page.numbers, page.hashes, page.keys, strict=True)))
    assert leaves == [(key, leaf_hash(key, value)) for key, value in sorted(tree.state.items())]
    assert seen == tree.live


def full_root(state: Mapping[bytes, bytes]) -> bytes:
    return root_of([(key, leaf_hash(key, value)) for key, value in sorted(state.items())])


Read = Callable[[int], Page]
Changes = Sequence[tuple[bytes, bytes | None]]
