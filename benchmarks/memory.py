"""Measures what parts of a node's memory take that the operators' table bounds: a full mempool, and LevelDB.

    python -m benchmarks.memory [--pending 100000] [--mebibytes 1200]

Each is measured in a process of its own: memory without mapped files, after minus before, the highest that was seen.
The mempool is filled through CheckTx with as many transfers as it takes: from few accounts, and each from an account
of its own that brings its first policy. Decoded transactions, which have a bound of their own, are forgotten before
memory is read. LevelDB gets records as small as accounts are, in more files than it keeps open, with the node's
settings, and is read all over.
"""

import argparse
import gc
import hashlib
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path

from abci_app.accounts import ACCOUNTS, Account
from abci_app.chain.application import Application
from abci_app.chain.genesis import GenesisState, encode_genesis
from abci_app.chain.mempool import MAX_PENDING, MAX_PENDING_PER_ACCOUNT
from abci_app.modules.bank import Transfer
from abci_app.pb import abci_pb2 as pb
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from benchmarks.load import LoadAccount
from benchmarks.report import anonymous_mib, print_table
from node.leveldb.memory import DEFAULT_MEMORY
from node.leveldb.open import open_database

CHAIN_ID = "openledger-dev-benchmark"
GENESIS_TIME_SECONDS = 1_790_000_000
BALANCE_NOPEN = 10**13
RECORD_BYTES = 100
BATCH = 10_000
READS = 200_000


def mempool_mib(count: int, *, alone: bool) -> tuple[int, float]:
    """Entries that the mempool took, and MiB that they take; `alone`: each the first of its account."""
    store = MemoryStore()
    each = 1 if alone else MAX_PENDING_PER_ACCOUNT
    senders = [LoadAccount.numbered(number) for number in range(-(-count // each))]
    request = pb.RequestInitChain(
        chain_id=CHAIN_ID, app_state_bytes=encode_genesis(GenesisState(balances=())), initial_height=1
    )
    request.time.seconds = GENESIS_TIME_SECONDS
    application = Application(store)
    application.init_chain(request)
    state = Overlay(store)
    for sender in senders:
        ACCOUNTS.set(state, sender.address, Account(0, BALANCE_NOPEN, b"" if alone else sender.policy))
        sender.policy_is_stored = not alone
    store.commit(store.stage(store.height + 1, state.changes()))
    application = Application(store)
    gc.collect()
    before = anonymous_mib(os.getpid())
    taken = 0
    for number in range(count):
        raw = senders[number // each].sign(CHAIN_ID, (Transfer(bytes([7]) * 32, 1),))
        code, text = application.check_tx(raw, False)[:2]
        if code:
            raise RuntimeError(f"transaction {number}: {code} {text}")
        taken += 1
    for generation in (application._cache._young, application._cache._old):
        generation.clear()
    gc.collect()
    return taken, anonymous_mib(os.getpid()) - before


def _key(number: int) -> bytes:
    """Keys in no order, so that LevelDB merges its files into small ones as it does for a node."""
    return hashlib.sha256(number.to_bytes(8, "big")).digest()


def leveldb_mib(mebibytes: int) -> tuple[int, float]:
    """Files of the database, and the most MiB that it took while it was written and read all over."""
    draw = random.Random(7)
    count = mebibytes * 2**20 // RECORD_BYTES
    with tempfile.TemporaryDirectory() as folder:
        gc.collect()
        before = anonymous_mib(os.getpid())
        database = open_database(Path(folder) / "db", lambda _: None, DEFAULT_MEMORY)
        most = 0.0
        for begin in range(0, count, BATCH):
            with database.write_batch() as batch:
                for number in range(begin, min(begin + BATCH, count)):
                    batch.put(_key(number), draw.randbytes(RECORD_BYTES - 32))
            most = max(most, anonymous_mib(os.getpid()) - before)
        for read in range(READS):
            database.get(_key(draw.randrange(count)))
            if read % BATCH == 0:
                most = max(most, anonymous_mib(os.getpid()) - before)
        files = len(list((Path(folder) / "db").glob("*.ldb")))
        # Writing goes on while all of that is held: the buffers are full again.
        for _ in range(0, count // 8, BATCH):
            with database.write_batch() as batch:
                for _ in range(BATCH):
                    batch.put(_key(draw.randrange(count)), draw.randbytes(RECORD_BYTES - 32))
            most = max(most, anonymous_mib(os.getpid()) - before)
        database.close()
    return files, most


def alone_in_a_process(measure: Callable[[], tuple[int, float]]) -> tuple[int, float]:
    """Measure in a fresh process, where nothing was freed before that could be used again."""
    context = multiprocessing.get_context("fork")
    answers: Queue[tuple[int, float]] = context.Queue()
    process = context.Process(target=lambda: answers.put(measure()))
    process.start()
    while answers.empty():
        if not process.is_alive() and answers.empty():
            raise SystemExit("the measured process failed: see above")
        time.sleep(0.1)
    found = answers.get()
    process.join()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pending", type=int, default=MAX_PENDING, help="transactions that wait")
    parser.add_argument("--mebibytes", type=int, default=1200, help="records in LevelDB")
    arguments = parser.parse_args()
    rows = []
    for what, measure in (
        ("mempool, 512 of an account", lambda: mempool_mib(arguments.pending, alone=False)),
        ("mempool, one of an account, with its first policy", lambda: mempool_mib(arguments.pending, alone=True)),
        (
            f"LevelDB, {arguments.mebibytes} MiB, {DEFAULT_MEMORY.open_files} files open",
            lambda: leveldb_mib(arguments.mebibytes),
        ),
    ):
        began = time.monotonic()
        number, mebibytes = alone_in_a_process(measure)
        rows.append((what, f"{number:,}", f"{mebibytes:.0f}", f"{time.monotonic() - began:.0f}"))
    print_table("Memory beside mapped files", ("part", "entries or files", "MiB", "s"), rows)


if __name__ == "__main__":
    main()
