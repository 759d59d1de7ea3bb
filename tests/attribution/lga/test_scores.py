"""Scores are exact for every allowed input, at the bounds as well."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.errors import AttributionError
from attribution.lga.codes import CODE_LIMIT, MAX_CODES, Int16Array
from attribution.lga.scores import (
    EXACT_LIMIT,
    Int64Array,
    ScoreTable,
    exact_scores,
    largest_exact_sum,
    limb_bits,
    row_scores,
)

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


def defined(owner_sums: Int64Array, query: Int16Array) -> tuple[int, ...]:
    """The definition, in Python's integers."""
    weights = query.tolist()
    return tuple(sum(a * b for a, b in zip(row, weights, strict=True)) for row in owner_sums.tolist())


@st.composite
def inputs(draw: st.DrawFn) -> tuple[Int64Array, Int16Array]:
    width = draw(st.integers(1, 12))
    limit = draw(st.sampled_from([2**7, 2**26, 2**40, 2**53, INT64_MAX]))
    value = st.one_of(st.integers(-limit, limit), st.sampled_from([limit, -limit, INT64_MIN, 0]))
    rows = draw(st.lists(st.lists(value, min_size=width, max_size=width), max_size=6))
    query = draw(st.lists(st.integers(-CODE_LIMIT, CODE_LIMIT), min_size=width, max_size=width))
    return np.array(rows, dtype=np.int64).reshape(len(rows), width), np.array(query, dtype=np.int16)


@given(inputs())
def test_scores_are_the_integers_of_the_definition(case: tuple[Int64Array, Int16Array]) -> None:
    owner_sums, query = case
    expected = defined(owner_sums, query)
    assert exact_scores(owner_sums, query) == expected
    assert ScoreTable.of(owner_sums).scores(query) == expected


@pytest.mark.parametrize("width", [1, 2, 3, 4_096, 30_720, MAX_CODES])
@pytest.mark.parametrize("sign", [1, -1])
def test_scores_are_exact_at_the_bound_of_one_product_and_beyond(width: int, sign: int) -> None:
    query = np.full(width, sign * CODE_LIMIT, dtype=np.int16)
    bound = largest_exact_sum(width)
    assert bound * CODE_LIMIT * width <= EXACT_LIMIT < (bound + 1) * CODE_LIMIT * width
    for value in (2 ** limb_bits(width) - 1, bound, bound + 1, INT64_MAX, INT64_MIN):
        owner_sums = np.full((2, width), value, dtype=np.int64)
        owner_sums[1] *= -1  # wraps for INT64_MIN, which stays what it is
        expected = tuple(int(row[0]) * sign * CODE_LIMIT * width for row in owner_sums)
        assert exact_scores(owner_sums, query) == expected
        assert ScoreTable.of(owner_sums).scores(query) == expected


