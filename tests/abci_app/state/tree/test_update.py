"""Batches of changes give the tree that a rebuild gives, in pages that fit."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings

from abci_app.state.tree.pages import MAX_ITEMS, CorruptPage, LeafPage, leaf_hash
from abci_app.state.tree.trie import EMPTY_ROOT
from abci_app.state.tree.update import TreeWriter
from tests.kit.state import trees

Block = dict[bytes, bytes | None]


@given(trees.blocks)
@settings(max_examples=200)
def test_incremental_updates_equal_a_rebuild(blocks: list[Block]) -> None:
    tree = trees.PagedTree()
    for block in blocks:
        tree.apply(block)
        assert tree.root.hash == trees.reference_root(tree.state)
        trees.check_pages(tree)


@given(trees.states)
def test_the_order_of_insertion_does_not_matter(state: dict[bytes, bytes]) -> None:
    forward, backward = trees.PagedTree(), trees.PagedTree()
    for key in sorted(state):
        forward.apply({key: state[key]})
    for key in sorted(state, reverse=True):
        backward.apply({key: state[key]})
    assert forward.root.hash == backward.root.hash == trees.reference_root(state)


@given(trees.states, trees.states)
def test_removing_what_was_added_leads_back(state: dict[bytes, bytes], more: dict[bytes, bytes]) -> None:
    tree = trees.PagedTree()
    tree.apply(dict(state))
    before = tree.root.hash
    added = {key: value for key, value in more.items() if key not in state}
    tree.apply(dict(added))
    tree.apply(dict.fromkeys(added))
    assert tree.root.hash == before
    trees.check_pages(tree)


@pytest.mark.parametrize("seed", range(6))
def test_thousands_of_random_keys_come_and_go(seed: int) -> None:
    chance = random.Random(seed)
    tree = trees.PagedTree()
    for _ in range(12):
        block: Block = {}
        for _ in range(chance.choice([1, 10, 600])):
            key = chance.randbytes(2) + b"tail" * chance.randint(0, 2)
            block[key] = chance.randbytes(3)
        known = sorted(tree.state)
        for key in chance.sample(known, min(len(known), chance.choice([1, 50, 700]))):
            block[key] = None if chance.random() < 0.6 else chance.randbytes(2)
        tree.apply(block)
        assert tree.root.hash == trees.full_root(tree.state)
        trees.check_pages(tree)


def test_removals_leave_no_long_tail_of_small_pages() -> None:
    chance = random.Random(1)
    tree = trees.PagedTree()
    tree.apply({chance.randbytes(8): b"1" for _ in range(4000)})
    for _ in range(36):
        known = sorted(tree.state)
        tree.apply(dict.fromkeys(chance.sample(known, 100)))
    assert len(tree.state) == 400
    # A fresh tree has about 40 leaf pages for 400 keys; a page per key would be 400.
    assert len(tree.live) < 110
    trees.check_pages(tree)


def test_a_chain_of_prefixes_as_deep_as_keys_go_is_no_problem() -> None:
    tree = trees.PagedTree()
    deep = {bytes([255]) * n: b"1" for n in range(1, 128)} | {bytes([255]) * n + b"\x00": b"1" for n in range(1, 127)}
    tree.apply(dict(deep))
    assert tree.root.hash == trees.full_root(deep)
    for key in sorted(deep):
        tree.apply({key: None})
    assert (tree.root, tree.live) == (EMPTY_ROOT, set())


def test_a_block_that_changes_nothing_keeps_the_root_and_writes_no_page() -> None:
    tree = trees.PagedTree()
    tree.apply({b"a": b"1"})
    update = TreeWriter(tree.read, tree.next_number).apply(tree.root, [], [], None)
    assert (update.root, update.pages, update.superseded) == (tree.root, [], [])


def test_an_update_touches_one_page_a_level() -> None:
    chance = random.Random(2)
    tree = trees.PagedTree()
    tree.apply({chance.randbytes(8): b"1" for _ in range(3000)})
    key = sorted(tree.state)[1500]
    update = TreeWriter(tree.read, tree.next_number).apply(tree.root, [key], [leaf_hash(key, b"2")], None)
    assert len(update.pages) == len(update.superseded) <= 5
    assert all(isinstance(page, LeafPage) or len(page.keys) <= MAX_ITEMS for _, page in update.pages)


@pytest.mark.parametrize("leaf", [None, bytes(32)])
def test_a_key_that_the_tree_does_not_have_is_damage(leaf: bytes | None) -> None:
    tree = trees.PagedTree()
    tree.apply({b"a": b"1", b"c": b"1"})
    with pytest.raises(CorruptPage, match="key 62 is in the table but not in the tree"):
        TreeWriter(tree.read, tree.next_number).apply(tree.root, [b"b"], [leaf], None)
