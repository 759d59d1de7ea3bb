"""Shares: from scores of owners to parts per billion that sum exactly, in unbounded integers.

    p_o = sum of max(0, s_i) over the credited rows i of the owner        score_unit "row"
    p_o = max(0, sum of s_i over them)                                    score_unit "owner"
    share_o = kappa * p_o / sum(p) + flat * w_o / sum(w),     the rest, 1 - kappa - flat, goes to the pool
    capped at `cap`; what a cap cuts off goes to the owners below it in proportion to their shares

Rows are the unit unless the policy says otherwise: what one row earns then does not depend on whose name stands beside
other rows, so spreading rows over names, or gathering them, changes no total. Clipped by owner, noise of either sign
cancels within a name and not between names, and ten names earn what one cannot. Owners as the unit need their sums
alone, not the codes of all rows, to be checked.

One rounding at the very end: floor every share, hand out what is missing by largest remainder, ties by key, the pool
first. All steps before it are exact, so nobody's share depends on an order of evaluation.

The pool is the declared receiver of what is not explained by contributions. It also takes what no owner can: all of
it when nobody contributed, and what is left when every owner with a share is at the cap.

When the positive scores are too small a part of all (`minimum_positive_ppb`), the query says little about who helped:
the attribution part is then paid flat as well. The measure is a ratio because scores have no absolute unit: the
exponents of index and query would otherwise move the threshold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abci_app.integers import NumbersRefused, check_integer, is_integer
from abci_app.types import MAX_INTEGER, PPB

KEY_BYTES = 32
# Of the pool among owners; a pool that is also an owner gets both parts.
POOL_KEY = b""
# One line of a payout each; far beyond the contributors of any model, and an end to what must be sorted.
MAX_OWNERS = 2**17
# |owner sum| < 2**63, |code| < 2**15, at most 2**18 codes.
MAX_SCORE = 2**96
ROW, OWNER = "row", "owner"
SCORE_UNITS = (ROW, OWNER)


@dataclass(frozen=True, slots=True)
class PayoutPolicy:
    """How scores become payouts; fixed when the model is registered. All in parts per billion, `pool` an address.

    kappa_ppb               part paid by attribution: see `kappa_of_quality`
    flat_ppb                part paid by flat weights (accepted rows); the rest to one goes to the pool
    cap_ppb                 most that one owner can get of one query; PPB is no cap
    minimum_positive_ppb    least part of sum(|scores|) that must be positive, else the attribution part is paid flat
    score_unit              what negative scores are clipped for, rows or owners
    """

    kappa_ppb: int
    flat_ppb: int
    cap_ppb: int
    minimum_positive_ppb: int
    pool: bytes
    score_unit: str = ROW

    def __post_init__(self) -> None:
        """Raises `NumbersRefused`."""
        for field, low in (("kappa_ppb", 0), ("flat_ppb", 0), ("cap_ppb", 1), ("minimum_positive_ppb", 0)):
            check_integer(f"policy.{field}", getattr(self, field), low, PPB)
        if self.kappa_ppb + self.flat_ppb > PPB:
            raise NumbersRefused("policy.flat_ppb", f"together with kappa_ppb it exceeds {PPB}: lower one of them")
        check_key("policy.pool", self.pool)
        if self.score_unit not in SCORE_UNITS:
            raise NumbersRefused("policy.score_unit", f"must be {' or '.join(SCORE_UNITS)}")


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts per billion of every owner, by key, and of the pool; together PPB exactly.

    `attribution_used` says whether scores decided over the attribution part or it was paid flat.
    """

    by_owner: tuple[tuple[bytes, int], ...]
    unexplained_ppb: int
    attribution_used: bool

    def of(self, owner: bytes) -> int:
        """Share of one owner, 0 for a stranger."""
        return dict(self.by_owner).get(owner, 0)


def kappa_of_quality(quality_ppb: int) -> int:
    """kappa = LDS**2 in parts per billion, rounded down, from a contributor-LDS in parts per billion.

    The square of a rank correlation is the part of the variation that it accounts for; below zero counts as zero.
    """
    check_integer("quality_ppb", quality_ppb, -PPB, PPB)
    return max(0, quality_ppb) ** 2 // PPB


def largest_remainder(weights: Sequence[int], keys: Sequence[bytes], total: int) -> tuple[int, ...]:
    """Split `total` in proportion to non-negative weights: floors, then one each by largest remainder, ties by key.

    The parts sum to `total` exactly, and each differs from its exact part by less than one. Keys must be distinct.
    Raises `NumbersRefused`, also when all weights are zero and there is something to split.
    """
    if len(weights) != len(keys):
        raise NumbersRefused("keys", f"{len(keys)} keys for {len(weights)} weights")
    if len(set(keys)) != len(keys):
        raise NumbersRefused("keys", "a key appears twice: ties would have no order")
    check_integer("total", total, 0, MAX_INTEGER)
    for weight in weights:
        if type(weight) is not int or weight < 0:
            raise NumbersRefused("weights", f"{weight!r} is no non-negative integer")
    mass = sum(weights)
    if not mass:
        if total:
            raise NumbersRefused("weights", f"all {len(weights)} are zero: nothing says how to split {total}")
        return (0,) * len(weights)
    split = [divmod(total * weight, mass) for weight in weights]
    parts = [part for part, _ in split]
    remainders = [remainder for _, remainder in split]
    # Sorting is stable, backwards too: by key first, so that ties of the remainders stay in that order.
    order = sorted(range(len(weights)), key=keys.__getitem__)
    order.sort(key=remainders.__getitem__, reverse=True)
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Credit:
    """Sums over an owner's rows: `positive` is p_o of the formula above, `absolute` the same with |s| for max(0, s)."""

    positive: int
    absolute: int

    @classmethod
    def of(cls, scores: Iterable[int]) -> "Credit":
        """Sum scores that are clipped one by one."""
        positive = negative = 0
        for score in scores:
            if score > 0:
                positive += score
            else:
                negative -= score
        return cls(positive, positive + negative)


