"""Cost of the exact part: scores of one query over all owner sums, and the shares that follow from them.

    .venv/bin/python -m benchmarks.attribution.exact [OWNERS] [CODES]      # 5,000 and 4,096 unless given

What a validator does for every claim, so the scores must take at most 10 ms. Every result is compared with integer
arithmetic before it is timed. Prints the best and the median of the repetitions.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from attribution.codes import CODE_LIMIT
from attribution.scores import ScoreTable, exact_scores, largest_exact_sum

REPETITIONS = 20
TARGET_MILLISECONDS = 10


def milliseconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Best and median of the repetitions, after one that does not count."""
    work()
    times = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        work()
        times.append(1_000 * (time.perf_counter() - started))
    return min(times), statistics.median(times)


def main() -> None:
    """Print the table."""
    owners, width = (int(argument) for argument in (sys.argv[1:] or ["5000", "4096"]))
    random = np.random.default_rng(20_261_121)
    query = random.integers(-CODE_LIMIT, CODE_LIMIT + 1, size=width).astype(np.int16)
    print(f"{owners:,} owners x {width:,} codes; milliseconds, best and median of {REPETITIONS}")
    # Rows by rows of codes drawn from the whole range: the first size is that of ordinary sums, the second of an
    # owner with millions of examples.
    for words, limit in (("one limb", largest_exact_sum(width) // 2), ("two limbs", 2**45)):
        owner_sums = random.integers(-limit, limit, size=(owners, width))
        table = ScoreTable.of(owner_sums)
        expected = tuple(int(score) for score in owner_sums[:50].astype(object) @ query.astype(object))
        assert table.scores(query)[:50] == exact_scores(owner_sums, query)[:50] == expected
        assert table.scores(query) == exact_scores(owner_sums, query)
        for what, work in (
            ("scores, sums made ready", lambda table=table: table.scores(query)),
            ("scores, sums as stored", lambda sums=owner_sums: exact_scores(sums, query)),
        ):
            best, median = milliseconds(work)
            print(f"{what:28} {words:10} {best:8.2f} {median:8.2f}   target {TARGET_MILLISECONDS}")


if __name__ == "__main__":
    main()
