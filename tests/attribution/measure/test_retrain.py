"""Retrains are kept, found again, and computed again when a file is damaged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from attribution.measure.retrain import Outputs, RetrainCache, canonical_json
from attribution.measure.subsets import half_subsets

pytestmark = pytest.mark.ml


@dataclass
class CountingTask:
    """A "training" whose outputs say which rows and seed it had, and which counts its runs."""

    name: str = "counting"
    stop_after: int | None = None
    runs: list[tuple[list[int], int]] = field(default_factory=list)

    def recipe(self) -> dict[str, object]:
        return {"name": self.name}

    def train_and_measure(self, rows: Sequence[int], seed: int) -> Outputs:
        if self.stop_after is not None and len(self.runs) >= self.stop_after:
            raise KeyboardInterrupt
        self.runs.append((list(rows), seed))
        return np.array([sum(rows), seed, len(rows)], dtype=np.float64)


def test_outputs_come_by_subset_seed_and_query(tmp_path: Path) -> None:
    subsets = half_subsets(6, 4)

    outputs = RetrainCache(CountingTask(), tmp_path, 3).outputs(subsets, (11, 12))

    sums = subsets @ np.arange(6)
    expected = [[[total, seed, 3] for seed in (11, 12)] for total in sums]
    assert outputs.tolist() == np.array(expected, dtype=float).tolist()


def test_a_stopped_measurement_goes_on_where_it_was(tmp_path: Path) -> None:
    subsets = half_subsets(6, 5)
    with pytest.raises(KeyboardInterrupt):
        RetrainCache(CountingTask(stop_after=7), tmp_path, 3).outputs(subsets, (1, 2))
    again = CountingTask()
    seen: list[tuple[int, int]] = []

    outputs = RetrainCache(again, tmp_path, 3).outputs(subsets, (1, 2), lambda done, total: seen.append((done, total)))

    assert len(again.runs) == 3
    assert seen == [(done, 10) for done in range(1, 11)]
    assert np.array_equal(outputs, RetrainCache(CountingTask(), tmp_path / "new", 3).outputs(subsets, (1, 2)))


def test_another_recipe_is_trained_anew(tmp_path: Path) -> None:
    RetrainCache(CountingTask(), tmp_path, 3).one([1, 2], 5)
    other = CountingTask(name="other")

    RetrainCache(other, tmp_path, 3).one([1, 2], 5)

    assert other.runs == [([1, 2], 5)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(b""),
        lambda path: np.save(path, np.array([1.0, np.nan, 2.0])),
        lambda path: np.save(path, np.array([1.0, 2.0])),
        lambda path: np.save(path, np.array([1, 2, 3], dtype=np.int64)),
    ],
    ids=["truncated", "empty", "not a number", "too short", "another type"],
)
def test_a_damaged_result_is_computed_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    task = CountingTask()
    cache = RetrainCache(task, tmp_path, 3)
    cache.one([0, 2], 5)
    damage(tmp_path / f"{cache.key([0, 2], 5)}.npy")

    assert cache.one([0, 2], 5).tolist() == [2, 5, 2]
    assert len(task.runs) == 2
    assert cache.one([0, 2], 5).tolist() == [2, 5, 2]
    assert len(task.runs) == 2


def test_a_task_that_breaks_its_promise_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    class Diverged(CountingTask):
        def train_and_measure(self, rows: Sequence[int], seed: int) -> Outputs:
            return np.array([1.0, np.inf, 0.0])

    with pytest.raises(ValueError, match="outputs: the task returned shape \\(3,\\); 4 queries were promised"):
        RetrainCache(CountingTask(), tmp_path, 4).one([0], 1)
    with pytest.raises(ValueError, match="ended with a value that is not finite; lower the step size"):
        RetrainCache(Diverged(), tmp_path, 3).one([0], 1)
    assert list(tmp_path.iterdir()) == []


def test_equal_recipes_have_equal_bytes() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "é"}) == b'{"a":"\\u00e9","b":[1,2.5]}'
