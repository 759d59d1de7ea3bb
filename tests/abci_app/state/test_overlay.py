"""An overlay reads like a dictionary of its base and its writes, nested as deep as one likes."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView

KEYS = st.binary(min_size=1, max_size=2).map(lambda key: bytes([byte % 4 for byte in key]))
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(min_size=1, max_size=2), max_size=8)


def apply(state: Overlay, model: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            state.delete(key)
            model.pop(key, None)
        else:
            state.set(key, value)
            model[key] = value


@given(st.lists(CHANGES, min_size=1, max_size=3), KEYS, KEYS, st.booleans())
def test_reads_see_all_layers_as_one(
    layers: list[dict[bytes, bytes | None]], start: bytes, end: bytes, reverse: bool
) -> None:
    model: dict[bytes, bytes] = {}
    state = Overlay(EmptyView())
    for changes in layers:
        state = Overlay(state)
        apply(state, model, changes)
    expected = [(key, model[key]) for key in sorted(model, reverse=reverse) if start <= key < end]
    assert list(state.iterate(start, end, reverse=reverse)) == expected
    assert {key: state.get(key) for key in {start, end, *model}} == {
        key: model.get(key) for key in {start, end, *model}
    }


@given(CHANGES, CHANGES)
def test_merging_hands_every_write_down_and_dropping_none(
    below: dict[bytes, bytes | None], above: dict[bytes, bytes | None]
) -> None:
    model: dict[bytes, bytes] = {}
    base = Overlay(EmptyView())
    apply(base, model, below)
    before = base.changes()
    top = Overlay(base)
    apply(top, {}, above)
    assert base.changes() == before
    top.merge_into(base)
    assert base.changes() == sorted({**below, **above}.items())


def test_changes_are_sorted_and_name_removals() -> None:
    state = Overlay(EmptyView())
    state.set(b"b", b"2")
    state.delete(b"c")
    state.set(b"a", b"1")
    assert state.changes() == [(b"a", b"1"), (b"b", b"2"), (b"c", None)]


def test_a_reader_that_stops_early_may_write_meanwhile() -> None:
    base = Overlay(EmptyView())
    for key in (b"a", b"b", b"c"):
        base.set(key, b"1")
    state = Overlay(base)
    seen = []
    for key, _ in state.iterate(b"a", b"z"):
        seen.append(key)
        state.delete(key)
        state.set(b"y" + key, b"1")
    assert (seen, [key for key, _ in state.iterate(b"a", b"z")]) == ([b"a", b"b", b"c"], [b"ya", b"yb", b"yc"])


@pytest.mark.parametrize(("key", "value"), [(b"", b"x"), (b"x", b"")])
def test_empty_keys_and_values_are_mistakes(key: bytes, value: bytes) -> None:
    with pytest.raises(ValueError, match="empty key or value"):
        Overlay(EmptyView()).set(key, value)


@given(st.lists(CHANGES, min_size=1, max_size=4), KEYS, KEYS, st.booleans())
def test_writes_and_merges_after_an_iteration_are_seen_by_the_next_one(
    layers: list[dict[bytes, bytes | None]], start: bytes, end: bytes, reverse: bool
) -> None:
    model: dict[bytes, bytes] = {}
    block = Overlay(EmptyView())
    for changes in layers:
        assert list(block.iterate(start, end, reverse=reverse)) == [
            (key, model[key]) for key in sorted(model, reverse=reverse) if start <= key < end
        ]
        transaction = Overlay(block)
        list(transaction.iterate(start, end))
        apply(transaction, model, changes)
        transaction.merge_into(block)
    expected = [(key, model[key]) for key in sorted(model, reverse=reverse) if start <= key < end]
    assert list(block.iterate(start, end, reverse=reverse)) == expected


class CountedKeys(dict[bytes, bytes | None]):
    """The writes of an overlay, which count how often somebody walks over all of them."""

    walks = 0

    def __iter__(self) -> Iterator[bytes]:
        self.walks += 1
        return super().__iter__()


def test_looking_into_a_small_range_again_and_again_walks_over_all_writes_once() -> None:
    block = Overlay(EmptyView())
    block.writes = CountedKeys()
    for number in range(1_000):
        block.set(b"account/%d" % number, b"x")
    for number in range(50):
        transaction = Overlay(block)
        transaction.set(b"queue/%03d" % number, b"y")
        transaction.merge_into(block)
        assert next(Overlay(block).iterate(b"queue/", b"queue0")) == (b"queue/000", b"y")
    assert block.writes.walks == 1


def test_a_handler_may_write_in_the_range_that_it_iterates() -> None:
    state = Overlay(EmptyView())
    state.set(b"q/1", b"a")
    state.set(b"q/3", b"c")
    seen = []
    for key, value in state.iterate(b"q/", b"q0"):
        seen.append((key, value))
        state.delete(key)
        state.set(key + b"/again", value)
    assert seen == [(b"q/1", b"a"), (b"q/3", b"c")]
    assert list(state.iterate(b"q/", b"q0")) == [(b"q/1/again", b"a"), (b"q/3/again", b"c")]
