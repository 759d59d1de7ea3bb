"""`openledger terms check`: may material under these terms be mixed, and what would bind the result, in words."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next

if TYPE_CHECKING:
    from rich.console import Console

    from abci_app.modules.licences import Profile
    from openledger.client.client import Client
    from openledger.client.results import Answer
    from openledger.mix import Mix, MixItem
    from openledger_cli.context import CommandContext
    from openledger_cli.lines import Line

_EXAMPLES = """\
  openledger terms check CC-BY-SA-4.0 CC-BY-NC-SA-4.0
  openledger terms check CC-BY-4.0 mit "garden terms"
  openledger terms check CC-BY-4.0 MIT --offline               licences of the table need no node

exit code 0 when they may be mixed (or somebody has to be asked), 4 when they clash
"""
_POLICIES = ("conservative", "permissive")


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "check", check, "may these be mixed, and what would bind the result", _EXAMPLES)
    parser.add_argument(
        "names", nargs="+", metavar="LICENCE|NAME|ID", help="licences, or names or ids of registered terms"
    )
    parser.add_argument("--offline", action="store_true", help="ask no node: licences of the table alone")
    parser.add_argument(
        "--policy", choices=_POLICIES, help="how silence is judged (default: as the chain does; offline conservative)"
    )
    parser.add_argument("--at", type=int, metavar="SECONDS", help="judge as of this Unix time (default: now)")
    add_reading_options(parser)


def check(arguments: argparse.Namespace) -> int:
    """Judge the mix by the rules that consensus applies to a run, and say so in words."""
    from abci_app.modules.licences import Outcome
    from openledger.mix import mix_of

    context: CommandContext = arguments.context
    at_seconds = int(time.time()) if arguments.at is None else arguments.at
    if at_seconds < 0:
        raise UsageError(f"--at {at_seconds}: give a Unix time in seconds")
    items, profile, answer = _offline(arguments) if arguments.offline else _from_chain(arguments)
    mix = mix_of(items, profile, at_seconds)
    if context.as_json:
        head = head_of(answer) if answer is not None else {"verified": False, "how": "no node was asked"}
        context.output.show({**head, "terms": items, "mix": mix})
    else:
        lines = mix_lines(mix, items)

        def people(console: Console, _document: Any) -> None:
            from openledger_cli.lines import print_lines

            print_lines(console, lines)

        context.output.show({}, people)
        if answer is not None:
            say_how(context, answer)
        clashed = mix.outcome == Outcome.CONFLICT
        say_next(
            context, "leave one of the two out" if clashed else "openledger data new NAME --terms LICENCE --from KEY"
        )
    return ExitCode.REFUSED if mix.outcome == Outcome.CONFLICT else ExitCode.OK


def mix_lines(mix: Mix, items: list[MixItem]) -> list[Line]:
    """Answer, clashes and what binds the result."""
    from abci_app.modules.licences import Outcome, terms_id_of
    from openledger.words import word_of_number
    from openledger_cli.lines import Line
    from openledger_cli.terms.words import joined_words

    names: dict[bytes, str] = {terms_id_of(item.terms): item.name for item in items}
    heads = {
        Outcome.COMPATIBLE: "Yes, these may be mixed",
        Outcome.NEEDS_APPROVAL: f"Ask first: {mix.text}",
        Outcome.CONFLICT: "No, these may not be mixed",
    }
    policy = word_of_number(type(mix.profile), mix.profile)
    top = Line(f"{heads[mix.outcome]} (under the {policy} policy)")
    for clash in mix.clashes:
        between = f"{clash.first} and {clash.second}" if clash.second else f"{clash.first} by itself"
        top.add(f"{between}: {clash.text}")
    bound = top.add("what would bind the result" if not mix.clashes else "what they demand together")
    for text in joined_words(mix.joined, lambda terms_id: names.get(terms_id, terms_id.hex())):
        bound.add(text)
    top.add("advisory, not legal advice")
    return [top]


def _offline(arguments: argparse.Namespace) -> tuple[list[MixItem], Profile, None]:
    from abci_app.modules.licences.facts import plain_terms
    from openledger.licences import known_licence
    from openledger.mix import MixItem
    from openledger.terms import unknown_terms

    items = []
    for name in arguments.names:
        licence = known_licence(name)
        if not licence:
            raise UsageError(f"{unknown_terms(name)}; --offline knows licences of the table alone")
        items.append(MixItem(licence, plain_terms(licence)))
    return items, _profile(arguments.policy or "conservative"), None


def _from_chain(arguments: argparse.Namespace) -> tuple[list[MixItem], Profile, Answer[Any] | None]:
    """Licences by what the table says, other names by what is registered; the policy of the chain."""
    from abci_app.modules.licences.facts import plain_terms
    from openledger.licences import known_licence
    from openledger.mix import MixItem
    from openledger_cli.terms.listing import find_terms

    items = []
    arguments.bundle, arguments.height = None, 0
    with open_client(arguments.context, arguments) as client:
        profile, answer = chain_policy(client, prove=not arguments.unverified)
        for name in arguments.names:
            licence = known_licence(name)
            if licence:
                items.append(MixItem(licence, plain_terms(licence)))
                continue
            found = find_terms(client, name, arguments)
            assert found is not None, "only a licence can be missing here"
            items.append(MixItem(found.value.terms.name, found.value.terms))
    return items, _profile(arguments.policy) if arguments.policy else profile, answer


def chain_policy(client: Client, *, prove: bool, height: int = 0) -> tuple[Profile, Answer[Any]]:
    """Ask the chain how it judges silence."""
    from abci_app.chain.chain_module import ParametersQuery
    from abci_app.modules.licences import Profile
    from abci_app.modules.licences.view import LICENCE_POLICY, SECTION

    answer = client.query("chain", "parameters", ParametersQuery(SECTION), height=height, prove=prove)
    values = {item.index: item.value for item in answer.value.parameters}
    return Profile(values[LICENCE_POLICY.index]), answer


def _profile(word: str) -> Profile:
    from abci_app.modules.licences import Profile

    return Profile[word.upper()]
