"""Evidence is what the commitment holds, or is refused with the list that differs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.errors import AttributionError
from attribution.explanation.evidence import IndexEvidence, best_contributions, best_rows
from attribution.lga.commitment import DATASET, OWNERS
from attribution.lga.scores import exact_scores
from openledger.data.manifest import Manifest
from tests.kit.attribution.small_index import committed, key, small_index

INDEX = small_index()
COMMITMENT, LEAF_LIST, *SUMS = INDEX.evidence().encoded(codes=False)
OWNER_LIST = SUMS[0] or b""
CODE_LIST = INDEX.evidence(with_codes=True).encoded(codes=True)[-1] or b""


def test_evidence_reads_back_as_it_was_written() -> None:
    read = IndexEvidence.decode(COMMITMENT, LEAF_LIST, OWNER_LIST, None, "evidence")
    assert read.encoded(codes=False) == (COMMITMENT, LEAF_LIST, OWNER_LIST, None)
    assert (read.commitment, read.owners, read.keys) == (INDEX.commitment, INDEX.owners, INDEX.keys)
    assert np.array_equal(read.owner_sums, INDEX.sums)
    assert read.rows_of_owner == dict.fromkeys(INDEX.owners, 3)
    assert read.table.scores(INDEX.codes[0]) == exact_scores(INDEX.sums, INDEX.codes[0])
    assert read.row_scores(INDEX.codes[0]) is None
    assert INDEX.evidence(with_codes=True).row_scores(INDEX.codes[1]) == [
        int(row @ INDEX.codes[1].astype(np.int64)) for row in INDEX.codes.astype(np.int64)
    ]


def test_codes_of_all_rows_give_the_sums_of_owners() -> None:
    read = IndexEvidence.decode(COMMITMENT, LEAF_LIST, None, CODE_LIST, "evidence")
    whole = INDEX.evidence(with_codes=True)
    assert read.encoded(codes=True) == (COMMITMENT, LEAF_LIST, None, CODE_LIST)
    assert read.encoded(codes=False) == whole.encoded(codes=False) == (COMMITMENT, LEAF_LIST, OWNER_LIST, None)
    assert (read.owners, read.owner_sums.tolist()) == (whole.owners, whole.owner_sums.tolist())
    assert read.row_scores(INDEX.codes[1]) == whole.row_scores(INDEX.codes[1])
    assert read.encoded_bytes(codes=True) == len(LEAF_LIST) + len(CODE_LIST)
    assert read.encoded_bytes(codes=False) == len(LEAF_LIST) + len(OWNER_LIST)
    with pytest.raises(AttributionError, match="has no codes of rows"):
        INDEX.evidence().encoded(codes=True)


@given(st.integers(0, len(CODE_LIST) - 1), st.integers(1, 255))
def test_a_changed_byte_of_the_codes_is_refused(place: int, change: int) -> None:
    changed = CODE_LIST[:place] + bytes([CODE_LIST[place] ^ change]) + CODE_LIST[place + 1 :]
    with pytest.raises(AttributionError, match="is not the list leaves that the commitment holds") as caught:
        IndexEvidence.decode(COMMITMENT, LEAF_LIST, None, changed, "evidence")
    assert caught.value.field == "evidence.codes"


def test_sums_that_are_not_those_of_the_codes_are_refused() -> None:
    """A trainer can commit to any two lists; with the codes at hand they must agree."""
    commitment = committed(INDEX.rows, INDEX.codes, false_by=1).commitment.encode()
    with pytest.raises(AttributionError, match="is not the list owners that the commitment holds") as caught:
        IndexEvidence.decode(commitment, LEAF_LIST, None, CODE_LIST, "evidence")
    assert caught.value.field == "evidence.codes"


def test_a_code_that_has_no_negative_is_refused() -> None:
    codes = INDEX.codes.copy()
    codes[2, 3] = -(2**15)
    evidence = committed(INDEX.rows, codes).evidence(with_codes=True)
    with pytest.raises(AttributionError, match="holds -32768") as caught:
        IndexEvidence.decode(*evidence.encoded(codes=True), "evidence")
    assert caught.value.field == "evidence.codes"


@pytest.mark.parametrize("codes", [False, True])
def test_a_row_that_is_listed_twice_or_out_of_order_is_refused(codes: bool) -> None:
    """A trainer can commit to any list; a row that stands in it three times would pay three times."""
    first, second, third = INDEX.rows[:3]
    for rows in ((first, first, third), (second, first, third)):
        index = committed(rows, INDEX.codes[:3])
        with pytest.raises(AttributionError, match="leaves must increase by contribution and row") as caught:
            IndexEvidence.decode(*index.evidence(with_codes=True).encoded(codes=codes), "evidence")
        assert caught.value.field == "evidence.dataset"


def test_owners_must_be_those_of_the_leaves() -> None:
    """One who is missing would lose its rows' part, one who is added would be paid for none."""
    rows = [(contribution, leaf, key(77) if owner == key(10) else owner) for contribution, leaf, owner in INDEX.rows]
    other = committed(tuple(rows), INDEX.codes)
    parts = {**INDEX.commitment.manifest.parts, "owners": other.commitment.manifest.parts["owners"]}
    owners = other.evidence().encoded(codes=False)[2]
    with pytest.raises(AttributionError, match="are not the owners of the leaves") as caught:
        IndexEvidence.decode(Manifest(parts).encode(), LEAF_LIST, owners, None, "evidence")
    assert caught.value.field == "evidence.owners"


