"""`openledger data revoke`: take a contribution back; says first which versions and models that concerns."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from openledger.errors import TransactionFailed, UsageError
from openledger_cli.data.common import (
    add_reading_options,
    add_sending_options,
    add_task,
    agreed,
    people,
    say_next,
    send,
    who,
)
from openledger_cli.lines import count
from openledger_cli.output import people_console, print_line
from openledger_cli.proofs.trust import open_client

if TYPE_CHECKING:
    from openledger.client.client import Client
    from openledger.data.reading import Submission, WholeDatanet
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data revoke garden#2 --reason personal-data --from dana
  openledger data revoke garden#2 --reason licence --from olga --dry-run      only what it would mean
"""


def register(commands: Any) -> None:
    """Add the task."""
    from abci_app.modules.datanets.records import Reason
    from openledger.words import words

    parser = add_task(commands, "revoke", run, "take a contribution back, for good", _EXAMPLES)
    parser.add_argument("submission", metavar="DATANET#NUMBER", help="such as garden#2")
    reasons = [word for word in words(Reason) if word != "none"]
    parser.add_argument("--reason", required=True, choices=reasons, help="why")
    parser.add_argument("--dry-run", action="store_true", help="only say what would become unusable")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_sending_options(parser)
    add_reading_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Say what it means, ask at a terminal, revoke."""
    from abci_app.modules.datanets.records import Reason, RevokeContribution
    from openledger.data.reading import read_submission
    from openledger.words import number_of_word

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    with open_client(context, arguments) as client:
        datanet, submission = read_submission(client, arguments.submission, prove=prove)
        _check(submission)
        meaning = consequences(client, datanet, submission, prove=prove)
        if not context.as_json:
            _say(context, submission, meaning)
        revoked = None
        if not arguments.dry_run:
            # Nobody at the keyboard: the command line is the decision.
            if (
                sys.stdin.isatty()
                and not context.as_json
                and not agreed("Revoke it? This cannot be undone.", yes=arguments.yes)
            ):
                raise UsageError("nothing was revoked")
            message = RevokeContribution(submission.contribution_id, number_of_word(Reason, arguments.reason))
            revoked = send(arguments, client, [message])
    if context.as_json:
        done = {"revoked": revoked is not None, "height": revoked.height if revoked else 0}
        context.output.json({"submission": submission.reference, "reason": arguments.reason, **done, **meaning})
        return
    if revoked is None:
        print("nothing was revoked: leave --dry-run out to do it")
        return
    print(f"{submission.reference} is revoked ({arguments.reason.replace('-', ' ')}), in block {revoked.height}")
    steps = [f"openledger data erase {submission.reference}     (its rows still lie in content stores)"]
    if meaning["versions"]:
        steps.insert(0, f"openledger data freeze {datanet.name} --from KEY     (a version without it)")
    say_next(context, *steps)


def consequences(client: Client, datanet: WholeDatanet, submission: Submission, *, prove: bool) -> dict[str, Any]:
    """Versions that hold it, versions that nobody may train on any more, and models that were made from them."""
    from abci_app.modules.datanets.queries import VersionQuery
    from openledger.client.provenance import impact, impact_question

    versions: list[int] = []
    for version in range(1, datanet.counts.versions + 1):
        if not submission.stored.accepted_number:
            break
        question = VersionQuery(
            datanet_id=datanet.datanet_id,
            name="",
            version=version,
            after_number=submission.stored.accepted_number - 1,
            limit=1,
        )
        answer = client.query("datanets", "version", question, height=datanet.known.height, prove=prove)
        if any(item.accepted.contribution_id == submission.contribution_id for item in answer.value.contributions):
            versions.append(version)
    models: dict[str, str] = {}
    unknown = 0
    for version in versions:
        page = impact(client, impact_question(datanet.name, version), height=datanet.known.height, prove=prove).value
        unknown = max(unknown, page.undeclared_entries)
        for item in page.entries:
            name = (
                f"{item.model_name}@{item.model_version}" if item.model_name else "a run that became no model's version"
            )
            models.setdefault(name, "trained on it" if item.direct else "through a parent")
    # One number instead of a search: all that was frozen up to now takes no new training.
    unusable = list(range(1, datanet.counts.versions + 1)) if versions else []
    return {"versions": versions, "unusable": unusable, "models": models, "undeclared_entries": unknown}


def _check(submission: Submission) -> None:
    """Raises `TransactionFailed` for one that there is nothing to revoke of."""
    from abci_app.modules.datanets.records import DatanetsCode, Status

    if submission.stored.status in (Status.REJECTED, Status.REVOKED):
        word = Status(submission.stored.status).name.lower()
        raise TransactionFailed(
            DatanetsCode.REVOKED, "datanets", f"nothing was sent: {submission.reference} is {word} already"
        )


def _say(context: CommandContext, submission: Submission, meaning: dict[str, Any]) -> None:
    from openledger_cli.data.words import span_of

    console = people_console()
    record = submission.stored.contribution
    by = who(record.contributor, people(context))
    print_line(console, f"{submission.reference}: {count(record.row_count, 'row')} by {by}")
    if not meaning["versions"]:
        print_line(console, "  no version holds it: nothing else changes")
        return
    print_line(console, f"  {span_of(meaning['versions'])} will hold a revoked contribution for ever")
    print_line(console, f"  {span_of(meaning['unusable'])} can no longer be trained on; freezing makes one that can")
    for name, how in meaning["models"].items():
        print_line(console, f"  made from it: {name}, {how}; it stays recorded, and shows what was revoked")
    if not meaning["models"]:
        print_line(console, "  no model declares to be made from it")
    if meaning["undeclared_entries"]:
        undeclared = count(meaning["undeclared_entries"], "entry", "entries")
        print_line(console, f"  unknown: {undeclared} that came from outside or declare less than all")
