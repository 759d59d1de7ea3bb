"""Proofs hold what was asked for, their boundaries, and not a hash more."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.state.memory_store import MemoryStore
from abci_app.state.proof import verify
from abci_app.state.proof_build import merge_ranges, neighbours, prove
from abci_app.state.tree.pages import CorruptPage
from tests.abci_app.state.test_proof import parts_of, version_of
from tests.kit.state import trees

STATE = {b"k%02d" % number: b"%d" % number for number in range(64)}


@given(st.lists(trees.ranges, max_size=6), trees.keys)
def test_merged_ranges_cover_the_same_keys_and_do_not_touch(ranges: list[tuple[bytes, bytes]], key: bytes) -> None:
    merged = merge_ranges(ranges)
    assert any(start <= key < end for start, end in merged) == any(start <= key < end for start, end in ranges)
    assert all(start < end for start, end in merged)
    assert all(left[1] < right[0] for left, right in pairwise(merged))


def test_one_key_is_proven_by_its_path_alone() -> None:
    version = version_of(STATE)
    found = version.path(b"k07")
    assert found is not None
    height, entries, tokens, hashes, bounds = parts_of(version.prove([b"k07", b"k07"], []))
    assert (height, entries, bounds) == (7, [b"k07", b"7"], [])
    siblings = [sibling for sibling, _ in found[1]]
    assert sorted([hashes[i : i + 32] for i in range(0, len(hashes), 32)]) == sorted(siblings)
    assert (tokens.count(0), tokens.count(1), tokens.count(2)) == (1, len(siblings), len(siblings))


def test_absence_shows_the_two_neighbours() -> None:
    proven = verify(version_of(STATE).prove([b"k07x"], []), version_of(STATE).app_hash)
    assert proven.entries == {b"k07": b"7", b"k08": b"8"}
    assert proven.ranges == [(b"k07x", b"k07x\x00")]


def test_a_range_shows_its_keys_and_the_neighbours() -> None:
    proven = verify(version_of(STATE).prove([], [(b"k10", b"k13")]), version_of(STATE).app_hash)
    assert list(proven.entries) == [b"k09", b"k10", b"k11", b"k12", b"k13"]


def test_at_the_ends_of_the_tree_the_first_and_last_key_stand_for_the_boundary() -> None:
    version = version_of(STATE)
    proven = verify(version.prove([b"a", b"z"], []), version.app_hash)
    assert list(proven.entries) == [b"k00", b"k63"]
    assert (proven.get(b"a"), proven.get(b"z")) == (None, None)


@given(trees.states, trees.ranges)
def test_neighbours_are_the_nearest_keys_outside(state: dict[bytes, bytes], bounds: tuple[bytes, bytes]) -> None:
    tree = trees.PagedTree()
    tree.apply(dict(state))
    start, end = bounds
    below, above = [key for key in sorted(state) if key < start], [key for key in sorted(state) if key >= end]
    expected = (below[-1] if below else None, above[0] if above else None)
    assert neighbours(tree.read, tree.root, start, end) == expected


def test_values_that_do_not_belong_to_the_tree_are_never_proven() -> None:
    tree, other = trees.PagedTree(), MemoryStore()
    tree.apply({b"a": b"1", b"b": b"2"})
    other.commit(other.stage(1, [(b"a", b"changed")]))
    for key in (b"a", b"b"):
        with pytest.raises(CorruptPage, match=f"value of key {key.hex()} does not belong to the tree"):
            prove(tree.read, tree.root, other, 1, [key], [])
