"""Copies are found and credited once; a copier gains nothing and can harm nobody."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.integers import NumbersRefused
from abci_app.integers.shares import ROW, PayoutPolicy, credits_of, payout_shares
from abci_app.types import PPB
from attribution.lga.code_copies import MAX_CODE_ROWS
from attribution.lga.codes import CODE_LIMIT, Int16Array
from attribution.lga.scores import row_scores
from attribution.payout.clusters import (
    SHINGLE_TOKENS,
    ClusterPolicy,
    ClusterRow,
    Clusters,
    Copy,
    cluster_rows,
    credited_scores,
    flat_weights,
    minhash,
    overlap_reaches,
    shingles_of_tokens,
)

POLICY = ClusterPolicy()
POOL = b"\xff" * 32


def owner(number: int) -> bytes:
    return number.to_bytes(32, "big")


def row(number: int, tokens: tuple[int, ...] | list[int], *, of: int = 0, content: bytes | None = None) -> ClusterRow:
    return ClusterRow((number, 0), content or repr((number, tokens)).encode(), tuple(tokens), owner(of))


def text(seed: int, length: int = 60, vocabulary: int = 500) -> list[int]:
    generator = random.Random(seed)
    return [generator.randrange(vocabulary) for _ in range(length)]


def similarity(left: tuple[int, ...], right: tuple[int, ...]) -> Fraction:
    """Jaccard of the sets of runs, by definition."""

    def runs(tokens: tuple[int, ...]) -> set[tuple[int, ...]]:
        count = max(1, len(tokens) - SHINGLE_TOKENS + 1) if tokens else 0
        return {tokens[start : start + SHINGLE_TOKENS] for start in range(count)}

    union = runs(left) | runs(right)
    return Fraction(len(runs(left) & runs(right)), len(union)) if union else Fraction(0)


def defined(rows: list[ClusterRow], policy: ClusterPolicy) -> tuple[int, ...]:
    """Leaders by the definition, every pair compared."""
    leaders: list[int] = []
    found = list(range(len(rows)))
    for index in sorted(range(len(rows)), key=lambda index: rows[index].place):
        for leader in leaders:
            alike = similarity(rows[leader].tokens, rows[index].tokens)
            if rows[leader].content == rows[index].content or alike * PPB >= policy.minimum_jaccard_ppb:
                found[index] = leader
                break
        else:
            leaders.append(index)
    return tuple(found)


@st.composite
def collections(draw: st.DrawFn) -> list[ClusterRow]:
    """Few texts, repeated with a few tokens replaced, in any order of places."""
    count = draw(st.integers(0, 12))
    places = draw(st.permutations(range(count)))
    rows = []
    for place in places:
        tokens = text(draw(st.integers(0, 3)), draw(st.sampled_from([3, 30, 60])))
        for at in draw(st.lists(st.integers(0, len(tokens) - 1), max_size=3)):
            tokens[at] = 999
        rows.append(row(place, tokens, of=draw(st.integers(0, 3)), content=repr(tokens).encode()))
    return rows


@given(collections(), st.sampled_from([500_000_000, 800_000_000, PPB]))
def test_leaders_are_those_of_the_definition(rows: list[ClusterRow], minimum: int) -> None:
    policy = ClusterPolicy(minimum_jaccard_ppb=max(minimum, 700_000_000))
    assert cluster_rows(rows, policy).leader_of == defined(rows, policy)


@given(collections(), st.integers(0, 12))
def test_what_is_registered_later_changes_nothing_that_was_assigned(rows: list[ClusterRow], kept: int) -> None:
    rows = sorted(rows, key=lambda item: item.place)
    assert cluster_rows(rows[:kept], POLICY).leader_of == cluster_rows(rows, POLICY).leader_of[: min(kept, len(rows))]


@given(collections(), st.randoms(use_true_random=False))
def test_clusters_do_not_depend_on_the_order_in_which_rows_are_given(rows: list[ClusterRow], shuffle: Any) -> None:
    order = list(range(len(rows)))
    shuffle.shuffle(order)
    leaders = cluster_rows(rows, POLICY).leader_of
    assert [order[leader] for leader in cluster_rows([rows[index] for index in order], POLICY).leader_of] == [
        leaders[index] for index in order
    ]


def test_each_test_finds_its_copies_and_says_so() -> None:
    original = text(1)
    changed = [*original[:30], 999, *original[31:]]
    rows = [
        row(7, original, content=b"same"),
        row(9, original, content=b"same"),
        row(8, changed),
        row(6, text(2)),
        row(10, text(3)),
    ]
    codes = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9], [-9, 9, 0], [-90, 91, 1]], dtype=np.int16)
    assert cluster_rows(rows, POLICY, codes) == Clusters(
        5, (Copy(1, 0, "exact"), Copy(2, 0, "text"), Copy(4, 3, "codes"))
    )
    assert cluster_rows(rows, POLICY).copies == (Copy(1, 0, "exact"), Copy(2, 0, "text"))
    assert cluster_rows(rows, POLICY, codes).members(0) == (0, 1, 2)
    assert cluster_rows(rows, POLICY, codes).credited == (True, False, False, True, False)


def test_copies_of_copies_do_not_chain_leaders_together() -> None:
    """A bridge between two rows that are not alike joins the first and leaves the second its own credit."""
    first = text(1, 100)
    second = [*first[:90], *text(2, 10)]
    third = [*second[10:], *text(3, 10)]
    rows = [row(0, first), row(1, third), row(2, second)]
    policy = ClusterPolicy(minimum_jaccard_ppb=720_000_000)
    assert similarity(tuple(first), tuple(second)) * PPB >= 720_000_000 > similarity(tuple(first), tuple(third)) * PPB
    assert similarity(tuple(second), tuple(third)) * PPB >= 720_000_000
    assert cluster_rows(rows, policy).leader_of == (0, 1, 0)


def test_a_test_above_one_is_off() -> None:
    rows = [row(0, text(1)), row(1, text(1))]
    codes = np.ones((2, 4), dtype=np.int16)
    off = ClusterPolicy(minimum_jaccard_ppb=PPB + 1, minimum_cosine_ppb=PPB + 1)
    assert cluster_rows(rows, off, codes).copies == ()
    assert cluster_rows(rows, ClusterPolicy(PPB + 1, PPB), codes).copies == (Copy(1, 0, "codes"),)


def test_rows_without_text_or_signal_are_nobodys_copies() -> None:
    rows = [row(index, ()) for index in range(4)]
    assert cluster_rows(rows, POLICY, np.zeros((4, 3), dtype=np.int16)).copies == ()
    assert minhash(shingles_of_tokens([1, 2])).shape == (128,)
    assert shingles_of_tokens([]) == frozenset()
    assert len(shingles_of_tokens([1, 2])) == len(shingles_of_tokens([1, 2, 3, 4, 5])) == 1


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 40))
def test_overlaps_are_compared_exactly(shared: int, left: int, right: int) -> None:
    one = frozenset(range(shared + left))
    other = frozenset(range(shared)) | frozenset(range(1_000, 1_000 + right))
    exact = Fraction(shared, shared + left + right)
    assert overlap_reaches(one, other, int(exact * PPB))
    assert overlap_reaches(one, other, int(exact * PPB) + 1) == (exact * PPB >= int(exact * PPB) + 1)


# --- Credit


def shares_of(names: list[bytes], scores: dict[bytes, list[int]], weights: dict[bytes, int]) -> int:
    """Part of the named owners together, half by attribution and half flat."""
    shares = payout_shares(credits_of(scores, ROW), weights, PayoutPolicy(PPB // 2, PPB // 2, PPB, 0, POOL))
    return sum(shares.of(name) for name in names)


def honest_work(owners: int = 24, rows_each: int = 20, width: int = 256) -> tuple[list[ClusterRow], Int16Array]:
    """Codes with a topic per owner plus noise, and texts that nobody shares."""
    generator = np.random.default_rng(5)
    topics = generator.normal(0, 300, size=(owners, width))
    codes = np.repeat(topics, rows_each, axis=0) + generator.normal(0, 900, size=(owners * rows_each, width))
    rows = [
        ClusterRow((number, index), f"{number}/{index}".encode(), tuple(text(number * 1_000 + index)), owner(number))
        for number in range(owners)
        for index in range(rows_each)
    ]
    return rows, np.clip(np.rint(codes), -CODE_LIMIT, CODE_LIMIT).astype(np.int16)


def query_about(codes: Int16Array, rows: list[int], seed: int = 11) -> Int16Array:
    """A query near the mean of some rows, with a noise of its own."""
    noise = np.random.default_rng(seed).normal(0, 300, size=codes.shape[1])
    near = np.clip(np.rint(codes[rows].mean(axis=0) + noise), -CODE_LIMIT, CODE_LIMIT)
    query: Int16Array = near.astype(np.int16)
    return query


def test_a_verbatim_copy_under_a_second_name_gives_the_pair_nothing() -> None:
    rows, codes = honest_work()
    owners = [item.owner for item in rows]
    alone = cluster_rows(rows, POLICY, codes)
    copied = [ClusterRow((99, index), rows[index].content, rows[index].tokens, owner(99)) for index in range(20)]
    all_rows, all_codes = [*rows, *copied], np.concatenate([codes, codes[:20]])
    both = cluster_rows(all_rows, POLICY, all_codes)
    assert both.copies == tuple(Copy(480 + index, index, "exact") for index in range(20))
    all_owners = [item.owner for item in all_rows]
    for seed, about in ((1, list(range(20))), (2, list(range(200, 220))), (3, list(range(480)))):
        query = query_about(codes, about, seed)
        before = shares_of(
            [owner(0)], credited_scores(row_scores(codes, query).tolist(), owners, alone), flat_weights(owners, alone)
        )
        scores = credited_scores(row_scores(all_codes, query).tolist(), all_owners, both)
        after = shares_of([owner(0), owner(99)], scores, flat_weights(all_owners, both))
        uncredited = shares_of(
            [owner(0), owner(99)],
            credited_scores(row_scores(all_codes, query).tolist(), all_owners, Clusters(500, ())),
            flat_weights(all_owners, Clusters(500, ())),
        )
        assert 100 * after <= 105 * before
        assert (after, scores[owner(99)]) == (before, [])
        assert uncredited > before  # what the clusters are for


def test_a_copy_with_one_word_replaced_in_every_row_is_found_by_its_text_or_its_codes() -> None:
    rows, codes = honest_work()
    reworded = []
    for index in range(20):
        tokens = list(rows[index].tokens)
        tokens[30] = 7_777
        reworded.append(ClusterRow((99, index), b"new %d" % index, tuple(tokens), owner(99)))
    copies = cluster_rows([*rows, *reworded], POLICY).copies
    assert copies == tuple(Copy(480 + index, index, "text") for index in range(20))
    noise = np.random.default_rng(1).normal(0, 90, size=(20, 256))
    near = np.rint(codes[:20] + noise).astype(np.int16)
    strangers = [
        ClusterRow((99, index), b"new %d" % index, tuple(text(10**6 + index)), owner(99)) for index in range(20)
    ]
    copies = cluster_rows([*rows, *strangers], POLICY, np.concatenate([codes, near])).copies
    assert copies == tuple(Copy(480 + index, index, "codes") for index in range(20))


def test_who_registered_first_is_credited_even_when_listed_last() -> None:
    first, second = row(3, text(1), of=1), row(4, text(1), of=2)
    assert credited_scores([5, 5], [owner(2), owner(1)], cluster_rows([second, first], POLICY)) == {
        owner(1): [5],
        owner(2): [],
    }


def test_data_split_over_ten_names_earns_what_one_name_earns() -> None:
    """Although nobody knows that they are one: rows are clipped, not names. The parts are rounded one by one."""
    rows, codes = honest_work()
    clusters = cluster_rows(rows, POLICY, codes)
    owners = [item.owner for item in rows]
    split = [owner(100 + index // 2) if index < 20 else name for index, name in enumerate(owners)]
    names = [owner(100 + index) for index in range(10)]
    for seed in range(5):
        scores = row_scores(codes, query_about(codes, list(range(40)), seed)).tolist()
        one = shares_of([owner(0)], credited_scores(scores, owners, clusters), flat_weights(owners, clusters))
        ten = shares_of(names, credited_scores(scores, split, clusters), flat_weights(split, clusters))
        assert abs(ten - one) <= 10


def test_garbage_gets_at_most_its_flat_share() -> None:
    """Rows in random directions of ordinary norm: over many queries they earn less than the flat share."""
    rows, codes = honest_work()
    generator = np.random.default_rng(17)
    norm = np.sqrt((codes[:480].astype(np.float64) ** 2).sum(axis=1).mean())
    noise = generator.normal(size=(20, 256))
    noise *= norm / np.sqrt((noise**2).sum(axis=1, keepdims=True))
    rows = [
        *rows,
        *[ClusterRow((99, index), b"%d" % index, tuple(text(10**6 + index)), owner(99)) for index in range(20)],
    ]
    codes = np.concatenate([codes, np.rint(noise).astype(np.int16)])
    clusters = cluster_rows(rows, POLICY, codes)
    assert clusters.copies == ()
    owners = [item.owner for item in rows]
    flat = PPB // 25
    parts = []
    for seed in range(48):
        about = (seed % 24) * 20
        scores = row_scores(codes, query_about(codes, list(range(about, about + 20)), seed)).tolist()
        rule = PayoutPolicy(PPB, 0, PPB, 0, POOL)
        parts.append(payout_shares(credits_of(credited_scores(scores, owners, clusters), ROW), {}, rule).of(owner(99)))
    assert sum(parts) <= flat * len(parts)


@pytest.mark.parametrize(
    ("rows", "codes", "field", "reason"),
    [
        ([row(1, ()), row(1, ())], None, "rows.place", "appears 2 times"),
        ([ClusterRow((0, 0), b"", (), b"short")], None, "rows.owner", "must be 32 bytes"),
        ([row(0, (2**32,))], None, "rows.tokens", "not within 0"),
        ([row(0, (-1,))], None, "rows.tokens", "not within 0"),
        ([row(0, ())], np.zeros((2, 3), dtype=np.int16), "codes", "2 rows of codes for 1 rows"),
        ([row(0, ())], np.zeros((1, 3)), "codes", "must be int16"),
        ([row(0, ())], np.full((1, 3), -32_768, dtype=np.int16), "codes", "holds -32768"),
        (
            [row(index, ()) for index in range(MAX_CODE_ROWS + 1)],
            np.zeros((MAX_CODE_ROWS + 1, 1), dtype=np.int16),
            "codes",
            f"at most {MAX_CODE_ROWS}",
        ),
    ],
)
def test_impossible_rows_are_refused_with_the_field(
    rows: list[ClusterRow], codes: Int16Array | None, field: str, reason: str
) -> None:
    with pytest.raises(NumbersRefused, match=reason) as caught:
        cluster_rows(rows, POLICY, codes)
    assert caught.value.field == field


def test_scores_of_other_rows_are_refused() -> None:
    with pytest.raises(NumbersRefused, match="scores: 1 scores, 2 owners, 2 rows"):
        credited_scores([1], [owner(1), owner(2)], Clusters(2, ()))


@pytest.mark.parametrize("bad", [0, PPB // 2 - 1, PPB + 2, 0.9])
def test_similarities_without_meaning_are_refused(bad: int) -> None:
    with pytest.raises(NumbersRefused, match=r"policy.minimum_jaccard_ppb: .* no integer"):
        ClusterPolicy(minimum_jaccard_ppb=bad)
    with pytest.raises(NumbersRefused, match=r"policy.minimum_cosine_ppb: .* no integer"):
        ClusterPolicy(minimum_cosine_ppb=bad)
