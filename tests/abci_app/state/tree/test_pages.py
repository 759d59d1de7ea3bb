"""Pages: byte form, search, and hashing of a single path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.state.tree.pages import BranchPage, CorruptPage, LeafPage, branch_position, decode_page, fold, fold_all
from tests.kit.state import trees

page_keys = st.lists(trees.keys, min_size=1, max_size=16, unique=True).map(sorted)
hashes = st.binary(min_size=32, max_size=32)


def positions_of(keys: list[bytes]) -> list[int]:
    return [branch_position(keys[i], keys[i + 1]) for i in range(len(keys) - 1)]


@given(page_keys, st.data())
def test_a_leaf_page_gives_back_what_was_packed(keys: list[bytes], data: st.DataObject) -> None:
    leaves = data.draw(st.lists(hashes, min_size=len(keys), max_size=len(keys)))
    page = decode_page(LeafPage.pack(keys, positions_of(keys), leaves).encode())
    assert isinstance(page, LeafPage)
    assert page.unpack() == (keys, positions_of(keys), leaves)
    assert [page.find(key) for key in keys] == list(range(len(keys)))
    assert [page.hash_at(i) for i in range(len(keys))] == leaves
    missing = data.draw(trees.keys)
    assert (page.find(missing) >= 0) == (missing in keys)


@given(page_keys.filter(lambda keys: len(keys) > 1), st.data())
def test_a_branch_page_gives_back_what_was_packed(keys: list[bytes], data: st.DataObject) -> None:
    n = len(keys)
    children = data.draw(st.lists(hashes, min_size=n, max_size=n))
    numbers = data.draw(st.lists(st.integers(1, 2**64 - 1), min_size=n, max_size=n))
    sizes = data.draw(st.lists(st.integers(1, 16) | st.integers(130, 144), min_size=n, max_size=n))
    page = decode_page(BranchPage(keys, positions_of(keys), sizes, children, numbers).encode())
    assert isinstance(page, BranchPage)
    assert (page.keys, page.positions, page.sizes, page.hashes, page.numbers) == (
        keys, positions_of(keys), sizes, children, numbers,
    )  # fmt: skip


@given(page_keys, st.lists(st.tuples(st.integers(0, 15), hashes), max_size=6))
def test_replacing_leaves_one_by_one_hashes_like_the_whole_page(
    keys: list[bytes], changes: list[tuple[int, bytes]]
) -> None:
    leaves = [bytes([i]) * 32 for i in range(len(keys))]
    page = LeafPage.pack(keys, positions_of(keys), leaves)
    for slot, new in changes:
        leaves[slot % len(keys)] = new
        page, root = page.with_hash(slot % len(keys), new)
        assert root == fold(leaves, positions_of(keys)) == page.root()
        assert page.unpack()[2] == leaves


@given(
    page_keys.filter(lambda keys: len(keys) > 1),
    st.lists(st.lists(st.integers(0, 15), min_size=1, max_size=4), max_size=5),
)
def test_replacing_children_hashes_like_the_whole_page(keys: list[bytes], rounds: list[list[int]]) -> None:
    n = len(keys)
    page = BranchPage(keys, positions_of(keys), [1] * n, [bytes([i]) * 32 for i in range(n)], [1] * n)
    for number, slots in enumerate(rounds):
        children, numbers = page.hashes.copy(), page.numbers.copy()
        for slot in slots:
            children[slot % n] = bytes([slot, number]) * 16
            numbers[slot % n] += 1
        page, root = page.with_children(children, numbers, [slot % n for slot in slots])
        assert root == fold(children, positions_of(keys)) == page.root()
        assert decode_page(page.encode()).root() == root


def test_inner_hashes_stand_at_their_positions() -> None:
    keys = [b"a", b"b", b"c", b"d"]
    leaves = [bytes([i]) * 32 for i in range(4)]
    positions = positions_of(keys)
    inner = fold_all(leaves, positions)
    assert inner[positions.index(min(positions))] == fold(leaves, positions)
    assert len(inner) == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "page of 0 bytes is cut off"),
        (b"\x01", "page of 1 bytes is cut off"),
        (b"\x01\x00", "page of 2 bytes has an unknown form"),
        (b"\x02\x02\x00\x01", "page of 4 bytes is cut off"),
        (b"\x03\x01\x00\x00", "page of 4 bytes has an unknown form"),
    ],
)
def test_bytes_that_are_no_page_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(CorruptPage, match=message):
        decode_page(data)
