"""Evidence is what the commitment holds, or is refused with the list that differs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.commitment import DATASET, OWNERS
from attribution.errors import AttributionError
from attribution.evidence import IndexEvidence, best_contributions, best_rows
from attribution.scores import exact_scores
from tests.attribution.small_index import key, small_index

INDEX = small_index()
COMMITMENT, OWNER_LIST, LEAF_LIST = INDEX.evidence().encoded


def test_evidence_reads_back_as_it_was_written() -> None:
    read = IndexEvidence.decode(COMMITMENT, OWNER_LIST, LEAF_LIST, "evidence")
    assert read.encoded == (COMMITMENT, OWNER_LIST, LEAF_LIST)
    assert (read.commitment, read.owners, read.keys) == (INDEX.commitment, INDEX.owners, INDEX.keys)
    assert np.array_equal(read.owner_sums, INDEX.sums)
    assert read.rows_of_owner == dict.fromkeys(INDEX.owners, 3)
    assert read.table.scores(INDEX.codes[0]) == exact_scores(INDEX.sums, INDEX.codes[0])
    assert read.row_scores(INDEX.codes[0]) is None
    assert INDEX.evidence(with_codes=True).row_scores(INDEX.codes[1]) == [
        int(row @ INDEX.codes[1].astype(np.int64)) for row in INDEX.codes.astype(np.int64)
    ]


@given(st.integers(0, len(OWNER_LIST) - 1), st.integers(1, 255))
def test_a_changed_byte_of_the_owner_list_is_refused(place: int, change: int) -> None:
    changed = OWNER_LIST[:place] + bytes([OWNER_LIST[place] ^ change]) + OWNER_LIST[place + 1 :]
    with pytest.raises(AttributionError, match="is not the list that the commitment holds") as caught:
        IndexEvidence.decode(COMMITMENT, changed, LEAF_LIST, "evidence")
    assert caught.value.field == f"evidence.{OWNERS}"


@given(st.integers(0, len(LEAF_LIST) - 1), st.integers(1, 255))
def test_a_changed_byte_of_the_leaf_list_is_refused(place: int, change: int) -> None:
    changed = LEAF_LIST[:place] + bytes([LEAF_LIST[place] ^ change]) + LEAF_LIST[place + 1 :]
    with pytest.raises(AttributionError, match="is not the list that the commitment holds") as caught:
        IndexEvidence.decode(COMMITMENT, OWNER_LIST, changed, "evidence")
    assert caught.value.field == f"evidence.{DATASET}"


@pytest.mark.parametrize(
    ("commitment", "owners", "dataset", "field"),
    [
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
    commitment: bytes, owners: bytes, dataset: bytes, field: str
) -> None:
    with pytest.raises(AttributionError) as caught:
        IndexEvidence.decode(commitment, owners, dataset, "evidence")
    assert caught.value.field == field


def test_best_rows_and_contributions_are_those_above_zero_in_order() -> None:
    assert best_rows([3, -1, 7, 3, 0], (), 10) == [2, 0, 3]
    assert best_rows([3, -1, 7, 3, 0], (), 2) == [2, 0]
    assert best_rows([3, -1, 7, 3, 0], {2}, 10) == [0, 3]
    keys = tuple(key(9) + key(contribution) + key(owner) for contribution, owner in ((1, 5), (1, 5), (2, 6), (3, 7)))
    assert best_contributions(keys, [4, -1, 3, -2], (), 9) == [(key(1), key(5), 2, 3), (key(2), key(6), 1, 3)]
    assert best_contributions(keys, [4, -1, 3, -2], (), 1) == [(key(1), key(5), 2, 3)]
    assert best_contributions(keys, [4, -1, 3, -2], {0, 2}, 9) == []
    assert best_contributions(keys, [4, -1, 3, -2], {1}, 1) == [(key(1), key(5), 1, 4)]
