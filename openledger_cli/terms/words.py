"""Terms in words, one record or several joined. Advisory, not legal advice.

`plain_lines` is for somebody who has never seen a terms record, `terms_line` for a list of many, `joined_words` for
what several demand together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from abci_app.bech32 import encode_id
from abci_app.modules.licences import Terms
from abci_app.modules.licences.expression import ExpressionError, parse
from abci_app.modules.licences.facts import is_own, onward_of
from abci_app.modules.licences.judgement import admitted_outbound, combinations_of
from abci_app.modules.licences.records import POINTS, Point, Stated, UseClass
from openledger.amounts import show_share
from openledger.licences import terms_title
from openledger.words import word_of
from openledger_cli.lines import Line, show_time

if TYPE_CHECKING:
    from abci_app.modules.licences.records import Alternative, JoinedTerms

USES = {
    UseClass.UNKNOWN: "which use it is for is not stated",
    UseClass.ANY: "for any use, commercial use included",
    UseClass.NON_COMMERCIAL: "for non-commercial use only",
    UseClass.RESEARCH: "for research only",
}
# Point -> said when it is a yes, when it is a no, and how one asks about it.
SENTENCES: dict[str, tuple[str, str, str]] = {
    "training": (
        "models may be trained on it",
        "models may NOT be trained on it",
        "whether models may be trained on it",
    ),
    "redistribution": (
        "it, and what is made from it, may be passed on",
        "it may NOT be passed on",
        "whether it may be passed on",
    ),
    "no_derivatives": (
        "nothing may be made from it",
        "something else may be made from it",
        "whether something may be made from it",
    ),
    "attribution": ("its authors must be named", "nobody needs to be named", "whether its authors must be named"),
    "notice": (
        "its licence text and notices go with it",
        "no notice needs to go with it",
        "whether notices must go with it",
    ),
    "share_alike": (
        "what is made from it must carry the same licence",
        "what is made from it may carry another licence",
        "whether what is made from it must carry the same licence",
    ),
    "approval_required": (
        "each use needs its owner's approval",
        "no approval is needed",
        "whether a use needs approval",
    ),
    "behavioural": (
        "a list of uses that must not happen goes with it",
        "no list of forbidden uses goes with it",
        "whether a list of forbidden uses goes with it",
    ),
    "private": ("it is private", "it is not private", "whether it is private"),
    "opt_out_reserved": (
        "text and data mining is reserved to its owner",
        "text and data mining is not reserved",
        "whether text and data mining is reserved",
    ),
    "outputs_restricted": (
        "what a model under it says must not train other models",
        "what a model under it says may train other models",
        "whether a model's outputs may train other models",
    ),
    "irrevocable": (
        "what was granted cannot be taken back",
        "what was granted can be taken back",
        "whether it can be taken back",
    ),
}
# A yes to these is a duty or a ban; a no to the others is one.
_BANS_WHEN_NO = ("training", "redistribution", "irrevocable")


def plain_lines(terms: Terms) -> list[Line]:
    """Permissions, duties and what is left open, each as a short list."""
    may, must, unsaid = Line("allowed"), Line("demanded or forbidden"), Line("not stated")
    use = USES[UseClass(terms.use_class)]
    (unsaid if terms.use_class == UseClass.UNKNOWN else may if terms.use_class == UseClass.ANY else must).add(use)
    for name, (yes, no, asked) in SENTENCES.items():
        stated = Stated(getattr(terms, name))
        if stated == Stated.UNKNOWN:
            unsaid.add(asked)
            continue
        strict = stated == (Stated.NO if name in _BANS_WHEN_NO else Stated.YES)
        (must if strict else may).add(yes if stated == Stated.YES else no)
    for text in _limits_of(terms):
        must.add(text)
    if terms.share_alike == Stated.YES:
        must.add(f"licences that the result may carry: {', '.join(_admitted(terms)) or terms.name}")
    return [line for line in (may, must, unsaid) if line.below]


def _limits_of(terms: Terms) -> list[str]:
    texts = _limits(terms.fields_of_use, terms.excluded_domains, terms.expiry_seconds)
    if terms.revenue_share_ppb:
        texts.append(f"{show_share(terms.revenue_share_ppb)} of what a model earns is claimed")
    if terms.behavioural_digest:
        texts.append(f"the list of uses is the file with SHA-256 {terms.behavioural_digest.hex()}")
    return texts


def _limits(fields_of_use: Sequence[str], excluded_domains: Sequence[str], expiry_seconds: int) -> list[str]:
    texts = []
    if fields_of_use:
        texts.append(f"only for {', '.join(fields_of_use)}")
    if excluded_domains:
        texts.append(f"not for {', '.join(excluded_domains)}")
    if expiry_seconds:
        texts.append(f"nothing new may be made from it after {show_time(expiry_seconds)}")
    return texts


def _admitted(terms: Terms) -> list[str]:
    try:
        alternatives = parse(terms.spdx)
    except ExpressionError:
        return []
    known = [each for licences in alternatives for each in licences if not is_own(each)]
    return list(dict.fromkeys([onward for each in known for onward in onward_of(each)]))


def terms_line(terms_id: bytes, terms: Terms) -> Line:
    """One terms record."""
    yes, no = [], []
    for name in _POINTS:
        stated = getattr(terms, name)
        if stated == Stated.YES:
            yes.append(name.replace("_", "-"))
        elif stated == Stated.NO:
            no.append(name.replace("_", "-"))
    line = Line(f"{terms_title(terms)}: use {word_of('use_class', terms.use_class).replace('-', ' ')}")
    line.add(encode_id("olterms", terms_id))
    line.add(f"yes: {', '.join(yes) or 'nothing'}; no: {', '.join(no) or 'nothing'}")
    unknown = [name.replace("_", "-") for name in _POINTS if getattr(terms, name) == Stated.UNKNOWN]
    if unknown:
        line.add(f"not stated: {', '.join(unknown)}")
    line.below += [Line(text) for text in _limits_of(terms)]
    if terms.text_digest:
        line.add(f"text: sha256 {terms.text_digest.hex()}")
    if terms.jurisdiction:
        line.add(f"from: {terms.jurisdiction}")
    return line


_POINTS = ("training", "redistribution", *[name for name in POINTS if name not in ("training", "redistribution")])


def joined_words(joined: JoinedTerms, name_of: Callable[[bytes], str]) -> list[str]:
    """Say in words what several terms demand together; `name_of` names a terms id."""
    sources = ", ".join([name_of(source.terms_id) for source in joined.sources]) or "none"
    demanded = [_words(point) for point in Point if joined.demanded & point]
    lines = [
        f"terms joined: {sources}",
        f"use: {word_of('use_class', joined.use_class).replace('-', ' ')}; duties: {', '.join(demanded) or 'none'}",
    ]
    if joined.unstated:
        lines.append(f"some source does not state: {', '.join([_words(p) for p in Point if joined.unstated & p])}")
    lines += _outbound_words(joined)
    for choice in joined.choices:
        lines.append(f"one of: {'; '.join([_alternative_words(each) for each in choice.alternatives])}")
    if joined.behavioural_digests:
        lists = ", ".join([digest.hex()[:16] for digest in joined.behavioural_digests])
        lines.append(f"passes on the lists of uses that must not happen: sha256 {lists}...")
    fields_of_use = joined.fields_of_use if joined.limits_fields else ()
    if joined.limits_fields and not fields_of_use:
        lines.append("no field of use is permitted by all sources")
    lines += _limits(fields_of_use, joined.excluded_domains, joined.expiry_seconds)
    if joined.jurisdictions:
        lines.append(f"jurisdictions: {', '.join(joined.jurisdictions)}")
    claimed = sum([source.revenue_share_ppb for source in joined.sources])
    if claimed:
        lines.append(f"sources claim {show_share(claimed)} of revenue")
    return lines


def _words(point: Point) -> str:
    return point.name.lower().replace("_", " ")


def _outbound_words(joined: JoinedTerms) -> list[str]:
    """Licences that the result may carry, for each way to choose that asks for one."""
    lines: dict[str, None] = {}
    for chosen, combined in combinations_of(joined):
        if combined.demanded & Point.SHARE_ALIKE:
            admitted = ", ".join([licence.spdx for licence in admitted_outbound(combined)])
            taken = f" (with {' + '.join([each.spdx for each in chosen])})" if chosen else ""
            text = admitted or "no licence that satisfies all sources"
            lines[f"must be passed on under{taken}: {text}"] = None
    return list(lines)


def _alternative_words(alternative: Alternative) -> str:
    demanded = ", ".join([_words(point) for point in Point if alternative.demanded & point])
    use = word_of("use_class", alternative.use_class).replace("-", " ")
    return f"{alternative.spdx} (use: {use}; duties: {demanded or 'none'})"
