"""Random halves: the same everywhere, and of whole contributors."""

import numpy as np
import pytest

from attribution.measure.subsets import MAX_SUBSETS, contributor_subsets, half_subsets

pytestmark = pytest.mark.ml


def test_every_subset_is_half_of_the_items() -> None:
    drawn = half_subsets(11, 40)

    assert drawn.shape == (40, 11)
    assert drawn.sum(axis=1).tolist() == [5] * 40


def test_the_same_halves_are_drawn_for_ever() -> None:
    drawn = half_subsets(8, 3, seed=7)

    assert drawn.astype(int).tolist() == [
        [1, 1, 0, 1, 0, 0, 1, 0],
        [1, 0, 0, 1, 0, 1, 0, 1],
        [1, 1, 0, 0, 0, 0, 1, 1],
    ]


def test_seeds_and_purposes_draw_differently() -> None:
    assert not np.array_equal(half_subsets(40, 4), half_subsets(40, 4, seed=1))
    assert not np.array_equal(half_subsets(40, 4), half_subsets(40, 4, tag="contributors"))


def test_every_item_is_taken_about_half_of_the_time() -> None:
    share = half_subsets(20, 400).mean(axis=0)

    assert np.abs(share - 0.5).max() < 0.1


def test_a_contributor_comes_with_all_rows_or_with_none() -> None:
    owners = [5, 5, 9, 9, 9, 2, 2, 7]

    drawn = contributor_subsets(owners, 30)

    for owner in set(owners):
        rows = [row for row, name in enumerate(owners) if name == owner]
        assert np.array_equal(drawn[:, rows], np.repeat(drawn[:, rows[:1]], len(rows), axis=1))
    taken = np.stack([drawn[:, owners.index(owner)] for owner in set(owners)])
    assert taken.sum(axis=0).tolist() == [2] * 30


@pytest.mark.parametrize(
    ("items", "subsets", "message"),
    [
        (1, 5, "items: 1 cannot be halved; give at least 2"),
        (4, 0, f"subsets: 0; give 1 to {MAX_SUBSETS}"),
        (4, MAX_SUBSETS + 1, f"subsets: {MAX_SUBSETS + 1}; give 1 to {MAX_SUBSETS}"),
    ],
)
def test_what_cannot_be_halved_is_refused(items: int, subsets: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        half_subsets(items, subsets)
