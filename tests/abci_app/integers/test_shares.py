"""Shares sum exactly, follow their formula within one part, respect caps, and give a cheat nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.integers import NumbersRefused, check_integer
from abci_app.integers.shares import (
    MAX_OWNERS,
    MAX_SCORE,
    OWNER,
    ROW,
    Credit,
    PayoutPolicy,
    Shares,
    credits_of,
    kappa_of_quality,
    largest_remainder,
    payout_shares,
)
from abci_app.types import MAX_INTEGER, PPB

POOL = b"\xff" * 32
PLAIN = PayoutPolicy(PPB, 0, PPB, 0, POOL)


def owner(number: int) -> bytes:
    return number.to_bytes(32, "big")


def policy(**changes: Any) -> PayoutPolicy:
    return PayoutPolicy(
        **{"kappa_ppb": PPB, "flat_ppb": 0, "cap_ppb": PPB, "minimum_positive_ppb": 0, "pool": POOL, **changes}
    )


def scored(*scores: int) -> dict[bytes, int]:
    return {owner(index): score for index, score in enumerate(scores)}


def paid(scores: dict[bytes, int], flat: dict[bytes, int], rule: PayoutPolicy) -> Shares:
    """Shares of owners with one row each: its score is that of its owner."""
    return payout_shares({key: Credit.of([score]) for key, score in scores.items()}, flat, rule)


def parts(shares: Shares) -> list[int]:
    return [part for _, part in shares.by_owner]


numbers = st.one_of(st.integers(-20, 20), st.integers(-MAX_SCORE, MAX_SCORE))
weights = st.one_of(st.integers(0, 5), st.integers(0, MAX_INTEGER))


@st.composite
def policies(draw: st.DrawFn) -> PayoutPolicy:
    kappa = draw(st.one_of(st.sampled_from([0, PPB // 2, PPB]), st.integers(0, PPB)))
    flat = draw(st.one_of(st.just(PPB - kappa), st.integers(0, PPB - kappa)))
    cap = draw(st.one_of(st.sampled_from([1, 3, PPB // 3, PPB]), st.integers(1, PPB)))
    return PayoutPolicy(kappa, flat, cap, draw(st.one_of(st.just(0), st.integers(0, PPB))), POOL)


scores_of_owners = st.dictionaries(st.integers(0, 12).map(owner), numbers, max_size=8)
weights_of_owners = st.dictionaries(st.integers(0, 12).map(owner), weights, max_size=8)


def defined(scores: dict[bytes, int], flat: dict[bytes, int], rule: PayoutPolicy) -> dict[bytes, Fraction]:
    """The formula of the module in fractions, caps by repeating until nobody is above."""
    positive = {key: max(0, scores.get(key, 0)) for key in {*scores, *flat}}
    mass, flat_mass, absolute = sum(positive.values()), sum(flat.values()), sum(map(abs, scores.values()))
    used = mass > 0 and Fraction(mass, absolute) >= Fraction(rule.minimum_positive_ppb, PPB)
    by_score = Fraction(rule.kappa_ppb if used else 0)
    by_flat = Fraction(rule.flat_ppb + (0 if used else rule.kappa_ppb))
    exact: dict[bytes, Fraction] = {
        key: (by_score * positive[key] / mass if used else Fraction(0))
        + (by_flat * flat.get(key, 0) / flat_mass if flat_mass else Fraction(0))
        for key in positive
    }
    owed, capped = sum(exact.values(), Fraction(0)), set[bytes]()
    while True:
        free = {key: exact[key] for key in exact if key not in capped}
        rest = owed - rule.cap_ppb * len(capped)
        mass_free = sum(free.values(), Fraction(0))
        scale = rest / mass_free if mass_free else Fraction(0)
        above = {key for key, part in free.items() if part * scale > rule.cap_ppb}
        if not above:
            return {key: part * scale for key, part in free.items()} | dict.fromkeys(capped, Fraction(rule.cap_ppb))
        capped |= above


@given(scores_of_owners, weights_of_owners, policies())
def test_payouts_follow_the_formula_within_one_part_and_sum_exactly(
    scores: dict[bytes, int], flat: dict[bytes, int], rule: PayoutPolicy
) -> None:
    shares = paid(scores, flat, rule)
    exact = defined(scores, flat, rule)
    assert [key for key, _ in shares.by_owner] == sorted(exact)
    assert sum(parts(shares)) + shares.unexplained_ppb == PPB
    assert shares.unexplained_ppb >= 0
    assert abs(shares.unexplained_ppb - (PPB - sum(exact.values(), Fraction(0)))) < 1
    for key, part in shares.by_owner:
        assert 0 <= part <= rule.cap_ppb
        assert abs(part - exact[key]) < 1
        assert part == exact[key] or exact[key].denominator > 1


@given(scores_of_owners, weights_of_owners, policies(), st.randoms(use_true_random=False))
def test_payouts_do_not_depend_on_the_order_of_owners(
    scores: dict[bytes, int], flat: dict[bytes, int], rule: PayoutPolicy, random: Any
) -> None:
    def shuffled(values: dict[bytes, int]) -> dict[bytes, int]:
        items = list(values.items())
        random.shuffle(items)
        return dict(items)

    assert paid(shuffled(scores), shuffled(flat), rule) == paid(scores, flat, rule)


@given(st.dictionaries(st.integers(0, 12).map(owner), st.integers(-(2**40), 2**40), max_size=8), st.integers(0, 56))
def test_payouts_do_not_depend_on_the_unit_of_scores(scores: dict[bytes, int], exponent: int) -> None:
    rule = policy(kappa_ppb=PPB // 2, flat_ppb=PPB // 2, minimum_positive_ppb=PPB // 3, cap_ppb=PPB // 4)
    flat = dict.fromkeys(scores, 3)
    scaled = {key: score << exponent for key, score in scores.items()}
    assert paid(scaled, flat, rule) == paid(scores, flat, rule)


@given(st.lists(weights, min_size=1, max_size=9), st.integers(0, MAX_INTEGER))
def test_largest_remainder_sums_exactly_and_stays_within_one(values: list[int], total: int) -> None:
    if not sum(values):
        values[0] = 1
    split = largest_remainder(values, [owner(index) for index in range(len(values))], total)
    assert sum(split) == total
    for part, value in zip(split, values, strict=True):
        assert abs(part - Fraction(total * value, sum(values))) < 1
        assert part == 0 or value > 0
    ordered = sorted(zip(values, split, strict=True))
    assert [part for _, part in ordered] == sorted(split)


def test_ties_go_to_the_smaller_key_whatever_its_place() -> None:
    assert largest_remainder([1, 1, 1], [owner(3), owner(1), owner(2)], 2) == (0, 1, 1)
    assert largest_remainder([1, 1, 1], [owner(1), owner(2), owner(3)], 1_000) == (334, 333, 333)


@pytest.mark.parametrize(
    ("values", "keys", "total", "field", "reason"),
    [
        ([1], [], 1, "keys", "0 keys for 1 weights"),
        ([1, 1], [b"a", b"a"], 1, "keys", "twice"),
        ([0, 0], [b"a", b"b"], 1, "weights", "all 2 are zero"),
        ([], [], 1, "weights", "all 0 are zero"),
        ([-1], [b"a"], 1, "weights", "-1 is no non-negative integer"),
        ([True], [b"a"], 1, "weights", "True is no non-negative integer"),
        ([1.0], [b"a"], 1, "weights", "1.0 is no non-negative integer"),
        ([1], [b"a"], -1, "total", "-1 is no integer from 0"),
        ([1], [b"a"], MAX_INTEGER + 1, "total", "is no integer from 0"),
    ],
)
def test_what_cannot_be_split_is_refused(
    values: list[int], keys: list[bytes], total: int, field: str, reason: str
) -> None:
    with pytest.raises(NumbersRefused, match=reason) as caught:
        largest_remainder(values, keys, total)
    assert caught.value.field == field


def test_nothing_is_split_without_weights() -> None:
    assert largest_remainder([0, 0], [b"a", b"b"], 0) == (0, 0)
    assert largest_remainder([], [], 0) == ()


def test_negative_scores_take_nothing_and_give_nothing() -> None:
    assert paid(scored(3, -5, 1), {}, PLAIN) == Shares(
        ((owner(0), 750_000_000), (owner(1), 0), (owner(2), 250_000_000)), 0, attribution_used=True
    )


def test_kappa_mixes_attribution_with_flat_and_leaves_the_rest_to_the_pool() -> None:
    rule = policy(kappa_ppb=500_000_000, flat_ppb=300_000_000)
    shares = paid(scored(3, 1, -9), {owner(2): 2, owner(3): 1}, rule)
    assert shares == Shares(
        ((owner(0), 375_000_000), (owner(1), 125_000_000), (owner(2), 200_000_000), (owner(3), 100_000_000)),
        200_000_000,
        attribution_used=True,
    )


def test_what_a_cap_cuts_off_goes_to_the_others_in_proportion_and_caps_them_in_turn() -> None:
    rule = policy(cap_ppb=400_000_000)
    assert parts(paid(scored(90, 9, 1), {}, rule)) == [400_000_000, 400_000_000, 200_000_000]
    assert parts(paid(scored(6, 3, 1), {}, rule)) == [400_000_000, 400_000_000, 200_000_000]
    assert parts(paid(scored(5, 3, 2), {}, rule)) == [400_000_000, 360_000_000, 240_000_000]


def test_what_nobody_can_take_goes_to_the_pool() -> None:
    everybody_at_the_cap = paid(scored(5, 3), {}, policy(cap_ppb=300_000_000))
    assert (parts(everybody_at_the_cap), everybody_at_the_cap.unexplained_ppb) == ([300_000_000] * 2, 400_000_000)
    assert paid({}, {}, PLAIN) == Shares((), PPB, attribution_used=False)
    assert paid(scored(-1, 0), {}, PLAIN).unexplained_ppb == PPB
    assert paid(scored(1), {}, policy(kappa_ppb=600_000_000, flat_ppb=400_000_000)) == Shares(
        ((owner(0), 600_000_000),), 400_000_000, attribution_used=True
    )


def test_too_little_positive_mass_is_paid_flat() -> None:
    rule = policy(kappa_ppb=600_000_000, flat_ppb=400_000_000, minimum_positive_ppb=250_000_000)
    flat = {owner(0): 1, owner(1): 3}
    at_the_bound = paid(scored(1, -3), flat, rule)
    assert (parts(at_the_bound), at_the_bound.attribution_used) == ([700_000_000, 300_000_000], True)
    below = paid(scored(100, -301), flat, rule)
    assert (parts(below), below.attribution_used) == ([250_000_000, 750_000_000], False)
    nothing_positive = paid(scored(0, -301), flat, policy(kappa_ppb=PPB))
    assert (parts(nothing_positive), nothing_positive.attribution_used) == ([250_000_000, 750_000_000], False)


rows = st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=10)


@given(rows, st.integers(1, 10**6), st.lists(st.integers(1, 10), min_size=10, max_size=10), policies())
def test_with_rows_as_the_unit_spreading_them_over_names_changes_nothing_but_the_rounding(
    scores: list[int], others: int, names: list[int], rule: PayoutPolicy
) -> None:
    rule = replace(rule, cap_ppb=PPB)
    spread: dict[bytes, list[int]] = {}
    for name, score in zip(names, scores, strict=False):
        spread.setdefault(owner(name), []).append(score)
    flat = {name: len(known) for name, known in spread.items()}
    one = credits_of({owner(0): scores, owner(99): [others]}, ROW)
    ten = credits_of({**spread, owner(99): [others]}, ROW)
    alone = payout_shares(one, {owner(0): len(scores), owner(99): 7}, rule)
    together = payout_shares(ten, {**flat, owner(99): 7}, rule)
    assert abs(sum(together.of(name) for name in spread) - alone.of(owner(0))) <= len(spread)
    assert together.attribution_used == alone.attribution_used


def test_with_owners_as_the_unit_noise_pays_under_many_names_and_cancels_under_one() -> None:
    noise = {owner(name): [score] for name, score in enumerate((5, -5, 5, -5))}
    assert credits_of({owner(0): [5, -5, 5, -5]}, OWNER) == {owner(0): Credit(0, 0)}
    assert sum(credit.positive for credit in credits_of(noise, OWNER).values()) == 10
    assert credits_of({owner(0): [5, -5, 5, -5]}, ROW) == {owner(0): Credit(10, 20)}
    assert sum(credit.positive for credit in credits_of(noise, ROW).values()) == 10


@given(st.lists(st.integers(0, 10**6), min_size=10, max_size=10), st.integers(1, 10**6), policies())
def test_splitting_into_ten_unclipped_names_gains_at_most_the_rounding_without_a_cap(
    pieces: list[int], others: int, rule: PayoutPolicy
) -> None:
    """Names that are never clipped: shares are linear in score and in accepted rows, so ten names get what one got."""
    rule = PayoutPolicy(rule.kappa_ppb, rule.flat_ppb, PPB, rule.minimum_positive_ppb, POOL)
    one = paid({owner(0): sum(pieces), owner(99): others}, {owner(0): 10, owner(99): 7}, rule)
    names = {owner(index): piece for index, piece in enumerate(pieces)}
    ten = paid({**names, owner(99): others}, {**dict.fromkeys(names, 1), owner(99): 7}, rule)
    assert abs(sum(ten.of(name) for name in names) - one.of(owner(0))) <= 10


def test_shares_at_the_bounds_of_every_input_are_exact() -> None:
    rule = policy(kappa_ppb=1, flat_ppb=PPB - 1)
    shares = paid(scored(MAX_SCORE, -MAX_SCORE, 1), scored(MAX_INTEGER, MAX_INTEGER, 1), rule)
    exact = defined(scored(MAX_SCORE, -MAX_SCORE, 1), scored(MAX_INTEGER, MAX_INTEGER, 1), rule)
    assert all(abs(part - exact[key]) < 1 for key, part in shares.by_owner)
    assert sum(parts(shares)) + shares.unexplained_ppb == PPB


@pytest.mark.parametrize(
    ("scores", "flat", "field", "reason"),
    [
        ({b"short": 1}, {}, "owners", "must be 32 bytes"),
        ({owner(1): MAX_SCORE + 1}, {}, f"credits.{owner(1).hex()}.absolute", "is no integer"),
        ({owner(1): 1.5}, {}, f"credits.{owner(1).hex()}.absolute", "1.5 is no integer"),
        ({}, {owner(1): -1}, f"flat_weights.{owner(1).hex()}", "-1 is no integer from 0"),
        ({}, {owner(1): MAX_INTEGER + 1}, f"flat_weights.{owner(1).hex()}", "is no integer from 0"),
    ],
)
def test_impossible_scores_are_refused_with_the_field(
    scores: dict[bytes, int], flat: dict[bytes, int], field: str, reason: str
) -> None:
    with pytest.raises(NumbersRefused, match=reason) as caught:
        paid(scores, flat, PLAIN)
    assert caught.value.field == field


def test_a_pool_that_is_also_an_owner_gets_both_parts() -> None:
    shares = paid({POOL: 1, owner(1): 1}, {}, policy(kappa_ppb=PPB // 2))
    assert shares == Shares(((owner(1), PPB // 4), (POOL, PPB // 4)), PPB // 2, attribution_used=True)


def test_more_owners_than_the_limit_are_refused() -> None:
    with pytest.raises(NumbersRefused, match=f"owners: {MAX_OWNERS + 1} are more than {MAX_OWNERS}"):
        paid(dict.fromkeys(map(owner, range(MAX_OWNERS + 1)), 1), {}, PLAIN)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kappa_ppb": -1}, "policy.kappa_ppb"),
        ({"kappa_ppb": PPB + 1}, "policy.kappa_ppb"),
        ({"kappa_ppb": 0.5}, "policy.kappa_ppb"),
        ({"kappa_ppb": True}, "policy.kappa_ppb"),
        ({"flat_ppb": 1}, "policy.flat_ppb"),
        ({"cap_ppb": 0}, "policy.cap_ppb"),
        ({"minimum_positive_ppb": PPB + 1}, "policy.minimum_positive_ppb"),
        ({"pool": b""}, "policy.pool"),
        ({"pool": "f" * 32}, "policy.pool"),
    ],
)
def test_impossible_policies_are_refused_with_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(NumbersRefused) as caught:
        policy(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("quality_ppb", "kappa_ppb"),
    [(700_000_000, 490_000_000), (0, 0), (-PPB, 0), (PPB, PPB), (31_622, 0), (31_623, 1)],
)
def test_kappa_is_the_square_of_the_measured_quality(quality_ppb: int, kappa_ppb: int) -> None:
    assert kappa_of_quality(quality_ppb) == kappa_ppb


def test_a_quality_outside_its_range_is_refused() -> None:
    with pytest.raises(NumbersRefused, match="quality_ppb: 1000000001 is no integer"):
        kappa_of_quality(PPB + 1)
    with pytest.raises(NumbersRefused, match="x: None is no integer from 0 to 1"):
        check_integer("x", None, 0, 1)
