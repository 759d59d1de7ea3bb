"""`openledger query verdict`: may these be mixed? The chain's licence check of a draft, before any compute is spent."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.context import CommandContext
from openledger_cli.proofs.trust import add_trust_options, open_client

if TYPE_CHECKING:
    from rich.console import Console

    from abci_app.modules.licences import Terms
    from abci_app.modules.models.queries import VerdictView
    from abci_app.modules.models.records import Entry
    from openledger.client.client import Client
    from openledger.client.names import QuestionNames
    from openledger_cli.lines import Line

_EXAMPLES = """\
examples:
  openledger query verdict --input my-datanet@1 --input other-datanet@2
  openledger query verdict --input my-datanet@1 --parent my-model
  openledger query verdict --draft entry.json           an entry as JSON, as `tx models record-runs` takes it

exit code 0 when the chain would record it, 4 when its terms clash
"""


def register(commands: Any) -> None:
    """Add the command."""
    text = "licence check of a mix or a draft entry: nothing is recorded"
    parser = commands.add_parser(
        "verdict", help=text, description=text, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--input", action="append", default=[], metavar="DATANET@VERSION", help="DataNet version in the mix (repeat)"
    )
    parser.add_argument(
        "--parent", action="append", default=[], metavar="MODEL|ENTRY", help="what it would be made from (repeat)"
    )
    parser.add_argument("--kind", help="lora, full, merge, import, ... (default: what takes such parents and inputs)")
    parser.add_argument(
        "--undeclared",
        default="nothing",
        metavar="WHAT",
        help="parents, inputs or parents-and-inputs: there are more than those named, under the terms of --terms",
    )
    parser.add_argument("--terms", default="", metavar="TERMS", help="licence or terms that it would bring in itself")
    parser.add_argument("--draft", metavar="FILE", help="instead of all these: an entry as JSON")
    parser.add_argument("--at", type=int, metavar="SECONDS", help="judge as of this Unix time (default: now)")
    add_trust_options(parser)
    parser.set_defaults(run=_verdict)


def _verdict(arguments: argparse.Namespace) -> int:
    from abci_app.bech32 import encode_id
    from abci_app.modules.licences import terms_id_of
    from abci_app.modules.models.queries import VerdictQuery
    from openledger.client.names import QuestionNames
    from openledger.terms import is_registered, registration_of
    from openledger_cli.query.answers import ask, show_answer

    if bool(arguments.draft) == bool(arguments.input or arguments.parent or arguments.terms):
        raise UsageError("name what is mixed with --input and --parent, or give --draft FILE")
    context: CommandContext = arguments.context
    at_seconds = int(time.time()) if arguments.at is None else arguments.at
    if at_seconds < 0:
        raise UsageError(f"--at {at_seconds}: give a Unix time in seconds")
    names = QuestionNames()
    registration = registration_of(arguments.terms)
    if registration is not None:
        # The licence as the table has it, and not other terms that somebody has registered under its name.
        arguments.terms = encode_id("olterms", terms_id_of(registration.terms))
    entry = _read_draft(context, arguments, names) if arguments.draft else _draft(arguments, names)
    with open_client(context, arguments) as client:
        if registration is not None and not is_registered(client, entry.terms_id, prove=not arguments.unverified):
            return _verdict_with_licence(client, arguments, entry, registration.terms, at_seconds)
        answer = ask(client, arguments, "models", "verdict", names.arguments(VerdictQuery(entry, at_seconds)))
    lines = verdict_lines(answer.value)

    def people(console: Console, _document: Any) -> None:
        from openledger_cli.lines import print_lines

        print_lines(console, lines)

    show_answer(context, answer, people)
    return _exit_code(answer.value)


def _exit_code(view: VerdictView) -> int:
    from abci_app.modules.licences.records import Outcome

    return ExitCode.REFUSED if view.outcome == Outcome.CONFLICT else ExitCode.OK


def _verdict_with_licence(
    client: Client, arguments: argparse.Namespace, entry: Entry, terms: Terms, at_seconds: int
) -> int:
    """The licence of --terms is not registered: say so, and judge by what the table says of it."""
    from openledger.documents import to_document
    from openledger_cli.query.unregistered import judge_with_licence
    from openledger_cli.tasks import head_of, say_how

    add = f"openledger terms add {shlex.quote(terms.name)} --from KEY"
    if arguments.bundle:
        raise UsageError(
            f"--bundle: {terms.name} is not registered, so the chain has no answer to prove: `{add}` registers it"
        )
    context: CommandContext = arguments.context
    view, answer = judge_with_licence(client, arguments, entry, terms, at_seconds)
    said = f"{terms.name} is not registered here yet: judged by what the table of licences says of it"
    if context.as_json:
        context.output.show({**head_of(answer), "note": said, "result": to_document(view)})
        return _exit_code(view)
    (top,) = verdict_lines(view)
    top.add(said)

    def people(console: Console, _document: Any) -> None:
        from openledger_cli.lines import print_lines

        print_lines(console, [top])

    context.output.show({}, people)
    say_how(context, answer)
    return _exit_code(view)


def verdict_lines(view: VerdictView) -> list[Line]:
    """Outcome, reason and joined duties in words."""
    from openledger.licences import terms_title
    from openledger.words import word_of
    from openledger_cli.lines import Line
    from openledger_cli.terms.words import joined_words

    names = {item.terms_id: terms_title(item.terms) for item in view.terms}
    outcome = word_of("outcome", view.outcome).replace("-", " ").upper()
    top = Line(f"{outcome} under the chain's {word_of('profile', view.profile)} policy")
    if view.text:
        top.add(view.text)
    if view.unknown_below:
        top.add("UNKNOWN BELOW: this speaks of declared sources, and there are some that are not on this chain")
    if view.first or view.second:
        top.add(f"between {view.first} and {view.second}" if view.second else f"because of {view.first}")
    top.below += [
        Line(text) for text in joined_words(view.joined, lambda terms_id: names.get(terms_id, terms_id.hex()))
    ]
    top.add("advisory, not legal advice; nothing was recorded")
    return [top]


def _read_draft(context: CommandContext, arguments: argparse.Namespace, names: QuestionNames) -> Entry:
    from abci_app.modules.models.records import Entry, check_entry
    from openledger.documents import from_document
    from openledger_cli.signing import question_resolver

    try:
        document = json.loads(Path(arguments.draft).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"draft {arguments.draft!r} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"draft {arguments.draft!r} is not JSON: {error}") from None
    entry: Entry = from_document(Entry, document, question_resolver(context, names), "entry")
    check_entry(entry)
    return entry


def _draft(arguments: argparse.Namespace, names: QuestionNames) -> Entry:
    """The entry that the options describe."""
    from abci_app.modules.models.kinds import EntryKind, Undeclared
    from openledger.client.draft_entry import draft_entry

    return draft_entry(
        names,
        inputs=arguments.input,
        parents=arguments.parent,
        terms=arguments.terms,
        kind=EntryKind(_word("kind", arguments.kind)) if arguments.kind else None,
        undeclared=Undeclared(_word("undeclared", arguments.undeclared)),
    )


def _word(field: str, text: str) -> int:
    """The number of a word given to an option; raises `UsageError`."""
    from openledger.words import number_of

    number = number_of(field, text)
    if number is None:
        raise UsageError(f"--{field} {text!r}: write a word, not a number")
    return number
