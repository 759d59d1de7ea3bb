"""`openledger data add`: rows of files as contributions."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli import signing
from openledger_cli.data.common import add_sending_options, open_store
from openledger_cli.lines import count, show_size
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, say_next
from openledger_cli.text import note, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openledger.client.client import Client
    from openledger.client.core import SendOptions
    from openledger.data.contribute.add import Added, AddedItem, AddOptions
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data add garden chat.jsonl --from dana
  openledger data add garden chat.jsonl faq.csv faq.parquet notes/ --from dana --dry-run     send nothing, show all
  openledger data add garden faq.csv --rename question=prompt --rename answer=completion --from dana
  openledger data add garden people.parquet --without mail --without photo --from dana
  openledger data add garden book.txt --text paragraph --terms CC0-1.0 --from dana

files: JSON Lines, JSON, CSV, TSV, Parquet and plain text, each also gzipped, and folders of them. Nothing is sent where
one row is wrong. Larger files become several contributions of at most 65,536 rows and 64 MiB. A command that was
stopped goes on when it is given again, and no row is contributed twice.
"""
# Overlap from which on a row of the table is worth a word.
_NEAR_PPB = 500_000_000
_PPB_OF_PER_CENT = 10**7
_NUMBER_COLUMNS = (2, 4)
_TERMINAL_SECONDS, _LOG_SECONDS = 0.2, 10.0


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "add", run, "contribute rows of files", _EXAMPLES)
    parser.add_argument("datanet", metavar="DATANET", help="name of the DataNet")
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER", help="what to contribute")
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, send and write nothing")
    add_row_options(parser)
    add_sending_options(parser)
    add_reading_options(parser, content=True)


def add_row_options(parser: argparse.ArgumentParser) -> None:
    """Options on how files are read and what is contributed of them."""
    from abci_app.modules.datanets import Form
    from openledger.words import words

    rows = parser.add_argument_group("rows")
    rows.add_argument(
        "--form", choices=words(Form), help="form that every row must have (default: that of a file's first row)"
    )
    rows.add_argument(
        "--rename", action="append", default=[], metavar="OLD=NEW", help="give a field another name (repeatable)"
    )
    rows.add_argument(
        "--without", action="append", default=[], metavar="FIELD", help="leave a field out of all rows (repeatable)"
    )
    rows.add_argument(
        "--text",
        choices=("document", "paragraph", "line"),
        default="document",
        help="what of a plain text is a row (default document: the file, cut where it has over 32,768 characters)",
    )
    what = parser.add_argument_group("contribution")
    what.add_argument("--terms", default="", metavar="NAME", help="licence of the rows (default: the DataNet's)")
    what.add_argument("--payee", metavar="KEY|ADDRESS", help="who is paid (default: who contributes)")
    what.add_argument("--again", action="store_true", help="contribute again what was rejected or revoked")
    what.add_argument(
        "--allow-copies", action="store_true", help="contribute rows whose words the DataNet has already in this number"
    )
    what.add_argument(
        "--processes", type=int, metavar="N", help="processes that work on rows (default: one for each processor)"
    )


def hand_over(arguments: argparse.Namespace, client: Client, options: AddOptions) -> Added:
    """Contribute the files that are named, with the keys that are named; a dry run opens none."""
    from openledger.data.contribute.add import add

    context: CommandContext = arguments.context
    if options.dry_run:
        signer = signing.public_party(context, arguments.signer)
    else:
        signer = signing.open_signer(context, arguments, arguments.signer, client.chain_id)
        if arguments.sponsor:
            sponsor = signing.open_signer(context, arguments, arguments.sponsor, client.chain_id)
            options = replace(options, sponsor=sponsor)
    return add(
        client,
        signer,
        arguments.datanet,
        arguments.paths,
        options,
        store=open_store(arguments),
        home=context.home,
        progress=Progress(),
    )


