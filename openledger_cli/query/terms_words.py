"""Terms and joined terms in words. Advisory, not legal advice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from abci_app.bech32 import encode_id
from abci_app.modules.licences.judgement import admitted_outbound, combinations_of
from abci_app.modules.licences.records import POINTS, Point, Stated
from openledger.amounts import show_share
from openledger.licences import terms_title
from openledger.words import word_of
from openledger_cli.lines import Line, show_time

if TYPE_CHECKING:
    from abci_app.modules.licences.records import Alternative, JoinedTerms, Terms


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
    line.below += [Line(text) for text in _limits(terms.fields_of_use, terms.excluded_domains, terms.expiry_seconds)]
    if terms.behavioural_digest:
        line.add(f"list of uses that must not happen: sha256 {terms.behavioural_digest.hex()}")
    if terms.text_digest:
        line.add(f"text: sha256 {terms.text_digest.hex()}")
    if terms.jurisdiction:
        line.add(f"from: {terms.jurisdiction}")
    if terms.revenue_share_ppb:
        line.add(f"claims {show_share(terms.revenue_share_ppb)} of revenue")
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


def _limits(fields_of_use: Sequence[str], excluded_domains: Sequence[str], expiry_seconds: int) -> list[str]:
    lines = []
    if fields_of_use:
        lines.append(f"only for: {', '.join(fields_of_use)}")
    if excluded_domains:
        lines.append(f"not for: {', '.join(excluded_domains)}")
    if expiry_seconds:
        lines.append(f"nothing new after {show_time(expiry_seconds)}")
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
