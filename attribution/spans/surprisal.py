"""Surprisal of tokens in integers: what a token tells, from how often the training tokens contain it.

Unit: 1/1024 bit. The binary logarithm is exact to the unit, floor(1024 * log2 x) = bit length of x**1024, less one,
in integers of any size; no machine rounds it differently.
"""

from functools import lru_cache

UNITS_PER_BIT = 1024
# Counts of 32 bits: x**1024 has at most 32,768 bits.
MAX_COUNT = 2**32 - 1


@lru_cache(maxsize=65_536)
def log2_units(number: int) -> int:
    """floor(1024 * log2(number)) for 1 <= number <= MAX_COUNT; raises `ValueError` outside."""
    if not 1 <= number <= MAX_COUNT:
        raise ValueError(f"a count of tokens lies between 1 and {MAX_COUNT}, not {number}")
    return int(number**UNITS_PER_BIT).bit_length() - 1


def surprisal_units(count: int, total: int) -> int:
    """-log2(count / total) in units of 1/1024 bit, off by less than one unit, never negative.

    `count` of the `total` training tokens are this token; 1 <= count <= total, otherwise `ValueError`.
    """
    if count > total:
        raise ValueError(f"{count} of {total} tokens")
    return log2_units(total) - log2_units(count)