def run(arguments: argparse.Namespace) -> None:
    """Read, check, send, and show a line for each contribution."""
    context: CommandContext = arguments.context
    options = options_of(context, arguments)
    with open_client(context, arguments) as client:
        try:
            added = hand_over(arguments, client, options)
        except KeyboardInterrupt:
            if not options.dry_run:
                note("\nwhat was sent is contributed; the same command goes on from here, and doubles no row")
            raise
    if context.as_json:
        context.output.json(_document(added))
        return
    print_added(added)
    if added.dry_run:
        note("\ndry run: nothing was sent")
        say_next(context, "the same command without --dry-run")
    elif any(item.is_new for item in added.items):
        say_next(context, f"openledger data review {added.datanet}      (who reviews there decides)")
    else:
        note("\nnothing new: all of this was contributed before")
        say_next(context, f"openledger data show {added.datanet}")


def options_of(context: CommandContext, arguments: argparse.Namespace) -> AddOptions:
    """The options of a call as the library takes them; raises `UsageError`."""
    from abci_app.modules.datanets import Form
    from openledger.data.contribute.add import AddOptions
    from openledger.data.intake.plain_text import TextRule
    from openledger.data.intake.reading import ReadOptions

    rename: dict[str, str] = {}
    for text in arguments.rename:
        old, sign, new = text.partition("=")
        if not (sign and old and new) or old in rename:
            raise UsageError(f"--rename {text!r}: write OLD=NEW, once for each field, such as question=prompt")
        rename[old] = new
    if arguments.processes is not None and not 0 <= arguments.processes <= 64:
        raise UsageError("--processes is 0 (work in this one) to 64")
    return AddOptions(
        read=ReadOptions(
            form=Form[arguments.form.upper()] if arguments.form else None,
            rename=rename,
            without=frozenset(arguments.without),
            text=TextRule(arguments.text),
        ),
        terms=arguments.terms,
        payee=signing.party_named(context, arguments.payee).address if arguments.payee else b"",
        dry_run=arguments.dry_run,
        again=arguments.again,
        allow_copies=arguments.allow_copies,
        try_first=not arguments.send_anyway,
        processes=arguments.processes,
        send=_send_options(context, arguments),
        wait_seconds=arguments.timeout,
    )


def _send_options(context: CommandContext, arguments: argparse.Namespace) -> SendOptions:
    arguments.expiry, arguments.sequence, arguments.memo_digest = 0, None, None
    return signing.build_options(context, arguments)


def print_added(added: Added) -> None:
    """A line for each contribution, and what to look at."""
    parted = {item.source for item in added.items if sum(one.source == item.source for one in added.items) > 1}
    rows = [
        (
            f"{added.datanet}#{item.number}",
            _name(item, whole=item.source not in parted),
            count(item.row_count, "row"),
            item.form,
            _size(item.byte_count),
            _overlap(item) if item.is_new else f"contributed before, {item.status}",
        )
        for item in added.items
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [
            cell.rjust(width) if column in _NUMBER_COLUMNS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row[:5], widths, strict=True))
        ]
        print(printable("  ".join([*cells, row[5]])))
    for line in _remarks(added):
        note(line)


def _name(item: AddedItem, *, whole: bool) -> str:
    """The source; where it became several contributions, which of its lines."""
    if whole:
        return item.source
    first, last = item.first.rpartition(": ")[2], item.last.rpartition(": ")[2]
    if item.first.rpartition(": ")[0] == item.source:
        return f"{item.source} {first} to {last.rpartition(' ')[2]}"
    return f"{item.source} from {item.first.rpartition(': ')[0].removeprefix(item.source)} {first}"


def _size(byte_count: int) -> str:
    """A size in whole units."""
    number, unit = show_size(byte_count).split(" ")
    return f"{round(float(number))} {unit}"


