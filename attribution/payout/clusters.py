"""Clusters: rows that say the same are credited once, to the one that was registered first.

A row is a copy of an earlier row when one of these holds (the first that does is its reason):
    exact   the row bytes are equal
    text    the sets of token 5-grams overlap (Jaccard) by at least `minimum_jaccard_ppb`
    codes   the cosine of the committed codes is at least `minimum_cosine_ppb`
`exact` and `text` are known before training, so that copies are not trained on; `codes` finds afterwards what was
reworded so little that the model cannot tell. All three are decided in integers: shared 5-grams are counted, cosines
are compared as squares. MinHash only finds the pairs worth counting (an overlap of 0.8 is missed once in 10**7).

Thresholds: rows that share a long prompt overlap without being copies, and a row taken for a copy is not even trained
on, so `text` is strict. Whitened codes of different rows are nearly orthogonal (benchmarks/attribution/gaming.py:
0.21 at the 99.9th percentile; a row with one character of 49 replaced 0.82, with four 0.58, medians), and only credit
depends on them, so `codes` reaches further.

Leaders: rows are taken in the order of the chain, each joins the earliest *leader* it is a copy of, else it leads.
Copies of copies do not chain. So nothing that is registered later changes what was assigned before, and no later row
can bridge two leaders into one cluster: a party that copies, or pays others to copy, moves nobody's credit.

An index finds its copies by the third test alone (attribution.lga.code_clusters); the others it does not hold any more.

Credit: the leader's score alone. A mean or a sum over the members would let a later copy dilute or multiply the score
of the first; with the leader's alone, a copy earns neither attribution nor flat weight. That holds for copies under
one's own name, too: saying a thing twice would otherwise pay as a second name does.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from abci_app.hashing import TAGS, tagged_hash
from abci_app.integers import check_integer
from abci_app.integers.shares import check_key
from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.lga.code_clusters import alike_by_codes
from attribution.lga.code_copies import DEFAULT_COSINE_PPB, MAX_CODE_ROWS, check_minimum
from attribution.lga.codes import Int16Array, check_code_array

Reason = Literal["exact", "text", "codes"]
UInt64Array = npt.NDArray[np.uint64]

SHINGLE_TOKENS = 5
MAX_TOKEN = 2**32 - 1
MAX_ROWS = 2**20
# 1 - (1 - 0.8**4)**32 = 1 - 5e-8 of the pairs with an overlap of 0.8 become candidates.
BANDS, BAND_ROWS = 32, 4
# Of codes that are checked at a time.
_BLOCK_ROWS = 1_024


@dataclass(frozen=True, slots=True)
class ClusterPolicy:
    """From which similarity on a row is a copy, in parts per billion; above PPB switches that test off."""

    minimum_jaccard_ppb: int = 800_000_000
    minimum_cosine_ppb: int = DEFAULT_COSINE_PPB

    def __post_init__(self) -> None:
        """Raises `AttributionError`; half is the least, below it two copies of one row need not be alike."""
        check_integer("policy.minimum_jaccard_ppb", self.minimum_jaccard_ppb, PPB // 2, PPB + 1)
        check_minimum("policy.minimum_cosine_ppb", self.minimum_cosine_ppb)


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """A row: its place on the chain (number of the contribution, index in it), bytes, token ids, owner's address."""

    place: tuple[int, int]
    content: bytes
    tokens: tuple[int, ...]
    owner: bytes


@dataclass(frozen=True, slots=True)
class Copy:
    """Row `row` is credited through `leader` (both indexes of the rows given), because of `reason`."""

    row: int
    leader: int
    reason: Reason


@dataclass(frozen=True)
class Clusters:
    """Which of `count` rows are copies, by index; every other row leads its cluster and is credited."""

    count: int
    copies: tuple[Copy, ...]

    @property
    def leader_of(self) -> tuple[int, ...]:
        """Leader of every row; leaders are their own."""
        leaders = list(range(self.count))
        for copy in self.copies:
            leaders[copy.row] = copy.leader
        return tuple(leaders)

    @property
    def credited(self) -> tuple[bool, ...]:
        """Whether the row is a leader."""
        copies = {copy.row for copy in self.copies}
        return tuple(index not in copies for index in range(self.count))

    def members(self, leader: int) -> tuple[int, ...]:
        """The leader and its copies, by index."""
        return tuple(sorted([leader, *(copy.row for copy in self.copies if copy.leader == leader)]))


def cluster_rows(rows: Sequence[ClusterRow], policy: ClusterPolicy, codes: Int16Array | None = None) -> Clusters:
    """Leaders and copies among the rows; `codes` int16 [n, k] (a row each) adds the third test.

    The result depends on the rows' places only, not on the order in which they are given.
    Raises `AttributionError` for places that repeat and for what exceeds a limit.
    """
    _check_rows(rows, codes)
    order = sorted(range(len(rows)), key=lambda index: rows[index].place)
    leaders = _Leaders(policy)
    by_codes = alike_by_codes(codes, order, policy.minimum_cosine_ppb, leaders.has) if codes is not None else None
    copies: list[Copy] = []
    for rank, index in enumerate(order):
        found = leaders.place(rank, rows[index], next(by_codes) if by_codes is not None else ())
        if found is not None:
            copies.append(Copy(index, order[found[0]], found[1]))
    return Clusters(len(rows), tuple(sorted(copies, key=lambda copy: copy.row)))


