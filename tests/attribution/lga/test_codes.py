"""Codes: choosing the exponent, rounding, bytes."""

from __future__ import annotations

import math
from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.errors import AttributionError
from attribution.lga.codes import (
    CODE_LIMIT,
    EXPONENT_LIMIT,
    MAX_CODES,
    MAX_ENCODED_BYTES,
    Codes,
    choose_exponent,
    decode,
    dequantise,
    encode,
    quantise,
)

magnitudes = st.floats(min_value=0, allow_nan=False, allow_infinity=False, exclude_min=True)
code_lists = st.lists(st.integers(-CODE_LIMIT, CODE_LIMIT), min_size=1, max_size=20)
exponents = st.integers(-EXPONENT_LIMIT, EXPONENT_LIMIT)


def codes_of(values: list[int], exponent: int = 3) -> Codes:
    return Codes(np.array(values, dtype=np.int16), exponent)


def rounded(value: float, exponent: int) -> int:
    """The definition, in exact fractions."""
    scaled = Fraction(value) * Fraction(2) ** exponent
    return max(-CODE_LIMIT, min(CODE_LIMIT, round(scaled)))  # Fraction.__round__ takes ties to even


@given(magnitudes)
def test_the_exponent_is_the_greatest_under_which_the_largest_value_fits(largest: float) -> None:
    exponent = choose_exponent(largest)
    assert abs(exponent) <= EXPONENT_LIMIT
    assert round(Fraction(largest) * Fraction(2) ** exponent) <= CODE_LIMIT
    assert round(Fraction(largest) * Fraction(2) ** (exponent + 1)) > CODE_LIMIT


@pytest.mark.parametrize(
    ("largest", "exponent"),
    [
        (0.0, 0),
        (1.0, 14),
        (32_767.0, 0),
        (math.nextafter(32_767.5, 0), 0),
        (32_767.5, -1),  # the tie goes to 32,768, which is no code
        (32_768.0, -1),
        (5e-324, 1_088),
        (1.7976931348623157e308, -1_010),
    ],
)
def test_exponents_at_the_edges(largest: float, exponent: int) -> None:
    assert choose_exponent(largest) == exponent


@pytest.mark.parametrize("largest", [math.nan, math.inf, -math.inf, -1.0])
def test_no_exponent_for_what_is_no_magnitude(largest: float) -> None:
    with pytest.raises(AttributionError, match=r"largest: .* is no magnitude") as caught:
        choose_exponent(largest)
    assert caught.value.field == "largest"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20), exponents)
def test_quantising_rounds_half_to_even_and_clamps_as_fractions_do(values: list[float], exponent: int) -> None:
    codes = quantise(np.array(values), exponent)
    assert codes.dtype == np.int16
    assert codes.tolist() == [rounded(value, exponent) for value in values]


def test_ties_go_to_even_and_what_is_too_large_is_clamped() -> None:
    features = np.array([[0.5, 1.5, 2.5], [-0.5, -1.5, -2.5], [40_000.0, -40_000.0, 1e300]])
    assert quantise(features, 0).tolist() == [[0, 2, 2], [0, -2, -2], [CODE_LIMIT, -CODE_LIMIT, CODE_LIMIT]]
    assert quantise(features.astype(np.float64) * 1e5, EXPONENT_LIMIT).min() == -CODE_LIMIT


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20), exponents)
def test_float32_features_give_the_codes_of_their_float64_values(values: list[float], exponent: int) -> None:
    single = np.array(values, dtype=np.float32)
    assert quantise(single, exponent).tolist() == quantise(single.astype(np.float64), exponent).tolist()


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (np.array([1.0, math.nan]), "NaN or infinity"),
        (np.array([math.inf]), "NaN or infinity"),
        (np.array([-math.inf], dtype=np.float32), "NaN or infinity"),
        (np.array([1], dtype=np.int64), "float32 or float64, not int64"),
        (np.array([1], dtype=np.float16), "float32 or float64, not float16"),
    ],
)
def test_features_that_no_code_stands_for_are_refused(features: np.ndarray, reason: str) -> None:
    with pytest.raises(AttributionError, match=f"features: .*{reason}"):
        quantise(features, 3)


