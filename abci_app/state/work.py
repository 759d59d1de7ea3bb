"""The cost of answering a question, counted in units while it is answered and refused beyond a budget.

One unit stands for about one microsecond of the reference machine (docs/performance.md). Everything that a caller can
make longer is counted where it happens: reads, iterators, rows (also those of the history that are passed over),
bytes, pages of the tree, leaves and hashes of a proof. So a budget bounds the time that any question takes with any
answer, and the same question costs the same at every node.
"""

from collections.abc import Callable
from typing import Final

from abci_app.errors import MachineFailure

# Measured on LevelDB (`python -m benchmarks.work`), with what a query function does with it: decoding, a view.
GET_UNITS: Final = 6
OPEN_UNITS: Final = 12
ROW_UNITS: Final = 4
# Bytes read that cost one unit: decoding, hashing and copying.
BYTES_A_UNIT: Final = 512
# Bytes of a question that cost one unit with any content: they are decoded before anybody knows what they ask.
QUESTION_BYTES_A_UNIT: Final = 32
# What an old height costs beside that: an iterator of its own for each read, and each row of the history in a range.
HISTORY_GET_UNITS: Final = 5
HISTORY_ROW_UNITS: Final = 2
# A key that is looked for in the tree, some four pages down; keys beside a range; a page that is not in memory.
FIND_UNITS: Final = 8
NEIGHBOURS_UNITS: Final = 30
PAGE_READ_UNITS: Final = 20
# A proof of one key in CometBFT's or ICS-23's form: its path from the leaf to the root.
PATH_UNITS: Final = 80
# A page shown in a proof, with the hashes between its 16 items; a leaf of it.
SHOWN_PAGE_UNITS: Final = 12
LEAF_UNITS: Final = 4

Spend = Callable[[int], None]


class QueryBudgetExceeded(MachineFailure):
    """A question costs more work than it may; the text says how much that is."""


class Work:
    """The budget of one question. `spend` is called for everything that it makes the node do."""

    __slots__ = ("left_units", "limit_units")

    def __init__(self, limit_units: int) -> None:
        self.limit_units = limit_units
        self.left_units = limit_units

    def spend(self, units: int) -> None:
        """Count some work; raises `QueryBudgetExceeded`."""
        self.left_units -= units
        if self.left_units < 0:
            raise QueryBudgetExceeded(f"the query costs more than {self.limit_units} units of work: ask for less")

    def extend(self, units: int) -> None:
        """Allow so much more, for a further step of the same question."""
        self.limit_units += units
        self.left_units += units

    @property
    def spent_units(self) -> int:
        """Units that were counted so far."""
        return self.limit_units - self.left_units


def free(units: int) -> None:
    """For readers that are bounded otherwise: consensus, CheckTx, maintenance."""
