"""Scores: exact inner products of a query's codes with owner sums and with rows, the same integers on every machine.

An inner product in float64 is exact in every order of summation, as long as the sum of the absolute products is
at most 2**53: then every product and every partial sum is an integer that float64 holds exactly. With codes within
+-CODE_LIMIT that is guaranteed for k codes while |sum| <= 2**53 / (CODE_LIMIT * k). Owner sums beyond are cut into
limbs that keep the bound, one matrix-vector product a limb, put together in Python's unbounded integers. So every
int64 owner sum is allowed and nothing can overflow.

Scores count in 2**-(index exponent + query exponent); shares do not depend on the unit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from attribution.errors import AttributionError
from attribution.lga.codes import CODE_LIMIT, MAX_CODES, Float64Array, Int16Array, check_code_array, described

Int64Array = npt.NDArray[np.int64]

# Largest magnitude below which every integer is a float64.
EXACT_LIMIT = 2**53
# Rows or owners converted at a time: their float64 copies stay within the processor's cache.
_BLOCK_CODES = 2**17

# The widest example leaves limbs of 20 bits, four of which hold an int64; rows of codes are always exact.
assert EXACT_LIMIT // (CODE_LIMIT * MAX_CODES) >= 2**20
assert CODE_LIMIT * CODE_LIMIT * MAX_CODES <= EXACT_LIMIT


def largest_exact_sum(code_count: int) -> int:
    """Largest magnitude of an owner sum whose score over `code_count` codes is exact in one float64 product."""
    return EXACT_LIMIT // (CODE_LIMIT * code_count)


def limb_bits(code_count: int) -> int:
    """Bits of one limb over `code_count` codes: limbs lie in [-2**bits, 2**bits)."""
    return largest_exact_sum(code_count).bit_length() - 1


@dataclass(frozen=True)
class ScoreTable:
    """Owner sums made ready for many queries: float64 limbs [owners, k], sums = sum of limb * 2**(bits * place)."""

    limbs: tuple[Float64Array, ...]
    bits: int

    @classmethod
    def of(cls, owner_sums: Int64Array) -> "ScoreTable":
        """Cut the sums int64 [owners, k] into as few limbs as keep products exact; takes 8 bytes a sum and limb."""
        check_owner_sums("owner_sums", owner_sums)
        bits = limb_bits(owner_sums.shape[1])
        return cls(tuple(_limbs(owner_sums, bits)), bits)

    def scores(self, query: Int16Array) -> tuple[int, ...]:
        """Score of every owner, in the order of the rows."""
        check_code_array("query", query, dimensions=1)
        _check_length(self.limbs[0].shape[1], query)
        codes = query.astype(np.float64)
        return _joined([limb @ codes for limb in self.limbs], self.bits)


def exact_scores(owner_sums: Int64Array, query: Int16Array) -> tuple[int, ...]:
    """Scores of one query: <sums of an owner, query> for owner_sums int64 [owners, k] and query int16 [k].

    Holds one block of float64 at a time; for many queries of one model make a `ScoreTable`.
    Raises `AttributionError` for other types or lengths.
    """
    check_owner_sums("owner_sums", owner_sums)
    check_code_array("query", query, dimensions=1)
    _check_length(owner_sums.shape[1], query)
    codes = query.astype(np.float64)
    bits = limb_bits(len(query))
    rows = max(1, _BLOCK_CODES // len(query))
    buffer = np.empty((rows, len(query)))
    scores: list[int] = []
    for start in range(0, len(owner_sums), rows):
        block = owner_sums[start : start + rows]
        if _fits(block, bits):
            single = buffer[: len(block)]
            np.copyto(single, block)
            scores += (single @ codes).astype(np.int64).tolist()
        else:
            scores += _joined([limb @ codes for limb in _limbs(block, bits)], bits)
    return tuple(scores)


def row_scores(codes: Int16Array, query: Int16Array) -> Int64Array:
    """Scores int64 [n] of rows of codes int16 [n, k] (a memory-mapped file is read block by block)."""
    check_code_array("query", query, dimensions=1)
    if codes.ndim != 2 or codes.dtype != np.int16:
        raise AttributionError("codes", f"must be int16 [n, k], not {codes.dtype} {list(codes.shape)}")
    _check_length(codes.shape[1], query)
    weights = query.astype(np.float64)
    out = np.empty(len(codes), dtype=np.int64)
    rows = max(1, _BLOCK_CODES // len(query))
    for start in range(0, len(codes), rows):
        block = np.asarray(codes[start : start + rows])
        check_code_array("codes", block, dimensions=2)
        out[start : start + rows] = block.astype(np.float64) @ weights
    return out


def check_owner_sums(field: str, owner_sums: object) -> None:
    """int64 [owners, k] with 1 to MAX_CODES codes; raises `AttributionError`."""
    if not isinstance(owner_sums, np.ndarray) or owner_sums.dtype != np.int64 or owner_sums.ndim != 2:
        raise AttributionError(field, f"must be int64 [owners, k], not {described(owner_sums)}")
    if not 0 < owner_sums.shape[1] <= MAX_CODES:
        raise AttributionError(field, f"{owner_sums.shape[1]} codes an owner; there are 1 to {MAX_CODES}")


def _check_length(code_count: int, query: Int16Array) -> None:
    if len(query) != code_count:
        raise AttributionError("query", f"{len(query)} codes, the index has {code_count}: it is another model's")


def _limbs(sums: Int64Array, bits: int) -> list[Float64Array]:
    """Lowest limb first; all but the last are the non-negative low bits, the last one carries the sign."""
    limbs: list[Float64Array] = []
    while not _fits(sums, bits):
        limbs.append((sums & ((1 << bits) - 1)).astype(np.float64))
        sums = sums >> bits
    limbs.append(sums.astype(np.float64))
    return limbs


def _fits(sums: Int64Array, bits: int) -> bool:
    return not sums.size or (int(sums.max()) < 1 << bits and int(sums.min()) >= -(1 << bits))


def _joined(products: list[Float64Array], bits: int) -> tuple[int, ...]:
    """Sum of product * 2**(bits * place), exactly."""
    whole = [product.astype(np.int64).tolist() for product in products]
    if len(whole) == 1:
        return tuple(whole[0])
    return tuple(sum(part << bits * place for place, part in enumerate(parts)) for parts in zip(*whole, strict=True))
