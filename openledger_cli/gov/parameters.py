"""`openledger gov parameters`: live values, their limits, and what they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger_cli.lines import Line, print_lines
from openledger_cli.proofs.trust import open_client
from openledger_cli.query.answers import ask
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next

if TYPE_CHECKING:
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger gov parameters                            every section but the prices and roles of messages
  openledger gov parameters governance
  openledger gov parameters fees --output json
"""
# One value a type of message each: shown when asked for, or where somebody has set one.
_LONG = ("surcharges", "roles")


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "parameters", run, "live values, what they may be, what they mean", _EXAMPLES)
    parser.add_argument("section", nargs="?", default="", metavar="SECTION", help="such as fees (default: all)")
    add_reading_options(parser, one_answer=True)


def run(arguments: argparse.Namespace) -> None:
    """Show, verified."""
    from abci_app.chain.chain_module import ParametersQuery

    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        answer = ask(client, arguments, "chain", "parameters", ParametersQuery(arguments.section))
    shown = [each for each in answer.value.parameters if arguments.section or _is_shown(each)]
    if context.as_json:
        from openledger.documents import to_document

        context.output.json({**head_of(answer), "parameters": [to_document(each) for each in shown]})
        return
    lines = []
    for each in shown:
        line = Line(f"{each.name} is {each.words}")
        line.add(each.meaning)
        line.add(f"may be {each.allowed}; {each.default} where nobody sets it")
        lines.append(line)
    context.output.show({}, lambda console, _document: print_lines(console, lines))
    say_how(context, answer)
    say_next(context, "openledger gov propose FILE --from KEY     (an action set-parameters changes them)")


def _is_shown(parameter: Any) -> bool:
    """Whether a value is shown unasked."""
    return parameter.name.split(".")[0] not in _LONG or parameter.words != parameter.default
