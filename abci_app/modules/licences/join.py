"""The join of terms: under what conditions a thing made from several things may be used. Pure, no state.

A `Terms` record says what one source demands. `JoinedTerms` says what several demand together; the join is a
semilattice operation: commutative, associative, idempotent, and adding an input never loosens anything. `judge` (in
judgement.py) then says, under a policy profile and at a time, whether the whole is compatible.

| part | joined by |
|---|---|
| use class | the strictest (any < non-commercial < research) |
| duties and bans (attribution ... revocable), conditions out of the table | union |
| what a source does not say | union: unknown stays unknown |
| fields of use that are permitted | intersection; no limit given = every field |
| excluded domains, jurisdictions, behavioural lists | union |
| expiry | the earliest |
| revenue shares | kept a terms record; judged by their sum |
| share-alike licences | union; judged by the licences that all of them admit |
| choices (OR) | union of the choices; judged by the best combination |

Cost: `join_all` is linear in the sources, labels and lists that its items name together, plus one sort of each result.
An advisory computation over declared terms, not legal advice.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

from msgspec import structs

from abci_app.hashing import sha256
from abci_app.modules.licences.expression import read
from abci_app.modules.licences.facts import answers_of, is_own, settled_fields, use_of
from abci_app.modules.licences.records import (
    MAX_BEHAVIOURAL_LISTS,
    MAX_CHOICES,
    MAX_COMBINATIONS,
    MAX_JOINED_JURISDICTIONS,
    MAX_JOINED_LABELS,
    MAX_SHARE_ALIKE,
    MAX_SOURCES,
    POINTS,
    Alternative,
    Choice,
    JoinedTerms,
    Point,
    ShareAlike,
    Source,
    Stated,
    Terms,
    UseClass,
)
from abci_app.state.codec import encode

# Terms are few beside the runs that join them.
LIFTED_TERMS_REMEMBERED = 4_096
# Points that limit what a receiver may do: a share-alike licence admits none that it does not make itself.
RESTRICTING = (
    Point.REDISTRIBUTION_BANNED
    | Point.APPROVAL_REQUIRED
    | Point.BEHAVIOURAL
    | Point.PRIVATE
    | Point.REVOCABLE
    | Point.OUTPUTS_RESTRICTED
)
NOTHING_JOINED = JoinedTerms(
    sources=(),
    use_class=0,
    demanded=0,
    unstated=0,
    limits_fields=0,
    fields_of_use=(),
    excluded_domains=(),
    expiry_seconds=0,
    jurisdictions=(),
    behavioural_digests=(),
    share_alike=(),
    choices=(),
)
T = TypeVar("T")


class TooManySources(ValueError):
    """More different terms records, labels, lists or choices under one thing than can be joined."""


@lru_cache(maxsize=LIFTED_TERMS_REMEMBERED)
def lift(terms_id: bytes, terms: Terms) -> JoinedTerms:
    """The joined form of one terms record."""
    common = structs.replace(
        NOTHING_JOINED,
        sources=(Source(terms_id, terms.revenue_share_ppb),),
        limits_fields=int(bool(terms.fields_of_use)),
        fields_of_use=terms.fields_of_use,
        excluded_domains=terms.excluded_domains,
        expiry_seconds=terms.expiry_seconds,
        jurisdictions=(terms.jurisdiction,) if terms.jurisdiction else (),
        behavioural_digests=(terms.behavioural_digest,) if terms.behavioural_digest else (),
    )
    alternatives = read(terms.spdx)
    settled = settled_fields(alternatives)
    weighed = _without_dominated([_alternative_of(terms, common, licences, settled) for licences in alternatives])
    if len(weighed) == 1:
        return structs.replace(
            common,
            use_class=weighed[0].use_class,
            demanded=weighed[0].demanded,
            unstated=weighed[0].unstated,
            share_alike=weighed[0].share_alike,
        )
    uses = [each.use_class for each in weighed]
    demanded, unstated = weighed[0].demanded, weighed[0].unstated
    for each in weighed:
        demanded &= each.demanded
        unstated &= each.unstated
    # Share-alike is judged for each alternative: which licence is meant depends on the choice.
    return structs.replace(
        common,
        use_class=min(uses),
        demanded=demanded & ~Point.SHARE_ALIKE,
        unstated=unstated,
        choices=(Choice(tuple(weighed)),),
    )


def _alternative_of(
    terms: Terms, common: JoinedTerms, licences: tuple[str, ...], settled: frozenset[str]
) -> Alternative:
    """Work out one alternative's demands: the answers of its licences, and the terms' own where these leave them open.

    In `settled` fields the terms repeat what another alternative says, and tell nothing of this one.
    """
    use, answers, demanded = answers_of(licences) if licences else (0, dict.fromkeys(POINTS, Stated.UNKNOWN), 0)
    unstated = 0
    for name, (point, strict) in POINTS.items():
        stated = answers[name] or (Stated.UNKNOWN if name in settled else getattr(terms, name))
        if stated == strict:
            demanded |= point
        elif stated == Stated.UNKNOWN:
            unstated |= point
    # A licence to train lifts the owner's own reservation.
    if not (demanded | unstated) & Point.TRAINING_BANNED:
        demanded &= ~Point.OPT_OUT_RESERVED
        unstated &= ~Point.OPT_OUT_RESERVED
    if use == UseClass.UNKNOWN:
        own = UseClass.UNKNOWN if "use_class" in settled else terms.use_class
        use = max([own, *[use_of(licence) for licence in licences]])
        if own == UseClass.UNKNOWN:
            unstated |= Point.USE_CLASS
    share_alike: tuple[ShareAlike, ...] = ()
    if demanded & Point.SHARE_ALIKE:
        share_alike = _share_alike_of(terms, common, licences, use, demanded)
    return Alternative(
        spdx=" AND ".join(licences), use_class=use, demanded=demanded, unstated=unstated, share_alike=share_alike
    )


def _share_alike_of(
    terms: Terms, common: JoinedTerms, licences: tuple[str, ...], use: int, demanded: int
) -> tuple[ShareAlike, ...]:
    """The licences among these that are share-alike; own words carry what they demand themselves."""
    found = []
    for licence in licences or (terms.spdx,):
        if not is_own(licence):
            if answers_of((licence,))[1]["share_alike"] == Stated.YES:
                found.append(ShareAlike(spdx=licence, text_digest=b"", use_class=0, limits_hash=b""))
        elif not [each for each in licences if answers_of((each,))[1]["share_alike"] == Stated.YES]:
            # Beside a known share-alike licence, own words are a further demand, not a licence to pass on under.
            found.append(
                ShareAlike(
                    spdx=licence, text_digest=terms.text_digest, use_class=use, limits_hash=limits_of(common, demanded)
                )
            )
    return tuple(sorted(found, key=_share_alike_place))


def limits_of(joined: JoinedTerms, demanded: int) -> bytes:
    """Hash of every limit that terms put on a receiver beside the use class; empty where they put none."""
    limits = (
        joined.limits_fields,
        joined.fields_of_use,
        joined.excluded_domains,
        joined.expiry_seconds,
        joined.behavioural_digests,
        sum([source.revenue_share_ppb for source in joined.sources]),
        demanded & RESTRICTING,
    )
    return sha256(encode(limits)) if any(limits) else b""


def _without_dominated(alternatives: list[Alternative]) -> list[Alternative]:
    """Alternatives that are not at least as strict as another one in everything."""
    kept: list[Alternative] = []
    for item in alternatives:
        if not any(_is_milder(other, item) for other in kept):
            kept = [other for other in kept if not _is_milder(item, other)] + [item]
    return kept


def _is_milder(left: Alternative, right: Alternative) -> bool:
    """Whether everybody who may use the right one may use the left one as well."""
    return (
        left.use_class <= right.use_class
        and left.demanded & ~right.demanded == 0
        and left.unstated & ~right.unstated == 0
        and all(licence in right.share_alike for licence in left.share_alike)
    )


def join(left: JoinedTerms, right: JoinedTerms) -> JoinedTerms:
    """Demands of both. Commutative, associative, idempotent. Raises `TooManySources`."""
    return join_all((left, right))


def join_all(items: Sequence[JoinedTerms]) -> JoinedTerms:
    """Demands of all, nothing for none; one pass over what they name. Raises `TooManySources`."""
    different = [item for place, item in enumerate(items) if item not in items[:place]]
    if len(different) == 1:
        return different[0]
    use_class = demanded = unstated = limits_fields = 0
    fields_of_use: tuple[str, ...] = ()
    expiries = []
    for item in different:
        use_class = max(use_class, item.use_class)
        demanded |= item.demanded
        unstated |= item.unstated
        if item.limits_fields:
            fields_of_use = _common(fields_of_use, item.fields_of_use) if limits_fields else item.fields_of_use
            limits_fields = 1
        if item.expiry_seconds:
            expiries.append(item.expiry_seconds)
    sources = {source.terms_id: source for item in different for source in item.sources}
    joined = JoinedTerms(
        sources=tuple([sources[terms_id] for terms_id in sorted(sources)]),
        use_class=use_class,
        demanded=demanded,
        unstated=unstated,
        limits_fields=limits_fields,
        fields_of_use=fields_of_use,
        excluded_domains=_union([item.excluded_domains for item in different]),
        expiry_seconds=min(expiries) if expiries else 0,
        jurisdictions=_union([item.jurisdictions for item in different]),
        behavioural_digests=_union([item.behavioural_digests for item in different]),
        share_alike=_union([item.share_alike for item in different], _share_alike_place),
        choices=_union([item.choices for item in different], encode),
    )
    _check_limits(joined)
    return joined


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([item for item in left if item in right])


def _union(parts: Iterable[tuple[T, ...]], place: Callable[[T], bytes | str] | None = None) -> tuple[T, ...]:
    """All that is in the parts, sorted, each once; mostly one part is all."""
    found = dict.fromkeys([part for part in parts if part])
    if len(found) <= 1:
        return next(iter(found), ())
    items = dict.fromkeys([item for part in found for item in part])
    return tuple(sorted(items, key=place))  # type: ignore[type-var,arg-type]  # without a place, T is text or bytes


def _share_alike_place(licence: ShareAlike) -> bytes:
    return encode(licence)


def _check_limits(joined: JoinedTerms) -> None:
    combinations = 1
    for choice in joined.choices:
        combinations *= len(choice.alternatives)
    for what, found, limit in (
        ("terms records", len(joined.sources), MAX_SOURCES),
        ("excluded domains", len(joined.excluded_domains), MAX_JOINED_LABELS),
        ("jurisdictions", len(joined.jurisdictions), MAX_JOINED_JURISDICTIONS),
        ("behavioural lists", len(joined.behavioural_digests), MAX_BEHAVIOURAL_LISTS),
        ("share-alike licences", len(joined.share_alike), MAX_SHARE_ALIKE),
        ("choices of licence", len(joined.choices), MAX_CHOICES),
        ("combinations of choices", combinations, MAX_COMBINATIONS),
    ):
        if found > limit:
            raise TooManySources(f"{found} different {what} meet, at most {limit} can be joined")


def learned_from(joined: JoinedTerms, *, is_model: bool) -> JoinedTerms:
    """Turn terms into those for material that is learned from as outputs: a ban on outputs becomes a ban of its own.

    Of a model's terms an unstated point stays unstated; of data only a stated ban counts, for data may be outputs.
    """
    if not is_model and not _restricts_outputs(joined):
        return joined
    return structs.replace(
        joined,
        demanded=_outputs_banned(joined.demanded),
        unstated=_outputs_banned(joined.unstated) if is_model else joined.unstated,
        choices=tuple(
            [
                Choice(
                    tuple(
                        [
                            structs.replace(
                                each,
                                demanded=_outputs_banned(each.demanded),
                                unstated=_outputs_banned(each.unstated) if is_model else each.unstated,
                            )
                            for each in choice.alternatives
                        ]
                    )
                )
                for choice in joined.choices
            ]
        ),
    )


def _restricts_outputs(joined: JoinedTerms) -> bool:
    alternatives = [each.demanded for choice in joined.choices for each in choice.alternatives]
    return any(demanded & Point.OUTPUTS_RESTRICTED for demanded in (joined.demanded, *alternatives))


def _outputs_banned(points: int) -> int:
    return points | Point.OUTPUTS_BANNED if points & Point.OUTPUTS_RESTRICTED else points
