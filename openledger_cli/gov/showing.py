"""`openledger gov show`: one proposal, what it changes, what happens when, what the reader can do."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger_cli.gov.words import events, needed, standing, steps, votes
from openledger_cli.lines import Line, print_lines
from openledger_cli.proofs.trust import open_client
from openledger_cli.query.answers import ask
from openledger_cli.tasks import add_reading_options, add_task, head_of, naming, say_how, say_next

if TYPE_CHECKING:
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger gov show 3
  openledger gov show 3 --bundle proposal-3.json       with a proof that others can check
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "show", run, "a proposal: where it stands, what happens when", _EXAMPLES)
    parser.add_argument("number", type=int, metavar="NUMBER", help="of the proposal")
    add_reading_options(parser, one_answer=True)


def run(arguments: argparse.Namespace) -> None:
    """Show, verified."""
    from abci_app.modules.governance import ProposalQuery

    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        answer = ask(client, arguments, "governance", "proposal", ProposalQuery(arguments.number))
    view, name_of = answer.value, naming(context)
    proposal = view.proposal
    if context.as_json:
        from openledger.documents import to_document

        context.output.json({**head_of(answer), **to_document(view)})
        return
    top = Line(f"proposal {proposal.number}, {proposal.title}: {standing(proposal, answer.height)}")
    top.add(f"by {name_of(proposal.proposer)}, in block {proposal.submitted_height}, epoch {proposal.epoch}")
    changes = top.add("changes" if proposal.is_open else "changes, against what holds now")
    changes.below.extend([Line(effect) for action in view.actions for effect in action.effects])
    voting = top.add(f"votes: {votes(proposal)}")
    voting.add(needed(proposal))
    for line in events(view):
        top.add(line)
    if proposal.digest:
        top.add(f"its text has the digest {proposal.digest.hex()}")
    context.output.show({}, lambda console, _document: print_lines(console, [top]))
    say_how(context, answer)
    say_next(context, *steps(view))
