"""`openledger runs`: recorded runs, newest first, by whom and of which model; --follow goes on with new ones.

The list of entries is proven page by page. With --follow each new one is proven, too, as soon as it can be.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from openledger.errors import NodeFailure, NodeUnreachable, UsageError
from openledger_cli.lines import count, show_time
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, head_of, naming, say_how, say_next
from openledger_cli.text import note

if TYPE_CHECKING:
    from abci_app.modules.models.queries import EntryView
    from openledger.client.client import Client
    from openledger.client.results import Answer
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
examples:
  openledger runs                              the latest 20, newest first
  openledger runs --limit 200 --model gardener
  openledger runs --follow                     prints new ones as they are recorded, until Ctrl-C

a run that only gave a known entry again is listed with that entry: openledger query models runs --entry-id gardener@2
"""
_MAX_PAGE = 200
_POLL_SECONDS, _RETRY_SECONDS = 1.0, 3.0
_COLUMNS = ("number", "when", "what", "model", "made from", "by", "licence check", "entry")


def register(subparsers: Any) -> None:
    """Add the command."""
    text = "recorded runs, newest first; --follow prints new ones as they come"
    parser = subparsers.add_parser(
        "runs", help=text, description=text, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many at most (default 20)")
    parser.add_argument("--model", default="", metavar="NAME", help="only runs that became versions of this model")
    parser.add_argument("--follow", action="store_true", help="go on with new runs until Ctrl-C")
    parser.add_argument("--seconds", type=float, metavar="N", help="with --follow: end after so many seconds")
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Show the latest, then, if wanted, what comes."""
    if arguments.limit < 1:
        raise UsageError("--limit: at least 1")
    if arguments.seconds is not None and not arguments.follow:
        raise UsageError("--seconds goes with --follow")
    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        book = RunBook(client, prove=not arguments.unverified, only=arguments.model)
        found, answer = book.latest(arguments.limit)
        _show(context, book, found, answer)
        if arguments.follow:
            _follow(arguments, book, max([item.stored.admission.number for item in found], default=0), answer.height)


class RunBook:
    """Recorded entries as they are asked for, and the names of the models that they belong to."""

    def __init__(self, client: Client, *, prove: bool, only: str = "") -> None:
        self._client = client
        self._prove = prove
        self._only = only
        self._names: dict[bytes, str] = {}

    def latest(self, limit: int) -> tuple[list[EntryView], Answer[Any]]:
        """The newest entries, newest first, all of one height."""
        found: list[EntryView] = []
        after, height = 0, 0
        while True:
            answer = self._page(after, limit, newest_first=True, height=height)
            found += [item for item in answer.value.items if self._is_wanted(item, answer.height)]
            after, height = answer.value.next_number, answer.height
            if not after or len(found) >= limit:
                return found[:limit], answer

    def later(self, number: int) -> tuple[list[EntryView], Answer[Any]]:
        """Entries beyond a number, oldest first, as far as one page reaches."""
        answer = self._page(number, _MAX_PAGE, newest_first=False, height=0)
        return list(answer.value.items), answer

    def is_wanted(self, item: EntryView) -> bool:
        """Whether it is a version of the model that is asked about, or every run is."""
        return self._is_wanted(item, 0)

    def model_of(self, item: EntryView, height: int = 0) -> str:
        """`gardener@2`, or empty for a run that became no version."""
        model_id = item.stored.model_id
        if not model_id:
            return ""
        if model_id not in self._names:
            from abci_app.modules.models.queries import ModelQuery

            question = ModelQuery(model_id, "")
            view = self._client.query("models", "model", question, height=height, prove=self._prove).value
            self._names[model_id] = view.model.name
        return f"{self._names[model_id]}@{item.stored.model_version}"

    def _is_wanted(self, item: EntryView, height: int) -> bool:
        return not self._only or self.model_of(item, height).rpartition("@")[0] == self._only

    def _page(self, after: int, limit: int, *, newest_first: bool, height: int) -> Answer[Any]:
        from abci_app.modules.models.queries import EntryListQuery

        question = EntryListQuery(after, int(newest_first), min(max(limit, 1), _MAX_PAGE))
        return self._client.query("models", "entries", question, height=height, prove=self._prove)


def row_of(item: EntryView, model: str, name_of: Callable[[bytes], str]) -> tuple[object, ...]:
    """One run for people."""
    from abci_app.bech32 import encode_id
    from abci_app.modules.models.kinds import Undeclared
    from openledger.words import word_of

    entry, admission = item.stored.entry, item.stored.admission
    parts = [
        count(len(entry.parents), "model") if entry.parents else "",
        count(len(entry.inputs), "DataNet") if entry.inputs else "",
    ]
    if entry.undeclared != Undeclared.NOTHING:
        parts.append("and undeclared")
    superseded = ", superseded" if item.stored.superseded_by_entry_id else ""
    return (
        admission.number,
        show_time(admission.time_seconds),
        f"{word_of('kind', entry.kind)}{superseded}",
        model or "-",
        ", ".join([part for part in parts if part]) or "from outside",
        name_of(admission.recorder),
        word_of("outcome", admission.outcome).replace("-", " "),
        encode_id("olrun", item.entry_id),
    )


def _show(context: CommandContext, book: RunBook, found: list[EntryView], answer: Answer[Any]) -> None:
    if context.as_json:
        context.output.show({**head_of(answer), "runs": [_document(book, item, answer.height) for item in found]})
        return
    name_of = naming(context)
    rows = [row_of(item, book.model_of(item, answer.height), name_of) for item in found]
    context.output.rows("", _COLUMNS, rows, None)
    say_how(context, answer)
    named = next((book.model_of(item, answer.height) for item in found if item.stored.model_id), "")
    say_next(context, f"openledger model show {named or 'NAME'}" if found else "openledger model add --help")


def _document(book: RunBook, item: EntryView, height: int) -> dict[str, Any]:
    return {"model": book.model_of(item, height), "entry": item}


def _follow(arguments: argparse.Namespace, book: RunBook, number: int, height: int) -> None:
    """Print new runs one by one; a line of JSON each where JSON is wanted."""
    import json
    import sys

    from openledger.documents import to_document

    context: CommandContext = arguments.context
    name_of = naming(context)
    ends = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    while ends is None or time.monotonic() < ends:
        try:
            found, answer = book.later(number)
        except (NodeUnreachable, NodeFailure) as failure:
            note(f"{failure}; trying again")
            time.sleep(_RETRY_SECONDS)
            continue
        for item in found:
            number = max(number, item.stored.admission.number)
            if not book.is_wanted(item):
                continue
            if context.as_json:
                head = {"height": answer.height, "verified": answer.verified}
                document = {**head, **_document(book, item, answer.height)}
                sys.stdout.write(json.dumps(to_document(document)) + "\n")
                sys.stdout.flush()
                continue
            print("  ".join([str(cell) for cell in row_of(item, book.model_of(item), name_of)]), flush=True)
        if not found:
            time.sleep(_POLL_SECONDS)