@pytest.mark.parametrize("exponent", [EXPONENT_LIMIT + 1, -EXPONENT_LIMIT - 1, True, 2.0])
def test_exponents_beyond_the_limit_are_refused(exponent: int) -> None:
    with pytest.raises(AttributionError, match=r"exponent: .* no integer within"):
        quantise(np.array([1.0]), exponent)


@given(code_lists, exponents)
def test_bytes_read_back_as_the_same_codes(values: list[int], exponent: int) -> None:
    codes = codes_of(values, exponent)
    assert decode(encode(codes)) == codes
    assert encode(decode(encode(codes))) == codes.encode()


@given(st.binary(max_size=64))
def test_bytes_that_are_read_are_the_only_form_of_their_codes(data: bytes) -> None:
    with suppress(AttributionError):
        assert encode(decode(data)) == data


def test_the_byte_form_and_its_digest_are_fixed() -> None:
    codes = codes_of([1, -1, CODE_LIMIT, -CODE_LIMIT], -2)
    assert encode(codes).hex() == "01feff040000000100ffffff7f0180"
    assert codes.digest.hex() == codes_of([1, -1, CODE_LIMIT, -CODE_LIMIT], -2).digest.hex()
    assert codes.digest != codes_of([1, -1, CODE_LIMIT, -CODE_LIMIT], -1).digest


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (bytes(6), "6 bytes"),
        (bytes.fromhex("02000001000000ffff"), "version 2 is unknown"),
        (bytes.fromhex("01000002000000ffff"), "do not hold the 2 codes"),
        (bytes.fromhex("01000001000000ffff00"), "do not hold the 1 codes"),
        (bytes.fromhex("01000000000000"), "0 codes; an example has 1 to"),
        (bytes.fromhex("010000010000000080"), "holds -32768"),
        (bytes.fromhex("01ff7f010000000100"), "32767 is no integer within"),
        (bytes.fromhex("010000ffffffff0100"), "do not hold the 4294967295 codes"),
        (bytes(MAX_ENCODED_BYTES + 1), "bytes; codes take 7 to"),
    ],
)
def test_malformed_bytes_are_refused_with_the_field(data: bytes, reason: str) -> None:
    with pytest.raises(AttributionError, match=reason) as caught:
        decode(data, "query.codes")
    assert caught.value.field == "query.codes"


def test_the_widest_codes_pass_and_one_more_is_refused() -> None:
    widest = Codes(np.full(MAX_CODES, CODE_LIMIT, dtype=np.int16), 0)
    assert len(encode(widest)) == MAX_ENCODED_BYTES
    assert decode(encode(widest)) == widest
    with pytest.raises(AttributionError, match=r"codes.values: 262145 codes"):
        Codes(np.zeros(MAX_CODES + 1, dtype=np.int16), 0)


@pytest.mark.parametrize(
    "values",
    [np.zeros((2, 2), dtype=np.int16), np.zeros(2, dtype=np.int32), np.zeros(2), [1, 2]],
)
def test_other_arrays_are_no_codes(values: np.ndarray) -> None:
    with pytest.raises(AttributionError, match=r"codes.values: must be int16 with 1 axes"):
        Codes(values, 0)


def test_codes_are_an_own_read_only_copy() -> None:
    values = np.array([1, 2], dtype=np.int16)
    codes = Codes(values, 0)
    values[0] = 9
    assert codes == codes_of([1, 2], 0)
    assert hash(codes) == hash(codes_of([1, 2], 0))
    assert codes != codes_of([1, 2], 1)
    assert codes != "codes"
    with pytest.raises(ValueError, match="read-only"):
        codes.values[0] = 5


def test_codes_stand_for_their_values() -> None:
    assert dequantise(codes_of([3, -5], 1)).tolist() == [1.5, -2.5]
