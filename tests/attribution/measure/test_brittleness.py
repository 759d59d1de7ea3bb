"""Rows that are named and removed are missed; rows drawn by hash are not."""

from pathlib import Path

import pytest

from attribution.measure.brittleness import drawn_rows, loss_increase, top_rows
from attribution.measure.retrain import RetrainCache
from tests.kit.attribution.small_truth import QUERIES, ROWS, AdditiveTask, effects

pytestmark = pytest.mark.ml


def test_removing_the_best_rows_costs_the_sum_of_their_effects(tmp_path: Path) -> None:
    cache = RetrainCache(AdditiveTask(noise=0), tmp_path, QUERIES)

    found = loss_increase(cache, ROWS, top_rows(effects(), 3), range(QUERIES), (1, 2))

    expected = sum(sum(sorted(column)[-3:]) for column in effects().T.tolist()) / QUERIES
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high


def test_the_control_removes_as_many_and_is_missed_less(tmp_path: Path) -> None:
    cache = RetrainCache(AdditiveTask(noise=0), tmp_path, QUERIES)
    control = drawn_rows(ROWS, 3)

    found = loss_increase(cache, ROWS, control, range(QUERIES), (1,))

    assert found.value < 1 < loss_increase(cache, ROWS, top_rows(effects(), 3), range(QUERIES), (1,)).value
    drawn = [tuple(control(query)) for query in range(QUERIES)]
    assert len(set(drawn)) == QUERIES
    assert all(len(set(rows)) == 3 and set(rows) <= set(range(ROWS)) for rows in drawn)


def test_equal_scores_are_taken_in_the_order_of_the_rows(tmp_path: Path) -> None:
    scores = effects() * 0

    assert list(top_rows(scores, 4)(0)) == [0, 1, 2, 3]


def test_progress_counts_queries(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    cache = RetrainCache(AdditiveTask(), tmp_path, QUERIES)

    loss_increase(cache, ROWS, drawn_rows(ROWS, 2), [4, 1], (1,), lambda done, total: seen.append((done, total)))

    assert seen == [(1, 2), (2, 2)]
