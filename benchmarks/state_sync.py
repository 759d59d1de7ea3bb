"""How long a node takes to join by a snapshot of a state of many keys, and what making the snapshot costs the others.

    python -m benchmarks.state_sync --keys 1000000

One validator whose chain has that many accounts makes a snapshot while it makes blocks; the time between its blocks is
taken from their headers, before and during. A second node joins over CometBFT's state sync: the clock runs from the
start of its process until it has the validator's newest block. Floors: 120 s, and 1 GiB for the joining application.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from benchmarks.report import peak_resident_mib, print_table
from benchmarks.start_node import VARIABLE
from node import cometbft
from node.devnet import Devnet, DevnetNode
from node.initialise import initialise
from node.join_settings import peer_of, settings_to_join
from node.ports import free_ports
from node.snapshots.folder import SnapshotFolder, StoredSnapshot
from node.snapshots.service import WANTED_FILE

CHAIN_ID = "openledger-dev-benchmark"
FLOOR_SECONDS, FLOOR_MIB = 120, 1024
_GENESIS_SECONDS, _JOIN_SECONDS = 1800.0, 600.0
_POLL_SECONDS = 0.2
_BLOCKS_BEFORE = 20
_TRUSTING_SECONDS = 36 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSnapshot:
    """One snapshot, the seconds until it was there, and seconds between blocks before and while it was made."""

    stored: StoredSnapshot
    seconds: float
    before_seconds: list[float]
    during_seconds: list[float]
    peak_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredJoin:
    """Seconds from the start of the process, and the most memory that its parts held."""

    restored_seconds: float
    following_seconds: float
    application_mib: float
    cometbft_mib: float


def until(ready: object, seconds: float, node: DevnetNode) -> None:
    """Poll until `ready()` is true; ends the program where it never is."""
    assert callable(ready)
    deadline = time.monotonic() + seconds
    while not ready():
        if not node.running or time.monotonic() > deadline:
            raise SystemExit(f"node {node.index} did not get there:\n{node.log_tail()}")
        time.sleep(_POLL_SECONDS)


def make_snapshot(node: DevnetNode) -> MadeSnapshot:
    """Ask the running validator for a snapshot, and look at its blocks meanwhile."""
    folder = SnapshotFolder(node.home.snapshot_folder)
    first = node.height()
    started = time.monotonic()
    (node.home.snapshot_folder / WANTED_FILE).touch()

    def is_there() -> bool:
        folder.look()
        return bool(folder.kept)

    until(is_there, _JOIN_SECONDS, node)
    seconds = time.monotonic() - started
    assert node.process is not None
    return MadeSnapshot(
        stored=folder.kept[0],
        seconds=seconds,
        before_seconds=block_seconds(node, max(first - _BLOCKS_BEFORE, 2), first),
        during_seconds=block_seconds(node, first, node.height()),
        peak_mib=peak_resident_mib(node.process.pid),
    )


def block_seconds(node: DevnetNode, first: int, last: int) -> list[float]:
    """Seconds between the blocks of these heights, by their headers."""
    times: list[float] = []
    for height in range(first, last + 1):
        text = node.call("header", height=str(height))["header"]["time"]
        times.append(datetime.fromisoformat(f"{text[:26].rstrip('Z')}+00:00").timestamp())
    return [after - before for before, after in pairwise(times)]


def join(folder: Path, validator: DevnetNode) -> MeasuredJoin:
    """Let a new node join by the snapshot, and follow it until it has the validator's newest block."""
    ports = free_ports()
    trusted = bytes.fromhex(validator.call("commit", height="1")["signed_header"]["commit"]["block_id"]["hash"])
    joining = settings_to_join([validator.rpc_url], [peer_of(validator.rpc_url)], 1, trusted, _TRUSTING_SECONDS)
    home = initialise(
        folder,
        CHAIN_ID,
        rpc_port=next(ports),
        p2p_port=next(ports),
        document=validator.home.genesis_file.read_bytes(),
        comet={**cometbft.LOCAL_NETWORK, **joining},
    )
    node = DevnetNode(home, 1, alone=False)
    started = time.monotonic()
    node.start()
    try:
        log = home.log_folder / "node.log"
        until(lambda: log.exists() and "is restored; the blocks after it" in log.read_text(), _JOIN_SECONDS, node)
        restored = time.monotonic() - started
        until(lambda: node.height() >= validator.height() > 0, _JOIN_SECONDS, node)
        following = time.monotonic() - started
        comet_pid = node.comet_pid
        assert node.process is not None
        assert comet_pid is not None
        return MeasuredJoin(
            restored_seconds=restored,
            following_seconds=following,
            application_mib=peak_resident_mib(node.process.pid),
            cometbft_mib=peak_resident_mib(comet_pid),
        )
    finally:
        node.stop()


def measure(folder: Path, keys: int) -> tuple[MadeSnapshot, MeasuredJoin]:
    """Build the chain, make the snapshot, join."""
    net = Devnet.create(folder / "net", chain_id=CHAIN_ID)
    (node,) = net.nodes
    node.module = "benchmarks.start_node"
    try:
        node.start(environment={VARIABLE: str(keys)})
        until(lambda: node.height() >= _BLOCKS_BEFORE + 2, _GENESIS_SECONDS, node)
        made = make_snapshot(node)
        # The light client of who joins wants two more blocks.
        height = made.stored.height + 3
        until(lambda: node.height() >= height, _JOIN_SECONDS, node)
        return made, join(folder / "joining", node)
    finally:
        net.stop()


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000, help="accounts in the state (default: 1000000)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openledger-sync-") as folder:
        made, joined = measure(Path(folder), arguments.keys)
    stored = made.stored
    entries = sum(stored.map.entries)
    rows = [
        ["entries", f"{entries:,}"],
        ["chunks", f"{stored.announced.chunks:,} of at most {max(stored.sizes_bytes):,} bytes"],
        ["bytes of the chunks", f"{stored.size_bytes:,}"],
        ["bytes of all proofs (the map)", f"{len(stored.announced.map_bytes):,}"],
        ["made in", f"{made.seconds:.0f} s, beside blocks"],
        [
            "between blocks before",
            f"median {statistics.median(made.before_seconds):.2f} s, most {max(made.before_seconds):.2f} s",
        ],
        [
            "between blocks meanwhile",
            f"median {statistics.median(made.during_seconds):.2f} s, most {max(made.during_seconds):.2f} s",
        ],
        ["validator's application, peak", f"{made.peak_mib:.0f} MiB (genesis included)"],
        ["joining: state restored after", f"{joined.restored_seconds:.0f} s"],
        ["joining: newest block after", f"{joined.following_seconds:.0f} s (floor {FLOOR_SECONDS} s)"],
        ["joining: application, peak", f"{joined.application_mib:.0f} MiB (floor {FLOOR_MIB} MiB)"],
        ["joining: CometBFT, peak", f"{joined.cometbft_mib:.0f} MiB"],
    ]
    print_table(f"State sync of {arguments.keys:,} accounts", ["what", "measured"], rows)


if __name__ == "__main__":
    main()
