"""Committed signed transfers per second against real CometBFT nodes on this machine.

    python -m benchmarks.throughput --accounts 100000                      batched broadcast_tx_async, one validator
    python -m benchmarks.throughput --mode sync --connections 8            one broadcast_tx_sync a request
    python -m benchmarks.throughput --validators 4
    python -m benchmarks.throughput --mode latency                         broadcast to committed at half load

Signing happens before the clock. Load generator, CometBFT and node share the cores. Rate = committed transactions
between the first and the last filled block, by header time, first and last filled block left out; every transaction is
checked against the blocks' results: missing or failed ones are printed.
"""

import argparse
import asyncio
import base64
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from abci_app.chain.genesis import GenesisState
from benchmarks.http_load import send
from benchmarks.load import GENESIS_BALANCE_NOPEN, LoadAccount, accounts, broadcast_body, transfers
from benchmarks.report import cpu_seconds, peak_resident_mib, print_table, resident_mib, spread
from node.devnet import Devnet

CHAIN_ID = "openledger-dev-benchmark"
BATCH_TRANSACTIONS = 100
LOAD_CONFIG: dict[tuple[str, str], Any] = {
    ("mempool", "size"): 50_000,
    ("mempool", "cache_size"): 200_000,
    ("tx_index", "indexer"): "null",
    ("consensus", "timeout_commit"): "500ms",
    ("rpc", "max_request_batch_size"): 1_000,
    ("rpc", "max_body_bytes"): 16_000_000,
}


@dataclass(slots=True)
class ThroughputRun:
    """One measured load."""

    rates: list[float] = field(default_factory=list)
    failed: int = 0
    missing: int = 0
    node_microseconds: list[float] = field(default_factory=list)
    comet_microseconds: list[float] = field(default_factory=list)
    node_mib: float = 0.0
    node_peak_mib: float = 0.0
    latencies_seconds: list[float] = field(default_factory=list)


async def rpc(client: httpx.AsyncClient, url: str, method: str, **params: object) -> Any:
    """One JSON-RPC call; raises for an error answer."""
    answer = (await client.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).json()
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]


@dataclass(slots=True)
class BlockFacts:
    """Facts about one block that the measurement needs."""

    height: int
    time_seconds: float
    codes: list[int]


async def blocks_until(url: str, first: int, transactions: int, seconds: float) -> list[BlockFacts]:
    """Blocks from `first` on until they hold this many transactions or nothing comes for some seconds."""
    found: list[BlockFacts] = []
    height, deadline = first, time.monotonic() + seconds
    async with httpx.AsyncClient(timeout=60) as client:
        while sum([len(block.codes) for block in found]) < transactions and time.monotonic() < deadline:
            latest = int((await rpc(client, url, "status"))["sync_info"]["latest_block_height"])
            if height > latest - 1:
                await asyncio.sleep(0.1)
                continue
            header = (await rpc(client, url, "header", height=str(height)))["header"]
            results = await rpc(client, url, "block_results", height=str(height))
            codes = [int(result.get("code", 0)) for result in results["txs_results"] or []]
            found.append(BlockFacts(height, _seconds(header["time"]), codes))
            if codes:
                deadline = time.monotonic() + seconds
            height += 1
    return found


async def until_mempool_is_empty(url: str) -> None:
    """Wait until everything that was accepted is in blocks."""
    async with httpx.AsyncClient(timeout=60) as client:
        while int((await rpc(client, url, "num_unconfirmed_txs"))["total"]):  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(0.1)


def _seconds(text: str) -> float:
    whole = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    return whole + float("0" + text[19:].rstrip("Z"))


def rate(blocks: list[BlockFacts]) -> float:
    """Transactions per second between the first and last filled block, both left out."""
    filled = [block for block in blocks if block.codes]
    if len(filled) < 4:
        return 0.0
    inner = filled[1:-1]
    return sum([len(block.codes) for block in inner]) / (inner[-1].time_seconds - filled[0].time_seconds)


async def warm_up(net: Devnet, senders: list[LoadAccount]) -> None:
    """One committed transaction of every sender, so that the measured ones are the steady state: policy stored."""
    url = net.nodes[0].rpc_url
    first = net.height() + 1
    raw = transfers(CHAIN_ID, senders, [account.address for account in senders], len(senders))
    bodies = [broadcast_body(raw[i : i + BATCH_TRANSACTIONS]) for i in range(0, len(raw), BATCH_TRANSACTIONS)]
    send(url, bodies, 4)
    blocks = await blocks_until(url, first, len(raw), 20)
    codes = [code for block in blocks for code in block.codes]
    if len(codes) != len(raw) or any(codes):
        raise RuntimeError(f"warm-up: {len(codes)} of {len(raw)} committed, {sum(map(bool, codes))} failed")
    for account in senders:
        account.policy_is_stored = True


