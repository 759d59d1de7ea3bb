"""Cost of the exact part: scores of one query over all owner sums, and the shares that follow from them.

    .venv/bin/python -m benchmarks.attribution.exact [OWNERS] [CODES]      # 5,000 and 4,096 unless given

What a validator does for every claim, so the scores must take at most 10 ms. Every result is compared with integer
arithmetic before it is timed. Prints the best and the median of the repetitions; shares follow for a cap that binds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from abci_app.types import PPB
from attribution.codes import CODE_LIMIT
from attribution.scores import ScoreTable, exact_scores, largest_exact_sum
from attribution.shares import PayoutPolicy, payout_shares

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
    # Sums of ordinary owners, then of owners with millions of examples.
    for words, limit in (("one limb", largest_exact_sum(width) // 2), ("two limbs", 2**45)):
        owner_sums = random.integers(-limit, limit, size=(owners, width))
        table = ScoreTable.of(owner_sums)
        expected = tuple(int(score) for score in owner_sums[:50].astype(object) @ query.astype(object))
        scores = table.scores(query)
        assert scores[:50] == expected
        assert scores == exact_scores(owner_sums, query)
        report(f"scores, sums made ready, {words}", partial(table.scores, query), TARGET_MILLISECONDS)
        report(f"scores, sums as stored, {words}", partial(exact_scores, owner_sums, query))
        by_owner = {index.to_bytes(32, "big"): score for index, score in enumerate(scores)}
        policy = PayoutPolicy(PPB // 2, PPB // 2, max(1, 2 * PPB // owners), 0, bytes(32))
        flat = dict.fromkeys(by_owner, 7)
        report(f"shares of these scores, {words}", partial(payout_shares, by_owner, flat, policy))


def report(what: str, work: Callable[[], Any], target: int = 0) -> None:
    """Measure and print one line."""
    best, median = milliseconds(work)
    print(f"{what:36} {best:8.2f} {median:8.2f}" + (f"   target {target}" if target else ""), flush=True)


if __name__ == "__main__":
    main()