@given(st.integers(0, len(OWNER_LIST) - 1), st.integers(1, 255))
def test_a_changed_byte_of_the_owner_list_is_refused(place: int, change: int) -> None:
    changed = OWNER_LIST[:place] + bytes([OWNER_LIST[place] ^ change]) + OWNER_LIST[place + 1 :]
    with pytest.raises(AttributionError, match="is not the list owners that the commitment holds") as caught:
        IndexEvidence.decode(COMMITMENT, LEAF_LIST, changed, None, "evidence")
    assert caught.value.field == f"evidence.{OWNERS}"


@given(st.integers(0, len(LEAF_LIST) - 1), st.integers(1, 255))
def test_a_changed_byte_of_the_leaf_list_is_refused(place: int, change: int) -> None:
    changed = LEAF_LIST[:place] + bytes([LEAF_LIST[place] ^ change]) + LEAF_LIST[place + 1 :]
    with pytest.raises(AttributionError, match="is not the list dataset that the commitment holds") as caught:
        IndexEvidence.decode(COMMITMENT, changed, OWNER_LIST, None, "evidence")
    assert caught.value.field == f"evidence.{DATASET}"


@pytest.mark.parametrize(
    ("commitment", "owners", "dataset", "field"),
    [
        (COMMITMENT, None, LEAF_LIST, "evidence"),
        (b"", OWNER_LIST, LEAF_LIST, "evidence.commitment"),
        (COMMITMENT[:-1], OWNER_LIST, LEAF_LIST, "evidence.commitment"),
        (COMMITMENT, OWNER_LIST[:-8], LEAF_LIST, "evidence.owners"),
        (COMMITMENT, OWNER_LIST[160:], LEAF_LIST, "evidence.owners"),
        (COMMITMENT, OWNER_LIST + bytes(160), LEAF_LIST, "evidence.owners"),
        (COMMITMENT, OWNER_LIST, LEAF_LIST[96:], "evidence.dataset"),
        (COMMITMENT, OWNER_LIST, b"", "evidence.dataset"),
    ],
)
def test_truncated_and_oversized_lists_are_refused(
    commitment: bytes, owners: bytes | None, dataset: bytes, field: str
) -> None:
    with pytest.raises(AttributionError) as caught:
        IndexEvidence.decode(commitment, dataset, owners, None, "evidence")
    assert caught.value.field == field


def test_best_rows_and_contributions_are_those_above_zero_in_order() -> None:
    assert best_rows([3, -1, 7, 3, 0], (), 10) == [2, 0, 3]
    assert best_rows([3, -1, 7, 3, 0], (), 2) == [2, 0]
    assert best_rows([3, -1, 7, 3, 0], {2}, 10) == [0, 3]
    keys = tuple(key(9) + key(contribution) + key(owner) for contribution, owner in ((1, 5), (1, 5), (2, 6), (3, 7)))
    assert best_contributions(keys, [4, -1, 3, -2], (), 9) == [(key(1), key(5), 2, 3, 4), (key(2), key(6), 1, 3, 3)]
    assert best_contributions(keys, [4, -1, 3, -2], (), 1) == [(key(1), key(5), 2, 3, 4)]
    assert best_contributions(keys, [4, -1, 3, -2], {0, 2}, 9) == []
    assert best_contributions(keys, [4, -1, 3, -2], {1}, 1) == [(key(1), key(5), 1, 4, 4)]
