"""Pages of the trie: several levels of it in one stored entry, with their byte form and their hashes.

The trie is a binary tree over sorted keys. Two neighbouring keys part at one bit, their branch position; the inner
node with the smallest position of all is the root, and so on below (a Cartesian tree), so a sorted list of keys and
the positions between neighbours say the whole shape. A page is one complete subtree, cut off below at other pages:
a leaf page lists 1 to 16 leaves, a branch page lists 2 to 16 child pages; both carry the positions between
neighbours. Pages are never changed: a new number for every new content.

Branch position of two keys: the first bit in which they differ, every byte counted as nine bits of which the first
says that there is a byte. So the end of a key sorts before every byte and any set of keys has a tree.

Leaf page   = 01 | n | prefix size | suffix size or ff | prefix | position u16 * (n-1) | hash * n | sizes | suffixes
Branch page = 02 | n | prefix size | suffix size or ff | prefix | position u16 * (n-1) | size code * n
              | sizes | suffixes | hash * n | page number u64 * n
Keys are the prefix and a suffix; `sizes` (one byte a suffix) are there when suffixes differ in size. The key of a
child is one that all keys of that child are not below. Size code of a child: leaves of a leaf page, BRANCH + children
of a branch page. Integers are big-endian.
"""

from collections.abc import Sequence
from hashlib import sha256 as _sha256
from struct import Struct
from struct import error as StructError  # noqa: N812  # an exception type under a lower-case name
from typing import Final

from abci_app.hashing import uvarint

MAX_ITEMS: Final = 16
# A child this small is merged with its sibling, so that removals do not leave a page for every few keys.
SMALL_LEAF: Final = 4
SMALL_BRANCH: Final = 2
BRANCH: Final = 128
HASH_BYTES: Final = 32
MAX_KEY_BYTES: Final = 127

# Hashing so many single paths costs as much as hashing the whole page.
_PATHS_WORTH: Final = 2

_LEAF_KIND, _BRANCH_KIND, _MIXED = 1, 2, 255
_POSITIONS = [Struct(f">{max(n - 1, 0)}H") for n in range(MAX_ITEMS + 1)]
_NUMBERS = [Struct(f">{n}Q") for n in range(MAX_ITEMS + 1)]
_INNER = _sha256(b"\x01")
_copy_inner = _INNER.copy  # a copied hash context costs half of a new one


class CorruptPage(OSError):
    """A stored page is not what was written: an error of the storage, which halts the node in every phase."""


