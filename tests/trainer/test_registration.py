"""Copies that an index lists were registered after the rows that they are credited through, or the index is refused."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from attribution.code_clusters import find_copies
from attribution.code_copies import DEFAULT_COSINE_PPB, CodeCopies
from attribution.evidence import IndexEvidence
from openledger.errors import NotVerified
from openledger.rows import RowCommitment
from tests.attribution.small_index import committed, key
from trainer.dataset import ContributionRecord
from trainer.registration import check_registration

FIRST, SECOND, THIRD = key(3), key(2), key(1)
Place = tuple[int, bytes, int]


@dataclass
class Chain:
    """Records by contribution id: height, DataNet, number among its submissions."""

    places: dict[bytes, Place]
    asked: list[bytes] = field(default_factory=list)

    def contribution(self, contribution_id: bytes) -> ContributionRecord:
        self.asked.append(contribution_id)
        height, datanet_id, number = self.places[contribution_id]
        nothing = RowCommitment(bytes(32), 1, 1, bytes(32), b"")
        return ContributionRecord(contribution_id, bytes(32), nothing, height, number, datanet_id)


def evidence(order: tuple[int, ...]) -> IndexEvidence:
    """Two rows of each contribution; those of the third are like the first's. `order` is what the index says."""
    rows = tuple(
        sorted((name, key(100 * at + row), key(at)) for at, name in enumerate((FIRST, SECOND, THIRD)) for row in (0, 1))
    )
    codes = np.random.default_rng(1).integers(-900, 900, size=(6, 200)).astype(np.int16)
    codes[:2] = codes[4:] + 1
    return committed(rows, codes, find_copies(codes, order, DEFAULT_COSINE_PPB)).evidence()


@pytest.mark.parametrize(
    ("first", "third"),
    [
        ((4, b"b", 9), (5, b"a", 1)),
        ((4, b"a", 9), (4, b"b", 1)),
        ((4, b"a", 1), (4, b"a", 2)),
    ],
)
def test_height_datanet_and_number_decide_who_was_first(first: Place, third: Place) -> None:
    honest, reverse = evidence((4, 5, 2, 3, 0, 1)), evidence((0, 1, 2, 3, 4, 5))
    chain = Chain({FIRST: first, SECOND: (1, b"a", 1), THIRD: third})
    assert honest.commitment.copies.found == ((0, 4), (1, 5))
    assert check_registration(chain, honest) == 2
    assert sorted(chain.asked) == [THIRD, FIRST]
    with pytest.raises(NotVerified, match=r"copies.found\[0\]: leaf 4 is credited through leaf 0, which .* later"):
        check_registration(chain, reverse)


def test_rows_of_one_contribution_need_no_chain() -> None:
    index = evidence((4, 5, 2, 3, 0, 1)).commitment.copies
    rows = tuple((FIRST, key(row), key(1)) for row in range(6))
    codes = np.ones((6, 200), dtype=np.int16)
    same = committed(rows, codes, CodeCopies(index.minimum_cosine_ppb, "compared", index.order, ((0, 4), (1, 4))))
    assert check_registration(Chain({}), same.evidence()) == 2


def test_without_copies_nothing_is_asked() -> None:
    rows = tuple((key(row), key(row), key(1)) for row in range(3))
    codes = np.eye(3, 200, dtype=np.int16)
    assert check_registration(Chain({}), committed(rows, codes).evidence()) == 0
