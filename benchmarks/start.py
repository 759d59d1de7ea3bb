"""How long `node start` takes on a state of many keys, until the node answers.

    python -m benchmarks.start --keys 1000000

Twice: once as if the accounts had come by transactions, once with all of them in the genesis document, which CometBFT
keeps in its database and reads at every start. The node is started again and again; the clock runs from the start of
its process to the first answered `status`, to the first answered query of an account, and to the first new block (one
commit timeout of 0.5 s is in that).
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from abci_app.chain.genesis import GenesisState
from abci_app.modules.bank import AccountQuery
from benchmarks.report import anonymous_mib, peak_resident_mib, print_table, resident_mib, spread
from benchmarks.start_node import VARIABLE, addresses, balances
from node.devnet import Devnet, DevnetNode
from node.errors import NoAnswer, NodeRpcError
from openledger.client.client import Client
from openledger.errors import OpenLedgerError

CHAIN_ID = "openledger-dev-benchmark"
# Building a million accounts takes minutes; a start that takes this long is a failure of its own.
_SECONDS = 1800.0
_POLL_SECONDS = 0.01


@dataclass(slots=True)
class MeasuredStart:
    """Seconds from the start of the process, a value a start; memory of the node without CometBFT."""

    status_seconds: list[float] = field(default_factory=list)
    query_seconds: list[float] = field(default_factory=list)
    block_seconds: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    anonymous: list[float] = field(default_factory=list)


def wait(node: DevnetNode, started: float, ready: Callable[[], object]) -> float:
    """Seconds from `started` until `ready()` is true; fails when the node ends."""
    while True:
        try:
            if ready():
                return time.monotonic() - started
        except (NoAnswer, NodeRpcError, OpenLedgerError):
            pass
        if not node.running or time.monotonic() - started > _SECONDS:
            raise SystemExit(f"the node did not come up:\n{node.log_tail()}")
        time.sleep(_POLL_SECONDS)


def measure(node: DevnetNode, address: bytes, starts: int) -> MeasuredStart:
    """Start a stopped node several times, each time until it makes a block."""
    measured = MeasuredStart()
    for _ in range(starts):
        started = time.monotonic()
        node.start()
        measured.status_seconds.append(wait(node, started, lambda: node.call("status")))
        height = node.height()
        with Client(node.rpc_url) as client:
            query = AccountQuery(address)
            measured.query_seconds.append(
                wait(node, started, lambda: client.query("bank", "account", query, prove=False).value.balance_nopen)  # noqa: B023 - called at once
            )
        measured.block_seconds.append(wait(node, started, lambda: node.height() > height))  # noqa: B023 - called at once
        assert node.process is not None
        measured.resident.append(resident_mib(node.process.pid))
        measured.anonymous.append(anonymous_mib(node.process.pid))
        node.stop()
    return measured


def build_and_measure(folder: Path, keys: int, starts: int, *, in_document: bool) -> list[str]:
    """One row of the table."""
    state = GenesisState(balances=balances(keys)) if in_document else GenesisState()
    net = Devnet.create(folder, chain_id=CHAIN_ID, app_state=state)
    del state
    (node,) = net.nodes
    try:
        started = time.monotonic()
        if not in_document:
            node.module = "benchmarks.start_node"
        node.start(environment={VARIABLE: str(keys)})
        genesis_seconds = wait(node, started, lambda: node.height() >= 2)
        assert node.process is not None
        genesis_peak_mib = peak_resident_mib(node.process.pid)
        node.stop()
        node.module = "node.run"
        store_mib = sum(path.stat().st_size for path in node.home.store_folder.iterdir()) / 2**20
        measured = measure(node, addresses(keys)[-1], starts)
    finally:
        net.stop()
    document_mib = node.home.genesis_file.stat().st_size / 2**20
    return [
        "listed in genesis" if in_document else "grown later",
        f"{document_mib:,.0f}",
        spread(measured.status_seconds, 2),
        spread(measured.query_seconds, 2),
        spread(measured.block_seconds, 2),
        spread(measured.resident),
        spread(measured.anonymous),
        f"{store_mib:,.0f}",
        f"{genesis_seconds:.0f}",
        f"{genesis_peak_mib:.0f}",
    ]


def main() -> None:
    """Build, then measure, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000, help="accounts in the state (default: 1000000)")
    parser.add_argument("--starts", type=int, default=5, help="how often to start (default: 5)")
    arguments = parser.parse_args()
    rows = []
    for in_document in (False, True):
        with tempfile.TemporaryDirectory(prefix="openledger-start-") as folder:
            rows.append(
                build_and_measure(Path(folder) / "net", arguments.keys, arguments.starts, in_document=in_document)
            )
    columns = ["accounts", "document MiB", "status answered s", "query answered s", "next block s", "node MiB"]
    columns += ["of it not mapped files", "state on disk MiB", "genesis to block 2 s", "peak in genesis MiB"]
    print_table(f"Start of a node with {arguments.keys:,} accounts, {arguments.starts} starts", columns, rows)


if __name__ == "__main__":
    main()
