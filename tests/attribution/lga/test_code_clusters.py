"""Copies by codes: the definition in Python integers, with any blocks; the first leaf that is listed wrongly."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.lga import code_clusters as module
from attribution.lga.code_clusters import check_copies, cosine_reaches, search_copies
from attribution.lga.code_copies import DEFAULT_COSINE_PPB, MAX_CODE_ROWS, OFF_PPB, CodeCopies, threshold_ppb
from attribution.lga.codes import CODE_LIMIT, MAX_CODES, Int16Array
from attribution.payout.clusters import ClusterPolicy, ClusterRow, Copy, cluster_rows

WIDTH = 200


def drawn(seed: int, rows: int, sources: int) -> Int16Array:
    """Rows near some of a few sources, more or less."""
    generator = np.random.default_rng(seed)
    base = generator.normal(0, 2_000, size=(sources, WIDTH))
    near = base[generator.integers(0, sources, size=rows)]
    noise = generator.normal(0, 1, size=(rows, WIDTH)) * generator.uniform(0, 2_500, size=(rows, 1))
    return np.rint(near + noise).astype(np.int16)


def defined(codes: Int16Array, order: list[int], minimum_ppb: int) -> dict[int, int]:
    """Leader of every copy, pair by pair in the order of the chain."""
    rows = codes.astype(object)
    leaders: list[int] = []
    copies: dict[int, int] = {}
    for leaf in order:
        for leader in leaders:
            dot = int(rows[leaf] @ rows[leader])
            norms = int(rows[leaf] @ rows[leaf]) * int(rows[leader] @ rows[leader])
            if dot > 0 and Fraction(dot**2, norms) >= Fraction(minimum_ppb, PPB) ** 2:
                copies[leaf] = leader
                break
        else:
            leaders.append(leaf)
    return copies


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 30),
    st.integers(1, 8),
    st.integers(PPB // 2, PPB),
    st.randoms(use_true_random=False),
)
def test_copies_are_those_of_the_definition(seed: int, count: int, sources: int, minimum: int, shuffle: Any) -> None:
    codes, order = drawn(seed, count, sources), list(range(count))
    shuffle.shuffle(order)
    found = search_copies(codes, order, minimum)
    assert found == CodeCopies(minimum, "compared", tuple(order), tuple(sorted(found.leader_of.items())))
    assert found.leader_of == defined(codes, order, threshold_ppb(minimum, WIDTH))
    assert CodeCopies.decode(found.encode(), count) == found
    check_copies(codes, found)


@pytest.mark.parametrize("size", [1, 3, 7, 64])
def test_blocks_of_any_size_find_the_same(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    codes, order = drawn(7, 60, 9), list(np.random.default_rng(2).permutation(60))
    whole = search_copies(codes, [int(leaf) for leaf in order], DEFAULT_COSINE_PPB)
    assert len(whole.found) > 10
    monkeypatch.setattr(module, "_BLOCK_ROWS", size)
    assert search_copies(codes, whole.order, DEFAULT_COSINE_PPB) == whole
    monkeypatch.setattr(module, "_BLOCK_CODES", WIDTH * size - 1)
    assert search_copies(codes, whole.order, DEFAULT_COSINE_PPB) == whole


def test_blocks_bound_what_is_held_whatever_the_number_of_rows_and_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    made = module._Block.__init__

    def measured(self: Any, codes: Int16Array, order: Any, ranks: Any) -> None:
        made(self, codes, order, ranks)
        sizes.append(self._values.size)

    monkeypatch.setattr(module._Block, "__init__", measured)
    monkeypatch.setattr(module, "_BLOCK_CODES", 8 * WIDTH)
    search_copies(drawn(1, 70, 70), range(70), DEFAULT_COSINE_PPB)
    assert (max(sizes), len(sizes) > 9) == (8 * WIDTH, True)


def test_rows_that_are_all_alike_have_one_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_ROWS", 16)
    codes = np.repeat(drawn(1, 1, 1), 50, axis=0)
    order = list(reversed(range(50)))
    assert search_copies(codes, order, PPB).leader_of == dict.fromkeys(range(49), 49)


def test_the_order_of_the_chain_decides_who_leads() -> None:
    codes = np.zeros((4, WIDTH), dtype=np.int16)
    codes[:, :3] = [[9, 0, 0], [8, 1, 0], [0, 0, 9], [0, 1, 8]]
    assert search_copies(codes, (0, 1, 2, 3), DEFAULT_COSINE_PPB).found == ((1, 0), (3, 2))
    assert search_copies(codes, (3, 1, 0, 2), DEFAULT_COSINE_PPB).found == ((0, 1), (2, 3))


def test_rows_of_few_codes_are_copies_only_when_nothing_else_can_be() -> None:
    codes = np.full((2, 63), 5, dtype=np.int16)
    assert search_copies(codes, (0, 1), PPB // 2).found == ()
    codes = np.full((2, 64), 5, dtype=np.int16)
    assert search_copies(codes, (0, 1), PPB // 2).found == ((1, 0),)
    codes[1, 0] = 4
    assert search_copies(codes, (0, 1), PPB // 2).found == ()


def test_rows_that_are_too_many_or_a_test_that_is_off_are_said_and_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "alike_by_codes", None)
    codes = np.ones((MAX_CODE_ROWS + 1, 1), dtype=np.int16)
    many = search_copies(codes, range(MAX_CODE_ROWS + 1), PPB)
    assert many == CodeCopies(PPB, "too many rows", (), ())
    off = search_copies(codes[:2], range(2), OFF_PPB)
    assert off == CodeCopies(OFF_PPB, "off", (), ())
    check_copies(codes, many)
    check_copies(codes[:2], off)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (((3, 2),), "leaf 1 is credited; by the codes it is a copy of leaf 0"),
        (((1, 0), (2, 0), (3, 0)), "leaf 2 is a copy of leaf 0; by the codes it is credited"),
        (((1, 0), (3, 0)), "leaf 3 is a copy of leaf 0; by the codes it is a copy of leaf 2"),
    ],
)
def test_a_list_that_the_codes_do_not_give_is_refused_with_the_leaf(found: tuple[Any, ...], words: str) -> None:
    codes = np.zeros((4, WIDTH), dtype=np.int16)
    codes[:, :3] = [[9, 0, 0], [8, 1, 0], [0, 0, 9], [0, 1, 8]]
    honest = search_copies(codes, (0, 1, 2, 3), DEFAULT_COSINE_PPB)
    with pytest.raises(AttributionError, match=words) as refused:
        check_copies(codes, replace(honest, found=found))
    assert refused.value.field == "copies.found"


# --- Cosines


@given(st.integers(1, 12), st.randoms(use_true_random=False), st.integers(PPB // 2, PPB))
def test_cosines_are_compared_as_squares_of_integers(width: int, generator: Any, minimum: int) -> None:
    left = [generator.randint(-CODE_LIMIT, CODE_LIMIT) for _ in range(width)]
    right = [value + generator.randint(-9_000, 9_000) for value in left]
    right = [max(-CODE_LIMIT, min(CODE_LIMIT, value)) for value in right]
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    norms = sum(a * a for a in left) * sum(b * b for b in right)
    expected = dot > 0 and Fraction(dot**2, norms) >= Fraction(minimum, PPB) ** 2
    codes = np.array([left, right], dtype=np.int16)
    assert cosine_reaches(codes[0], codes[1], minimum) == expected
    rows = [ClusterRow((number, 0), b"%d" % number, (), bytes(32)) for number in (0, 1)]
    links = cluster_rows(rows, ClusterPolicy(minimum_cosine_ppb=minimum), codes)
    assert (links.copies == (Copy(1, 0, "codes"),)) == expected


def test_a_cosine_is_exact_for_the_widest_and_largest_codes() -> None:
    codes = np.full((2, MAX_CODES), CODE_LIMIT, dtype=np.int16)
    assert cosine_reaches(codes[0], codes[1], PPB)
    codes[1, 0] -= 1
    assert not cosine_reaches(codes[0], codes[1], PPB)
    assert not cosine_reaches(codes[0], -codes[1], PPB // 2)
