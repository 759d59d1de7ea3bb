"""The provenance log at scale: recording, bytes on disk, lineage and impact with proofs.

    python -m benchmarks.provenance record                       runs recorded per second, through a real node
    python -m benchmarks.provenance log --runs 1000000           lineage and impact at 20,000 runs and at this many,
                                                                 runs a second and bytes a run at each size
    python -m benchmarks.provenance log --runs 3000000 --at 300000,1000000        further sizes on the way
    python -m benchmarks.provenance cost                         bytes, weight and fee of a recorded run

`log` executes real signed transactions without CometBFT; a fresh process, which has not made them, opens the state and
asks through the application's query path. `record` also asks over RPC, with HTTP and JSON included. Every run has 3
inputs and 2 parents; the tree that lineage is asked for has 364 runs above its run in 5 levels; one DataNet version has
30 hits.
"""

import argparse
import asyncio
import base64
import gc
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import plyvel
from msgspec import msgpack

from abci_app.bech32 import encode_id
from abci_app.chain.application import Application
from abci_app.chain.authentication import fee_of
from abci_app.chain.genesis import GenesisState
from abci_app.chain.registry import query_named
from abci_app.chain.transaction import decode_transaction
from abci_app.modules.models.impact import ImpactQuery
from abci_app.modules.models.lineage import CleanQuery, LineageQuery
from abci_app.parameters import Parameters
from abci_app.pb import abci_pb2 as pb
from abci_app.state.proof import verify
from benchmarks.http_load import RequestFailed, send
from benchmarks.load import LoadAccount, broadcast_body
from benchmarks.provenance_load import CHAIN_ID, RUNS_A_BLOCK, RUNS_A_TRANSACTION, Chain, RunLoad
from benchmarks.report import print_table, spread
from benchmarks.throughput import LOAD_CONFIG, blocks_until, rate
from node.devnet import Devnet
from node.leveldb.store import LevelDBStore
from node.run import calm_collector
from openledger.amounts import show_amount

BALANCE_NOPEN = 10**15
FIRST_SIZE = 20_000
# Beyond the provable history, so that what is left on disk afterwards is the state alone.
EMPTY_BLOCKS = 140
# Proofs are for the last height but one, whose changes a node has in memory.
BLOCKS_BEFORE_ASKING = 3
CONTRIBUTIONS_EACH = 64


# (label, query, arguments, entries that the answer must have)
Question = tuple[str, str, Any, int]


def questions(load: RunLoad) -> list[Question]:
    """Sizes and times that are measured."""
    deep, special = load.deep_entry_id, load.special_datanet_id
    lineage = LineageQuery(deep, "", 0, (), 4_096, CONTRIBUTIONS_EACH)
    return [
        ("lineage, 364 runs above", "lineage", lineage, 365),
        ("all runs on a DataNet version (30)", "impact", ImpactQuery(special, "", 1, 1, 0, (), 4_096), load.hits),
        ("is a DataNet in it", "clean", CleanQuery(deep, "", 0, special, "", 0), 365),
    ]


def measure_query(
    answer: Callable[[str, bytes], tuple[bytes, bytes]], name: str, arguments: Any, repeats: int
) -> tuple[list[float], list[float], int, Any]:
    """Milliseconds to serve and to verify, bytes of the proof, and the result that the verifier computed."""
    served: list[float] = []
    verified: list[float] = []
    proof, result = b"", None
    query = query_named("models", name)
    data = msgpack.encode(arguments)
    gc.collect()
    for _ in range(repeats):
        started = time.perf_counter()
        proof, app_hash = answer(f"/query/models/{name}", data)
        received = time.perf_counter()
        result = query.function(verify(proof, app_hash), arguments)
        done = time.perf_counter()
        served.append((received - started) * 1_000)
        verified.append((done - received) * 1_000)
    return served, verified, len(proof), result


def _ask_all(
    asked: Sequence[Question], answer: Callable[[str, bytes], tuple[bytes, bytes]], size: int, repeats: int
) -> tuple[list[list[str]], list[float]]:
    """One row a question, and the medians of serving."""
    rows, medians = [], []
    for label, name, arguments, expected in asked:
        served, verified, size_bytes, result = measure_query(answer, name, arguments, repeats)
        found = result.entry_count if name == "clean" else len(result.entries)
        if found != expected:
            raise RuntimeError(f"{name}: {found} entries instead of {expected}")
        rows.append([label, f"{size:,}", spread(served, 1), spread(verified, 1), f"{size_bytes / 1_000:,.0f}"])
        medians.append(statistics.median(served))
    return rows, medians


# --- Without CometBFT


def _in_process(application: Application) -> Callable[[str, bytes], tuple[bytes, bytes]]:
    def answer(path: str, data: bytes) -> tuple[bytes, bytes]:
        response = application.query(pb.RequestQuery(path=path, data=data, prove=True))
        if response.code:
            raise RuntimeError(response.log)
        with application.store.version(response.height) as version:
            return response.value, version.app_hash

    return answer


