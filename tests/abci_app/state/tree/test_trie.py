"""The tree depends on its keys and values only, however it came about."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given

from abci_app.hashing import EMPTY_HASH
from abci_app.state.tree.pages import branch_position, leaf_hash
from abci_app.state.tree.trie import TreeUpdate, app_hash_of, build, named_parts_root, root_of
from tests.kit.state import trees


def test_the_empty_tree_is_the_hash_of_nothing() -> None:
    assert root_of([]) == sha256(b"").digest() == EMPTY_HASH


def test_one_leaf_is_its_own_root() -> None:
    expected = sha256(b"\x00\x01k\x20" + sha256(b"v").digest()).digest()
    assert root_of([(b"k", leaf_hash(b"k", b"v"))]) == expected == leaf_hash(b"k", b"v")


def test_a_long_key_has_its_length_as_a_varint() -> None:
    key = b"k" * 300
    assert leaf_hash(key, b"v") == sha256(b"\x00\xac\x02" + key + b"\x20" + sha256(b"v").digest()).digest()


def test_the_app_hash_is_one_more_leaf_named_after_the_store() -> None:
    root = bytes(range(32))
    assert app_hash_of(root) == sha256(b"\x00\x0aopenledger\x20" + sha256(root).digest()).digest()


@given(trees.states)
def test_folding_gives_the_tree_of_the_definition(state: dict[bytes, bytes]) -> None:
    assert trees.full_root(state) == trees.reference_root(state)


@given(trees.states)
def test_a_bulk_build_gives_the_same_root_and_whole_pages(state: dict[bytes, bytes]) -> None:
    tree = trees.PagedTree()
    update = TreeUpdate(1)
    rows = sorted(state.items())
    tree.root = build(update, [key for key, _ in rows], lambda i: leaf_hash(*rows[i]))
    tree.state = dict(state)
    tree.stored = {number: page.encode() for number, page in update.pages}
    tree.live = set(tree.stored)
    assert tree.root.hash == trees.reference_root(state)
    assert update.superseded == []
    trees.check_pages(tree)


@given(trees.states)
def test_named_parts_are_the_same_tree_without_the_upper_leaf(state: dict[bytes, bytes]) -> None:
    assert named_parts_root(reversed(sorted(state.items()))) == trees.reference_root(state)  # noqa: C413


@pytest.mark.parametrize(
    ("low", "high", "position"),
    [
        (b"\x00", b"\x80", 1),
        (b"\x00", b"\x01", 8),
        (b"a", b"a\x00", 9),
        (b"a\x00", b"a\x80", 10),
        (b"ab", b"abc", 18),
        (b"", b"\x00", 0),
    ],
)
def test_a_branch_position_counts_nine_bits_a_byte(low: bytes, high: bytes, position: int) -> None:
    assert branch_position(low, high) == position
