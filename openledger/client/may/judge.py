"""The judgement: each source by its own terms, all together by the chain's own rules; the mildest choice counts.

A source whose terms forbid the use makes it a no; one whose terms leave it open, ask for approval, were revoked or have
expired makes it a question. Two sources that clash (share-alike licences, fields of use, shares of revenue) are named
both. Where licences offer a choice (OR), every combination is judged and the mildest answer is given.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from abci_app.modules.licences import JoinedTerms, Outcome, Profile, Terms, first_clash, judge
from abci_app.modules.licences.join import NOTHING_JOINED, TooManySources, join_all, lift
from abci_app.modules.licences.judgement import admitted_outbound, combinations_of
from abci_app.modules.licences.records import Alternative, Choice, Point, UseClass
from abci_app.modules.models.kinds import EntryKind, Undeclared, is_unknown_below
from abci_app.modules.models.lineage import LineagePage
from abci_app.utc import utc_text
from openledger.client.may.answer import May, MayAnswer, MayReason, ModelUse, RevenueClaim, SourceCredit, UnknownBelow
from openledger.client.may.sources import TermsSource, entry_name, sources_of, unread_terms
from openledger.words import word_of

_PASSED_ON = (ModelUse.SELL, ModelUse.SHARE)
_FOR_MONEY = (ModelUse.SELL, ModelUse.SERVE)
_USE_WORDS = {UseClass.NON_COMMERCIAL: "for non-commercial use only", UseClass.RESEARCH: "for research only"}
# Point -> what a source that demands it says, and what one that leaves it open does not say.
_FORBIDDEN: dict[Point, tuple[str, str]] = {
    Point.REDISTRIBUTION_BANNED: ("it may not be passed on", "whether it may be passed on"),
    Point.PRIVATE: ("it is private", "whether it is private"),
    Point.TRAINING_BANNED: ("models may not be trained on it", "whether models may be trained on it"),
    Point.NO_DERIVATIVES: ("nothing may be made from it", "whether something may be made from it"),
    Point.OUTPUTS_RESTRICTED: ("its outputs may not train models", "whether its outputs may train models"),
}
_TO_ASK: dict[Point, tuple[str, str]] = {
    Point.APPROVAL_REQUIRED: ("each use needs its owner's approval", "whether a use needs approval"),
    Point.OPT_OUT_RESERVED: ("its owner reserved text and data mining", "whether text and data mining is reserved"),
}
# Left open, these are asked about for every use. Attribution and notices can be given to be safe, and what may be
# taken back is not taken back yet.
_ALWAYS_WANTED: dict[Point, str] = {
    Point.USE_CLASS: "which use it is for",
    **{point: words for point, (_, words) in _TO_ASK.items()},
    Point.BEHAVIOURAL: "whether a list of uses that must not happen goes with it",
}
_JUDGED_ALONE = Point.NO_DERIVATIVES | Point.TRAINING_BANNED | Point.OUTPUTS_BANNED
# Open points named in one reason.
_OPEN_SHOWN = 3
_NO_TERMS = MayReason("no terms are known of anything that it was made from", ())


@dataclass(frozen=True, slots=True)
class _Demands:
    """The demands of one source under the licences that are `chosen`; `received`: it is the model itself, as it is."""

    source: TermsSource
    joined: JoinedTerms
    chosen: str
    received: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    """The use that is asked about, in which field and when."""

    use: ModelUse
    field: str
    at_seconds: int


def may_of(page: LineagePage, use: ModelUse, *, at_seconds: int, field: str = "", complete: bool = True) -> May:
    """Judge one use of the entry that a lineage is about; `field` is the field of use, where terms limit it.

    `complete`: the lineage is the whole one (`Whole.complete`). Of a part, nothing but a question can be concluded.
    """
    asked = _Asked(use, field, at_seconds)
    sources = sources_of(page)
    doubts = reasons_of_the_record(page, complete=complete)
    doubts += [
        MayReason("where these terms come from could not be read", (each,)) for each in sources if not each.origins
    ]
    doubts += [] if sources else [_NO_TERMS]
    received = page.entries[0].stored.entry.kind == EntryKind.IMPORT
    best: May | None = None
    for combined, demands in _combinations(sources, received=received):
        found = _judged(page, asked, sources, combined, demands, doubts)
        if best is None or (found.answer, len(found.because)) < (best.answer, len(best.because)):
            best = found
    if best is not None:
        return best
    crowd = MayReason("more different terms meet under it than can be judged together", sources)
    return _judged(page, asked, sources, NOTHING_JOINED, [], [crowd, *doubts])


def _judged(
    page: LineagePage,
    asked: _Asked,
    sources: tuple[TermsSource, ...],
    combined: JoinedTerms,
    demands: list[_Demands],
    doubts: list[MayReason],
) -> May:
    """The answer under one choice of licences."""
    forbidden = [reason for item in demands for reason in _one_reason(item, _forbidden(item, asked))]
    forbidden += _clashes(demands)
    questions = [reason for item in demands for reason in _one_reason(item, _left_open(item, asked))]
    answer = MayAnswer.NO if forbidden else MayAnswer.ASK if questions or doubts else MayAnswer.YES
    return May(
        use=asked.use,
        answer=answer,
        entry_id=page.entry_id,
        at_seconds=asked.at_seconds,
        because=tuple(forbidden or [*doubts, *questions]),
        credits=_credits(demands),
        conditions=tuple(_conditions(demands, combined, asked)),
        owed=_owed(sources) if asked.use in _FOR_MONEY else (),
        unknown=unknown_below(page),
        remarks=tuple(_remarks(demands)),
        sources=sources,
    )


def _one_reason(item: _Demands, texts: list[str]) -> list[MayReason]:
    return [MayReason("; ".join(texts), (item.source,), item.source.people)] if texts else []


# --- Choices


def _combinations(sources: tuple[TermsSource, ...], *, received: bool) -> list[tuple[JoinedTerms, list[_Demands]]]:
    """Each way to choose among licences: all sources together, and each by itself; none where they cannot be joined."""
    lifted = [lift(source.terms_id, source.terms) for source in sources]
    try:
        joined = join_all(lifted)
    except TooManySources:
        return []
    found = []
    for chosen, combined in combinations_of(joined):
        taken = dict(zip(joined.choices, chosen, strict=True))
        demands = [
            _Demands(
                source=source,
                joined=_with_choice(item, taken),
                chosen=" and ".join([taken[choice].spdx for choice in item.choices]),
                received=received,
            )
            for source, item in zip(sources, lifted, strict=True)
        ]
        found.append((combined, demands))
    return found


def _with_choice(item: JoinedTerms, taken: dict[Choice, Alternative]) -> JoinedTerms:
    for choice in item.choices:
        each = taken[choice]
        item = structs.replace(
            item,
            use_class=max(item.use_class, each.use_class),
            demanded=item.demanded | each.demanded,
            unstated=item.unstated | each.unstated,
            share_alike=each.share_alike,
        )
    return structs.replace(item, choices=())


# --- Each source by itself


def _points_needed(item: _Demands, use: ModelUse) -> list[Point]:
    """Points that must not be demanded for this use."""
    points = [Point.REDISTRIBUTION_BANNED, Point.PRIVATE] if use in _PASSED_ON else []
    # A model that came from outside as it is was made from nothing here; only what builds on it needs leave.
    if not item.received or use == ModelUse.BUILD:
        points += [Point.TRAINING_BANNED, Point.NO_DERIVATIVES]
    return [*points, Point.OUTPUTS_RESTRICTED] if use == ModelUse.DISTIL or item.source.taught else points


def _asked_about(item: _Demands, use: ModelUse) -> int:
    """Points that are asked about; a reservation of data mining says nothing of a model that is passed on as it is."""
    wanted = sum(_ALWAYS_WANTED)
    is_mined = not item.received or use in (ModelUse.BUILD, ModelUse.DISTIL)
    return wanted if is_mined else wanted & ~Point.OPT_OUT_RESERVED


def _forbidden(item: _Demands, asked: _Asked) -> list[str]:
    """Why this source forbids the use."""
    joined, terms = item.joined, item.source.terms
    texts = []
    if asked.use in _FOR_MONEY and joined.use_class in _USE_WORDS:
        texts.append(_USE_WORDS[UseClass(joined.use_class)])
    texts += [_FORBIDDEN[point][0] for point in _points_needed(item, asked.use) if joined.demanded & point]
    if asked.field and terms.fields_of_use and asked.field not in terms.fields_of_use:
        texts.append(f"only for {', '.join(terms.fields_of_use)}, not for {asked.field}")
    if asked.field in terms.excluded_domains:
        texts.append(f"not for {asked.field}")
    if asked.use == ModelUse.BUILD and _has_expired(terms, asked):
        texts.append(f"its terms ended at {utc_text(terms.expiry_seconds)}, nothing new may be made from it")
    return texts


def _left_open(item: _Demands, asked: _Asked) -> list[str]:
    """Questions that this source leaves, in words."""
    joined, terms = item.joined, item.source.terms
    asked_about = _asked_about(item, asked.use)
    texts = [words for point, (words, _) in _TO_ASK.items() if joined.demanded & asked_about & point]
    if asked.use not in _PASSED_ON and joined.demanded & Point.PRIVATE:
        texts.append("it is private, and its owner decides what is done with it")
    if terms.fields_of_use and not asked.field:
        texts.append(f"it is only for {', '.join(terms.fields_of_use)}: name your field of use")
    if asked.use != ModelUse.BUILD and _has_expired(terms, asked):
        texts.append(f"its terms ended at {utc_text(terms.expiry_seconds)}")
    open_points = [_FORBIDDEN[point][1] for point in _points_needed(item, asked.use) if joined.unstated & point]
    open_points += [words for point, words in _ALWAYS_WANTED.items() if joined.unstated & asked_about & point]
    if asked.use in (*_PASSED_ON, ModelUse.BUILD) and joined.unstated & Point.SHARE_ALIKE:
        open_points.append("whether what is made from it must carry the same licence")
    if open_points:
        more = len(open_points) - _OPEN_SHOWN
        rest = f" and {more} further points" if more > 0 else ""
        texts.append(f"its terms do not say {', '.join(open_points[:_OPEN_SHOWN])}{rest}")
    return texts


def _has_expired(terms: Terms, asked: _Asked) -> bool:
    return 0 < terms.expiry_seconds < asked.at_seconds


# --- All of them together, and the record itself


def _clashes(demands: list[_Demands]) -> list[MayReason]:
    """The two sources that admit no common result, by the chain's own rules.

    Bans and approvals are judged source by source; expiries too, so the clock stands at the beginning here.
    """
    items = [structs.replace(item.joined, demanded=item.joined.demanded & ~_JUDGED_ALONE) for item in demands]
    if not items or judge(join_all(items), Profile.PERMISSIVE, 0)[0] != Outcome.CONFLICT:
        return []
    clash = first_clash(items, Profile.PERMISSIVE, 0)
    if clash is None:
        return [MayReason("its sources admit no common terms", tuple([item.source for item in demands]))]
    sources = tuple([demands[place].source for place in dict.fromkeys(clash[:2])])
    return [MayReason(clash[2], sources, tuple([person for source in sources for person in source.people]))]


def reasons_of_the_record(page: LineagePage, *, complete: bool) -> list[MayReason]:
    """Doubts that are none of the terms: what was not read, was revoked since, or was declared wrong."""
    found = []
    missing = unread_terms(page)
    if missing or not complete:
        found.append(MayReason("not everything that it was made from could be read", ()))
    for datanet in page.datanets:
        name = f"{datanet.name}@{datanet.version}"
        unlisted = datanet.record.contribution_count - len(datanet.contributions)
        if unlisted:
            found.append(MayReason(f"{unlisted} contributions to {name} are not listed", ()))
        revoked = [each.accepted for each in datanet.contributions if each.accepted.absent_from_version]
        if revoked or (unlisted and not datanet.usable):
            people = tuple(dict.fromkeys([each.contributor for each in revoked]))
            what = "a contribution" if len(revoked) == 1 else f"{len(revoked) or 'some'} contributions"
            found.append(
                MayReason(f"{what} to {name} {'was' if len(revoked) == 1 else 'were'} revoked since", (), people)
            )
    for item in page.entries:
        if item.stored.superseded_by_entry_id:
            name = entry_name(page, item.entry_id, item.stored)
            found.append(MayReason(f"the record of {name} was superseded: ask about the one that took its place", ()))
    return found


def unknown_below(page: LineagePage) -> tuple[UnknownBelow, ...]:
    """Every entry of which something is not on this chain."""
    found = []
    for item in page.entries:
        entry = item.stored.entry
        if not is_unknown_below(entry.kind, entry.undeclared):
            continue
        name = entry_name(page, item.entry_id, item.stored)
        text = f"{word_of('undeclared', entry.undeclared).replace('-', ' ')} of {name} that it does not declare"
        if entry.kind == EntryKind.IMPORT:
            text = f"below the imported {'model' if item.entry_id == page.entry_id else 'base'} {name}"
        found.append(
            UnknownBelow(
                entry_id=item.entry_id,
                name=name,
                kind=EntryKind(entry.kind),
                undeclared=Undeclared(entry.undeclared),
                text=text,
            )
        )
    return tuple(found)


# --- What goes with it


def _credits(demands: list[_Demands]) -> tuple[SourceCredit, ...]:
    """Whom to name: where terms ask for it, and where they do not say."""
    found: dict[SourceCredit, None] = {}
    for item in demands:
        if not (item.joined.demanded | item.joined.unstated) & Point.ATTRIBUTION:
            continue
        for origin in item.source.origins:
            if origin.is_model:
                found[SourceCredit(b"", origin.name, item.source.title)] = None
            else:
                found.update(dict.fromkeys([SourceCredit(each, "", item.source.title) for each in origin.people]))
    return tuple(found)


def _owed(sources: tuple[TermsSource, ...]) -> tuple[RevenueClaim, ...]:
    return tuple(
        [
            RevenueClaim(source.title, source.terms.revenue_share_ppb, source.people)
            for source in sources
            if source.terms.revenue_share_ppb
        ]
    )


def _conditions(demands: list[_Demands], combined: JoinedTerms, asked: _Asked) -> list[str]:
    """Duties of those who do it, in words."""

    def titles(holds: Callable[[_Demands], object]) -> str:
        return ", ".join(dict.fromkeys([item.source.title for item in demands if holds(item)]))

    lines = []
    notices = titles(lambda item: (item.joined.demanded | item.joined.unstated) & Point.NOTICE)
    if notices and asked.use in (*_PASSED_ON, ModelUse.BUILD):
        lines.append(f"keep the licence texts and notices of {notices}")
    if combined.demanded & Point.SHARE_ALIKE and asked.use in (*_PASSED_ON, ModelUse.BUILD):
        admitted = " or ".join([each.spdx for each in admitted_outbound(combined)])
        lines.append(f"pass it on under {admitted or 'no other terms than its own'}")
    networked = titles(lambda item: any(each.spdx.startswith("AGPL-") for each in item.joined.share_alike))
    if networked and asked.use == ModelUse.SERVE:
        lines.append(f"those who use it over a network may ask for it under its licence: {networked}")
    for use_class, words in _USE_WORDS.items():
        limited = titles(lambda item, wanted=use_class: item.joined.use_class == wanted)  # type: ignore[misc]
        if limited and asked.use not in _FOR_MONEY:
            lines.append(f"{words}: {limited}")
    for item in demands:
        if item.joined.demanded & Point.BEHAVIOURAL:
            digest = item.source.terms.behavioural_digest.hex()
            where = f" (the file with SHA-256 {digest})" if digest else ""
            lines.append(f"keep to the list of uses that must not happen{where}, and pass it on: {item.source.title}")
    silenced = titles(lambda item: item.joined.demanded & Point.OUTPUTS_RESTRICTED)
    if silenced and asked.use != ModelUse.DISTIL:
        lines.append(f"its outputs must not train other models: {silenced}")
    for item in demands:
        if item.source.terms.excluded_domains:
            lines.append(f"not for {', '.join(item.source.terms.excluded_domains)}: {item.source.title}")
        if item.chosen:
            lines.append(f"of {item.source.title} take {item.chosen}")
    return lines


def _remarks(demands: list[_Demands]) -> list[str]:
    """Facts worth knowing that decide nothing today."""
    texts = [
        f"what is under {item.source.title} can be taken back"
        for item in demands
        if item.joined.demanded & Point.REVOCABLE
    ]
    return texts + [
        f"that {origin.name} is under {item.source.title} is the word of the one who added it"
        for item in demands
        for origin in item.source.origins
        if origin.is_import
    ]
