"""One terms record in sentences that somebody reads who has never seen the record. Advisory, not legal advice."""

from __future__ import annotations

from abci_app.modules.licences import Terms
from abci_app.modules.licences.expression import ExpressionError, parse
from abci_app.modules.licences.facts import is_own, onward_of
from abci_app.modules.licences.records import Stated, UseClass
from openledger.amounts import show_share
from openledger_cli.lines import Line, show_time

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
    for text in _limits(terms):
        must.add(text)
    if terms.share_alike == Stated.YES:
        must.add(f"licences that the result may carry: {', '.join(_admitted(terms)) or terms.name}")
    return [line for line in (may, must, unsaid) if line.below]


def _limits(terms: Terms) -> list[str]:
    texts = []
    if terms.fields_of_use:
        texts.append(f"only for {', '.join(terms.fields_of_use)}")
    if terms.excluded_domains:
        texts.append(f"not for {', '.join(terms.excluded_domains)}")
    if terms.revenue_share_ppb:
        texts.append(f"{show_share(terms.revenue_share_ppb)} of what a model earns is claimed")
    if terms.expiry_seconds:
        texts.append(f"nothing new may be made from it after {show_time(terms.expiry_seconds)}")
    if terms.behavioural_digest:
        texts.append(f"the list of uses is the file with SHA-256 {terms.behavioural_digest.hex()}")
    return texts


def _admitted(terms: Terms) -> list[str]:
    try:
        alternatives = parse(terms.spdx)
    except ExpressionError:
        return []
    known = [each for licences in alternatives for each in licences if not is_own(each)]
    return list(dict.fromkeys([onward for each in known for onward in onward_of(each)]))