def credits_of(scores_by_owner: Mapping[bytes, Sequence[int]], score_unit: str) -> dict[bytes, Credit]:
    """Credits from the scores of every owner's rows, or from one sum an owner where owners are the unit."""
    if score_unit == OWNER:
        return {owner: Credit.of([sum(scores)]) for owner, scores in scores_by_owner.items()}
    return {owner: Credit.of(scores) for owner, scores in scores_by_owner.items()}


def payout_shares(
    credits_by_owner: Mapping[bytes, Credit], flat_weights_by_owner: Mapping[bytes, int], policy: PayoutPolicy
) -> Shares:
    """Shares of all owners in either mapping, by the formula above.

    Without flat weights the flat part goes to the pool. Raises `NumbersRefused`.
    """
    owners = sorted({*credits_by_owner, *flat_weights_by_owner})
    _check_owners(owners, credits_by_owner, flat_weights_by_owner)
    nothing = Credit(0, 0)
    positive = [credits_by_owner.get(owner, nothing).positive for owner in owners]
    flat = [flat_weights_by_owner.get(owner, 0) for owner in owners]
    by_score, by_flat = sum(positive), sum(flat)
    absolute = sum(credit.absolute for credit in credits_by_owner.values())
    used = by_score > 0 and by_score * PPB >= policy.minimum_positive_ppb * absolute
    kappa = policy.kappa_ppb if used else 0
    flat_part = policy.flat_ppb + policy.kappa_ppb - kappa if by_flat else 0
    # Over the common denominator score_mass * flat_mass * PPB, so that shares are integers until the last step.
    score_mass, flat_mass = by_score or 1, by_flat or 1
    weights = [
        kappa * score * flat_mass + flat_part * weight * score_mass
        for score, weight in zip(positive, flat, strict=True)
    ]
    parts = _capped(weights, owners, score_mass * flat_mass * PPB, policy)
    return Shares(tuple(zip(owners, parts, strict=True)), PPB - sum(parts), used)


def _capped(weights: list[int], owners: list[bytes], whole: int, policy: PayoutPolicy) -> list[int]:
    """Integer shares of owners in increasing order, none above the cap; weights are shares over denominator `whole`.

    Going down from the largest: an owner is capped while its part of what is left, scaled up by what the caps cut
    off, exceeds the cap. In units of 1/(whole * PPB), so that the cap is an integer.
    """
    cap, left, below = policy.cap_ppb * whole, sum(weights) * PPB, sum(weights)
    parts = [0] * len(owners)
    capped: set[int] = set()
    for index in sorted(range(len(owners)), key=weights.__getitem__, reverse=True):
        if left * weights[index] <= cap * below:
            break
        parts[index] = policy.cap_ppb
        capped.add(index)
        left -= cap
        below -= weights[index]
    free = [index for index in range(len(owners)) if index not in capped]
    pool = whole * PPB - len(capped) * cap - (left if below else 0)
    # A capped share is an integer already; the others and the pool split what remains of PPB.
    remainders = [left * weights[index] for index in free] + [pool * (below or 1)]
    keys = [owners[index] for index in free] + [POOL_KEY]
    split = largest_remainder(remainders, keys, PPB - len(capped) * policy.cap_ppb)
    for index, part in zip(free, split, strict=False):
        parts[index] = part
    return parts


def _check_owners(owners: list[bytes], known: Mapping[bytes, Credit], flat_weights: Mapping[bytes, int]) -> None:
    if len(owners) > MAX_OWNERS:
        raise NumbersRefused("owners", f"{len(owners)} are more than {MAX_OWNERS}")
    for owner in owners:
        check_key("owners", owner)
    # Names of fields cost more than the comparisons: they are made for what is wrong alone.
    for owner, credit in known.items():
        if not (is_integer(credit.absolute, 0, MAX_SCORE) and is_integer(credit.positive, 0, credit.absolute)):
            check_integer(f"credits.{owner.hex()}.absolute", credit.absolute, 0, MAX_SCORE)
            check_integer(f"credits.{owner.hex()}.positive", credit.positive, 0, credit.absolute)
    for owner, weight in flat_weights.items():
        if not is_integer(weight, 0, MAX_INTEGER):
            check_integer(f"flat_weights.{owner.hex()}", weight, 0, MAX_INTEGER)


def check_key(field: str, value: Any) -> None:
    """32 bytes; raises `NumbersRefused`."""
    if type(value) is not bytes or len(value) != KEY_BYTES:
        raise NumbersRefused(field, f"must be {KEY_BYTES} bytes, not {value!r:.80}")
