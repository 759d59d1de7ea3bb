"""An honest caller beside hostile ones on a node's RPC waits for the peer filter, a small and a large question.

Hostile callers ask over many connections, without a pause, questions that cost as much as one may. All callers share
CometBFT's one query connection. Waits are those of `RpcClient`, its asking again included.

python -m benchmarks.hostile_queries --accounts 100000
"""

import argparse
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

from abci_app.accounts import ACCOUNTS
from abci_app.chain.genesis import GenesisState
from abci_app.modules.bank import AccountQuery
from abci_app.state.codec import encode
from benchmarks.http_load import send
from benchmarks.queries import address_of_number
from benchmarks.report import print_table
from node.devnet import Devnet
from openledger.client.rpc import RpcClient
from openledger.client.rpc_calls import Call, QueryAnswer, abci_query

HOSTILE_CALLERS = (0, 1, 8, 64)
# Requests on each connection in one pass of a hostile process, which then looks whether it is to end.
_PASS = 4
# Keys of the largest honest question: some 25 ms with its proof.
_LARGE_KEYS = 600


def _body(path: str, data: bytes, prove: bool) -> bytes:
    params = {"path": path, "data": data.hex(), "prove": prove}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "abci_query", "params": params}).encode()


def attack(url: str, callers: int, accounts: int, ended: Event) -> None:
    """Ask dear questions over so many connections until told to stop; refusals are welcome."""
    rng = random.Random(callers)
    start, end = ACCOUNTS.range()
    keys = [ACCOUNTS.key(address_of_number(rng.randrange(accounts))) for _ in range(2_000)]
    pieces = [(start + bytes((at,)), start + bytes((at, 60))) for at in range(64)]
    dear = [
        _body("/store/openledger/multi", encode(((), ((start, end),))), True),
        _body("/store/openledger/multi", encode((tuple(keys), ())), True),
        _body("/store/openledger/multi", encode(((), tuple(pieces))), True),
    ]
    while not ended.is_set():
        send(url, rng.choices(dear, k=_PASS * callers), callers, check=lambda content: None)


def honest_questions(accounts: int) -> dict[str, Call[QueryAnswer]]:
    """Give the questions that honest callers ask."""
    keys = tuple([ACCOUNTS.key(address_of_number(number * 7 % accounts)) for number in range(_LARGE_KEYS)])
    return {
        "peer filter": abci_query(f"/p2p/filter/id/{'ab' * 20}", b""),
        "an account, proven": abci_query("/query/bank/account", encode(AccountQuery(address_of_number(1))), 0, True),
        f"{_LARGE_KEYS} keys, proven": abci_query("/store/openledger/multi", encode((keys, ())), 0, True),
    }


def measure(url: str, questions: dict[str, Call[QueryAnswer]], repeats: int) -> dict[str, tuple[list[float], int]]:
    """Milliseconds of each wait, and how many questions were refused in the end."""
    found: dict[str, tuple[list[float], int]] = {}
    with RpcClient(url) as rpc:
        for name, call in questions.items():
            waits, refused = [], 0
            for _ in range(repeats):
                started = time.perf_counter()
                refused += bool(rpc.send(call).code)
                waits.append((time.perf_counter() - started) * 1_000)
                time.sleep(0.02)
            found[name] = waits, refused
    return found


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=60, help="honest questions of each kind")
    options = parser.parse_args()
    balances = tuple([(address_of_number(number).hex(), 1_000) for number in range(options.accounts)])
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="openledger-benchmark-") as folder:
        net = Devnet.create(Path(folder) / "net", app_state=GenesisState(balances=balances))
        with net:
            net.wait_for_height(4)
            url = net.nodes[0].rpc_url
            for callers in HOSTILE_CALLERS:
                ended = multiprocessing.Event()
                hostile = multiprocessing.Process(target=attack, args=(url, callers, options.accounts, ended))
                if callers:
                    hostile.start()
                    time.sleep(1.0)
                started, height = time.monotonic(), net.height()
                found = measure(url, honest_questions(options.accounts), options.repeats)
                seconds_a_block = (time.monotonic() - started) / max(net.height() - height, 1)
                ended.set()
                if callers:
                    hostile.join()
                print(f"{callers} hostile callers: measured", flush=True)
                rows += [
                    [str(callers), name, f"{statistics.median(waits):.1f}", f"{max(waits):.0f}", str(refused),
                     f"{seconds_a_block:.2f}"]
                    for name, (waits, refused) in found.items()
                ]  # fmt: skip
    print_table(
        f"Waits of an honest caller beside hostile ones, {options.accounts:,} accounts, {options.repeats} repeats",
        ["hostile callers", "question", "median ms", "worst ms", "refused", "s a block"],
        rows,
    )


if __name__ == "__main__":
    main()
