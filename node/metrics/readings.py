"""Reads how the node stands when somebody asks: state, mempool, disk, snapshots. Each look is bounded work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from abci_app.chain.application import SOFTWARE_VERSION, Application
from abci_app.mechanisms.deadlines import BUDGETS, COUNTS, CURSORS, STUCK
from abci_app.mechanisms.hooks import FAILING
from abci_app.state.store import StateView
from node import cometbft, disk
from node.home import Home
from node.leveldb.store import LevelDBStore
from node.metrics import catalogue
from node.metrics.exposition import Distribution, Reading, Values, exposition
from node.metrics.measuring import Counts
from node.snapshots.folder import SnapshotFolder

# Rows of one listing that a look reads at most: a count that is so large may be larger.
MAX_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything that the page of metrics is read from."""

    home: Home
    store: LevelDBStore
    application: Application
    snapshots: SnapshotFolder
    counts: Counts
    cometbft_restarts: Callable[[], int]
    alarms: Callable[[], int]

    def page(self) -> str:
        """All metrics now, in Prometheus' text format; any thread may ask."""
        readings = [
            Reading(catalogue.RELEASE, {(SOFTWARE_VERSION, cometbft.VERSION): 1}),
            Reading(catalogue.HEIGHT, {(): self.store.height}),
            *self.counts.read(),
            Reading(catalogue.PENDING, {(): self.application.waiting_transactions}),
            *self._of_state(),
            Reading(catalogue.STORE_BYTES, {(): disk.size_of_files(self.home.store_folder)}),
            Reading(catalogue.CACHE_BYTES, {(name,): used for name, used in self.store.cache_bytes().items()}),
            Reading(catalogue.DISK_FREE, {(): disk.free_bytes(self.home.folder)}),
            *self._of_snapshots(),
            Reading(catalogue.COMETBFT_RESTARTS, {(): self.cometbft_restarts()}),
            Reading(catalogue.ALARMS, {(): self.alarms()}),
        ]
        return exposition(readings)

    def _of_state(self) -> list[Reading]:
        """Read one committed version; nothing before the first commit."""
        if not self.store.height:
            return []
        with self.store.latest() as version:
            return readings_of_state(version, version.height)

    def _of_snapshots(self) -> list[Reading]:
        kept = self.snapshots.kept
        readings = [Reading(catalogue.SNAPSHOTS, {(): len(kept)})]
        if kept:
            readings.append(Reading(catalogue.SNAPSHOT_HEIGHT, {(): kept[0].height}))
            with contextlib.suppress(OSError):  # a newer one has just taken its place
                readings.append(Reading(catalogue.SNAPSHOT_TIME, {(): kept[0].folder.stat().st_mtime}))
        return readings


def readings_of_state(view: StateView, height: int) -> list[Reading]:
    """Scheduled work that waits or is late, and what was put aside, as one version of the state has it."""
    waiting: dict[tuple[str, ...], float | Distribution] = {}
    late: dict[tuple[str, ...], float | Distribution] = {}
    for lane in BUDGETS:
        cursor = CURSORS.get(view, lane)
        counted = sum([count.count for _, count in islice(COUNTS.iterate(view, lane), MAX_ROWS)])
        waiting[str(lane),] = counted - (cursor.index if cursor else 0)
        late[str(lane),] = height + 1 - cursor.height if cursor else 0
    aside: Values = {
        ("hook",): sum([1 for _ in islice(FAILING.iterate(view), MAX_ROWS)]),
        ("deadline",): sum([1 for _ in islice(STUCK.iterate(view), MAX_ROWS)]),
    }
    return [
        Reading(catalogue.DEADLINES, waiting),
        Reading(catalogue.BACKLOG, late),
        Reading(catalogue.PUT_ASIDE, aside),
    ]
