"""The statements of known licences, and the terms that contradict the identifier that they carry.

A licence answers each point with yes, no, or leaves it open. Licences joined by AND: the strict answer of one is the
answer; open beside no strict one leaves it open. Alternatives joined by OR: the mildest answer that one may choose.
Terms must give that answer where there is one. Where it is open they speak for themselves.
"""

from functools import lru_cache

from abci_app.modules.licences.expression import (
    EXPRESSIONS_REMEMBERED,
    ExpressionError,
    identifier_of,
    parse,
    spelled_as,
)
from abci_app.modules.licences.records import (
    DEMANDS,
    MAX_SPDX_LENGTH,
    POINTS,
    Point,
    Stated,
    Terms,
    UseClass,
)
from abci_app.modules.licences.table import ROWS

# The table's own marks.
_MARKS = {"Y": Stated.YES, "N": Stated.NO, "-": Stated.UNKNOWN}
_CONDITIONS = {"patents": Point.PATENT_CONDITIONS, "advertising": Point.ADVERTISING_CLAUSE}
_USE_WORDS = {UseClass.ANY: "for any use", UseClass.NON_COMMERCIAL: "non-commercial", UseClass.RESEARCH: "for research"}
_OWN_ROW = (0, "-" * len(POINTS), (), (), (), "own")
_POINT_NAMES = tuple(POINTS)


def is_silent(licence: str) -> bool:
    """Whether this identifier says that nobody knows the terms."""
    return _row(licence)[5] == "silent"


def is_own(licence: str) -> bool:
    """Whether a licence is words of one's own, which the table says nothing about."""
    return _row(licence)[5] == "own"


def onward_of(licence: str) -> tuple[str, ...]:
    """Licences that a share-alike licence admits for what is built on it: itself and those of the table."""
    text = licence.partition(" WITH ")[0]
    return tuple(dict.fromkeys((licence, text, *_row(licence)[3])))


def use_of(licence: str) -> int:
    """Use class of a licence; 0 where it is open."""
    return _row(licence)[0]


@lru_cache(maxsize=EXPRESSIONS_REMEMBERED)
def answers_of(licences: tuple[str, ...]) -> tuple[int, dict[str, Stated], int]:
    """Use class, answer to each point, and added conditions of licences that all hold; 0 where they leave it open."""
    rows = [_row(licence) for licence in licences]
    answers = {}
    for place, (name, (_, strict)) in enumerate(POINTS.items()):
        found = [_MARKS[row[1][place]] for row in rows]
        if strict in found:
            answers[name] = strict
        else:
            answers[name] = Stated.UNKNOWN if Stated.UNKNOWN in found else found[0]
    uses = [row[0] for row in rows]
    use = max(uses) if UseClass.UNKNOWN not in uses or max(uses) == UseClass.RESEARCH else UseClass.UNKNOWN
    conditions = 0
    for row in rows:
        for word in row[4]:
            conditions |= _CONDITIONS[word]
    return use, answers, conditions


def settled_fields(alternatives: tuple[tuple[str, ...], ...]) -> frozenset[str]:
    """Fields in which terms must repeat the mild answer of one alternative: of the others they say nothing there.

    "AGPL-3.0-only OR LicenseRef-commercial" needs no approval because the AGPL needs none; what the other words ask for
    nobody has said.
    """
    if len(alternatives) < 2:
        return frozenset()
    answers = [answers_of(licences) for licences in alternatives if licences]
    settled = ["use_class"] if any(use == UseClass.ANY for use, _, _ in answers) else []
    for name, (_, strict) in POINTS.items():
        milder = Stated.NO if strict == Stated.YES else Stated.YES
        if any(points[name] == milder for _, points, _ in answers):
            settled.append(name)
    return frozenset(settled)


def licence_called(name: str) -> str:
    """The expression of known licences that a name is, in any letters; empty for every other name.

    A reader takes such a name for the licence: terms that are not under it must not carry it.
    """
    if len(name) > MAX_SPDX_LENGTH:
        return ""
    written = spelled_as(name)
    try:
        alternatives = parse(written)
    except ExpressionError:
        return ""
    return "" if any(is_own(licence) for licences in alternatives for licence in licences) else written


