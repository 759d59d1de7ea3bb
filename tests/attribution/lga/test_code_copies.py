"""The committed list of copies is read as it was written, or refused with the field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.lga.code_copies import (
    DEFAULT_COSINE_PPB,
    MAX_CODE_ROWS,
    OFF_PPB,
    CodeCopies,
    check_minimum,
    outcome_of,
    threshold_ppb,
)
from attribution.lga.codes import MAX_CODES
from openledger.data.manifest import MAX_PART_BYTES, to_json

COPIES = CodeCopies(DEFAULT_COSINE_PPB, "compared", (3, 0, 4, 2, 1), ((1, 3), (2, 3), (4, 0)))


@pytest.mark.parametrize(
    ("copies", "rows"),
    [
        (COPIES, 5),
        (CodeCopies(PPB, "compared", (1, 0), ()), 2),
        (CodeCopies(OFF_PPB, "off", (), ()), 5),
        (CodeCopies(OFF_PPB, "off", (), ()), MAX_CODE_ROWS + 1),
        (CodeCopies(PPB // 2, "too many rows", (), ()), MAX_CODE_ROWS + 1),
    ],
)
def test_the_part_reads_back_as_it_was_written(copies: CodeCopies, rows: int) -> None:
    assert CodeCopies.decode(copies.encode(), rows) == copies


def test_the_largest_part_fits_into_a_manifest() -> None:
    order = tuple(range(MAX_CODE_ROWS))
    copies = CodeCopies(DEFAULT_COSINE_PPB, "compared", order, tuple((leaf, 0) for leaf in order[1:]))
    assert len(copies.encode()) < MAX_PART_BYTES // 4
    assert CodeCopies.decode(copies.encode(), MAX_CODE_ROWS) == copies


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"minimum_cosine_ppb": PPB // 2 - 1}, "minimum_cosine_ppb", "499999999 is no integer from 500000000"),
        ({"minimum_cosine_ppb": "1"}, "minimum_cosine_ppb", "'1' is no integer"),
        ({"minimum_cosine_ppb": OFF_PPB}, "outcome", "is 'compared', for 5 rows it must be 'off'"),
        ({"outcome": "too many rows"}, "outcome", "for 5 rows it must be 'compared'"),
        ({"order": [0, 1, 2, 3]}, "order", "must name each of 5 leaves once"),
        ({"order": [0, 1, 2, 3, 3]}, "order", "must name each of 5 leaves once"),
        ({"order": [0, 1, 2, 3, "4"]}, "order", "must be a list of numbers"),
        ({"found": {}}, "found", "must be a list of at most 5 pairs"),
        ({"found": [[1, 3]] * 6}, "found", "must be a list of at most 5 pairs"),
        ({"found": [[1, 3], [1, 0]]}, "found[1]", "leaves must increase"),
        ({"found": [[2, 3], [1, 3]]}, "found[1]", "leaves must increase"),
        ({"found": [[1, 5]]}, "found[0]", "be among 5"),
        ({"found": [[-1, 3]]}, "found[0]", "be among 5"),
        ({"found": [[1]]}, "found[0]", "must be [leaf, leader]"),
        ({"found": [[1, "3"]]}, "found[0]", "must be [leaf, leader]"),
        ({"found": [[3, 1]]}, "found[0]", "leaf 3 was registered before leaf 1"),
        ({"found": [[1, 1]]}, "found[0]", "leaf 1 was registered before leaf 1"),
        ({"found": [[1, 2], [2, 3]]}, "found[0]", "leaf 2 is a copy itself"),
        ({"more": 1}, "", "must be canonical JSON with exactly"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused_with_the_field(
    changes: dict[str, Any], field: str, reason: str
) -> None:
    data = to_json(json.loads(COPIES.encode()) | changes)
    with pytest.raises(AttributionError) as refused:
        CodeCopies.decode(data, 5)
    assert refused.value.field == f"commitment.copies{f'.{field}' if field else ''}"
    assert reason in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", COPIES.encode() + b" ", b"[" * 100_000])
def test_bytes_in_another_form_are_refused(data: bytes) -> None:
    with pytest.raises(AttributionError, match=r"commitment.copies: "):
        CodeCopies.decode(data, 5)


def test_what_is_done_follows_from_the_number_of_rows() -> None:
    assert [outcome_of(PPB, rows) for rows in (1, MAX_CODE_ROWS, MAX_CODE_ROWS + 1)] == [
        "compared",
        "compared",
        "too many rows",
    ]
    assert outcome_of(OFF_PPB, 2**24) == "off"


@given(st.integers(1, MAX_CODES), st.integers(PPB // 2, OFF_PPB))
def test_few_codes_are_alike_only_beyond_chance(codes: int, minimum: int) -> None:
    threshold = threshold_ppb(minimum, codes)
    assert threshold >= minimum
    # 8 / sqrt(codes), rounded down: threshold**2 * codes <= 64 < (threshold + 1)**2 * codes, in parts per billion.
    if threshold > minimum:
        assert threshold**2 * codes <= 64 * PPB**2 < (threshold + 1) ** 2 * codes
    else:
        assert (minimum + 1) ** 2 * codes > 64 * PPB**2


def test_the_default_holds_from_178_codes_on() -> None:
    assert [threshold_ppb(DEFAULT_COSINE_PPB, codes) > DEFAULT_COSINE_PPB for codes in (177, 178)] == [True, False]
    assert threshold_ppb(DEFAULT_COSINE_PPB, 64) == PPB


@pytest.mark.parametrize("bad", [PPB // 2 - 1, PPB + 2, 0.9, True, None])
def test_a_minimum_without_meaning_is_refused(bad: object) -> None:
    with pytest.raises(AttributionError, match=r"recipe: .* is no integer from 500000000 to 1000000001"):
        check_minimum("recipe", bad)
