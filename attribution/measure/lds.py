"""Linear datamodelling score: how well sums of scores foretell what retraining on a part of the data does.

Park et al. 2023 (TRAK): draw random subsets, retrain on each, and for every query correlate by rank (Spearman) what
the scores of the subset add up to with what the retrained models say. The score is the mean over queries.
Contributor-LDS is the same with subsets of contributors: what payments need.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from attribution.measure.retrain import Outputs
from attribution.measure.subsets import Mask

Floats = npt.NDArray[np.float64]

BOOTSTRAP_DRAWS = 1_000
BOOTSTRAP_SEED = 20_261_121


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with its 95 % interval; `draws` are the bootstrap's values, alike for every method."""

    value: float
    low: float
    high: float
    draws: Floats = field(repr=False, compare=False)

    def minus(self, other: "Estimate") -> "Estimate":
        """The difference, over the same resamples of queries and subsets: paired."""
        return estimate_of(self.value - other.value, self.draws - other.draws)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate_of(value: float, draws: Floats) -> Estimate:
    """With the central 95 % of the bootstrap's draws."""
    low, high = np.percentile(draws, [2.5, 97.5]).tolist()
    return Estimate(value=value, low=low, high=high, draws=draws)


def linear_datamodelling_score(scores: Floats, subsets: Mask, losses: Outputs) -> Estimate:
    """LDS of `scores` [rows, queries] against `losses` [subsets, seeds, queries]; above 0 means: lowers the loss.

    The interval resamples queries and subsets at once. Raises `ValueError` when shapes do not belong together.
    """
    if scores.shape != (subsets.shape[1], losses.shape[2]) or len(subsets) != len(losses):
        raise ValueError(f"scores: shape {scores.shape} for subsets {subsets.shape} and losses {losses.shape}")
    predicted = subsets.astype(np.float64) @ scores
    return rank_agreement(predicted, -losses.mean(axis=1))


def seed_ceiling(losses: Outputs) -> Estimate:
    """Agreement by rank between the first two seeds: no method can be expected to do much better.

    Two seeds that are averaged for the truth agree with a third one better than with each other, so that a method may
    pass this number a little.
    """
    if losses.shape[1] < 2:
        raise ValueError("losses: one seed has no agreement; retrain with two")
    return rank_agreement(losses[:, 0], losses[:, 1])


def rank_agreement(first: Floats, second: Floats) -> Estimate:
    """Mean over columns of Spearman's correlation of two tables [subsets, queries], ties with their mean rank."""
    subsets, queries = first.shape
    generator = np.random.Generator(np.random.Philox(BOOTSTRAP_SEED))
    # How often each subset and each query was drawn: a resample is a weighting, so nothing is copied.
    subset_weights = _multiplicities(generator, subsets)
    query_weights = _multiplicities(generator, queries)
    once = np.ones((subsets, 1))
    per_query, resampled = np.empty(queries), np.empty((BOOTSTRAP_DRAWS, queries))
    for query in range(queries):
        below_first, below_second = _below(first[:, query]), _below(second[:, query])
        per_query[query] = _weighted_correlation(below_first @ once, below_second @ once, once)[0]
        resampled[:, query] = _weighted_correlation(
            below_first @ subset_weights, below_second @ subset_weights, subset_weights
        )
    draws = (resampled * query_weights.T).sum(axis=1) / queries
    value = float(per_query.mean())
    # A subset drawn twice ties with itself, which lowers rank correlations a little; the draws are moved back by it.
    return estimate_of(value, np.clip(draws - draws.mean() + value, -1.0, 1.0))


def _multiplicities(generator: np.random.Generator, items: int) -> Floats:
    """[items, draws]: how often each item is in each resample of `items` with replacement."""
    drawn = generator.integers(0, items, size=(BOOTSTRAP_DRAWS, items))
    return np.stack([np.bincount(line, minlength=items) for line in drawn], axis=1).astype(np.float64)


def _below(values: Floats) -> Floats:
    """[i, j]: 1 where value j is below value i, half where they are equal; times weights it gives mean ranks."""
    below: Floats = (values[None, :] < values[:, None]) + 0.5 * (values[None, :] == values[:, None])
    return below


def _weighted_correlation(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Pearson's correlation in every column of [items, draws]; 0 where one side does not vary."""
    total = weights.sum(axis=0)
    first = first - (first * weights).sum(axis=0) / total
    second = second - (second * weights).sum(axis=0) / total
    product = (weights * first * second).sum(axis=0)
    size = np.sqrt((weights * first**2).sum(axis=0) * (weights * second**2).sum(axis=0))
    correlation: Floats = np.divide(product, size, out=np.zeros_like(product), where=size > 0)
    return correlation


def area_under_curve(scores: Floats, wanted: npt.NDArray[np.bool_]) -> float:
    """Chance that a wanted item scores above another one, ties half: 1 finds all first, one half is guessing."""
    positive, negative = scores[wanted], scores[~wanted]
    if len(positive) == 0 or len(negative) == 0:
        raise ValueError("wanted: both kinds are needed")
    above = (positive[:, None] > negative[None, :]).sum() + 0.5 * (positive[:, None] == negative[None, :]).sum()
    return float(above / (len(positive) * len(negative)))
