"""Terms and their join: under what conditions a thing made from several things may be used. Pure, no state.

A `Terms` record says what one source demands. `JoinedTerms` says what several demand together; `join` is a
semilattice operation: commutative, associative, idempotent, and adding an input never loosens anything. `judge` then
says, under a policy profile and at a time, whether the whole is compatible, needs somebody's approval, or clashes.

| part | joined by |
|---|---|
| use class | the strictest (any < non-commercial < research) |
| duties and bans (attribution ... opt-out) | union |
| what a source does not say | union: unknown stays unknown |
| fields of use that are permitted | intersection; no limit given = every field |
| excluded domains, jurisdictions | union |
| expiry | the earliest |
| revenue shares | sum over the different terms records, at most 100 % |
| share-alike | the outbound licences that all share-alike sources admit |

An advisory computation over declared terms, not legal advice.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Annotated, TypeVar

from msgspec import Meta

from abci_app.state.codec import Record
from abci_app.types import PPB, PRINTABLE, U32, Bytes32, Flag, Label, OptionalBytes32, Ppb, Seconds, Text, words
from abci_app.utc import utc_text

# Fields and domains are a vocabulary, not prose: a list longer than this is a text and belongs behind its digest.
MAX_LABELS = 16
MAX_SPDX_LENGTH = 128
MAX_JURISDICTION_LENGTH = 32
# Different terms records under one model, and what they may name together. Terms are shared (most data comes under a
# few dozen licences); the bounds keep the joined record, which every lineage answer carries and every entry can bring
# anew into the state, below 8 KB.
MAX_SOURCES = 64
MAX_JOINED_LABELS = 64
MAX_JOINED_JURISDICTIONS = 32
# Outbound licences that one share-alike source admits: itself and what the one-way table adds.
MAX_OUTBOUND = 8
# Terms are few beside the runs that join them.
LIFTED_TERMS_REMEMBERED = 4_096

T = TypeVar("T")
Spdx = Annotated[str, Meta(max_length=MAX_SPDX_LENGTH, pattern=PRINTABLE)]
Jurisdiction = Annotated[str, Meta(max_length=MAX_JURISDICTION_LENGTH, pattern=PRINTABLE)]
Labels = Annotated[tuple[Label, ...], Meta(max_length=MAX_LABELS)]


class Stated(IntEnum):
    """What terms say about one point."""

    UNKNOWN = 0
    NO = 1
    YES = 2


TriState = Annotated[int, Meta(ge=0, le=2), words(Stated)]


class UseClass(IntEnum):
    """What the material may be used for; a larger number is stricter, 0 is not stated."""

    UNKNOWN = 0
    ANY = 1
    NON_COMMERCIAL = 2
    RESEARCH = 3


class Terms(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Machine-readable terms of a source. Points are 0 unknown, 1 no, 2 yes; digests may be empty."""

    # How people call these terms, such as "CC BY-SA 4.0".
    name: Text
    # SPDX licence expression; "LicenseRef-..." for one's own, empty where there is none.
    spdx: Spdx
    use_class: Annotated[int, Meta(ge=0, le=3), words(UseClass)]
    attribution: TriState
    share_alike: TriState
    no_derivatives: TriState
    # Yes: models may be trained on the material.
    training: TriState
    # Yes: the material itself, or a model made from it, may be passed on.
    redistribution: TriState
    # Yes: each use needs the owner's consent.
    approval_required: TriState
    # Yes: a list of uses that must not happen is passed on with the model (its text behind `behavioural_digest`).
    behavioural: TriState
    private: TriState
    # Yes: the owner reserved text and data mining (such as article 4(3) of EU directive 2019/790).
    opt_out_reserved: TriState
    # Permitted fields of use, sorted; empty = every field.
    fields_of_use: Labels
    # Domains in which use is excluded, sorted.
    excluded_domains: Labels
    text_digest: OptionalBytes32
    behavioural_digest: OptionalBytes32
    # Share of what a model earns that these terms claim.
    revenue_share_ppb: Ppb
    # Unix time after which nothing new may be made from the material; 0 = never.
    expiry_seconds: Seconds
    jurisdiction: Jurisdiction


class Source(Record, frozen=True, array_like=True, gc=False):
    """One terms record among joined ones, with its revenue share."""

    terms_id: Bytes32
    revenue_share_ppb: Ppb


