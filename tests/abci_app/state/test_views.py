"""The proof of a query covers everything that the query read, no more and no less."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.state.proof import verify
from abci_app.state.store import StateView
from abci_app.state.views import EmptyView, RecordingView
from abci_app.state.work import BYTES_A_UNIT, GET_UNITS, OPEN_UNITS, ROW_UNITS, QueryBudgetExceeded, Work
from tests.abci_app.state.test_proof import version_of
from tests.kit.state import trees

# A query as data: single reads, and walks that stop after so many rows.
reads = st.lists(trees.keys | st.tuples(trees.ranges, st.booleans(), st.integers(0, 6) | st.none()), max_size=8)
Read = bytes | tuple[tuple[bytes, bytes], bool, int | None]


def run(view: StateView, query: list[Read]) -> list[object]:
    answers: list[object] = []
    for read in query:
        if isinstance(read, bytes):
            answers.append(view.get(read))
            continue
        (start, end), reverse, limit = read
        rows = view.iterate(start, end, reverse=reverse)
        if limit is None:
            answers += list(rows)
            continue
        for _ in range(limit):
            row = next(rows, None)
            answers.append(row)
            if row is None:
                break
    return answers


@given(trees.states, reads)
@settings(max_examples=300)
def test_a_query_runs_alike_on_the_state_and_on_the_proof_of_what_it_read(
    state: dict[bytes, bytes], query: list[Read]
) -> None:
    version = version_of(state)
    recorded = RecordingView(version)
    answers = run(recorded, query)
    assert answers == run(version, query)
    proven = verify(version.prove(recorded.keys, recorded.ranges), version.app_hash)
    assert run(proven, query) == answers


def recording(limit_units: int = 1_000) -> RecordingView:
    return RecordingView(version_of({b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4"}), Work(limit_units))


def test_a_walk_that_stops_early_is_recorded_as_far_as_it_went() -> None:
    view = recording()
    rows = view.iterate(b"a", b"z")
    assert [next(rows), next(rows)] == [(b"a", b"1"), (b"b", b"2")]
    assert view.ranges == [(b"a", b"b\x00")]


def test_a_backward_walk_that_stops_early_is_recorded_from_its_last_key() -> None:
    view = recording()
    rows = view.iterate(b"a", b"z", reverse=True)
    assert next(rows) == (b"d", b"4")
    assert view.ranges == [(b"d", b"z")]


def test_a_walk_that_ends_is_recorded_whole_and_one_that_never_began_not_at_all() -> None:
    view = recording()
    assert list(view.iterate(b"b0", b"c")) == []
    view.iterate(b"a", b"z")
    assert list(view.iterate(b"x", b"x")) == []
    assert view.ranges == [(b"b0", b"c")]


def test_ranges_are_merged_and_keys_inside_them_left_out() -> None:
    view = recording()
    for key in (b"d", b"b", b"x", b"b"):
        view.get(key)
    list(view.iterate(b"a", b"b"))
    list(view.iterate(b"b", b"c"))
    assert (view.keys, view.ranges) == ([b"d", b"x"], [(b"a", b"c")])


def test_the_budget_counts_single_reads() -> None:
    view = recording(3 * GET_UNITS)
    assert [view.get(key) for key in (b"a", b"a", b"x")] == [b"1", b"1", None]
    with pytest.raises(QueryBudgetExceeded) as caught:
        view.get(b"a")
    assert str(caught.value) == f"the query costs more than {3 * GET_UNITS} units of work: ask for less"


def test_the_budget_counts_the_start_and_the_rows_of_a_walk() -> None:
    assert len(list(recording(OPEN_UNITS + 4 * ROW_UNITS).iterate(b"a", b"z"))) == 4
    with pytest.raises(QueryBudgetExceeded):
        list(recording(OPEN_UNITS + 4 * ROW_UNITS - 1).iterate(b"a", b"z"))


def test_walks_that_find_nothing_cost_their_start() -> None:
    view = recording(2 * OPEN_UNITS)
    assert [list(view.iterate(b"x", b"y")) for _ in range(2)] == [[], []]
    with pytest.raises(QueryBudgetExceeded):
        list(view.iterate(b"x", b"y"))


def test_the_budget_counts_bytes_of_values() -> None:
    """Records take up to kilobytes: thousands of them, decoded and proven, would fill a node's memory."""
    state = {b"a": bytes(BYTES_A_UNIT * 50), b"b": b"1"}
    enough = 2 * GET_UNITS + 50
    view = RecordingView(version_of(state), Work(enough))
    assert [view.get(key) for key in (b"a", b"b")] == [state[b"a"], b"1"]
    view = RecordingView(version_of(state), Work(enough - 1))
    view.get(b"a")
    with pytest.raises(QueryBudgetExceeded):
        view.get(b"b")
    assert len(list(RecordingView(version_of(state), Work(OPEN_UNITS + 2 * ROW_UNITS + 50)).iterate(b"a", b"z"))) == 2
    with pytest.raises(QueryBudgetExceeded):
        list(RecordingView(version_of(state), Work(OPEN_UNITS + 2 * ROW_UNITS + 49)).iterate(b"a", b"z"))


def test_an_empty_view_has_nothing() -> None:
    assert EmptyView().get(b"a") is None
    assert list(EmptyView().iterate(b"a", b"z")) == []
