"""`openledger gov upgrade`: the rules of now, the planned upgrade, and whether this installation is ready for it."""

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
  openledger gov upgrade

the lock digest is of Python's version and the pinned packages of a node, as `requirements/` has them: a proposal for an
upgrade names that of its release, and operators compare it with theirs before the height comes
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "upgrade", run, "the planned upgrade, and whether this program is ready", _EXAMPLES)
    add_reading_options(parser, one_answer=True)


def run(arguments: argparse.Namespace) -> None:
    """Show rules and plan, verified, beside what is installed here."""
    from abci_app import versions
    from abci_app.modules.governance import UpgradeQuery
    from node.errors import NodeError
    from node.release import compare_release

    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        answer = ask(client, arguments, "governance", "upgrade", UpgradeQuery())
    view = answer.value
    try:
        compared, own_digest = str(compare_release(view.plan)), compare_release(view.plan).own_digest.hex()
    except NodeError as error:
        compared, own_digest = str(error), ""
    is_ready = not view.version.next or versions.RULES.knows(view.version.next)
    if context.as_json:
        from openledger.documents import to_document

        document = {**to_document(view), "own_lock_digest": own_digest, "knows_next_rules": is_ready}
        context.output.json({**head_of(answer), **document})
        return
    top = Line(f"version {view.version.current} of the rules; this program knows {versions.RULES}")
    if view.version.next:
        begins = f"from height {view.version.from_height} on, version {view.version.next} holds"
        top.add(f"{begins}: this program {'knows it' if is_ready else 'stops there; install the release in time'}")
    top.add(compared)
    context.output.show({}, lambda console, _document: print_lines(console, [top]))
    say_how(context, answer)
    say_next(context, "openledger gov list --open")
