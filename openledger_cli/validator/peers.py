"""`openledger validator peers`: the nodes that may connect because they are a live validator's own."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli.data.common import add_sending_options
from openledger_cli.tasks import add_reading_options, add_task, say_how
from openledger_cli.validator.common import document_of, send_and_read

if TYPE_CHECKING:
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger validator peers 0123456789abcdef0123456789abcdef01234567 --from bob
  openledger validator peers NODE NODE --from bob          exactly these, at most four
  openledger validator peers --none --from bob
"""
MOST = 4


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "peers", run, "name exactly these nodes as its own", _EXAMPLES)
    parser.add_argument("nodes", nargs="*", metavar="NODE", help="node id, 40 hex digits (`openledger node status`)")
    parser.add_argument("--none", action="store_true", help="no nodes any more")
    add_sending_options(parser)
    add_reading_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Set the list."""
    from abci_app.modules.validators import SetOwnPeers

    context: CommandContext = arguments.context
    nodes = [node.lower() for node in arguments.nodes]
    if arguments.none == bool(nodes):
        raise UsageError("name the nodes, or give --none")
    for node in nodes:
        if not re.fullmatch(r"[0-9a-f]{40}", node):
            raise UsageError(f"{node!r} is no node id: 40 hex digits, as `openledger node status` shows them")
    if len(nodes) > MOST:
        raise UsageError(f"{len(nodes)} nodes: a validator has at most {MOST} of its own; a registrar lists others")
    committed, answer, _ = send_and_read(arguments, [SetOwnPeers(tuple(nodes))])
    if context.as_json:
        context.output.json(document_of(committed, answer))
        return
    shown = ", ".join(answer.value.own_peers) or "none"
    print(f"nodes of {arguments.account or arguments.signer} that may connect while it has power: {shown}")
    say_how(context, answer)
