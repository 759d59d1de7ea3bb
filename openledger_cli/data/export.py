"""`openledger data export`: the rows of a version, each checked against the chain, as a file of a usual form."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger_cli.data.common import open_store, people
from openledger_cli.data.words import names_of_terms, shares_by_person, show_rows, status_word, terms_ids
from openledger_cli.lines import count
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next
from openledger_cli.text import note

if TYPE_CHECKING:
    from openledger.data.exporting import Exported
    from openledger.data.reading import WholeVersion
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data export garden@1 --to out.jsonl
  openledger data export garden --to garden.parquet           the latest version
  openledger data export garden@1 --to folder --form hf       a folder for datasets.load_dataset("folder")
"""


def register(commands: Any) -> None:
    """Add the task."""
    from openledger.data.exporting import FORMS

    parser = add_task(commands, "export", run, "write the rows of a version, verified", _EXAMPLES)
    parser.add_argument("version", metavar="DATANET@VERSION", help="such as garden@1; garden is the latest")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="file, or folder for --form hf")
    parser.add_argument("--form", choices=FORMS, help="default: what the ending of the file says")
    parser.add_argument(
        "--without-erased", action="store_true", help="leave out contributions whose rows were erased, and say so"
    )
    add_reading_options(parser, content=True)


def run(arguments: argparse.Namespace) -> None:
    """Export, note where the text now lies, and say what the form could not hold."""
    from openledger.content.new_files import check_new_folder
    from openledger.data.exporting import export_version, form_of_target
    from openledger.data.reading import read_version
    from openledger.data.written import WrittenFile, note_written
    from openledger_cli.progress import counting

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    form = form_of_target(arguments.to, arguments.form)
    if form == "hf":
        check_new_folder(arguments.to)
    else:
        context.check_new(arguments.to)
    with open_client(context, arguments) as client:
        version = read_version(client, arguments.version, prove=prove)
        ids = terms_ids(version.contributions)
        terms = names_of_terms(client, ids, height=version.known.height, prove=prove)
    text = _card(version, people(context), list(terms.values())) if form == "hf" else ""
    held = tuple([each.contribution_id for each in version.contributions])
    written = WrittenFile(path=str(arguments.to.absolute()), what=f"export of {version.reference}", holds=held)
    # What is no file (a pipe, /dev/stdout) keeps nothing; else before the first byte, so that a kill hides nothing.
    keeps = not arguments.to.exists() or arguments.to.is_file() or arguments.to.is_dir()
    if keeps:
        note_written(context.home, written)
    done = export_version(
        open_store(arguments),
        version,
        arguments.to,
        form,
        without_erased=arguments.without_erased,
        card=text,
        overwrite=context.overwrite,
        progress=counting("rows", silent_seconds=1.0),
    )
    if keeps:
        note_written(context.home, written.with_files(done.files))
    _say(arguments, version, done)


def _say(arguments: argparse.Namespace, version: WholeVersion, done: Exported) -> None:
    from openledger.data.loading import revoked_parts

    context: CommandContext = arguments.context
    left_out = [
        f"{part.submission.reference}, rows {part.first} to {part.last}: {part.in_short}" for part in done.erased
    ]
    revoked = [
        f"{each.reference}, {show_rows(first, each)}: {status_word(each)}" for first, each in revoked_parts(version)
    ]
    if context.as_json:
        context.output.json(
            {
                **head_of(version.known),
                "datanet": version.name,
                "version": version.version,
                "form": done.form,
                "to": str(arguments.to),
                "rows": done.rows,
                "changed_by_form": list(done.remarks),
                "left_out": left_out,
                "revoked": revoked,
            }
        )
        return
    # Rows that were written to standard output stay alone there.
    say = print if done.files else note
    against = "the chain" if version.known.verified else "what the node says"
    say(f"{arguments.to}: {count(done.rows, 'row')} of {version.reference}, each checked against {against}")
    for line in revoked:
        say(f"  not to be trained on: {line}")
    if done.in_short:
        say(f"  not held as it was: {done.in_short}")
    for line in left_out:
        say(f"  left out: {line}")
    say_how(context, version.known)
    say_next(context, f"openledger data prove {version.reference} --row 1")


def _card(version: WholeVersion, names: dict[bytes, str], terms: list[str]) -> str:
    """README of the folder: metadata that hubs read, and where the rows are from."""
    plain = len(terms) == 1 and re.fullmatch(r"[A-Za-z0-9.+-]+", terms[0])
    licence = terms[0].lower() if plain else "other"
    people_lines = [f"- {name}: {rows:,} rows" for name, _, rows in shares_by_person(version, names)]
    return "\n".join(
        [
            "---",
            f"license: {licence}",
            f"pretty_name: {version.name}",
            "configs:",
            "- config_name: default",
            "  data_files:",
            "  - split: train",
            "    path: data/train-*.parquet",
            "---",
            "",
            f"# {version.name}, version {version.version}",
            "",
            f"{version.record.row_count:,} rows under {', '.join(terms)}, by:",
            "",
            *people_lines,
            "",
            f"Exported from the DataNet `{version.reference}`. Each row was checked against the chain at height",
            f"{version.known.height}: {version.known.note}.",
            "",
        ]
    )
