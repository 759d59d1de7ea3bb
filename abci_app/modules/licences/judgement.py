"""The judgement over joined terms: outcome, reason in words, and which two sources clash. Pure, no state.

Where sources leave a choice of licence, every combination is judged and the mildest outcome counts. Cost of `judge`:
combinations (at most 16) times the share-alike licences (at most 16) times the licences that one admits; `first_clash`
judges a dozen times for 48 items, without joining their sources.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, product
from typing import NamedTuple, TypeVar

from msgspec import structs

from abci_app.modules.licences.facts import is_own, onward_of, use_of
from abci_app.modules.licences.join import NOTHING_JOINED, RESTRICTING, limits_of
from abci_app.modules.licences.records import (
    Alternative,
    JoinedTerms,
    Outcome,
    Point,
    Profile,
    ShareAlike,
    Source,
    UseClass,
)
from abci_app.state.codec import encode
from abci_app.types import PPB
from abci_app.utc import utc_text

OUTBOUND_REMEMBERED = 1_024
T = TypeVar("T")
# Nobody can be let off these by silence: under the conservative profile an unstated one blocks. Attribution and notice
# can be given to be safe; approval has an outcome of its own.
_UNSTATED_WORDS = (
    (Point.TRAINING_BANNED, "training is allowed"),
    (Point.NO_DERIVATIVES, "derivatives are allowed"),
    (Point.SHARE_ALIKE, "derivatives must carry the same licence"),
    (Point.USE_CLASS, "commercial use is allowed"),
    (Point.REDISTRIBUTION_BANNED, "it may be passed on"),
    (Point.BEHAVIOURAL, "a list of uses that must not happen goes with it"),
    (Point.PRIVATE, "it is private"),
    (Point.OUTPUTS_BANNED, "its outputs may train models"),
)
_RESTRICTION_WORDS = (
    (Point.REDISTRIBUTION_BANNED, "it may not be passed on"),
    (Point.APPROVAL_REQUIRED, "approval is required"),
    (Point.BEHAVIOURAL, "a list of uses that must not happen"),
    (Point.PRIVATE, "it is private"),
    (Point.REVOCABLE, "it can be taken back"),
    (Point.OUTPUTS_RESTRICTED, "its outputs may not train models"),
    (Point.PATENT_CONDITIONS, "conditions on patents"),
    (Point.ADVERTISING_CLAUSE, "an advertising clause"),
)
_GPL_2 = ("GPL-1.0", "GPL-2.0", "LGPL-2")
_GNU = ("AGPL-", "GPL-", "LGPL-")


class Outbound(NamedTuple):
    """A licence that the result may carry: the widest use it grants, its own limits, and conditions it shuts out."""

    spdx: str
    text_digest: bytes
    use_class: int
    limits_hash: bytes
    refused: int


@lru_cache(maxsize=OUTBOUND_REMEMBERED)
def common_outbound(share_alike: tuple[ShareAlike, ...]) -> tuple[Outbound, ...]:
    """Licences that all of these share-alike licences admit for the result, sorted."""
    common: tuple[Outbound, ...] | None = None
    for licence in share_alike:
        admitted = _outbound_of(licence)
        common = admitted if common is None else tuple([each for each in common if each in admitted])
    return common or ()


@lru_cache(maxsize=OUTBOUND_REMEMBERED)
def _outbound_of(licence: ShareAlike) -> tuple[Outbound, ...]:
    """List the licences that one licence admits; few beside own licences exist, and own licences admit only
    themselves."""
    if is_own(licence.spdx):
        return (
            Outbound(
                spdx=licence.spdx,
                text_digest=licence.text_digest,
                use_class=licence.use_class,
                limits_hash=licence.limits_hash,
                refused=0,
            ),
        )
    return tuple(
        [
            Outbound(spdx=spdx, text_digest=b"", use_class=use_of(spdx), limits_hash=b"", refused=_refused_by(spdx))
            for spdx in sorted(onward_of(licence.spdx))
        ]
    )


def _refused_by(spdx: str) -> int:
    """Conditions that the table knows and a licence does not admit (FSF's list of incompatible licences)."""
    refused = Point.ADVERTISING_CLAUSE if spdx.startswith(_GNU) else 0
    later = spdx.partition(" WITH ")[0].endswith("-or-later")
    return refused | Point.PATENT_CONDITIONS if spdx.startswith(_GPL_2) and not later else refused


def admitted_outbound(joined: JoinedTerms) -> tuple[Outbound, ...]:
    """Outbound licences that also leave room for everything else that is demanded."""
    limits_hash = limits_of(joined, joined.demanded)
    outbound = common_outbound(joined.share_alike)
    return tuple([licence for licence in outbound if not _hindrance(licence, joined, limits_hash)])


def _hindrance(licence: Outbound, joined: JoinedTerms, limits_hash: bytes) -> str:
    """The first demand that an outbound licence leaves no room for, in words; empty if it leaves room for all."""
    if joined.use_class > licence.use_class != UseClass.UNKNOWN:
        return f"use is {UseClass(joined.use_class).name.lower().replace('_', '-')} only"
    if limits_hash != licence.limits_hash:
        return _limit_words(joined)
    refused = joined.demanded & licence.refused
    return next((words for point, words in _RESTRICTION_WORDS if refused & point), "")


def _limit_words(joined: JoinedTerms) -> str:
    for words, is_there in (
        ("a share of revenue", any(source.revenue_share_ppb for source in joined.sources)),
        ("an expiry", joined.expiry_seconds),
        ("fields of use", joined.limits_fields),
        ("excluded domains", joined.excluded_domains),
    ):
        if is_there:
            return words
    found = joined.demanded & RESTRICTING
    return next((words for point, words in _RESTRICTION_WORDS if found & point), "its own limits are not all there is")


def combinations_of(joined: JoinedTerms) -> list[tuple[tuple[Alternative, ...], JoinedTerms]]:
    """Each way to choose, with what it demands; the one way there is where no source leaves a choice."""
    found = []
    for chosen in product(*[choice.alternatives for choice in joined.choices]):
        use_class, demanded, unstated = joined.use_class, joined.demanded, joined.unstated
        share_alike = dict.fromkeys(joined.share_alike)
        for each in chosen:
            use_class = max(use_class, each.use_class)
            demanded |= each.demanded
            unstated |= each.unstated
            share_alike.update(dict.fromkeys(each.share_alike))
        combined = joined
        if chosen:
            combined = structs.replace(
                joined,
                use_class=use_class,
                demanded=demanded,
                unstated=unstated,
                share_alike=tuple(share_alike),
                choices=(),
            )
        found.append((chosen, combined))
    return found


def judge(joined: JoinedTerms, profile: int, time_seconds: int) -> tuple[Outcome, str]:
    """Outcome and its reason in words. Adding a source never makes the outcome milder."""
    best: tuple[Outcome, str] | None = None
    for _, combined in combinations_of(joined):
        verdict = _judge_one(combined, profile, time_seconds)
        if verdict[0] == Outcome.COMPATIBLE:
            return verdict
        if best is None or verdict[0] < best[0]:
            best = verdict
    return best or (Outcome.COMPATIBLE, "")


def choose(joined: JoinedTerms, profile: int, time_seconds: int) -> tuple[JoinedTerms, ...]:
    """List the demands under each choice that leads to the outcome of `judge`."""
    outcome, _ = judge(joined, profile, time_seconds)
    return tuple([each for _, each in combinations_of(joined) if _judge_one(each, profile, time_seconds)[0] == outcome])


def _judge_one(joined: JoinedTerms, profile: int, time_seconds: int) -> tuple[Outcome, str]:
    reason = _conflict(joined, profile, time_seconds)
    if reason:
        return Outcome.CONFLICT, reason
    wanting = joined.demanded | (joined.unstated if profile == Profile.CONSERVATIVE else 0)
    if joined.demanded & Point.APPROVAL_REQUIRED:
        return Outcome.NEEDS_APPROVAL, "an owner's approval is required"
    if joined.demanded & Point.OPT_OUT_RESERVED:
        return Outcome.NEEDS_APPROVAL, "an owner reserved text and data mining"
    if wanting & (Point.APPROVAL_REQUIRED | Point.OPT_OUT_RESERVED):
        return Outcome.NEEDS_APPROVAL, "terms do not say whether an owner's approval is needed"
    return Outcome.COMPATIBLE, ""


def _conflict(joined: JoinedTerms, profile: int, time_seconds: int) -> str:
    """Why nothing may be made from all of these together; empty if something may."""
    if joined.demanded & Point.NO_DERIVATIVES:
        return "derivatives are not allowed"
    if joined.demanded & Point.TRAINING_BANNED:
        return "training is not allowed"
    if joined.demanded & Point.OUTPUTS_BANNED:
        return "outputs of the model may not train other models"
    if joined.expiry_seconds and joined.expiry_seconds < time_seconds:
        return f"terms expired at {utc_text(joined.expiry_seconds)}"
    if joined.limits_fields and not joined.fields_of_use:
        return "the permitted fields of use have nothing in common"
    shares_ppb = sum([source.revenue_share_ppb for source in joined.sources])
    if shares_ppb > PPB:
        return f"revenue shares sum to {shares_ppb} of {PPB} parts"
    if joined.demanded & Point.SHARE_ALIKE:
        outbound = common_outbound(joined.share_alike)
        if not outbound:
            return "share-alike licences admit no common licence for the result"
        limits_hash = limits_of(joined, joined.demanded)
        hindrances = [_hindrance(licence, joined, limits_hash) for licence in outbound]
        if all(hindrances):
            # One of the licences that were given, where the result may carry it: readers do not know the others.
            given = [licence.spdx for licence in joined.share_alike]
            place = next((place for place, licence in enumerate(outbound) if licence.spdx in given), 0)
            licence, hindrance = outbound[place].spdx, hindrances[place]
            return f"a share-alike licence ({licence}) admits no further restrictions: {hindrance}"
    if profile == Profile.CONSERVATIVE:
        for point, words in _UNSTATED_WORDS:
            if joined.unstated & point:
                return f"terms do not say whether {words}"
    return ""


def first_clash(items: Sequence[JoinedTerms], profile: int, time_seconds: int) -> tuple[int, int, str] | None:
    """Positions of two items that clash, and why; the same position twice if one alone is the reason.

    Where only three or more together clash (revenue shares), the last of them is named with the last that it needs.
    More never loosens anything, so both are searched by halving: naming a clash costs a few judgements, however many
    items there are.
    """

    def reason_of(joined: JoinedTerms) -> str:
        outcome, reason = judge(joined, profile, time_seconds)
        return reason if outcome == Outcome.CONFLICT else ""

    # What the items up to each place demand together.
    gathered = list(accumulate(items, _gather, initial=NOTHING_JOINED))[1:]
    reason = reason_of(gathered[-1]) if gathered else ""
    if not reason:
        return None
    later = _least(len(items) - 1, lambda place: bool(reason_of(gathered[place])))
    item = items[later]
    alone_reason = reason_of(item)
    if alone_reason:
        return later, later, alone_reason
    earlier = _least(later - 1, lambda place: bool(reason_of(_gather(gathered[place], item))))
    if len(items) == 2:
        return earlier, later, reason
    return earlier, later, reason_of(_gather(items[earlier], item)) or reason_of(gathered[later])


def _least(known: int, holds: Callable[[int], bool]) -> int:
    """The smallest place up to `known`, where it holds, at which it holds; it holds at all places above that one."""
    low, high = 0, known
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _gather(left: JoinedTerms, right: JoinedTerms) -> JoinedTerms:
    """Gather the points of both that `judge` looks at: no jurisdictions, and only the sources that claim revenue."""
    fields_of_use = right.fields_of_use if not left.limits_fields else left.fields_of_use
    if left.limits_fields and right.limits_fields:
        fields_of_use = tuple([field for field in left.fields_of_use if field in right.fields_of_use])
    expiries = [seconds for seconds in (left.expiry_seconds, right.expiry_seconds) if seconds]
    return JoinedTerms(
        sources=_claiming(left.sources, right.sources),
        use_class=max(left.use_class, right.use_class),
        demanded=left.demanded | right.demanded,
        unstated=left.unstated | right.unstated,
        limits_fields=left.limits_fields | right.limits_fields,
        fields_of_use=fields_of_use,
        excluded_domains=_both(left.excluded_domains, right.excluded_domains),
        expiry_seconds=min(expiries) if expiries else 0,
        jurisdictions=(),
        behavioural_digests=_both(left.behavioural_digests, right.behavioural_digests),
        share_alike=_both(left.share_alike, right.share_alike),
        choices=_both(left.choices, right.choices),
    )


def _claiming(left: tuple[Source, ...], right: tuple[Source, ...]) -> tuple[Source, ...]:
    claiming = {source.terms_id: source for source in left if source.revenue_share_ppb}
    claiming.update({source.terms_id: source for source in right if source.revenue_share_ppb})
    return tuple(claiming.values())


def _both(left: tuple[T, ...], right: tuple[T, ...]) -> tuple[T, ...]:
    """All that is in either, each once, in the order of a set of sorted tuples."""
    if left == right or not right:
        return left
    return tuple(sorted(dict.fromkeys((*left, *right)), key=_place)) if left else right


def _place(item: object) -> bytes:
    return item.encode("ascii") if isinstance(item, str) else item if isinstance(item, bytes) else encode(item)
