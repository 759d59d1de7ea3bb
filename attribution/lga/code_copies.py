"""Copies by codes, as an index commits to them: which leaves are credited through an earlier leaf (part `copies`).

    minimum_cosine_ppb    from which cosine of their codes on two rows say the same; above PPB: the test is off
    outcome               "compared", "off", or "too many rows" (more than MAX_CODE_ROWS): follows from the counts
    order                 numbers of all leaves in the order of the chain; empty unless compared
    found                 [leaf, its leader] for every copy, leaves increasing

Everybody who has the codes finds the same copies (`attribution.lga.code_clusters`). Few codes are alike by chance:
beside the minimum, a cosine has to be 8 standard deviations of unrelated codes, 8 / sqrt(codes): below 0.6 from 178
codes on. Nothing here needs numpy.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import Any

from abci_app.types import PPB
from attribution.errors import AttributionError
from openledger.data.manifest import ManifestError, to_json

COPIES = "copies"
# Pairs of codes are compared all with all, so that nobody can look for copies that a filter misses: 2**15 rows of
# 4,096 codes take a few minutes on two cores.
MAX_CODE_ROWS = 2**15
DEFAULT_COSINE_PPB = 600_000_000
# Half is the least: below it two copies of one row need not be alike.
LEAST_COSINE_PPB, OFF_PPB = PPB // 2, PPB + 1

COMPARED, OFF, TOO_MANY = "compared", "off", "too many rows"
_CHANCE_DEVIATIONS = 8
_FIELD = f"commitment.{COPIES}"
_KEYS = {"minimum_cosine_ppb", "outcome", "order", "found"}


def outcome_of(minimum_cosine_ppb: int, rows: int) -> str:
    """Outcome of the search for copies among so many rows."""
    if minimum_cosine_ppb > PPB:
        return OFF
    return COMPARED if rows <= MAX_CODE_ROWS else TOO_MANY


def threshold_ppb(minimum_cosine_ppb: int, codes: int) -> int:
    """Cosine from which on rows of so many codes are copies; above PPB none is."""
    return max(minimum_cosine_ppb, isqrt(_CHANCE_DEVIATIONS**2 * PPB**2 // codes))


@dataclass(frozen=True)
class CodeCopies:
    """The part; all numbers are those of leaves."""

    minimum_cosine_ppb: int
    outcome: str
    order: tuple[int, ...]
    found: tuple[tuple[int, int], ...]

    @cached_property
    def leader_of(self) -> dict[int, int]:
        """Leader of every copy. Leaves that are not in it are credited."""
        return dict(self.found)

    def encode(self) -> bytes:
        """Canonical JSON."""
        return to_json(
            {
                "minimum_cosine_ppb": self.minimum_cosine_ppb,
                "outcome": self.outcome,
                "order": list(self.order),
                "found": [list(pair) for pair in self.found],
            }
        )

    @classmethod
    def decode(cls, data: bytes, rows: int) -> "CodeCopies":
        """Parse the part of an index with so many leaves; raises `AttributionError` with the field."""
        try:
            value = json.loads(data)
            canonical = to_json(value) == data
        except (ValueError, RecursionError, ManifestError) as error:
            raise AttributionError(_FIELD, f"is not JSON as manifests hold it: {error}") from error
        if not isinstance(value, dict) or set(value) != _KEYS or not canonical:
            raise AttributionError(_FIELD, f"must be canonical JSON with exactly {', '.join(sorted(_KEYS))}")
        minimum, outcome = value["minimum_cosine_ppb"], value["outcome"]
        check_minimum(f"{_FIELD}.minimum_cosine_ppb", minimum)
        expected = outcome_of(minimum, rows)
        if outcome != expected:
            raise AttributionError(f"{_FIELD}.outcome", f"is {outcome!r}, for {rows} rows it must be {expected!r}")
        order = _order(value["order"], rows if outcome == COMPARED else 0)
        return cls(minimum, outcome, order, _found(value["found"], order))


def check_minimum(field: str, value: object) -> None:
    """A minimum is an integer from LEAST_COSINE_PPB to OFF_PPB; raises `AttributionError`."""
    if type(value) is not int or not LEAST_COSINE_PPB <= value <= OFF_PPB:
        raise AttributionError(field, f"{value!r} is no integer from {LEAST_COSINE_PPB} to {OFF_PPB}")


def _order(value: Any, count: int) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(number) is not int for number in value):
        raise AttributionError(f"{_FIELD}.order", "must be a list of numbers of leaves")
    if sorted(value) != list(range(count)):
        raise AttributionError(f"{_FIELD}.order", f"must name each of {count} leaves once")
    return tuple(value)


def _found(value: Any, order: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Rows that are not their own leaders' leaders, each after its leader in the order."""
    if not isinstance(value, list) or len(value) > len(order):
        raise AttributionError(f"{_FIELD}.found", f"must be a list of at most {len(order)} pairs")
    rank = {leaf: place for place, leaf in enumerate(order)}
    copies: dict[int, int] = {}
    for index, pair in enumerate(value):
        field = f"{_FIELD}.found[{index}]"
        if not isinstance(pair, list) or len(pair) != 2 or any(type(number) is not int for number in pair):
            raise AttributionError(field, "must be [leaf, leader]")
        leaf, leader = pair
        if leaf not in rank or leader not in rank or (copies and leaf <= next(reversed(copies))):
            raise AttributionError(field, f"{pair}: leaves must increase and be among {len(order)}")
        if rank[leader] >= rank[leaf]:
            raise AttributionError(field, f"leaf {leaf} was registered before leaf {leader}")
        copies[leaf] = leader
    for index, leader in enumerate(copies.values()):
        if leader in copies:
            raise AttributionError(f"{_FIELD}.found[{index}]", f"leaf {leader} is a copy itself and credits nobody")
    return tuple(copies.items())