class Outbound(Record, frozen=True, array_like=True, gc=False):
    """A licence that the result may carry: the widest use it grants, and whether it lets restrictions be added."""

    spdx: Spdx
    use_class: Annotated[int, Meta(ge=0, le=3), words(UseClass)]
    admits_restrictions: Flag


class JoinedTerms(Record, frozen=True, array_like=True, tag=1, gc=False):
    """What several terms demand together; computed by consensus, content-addressed, never written by hand."""

    # Every terms record joined here, ascending.
    sources: Annotated[tuple[Source, ...], Meta(max_length=MAX_SOURCES)]
    # Strictest use class that a source states; 0 if none states one.
    use_class: Annotated[int, Meta(ge=0, le=3), words(UseClass)]
    # Bit sets of `Point`: what some source demands, and what some source leaves open.
    demanded: U32
    unstated: U32
    # Permitted fields of use if `limits_fields`, else every field.
    limits_fields: Flag
    fields_of_use: Labels
    excluded_domains: Annotated[tuple[Label, ...], Meta(max_length=MAX_JOINED_LABELS)]
    expiry_seconds: Seconds
    jurisdictions: Annotated[tuple[Jurisdiction, ...], Meta(max_length=MAX_JOINED_JURISDICTIONS)]
    # Licences that all share-alike sources admit for the result, sorted; meaningful if SHARE_ALIKE is demanded.
    outbound: Annotated[tuple[Outbound, ...], Meta(max_length=MAX_OUTBOUND)]


class Point(IntEnum):
    """Bits of `JoinedTerms.demanded` and `.unstated`; each is a duty or a ban, so that more bits are stricter."""

    ATTRIBUTION = 1
    SHARE_ALIKE = 2
    NO_DERIVATIVES = 4
    TRAINING_BANNED = 8
    REDISTRIBUTION_BANNED = 16
    APPROVAL_REQUIRED = 32
    BEHAVIOURAL = 64
    PRIVATE = 128
    OPT_OUT_RESERVED = 256
    # Only in `unstated`.
    USE_CLASS = 512


class Outcome(IntEnum):
    """Result of a licence check."""

    COMPATIBLE = 1
    NEEDS_APPROVAL = 2
    CONFLICT = 3


class Profile(IntEnum):
    """How unstated points are judged (chain parameter `licence_policy`)."""

    CONSERVATIVE = 1
    PERMISSIVE = 2


class TooManySources(ValueError):
    """More different terms records, excluded domains or jurisdictions under one thing than can be joined."""


# Licences under which a work built on share-alike material may be passed on, beside the material's own. One way only.
# CC BY-SA 4.0: creativecommons.org/compatible-licenses (Free Art License 1.3 both ways, GPLv3 one way).
# CC BY-SA 3.0 and BY-NC-SA 3.0, section 4(b): a later version with the same elements.
# Free Art License 1.3, article 5: CC BY-SA 4.0 by the agreement on that list.
# GPL "or later": any later version; GPLv3 section 13: combination with AGPLv3.
# LGPL 2.1 section 3: GPL version 2 or newer; LGPL 3 section 2b: GPL version 3.
# MPL 2.0 section 1.12: GPL 2.0, LGPL 2.1 and AGPL 3.0, each or later. EUPL 1.2: its appendix (some of it).
_SHARE_ALIKE: Mapping[str, tuple[str, ...]] = {
    "CC-BY-SA-3.0": ("CC-BY-SA-4.0",),
    "CC-BY-SA-4.0": ("GPL-3.0-only", "LAL-1.3"),
    "CC-BY-NC-SA-3.0": ("CC-BY-NC-SA-4.0",),
    "CC-BY-NC-SA-4.0": (),
    "LAL-1.3": ("CC-BY-SA-4.0",),
    "GPL-2.0-only": (),
    "GPL-2.0-or-later": ("AGPL-3.0-only", "GPL-2.0-only", "GPL-3.0-only", "GPL-3.0-or-later"),
    "GPL-3.0-only": ("AGPL-3.0-only",),
    "GPL-3.0-or-later": ("AGPL-3.0-only", "GPL-3.0-only"),
    "AGPL-3.0-only": (),
    "AGPL-3.0-or-later": ("AGPL-3.0-only",),
    "LGPL-2.1-only": ("GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later"),
    "LGPL-3.0-only": ("AGPL-3.0-only", "GPL-3.0-only"),
    "MPL-2.0": ("AGPL-3.0-only", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later",
                "LGPL-2.1-only"),
    "EUPL-1.2": ("AGPL-3.0-only", "GPL-2.0-only", "GPL-3.0-only", "LGPL-2.1-only", "LGPL-3.0-only", "MPL-2.0"),
    "ODbL-1.0": (),
    "CDLA-Sharing-1.0": (),
}  # fmt: skip
_NON_COMMERCIAL = frozenset(("CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0"))
# Nobody can be let off these by silence: under the conservative profile an unstated one blocks.
_CRITICAL = Point.NO_DERIVATIVES | Point.TRAINING_BANNED | Point.SHARE_ALIKE | Point.USE_CLASS
_UNSTATED_WORDS = (
    (Point.TRAINING_BANNED, "training is allowed"),
    (Point.NO_DERIVATIVES, "derivatives are allowed"),
    (Point.SHARE_ALIKE, "derivatives must carry the same licence"),
    (Point.USE_CLASS, "commercial use is allowed"),
)
NOTHING_JOINED = JoinedTerms((), 0, 0, 0, 0, (), (), 0, (), ())


