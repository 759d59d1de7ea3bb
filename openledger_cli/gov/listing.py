"""`openledger gov list`: proposals, newest first."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger_cli.gov.words import standing
from openledger_cli.lines import Line, print_lines
from openledger_cli.proofs.trust import open_client
from openledger_cli.query.answers import ask
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next

if TYPE_CHECKING:
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger gov list
  openledger gov list --open                           only what has not ended
"""
_LIMIT = 30


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "list", run, "proposals, newest first", _EXAMPLES)
    parser.add_argument("--open", action="store_true", help="only those that have not ended")
    parser.add_argument("--below", type=int, default=0, metavar="NUMBER", help="go on below this number")
    parser.add_argument("--limit", type=int, default=_LIMIT, help=f"how many (default {_LIMIT}, at most 50)")
    add_reading_options(parser, one_answer=True)


def run(arguments: argparse.Namespace) -> None:
    """Show a page, verified."""
    from abci_app.modules.governance import ProposalsQuery

    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        question = ProposalsQuery(arguments.below, min(max(arguments.limit, 1), 50))
        answer = ask(client, arguments, "governance", "proposals", question)
    proposals = [each for each in answer.value.proposals if each.is_open or not arguments.open]
    if context.as_json:
        from openledger.documents import to_document

        context.output.json({**head_of(answer), "proposals": [to_document(each) for each in proposals]})
        return
    lines = [Line(f"{each.number}  {each.title}: {standing(each, answer.height)}") for each in proposals]
    context.output.show({}, lambda console, _document: print_lines(console, lines or [Line("no proposals")]))
    say_how(context, answer)
    following = answer.value.next_number
    steps = [f"openledger gov show {proposals[0].number}"] if proposals else ["openledger gov propose FILE --from KEY"]
    say_next(context, *steps, *([f"openledger gov list --below {following}"] if following else []))
