"""What really happens when halves of the examples, or of the contributors, are left out: the truth for LDS."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from attribution.measure.retrain import Outputs, RetrainCache
from attribution.measure.subsets import Mask, contributor_subsets, half_subsets
from benchmarks.attribution.char_task import CharTask

SEEDS = (1, 2)
"""Order of the examples. Attribution looks at the model of the first, trained on everything."""

EXAMPLE_SUBSETS, CONTRIBUTOR_SUBSETS = 100, 60


@dataclass(frozen=True)
class Truth:
    """Subsets [subsets, rows] and what the queries' losses were after each: [subsets, seeds, queries]."""

    subsets: Mask
    outputs: Outputs


def examples_truth(task: CharTask, cache: RetrainCache, subsets: int = EXAMPLE_SUBSETS) -> Truth:
    """Random halves of the examples."""
    drawn = half_subsets(len(task.corpus.training), subsets)
    return Truth(drawn, cache.outputs(drawn, SEEDS, show(f"{task.corpus.name}: halves of the examples")))


def contributors_truth(task: CharTask, cache: RetrainCache, subsets: int = CONTRIBUTOR_SUBSETS) -> Truth:
    """Random halves of the contributors."""
    drawn = contributor_subsets(task.corpus.owners, subsets)
    return Truth(drawn, cache.outputs(drawn, SEEDS, show(f"{task.corpus.name}: halves of the contributors")))


def show(what: str) -> Callable[[int, int], None]:
    """A progress function that prints one line, and how long is left."""
    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        left_seconds = (time.monotonic() - started) / done * (total - done)
        # What is on disk already goes by without a word.
        if left_seconds >= 1 and done % 10 == 0:
            print(f"\r{what}: {done} of {total} retrains, {left_seconds:.0f} s left   ", end="", file=sys.stderr)
            sys.stderr.flush()
        if done == total and time.monotonic() - started > 1:
            print(f"\r{what}: {total} retrains                          ", file=sys.stderr)

    return progress
