"""Cost of the exact part: scores of one query over owner sums and over rows, and the shares that follow from them.

    .venv/bin/python -m benchmarks.attribution.exact [OWNERS] [CODES]      # 5,000 and 4,096 unless given

What a validator does for every claim, so the scores must take at most 10 ms. Every result is compared with integer
arithmetic before it is timed. Prints the best and the median of the repetitions; shares follow for a cap that binds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from abci_app.integers.shares import OWNER, ROW, PayoutPolicy, Shares, credits_of, payout_shares
from abci_app.types import PPB
from attribution.lga.codes import CODE_LIMIT
from attribution.lga.scores import ScoreTable, exact_scores, largest_exact_sum, row_scores

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
        report(f"shares of these scores, {words}", partial(pay, [[score] for score in scores], OWNER))
    for rows_each in (1, 10):
        codes = random.integers(-CODE_LIMIT, CODE_LIMIT + 1, size=(owners * rows_each, width)).astype(np.int16)
        expected = tuple(int(score) for score in codes[:50].astype(object) @ query.astype(object))
        of_rows = row_scores(codes, query)
        assert tuple(of_rows[:50].tolist()) == expected
        report(f"scores of {len(codes):,} rows as stored", partial(row_scores, codes, query))
        by_owner = of_rows.reshape(owners, rows_each).tolist()
        report(f"shares, {len(codes):,} rows as the unit", partial(pay, by_owner, ROW))


def pay(scores: Sequence[Sequence[int]], score_unit: str) -> Shares:
    """Shares of owners whose rows have these scores, half of it by them, with a cap that binds."""
    policy = PayoutPolicy(PPB // 2, PPB // 2, max(1, 2 * PPB // len(scores)), 0, bytes(32), score_unit)
    by_owner = {index.to_bytes(32, "big"): of_rows for index, of_rows in enumerate(scores)}
    return payout_shares(credits_of(by_owner, score_unit), dict.fromkeys(by_owner, 7), policy)


def report(what: str, work: Callable[[], Any], target: int = 0) -> None:
    """Measure and print one line."""
    best, median = milliseconds(work)
    print(f"{what:36} {best:8.2f} {median:8.2f}" + (f"   target {target}" if target else ""), flush=True)


if __name__ == "__main__":
    main()
