"""`openledger model may`: may it be sold, served, shared, researched with, built on, learned from?"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, members_of, naming, say_how, say_next

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from openledger.client.may import May
    from openledger_cli.context import CommandContext
    from openledger_cli.lines import Line

_EXAMPLES = """\
  openledger model may gardener --sell
  openledger model may gardener@2 --share
  openledger model may gardener --serve --field medicine
  openledger model may gardener --sell --strict             below what came from outside nothing is known: not a yes

exit code 0: yes; 14: no, with the sources that forbid it; 15: ask first, with whom and why
"""
_USES = (
    ("sell", "pass it on for money"),
    ("serve", "offer or run it for money or at work, and keep its files"),
    ("share", "pass it on for nothing"),
    ("research", "use it for research alone"),
    ("build", "train or merge it further"),
    ("distil", "train another model on what it says"),
)


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "may", may, "whether a model may be sold, shared, built on ...", _EXAMPLES)
    parser.add_argument("name", metavar="NAME[@VERSION]|ENTRY", help="a model's version (default: the latest)")
    uses = parser.add_mutually_exclusive_group(required=True)
    for use, text in _USES:
        uses.add_argument(f"--{use}", dest="use", action="store_const", const=use, help=text)
    parser.add_argument("--field", default="", metavar="FIELD", help="your field of use, where terms limit it")
    parser.add_argument("--strict", action="store_true", help="what came from outside makes a yes a question (15)")
    parser.add_argument("--at", type=int, metavar="SECONDS", help="judge as of this Unix time (default: now)")
    add_reading_options(parser)


def may(arguments: argparse.Namespace) -> int:
    """Judge the proven lineage and say it: the answer first, then everything that it rests on."""
    from openledger.client.may import MayAnswer, ModelUse
    from openledger.client.may import may as ask_may

    context: CommandContext = arguments.context
    at_seconds = int(time.time()) if arguments.at is None else arguments.at
    if at_seconds < 0:
        raise UsageError(f"--at {at_seconds}: give a Unix time in seconds")
    with open_client(context, arguments) as client:
        found, whole = ask_may(
            client,
            arguments.name,
            ModelUse[arguments.use.upper()],
            at_seconds=at_seconds,
            field=arguments.field.strip().lower(),
            prove=not arguments.unverified,
        )
        members = members_of(client, whole.height, prove=not arguments.unverified)
    answer = whole.answers[0]
    code = found.exit_code
    if arguments.strict and found.answer == MayAnswer.YES and not found.is_whole:
        code = ExitCode.ASK_FIRST
    name_of = naming(context, members)
    if context.as_json:
        context.output.show(
            {**head_of(answer), "in_words": found.in_words(name_of), "exit_code": int(code), "may": found}
        )
        return code
    lines = may_lines(found, name_of)
    if code != found.exit_code:
        lines[0].text = f"Ask, since --strict takes no yes about a part. {lines[0].text}"

    def people(console: Console, _document: Any) -> None:
        from openledger_cli.lines import print_lines

        print_lines(console, lines)

    context.output.show({}, people)
    say_how(context, answer)
    say_next(context, f"openledger query lineage {arguments.name}")
    return code


def may_lines(found: May, name_of: Callable[[bytes], str]) -> list[Line]:
    """The answer, and every reason, credit, condition and claim below it."""
    from openledger.client.may import MayAnswer
    from openledger_cli.lines import Line

    top = Line(found.in_words(name_of))
    why = "why not" if found.answer == MayAnswer.NO else "to be asked"
    for title, texts in (
        (why, [each.in_words(name_of) for each in found.because]),
        ("to be credited", [each.in_words(name_of) for each in found.credits]),
        ("what goes with it", list(found.conditions)),
        ("owed of what it earns", [each.in_words(name_of) for each in found.owed]),
        ("unknown", [each.text for each in found.unknown]),
        ("worth knowing", list(found.remarks)),
        ("rests on", [each.in_words(name_of) for each in found.sources]),
    ):
        if texts:
            top.below.append(Line(title, [Line(text) for text in texts]))
    top.add("what is said here follows from declared terms; it is advisory, not legal advice")
    return [top]