def _ask_apart(
    folder: Path, height: int, asked: Sequence[Question], size: int, repeats: int
) -> tuple[list[list[str]], list[float]]:
    """Run in a process of its own, as a node that was started on this state."""
    calm_collector()
    with LevelDBStore.open(folder) as store:
        application = Application(store)
        chain = Chain(application, height)
        for _ in range(BLOCKS_BEFORE_ASKING):
            chain.block([])
        return _ask_all(asked, _in_process(application), size, repeats)


def measure_log(options: argparse.Namespace) -> None:
    """Grow the log, ask at both sizes, compact, weigh."""
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="openledger-benchmark-") as folder:
        store = LevelDBStore.open(Path(folder))
        chain, load = Chain(Application(store)), RunLoad()
        chain.start([(encode_id("open", load.owner.address), BALANCE_NOPEN)])
        for block in load.set_up():
            chain.block(block)
        _grow(chain, load, FIRST_SIZE)
        chain.block(load.deep_tree())
        first_medians: list[float] = []
        medians: list[float] = []
        grown: list[list[str]] = []
        for size in sizes_of(options):
            rate_here = _grow(chain, load, size)
            store.close()
            grown.append([f"{size:,}", rate_here, f"{_folder_bytes(Path(folder)) / size:,.0f}"])
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
                found, medians = apart.submit(
                    _ask_apart, Path(folder), chain.height, questions(load), size, options.repeats
                ).result()
            rows += found
            first_medians = first_medians or medians
            store = LevelDBStore.open(Path(folder))
            chain = Chain(Application(store), chain.height + BLOCKS_BEFORE_ASKING)
        with_history_bytes = _folder_bytes(Path(folder))
        for _ in range(EMPTY_BLOCKS):
            chain.block([])
        store.close()
        as_it_lies_bytes = _folder_bytes(Path(folder))
        _compact(Path(folder))
        alone_bytes = _folder_bytes(Path(folder))
    print_table(
        f"Provenance queries with proof, in a fresh process, {options.repeats} repeats",
        ["question", "runs", "served ms", "verified ms", "proof kB"],
        rows,
    )
    print_table("The log while it grows", ["runs", "runs/s since the size before", "bytes a run on disk"], grown)
    ratios = [f"{after / before:.2f}" for before, after in zip(first_medians, medians, strict=True)]
    print(f"\nserved at {options.runs:,} / at {FIRST_SIZE:,} runs: {', '.join(ratios)}")
    sizes = {
        "body, event, indexes and tree, compacted": alone_bytes,
        "the same as LevelDB leaves it, with what it has not thrown away yet": as_it_lies_bytes,
        "with the history of the last heights, while loading": with_history_bytes,
    }
    print_table(
        f"Bytes on disk per run at {options.runs:,} runs",
        ["what", "bytes"],
        [[what, f"{size / options.runs:,.0f}"] for what, size in sizes.items()],
    )


def sizes_of(options: argparse.Namespace) -> list[int]:
    """Sizes at which the log is asked, ascending; the last one is `--runs`."""
    sizes = {FIRST_SIZE, options.runs, *[int(part) for part in options.at.split(",") if part]}
    return sorted([size for size in sizes if FIRST_SIZE <= size <= options.runs])


def _grow(chain: Chain, load: RunLoad, size: int) -> str:
    """Blocks of full transactions until the log has `size` runs; runs a second, with making and signing them."""
    started, before = time.monotonic(), len(load.entry_ids)
    while len(load.entry_ids) < size:
        chain.block(load.transactions_of(min(RUNS_A_BLOCK, size - len(load.entry_ids))))
    seconds = time.monotonic() - started
    if len(load.entry_ids) > before:
        made = len(load.entry_ids) - before
        print(f"{size:,} runs in the log; {made / seconds:,.0f} runs/s including making and signing them", flush=True)
        return f"{made / seconds:,.0f}"
    return "-"


def _compact(folder: Path) -> None:
    """Compact as LevelDB does by itself in time (without both ends given, plyvel's compact_range does nothing)."""
    database = plyvel.DB(str(folder))
    database.compact_range(start=b"\x00", stop=b"\xff")
    database.close()


def _folder_bytes(folder: Path) -> int:
    return sum([path.stat().st_size for path in folder.rglob("*") if path.is_file()])


# --- Cost