@pytest.mark.parametrize("width", [1, 3, 4_096, MAX_CODES])
def test_the_number_of_limbs_follows_the_bound(width: int) -> None:
    bits = limb_bits(width)

    def limbs(value: int) -> int:
        return len(ScoreTable.of(np.array([[value] + [0] * (width - 1)], dtype=np.int64)).limbs)

    assert [limbs(2**bits - 1), limbs(-(2**bits)), limbs(2**bits), limbs(-(2**bits) - 1)] == [1, 1, 2, 2]
    assert limbs(INT64_MIN) == limbs(INT64_MAX) == -(-63 // bits)


def test_scores_do_not_depend_on_neighbours_or_their_order() -> None:
    random = np.random.default_rng(7)
    owner_sums = random.integers(-(2**40), 2**40, size=(301, 1_024))
    owner_sums[17, 3] = INT64_MIN
    query = random.integers(-CODE_LIMIT, CODE_LIMIT + 1, size=1_024).astype(np.int16)
    order, codes = random.permutation(301), random.permutation(1_024)
    scores = exact_scores(owner_sums, query)
    assert scores == defined(owner_sums, query)
    assert exact_scores(owner_sums[order], query) == tuple(scores[index] for index in order)
    assert exact_scores(owner_sums[:, codes], query[codes]) == scores
    assert tuple(exact_scores(owner_sums[index : index + 1], query)[0] for index in range(301)) == scores


def test_the_sum_of_owner_scores_is_the_score_of_the_sum() -> None:
    random = np.random.default_rng(8)
    codes = random.integers(-CODE_LIMIT, CODE_LIMIT + 1, size=(500, 64)).astype(np.int16)
    query = random.integers(-CODE_LIMIT, CODE_LIMIT + 1, size=64).astype(np.int16)
    sums = codes.reshape(10, 50, 64).sum(axis=1, dtype=np.int64)
    assert row_scores(codes, query).reshape(10, 50).sum(axis=1).tolist() == list(exact_scores(sums, query))


def test_row_scores_are_exact_at_the_bound() -> None:
    rows = np.full((2, MAX_CODES), CODE_LIMIT, dtype=np.int16)
    rows[1] *= -1
    assert row_scores(rows, rows[0]).tolist() == [CODE_LIMIT**2 * MAX_CODES, -(CODE_LIMIT**2) * MAX_CODES]


@given(st.integers(0, 9), st.integers(1, 5), st.randoms(use_true_random=False))
def test_row_scores_are_the_integers_of_the_definition(count: int, width: int, random: object) -> None:
    generator = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    rows = generator.integers(-CODE_LIMIT, CODE_LIMIT + 1, size=(count, width)).astype(np.int16)
    query = generator.integers(-CODE_LIMIT, CODE_LIMIT + 1, size=width).astype(np.int16)
    assert tuple(row_scores(rows, query).tolist()) == defined(rows.astype(np.int64), query)


def test_rows_of_a_file_are_read_where_they_lie(tmp_path: object) -> None:
    path = f"{tmp_path}/codes"
    rows = np.random.default_rng(9).integers(-9, 9, size=(3_000, 128)).astype(np.int16)
    rows.tofile(path)
    mapped = np.memmap(path, dtype=np.int16, mode="r", shape=(3_000, 128))
    assert tuple(row_scores(mapped, rows[5]).tolist()) == defined(rows.astype(np.int64), rows[5])


def test_nobody_has_no_scores() -> None:
    query = np.ones(4, dtype=np.int16)
    assert exact_scores(np.empty((0, 4), dtype=np.int64), query) == ()
    assert ScoreTable.of(np.empty((0, 4), dtype=np.int64)).scores(query) == ()


GOOD_SUMS = np.ones((2, 3), dtype=np.int64)
GOOD_QUERY = np.ones(3, dtype=np.int16)


@pytest.mark.parametrize(
    ("owner_sums", "query", "field", "reason"),
    [
        (GOOD_SUMS.astype(np.float64), GOOD_QUERY, "owner_sums", "must be int64"),
        (GOOD_SUMS.astype(np.int32), GOOD_QUERY, "owner_sums", "must be int64"),
        (GOOD_SUMS[0], GOOD_QUERY, "owner_sums", "must be int64"),
        (GOOD_SUMS.tolist(), GOOD_QUERY, "owner_sums", "not list"),
        (np.ones((2, 0), dtype=np.int64), GOOD_QUERY, "owner_sums", "0 codes an owner"),
        (np.ones((1, MAX_CODES + 1), dtype=np.int64), GOOD_QUERY, "owner_sums", "codes an owner"),
        (GOOD_SUMS, GOOD_QUERY.astype(np.int64), "query", "must be int16"),
        (GOOD_SUMS, np.array([-32_768, 0, 0], dtype=np.int16), "query", "holds -32768"),
        (GOOD_SUMS, np.ones(4, dtype=np.int16), "query", "another model's"),
    ],
)
def test_other_arrays_are_refused_with_the_field(
    owner_sums: Int64Array, query: Int16Array, field: str, reason: str
) -> None:
    with pytest.raises(AttributionError, match=reason) as caught:
        exact_scores(owner_sums, query)
    assert caught.value.field == field
    with pytest.raises(AttributionError, match=reason):
        ScoreTable.of(owner_sums).scores(query)


def test_rows_with_a_forbidden_code_or_another_type_are_refused() -> None:
    with pytest.raises(AttributionError, match="codes: holds -32768"):
        row_scores(np.full((1, 3), -32_768, dtype=np.int16), GOOD_QUERY)
    with pytest.raises(AttributionError, match="codes: must be int16"):
        row_scores(GOOD_SUMS, GOOD_QUERY)  # type: ignore[arg-type]
