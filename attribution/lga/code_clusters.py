"""Copies by the cosine of their codes: found in integers, leader by leader, in the order of the chain.

Pairs are compared all with all, block by block in float64, where products of codes are exact
(`attribution.lga.scores`); floats only choose the pairs that integers decide. Memory: two blocks, and the links of one
block.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.lga.code_copies import COMPARED, COPIES, CodeCopies, outcome_of, threshold_ppb
from attribution.lga.codes import Float64Array, Int16Array

# Of a block: rows, and codes in all (128 MiB of float64).
_BLOCK_ROWS = 1_024
_BLOCK_CODES = 2**24
# Far above the rounding of a few float64 operations; covers the square root.
_SLACK = 1e-9


def cosine_reaches(left: Int16Array, right: Int16Array, minimum_ppb: int) -> bool:
    """Whether the cosine of two rows of codes is at least the minimum (above 0): dot**2 * PPB**2 >= minimum**2 * ..."""
    first, second = left.astype(np.int64), right.astype(np.int64)
    dot, ours, theirs = int(first @ second), int(first @ first), int(second @ second)
    return dot > 0 and dot**2 * PPB**2 >= minimum_ppb**2 * ours * theirs


def alike_by_codes(
    codes: Int16Array, order: Sequence[int], minimum_ppb: int, leads: Callable[[int], bool]
) -> Iterator[list[int]]:
    """For every rank in the order, increasing: earlier ranks whose codes are alike, of which the first leader counts.

    codes int16 [n, k] may be memory-mapped; `order` holds rows of it. `leads` says whether a rank that has been given
    out before is a leader: of earlier blocks only leaders are compared, and the first one found ends the search.
    """
    size = max(1, min(_BLOCK_ROWS, _BLOCK_CODES // codes.shape[1]))
    for start in range(0, len(order), size):
        ranks = list(range(start, min(start + size, len(order))))
        block = _Block(codes, order, ranks)
        found: list[list[int]] = [[] for _ in ranks]
        leaders = [rank for rank in range(start) if leads(rank)]
        for before in range(0, len(leaders), size):
            for at, earlier in block.alike(_Block(codes, order, leaders[before : before + size]), minimum_ppb, found):
                found[at].append(earlier)
        joined = [bool(links) for links in found]
        for at, earlier in block.alike(block, minimum_ppb, found):
            if not joined[earlier - start]:  # what joined a leader of an earlier block leads nobody
                found[at].append(earlier)
        yield from found


class _Block:
    """Some ranks with their codes as float64."""

    def __init__(self, codes: Int16Array, order: Sequence[int], ranks: Sequence[int]) -> None:
        self._ranks = ranks
        self._rows: Int16Array = codes[[order[rank] for rank in ranks]]
        self._values: Float64Array = self._rows.astype(np.float64)
        self._norms: Float64Array = np.sqrt(np.einsum("ij,ij->i", self._values, self._values))

    def alike(self, other: "_Block", minimum_ppb: int, found: list[list[int]]) -> Iterator[tuple[int, int]]:
        """(place in this block, rank of the other), by place, then rank; within a block only earlier ranks.

        `found`: links so far; a place that has one to a leader of an earlier block needs no other.
        """
        dots = self._values @ other._values.T
        bound = np.outer(self._norms, other._norms) * (minimum_ppb / PPB) * (1 - _SLACK)
        close = (dots >= bound) & (dots > 0)
        candidates: npt.NDArray[np.intp] = np.argwhere(np.tril(close, -1) if self is other else close)
        for at, there in candidates.tolist():
            done = found[at] and (self is not other or found[at][0] < self._ranks[0])
            if not done and cosine_reaches(self._rows[at], other._rows[there], minimum_ppb):
                yield at, other._ranks[there]


def search_copies(codes: Int16Array, order: Sequence[int], minimum_cosine_ppb: int) -> CodeCopies:
    """The copies among leaves with these codes, int16 [n, k]; `order` holds all leaves in the order of the chain."""
    outcome = outcome_of(minimum_cosine_ppb, len(order))
    if outcome != COMPARED:
        return CodeCopies(minimum_cosine_ppb=minimum_cosine_ppb, outcome=outcome, order=(), found=())
    leader_of: dict[int, int] = {}
    minimum = threshold_ppb(minimum_cosine_ppb, codes.shape[1])
    if minimum <= PPB:
        for rank, earlier in enumerate(
            alike_by_codes(codes, order, minimum, lambda before: order[before] not in leader_of)
        ):
            leaders = [order[before] for before in earlier if order[before] not in leader_of]
            if leaders:
                leader_of[order[rank]] = leaders[0]
    return CodeCopies(
        minimum_cosine_ppb=minimum_cosine_ppb,
        outcome=outcome,
        order=tuple(order),
        found=tuple(sorted(leader_of.items())),
    )


def check_copies(codes: Int16Array, committed: CodeCopies, field: str = COPIES) -> None:
    """Raises `AttributionError` below `field` with the first leaf of which codes and committed part differ."""
    expected = search_copies(codes, committed.order or range(len(codes)), committed.minimum_cosine_ppb)
    for leaf in sorted(expected.leader_of.keys() | committed.leader_of.keys()):
        should, is_said = expected.leader_of.get(leaf), committed.leader_of.get(leaf)
        if should != is_said:
            raise AttributionError(
                f"{field}.found", f"leaf {leaf} is {_credit(is_said)}; by the codes it is {_credit(should)}"
            )


def _credit(leader: int | None) -> str:
    return "credited" if leader is None else f"a copy of leaf {leader}"
