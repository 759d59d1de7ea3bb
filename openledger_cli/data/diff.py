"""`openledger data diff`: the difference between two versions: whose contributions came and went, and why."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger.references import split_version
from openledger_cli.data.common import people, who
from openledger_cli.data.words import names_of_terms, status_word, submission_document, terms_ids
from openledger_cli.lines import count, show_size
from openledger_cli.output import people_console, print_line
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next

if TYPE_CHECKING:
    from openledger.data.reading import Submission
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data diff garden@1 garden@2
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "diff", run, "what changed between two versions", _EXAMPLES)
    parser.add_argument("old", metavar="DATANET@VERSION", help="such as garden@1")
    parser.add_argument("new", metavar="DATANET@VERSION", help="such as garden@2")
    add_reading_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Compare two versions of one height."""
    from openledger.data.reading import read_datanet, read_version

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    if not all(split_version(each)[1] for each in (arguments.old, arguments.new)):
        raise UsageError("name two versions, such as garden@1 garden@2")
    with open_client(context, arguments) as client:
        old = read_version(client, arguments.old, prove=prove)
        new = read_version(client, arguments.new, height=old.known.height, prove=prove)
        if old.datanet_id != new.datanet_id:
            raise UsageError(f"{arguments.old} and {arguments.new} are versions of two DataNets: compare two of one")
        datanet = read_datanet(client, new.name, height=old.known.height, prove=prove)
        now = {each.contribution_id: each for each in datanet.submissions}
        before = {each.contribution_id for each in old.contributions}
        after = {each.contribution_id for each in new.contributions}
        added = [now[each.contribution_id] for each in new.contributions if each.contribution_id not in before]
        removed = [now[each.contribution_id] for each in old.contributions if each.contribution_id not in after]
        terms = names_of_terms(client, terms_ids([*added, *removed]), height=old.known.height, prove=prove)
    names = people(context)
    if context.as_json:
        context.output.json(
            {
                **head_of(old.known),
                "old": old.reference,
                "new": new.reference,
                "rows": [old.record.row_count, new.record.row_count],
                "added": [submission_document(each, names, terms) for each in added],
                "removed": [submission_document(each, names, terms) for each in removed],
            }
        )
        return
    console = people_console()
    change = new.record.row_count - old.record.row_count
    print_line(
        console,
        f"{old.reference} to {new.reference}: {old.record.row_count:,} to {new.record.row_count:,} rows ({change:+,})",
    )
    for sign, submissions in (("+", added), ("-", removed)):
        for each in submissions:
            print_line(console, f"{sign} {_line(each, names, terms)}")
    kept = len(before & after)
    print_line(console, f"{count(kept, 'contribution')} in both")
    say_how(context, old.known)
    say_next(context, f"openledger data show {new.reference}")


def _line(submission: Submission, names: dict[bytes, str], terms: dict[bytes, str]) -> str:
    record = submission.stored.contribution
    return (
        f"{submission.reference}  {count(record.row_count, 'row')}, {show_size(record.byte_count)} by "
        f"{who(record.contributor, names)}, {terms[record.terms_id]}; {status_word(submission)}"
    )