def measure_cost(_options: argparse.Namespace) -> None:
    """Bytes, weight and fee of a run by the fee parameters of a new chain, alone and in full transactions."""
    with tempfile.TemporaryDirectory(prefix="openledger-benchmark-") as folder:
        store = LevelDBStore.open(Path(folder))
        chain, load = Chain(Application(store)), RunLoad()
        chain.start([(encode_id("open", load.owner.address), BALANCE_NOPEN)])
        for block in load.set_up():
            chain.block(block)
        rows = []
        for size in (1, RUNS_A_TRANSACTION):
            (raw,) = load.transactions_of(size, size)
            transaction = decode_transaction(raw)
            fee_nopen = fee_of(Parameters(), transaction)
            chain.block([raw])
            rows.append(
                [
                    f"{size}",
                    f"{len(raw) / size:,.0f}",
                    f"{transaction.weight / size:,.1f}",
                    show_amount(fee_nopen // size),
                ]
            )
        store.close()
    print_table(
        "A run with 3 inputs and 2 parents, by the fees of a new chain",
        ["runs a transaction", "bytes a run", "weight a run", "fee a run"],
        rows,
    )


# --- Through a real node


def _over_rpc(url: str, client: httpx.Client) -> Callable[[str, bytes], tuple[bytes, bytes]]:
    headers: dict[int, bytes] = {}

    def call(method: str, **params: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return client.post(url, json=body).json()["result"]

    def answer(path: str, data: bytes) -> tuple[bytes, bytes]:
        response = call("abci_query", path=path, data=data.hex(), prove=True)["response"]
        if response.get("code"):
            raise RuntimeError(response["log"])
        height = int(response["height"])
        if height not in headers:
            header = call("header", height=str(height + 1))["header"]
            headers[height] = bytes.fromhex(header["app_hash"])
        return base64.b64decode(response["value"]), headers[height]

    return answer


def _accepted(content: bytes) -> None:
    """Raises for a transaction that CheckTx refused: what builds on it would fail as well."""
    if b'"code":0' not in content:
        raise RequestFailed(content[:300].decode(errors="replace"))


async def _record(url: str, transactions: list[bytes], first: int, connections: int) -> tuple[float, int]:
    """Send all; returns (transactions per second, failed)."""
    bodies = [broadcast_body([raw], "broadcast_tx_sync") for raw in transactions]
    send(url, bodies, connections, check=_accepted)
    blocks = await blocks_until(url, first, len(transactions), 30)
    codes = [code for block in blocks for code in block.codes]
    failed = len(transactions) - len(codes) + sum(map(bool, codes))
    return rate(blocks), failed


def measure_record(options: argparse.Namespace) -> None:
    """Record runs through a real node one a transaction and 64 a transaction, then ask over RPC."""
    load = RunLoad()
    signers = [LoadAccount.numbered(1_000 + number) for number in range(200)]
    balances = tuple([(encode_id("open", item.address), BALANCE_NOPEN) for item in [load.owner, *signers]])
    recorded: list[list[object]] = []
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="openledger-benchmark-") as folder:
        state = GenesisState(balances=balances)
        net = Devnet.create(Path(folder) / "net", chain_id=CHAIN_ID, app_state=state, comet=LOAD_CONFIG)
        with net, httpx.Client(timeout=60) as client:
            url = net.nodes[0].rpc_url
            for block in load.set_up():
                _rate, failed = asyncio.run(_record(url, block, net.height() + 1, 1))
                if failed:
                    raise RuntimeError(f"{failed} transactions of the set-up failed")
            # The first transaction of every recorder brings its policy; the measured ones are the steady state.
            asyncio.run(_record(url, load.transactions_of(len(signers), 1, signers), net.height() + 1, 1))
            for signer in signers:
                signer.policy_is_stored = True
            for size in (1, 64):
                rates, failed = [], 0
                # Enough for several blocks of either kind.
                count = options.runs if size == 1 else 6 * options.runs
                for _ in range(options.repeats):
                    raw = load.transactions_of(count, size, signers)
                    found, bad = asyncio.run(_record(url, raw, net.height() + 1, options.connections))
                    rates.append(found * size)
                    failed += bad
                recorded.append([size, f"{count:,}", spread(rates), failed])
            asyncio.run(_record(url, load.deep_tree(), net.height() + 1, 1))
            net.wait_for_height(net.height() + 3)
            rows, _ = _ask_all(questions(load), _over_rpc(url, client), len(load.entry_ids), 20)
    print_table(
        f"Runs recorded and committed, one validator, broadcast_tx_sync on {options.connections} connections",
        ["runs a transaction", "runs a repeat", "runs/s median (range)", "failed"],
        recorded,
    )
    print_table("Provenance queries with proof, over RPC", ["question", "runs", "served ms", "verified ms", "kB"], rows)
    print(json.dumps({"recorded": recorded}))


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    log = parts.add_parser("log")
    log.add_argument("--runs", type=int, default=1_000_000)
    log.add_argument("--at", default="", metavar="RUNS,RUNS", help="further sizes at which it is asked")
    log.add_argument("--repeats", type=int, default=20)
    log.set_defaults(measure=measure_log)
    cost = parts.add_parser("cost")
    cost.set_defaults(measure=measure_cost)
    record = parts.add_parser("record")
    record.add_argument("--runs", type=int, default=10_000, help="per repeat and size")
    record.add_argument("--repeats", type=int, default=3)
    record.add_argument("--connections", type=int, default=8)
    record.set_defaults(measure=measure_record)
    options = parser.parse_args()
    options.measure(options)


if __name__ == "__main__":
    main()
