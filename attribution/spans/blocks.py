"""Lists of fixed-width entries in blocks, their Merkle trees, and openings of some of the blocks.

A list's root is the list root of its blocks (`abci_app.hashing.list_root`: RFC 6962 tree, bound to kind and number of
blocks), so one block can be shown and proven without the others. An opening holds the blocks and the hashes that
lead from them to the root, level by level from the leaves, left to right, each one that the blocks do not give.
Nothing here needs the index or numpy.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from abci_app.hashing import HASH_BYTES, LIST_KINDS, list_root_from, sha256
from attribution.errors import AttributionError


@dataclass(frozen=True, slots=True)
class BlockList:
    """One kind of list: every entry has `entry_bytes`, every block but the last `block_entries` entries."""

    name: str
    kind: str
    entry_bytes: int
    block_entries: int

    @property
    def block_bytes(self) -> int:
        """Size of every block but the last."""
        return self.entry_bytes * self.block_entries

    def block_count(self, entry_count: int) -> int:
        """How many blocks hold `entry_count` entries."""
        return -(-entry_count // self.block_entries)

    def bytes_of_block(self, index: int, entry_count: int) -> int:
        """Size of one block of a list of `entry_count` entries."""
        return self.entry_bytes * min(self.block_entries, entry_count - index * self.block_entries)


# Blocks are small, because a proof shows whole blocks: what stands beside a match belongs to somebody else.
TOKENS = BlockList(name="tokens", kind="span-tokens", entry_bytes=4, block_entries=64)
SUFFIXES = BlockList(name="suffixes", kind="span-suffixes", entry_bytes=4, block_entries=64)
UNIGRAMS = BlockList(name="unigrams", kind="span-unigrams", entry_bytes=4, block_entries=64)
DOCUMENTS = BlockList(name="documents", kind="span-documents", entry_bytes=108, block_entries=8)
LISTS = (TOKENS, SUFFIXES, UNIGRAMS, DOCUMENTS)

assert all(item.kind in LIST_KINDS for item in LISTS)


def level_widths(block_count: int) -> list[int]:
    """Nodes on every level of the tree over `block_count` >= 1 blocks, leaves first."""
    widths = [block_count]
    while widths[-1] > 1:
        widths.append((widths[-1] + 1) // 2)
    return widths


def block_tree(blocks: Iterable[bytes]) -> list[list[bytes]]:
    """All levels of the RFC 6962 tree over at least one block, leaves first; an odd last node goes up unchanged."""
    levels = [[sha256(b"\x00" + block) for block in blocks]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        level = [sha256(b"\x01" + below[index] + below[index + 1]) for index in range(0, len(below) - 1, 2)]
        if len(below) % 2:
            level.append(below[-1])
        levels.append(level)
    return levels


def opening_hashes(indices: Sequence[int], block_count: int, node: Callable[[int, int], bytes]) -> list[bytes]:
    """The hashes that prove the blocks at `indices` (increasing); `node(level, index)` reads the tree."""
    hashes: list[bytes] = []
    known = list(indices)
    for level, width in enumerate(level_widths(block_count)[:-1]):
        present = set(known)
        for index in known:
            sibling = index ^ 1
            if sibling < width and sibling not in present:
                hashes.append(node(level, sibling))
        known = sorted({index // 2 for index in known})
    return hashes


def opened_root(blocks: Sequence[tuple[int, bytes]], hashes: Sequence[bytes], block_count: int, field: str) -> bytes:
    """RFC 6962 root that opened blocks (increasing indices, at least one) lead to; all hashes must be used.

    Raises `AttributionError` for `field`.
    """
    known = {index: sha256(b"\x00" + block) for index, block in blocks}
    remaining = iter(hashes)
    for width in level_widths(block_count)[:-1]:
        above: dict[int, bytes] = {}
        for index, own in known.items():
            if index // 2 in above:
                continue
            sibling = index ^ 1
            other = known.get(sibling)
            if other is None and sibling < width:
                other = next(remaining, None)
                if other is None:
                    raise AttributionError(field, "hashes are missing; ask for the proof again")
            above[index // 2] = _parent(index, own, other)
        known = above
    if next(remaining, None) is not None:
        raise AttributionError(field, "has more hashes than the blocks need; ask for the proof again")
    return known[0]


def _parent(index: int, own: bytes, other: bytes | None) -> bytes:
    if other is None:
        return own
    return sha256(b"\x01" + own + other) if index % 2 == 0 else sha256(b"\x01" + other + own)


def check_opening(
    what: BlockList, entry_count: int, root: bytes, blocks: Sequence[tuple[int, bytes]], hashes: Sequence[bytes]
) -> None:
    """Check that blocks belong to the list with this root; raises `AttributionError` for `proof.<list>`."""
    field = f"proof.{what.name}"
    count = what.block_count(entry_count)
    before = -1
    for index, block in blocks:
        if not before < index < count:
            raise AttributionError(field, f"block {index} is out of order or beyond the last of {count} blocks")
        if len(block) != what.bytes_of_block(index, entry_count):
            expected = what.bytes_of_block(index, entry_count)
            raise AttributionError(field, f"block {index} has {len(block)} bytes, not {expected}")
        before = index
    if any(len(item) != HASH_BYTES for item in hashes):
        raise AttributionError(field, f"a hash does not have {HASH_BYTES} bytes")
    if not blocks:
        if hashes:
            raise AttributionError(field, "has hashes, but no block")
        return
    if list_root_from(what.kind, count, opened_root(blocks, hashes, count, field)) != root:
        raise AttributionError(field, "the blocks do not belong to the committed list: they were changed or moved")
