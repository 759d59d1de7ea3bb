"""A task whose truth is additive and known, with noise by seed: measurements of it take milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attribution.measure.lds import Floats
from attribution.measure.measurement import Protocol, Truth, ground_truth
from attribution.measure.retrain import Outputs, RetrainCache

ROWS, QUERIES, OWNERS = 24, 6, 8
PROTOCOL = Protocol(example_subsets=30, contributor_subsets=20)


@dataclass(frozen=True)
class AdditiveTask:
    """The loss of a query is 10 minus the sum of the effects of the rows, plus noise of the seed."""

    noise: float = 0.5

    def recipe(self) -> dict[str, object]:
        return {"task": "additive", "noise": self.noise}

    def train_and_measure(self, rows: Sequence[int], seed: int) -> Outputs:
        generator = np.random.default_rng([seed, *rows])
        losses: Outputs = 10 - effects()[list(rows)].sum(axis=0) + self.noise * generator.normal(size=QUERIES)
        return losses


def effects() -> Floats:
    """Effect of every row on every query, [rows, queries]."""
    return np.random.default_rng(0).normal(size=(ROWS, QUERIES))


def owners() -> list[int]:
    """Three rows each."""
    return [row // 3 for row in range(ROWS)]


def small_truth(folder: Path, noise: float = 0.5) -> Truth:
    """Its ground truth."""
    cache = RetrainCache(AdditiveTask(noise), folder, QUERIES)
    return ground_truth(cache, owners(), PROTOCOL, lambda _: lambda done, total: None)
