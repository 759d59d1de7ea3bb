"""Cost of every message type against its weight, and what a block of the dearest transactions takes.

python -m benchmarks.messages [--check] [--only TEXT] [--accounts 100000]

Each case fills one block to the limit (30,000 units, which stand for 0.3 s) with transactions of one kind, over LevelDB
with a full state, and a node that has seen nothing of them executes it: decoding, signatures, handlers, and the tree
up to the app hash. Times are processor time. `factor` is that time over the weight; --check ends with an error where
it is above 5/3, because a block of the dearest transactions then takes more than 0.5 s. What a gigabyte of state costs
is told by the keys and values that the block wrote and the fees that it paid.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from abci_app.chain.registry import MESSAGE_TYPES
from abci_app.chain.weight import MAX_BLOCK_WEIGHT
from benchmarks.choice_cases import CASES_OF_CHOICES
from benchmarks.claim_cases import CLAIM_CASES
from benchmarks.governance_cases import GOVERNANCE_CASES
from benchmarks.message_cases import CASES
from benchmarks.message_world import UNIT_SECONDS, Measured, World
from benchmarks.money_cases import MONEY_CASES
from benchmarks.report import print_table
from benchmarks.validator_cases import VALIDATOR_CASES
from node.leveldb.store import LevelDBStore

ALL_CASES = (*CASES_OF_CHOICES, *CLAIM_CASES, *GOVERNANCE_CASES, *MONEY_CASES, *VALIDATOR_CASES, *CASES)
# A block of 30,000 units may take 0.5 s of the reference machine.
LARGEST_FACTOR = 5 / 3


def measure(only: str, filler: int) -> list[Measured]:
    """Every case whose name holds `only`, each in a block of its own."""
    with tempfile.TemporaryDirectory() as folder, LevelDBStore.open(Path(folder) / "db") as store:
        world = World(store)
        world.start(filler)
        return [world.fill_block(case) for case in ALL_CASES if only in case.name]


def missing_types() -> list[str]:
    """Message types without a case."""
    kinds = {type(message) for case in ALL_CASES for message in case.make(bytes([7]) * 32, 0)}
    return [kind.__name__ for kind in MESSAGE_TYPES if kind not in kinds]


def main() -> int:
    """Print the table; with --check, say what weighs too little."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="end with an error where a factor is above 5/3")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts in the state beside the senders")
    arguments = parser.parse_args()
    measured = measure(arguments.only, arguments.accounts)
    columns = ("transactions of a block", "count", "weight each", "block s", "factor", "commit s", "OPEN/GB of state")
    rows = [
        (
            one.name,
            one.transactions,
            one.weight // one.transactions,
            f"{one.factor * MAX_BLOCK_WEIGHT * UNIT_SECONDS:.2f}",
            f"{one.factor:.2f}",
            f"{one.commit_seconds:.2f}",
            f"{one.open_per_gigabyte:,.0f}",
        )
        for one in measured
    ]
    print_table("Cost of messages against their weight (block s: at 30,000 units)", columns, rows)
    lacking = missing_types()
    light = [one.name for one in measured if one.factor > LARGEST_FACTOR]
    for line in [f"no case for {name}" for name in lacking] + [f"weighs too little: {name}" for name in light]:
        print(line, file=sys.stderr)
    return 1 if arguments.check and (lacking or light) else 0


if __name__ == "__main__":
    sys.exit(main())
