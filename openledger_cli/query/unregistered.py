"""A licence check with a licence that nobody has registered: the chain's answers about the rest, joined here.

The chain judges what is registered. What a licence of the table would be registered as is known without asking, so its
terms are joined with those of inputs and parents by the rules that consensus runs (`abci_app.modules.models.terms`).
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abci_app.modules.licences import Terms
    from abci_app.modules.models.kinds import EntryKind
    from abci_app.modules.models.queries import VerdictView
    from abci_app.modules.models.records import Entry
    from openledger.client.client import Client
    from openledger.client.results import Answer


def judge_with_licence(
    client: Client, arguments: argparse.Namespace, entry: Entry, terms: Terms, at_seconds: int
) -> tuple[VerdictView, Answer[Any]]:
    """The verdict on a draft whose own `terms` are not registered, and an answer of the chain that it rests on.

    All answers are of one height. Raises what the questions about inputs and parents raise.
    """
    from abci_app.modules.licences import TermsView, judge, learned_from, terms_id_of
    from abci_app.modules.licences.join import TooManySources, join_all, lift
    from abci_app.modules.models.kinds import EntryKind, is_unknown_below
    from abci_app.modules.models.queries import VerdictView
    from abci_app.modules.models.terms import LEARNING_KINDS
    from openledger.errors import UsageError
    from openledger_cli.terms.checking import chain_policy

    prove = not arguments.unverified
    profile, answer = chain_policy(client, prove=prove, height=arguments.height)
    own = TermsView(terms_id_of(terms), terms)
    items, learned = [lift(own.terms_id, terms)], [lift(own.terms_id, terms)]
    shown, unknown_below = {own.terms_id: own}, is_unknown_below(entry.kind, entry.undeclared)
    rest: list[tuple[EntryKind, list[str], list[str]]] = []
    if arguments.input:
        rest.append((EntryKind.RETRIEVAL, arguments.input, []))
    if arguments.parent:
        kind = EntryKind.MERGE if len(arguments.parent) > 1 else EntryKind.QUANTISE
        rest.append((kind, [], arguments.parent))
    for kind, inputs, parents in rest:
        view = _ask(client, kind, inputs, parents, at_seconds, answer.height, prove=prove)
        items.append(view.joined)
        is_learned = entry.kind in LEARNING_KINDS if inputs else entry.kind == EntryKind.DISTIL
        learned.append(learned_from(view.joined, is_model=bool(parents)) if is_learned else view.joined)
        shown |= {item.terms_id: item for item in view.terms}
        unknown_below = unknown_below or bool(view.unknown_below)
    try:
        joined, judged = join_all(items), join_all(learned)
    except TooManySources as error:
        raise UsageError(f"{error}: check fewer at a time") from None
    outcome, text = judge(judged, profile, at_seconds)
    found = VerdictView(
        profile=int(profile),
        outcome=int(outcome),
        text=text,
        first="",
        second="",
        unknown_below=int(unknown_below),
        joined=joined,
        terms=tuple(shown.values()),
    )
    return found, answer


def _ask(
    client: Client,
    kind: EntryKind,
    inputs: list[str],
    parents: list[str],
    at_seconds: int,
    height: int,
    *,
    prove: bool,
) -> VerdictView:
    """The joined terms of inputs, or of parents: the kind learns from neither, so they come as they are."""
    from abci_app.modules.models.queries import VerdictQuery
    from openledger.client.draft_entry import draft_entry
    from openledger.client.names import QuestionNames

    names = QuestionNames()
    entry = draft_entry(names, inputs=inputs, parents=parents, kind=kind)
    question = names.arguments(VerdictQuery(entry, at_seconds))
    view: VerdictView = client.query("models", "verdict", question, height=height, prove=prove).value
    return view