def plain_terms(spdx: str) -> Terms:
    """Terms that state what the table says of an expression in normal form, and nothing else; unknown where it is
    silent. Everybody writes the same ones, so that they have one id."""
    answers = [answers_of(licences) for licences in parse(spdx)]
    points: dict[str, int] = dict.fromkeys(POINTS, Stated.UNKNOWN)
    use_class = UseClass.UNKNOWN
    if not any(is_silent(licence) for licences in parse(spdx) for licence in licences):
        uses = [use for use, _, _ in answers]
        use_class = UseClass.ANY if UseClass.ANY in uses else UseClass(min(uses))
        for name, (_, strict) in POINTS.items():
            found = [each[name] for _, each, _ in answers]
            milder = Stated.NO if strict == Stated.YES else Stated.YES
            points[name] = milder if milder in found else min(found) if Stated.UNKNOWN in found else strict
    return Terms(
        name=spdx,
        spdx=spdx,
        use_class=int(use_class),
        **{name: int(stated) for name, stated in points.items()},
        fields_of_use=(),
        excluded_domains=(),
        text_digest=b"",
        behavioural_digest=b"",
        revenue_share_ppb=0,
        expiry_seconds=0,
        jurisdiction="",
    )


def contradiction_in(terms: Terms) -> str:
    """How terms contradict their identifier, by field, or empty. Raises `ExpressionError`."""
    if not terms.spdx:
        return ""
    alternatives = parse(terms.spdx)
    answers = [answers_of(licences) for licences in alternatives]
    silent = [licence for licences in alternatives for licence in licences if is_silent(licence)]
    if silent:
        return _more_than_nothing(terms, silent[0])
    return (
        _use_contradiction(terms, alternatives, [use for use, _, _ in answers])
        or _point_contradiction(terms, [points for _, points, _ in answers])
        or _demand_contradiction(terms, alternatives)
    )


def _more_than_nothing(terms: Terms, licence: str) -> str:
    """Terms that nobody knows state nothing."""
    for name in ("use_class", *_POINT_NAMES):
        if getattr(terms, name) != Stated.UNKNOWN:
            return f"{licence} says that nobody knows the terms: {name} cannot be stated"
    return ""


def _use_contradiction(terms: Terms, alternatives: tuple[tuple[str, ...], ...], uses: list[int]) -> str:
    known = [use for use in uses if use != UseClass.UNKNOWN]
    if UseClass.ANY not in uses and UseClass.UNKNOWN in uses:
        # One part is one's own: it may be stricter than what the others say, never milder.
        least = min([max([use_of(each) for each in licences]) for licences in alternatives])
        if terms.use_class != UseClass.UNKNOWN and terms.use_class < least:
            return _use_text(terms, least)
        return ""
    return _use_text(terms, min(known)) if terms.use_class != min(known) else ""


def _use_text(terms: Terms, use: int) -> str:
    stated = UseClass(terms.use_class).name.lower().replace("_", "-")
    return f"{terms.spdx} is {_USE_WORDS[UseClass(use)]}: use_class cannot be {stated!r}"


def _point_contradiction(terms: Terms, answers: list[dict[str, Stated]]) -> str:
    for name, (_, strict) in POINTS.items():
        found = [points[name] for points in answers]
        milder = Stated.NO if strict == Stated.YES else Stated.YES
        answer = milder if milder in found else Stated.UNKNOWN if Stated.UNKNOWN in found else strict
        stated = getattr(terms, name)
        if answer not in (Stated.UNKNOWN, stated):
            words = (answer.name.lower(), Stated(stated).name.lower())
            return f"{terms.spdx} says {words[0]} to {name}: it cannot be {words[1]!r}"
    return ""


def _demand_contradiction(terms: Terms, alternatives: tuple[tuple[str, ...], ...]) -> str:
    """Every alternative must leave room for what terms demand beside the points: nobody is bound by the others."""
    for name in DEMANDS:
        if getattr(terms, name) and not all(_leaves_open(licences, name) for licences in alternatives):
            return (
                f"{terms.spdx} leaves no room for {name}: who receives the material under it is free of that; "
                "write LicenseRef-... for terms of your own"
            )
    if terms.text_digest and not all(_has_own_text(licences) for licences in alternatives):
        return f"{terms.spdx} is a text that everybody has: leave text_digest empty, or write LicenseRef-... for yours"
    return ""


def _leaves_open(licences: tuple[str, ...], demand: str) -> bool:
    name = demand.removesuffix("_ppb").removesuffix("_seconds")
    return any(is_own(each) or name in _row(each)[2] for each in licences)


def _has_own_text(licences: tuple[str, ...]) -> bool:
    return any(_row(each)[5] in ("own", "template") for each in licences)


def _row(licence: str) -> tuple[int, str, tuple[str, ...], tuple[str, ...], tuple[str, ...], str]:
    return ROWS.get(identifier_of(licence), _OWN_ROW)
