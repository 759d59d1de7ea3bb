"""Typed tables: keys with fixed-width parts in the order of their values, none the prefix of another."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.errors import InvariantBroken
from abci_app.hashing import tagged_hash
from abci_app.state.codec import Record, encode
from abci_app.state.overlay import Overlay
from abci_app.state.table import HASHED, ID, MAX_KEY_BYTES, PRESENT, U8, U16, U32, U64, Index, Item, Map
from abci_app.state.views import EmptyView
from abci_app.types import Integer


class Number(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A value to store."""

    value: Integer


NUMBERS = Map("numbers/", (U16, U64), Number)
NAMES = Map("names/", (HASHED,), Number)
ONE = Item("one/", Number)
EDGES = Index("edges/", (U8, U32))


@pytest.fixture
def state() -> Overlay:
    return Overlay(EmptyView())


def test_a_map_gives_back_what_was_written_until_it_is_deleted(state: Overlay) -> None:
    assert (NUMBERS.get(state, 1, 2), NUMBERS.has(state, 1, 2)) == (None, False)
    NUMBERS.set(state, 1, 2, Number(7))
    assert (NUMBERS.get(state, 1, 2), NUMBERS.has(state, 1, 2)) == (Number(7), True)
    assert state.writes == {b"numbers/\x00\x01" + bytes(7) + b"\x02": encode(Number(7))}
    NUMBERS.delete(state, 1, 2)
    assert (NUMBERS.get(state, 1, 2), NUMBERS.has(state, 1, 2)) == (None, False)


@pytest.mark.parametrize("record", [Number(-1), Number(2**63), Number(2**70), Number(1.5), "text"], ids=repr)  # type: ignore[arg-type]
def test_a_record_that_nobody_could_read_again_is_not_written(state: Overlay, record: Any) -> None:
    """Encoding checks no limits: the next reader would fail in the place of the rule that wrote it."""
    with pytest.raises(InvariantBroken, match="that nobody could read again"):
        NUMBERS.set(state, 1, 2, record)
    with pytest.raises(InvariantBroken, match="that nobody could read again"):
        ONE.set(state, record)
    assert state.writes == {}


def test_an_item_has_one_key(state: Overlay) -> None:
    assert ONE.get(state) is None
    ONE.set(state, Number(7))
    assert (ONE.get(state), state.writes) == (Number(7), {b"one/value": encode(Number(7))})


def test_an_index_entry_has_a_value_of_one_byte(state: Overlay) -> None:
    EDGES.add(state, 1, 2)
    assert (EDGES.has(state, 1, 2), EDGES.has(state, 2, 1)) == (True, False)
    assert state.writes == {b"edges/\x01\x00\x00\x00\x02": PRESENT}
    EDGES.remove(state, 1, 2)
    assert (EDGES.has(state, 1, 2), list(EDGES.iterate(state))) == (False, [])


def test_a_part_that_users_choose_enters_the_key_as_its_hash(state: Overlay) -> None:
    NAMES.set(state, "alice/model", Number(1))
    NAMES.set(state, b"alice", Number(2))
    assert set(state.writes) == {
        b"names/" + tagged_hash("openledger/key/v1", part) for part in (b"alice/model", b"alice")
    }


@given(st.dictionaries(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**64 - 1)), st.integers(0, 9)))
def test_iteration_is_in_the_order_of_the_key_parts(records: dict[tuple[int, int], int]) -> None:
    state = Overlay(EmptyView())
    for (left, right), value in records.items():
        NUMBERS.set(state, left, right, Number(value))
    expected = [(parts, Number(records[parts])) for parts in sorted(records)]
    assert list(NUMBERS.iterate(state)) == expected
    assert list(NUMBERS.iterate(state, reverse=True)) == expected[::-1]
    for first in {left for left, _ in records}:
        assert list(NUMBERS.iterate(state, first)) == [entry for entry in expected if entry[0][0] == first]


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 5))), st.integers(0, 3), st.integers(0, 5), st.booleans())
def test_iteration_goes_on_after_a_given_entry(
    entries: set[tuple[int, int]], first: int, second: int, reverse: bool
) -> None:
    state = Overlay(EmptyView())
    for entry in entries:
        EDGES.add(state, *entry)
    own = sorted([entry for entry in entries if entry[0] == first], reverse=reverse)
    beyond = [entry for entry in own if (entry[1] < second if reverse else entry[1] > second)]
    assert list(EDGES.iterate(state, first, after=(first, second), reverse=reverse)) == beyond


def test_the_range_of_a_prefix_ends_above_its_highest_key() -> None:
    assert NUMBERS.range() == (b"numbers/", b"numbers0")
    assert NUMBERS.range(7) == (b"numbers/\x00\x07", b"numbers/\x00\x08")
    assert NUMBERS.range(2**16 - 1) == (b"numbers/\xff\xff", b"numbers0")
    assert NUMBERS.range(0x00FF) == (b"numbers/\x00\xff", b"numbers/\x01")


def test_key_parts_of_the_wrong_size_are_mistakes() -> None:
    table = Map("ids/", (ID,), Number)
    assert table.split_key(table.key(bytes(32))) == (bytes(32),)
    for size in (0, 31, 33):
        with pytest.raises(ValueError, match=f"key part has {size} bytes, needs 32"):
            table.key(bytes(size))
    for value in (-1, 2**16):
        with pytest.raises(OverflowError):
            NUMBERS.key(value, 0)


@pytest.mark.parametrize("prefix", ["numbers", "x:numbers/", "/numbers/", ""])
def test_a_prefix_is_a_word_and_a_slash(prefix: str) -> None:
    with pytest.raises(ValueError, match="must end in '/' and start with a word"):
        Index(prefix, (U8,))


def test_keys_have_at_most_127_bytes_because_proofs_write_their_length_in_one() -> None:
    assert MAX_KEY_BYTES == 127
    assert len(Index("x" * 30 + "/", (ID, ID, ID)).key(*[bytes(32)] * 3)) == 127
    with pytest.raises(ValueError, match="longer than 127 bytes"):
        Index("x" * 31 + "/", (ID, ID, ID))


def test_a_map_needs_key_parts() -> None:
    with pytest.raises(ValueError, match="use Item for a single value"):
        Map("numbers/", (), Number)
