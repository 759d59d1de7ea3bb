"""Terms and joined terms in words. Advisory, not legal advice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from abci_app.bech32 import encode_id
from abci_app.modules.licences.join import Point, Stated, admitted_outbound
from openledger.amounts import show_share
from openledger.words import word_of
from openledger_cli.lines import Line, show_time

if TYPE_CHECKING:
    from abci_app.modules.licences.join import JoinedTerms, Terms


def terms_name(terms: Terms) -> str:
    """Terms as people call them, with their SPDX name."""
    return terms.name if terms.name == terms.spdx or not terms.spdx else f"{terms.name} ({terms.spdx})"


def terms_line(terms_id: bytes, terms: Terms) -> Line:
    """One terms record."""
    yes, no = [], []
    for name in _POINTS:
        stated = getattr(terms, name)
        if stated == Stated.YES:
            yes.append(name.replace("_", "-"))
        elif stated == Stated.NO:
            no.append(name.replace("_", "-"))
    line = Line(f"{terms_name(terms)}: use {word_of('use_class', terms.use_class).replace('-', ' ')}")
    line.add(encode_id("olterms", terms_id))
    line.add(f"yes: {', '.join(yes) or 'nothing'}; no: {', '.join(no) or 'nothing'}")
    unknown = [name.replace("_", "-") for name in _POINTS if getattr(terms, name) == Stated.UNKNOWN]
    if unknown:
        line.add(f"not stated: {', '.join(unknown)}")
    line.below += [Line(text) for text in _limits(terms.fields_of_use, terms.excluded_domains, terms.expiry_seconds)]
    if terms.revenue_share_ppb:
        line.add(f"claims {show_share(terms.revenue_share_ppb)} of revenue")
    return line


_POINTS = (
    "training", "redistribution", "attribution", "share_alike", "no_derivatives", "approval_required", "behavioural",
    "private", "opt_out_reserved",
)  # fmt: skip


def joined_words(joined: JoinedTerms, name_of: Callable[[bytes], str]) -> list[str]:
    """What several terms demand together, in words; `name_of` names a terms id."""
    sources = ", ".join([name_of(source.terms_id) for source in joined.sources]) or "none"
    demanded = [_words(point) for point in Point if joined.demanded & point]
    lines = [
        f"terms joined: {sources}",
        f"use: {word_of('use_class', joined.use_class).replace('-', ' ')}; duties: {', '.join(demanded) or 'none'}",
    ]
    if joined.unstated:
        lines.append(f"some source does not state: {', '.join([_words(p) for p in Point if joined.unstated & p])}")
    if joined.demanded & Point.SHARE_ALIKE:
        admitted = ", ".join([licence.spdx for licence in admitted_outbound(joined)])
        lines.append(f"must be passed on under: {admitted or 'no licence that satisfies all sources'}")
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
