"""Making proofs from a version: which leaves to show, and the shown tree in the proof's form."""

from collections.abc import Iterable, Mapping, Sequence

from abci_app.state.proof import HIDDEN, INNER, LEAF, SimpleProof, encode_proof
from abci_app.state.store import NOTHING_KNOWN, StateView
from abci_app.state.tree.pages import CorruptPage, Page, leaf_hash
from abci_app.state.tree.read import Shown, find, path, show, walk
from abci_app.state.tree.trie import ReadPage, Root
from abci_app.state.work import BYTES_A_UNIT, FIND_UNITS, LEAF_UNITS, NEIGHBOURS_UNITS, SHOWN_PAGE_UNITS, Spend, free


def merge_ranges(ranges: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Sorted ranges [start, end) that neither overlap nor touch; empty ones are left out."""
    merged: list[tuple[bytes, bytes]] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def prove(
    read: ReadPage,
    root: Root,
    view: StateView,
    height: int,
    keys: Sequence[bytes],
    ranges: Sequence[tuple[bytes, bytes]],
    known: Mapping[bytes, bytes] = NOTHING_KNOWN,
    spend: Spend = free,
) -> bytes:
    """Native proof of keys, present or absent, and ranges at one version; `view` gives the values that are not known.

    `read` counts the pages that are not in memory; everything else is counted here.
    """
    present: list[bytes] = []
    absent: list[tuple[bytes, bytes]] = []
    for key in sorted(dict.fromkeys(keys)):
        spend(FIND_UNITS)
        if find(read, root, key) is None:
            absent.append((key, key + b"\x00"))
        else:
            present.append(key)
    proven = merge_ranges([*ranges, *absent])
    intervals = [(key, key) for key in present]
    for start, end in proven:
        spend(NEIGHBOURS_UNITS)
        interval = _with_boundaries(read, root, start, end)
        if interval is not None:
            intervals.append(interval)

    def read_to_show(number: int) -> Page:
        spend(SHOWN_PAGE_UNITS)
        return read(number)

    shown = show(read_to_show, root, _merge_intervals(intervals))
    tokens, hashes = bytearray(), bytearray()
    entries: list[bytes] = []
    todo: list[Shown] = [] if shown is None else [shown]
    while todo:
        node = todo.pop()
        if isinstance(node, bytes):
            tokens.append(HIDDEN)
            hashes += node
        elif isinstance(node, tuple):
            tokens.append(INNER)
            todo.append(node[1])
            todo.append(node[0])
        else:
            value = _value(view, known, *node)
            spend(LEAF_UNITS + len(value) // BYTES_A_UNIT)
            tokens.append(LEAF)
            entries.extend((node[0], value))
    return encode_proof(height, entries, bytes(tokens), bytes(hashes), proven)


def prove_simple(read: ReadPage, root: Root, key: bytes) -> SimpleProof:
    """`simple:v` path of an existing key; raises `KeyError` when it does not exist, `ProofTooDeep` beyond 62 levels."""
    found = path(read, root, key)
    if found is None:
        raise KeyError(f"key {key.hex()} does not exist")
    return SimpleProof.from_path(key, *found)


def _value(view: StateView, known: Mapping[bytes, bytes], key: bytes, leaf: bytes) -> bytes:
    value = known.get(key) or view.get(key)
    if value is None or leaf_hash(key, value) != leaf:
        raise CorruptPage(f"value of key {key.hex()} does not belong to the tree")
    return value


def neighbours(read: ReadPage, root: Root, start: bytes, end: bytes) -> tuple[bytes | None, bytes | None]:
    """(last key below start, first key at or above end)."""
    left = next(walk(read, root, b"", start, reverse=True), None)
    right = next(walk(read, root, end, None), None)
    return (left[0] if left else None), (right[0] if right else None)


def _with_boundaries(read: ReadPage, root: Root, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
    """First and last key to show for a range: its neighbours, or the ends of the tree; None for an empty tree."""
    left, right = neighbours(read, root, start, end)
    if left is None:
        first = next(walk(read, root, b"", None), None)
        left = first[0] if first else None
    if right is None:
        last = next(walk(read, root, b"", None, reverse=True), None)
        right = last[0] if last else None
    return None if left is None or right is None else (left, right)


def _merge_intervals(intervals: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Sorted closed intervals that do not overlap."""
    merged: list[tuple[bytes, bytes]] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1]:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged
