"""Proven existence queries per second over RPC: one key a request, 8 connections, while empty blocks are made.

python -m benchmarks.queries --accounts 1000000
"""

import argparse
import base64
import hashlib
import json
import random
import tempfile
import time
from pathlib import Path

from abci_app.accounts import ACCOUNTS
from abci_app.chain.genesis import GenesisState
from abci_app.pb import crypto_pb2
from abci_app.state.proof import SimpleProof, verify_simple
from benchmarks.http_load import RequestFailed, send
from benchmarks.report import print_table, resident_mib, spread
from node.devnet import Devnet


def address_of_number(number: int) -> bytes:
    """An account of the genesis state."""
    return hashlib.sha256(b"query benchmark %d" % number).digest()


def _body(key: bytes) -> bytes:
    params = {"path": "/store/openledger/key", "data": key.hex(), "prove": True}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "abci_query", "params": params}).encode()


def _check_one(content: bytes, net: Devnet) -> None:
    """Verify one answer against the header, so that the rate is of answers that prove something."""
    response = json.loads(content)["result"]["response"]
    operator = crypto_pb2.ValueOp.FromString(base64.b64decode(response["proofOps"]["ops"][0]["data"]))
    proof = operator.proof
    path = SimpleProof(proof.total, proof.index, proof.leaf_hash, tuple(proof.aunts))
    key, value = base64.b64decode(response["key"]), base64.b64decode(response["value"])
    verify_simple(path, key, value, bytes.fromhex(net.nodes[0].app_hash_at(int(response["height"]))))


def main() -> None:
    """Run and print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=20_000, help="per repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    balances = tuple([(address_of_number(number).hex(), 1_000) for number in range(options.accounts)])
    generator = random.Random(7)
    rates: list[float] = []
    last: list[bytes] = []

    def check(content: bytes) -> None:
        if b'"proofOps":{' not in content:
            raise RequestFailed(content[:300].decode(errors="replace"))
        last[:] = [content]

    with tempfile.TemporaryDirectory(prefix="openledger-benchmark-") as folder:
        net = Devnet.create(Path(folder) / "net", app_state=GenesisState(balances=balances))
        with net:
            net.wait_for_height(4)
            for _ in range(options.repeats):
                numbers = [generator.randrange(options.accounts) for _ in range(options.queries)]
                bodies = [_body(ACCOUNTS.key(address_of_number(number))) for number in numbers]
                started = time.monotonic()
                send(net.nodes[0].rpc_url, bodies, options.connections, check=check)
                rates.append(options.queries / (time.monotonic() - started))
                _check_one(last[0], net)
            memory_mib = resident_mib(net.nodes[0].process.pid) if net.nodes[0].process else 0.0
    print_table(
        f"Proven existence queries, {options.connections} connections, {options.queries:,} a repeat",
        ["keys", "queries/s median (range)", "node MiB"],
        [[f"{options.accounts:,}", spread(rates), f"{memory_mib:.0f}"]],
    )


if __name__ == "__main__":
    main()
