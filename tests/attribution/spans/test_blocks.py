"""Blocks of a list are proven alone, against the list root of the protocol."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.hashing import list_root, list_root_from, sha256
from attribution.errors import AttributionError
from attribution.spans.blocks import TOKENS, block_tree, check_opening, level_widths, opening_hashes

PAIRS = replace(TOKENS, block_entries=2)
"""Two tokens to a block, so that few make a deep tree."""


def blocks_of(entry_count: int) -> list[bytes]:
    data = b"".join(number.to_bytes(4) for number in range(entry_count))
    return [data[start : start + PAIRS.block_bytes] for start in range(0, len(data), PAIRS.block_bytes)]


def opened(entry_count: int, numbers: list[int]) -> tuple[bytes, list[tuple[int, bytes]], list[bytes]]:
    """(list root, opened blocks, hashes)."""
    blocks = blocks_of(entry_count)
    tree = block_tree(blocks)
    hashes = opening_hashes(numbers, len(blocks), lambda level, index: tree[level][index])
    return list_root(PAIRS.kind, blocks), [(number, blocks[number]) for number in numbers], hashes


@given(st.integers(1, 80))
def test_the_tree_is_that_of_the_list_root(entry_count: int) -> None:
    blocks = blocks_of(entry_count)
    tree = block_tree(blocks)
    assert [len(level) for level in tree] == level_widths(len(blocks))
    assert list_root_from(PAIRS.kind, len(blocks), tree[-1][0]) == list_root(PAIRS.kind, blocks)


@given(st.data())
def test_any_blocks_open_and_any_change_is_refused(data: st.DataObject) -> None:
    entry_count = data.draw(st.integers(1, 60))
    count = PAIRS.block_count(entry_count)
    numbers = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    root, blocks, hashes = opened(entry_count, numbers)
    check_opening(PAIRS, entry_count, root, blocks, hashes)

    place = data.draw(st.integers(0, len(blocks) - 1))
    number, block = blocks[place]
    changed = [*blocks[:place], (number, bytes([block[0] ^ 1]) + block[1:]), *blocks[place + 1 :]]
    with pytest.raises(AttributionError, match=r"^proof\.tokens: the blocks do not belong to the committed list"):
        check_opening(PAIRS, entry_count, root, changed, hashes)
    with pytest.raises(AttributionError, match=r"^proof\.tokens: has more hashes than the blocks need"):
        check_opening(PAIRS, entry_count, root, blocks, [*hashes, sha256(b"")])
    if hashes:
        with pytest.raises(AttributionError, match=r"^proof\.tokens: hashes are missing"):
            check_opening(PAIRS, entry_count, root, blocks, hashes[:-1])
        with pytest.raises(AttributionError, match=r"^proof\.tokens: the blocks do not belong"):
            check_opening(PAIRS, entry_count, root, blocks, [*hashes[:-1], sha256(hashes[-1])])


@pytest.mark.parametrize(
    ("blocks", "hashes", "reason"),
    [
        ([(1, b"8 bytes."), (0, b"8 bytes.")], [], "block 0 is out of order or beyond the last of 3 blocks"),
        ([(0, b"8 bytes."), (0, b"8 bytes.")], [], "block 0 is out of order or beyond the last of 3 blocks"),
        ([(3, b"8 bytes.")], [], "block 3 is out of order or beyond the last of 3 blocks"),
        ([(0, b"short")], [], "block 0 has 5 bytes, not 8"),
        ([(2, b"8 bytes.")], [], "block 2 has 8 bytes, not 4"),
        ([(0, b"8 bytes.")], [b"short"], "a hash does not have 32 bytes"),
        ([], [sha256(b"")], "has hashes, but no block"),
    ],
)
def test_an_opening_out_of_form_is_refused(blocks: list[tuple[int, bytes]], hashes: list[bytes], reason: str) -> None:
    with pytest.raises(AttributionError) as caught:
        check_opening(PAIRS, 5, b"\0" * 32, blocks, hashes)
    assert (caught.value.field, str(caught.value)) == ("proof.tokens", f"proof.tokens: {reason}")


def test_a_block_moved_to_another_place_is_refused() -> None:
    root, blocks, hashes = opened(16, [2])
    with pytest.raises(AttributionError, match="they were changed or moved"):
        check_opening(PAIRS, 16, root, [(3, blocks[0][1])], hashes)


def test_the_same_blocks_under_another_kind_have_another_root() -> None:
    root, blocks, hashes = opened(16, [2])
    with pytest.raises(AttributionError, match="do not belong to the committed list"):
        check_opening(replace(PAIRS, kind="span-suffixes"), 16, root, blocks, hashes)
