"""The answers that a store must give, kept as plain dictionaries: one for each height, and the check against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st

from abci_app.state.proof import verify, verify_simple
from abci_app.state.store import Change, StateView, Store, UnknownHeight
from abci_app.state.tree.trie import EMPTY_ROOT, app_hash_of
from tests.kit.state import trees

Block = dict[bytes, bytes | None]
LOWEST, HIGHEST = b"", b"\xff" * 128


def steps(*words: str) -> st.SearchStrategy[list[Block | str]]:
    """Draw the steps that happen to a store: blocks, or one of the words."""
    blocks = st.dictionaries(trees.keys, st.none() | trees.values, max_size=25)
    return st.lists(blocks | st.sampled_from(words), max_size=10)


def changes_of(block: Block) -> list[Change]:
    """List the changes of a block in the order that a store wants."""
    return sorted(block.items())


@dataclass
class LedgerOfStates:
    """The state at every height, and which heights are kept."""

    history_heights: int
    height: int = 0
    earliest_height: int = 0
    genesis: dict[bytes, bytes] = field(default_factory=dict)
    states: dict[int, dict[bytes, bytes]] = field(default_factory=dict)

    @property
    def latest(self) -> dict[bytes, bytes]:
        return self.states[self.height] if self.height else self.genesis

    def commit(self, block: Block, height: int | None = None) -> None:
        """One block; `height` for the first one only."""
        state = dict(self.latest)
        for key, value in block.items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        self.height = height or self.height + 1
        self.states[self.height] = state
        self.earliest_height = max(self.earliest_height or self.height, self.height - self.history_heights + 1)

    def rollback(self) -> bool:
        """Whether the height before is kept."""
        if self.height <= self.earliest_height:
            return False
        del self.states[self.height]
        self.height -= 1
        return True

    def check(self, store: Store, probes: Sequence[bytes] = ()) -> None:
        """The store is exactly this."""
        assert (store.height, store.earliest_height) == (self.height, self.earliest_height)
        check_view(store, self.latest, probes)
        latest = self.latest if self.height else {}
        assert store.app_hash == app_hash_of(trees.full_root(latest))
        with store.latest() as version:
            assert (version.height, version.app_hash) == (self.height, store.app_hash)
            check_view(version, latest, probes)
        for height in range(max(self.earliest_height, 1), self.height + 1):
            state = self.states[height]
            with store.version(height) as version:
                assert (version.height, version.app_hash) == (height, app_hash_of(trees.full_root(state)))
                assert version.root_hash() == trees.full_root(state)
                check_view(version, state, probes)
                proven = verify(version.prove(probes, [(LOWEST, HIGHEST)]), version.app_hash)
                assert (proven.height, proven.entries) == (height, state)
                for key in probes:
                    if key in state:
                        verify_simple(version.prove_simple(key), key, state[key], version.app_hash)
                    else:
                        below, above = [k for k in sorted(state) if k < key], [k for k in sorted(state) if k > key]
                        assert version.neighbours(key) == (
                            below[-1] if below else None, above[0] if above else None,
                        )  # fmt: skip
                        assert version.path(key) is None
        for unknown in (self.earliest_height - 1, self.height + 1):
            with pytest.raises(UnknownHeight, match=f"height {unknown} is not kept"):
                store.version(unknown)


def check_view(view: StateView, state: Mapping[bytes, bytes], probes: Sequence[bytes] = ()) -> None:
    """Reads give this state: whole, and single keys and the ranges between them."""
    rows = sorted(state.items())
    assert list(view.iterate(LOWEST, HIGHEST)) == rows
    assert list(view.iterate(LOWEST, HIGHEST, reverse=True)) == rows[::-1]
    assert [view.get(key) for key in probes] == [state.get(key) for key in probes]
    for start in probes:
        for end in probes:
            part = [row for row in rows if start <= row[0] < end]
            assert list(view.iterate(start, end)) == part
            assert list(view.iterate(start, end, reverse=True)) == part[::-1]


EMPTY_APP_HASH = app_hash_of(EMPTY_ROOT.hash)