def _overlap(item: AddedItem) -> str:
    near = item.nearest
    if near is None:
        return "nothing to compare with"
    return f"overlap with others {round(near.overlap_ppb / _PPB_OF_PER_CENT)} %"


def _remarks(added: Added) -> Sequence[str]:
    """All that people should look at, one line each."""
    lines = [f"\n{line}" if not at else line for at, line in enumerate(added.notes)]
    for item in added.items:
        name = f"{added.datanet}#{item.number}"
        near = item.nearest
        if near is not None and near.overlap_ppb >= _NEAR_PPB:
            lines.append(
                f"{name} has about {round(near.overlap_ppb / _PPB_OF_PER_CENT)} % of its words in common with "
                f"{added.datanet}#{near.number}: is it meant to be contributed beside it?"
            )
        if item.equal_rows:
            lines.append(f"{name} has {count(item.equal_rows, 'row')} that came before in these files")
        if item.findings.rows_by_name:
            lines.append(
                f"{name} looks like it holds personal data or secrets: {item.findings.in_words()}, of "
                f"{item.findings.rows_looked_at:,} looked at; see them with `openledger data review`, or leave fields "
                "out with --without"
            )
        lines += _advice(name, item)
    return lines


def _advice(name: str, item: AddedItem) -> list[str]:
    from abci_app.modules.datanets import Form
    from openledger.data.forms import suggested_names

    if item.form != "other" or not item.fields:
        return []
    form, names = suggested_names(item.fields)
    fields = ", ".join(item.fields[:6])
    if form == Form.OTHER and item.is_new:
        advice = (
            f"{name} has fields of its own ({fields}), so its form is other, and a recipe has to say what becomes of "
            "them; give them the names of a form with --rename OLD=NEW: prompt and completion, instruction and output, "
            "text, or messages"
        )
        return [advice]
    if form == Form.OTHER or not names:
        return []
    renames = " ".join([f"--rename {shlex.quote(f'{old}={new}')}" for old, new in names.items()])
    return [f"{name} has fields of its own ({fields}): with {renames} its form is {form.name.lower()}"]


def _document(added: Added) -> dict[str, Any]:
    return {
        "datanet": added.datanet,
        "dry_run": added.dry_run,
        "contributions": [
            {
                "submission": f"{added.datanet}#{item.number}",
                "source": item.source,
                "first": item.first,
                "last": item.last,
                "rows": item.row_count,
                "bytes": item.byte_count,
                "form": item.form,
                "fields": list(item.fields),
                "new": item.is_new,
                "status": item.status,
                "equal_rows": item.equal_rows,
                "overlap_ppb": item.nearest.overlap_ppb if item.nearest else None,
                "overlaps_most_with": f"{added.datanet}#{item.nearest.number}" if item.nearest else None,
                "rows_looked_at": item.findings.rows_looked_at,
                "looks_like": dict(item.findings.ranked()),
            }
            for item in added.items
        ],
        "notes": list(added.notes),
    }


class Progress:
    """How far reading and sending are, on standard error: a line that is rewritten, every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()

    def __call__(self, stage: str, done: int, total: int, rows: int) -> None:
        """Show it, where it is time."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if now - self._told < (_TERMINAL_SECONDS if terminal else _LOG_SECONDS) and not (terminal and done == total):
            return
        if now - self._began < _TERMINAL_SECONDS * 5:
            return
        self._told = now
        passed = now - self._began
        if stage == "read":
            left = f", {passed / done * (total - done):.0f} s left" if 0 < done < total else ""
            text = (
                f"read {count(rows, 'row')}, {show_size(done)} of {show_size(total)}, {rows / passed:,.0f} rows/s{left}"
            )
        else:
            text = f"{'stored' if stage == 'store' else 'sent'} {done} of {count(total, 'contribution')}"
        end = "\n" if done == total or not terminal else ""
        print(f"\r{text:<78}" if terminal else text, end=end, file=sys.stderr, flush=True)
