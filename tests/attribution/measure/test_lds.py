"""Rank correlation, its bootstrap, and the area under the curve, against slow and plain versions."""

import numpy as np
import pytest

from attribution.measure.lds import (
    area_under_curve,
    linear_datamodelling_score,
    rank_agreement,
    seed_ceiling,
)
from attribution.measure.subsets import half_subsets

pytestmark = pytest.mark.ml


def _mean_ranks(values: list[float]) -> list[float]:
    """Slow and plain: place in the sorted order, ties with the mean of their places."""
    ordered = sorted(values)
    return [
        sum(place for place, other in enumerate(ordered) if other == value) / ordered.count(value) for value in values
    ]


def _spearman(first: list[float], second: list[float]) -> float:
    return float(np.corrcoef(_mean_ranks(first), _mean_ranks(second))[0, 1])


def test_agreement_is_spearmans_correlation_with_mean_ranks_for_ties() -> None:
    generator = np.random.default_rng(3)
    first = generator.integers(0, 6, size=(30, 5)).astype(np.float64)
    second = first + generator.normal(size=(30, 5)) * 2

    found = rank_agreement(first, second)

    expected = np.mean([_spearman(first[:, query].tolist(), second[:, query].tolist()) for query in range(5)])
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_bootstrap_weights_are_the_same_as_copies() -> None:
    generator = np.random.default_rng(4)
    first, second = generator.normal(size=(12, 3)), generator.normal(size=(12, 3))

    found = rank_agreement(first, second)

    philox = np.random.Generator(np.random.Philox(20_261_121))
    subsets, queries = philox.integers(0, 12, size=(1_000, 12)), philox.integers(0, 3, size=(1_000, 3))
    copied = np.array([
        np.mean([_spearman(first[drawn, query].tolist(), second[drawn, query].tolist()) for query in asked])
        for drawn, asked in zip(subsets, queries, strict=True)
    ])  # fmt: skip
    assert found.draws == pytest.approx(copied - copied.mean() + found.value, abs=1e-12)


def test_true_additive_effects_score_one_and_their_opposite_minus_one() -> None:
    generator = np.random.default_rng(5)
    effects = generator.normal(size=(20, 4))
    subsets = half_subsets(20, 50)
    losses = np.repeat((-(subsets @ effects))[:, None, :], 2, axis=1)

    assert linear_datamodelling_score(effects, subsets, losses).value == pytest.approx(1)
    assert linear_datamodelling_score(-effects, subsets, losses).value == pytest.approx(-1)
    assert seed_ceiling(losses).value == pytest.approx(1)


def test_random_scores_have_an_interval_around_zero_and_lose_against_good_ones() -> None:
    generator = np.random.default_rng(6)
    effects = generator.normal(size=(40, 30))
    subsets = half_subsets(40, 60)
    noise = generator.normal(size=(60, 2, 30))
    losses = -(subsets @ effects)[:, None, :] + noise

    chance = linear_datamodelling_score(generator.normal(size=(40, 30)), subsets, losses)
    good = linear_datamodelling_score(effects, subsets, losses)

    assert chance.low < 0 < chance.high
    assert good.low > 0.8
    difference = good.minus(chance)
    assert difference.value == pytest.approx(good.value - chance.value)
    assert 0.5 < difference.low < difference.value < difference.high


def test_predictions_that_do_not_vary_say_nothing() -> None:
    subsets = half_subsets(10, 20)
    losses = np.random.default_rng(7).normal(size=(20, 1, 2))

    found = linear_datamodelling_score(np.ones((10, 2)), subsets, losses)

    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_an_estimate_is_printed_with_its_interval() -> None:
    subsets = half_subsets(10, 20)
    losses = np.random.default_rng(7).normal(size=(20, 1, 2))

    assert str(linear_datamodelling_score(np.ones((10, 2)), subsets, losses)) == "0.000 [0.000, 0.000]"


def test_tables_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scores: shape \(9, 2\) for subsets \(20, 10\) and losses \(20, 1, 2\)"):
        linear_datamodelling_score(np.ones((9, 2)), half_subsets(10, 20), np.ones((20, 1, 2)))
    with pytest.raises(ValueError, match="losses: one seed has no agreement; retrain with two"):
        seed_ceiling(np.ones((20, 1, 2)))


def test_area_under_the_curve_counts_pairs_with_ties_half() -> None:
    scores = np.array([3.0, 1.0, 2.0, 2.0])

    assert area_under_curve(scores, np.array([True, False, True, False])) == (1 + 1 + 1 + 0.5) / 4
    assert area_under_curve(scores, np.array([False, True, False, False])) == 0
    with pytest.raises(ValueError, match="wanted: both kinds are needed"):
        area_under_curve(scores, np.array([True, True, True, True]))
