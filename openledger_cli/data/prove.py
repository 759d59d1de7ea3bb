"""`openledger data prove`: a bundle that shows that a row is in a version, checked offline by `openledger verify`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import NotVerified, UsageError
from openledger_cli.data.common import open_store, people, who
from openledger_cli.lines import row_lines
from openledger_cli.output import people_console, print_line
from openledger_cli.parser import OutputFile
from openledger_cli.proofs.proven import revoked_words
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next
from openledger_cli.text import note

if TYPE_CHECKING:
    from openledger.client.client import Client
    from openledger.data.reading import Submission, WholeVersion
    from openledger.data.row_proof import RowProof
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data prove garden@1 --row 17                     row 17 is line 17 of `data export --form jsonl`
  openledger data prove garden@1 --row 17 --bundle row.json
  openledger verify row.json --genesis genesis.json           anywhere, without a network
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "prove", run, "write a proof that a row is in a version", _EXAMPLES)
    parser.add_argument("version", metavar="DATANET@VERSION", help="such as garden@1; garden is the latest")
    parser.add_argument("--row", type=int, required=True, metavar="N", help="number of the row, from 1")
    parser.add_argument(
        "--bundle", type=OutputFile, metavar="FILE", help="where to write (default: NAME-VERSION-row-N.bundle.json)"
    )
    add_reading_options(parser, content=True)


def run(arguments: argparse.Namespace) -> None:
    """Fetch and check the contribution's rows, prove one, write the bundle."""
    from openledger.content.store import file_digest
    from openledger.data.loading import find_place
    from openledger.data.reading import read_version
    from openledger.data.row_proof import prove_row
    from openledger.data.rows import load_batch
    from openledger.data.written import WrittenFile, note_written

    context: CommandContext = arguments.context
    if arguments.unverified:
        raise UsageError("a proof needs a verified answer: leave --unverified out")
    with open_client(context, arguments) as client:
        version = read_version(client, arguments.version)
        submission, index = find_place(version, arguments.row)
        target = arguments.bundle or _default_target(version, arguments.row)
        context.check_new(target)
        store = open_store(arguments)
        batch = load_batch(store, submission.contribution_id, submission.commitment, submission.reference)
        proof = prove_row(batch, index)
        label = f"row {arguments.row} of {version.reference}"
        bundle = _bundle(client, version, submission, proof, label)
    noted = WrittenFile(str(target.absolute()), f"proof of {label}", (submission.contribution_id,))
    note_written(context.home, noted)
    context.write(target, bundle)
    note_written(context.home, noted.with_files(((str(target), file_digest(target)),)))
    by = who(submission.stored.contribution.contributor, people(context))
    if context.as_json:
        context.output.json(
            {
                **head_of(version.known),
                "version": version.reference,
                "row": arguments.row,
                "submission": submission.reference,
                "row_of_submission": index + 1,
                "by": by,
                "text": proof.row.decode(),
                "bundle": str(target),
            }
        )
        return
    revoked = revoked_words(submission.stored)
    if revoked:
        note(f"{submission.reference}{revoked.removeprefix(', and')}; the file says so, too")
    console = people_console()
    print_line(console, f"{label}: row {index + 1} of {submission.reference} by {by}")
    for line in row_lines(proof.row.decode()):
        print_line(console, f"  {line}")
    print_line(console, f"wrote {target}; it shows this row and nothing of the others")
    say_how(context, version.known)
    say_next(context, f"openledger verify {target}     (anywhere, without a network)")


def _default_target(version: WholeVersion, row: int) -> Path:
    """A file here; names of DataNets may have strokes."""
    return Path(f"{version.name.replace('/', '-')}-{version.version}-row-{row}.bundle.json")


def _bundle(client: Client, version: WholeVersion, submission: Submission, proof: RowProof, label: str) -> bytes:
    """The verified answer that has version and contribution, with the row; raises `NotVerified`."""
    from abci_app.modules.datanets.queries import VersionQuery
    from openledger.light.attachments import Attachment

    question = VersionQuery(
        datanet_id=b"",
        name=version.name,
        version=version.version,
        after_number=submission.stored.accepted_number - 1,
        limit=1,
    )
    answer = client.query("datanets", "version_contributions", question, height=version.known.height)
    held = [each.stored.contribution.rows_root for each in answer.value.contributions]
    if held != [proof.root] or client.light is None:
        raise NotVerified(f"{label} does not lead to the root on the chain: use none of these rows")
    return client.light.bundle(answer.evidence, (Attachment(label, proof.encode(), "row"),))
