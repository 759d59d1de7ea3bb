"""`openledger data freeze`: everything accepted and not revoked becomes the next version, which never changes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger_cli.data.common import add_sending_options
from openledger_cli.lines import count, show_size
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next, send

if TYPE_CHECKING:
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data freeze garden --from olga --note "first"
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "freeze", run, "freeze what is accepted as the next version", _EXAMPLES)
    parser.add_argument("datanet", metavar="DATANET", help="name of the DataNet")
    parser.add_argument("--note", default="", metavar="TEXT", help="what this version is, in a sentence")
    add_sending_options(parser)
    add_reading_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Freeze, and show the version as it is proven."""
    from abci_app.modules.datanets.records import CreateVersion, Status
    from openledger.data.reading import read_datanet, read_version

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    with open_client(context, arguments) as client:
        before = read_datanet(client, arguments.datanet, prove=prove)
        send(arguments, client, [CreateVersion(before.datanet_id, arguments.note)])
        version = read_version(client, f"{before.name}@{before.counts.versions + 1}", prove=prove)
    waiting = sum(each.stored.status == Status.PENDING for each in before.submissions)
    record = version.record
    if context.as_json:
        context.output.json(
            {
                **head_of(version.known),
                "datanet": version.name,
                "version": version.version,
                "rows": record.row_count,
                "bytes": record.byte_count,
                "contributions": record.contribution_count,
                "waiting_for_review": waiting,
            }
        )
        return
    print(
        f"{version.reference}: {count(record.row_count, 'row')}, {show_size(record.byte_count)}, "
        f"{count(record.contribution_count, 'contribution')}; it never changes"
    )
    if waiting:
        print(f"left out: {count(waiting, 'submission')} that nobody decided yet")
    say_how(context, version.known)
    say_next(
        context, f"openledger data show {version.reference}", f"openledger data export {version.reference} --to FILE"
    )
