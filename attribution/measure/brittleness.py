"""Brittleness: remove the rows that a method names for a query, train again, and see how much worse the query gets.

The removal test of counterfactuals (Ilyas et al. 2022), with all rows removed at once; the control removes as many
rows drawn by hash. A method is good when its rows are missed more than any others'.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from attribution.measure.lds import BOOTSTRAP_DRAWS, BOOTSTRAP_SEED, Estimate, Floats, estimate_of
from attribution.measure.retrain import Outputs, Progress, RetrainCache

Removed = Callable[[int], Sequence[int]]
"""Query -> rows to remove."""


def top_rows(scores: Floats, count: int) -> Removed:
    """The `count` rows of highest score, earlier rows first among equals."""
    return lambda query: sorted(range(len(scores)), key=lambda row: (-scores[row, query], row))[:count]


def drawn_rows(rows: int, count: int) -> Removed:
    """Rows drawn by hash, others for every query: the control."""

    def rank(query: int, row: int) -> bytes:
        return hashlib.sha256(f"openledger/measure/removed/v1/{query}/{row}".encode()).digest()

    return lambda query: sorted(range(rows), key=lambda row: rank(query, row))[:count]


def loss_increase(
    cache: RetrainCache,
    rows: int,
    removed: Removed,
    queries: Sequence[int],
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> Estimate:
    """Mean over `queries` of loss without the removed rows minus loss with all, in nats, mean over seeds.

    The interval resamples the queries. Each query needs its own retrains: len(queries) x len(seeds) of them.
    """
    everything = list(range(rows))
    whole = np.mean([cache.one(everything, seed) for seed in seeds], axis=0)
    increases: Outputs = np.empty(len(queries))
    for done, query in enumerate(queries, start=1):
        without = set(removed(query))
        kept = [row for row in everything if row not in without]
        increases[done - 1] = np.mean([cache.one(kept, seed)[query] for seed in seeds]) - whole[query]
        if progress is not None:
            progress(done, len(queries))
    generator = np.random.Generator(np.random.Philox(BOOTSTRAP_SEED))
    drawn = generator.integers(0, len(queries), size=(BOOTSTRAP_DRAWS, len(queries)))
    return estimate_of(float(increases.mean()), increases[drawn].mean(axis=1))
