"""The two ways out of a rule: `Rejected` is an expected answer with a code, `InvariantBroken` halts the node.

Code ranges (never renumbered, never reused): 1-99 transaction and query layer, then one hundred per module:
bank 100, members 200, validators 300, licences 400, datanets 500, models 600, inference 700, claims 800,
governance 900, panels 1000, locks 1100, deadlines 1200, epochs 1300, beacon 1400, freezes 1500.
"""

from enum import IntEnum


class Code(IntEnum):
    """Codes of the transaction and query layer; 0 is success."""

    OK = 0
    MALFORMED = 1
    TOO_LARGE = 2
    WRONG_CHAIN = 3
    EXPIRED = 4
    WRONG_SEQUENCE = 5
    BAD_POLICY = 6
    BAD_SIGNATURE = 7
    INSUFFICIENT_FEE = 8
    INSUFFICIENT_FUNDS = 9
    TOO_MANY_PENDING = 10
    NOT_PERMITTED = 11
    BAD_SPONSOR = 12
    UNKNOWN_ACCOUNT = 13
    EXCLUDED = 14
    DELEGATION = 15
    PENDING_POLICY_CHANGE = 16
    TOO_HEAVY = 17
    UNKNOWN_QUERY = 20
    BAD_QUERY = 21
    NOT_FOUND = 22
    HEIGHT_UNAVAILABLE = 23
    NOT_YET_PROVABLE = 24
    QUERY_TOO_LARGE = 25
    PROOF_TOO_DEEP = 26
    BUSY = 27


class Rejected(Exception):
    """An expected failure: a stable code and one line that says what, why and, where it helps, what to do."""

    def __init__(self, code: IntEnum, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class GenesisError(ValueError):
    """The genesis document cannot start a chain; the text names the field and what is wrong with it."""


class InvariantBroken(Exception):
    """The state contradicts itself: a bug. In a transaction it stops the node rather than fork."""


class MachineFailure(Exception):
    """Something of this node alone, not of the rules: its installation, its files, the budget of one of its queries."""


# What differs between nodes that execute the same block: never part of a result, never put aside, always a stop.
# A recursion's depth depends on who called; a damaged file, memory and a full disk are of one machine.
MACHINE_ERRORS = (MemoryError, RecursionError, OSError, MachineFailure)
