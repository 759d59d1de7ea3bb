"""Counts what the application does: seconds of each phase of a block, judged transactions, what blocks held."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final, TypeVar

from abci_app.chain.application import Application
from abci_app.chain.block import BlockResult
from abci_app.pb import abci_pb2 as pb
from node.metrics import catalogue
from node.metrics.exposition import Distribution, Reading

# From an empty block to one that delays the chain.
BOUNDS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
Answer = TypeVar("Answer")
PHASES: Final = ("prepare_proposal", "process_proposal", "work_ahead", "finalize_block", "commit")


class Histogram:
    """How often values fell between fixed bounds. One thread adds, any thread reads."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Count one value; one that equals a bound lies below it."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._total += value

    def read(self) -> Distribution:
        """All values so far, of one moment."""
        with self._lock:
            counts, total = [*accumulate(self._counts)], self._total
        return Distribution(below=dict(zip(self._bounds, counts, strict=False)), count=counts[-1], total=total)


class Counts:
    """Everything that is counted beside the blocks. Each number has one writing thread; any thread reads."""

    def __init__(self) -> None:
        self.phases = {phase: Histogram(BOUNDS_SECONDS) for phase in PHASES}
        self.checked: dict[tuple[str, ...], int] = {
            (kind, result): 0 for kind in ("new", "recheck") for result in ("accepted", "refused")
        }
        self._transactions = {"done": 0, "failed": 0}
        self._fees_nopen = 0
        self._last: BlockResult | None = None

    def committed(self, result: BlockResult) -> None:
        """Count a block that was committed."""
        for one in result.results:
            self._transactions["failed" if one.code else "done"] += 1
            self._fees_nopen += one.fee_nopen
        self._last = result

    def read(self) -> list[Reading]:
        """All that was counted since the start."""
        last = self._last
        return [
            Reading(catalogue.LAST_BLOCK_TIME, {(): last.context.time_seconds} if last else {}),
            Reading(catalogue.PHASE_SECONDS, {(phase,): histogram.read() for phase, histogram in self.phases.items()}),
            Reading(catalogue.BLOCK_WEIGHT, {(): last.weight} if last else {}),
            Reading(catalogue.TRANSACTIONS, {(result,): count for result, count in self._transactions.items()}),
            Reading(catalogue.FEES, {(): self._fees_nopen}),
            Reading(catalogue.CHECKED, {**self.checked}),
        ]


class MeasuredApplication:
    """An application that passes every call on, and counts the seconds that it took."""

    def __init__(
        self, application: Application, counts: Counts, seconds: Callable[[], float] = time.perf_counter
    ) -> None:
        self._application = application
        self._counts = counts
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)

    def check_tx(self, tx: bytes, recheck: bool) -> tuple[int, str, str]:
        answer = self._application.check_tx(tx, recheck)
        self._counts.checked["recheck" if recheck else "new", "refused" if answer[0] else "accepted"] += 1
        return answer

    def prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
        return self._timed("prepare_proposal", lambda: self._application.prepare_proposal(request))

    def process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal:
        return self._timed("process_proposal", lambda: self._application.process_proposal(request))

    def work_ahead(self) -> None:
        self._timed("work_ahead", self._application.work_ahead)

    def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        return self._timed("finalize_block", lambda: self._application.finalize_block(request))

    def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        return self._timed("commit", lambda: self._application.commit(request))

    def _timed(self, phase: str, call: Callable[[], Answer]) -> Answer:
        """Call; what raised is not counted, since it stops the node."""
        began = self._seconds()
        answer = call()
        self._counts.phases[phase].add(self._seconds() - began)
        return answer
