"""Staging a block: which changes are allowed, which of them count, and what comes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.state.memory_store import MemoryStore
from abci_app.state.staging import Change, StagedBlock, check_changes
from abci_app.state.tree.pages import LeafPage, leaf_hash
from abci_app.state.tree.trie import EMPTY_ROOT, Root, TreeUpdate, app_hash_of
from tests.kit.state import trees


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(b"", b"1")], "changes are not sorted by distinct, non-empty keys at b''"),
        ([(b"b", b"1"), (b"a", b"1")], "changes are not sorted by distinct, non-empty keys at b'a'"),
        ([(b"a", b"1"), (b"a", None)], "changes are not sorted by distinct, non-empty keys at b'a'"),
        ([(b"k" * 128, b"1")], f"key {b'k' * 128!r} has 128 bytes, at most 127"),
        ([(b"k" * 128, None)], f"key {b'k' * 128!r} has 128 bytes, at most 127"),
        ([(b"a", b"")], "value of key b'a' is empty"),
        ([(b"a", "text")], "value of key b'a' is str, must be bytes"),
    ],
)
def test_what_no_tree_may_hold_is_refused(changes: list[Change], message: str) -> None:
    store = MemoryStore()
    for refuse in (check_changes, lambda bad: store.stage(1, bad)):
        with pytest.raises(ValueError) as caught:
            refuse(changes)
        assert str(caught.value) == message
    assert (store.height, store.get(b"a")) == (0, None)


def test_the_longest_key_and_one_byte_of_value_are_allowed() -> None:
    check_changes([(b"k" * 127, b"1")])


def test_changes_that_change_nothing_are_dropped() -> None:
    store = MemoryStore()
    store.commit(store.stage(1, [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]))
    staged = store.stage(2, [(b"a", b"1"), (b"b", b"9"), (b"c", None), (b"d", None), (b"e", b"5")])
    assert (staged.keys, staged.values, staged.old_values) == (
        [b"b", b"c", b"e"], [b"9", None, b"5"], [b"2", b"3", None],
    )  # fmt: skip


def test_a_staged_block_says_everything_about_the_first_block() -> None:
    leaf = leaf_hash(b"a", b"1")
    staged = MemoryStore().stage(5, [(b"a", b"1")])
    [(number, page)] = staged.update.pages
    assert isinstance(page, LeafPage)
    assert (number, page.unpack()) == (1, ([b"a"], [], [leaf]))
    update = TreeUpdate(2, Root(leaf, 1), staged.update.pages, [])
    assert staged == StagedBlock(5, app_hash_of(leaf), Root(leaf, 1), EMPTY_ROOT, [b"a"], [b"1"], [None], update)


def test_an_empty_block_keeps_the_app_hash() -> None:
    store = MemoryStore()
    store.commit(store.stage(1, [(b"a", b"1")]))
    staged = store.stage(2, [])
    assert (staged.app_hash, staged.update.pages, staged.update.superseded) == (store.app_hash, [], [])


@given(trees.states, st.dictionaries(trees.keys, st.none() | trees.values, max_size=30))
def test_the_app_hash_of_a_staged_block_is_that_of_the_state_after_it(
    state: dict[bytes, bytes], block: dict[bytes, bytes | None]
) -> None:
    store = MemoryStore()
    store.commit(store.stage(1, sorted(state.items())))
    after = {key: value for key, value in (state | block).items() if value is not None}
    assert store.stage(2, sorted(block.items())).app_hash == app_hash_of(trees.reference_root(after))
