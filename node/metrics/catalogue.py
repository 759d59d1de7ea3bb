"""Names of all metrics; dashboard and alerts in docs/operators/ use no others."""

from __future__ import annotations

from typing import Final

from node.metrics.exposition import Metric


def _counter(name: str, words: str, *labels: str) -> Metric:
    return Metric(name=name, kind="counter", help=words, labels=labels)


def _gauge(name: str, words: str, *labels: str) -> Metric:
    return Metric(name=name, kind="gauge", help=words, labels=labels)


def _histogram(name: str, words: str, *labels: str) -> Metric:
    return Metric(name=name, kind="histogram", help=words, labels=labels)


RELEASE: Final = _gauge(
    "openledger_release_info", "Always 1; the labels are the versions that run.", "version", "cometbft"
)
HEIGHT: Final = _gauge("openledger_height", "Height of the last committed block.")
LAST_BLOCK_TIME: Final = _gauge(
    "openledger_last_block_time_seconds", "Header time of the last block committed since the start."
)
PHASE_SECONDS: Final = _histogram(
    "openledger_block_phase_seconds", "Seconds that the application took for a phase of a block.", "phase"
)
BLOCK_WEIGHT: Final = _gauge("openledger_block_weight_units", "Weight of the last committed block.")
TRANSACTIONS: Final = _counter(
    "openledger_transactions_total",
    "Transactions in committed blocks since the start, beacon reveals included.",
    "result",
)
FEES: Final = _counter("openledger_fees_nopen_total", "Fees of committed blocks since the start, in nopen.")
CHECKED: Final = _counter(
    "openledger_check_tx_total", "Transactions that the mempool judged since the start.", "kind", "result"
)
PENDING: Final = _gauge("openledger_mempool_transactions", "Transactions that wait for a block.")
DEADLINES: Final = _gauge(
    "openledger_deadlines_waiting", "Scheduled work that waits for its height, stale entries counted.", "lane"
)
BACKLOG: Final = _gauge(
    "openledger_deadlines_backlog_heights", "Heights by which a lane of scheduled work is late.", "lane"
)
PUT_ASIDE: Final = _gauge(
    "openledger_put_aside", "Hooks that fail and scheduled work that is stuck because of a bug.", "kind"
)
STORE_BYTES: Final = _gauge("openledger_store_bytes", "Bytes of the application's state on the disk.")
CACHE_BYTES: Final = _gauge("openledger_cache_bytes", "Bytes of the state in memory, by cache.", "cache")
DISK_FREE: Final = _gauge("openledger_disk_free_bytes", "Bytes that are free where the home lies.")
SNAPSHOTS: Final = _gauge("openledger_snapshots", "Snapshots that joining nodes can fetch here.")
SNAPSHOT_HEIGHT: Final = _gauge("openledger_snapshot_height", "Height of the newest snapshot.")
SNAPSHOT_TIME: Final = _gauge(
    "openledger_snapshot_made_time_seconds", "When the newest snapshot was made, in seconds since 1970."
)
COMETBFT_RESTARTS: Final = _counter(
    "openledger_cometbft_restarts_total", "Times that CometBFT ended and was started again since the start."
)
ALARMS: Final = _counter(
    "openledger_log_alarms_total", "Lines of the node's log since the start that somebody should read."
)

CATALOGUE: Final = (
    RELEASE, HEIGHT, LAST_BLOCK_TIME, PHASE_SECONDS, BLOCK_WEIGHT, TRANSACTIONS, FEES, CHECKED, PENDING, DEADLINES,
    BACKLOG, PUT_ASIDE, STORE_BYTES, CACHE_BYTES, DISK_FREE, SNAPSHOTS, SNAPSHOT_HEIGHT, SNAPSHOT_TIME,
    COMETBFT_RESTARTS, ALARMS,
)  # fmt: skip
