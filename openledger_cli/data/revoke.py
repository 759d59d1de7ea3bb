"""`openledger data revoke`: take a contribution back; says first which versions and models that concerns."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from openledger.errors import TransactionFailed, UsageError
from openledger_cli.data.common import add_sending_options, agreed, people, who
from openledger_cli.lines import count
from openledger_cli.output import people_console, print_line
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, say_next, send

if TYPE_CHECKING:
    from openledger.client.client import Client
    from openledger.data.reading import Submission, WholeDatanet
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data revoke garden#2 --reason personal-data --from dana
  openledger data revoke garden#2 --reason licence --from olga --dry-run      only what it would mean
"""
# Versions that models are asked for one by one.
_ASKED_ONE_BY_ONE = 16
_SHOWN_ID = 16


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
    from openledger.client.provenance import impact, impact_question

    versions = _versions_with(client, datanet, submission, prove=prove)
    models: dict[str, str] = {}
    unknown = 0
    # Of many versions all are asked for at once: then models of versions without it are among the answer.
    for version in versions if len(versions) <= _ASKED_ONE_BY_ONE else [0]:
        page = impact(client, impact_question(datanet.name, version), height=datanet.known.height, prove=prove).value
        unknown = max(unknown, page.undeclared_entries)
        for item in page.entries:
            run = encode_id("olrun", item.entry_id)
            name = f"{item.model_name}@{item.model_version}" if item.model_name else f"{run[:_SHOWN_ID]}…, of no model"
            models.setdefault(name, "trained on it" if item.direct else "through a parent")
    # One number instead of a search: all that was frozen up to now takes no new training.
    unusable = list(range(1, datanet.counts.versions + 1)) if versions else []
    return {"versions": versions, "unusable": unusable, "models": models, "undeclared_entries": unknown}


def _versions_with(client: Client, datanet: WholeDatanet, submission: Submission, *, prove: bool) -> list[int]:
    """The versions that hold it: those from its acceptance on, up to now or to its revocation."""
    from abci_app.modules.datanets.queries import VersionQuery
    from abci_app.modules.datanets.records import Status

    stored = submission.stored
    revoked = stored.status == Status.REVOKED
    known = [at for at, each in enumerate(datanet.versions, 1) if not revoked or each.height <= stored.decided_height]
    if not stored.accepted_number:
        return []
    # A version of the very block of the revocation may lack it; the one before has it, or none has.
    for version in known[:-3:-1]:
        question = VersionQuery(
            datanet_id=datanet.datanet_id,
            name="",
            version=version,
            after_number=stored.accepted_number - 1,
            limit=1,
        )
        answer = client.query("datanets", "version", question, height=datanet.known.height, prove=prove)
        for item in answer.value.contributions:
            if item.accepted.contribution_id == submission.contribution_id:
                last = item.accepted.absent_from_version - 1 if item.accepted.absent_from_version else version
                return list(range(item.accepted.present_from_version, last + 1))
    return []


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