def credited_scores(scores: Sequence[int], owners: Sequence[bytes], clusters: Clusters) -> dict[bytes, list[int]]:
    """Scores of the rows that every owner is credited for, none when all are copies."""
    if not len(scores) == len(owners) == clusters.count:
        raise AttributionError("scores", f"{len(scores)} scores, {len(owners)} owners, {clusters.count} rows")
    found: dict[bytes, list[int]] = {owner: [] for owner in sorted(set(owners))}
    for score, owner, credited in zip(scores, owners, clusters.credited, strict=True):
        if credited:
            found[owner].append(int(score))
    return found


def flat_weights(owners: Sequence[bytes], clusters: Clusters) -> dict[bytes, int]:
    """Credited rows of every owner: the weights of the flat part of payouts."""
    return {owner: len(scores) for owner, scores in credited_scores([1] * len(owners), owners, clusters).items()}


# --- Text


def shingles_of_tokens(tokens: Sequence[int]) -> frozenset[int]:
    """Every run of five token ids (all of them, when there are fewer) as a 64-bit hash."""
    count = max(1, len(tokens) - SHINGLE_TOKENS + 1) if tokens else 0
    data = np.asarray(tokens, dtype="<u4").tobytes()
    runs = {data[4 * start : 4 * (start + SHINGLE_TOKENS)] for start in range(count)}
    return frozenset(int.from_bytes(tagged_hash(TAGS["attribution_shingle"], run)[:8], "little") for run in runs)


def overlap_reaches(left: frozenset[int], right: frozenset[int], minimum_ppb: int) -> bool:
    """Whether |left and right| / |left or right| >= minimum, in integers; nothing overlaps with nothing."""
    shared = len(left & right)
    return shared > 0 and shared * PPB >= minimum_ppb * (len(left) + len(right) - shared)


def minhash(shingles: frozenset[int]) -> UInt64Array:
    """uint64 [BANDS * BAND_ROWS]: the least value of every permutation x -> a * x + b mod 2**64, a odd."""
    multipliers, addends = _permutations()
    values = np.fromiter(shingles, dtype=np.uint64, count=len(shingles))
    minima: UInt64Array = (values[:, None] * multipliers + addends).min(axis=0)
    return minima


@cache
def _permutations() -> tuple[UInt64Array, UInt64Array]:
    """Drawn from the tag, so that everybody has the same."""
    seeds = [
        tagged_hash(TAGS["attribution_shingle"], b"permutation" + index.to_bytes(4, "little"))
        for index in range(BANDS * BAND_ROWS)
    ]
    multipliers = [int.from_bytes(seed[:8], "little") | 1 for seed in seeds]
    addends = [int.from_bytes(seed[8:16], "little") for seed in seeds]
    return np.array(multipliers, dtype=np.uint64), np.array(addends, dtype=np.uint64)


class _Leaders:
    """Leaders so far, by rank in the order of the chain."""

    def __init__(self, policy: ClusterPolicy) -> None:
        self._policy = policy
        self._by_content: dict[bytes, int] = {}
        self._by_band: dict[tuple[int, bytes], list[int]] = {}
        self._shingles: dict[int, frozenset[int]] = {}

    def has(self, rank: int) -> bool:
        """Whether the row of this rank became a leader."""
        return rank in self._shingles

    def place(self, rank: int, row: ClusterRow, alike_by_codes: Sequence[int]) -> tuple[int, Reason] | None:
        """The row's leader, or None after it became one. `alike_by_codes`: earlier rows, increasing."""
        if row.content in self._by_content:
            return self._by_content[row.content], "exact"
        shingles = shingles_of_tokens(row.tokens)
        signature = minhash(shingles).reshape(BANDS, BAND_ROWS) if shingles else ()
        bands = [(number, band.tobytes()) for number, band in enumerate(signature)]
        for earlier in sorted({leader for band in bands for leader in self._by_band.get(band, [])}):
            if overlap_reaches(shingles, self._shingles[earlier], self._policy.minimum_jaccard_ppb):
                return earlier, "text"
        for earlier in alike_by_codes:
            if self.has(earlier):
                return earlier, "codes"
        self._by_content[row.content] = rank
        self._shingles[rank] = shingles
        for band in bands:
            self._by_band.setdefault(band, []).append(rank)
        return None


def _check_rows(rows: Sequence[ClusterRow], codes: Int16Array | None) -> None:
    if len(rows) > MAX_ROWS:
        raise AttributionError("rows", f"{len(rows)} are more than {MAX_ROWS}")
    [(place, times)] = Counter(row.place for row in rows).most_common(1) or [((0, 0), 1)]
    if times > 1:
        raise AttributionError("rows.place", f"{place} appears {times} times: which was registered first?")
    for row in rows:
        check_key("rows.owner", row.owner)
        if any(not 0 <= token <= MAX_TOKEN for token in row.tokens):
            raise AttributionError("rows.tokens", f"a token of row {row.place} is not within 0 and {MAX_TOKEN}")
    if codes is None:
        return
    if len(codes) != len(rows) or len(rows) > MAX_CODE_ROWS:
        raise AttributionError("codes", f"{len(codes)} rows of codes for {len(rows)} rows, at most {MAX_CODE_ROWS}")
    for start in range(0, len(codes), _BLOCK_ROWS):
        check_code_array("codes", np.asarray(codes[start : start + _BLOCK_ROWS]), dimensions=2)