@lru_cache(maxsize=LIFTED_TERMS_REMEMBERED)
def lift(terms_id: bytes, terms: Terms) -> JoinedTerms:
    """The joined form of one terms record."""
    points = (
        (Point.ATTRIBUTION, terms.attribution, Stated.YES),
        (Point.SHARE_ALIKE, terms.share_alike, Stated.YES),
        (Point.NO_DERIVATIVES, terms.no_derivatives, Stated.YES),
        (Point.TRAINING_BANNED, terms.training, Stated.NO),
        (Point.REDISTRIBUTION_BANNED, terms.redistribution, Stated.NO),
        (Point.APPROVAL_REQUIRED, terms.approval_required, Stated.YES),
        (Point.BEHAVIOURAL, terms.behavioural, Stated.YES),
        (Point.PRIVATE, terms.private, Stated.YES),
        (Point.OPT_OUT_RESERVED, terms.opt_out_reserved, Stated.YES),
    )
    demanded = sum([int(point) for point, stated, strict in points if stated == strict])
    unstated = sum([int(point) for point, stated, _ in points if stated == Stated.UNKNOWN])
    # A licence to train lifts the owner's own reservation.
    if terms.training == Stated.YES:
        demanded &= ~Point.OPT_OUT_RESERVED
        unstated &= ~Point.OPT_OUT_RESERVED
    if terms.use_class == UseClass.UNKNOWN:
        unstated |= Point.USE_CLASS
    return JoinedTerms(
        (Source(terms_id, terms.revenue_share_ppb),),
        terms.use_class,
        demanded,
        unstated,
        int(bool(terms.fields_of_use)),
        terms.fields_of_use,
        terms.excluded_domains,
        terms.expiry_seconds,
        (terms.jurisdiction,) if terms.jurisdiction else (),
        _outbound_of(terms) if demanded & Point.SHARE_ALIKE else (),
    )


def _outbound_of(terms: Terms) -> tuple[Outbound, ...]:
    """Licences that share-alike terms admit for the result; unlisted ones admit only themselves, as declared."""
    others = _SHARE_ALIKE.get(terms.spdx)
    if others is None:
        restricted = terms.behavioural == Stated.YES or terms.fields_of_use or terms.excluded_domains
        return (Outbound(terms.spdx, terms.use_class, int(bool(restricted))),)
    return tuple(
        [
            Outbound(spdx, UseClass.NON_COMMERCIAL if spdx in _NON_COMMERCIAL else UseClass.ANY, 0)
            for spdx in sorted((terms.spdx, *others))
        ]
    )


