"""`openledger data publish`: files of one's own as a version of a DataNet of one's own, in one command.

The steps are those of `new`, `add`, `review` and `freeze`; the command given again goes on where it stopped:
a DataNet that is there is not made, rows that were contributed are not contributed again, and a version is frozen only
where something was accepted since the last one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import QueryFailed, Refused, UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.data.add import add_row_options, hand_over, options_of, print_added
from openledger_cli.data.common import add_sending_options, sender_address
from openledger_cli.lines import count
from openledger_cli.near_names import add_near_names
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next, send
from openledger_cli.text import note

if TYPE_CHECKING:
    from abci_app.module import Message
    from openledger.client.client import Client
    from openledger.data.contribute.add import Added
    from openledger.data.reading import WholeDatanet
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data publish garden chat.jsonl --terms CC-BY-4.0 --from olga
  openledger data publish garden chat.jsonl faq.csv notes/ --terms CC-BY-4.0 --note "first" --from olga
  openledger data publish garden more.jsonl --from olga                 the next version of the same DataNet

for data of others, and where others review: data new, add, review, freeze
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(
        commands, "publish", run, "files of your own as a version of a DataNet of your own, in one go", _EXAMPLES
    )
    parser.add_argument("datanet", metavar="DATANET", help="its name; it is made where there is none yet")
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER", help="what to publish")
    parser.add_argument("--note", default="", metavar="TEXT", help="what this version is, in a sentence")
    add_row_options(parser)
    add_sending_options(parser)
    add_reading_options(parser, content=True)
    parser.set_defaults(dry_run=False)


def run(arguments: argparse.Namespace) -> None:
    """Make, contribute, accept, freeze; and show the version as it is proven."""
    from openledger.data.reading import read_datanet, read_version

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    with open_client(context, arguments) as client:
        _require_own(arguments, client)
        options = options_of(context, arguments)
        added = hand_over(arguments, client, options)
        if not context.as_json:
            print_added(added)
        datanet = read_datanet(client, arguments.datanet, prove=prove)
        messages = _decided(datanet, added, arguments.note)
        for part in _parts(messages):
            send(arguments, client, part)
        if messages:
            datanet = read_datanet(client, arguments.datanet, prove=prove)
        version = read_version(client, f"{datanet.name}@{datanet.counts.versions}", prove=prove)
    if context.as_json:
        document = {"datanet": version.name, "version": version.version, "rows": version.record.row_count}
        context.output.json({**head_of(version.known), **document, "new": bool(messages)})
        return
    state = "it never changes" if messages else "nothing is new since then"
    print(f"{version.reference}: {count(version.record.row_count, 'row')}; {state}")
    say_how(context, version.known)
    say_next(context, f"openledger train --init recipe.yaml --base MODEL --data {version.reference}")


def _require_own(arguments: argparse.Namespace, client: Client) -> None:
    """Make the DataNet where there is none; raises `UsageError` for one that others own or decide on."""
    from abci_app.modules.datanets.records import CreateDatanet
    from openledger.data.reading import read_datanet
    from openledger.terms import terms_of_name

    near = ""
    try:
        datanet = read_datanet(client, arguments.datanet, prove=not arguments.unverified)
    except Refused as refusal:
        if isinstance(refusal, QueryFailed):
            add_near_names(refusal, arguments)
            near = f"; {refusal.near}" if refusal.near else ""
        # Only a proven denial means that there is none, or the node's word where the user takes it.
        if refusal.exit_code != ExitCode.NOT_FOUND and not arguments.unverified:
            raise
    else:
        if datanet.datanet.owner != sender_address(arguments) or datanet.datanet.quorum != 1:
            raise UsageError(
                f"{datanet.name} is not decided by {arguments.signer} alone: contribute to it with "
                f"`openledger data add {datanet.name} ...`, and its reviewers decide"
            )
        return
    if not arguments.terms:
        raise UsageError(
            f"there is no DataNet {arguments.datanet} yet: say under which licence, as --terms CC-BY-4.0{near}"
        )
    terms_id, registration = terms_of_name(client, arguments.terms)
    messages: list[Message] = [registration] if registration else []
    messages.append(
        CreateDatanet(
            name=arguments.datanet, description=arguments.note, default_terms_id=terms_id, reviewers=(), quorum=1
        )
    )
    send(arguments, client, messages)
    note(f"made the DataNet {arguments.datanet} under {arguments.terms}")


def _decided(datanet: WholeDatanet, added: Added, version_note: str) -> list[Message]:
    """Verdicts on what waits of these files, and a version where something is accepted that none holds."""
    from abci_app.modules.datanets.records import CreateVersion, Decision, ReviewContribution, Status

    ours = [datanet.submission(item.number) for item in added.items]
    messages: list[Message] = [
        ReviewContribution(each.contribution_id, int(Decision.ACCEPT), 0)
        for each in ours
        if each.stored.status == Status.PENDING
    ]
    if messages or datanet.counts.changes:
        messages.append(CreateVersion(datanet.datanet_id, version_note))
    return messages


def _parts(messages: list[Message]) -> list[list[Message]]:
    """Split messages into transactions of as many as one may have."""
    from abci_app.chain.transaction import MAX_MESSAGES

    return [messages[at : at + MAX_MESSAGES] for at in range(0, len(messages), MAX_MESSAGES)]
