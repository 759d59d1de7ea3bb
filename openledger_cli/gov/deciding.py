"""`openledger gov vote|object`: say what you think of a proposal."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_sending_options, add_task, say_next, send

if TYPE_CHECKING:
    from abci_app.module import Message
    from openledger_cli.context import CommandContext

_VOTE = """\
  openledger gov vote 3 yes --from alice
  openledger gov vote 3 veto --from alice              no, and the proposer should lose the deposit

a later vote takes the place of an earlier one; in the committee validators vote with their operator's key, yes or no
"""
_OBJECT = """\
  openledger gov object 3 --from validator-operator

for live validators, while a critical proposal waits to take effect; more than a third of their power cancels it, until
half of all gOPEN passes the same actions again
"""


def register(commands: Any) -> None:
    """Add the tasks."""
    vote = add_task(commands, "vote", run_vote, "vote on a proposal", _VOTE)
    vote.add_argument("number", type=int, metavar="NUMBER", help="of the proposal")
    vote.add_argument("choice", choices=("yes", "no", "abstain", "veto"))
    add_sending_options(vote, for_others=True)
    objection = add_task(commands, "object", run_object, "object to a critical proposal that passed", _OBJECT)
    objection.add_argument("number", type=int, metavar="NUMBER", help="of the proposal")
    add_sending_options(objection, for_others=True)


def run_vote(arguments: argparse.Namespace) -> None:
    """Vote, and say with how much."""
    from abci_app.modules.governance import CastVote, VoteChoice

    message = CastVote(arguments.number, int(VoteChoice[arguments.choice.upper()]))
    _send(arguments, message, f"voted {arguments.choice} on proposal {arguments.number}")


def run_object(arguments: argparse.Namespace) -> None:
    """Object."""
    from abci_app.modules.governance import RaiseObjection

    _send(arguments, RaiseObjection(arguments.number), f"objected to proposal {arguments.number}")


def _send(arguments: argparse.Namespace, message: Message, said: str) -> None:
    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        committed = send(arguments, client, [message])
    if context.as_json:
        context.output.json({"done": said, "hash": committed.hash, "height": committed.height})
        return
    print(f"{said} (block {committed.height})")
    say_next(context, f"openledger gov show {arguments.number}")
