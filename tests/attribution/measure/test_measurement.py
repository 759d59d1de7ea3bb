"""From retrains to LDS of both kinds, on a task whose truth is known."""

from pathlib import Path

import numpy as np
import pytest

from attribution.measure.measurement import Protocol, ceiling, ground_truth, quality
from attribution.measure.retrain import RetrainCache
from tests.kit.attribution.small_truth import (
    OWNERS,
    PROTOCOL,
    QUERIES,
    ROWS,
    AdditiveTask,
    effects,
    owners,
    small_truth,
)

pytestmark = pytest.mark.ml


def test_true_effects_are_found_up_to_the_noise(tmp_path: Path) -> None:
    truth = small_truth(tmp_path)

    found, top = quality(effects(), truth), ceiling(truth)

    assert 0.9 < found.examples.value < 1
    assert 0.9 < found.contributors.value < 1
    # The mean of two seeds is nearer to the truth than one seed to the other.
    assert top.examples.value < found.examples.value
    assert quality(-effects(), truth).contributors.value == pytest.approx(-found.contributors.value)


def test_halves_of_contributors_have_whole_contributors(tmp_path: Path) -> None:
    truth = small_truth(tmp_path)

    by_owner = truth.contributors.reshape(PROTOCOL.contributor_subsets, OWNERS, 3)
    assert np.array_equal(by_owner.any(axis=2), by_owner.all(axis=2))
    assert truth.examples.shape == (PROTOCOL.example_subsets, ROWS)
    assert truth.contributor_losses.shape == (PROTOCOL.contributor_subsets, 2, QUERIES)


def test_progress_names_both_parts(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    cache = RetrainCache(AdditiveTask(), tmp_path, QUERIES)

    ground_truth(cache, owners(), PROTOCOL, lambda name: lambda done, total: seen.update({name: (done, total)}))

    assert seen == {"halves of the examples": (60, 60), "halves of the contributors": (40, 40)}
    assert PROTOCOL.retrains == 100


@pytest.mark.parametrize("seeds", [(1,), (1, 1), tuple(range(17))])
def test_seeds_must_be_two_to_sixteen_different_ones(seeds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="give 2 to 16 different ones"):
        Protocol(seeds=seeds)
