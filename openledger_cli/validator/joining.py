"""`openledger validator apply`, `bond`, `unjail` and `leave`: what is at stake, and whether it validates."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger.amounts import parse_amount, show_amount
from openledger.errors import UsageError
from openledger_cli.data.common import add_sending_options
from openledger_cli.tasks import add_reading_options, add_task, say_how, say_next
from openledger_cli.validator.common import (
    consensus_key_of,
    document_of,
    given_key,
    key_file,
    send_and_read,
)

if TYPE_CHECKING:
    from abci_app.module import Message
    from openledger_cli.context import CommandContext

_APPLY_EXAMPLES = """\
  openledger validator apply --from bob --bond 100000OPEN               in the home of the validator's node
  openledger validator apply --from bob --bond 100000OPEN --consensus-key n8ZB...=

It takes the consensus key of this home's node, which must be new to the chain. Bob must be a member, and a proposal
(`openledger gov propose`) must admit the candidate before it signs.
"""
_BOND_EXAMPLES = """\
  openledger validator bond 500OPEN --from bob
"""
_UNJAIL_EXAMPLES = """\
  openledger validator unjail --from bob
  openledger validator unjail --from bob --add 10OPEN        where the bond is no longer whole
"""
_LEAVE_EXAMPLES = """\
  openledger validator leave --from bob

Keep the node running until `openledger validator show` says that its power is 0, and guard its key until the bond has
left: evidence against it still takes from the bond.
"""


def register(commands: Any) -> None:
    """Add the tasks."""
    apply = add_task(commands, "apply", run_apply, "become a candidate, with a bond", _APPLY_EXAMPLES)
    apply.add_argument("--bond", required=True, metavar="AMOUNT", help="what is at stake, such as 100000OPEN")
    apply.add_argument("--consensus-key", default="", metavar="KEY", help="hex or base64 (default: this home's node)")
    apply.add_argument("--onion", default="", metavar="HEX", help="its onion (default: `openledger node onion`)")
    bond = add_task(commands, "bond", run_bond, "add to the bond", _BOND_EXAMPLES)
    bond.add_argument("amount", metavar="AMOUNT", help="such as 500OPEN")
    unjail = add_task(commands, "unjail", run_unjail, "come back from jail", _UNJAIL_EXAMPLES)
    unjail.add_argument("--add", default="", metavar="AMOUNT", help="add this to the bond first")
    leave = add_task(commands, "leave", run_leave, "give up all power; then the bond leaves", _LEAVE_EXAMPLES)
    for parser in (apply, bond, unjail, leave):
        add_sending_options(parser)
        add_reading_options(parser)


def run_apply(arguments: argparse.Namespace) -> None:
    """Apply with the key of this home's node."""
    from abci_app.modules.validators import Apply

    context: CommandContext = arguments.context
    key = given_key(arguments.consensus_key) if arguments.consensus_key else consensus_key_of(key_file(context))
    _send(
        arguments,
        [Apply(consensus_key=key, onion=onion_of(arguments), bond_nopen=parse_amount(arguments.bond))],
        "openledger gov propose ...   (a proposal admits it, with a power)",
        "openledger validator show",
    )


def onion_of(arguments: argparse.Namespace) -> bytes:
    """The newest onion of this home's node, or the one that is given."""
    from node import onions
    from node.home import Home

    if not arguments.onion:
        return onions.read_secret(Home(arguments.context.home)).chains[-1].onion
    try:
        onion = bytes.fromhex(arguments.onion)
    except ValueError:
        onion = b""
    if len(onion) != 32:
        raise UsageError(f"--onion {arguments.onion!r}: give 64 hex digits")
    return onion


def run_bond(arguments: argparse.Namespace) -> None:
    """Add to the bond."""
    from abci_app.modules.validators import AddBond

    _send(arguments, [AddBond(parse_amount(arguments.amount))])


def run_unjail(arguments: argparse.Namespace) -> None:
    """Come back, with more of a bond where that is asked for."""
    from abci_app.modules.validators import AddBond, Unjail

    messages: list[Message] = [AddBond(parse_amount(arguments.add))] if arguments.add else []
    _send(arguments, [*messages, Unjail()], "openledger node status")


def run_leave(arguments: argparse.Namespace) -> None:
    """Leave."""
    from abci_app.modules.validators import Leave

    _send(arguments, [Leave()], "openledger validator show   (keep the node running until its power is 0)")


def _send(arguments: argparse.Namespace, messages: list[Message], *steps: str) -> None:
    from openledger.validators import owed, standing

    context: CommandContext = arguments.context
    committed, answer, rules = send_and_read(arguments, messages)
    if context.as_json:
        context.output.json(document_of(committed, answer))
        return
    print(f"{arguments.account or arguments.signer} is {standing(answer.value)}")
    print(f"its bond is {show_amount(answer.value.bond_nopen)}")
    for entry in answer.value.leaving:
        print(f"{show_amount(entry.amount_nopen)} of it leave: withdrawn from height {entry.height} on")
    if to_do := owed(answer.value, rules):
        print(f"to do: {to_do}")
    say_how(context, answer)
    say_next(context, *steps)