def join(left: JoinedTerms, right: JoinedTerms) -> JoinedTerms:
    """Demands of both. Commutative, associative, idempotent. Raises `TooManySources`."""
    if left == right:
        return left
    sources = _union(left.sources, right.sources)
    excluded_domains = _union(left.excluded_domains, right.excluded_domains)
    jurisdictions = _union(left.jurisdictions, right.jurisdictions)
    for what, found, limit in (
        ("terms records", len(sources), MAX_SOURCES),
        ("excluded domains", len(excluded_domains), MAX_JOINED_LABELS),
        ("jurisdictions", len(jurisdictions), MAX_JOINED_JURISDICTIONS),
    ):
        if found > limit:
            raise TooManySources(f"{found} different {what} meet, at most {limit} can be joined")
    fields_of_use = right.fields_of_use if not left.limits_fields else left.fields_of_use
    if left.limits_fields and right.limits_fields:
        fields_of_use = tuple([field for field in left.fields_of_use if field in right.fields_of_use])
    outbound = right.outbound if not left.demanded & Point.SHARE_ALIKE else left.outbound
    if left.demanded & right.demanded & Point.SHARE_ALIKE:
        outbound = tuple([licence for licence in left.outbound if licence in right.outbound])
    expiries = [seconds for seconds in (left.expiry_seconds, right.expiry_seconds) if seconds]
    return JoinedTerms(
        sources,
        max(left.use_class, right.use_class),
        left.demanded | right.demanded,
        left.unstated | right.unstated,
        left.limits_fields | right.limits_fields,
        fields_of_use,
        excluded_domains,
        min(expiries) if expiries else 0,
        jurisdictions,
        outbound,
    )


def _union(left: tuple[T, ...], right: tuple[T, ...]) -> tuple[T, ...]:
    """Both, sorted, each once; inputs are sorted already, and mostly one holds the other."""
    if left == right or not right:
        return left
    return tuple(sorted({**dict.fromkeys(left), **dict.fromkeys(right)}, key=_place)) if left else right


def _place(item: object) -> bytes | str:
    """Sort key: a source's terms id, a text itself."""
    return item.terms_id if isinstance(item, Source) else str(item)


def join_all(items: Sequence[JoinedTerms]) -> JoinedTerms:
    """Demands of all; nothing for none."""
    joined = NOTHING_JOINED
    for item in items:
        joined = join(joined, item)
    return joined


def admitted_outbound(joined: JoinedTerms) -> tuple[Outbound, ...]:
    """Outbound licences that also leave room for what the other sources demand."""
    restricts = bool(joined.limits_fields or joined.excluded_domains or joined.demanded & Point.BEHAVIOURAL)
    return tuple(
        [
            licence
            for licence in joined.outbound
            if licence.use_class >= joined.use_class and (licence.admits_restrictions or not restricts)
        ]
    )


def judge(joined: JoinedTerms, profile: int, time_seconds: int) -> tuple[Outcome, str]:
    """Outcome and its reason in words. Adding a source never makes the outcome milder."""
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
    if joined.expiry_seconds and joined.expiry_seconds < time_seconds:
        return f"terms expired at {utc_text(joined.expiry_seconds)}"
    if joined.limits_fields and not joined.fields_of_use:
        return "the permitted fields of use have nothing in common"
    shares_ppb = sum([source.revenue_share_ppb for source in joined.sources])
    if shares_ppb > PPB:
        return f"revenue shares sum to {shares_ppb} of {PPB} parts"
    if joined.demanded & Point.SHARE_ALIKE and not joined.outbound:
        return "share-alike licences admit no common licence for the result"
    if joined.demanded & Point.SHARE_ALIKE and not admitted_outbound(joined):
        return f"a share-alike licence ({joined.outbound[0].spdx}) admits no further restrictions"
    if profile == Profile.CONSERVATIVE and joined.unstated & _CRITICAL:
        words = [text for point, text in _UNSTATED_WORDS if joined.unstated & point]
        return f"terms do not say whether {words[0]}"
    return ""


def first_clash(items: Sequence[JoinedTerms], profile: int, time_seconds: int) -> tuple[int, int, str] | None:
    """Positions of two items that clash, and why; the same position twice if one alone is the reason.

    Where only three or more together clash (revenue shares), the last of them is named with the one before it.
    """
    joined = NOTHING_JOINED
    for later, item in enumerate(items):
        joined = join(joined, item)
        outcome, reason = judge(joined, profile, time_seconds)
        if outcome != Outcome.CONFLICT:
            continue
        alone, alone_reason = judge(item, profile, time_seconds)
        if alone == Outcome.CONFLICT:
            return later, later, alone_reason
        for earlier in range(later):
            pair, pair_reason = judge(join(items[earlier], item), profile, time_seconds)
            if pair == Outcome.CONFLICT:
                return earlier, later, pair_reason
        return later - 1, later, reason
    return None