def leaf_hash(key: bytes, value: bytes) -> bytes:
    """SHA-256(00 || uvarint(len key) || key || 20 || SHA-256(value)): the leaf of CometBFT's `simple:v` operator."""
    size = len(key)
    head = bytes((0, size)) if size < 128 else b"\x00" + uvarint(size)
    return _sha256(head + key + b"\x20" + _sha256(value).digest()).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(01 || left || right)."""
    context = _copy_inner()
    context.update(left + right)
    return context.digest()


def branch_position(low: bytes, high: bytes) -> int:
    """The bit at which two different keys part (see the module docstring)."""
    shared = min(len(low), len(high))
    differing = int.from_bytes(low[:shared], "big") ^ int.from_bytes(high[:shared], "big")
    if not differing:
        return 9 * shared
    bit = 8 * shared - differing.bit_length()
    return bit + (bit >> 3) + 1


def fold(hashes: Sequence[bytes], positions: Sequence[int]) -> bytes:
    """Root over sorted items and the positions between neighbours; one pass with a stack of left siblings."""
    top = hashes[0]
    lefts: list[bytes] = []
    pending = [-1]
    last = -1
    index = 1
    for position in positions:
        while last > position:
            context = _copy_inner()
            context.update(lefts.pop() + top)
            top = context.digest()
            pending.pop()
            last = pending[-1]
        lefts.append(top)
        pending.append(position)
        last = position
        top = hashes[index]
        index += 1
    while lefts:
        context = _copy_inner()
        context.update(lefts.pop() + top)
        top = context.digest()
    return top


def fold_all(hashes: Sequence[bytes], positions: Sequence[int]) -> list[bytes]:
    """Hash of every inner node, by the index of its position in `positions`."""
    inner = [b""] * len(positions)
    top = hashes[0]
    lefts: list[bytes] = []
    pending = [-1]
    last = -1
    for index, position in enumerate(positions):
        while last > position:
            context = _copy_inner()
            context.update(lefts.pop() + top)
            inner[pending.pop()] = top = context.digest()
            last = positions[pending[-1]] if lefts else -1
        lefts.append(top)
        pending.append(index)
        last = position
        top = hashes[index + 1]
    while lefts:
        context = _copy_inner()
        context.update(lefts.pop() + top)
        inner[pending.pop()] = top = context.digest()
    return inner


def siblings(positions: Sequence[int], left: int, right: int) -> list[tuple[int, int]]:
    """From a leaf (between positions `left` and `right`) up: (inner node, sibling) pairs.

    Both are indexes of positions; a sibling that is an item, not an inner node, is given as -1 - item.
    """
    steps: list[tuple[int, int]] = []
    last = len(positions)
    before = positions[left] if left >= 0 else -1
    after = positions[right] if right < last else -1
    while before != after:
        best, lowest = -1, 1 << 16
        if before > after:
            branch, left = left, left - 1
            while left >= 0 and positions[left] > before:
                if positions[left] < lowest:
                    best, lowest = left, positions[left]
                left -= 1
            steps.append((branch, best if best >= 0 else -1 - branch))
            before = positions[left] if left >= 0 else -1
        else:
            branch, right = right, right + 1
            while right < last and positions[right] > after:
                if positions[right] < lowest:
                    best, lowest = right, positions[right]
                right += 1
            steps.append((branch, best if best >= 0 else -2 - branch))
            after = positions[right] if right < last else -1
    return steps


class LeafPage:
    """1 to 16 leaves, kept packed: most of the tree's memory is here.

    `inner` keeps the inner hashes of a page that was updated, in the order of positions, so that the next update
    hashes one path only; it is not stored.
    """

    __slots__ = ("data", "inner")

    def __init__(self, data: bytes, inner: bytes = b"") -> None:
        self.data = data
        self.inner = inner

    @classmethod
    def pack(cls, keys: Sequence[bytes], positions: Sequence[int], hashes: Sequence[bytes]) -> "LeafPage":
        """Keys in order, positions between neighbours, leaf hashes."""
        head, tail = _pack_keys(keys)
        n = len(keys)
        return cls(b"".join((bytes((_LEAF_KIND, n)), head, _POSITIONS[n].pack(*positions), *hashes, tail)))

    @property
    def size_code(self) -> int:
        """The size that a parent records: the number of leaves."""
        return self.data[1]

    def unpack(self) -> tuple[list[bytes], list[int], list[bytes]]:
        """(keys, positions, hashes)."""
        data = self.data
        n, prefix_size = data[1], data[2]
        at = 4 + prefix_size
        first_hash = at + 2 * (n - 1)
        after = first_hash + HASH_BYTES * n
        keys = _unpack_keys(data, n, after)
        hashes = [data[i : i + HASH_BYTES] for i in range(first_hash, after, HASH_BYTES)]
        return keys, list(_POSITIONS[n].unpack_from(data, at)), hashes

    def find(self, key: bytes) -> int:
        """Index of an existing key, or -1."""
        data = self.data
        prefix_size, suffix_size = data[2], data[3]
        n = data[1]
        start = 2 + prefix_size + 34 * n
        if suffix_size == _MIXED:
            keys = _unpack_keys(data, n, start)
            return keys.index(key) if key in keys else -1
        if len(key) != prefix_size + suffix_size or not key.startswith(data[4 : 4 + prefix_size]):
            return -1
        suffix = key[prefix_size:]
        found = data.find(suffix, start)
        while found >= 0:
            index, rest = divmod(found - start, suffix_size)
            if not rest:
                return index
            found = data.find(suffix, found + 1)
        return -1

    def hash_at(self, index: int) -> bytes:
        """Leaf hash by index."""
        start = 2 + self.data[2] + 2 * self.data[1] + HASH_BYTES * index
        return self.data[start : start + HASH_BYTES]

    def with_hash(self, index: int, new_hash: bytes) -> "tuple[LeafPage, bytes]":
        """The page with one leaf hash replaced, and its root."""
        data = self.data
        n = data[1]
        at = 4 + data[2]
        first_hash = at + 2 * (n - 1)
        start = first_hash + HASH_BYTES * index
        data = data[:start] + new_hash + data[start + HASH_BYTES :]
        positions = _POSITIONS[n].unpack_from(data, at)
        if not self.inner:
            hashes = [data[i : i + HASH_BYTES] for i in range(first_hash, first_hash + HASH_BYTES * n, HASH_BYTES)]
            inner_hashes = fold_all(hashes, positions)
            root = inner_hashes[positions.index(min(positions))] if inner_hashes else new_hash
            return LeafPage(data, b"".join(inner_hashes)), root
        inner = bytearray(self.inner)
        node, left, right = new_hash, index - 1, index
        for branch, sibling in siblings(positions, left, right):
            if sibling >= 0:
                beside = bytes(inner[HASH_BYTES * sibling : HASH_BYTES * sibling + HASH_BYTES])
            else:
                offset = first_hash - HASH_BYTES * (sibling + 1)
                beside = data[offset : offset + HASH_BYTES]
            context = _copy_inner()
            context.update(beside + node if branch < index else node + beside)
            node = context.digest()
            inner[HASH_BYTES * branch : HASH_BYTES * branch + HASH_BYTES] = node
        return LeafPage(data, bytes(inner)), node

    def root(self) -> bytes:
        """Root hash of this subtree."""
        _, positions, hashes = self.unpack()
        return fold(hashes, positions)

    def inner_hashes(self, hashes: Sequence[bytes], positions: Sequence[int]) -> list[bytes]:
        """Hash of every inner node, by the index of its position; both arguments as `unpack` gave them."""
        inner = self.inner
        if inner:
            return [inner[i : i + HASH_BYTES] for i in range(0, len(inner), HASH_BYTES)]
        return fold_all(hashes, positions)

    def encode(self) -> bytes:
        """Stored form."""
        return self.data


class BranchPage:
    """2 to 16 child pages, kept unpacked: few pages, read at every update. The lists are never changed."""

    __slots__ = ("_head", "_inner", "hashes", "keys", "numbers", "positions", "sizes")

    def __init__(
        self,
        keys: list[bytes],
        positions: list[int],
        sizes: list[int],
        hashes: list[bytes],
        numbers: list[int],
        head: bytes | None = None,
    ) -> None:
        self.keys = keys
        self.positions = positions
        self.sizes = sizes
        self.hashes = hashes
        self.numbers = numbers
        self._head = head
        self._inner: list[bytes] | None = None

    @property
    def size_code(self) -> int:
        """The size that a parent records."""
        return BRANCH + len(self.keys)

    def root(self) -> bytes:
        """Root hash of this subtree."""
        return fold(self.hashes, self.positions)

    def inner_hashes(self) -> list[bytes]:
        """Hash of every inner node, by the index of its position; kept for the next time."""
        if self._inner is None:
            self._inner = fold_all(self.hashes, self.positions)
        return self._inner

    def with_children(
        self, hashes: list[bytes], numbers: list[int], slots: Sequence[int]
    ) -> "tuple[BranchPage, bytes]":
        """Make a page with the same keys and shape over new contents in `slots`, and give its root."""
        positions = self.positions
        page = BranchPage(self.keys, positions, self.sizes, hashes, numbers, self._packed_head())
        if self._inner is None or len(slots) > _PATHS_WORTH:
            page._inner = inner = fold_all(hashes, positions)
            return page, inner[positions.index(min(positions))]
        page._inner = inner = self._inner.copy()
        node = b""
        for slot in slots:
            node = hashes[slot]
            for branch, sibling in siblings(positions, slot - 1, slot):
                beside = inner[sibling] if sibling >= 0 else hashes[-1 - sibling]
                context = _copy_inner()
                context.update(beside + node if branch < slot else node + beside)
                inner[branch] = node = context.digest()
        return page, node

    def _packed_head(self) -> bytes:
        if self._head is None:
            head, tail = _pack_keys(self.keys)
            n = len(self.keys)
            positions = _POSITIONS[n].pack(*self.positions)
            self._head = b"".join((bytes((_BRANCH_KIND, n)), head, positions, bytes(self.sizes), tail))
        return self._head

    def encode(self) -> bytes:
        """Stored form."""
        return b"".join((self._packed_head(), *self.hashes, _NUMBERS[len(self.numbers)].pack(*self.numbers)))

    @classmethod
    def decode(cls, data: bytes) -> "BranchPage":
        """From the stored form."""
        n, prefix_size = data[1], data[2]
        at = 4 + prefix_size
        sizes_at = at + 2 * (n - 1)
        keys_at = sizes_at + n
        keys = _unpack_keys(data, n, keys_at)
        numbers_at = len(data) - 8 * n
        hashes_at = numbers_at - HASH_BYTES * n
        hashes = [data[i : i + HASH_BYTES] for i in range(hashes_at, numbers_at, HASH_BYTES)]
        positions = list(_POSITIONS[n].unpack_from(data, at))
        numbers = list(_NUMBERS[n].unpack_from(data, numbers_at))
        return cls(keys, positions, list(data[sizes_at:keys_at]), hashes, numbers, data[:hashes_at])


Page = LeafPage | BranchPage


def decode_page(data: bytes) -> Page:
    """A page from its stored form; raises `CorruptPage`."""
    try:
        if data[0] == _LEAF_KIND and 1 <= data[1] <= MAX_ITEMS:
            return LeafPage(data)
        if data[0] == _BRANCH_KIND and 2 <= data[1] <= MAX_ITEMS:
            return BranchPage.decode(data)
    except (IndexError, StructError) as error:
        raise CorruptPage(f"page of {len(data)} bytes is cut off") from error
    raise CorruptPage(f"page of {len(data)} bytes has an unknown form")


def _pack_keys(keys: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(sizes and prefix, suffixes): first and last key decide the shared prefix, because keys are sorted."""
    first, last = keys[0], keys[-1]
    prefix_size = 0
    if len(keys) > 1:
        prefix_size = branch_position(first, last) // 9
    suffixes = [key[prefix_size:] for key in keys]
    size = len(suffixes[0])
    same = all(len(suffix) == size for suffix in suffixes)
    head = bytes((prefix_size, size if same else _MIXED)) + first[:prefix_size]
    body = b"".join(suffixes)
    return head, body if same else bytes([len(suffix) for suffix in suffixes]) + body


def _unpack_keys(data: bytes, n: int, at: int) -> list[bytes]:
    prefix_size, size = data[2], data[3]
    prefix = data[4 : 4 + prefix_size]
    if size != _MIXED:
        return [prefix + data[i : i + size] for i in range(at, at + size * n, size)] if size else [prefix] * n
    keys, start = [], at + n
    for suffix_size in data[at : at + n]:
        keys.append(prefix + data[start : start + suffix_size])
        start += suffix_size
    return keys
