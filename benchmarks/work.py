"""Units that questions are charged against the microseconds that they take, on LevelDB: what state/work.py counts with.

A ratio above 1 means that a question costs more than it is charged; questions that take less than a millisecond do not
matter.

python -m benchmarks.work --accounts 100000
"""

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from abci_app.accounts import ACCOUNTS
from abci_app.bech32 import encode_id
from abci_app.chain import queries
from abci_app.chain.application import Application
from abci_app.pb import abci_pb2 as pb
from abci_app.state.codec import encode
from abci_app.state.work import Work
from benchmarks.provenance_load import Chain
from benchmarks.queries import address_of_number
from benchmarks.report import print_table
from node.leveldb.store import LevelDBStore

# Heights below the last one: in memory, and behind what memory keeps.
BACK = (0, 1, 6)
REPEATS = 3


def questions(rng: random.Random, accounts: int) -> dict[str, bytes]:
    """Arguments of `/store/openledger/multi`, all near their budget."""
    start, _ = ACCOUNTS.range()

    def key() -> bytes:
        return ACCOUNTS.key(address_of_number(rng.randrange(accounts)))

    beside = sorted({key() for _ in range(64)})
    ranges = [(start + bytes((at,)), start + bytes((at, 60))) for at in range(0, 256, 4)]
    return {
        "100 keys": encode((tuple([key() for _ in range(100)]), ())),
        "2,000 keys": encode((tuple([key() for _ in range(2_000)]), ())),
        "2,000 absent keys": encode((tuple([rng.randbytes(32) for _ in range(2_000)]), ())),
        "64 ranges of nothing": encode(((), tuple([(one + b"\x00", one + b"\x01") for one in beside]))),
        "64 ranges of rows": encode(((), tuple(ranges))),
        "one range of rows": encode(((), ((start, start + b"\x14"),))),
    }


def measure(application: Application, data: bytes, height: int) -> tuple[float, int, int]:
    """Microseconds of the quickest of some tries, units charged, and the code."""
    charged: list[Work] = []

    class Noted(Work):
        __slots__ = ()

        def __init__(self, limit_units: int) -> None:
            super().__init__(limit_units)
            charged.append(self)

    kept: Any = queries.Work
    queries.Work = Noted  # type: ignore[misc]
    try:
        best = float("inf")
        for _ in range(REPEATS):
            started = time.thread_time()
            answer = application.query(pb.RequestQuery(path="/store/openledger/multi", data=data, height=height))
            best = min(best, time.thread_time() - started)
    finally:
        queries.Work = kept  # type: ignore[misc]
    return best * 1e6, charged[-1].spent_units, answer.code


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=100_000)
    options = parser.parse_args()
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="openledger-benchmark-") as folder:
        store = LevelDBStore.open(Path(folder) / "db")
        chain = Chain(Application(store))
        chain.start([(encode_id("open", address_of_number(number)), 10) for number in range(options.accounts)])
        for _ in range(9):
            chain.block([])
        for back in BACK:
            for name, data in questions(random.Random(back), options.accounts).items():
                microseconds, units, code = measure(chain.application, data, chain.height - back)
                ratio = f"{microseconds / units:.2f}"
                rows.append([name, str(back), f"{microseconds:,.0f}", f"{units:,}", ratio, str(code)])
        store.close()
    columns = ["question", "heights back", "us", "units", "us a unit", "code"]
    print_table(f"Work of questions with proof, {options.accounts:,} accounts", columns, rows)


if __name__ == "__main__":
    main()
