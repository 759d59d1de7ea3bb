"""The memory store answers like a dictionary for every height that it keeps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.state.memory_store import MemoryStore
from abci_app.state.store import HISTORY_HEIGHTS, UnknownHeight
from tests.kit.state import trees
from tests.kit.state.ledger_of_states import EMPTY_APP_HASH, Block, LedgerOfStates, changes_of, check_view, steps

probes = st.lists(trees.keys, max_size=4)


@given(steps("rollback"), probes, st.integers(1, 4))
@settings(max_examples=300)
def test_any_blocks_and_rollbacks_leave_what_they_should(
    happenings: list[Block | str], probes: list[bytes], history_heights: int
) -> None:
    store, ledger = MemoryStore(history_heights), LedgerOfStates(history_heights)
    for happening in happenings:
        if isinstance(happening, dict):
            store.commit(store.stage(ledger.height + 1, changes_of(happening)))
            ledger.commit(happening)
        elif ledger.rollback():
            store.rollback()
        else:
            with pytest.raises(UnknownHeight, match="nothing to roll back to"):
                store.rollback()
        ledger.check(store, probes)


def test_a_new_store_is_the_empty_tree_at_height_zero() -> None:
    store = MemoryStore()
    assert (store.height, store.app_hash, store.earliest_height, store.get(b"a")) == (0, EMPTY_APP_HASH, 0, None)
    with pytest.raises(UnknownHeight, match="height 0 is not kept: 0 to 0 are"):
        store.version(0)


def test_the_last_128_heights_are_kept_and_no_more() -> None:
    assert HISTORY_HEIGHTS == 128
    store, ledger = MemoryStore(), LedgerOfStates(128)
    for number in range(1, 132):
        block = {b"a": b"%d" % number, b"k%d" % (number % 7): b"%d" % number, b"k%d" % (number % 3): None}
        store.commit(store.stage(number, changes_of(block)))
        ledger.commit(block)
    ledger.check(store, [b"a", b"k1"])
    assert (store.earliest_height, store.height) == (4, 131)


@given(trees.states, trees.states, st.integers(1, 9))
@settings(max_examples=40)
def test_the_last_staged_genesis_is_the_state_that_the_first_commit_adopts(
    discarded: dict[bytes, bytes], genesis: dict[bytes, bytes], initial_height: int
) -> None:
    store = MemoryStore()
    ledger = LedgerOfStates(128, genesis=genesis)
    store.stage_genesis(initial_height, sorted(discarded.items()))
    app_hash = store.stage_genesis(initial_height, sorted(genesis.items()))
    assert (store.height, store.app_hash) == (0, EMPTY_APP_HASH)
    check_view(store, genesis, sorted(genesis)[:3])
    check_view(store.latest(), {})
    store.commit(store.stage(initial_height, []))
    ledger.commit({}, initial_height)
    ledger.check(store)
    assert store.app_hash == app_hash
    with pytest.raises(ValueError, match=f"genesis cannot be staged: height {initial_height} is committed"):
        store.stage_genesis(1, [])


def test_a_genesis_that_removes_or_has_no_height_is_refused() -> None:
    for height, changes in ((0, [(b"a", b"1")]), (1, [(b"a", None)])):
        with pytest.raises(ValueError, match="genesis needs an initial height of at least 1 and no removals"):
            MemoryStore().stage_genesis(height, changes)


def test_a_block_commits_only_on_the_state_that_it_was_staged_on() -> None:
    store = MemoryStore()
    store.commit(store.stage(1, [(b"a", b"1")]))
    staged, other = store.stage(2, [(b"a", b"2")]), store.stage(2, [(b"b", b"2")])
    store.commit(staged)
    for stale in (staged, other):
        with pytest.raises(ValueError, match="block 2 was not staged on the last commit"):
            store.commit(stale)
    for height in (1, 2, 4):
        with pytest.raises(ValueError, match=f"height {height} cannot follow height 2"):
            store.stage(height, [])


def test_staging_changes_nothing_until_it_is_committed() -> None:
    store = MemoryStore()
    store.commit(store.stage(1, [(b"a", b"1")]))
    before = store.app_hash
    staged = store.stage(2, [(b"a", b"2"), (b"b", b"1")])
    assert (store.height, store.app_hash, store.get(b"a"), store.get(b"b")) == (1, before, b"1", None)
    assert staged.app_hash != before
    store.commit(staged)
    assert (store.height, store.app_hash, store.get(b"a"), store.get(b"b")) == (2, staged.app_hash, b"2", b"1")
