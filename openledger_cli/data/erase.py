"""`openledger data erase`: remove the text of a contribution from a content store and from this machine."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from openledger.content.tombstone import Erased, Tombstone
from openledger.errors import OpenLedgerError, UsageError
from openledger_cli.data.common import agreed, open_store, people, reason_word, who
from openledger_cli.lines import count, show_size
from openledger_cli.output import people_console, print_line
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_next

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openledger.client.client import Client
    from openledger.data.reading import Submission, WholeDatanet
    from openledger_cli.context import CommandContext
    from openledger_cli.data.holdings import Holding

_EXAMPLES = """\
  openledger data erase garden#2                             shows what holds its text, asks, removes it
  openledger data erase garden#2 --dry-run                   only shows it
  openledger data erase garden#2 --yes --content s3://shared/content
"""


class NotErased(OpenLedgerError):
    """Something that holds the text could not be removed, or came back meanwhile."""


def register(commands: Any) -> None:
    """Add the task."""
    from abci_app.modules.datanets.records import Reason
    from openledger.words import words

    parser = add_task(commands, "erase", run, "remove the text of a contribution from this machine", _EXAMPLES)
    parser.add_argument("submission", metavar="DATANET#NUMBER", help="such as garden#2")
    reasons = [word for word in words(Reason) if word != "none"]
    parser.add_argument("--reason", choices=reasons, help="why (default: that of its revocation)")
    parser.add_argument("--dry-run", action="store_true", help="only show what holds its text")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_reading_options(parser, content=True)


def run(arguments: argparse.Namespace) -> None:
    """Find, show, ask, remove, look again."""
    from openledger.data.reading import read_submission
    from openledger_cli.data.holdings import Search
    from openledger_cli.data.revoke import consequences
    from openledger_cli.progress import counting

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    with open_client(context, arguments) as client:
        datanet, submission = read_submission(client, arguments.submission, prove=prove)
        others = _registered(client, datanet.known.height, prove=prove)
        models = consequences(client, datanet, submission, prove=prove)["models"]
    store = open_store(arguments)
    search = Search(
        store=store,
        home=context.home,
        submission=submission,
        others=others,
        progress=counting("looking for its text", silent_seconds=1.0),
    )
    found = search.find()
    going = [each for each in found if not each.keep]
    stone = _tombstone(arguments, submission)
    before = store.find_tombstone(submission.commitment.content_digest)
    if not context.as_json:
        _say_found(context, submission, found, search.limits)
        _say_beyond(submission, models)
        if before is not None and not going:
            print(f"it was erased on {before.day}")
    removed = bool(going) and not arguments.dry_run
    if removed:
        if not agreed(f"Remove {count(len(going), 'thing')} for good?", yes=arguments.yes):
            raise UsageError("nothing was removed")
        for each in going:
            each.remove(stone)
        left = [each for each in search.find() if not each.keep]
        if left:
            raise NotErased(f"{left[0].place} still holds its text ({left[0].what}): run the command again")
    if context.as_json:
        context.output.json(
            {
                **head_of(datanet.known),
                "submission": submission.reference,
                "erased": removed,
                "found": [_document(each) for each in found],
                "not_searched": search.limits,
                "models_made_from_it": models,
            }
        )
        return
    if not going:
        return
    if not removed:
        print("nothing was removed: leave --dry-run out to do it")
        return
    print(f"{submission.reference} is erased here; looked again: nothing but what is said to stay holds its text")
    print("still provable: who contributed how many rows and when, versions, lineages, shares by gradients")
    print("no longer: its rows, training on versions with it, spans of models that were trained on it")
    say_next(context, *_next_steps(datanet, submission))


def _registered(client: Client, height: int, *, prove: bool) -> dict[bytes, Sequence[Submission]]:
    """Every submission of the chain by the digest of its rows: what is not among them belongs to nobody."""
    from openledger.data.reading import read_datanet, read_names

    found: dict[bytes, list[Submission]] = {}
    names, _ = read_names(client, prove=prove)
    for each in names:
        for submission in read_datanet(client, each.datanet.name, height=height, prove=prove).submissions:
            found.setdefault(submission.commitment.content_digest, []).append(submission)
    return dict(found)


def _tombstone(arguments: argparse.Namespace, submission: Submission) -> Tombstone:
    from abci_app.modules.datanets.records import Reason

    reason = submission.stored.reason or Reason.OTHER
    return Tombstone(
        what=Erased.ROWS,
        reference=submission.reference,
        contribution_id=submission.contribution_id,
        reason=arguments.reason or reason_word(reason),
        erased_seconds=int(time.time()),
    )


def _document(holding: Holding) -> dict[str, Any]:
    places = [holding.place, *holding.further]
    return {"what": holding.what, "places": places, "bytes": holding.byte_count, "stays": holding.keep}


def _say_found(
    context: CommandContext, submission: Submission, found: Sequence[Holding], limits: Sequence[str]
) -> None:
    console = people_console()
    record = submission.stored.contribution
    by = who(record.contributor, people(context))
    print_line(console, f"{submission.reference}: {count(record.row_count, 'row')} by {by}; its text is in")
    for each in found:
        if not each.keep:
            print_line(console, f"  {each.what}, {show_size(each.byte_count)}: {each.place}")
    if not any(not each.keep for each in found):
        print_line(console, "  nothing that could be found here")
    for each in found:
        if each.keep:
            print_line(console, f"  stays: {each.what}, {each.place}: {each.keep}")
    for line in limits:
        print_line(console, f"  not sure: {line}")


def _say_beyond(submission: Submission, models: dict[str, str]) -> None:
    """Say what no removal here reaches."""
    from abci_app.modules.datanets.records import Status

    console = people_console()
    if models:
        print_line(console, f"  cannot be erased: what weights learned from it: {', '.join(models)}")
    print_line(console, "  not reached: other content stores, machines, backups, and files that others made of it")
    if submission.stored.status == Status.ACCEPTED:
        print_line(console, "  it is not revoked: versions with it can neither be trained on here nor replaced")


def _next_steps(datanet: WholeDatanet, submission: Submission) -> list[str]:
    from abci_app.modules.datanets.records import Status

    stored = submission.stored
    if stored.status in (Status.ACCEPTED, Status.PENDING):
        return [f"openledger data revoke {submission.reference} --reason REASON --from KEY"]
    if not stored.accepted_number or datanet.versions[-1].height > stored.decided_height:
        # No version ever held it, or the latest one does not any more.
        return [f"openledger data show {submission.datanet}"]
    return [f"openledger data freeze {submission.datanet} --from KEY     (a version without it)"]