async def measure(
    net: Devnet, senders: list[LoadAccount], everybody: list[bytes], options: argparse.Namespace
) -> ThroughputRun:
    """All repeats of one kind of load."""
    run = ThroughputRun()
    urls = [node.rpc_url for node in net.nodes]
    await warm_up(net, senders)
    for _ in range(options.repeats):
        first = net.height() + 1
        raw = transfers(CHAIN_ID, senders, everybody, options.transactions)
        single = options.mode != "batched"
        size = 1 if single else BATCH_TRANSACTIONS
        method = "broadcast_tx_sync" if single else "broadcast_tx_async"
        bodies = [broadcast_body(raw[i : i + size], method) for i in range(0, len(raw), size)]
        node_pid, comet_pid = _pids(net)
        node_before, comet_before = cpu_seconds(node_pid), cpu_seconds(comet_pid)
        rate_per_second = options.half_load_rate if options.mode == "latency" else 0.0
        sent = send(urls[0], bodies, options.connections if single else 4, rate_per_second=rate_per_second)
        await until_mempool_is_empty(urls[0])
        run.node_microseconds.append((cpu_seconds(node_pid) - node_before) * 1e6 / len(raw))
        run.comet_microseconds.append((cpu_seconds(comet_pid) - comet_before) * 1e6 / len(raw))
        # Only now: asking for blocks while they are made would slow down what is measured.
        blocks = await blocks_until(urls[0], first, len(raw), 20)
        codes = [code for block in blocks for code in block.codes]
        run.rates.append(rate(blocks))
        run.failed += sum(map(bool, codes))
        run.missing += len(raw) - len(codes)
        if options.mode == "latency":
            run.latencies_seconds += await _latencies(urls[0], blocks, raw, sent)
    pid = _pids(net)[0]
    run.node_mib, run.node_peak_mib = resident_mib(pid), peak_resident_mib(pid)
    return run


def _pids(net: Devnet) -> tuple[int, int]:
    """Process ids of the first node and of its CometBFT."""
    node = net.nodes[0]
    return (node.process.pid if node.process else 0), (node.comet_pid or 0)


async def _latencies(url: str, blocks: list[BlockFacts], raw: list[bytes], sent: list[float]) -> list[float]:
    """Seconds from broadcast to the next block's header time (the moment the transaction's block was committed)."""
    sent_at = dict(zip(raw, sent, strict=True))
    latencies = []
    async with httpx.AsyncClient(timeout=60) as client:
        times = {block.height: block.time_seconds for block in blocks}
        for block in blocks:
            if not block.codes or block.height + 1 not in times:
                continue
            content = await rpc(client, url, "block", height=str(block.height))
            for text in content["block"]["data"]["txs"]:
                started = sent_at.get(base64.b64decode(text))
                if started is not None:
                    latencies.append(times[block.height + 1] - started)
    return latencies


def main() -> None:
    """Run one configuration and print its row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validators", type=int, default=1)
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts in the state; all are recipients")
    parser.add_argument("--senders", type=int, default=10_000)
    parser.add_argument("--transactions", type=int, default=60_000, help="per repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--mode", choices=("batched", "sync", "latency"), default="batched")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--half-load-rate", type=float, default=1_500, help="transactions/s of --mode latency")
    options = parser.parse_args()
    started = time.monotonic()
    everybody = accounts(options.accounts)
    senders = everybody[: min(options.senders, options.accounts)]
    balances = tuple([(account.address.hex(), GENESIS_BALANCE_NOPEN) for account in everybody])
    addresses = [account.address for account in everybody]
    print(f"made {options.accounts:,} accounts in {time.monotonic() - started:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="openledger-benchmark-") as folder:
        net = Devnet.create(
            Path(folder) / "net",
            validators=options.validators,
            chain_id=CHAIN_ID,
            app_state=GenesisState(balances=balances),
            comet=LOAD_CONFIG,
        )
        started = time.monotonic()
        with net:
            print(f"network up after {time.monotonic() - started:.0f} s", flush=True)
            genesis_peak_mib = peak_resident_mib(net.nodes[0].process.pid) if net.nodes[0].process else 0.0
            run = asyncio.run(measure(net, senders, addresses, options))
    row = [options.mode, options.validators, f"{options.accounts:,}", spread(run.rates), run.failed, run.missing]
    row += [spread(run.node_microseconds), spread(run.comet_microseconds)]
    row += [f"{run.node_mib:.0f}", f"{run.node_peak_mib:.0f}", f"{genesis_peak_mib:.0f}"]
    columns = ["mode", "validators", "accounts", "tx/s median (range)", "failed", "missing"]
    columns += ["node CPU us/tx", "CometBFT CPU us/tx"]
    columns += ["node MiB", "node peak MiB", "peak in genesis MiB"]
    if run.latencies_seconds:
        ordered = sorted(run.latencies_seconds)
        row += [f"{statistics.median(ordered):.2f}", f"{ordered[int(len(ordered) * 0.99)]:.2f}"]
        columns += ["p50 s", "p99 s"]
    print_table(f"Committed transfers, {options.transactions:,} a repeat", columns, [row])
    print(json.dumps({"rates": run.rates, "failed": run.failed, "missing": run.missing}))


if __name__ == "__main__":
    main()
