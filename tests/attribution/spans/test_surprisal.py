"""Surprisal is exact to 1/1024 bit, in integers."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.spans.surprisal import MAX_COUNT, log2_units, surprisal_units


@pytest.mark.parametrize(
    ("number", "expected"), [(1, 0), (2, 1_024), (3, 1_623), (1_000, 10_204), (2**31, 31 * 1_024), (MAX_COUNT, 32_767)]
)
def test_logarithms_are_those_worked_out_by_hand(number: int, expected: int) -> None:
    assert log2_units(number) == expected


@given(st.integers(1, MAX_COUNT))
def test_a_logarithm_is_the_floor_of_the_real_one(number: int) -> None:
    with localcontext() as context:
        context.prec = 50
        real = Decimal(1_024) * Decimal(number).ln() / Decimal(2).ln()
        # Powers of two are whole; others are irrational, and 50 digits tell them from an integer.
        expected = 1_024 * (number.bit_length() - 1) if number & (number - 1) == 0 else int(real)
    assert log2_units(number) == expected


@given(st.integers(1, MAX_COUNT), st.integers(1, MAX_COUNT))
def test_a_rarer_token_tells_no_less(one: int, other: int) -> None:
    rare, common = sorted((one, other))
    assert 0 == surprisal_units(common, common) <= surprisal_units(rare, common)
    assert surprisal_units(rare, MAX_COUNT) >= surprisal_units(common, MAX_COUNT)


@pytest.mark.parametrize("number", [0, -1, MAX_COUNT + 1])
def test_a_count_outside_32_bits_has_no_logarithm(number: int) -> None:
    with pytest.raises(ValueError, match="lies between 1 and 4294967295"):
        log2_units(number)


def test_more_occurrences_than_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="4 of 3 tokens"):
        surprisal_units(4, 3)
