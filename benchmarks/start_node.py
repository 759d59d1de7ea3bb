"""For benchmarks/start.py: a node whose chain begins with many accounts that its genesis document does not list.

`python -m benchmarks.start_node` runs the node command; InitChain finds OPENLEDGER_BENCHMARK_ACCOUNTS more balances. It
stands for a state that has grown by transactions, without waiting for a million of them.
"""

import os
import sys

from abci_app.chain import genesis
from abci_app.chain.genesis import GenesisState
from node.run import main

VARIABLE = "OPENLEDGER_BENCHMARK_ACCOUNTS"
BALANCE_NOPEN = 10**9


def addresses(count: int) -> list[bytes]:
    """Different addresses, spread as hashes are."""
    return [(number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big") * 4 for number in range(1, count + 1)]


def balances(count: int) -> tuple[tuple[str, int], ...]:
    """For a genesis state."""
    return tuple([(address.hex(), BALANCE_NOPEN) for address in addresses(count)])


_decode = genesis.decode_genesis


def _decode_and_add(data: bytes) -> GenesisState:
    _decode(data)
    return GenesisState(balances=balances(int(os.environ[VARIABLE])))


if __name__ == "__main__":
    genesis.decode_genesis = _decode_and_add
    sys.exit(main())
