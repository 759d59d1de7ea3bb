"""`openledger account locks`: what an account has locked, and what of it is leaving until when."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from openledger.amounts import show_amount
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next

if TYPE_CHECKING:
    from abci_app.mechanisms.locks import Leaving, LockView
    from openledger.client.typed.locks import LocksFound
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger account locks alice
  openledger account locks open1... --output json
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "locks", run, "everything that an account has locked, proven complete", _EXAMPLES)
    parser.add_argument("account", metavar="KEY|ADDRESS", help="name of a key or open1...")
    add_reading_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Ask for all pages, and show a row a lock and one for each part that is leaving."""
    from openledger_cli.query.commands import account_address

    context: CommandContext = arguments.context
    address = account_address(context, arguments.account)
    with open_client(context, arguments) as client:
        found = client.locks(address, prove=not arguments.unverified)
    show(context, found, arguments.account)


def show(context: CommandContext, found: LocksFound, name: str) -> None:
    """Show an account's locks, and the next step where something can be withdrawn."""
    from openledger.client.typed.locks import withdrawable_nopen
    from openledger.documents import to_document

    now = int(time.time())
    ready = {id(view): withdrawable_nopen(view, found.height + 1, now) for view in found.record}
    if context.as_json:
        rows = [{**to_document(view), "withdrawable_nopen": ready[id(view)]} for view in found.record]
        context.output.json({**head_of(found), "address": found.address, "locks": rows})
        return
    rows_of_all: list[tuple[str, str, str, str]] = []
    for view, lock in zip(found.record, found.locks, strict=True):
        rows_of_all.append((lock.purpose, lock.object_id[:16] or "-", show_amount(lock.locked_nopen), "locked"))
        rows_of_all += [
            ("", "", show_amount(each.amount_nopen), leaving_words(each, found.height, now)) for each in view.leaving
        ]
    context.output.rows("", ("purpose", "about", "amount", "state"), rows_of_all, None)
    print(f"together {show_amount(found.total_nopen)}")
    say_how(context, found)
    if any(ready.values()):
        say_next(context, f"openledger account withdraw --from {name}")


def leaving_words(entry: Leaving, height: int, now: int) -> str:
    """Until when an entry is held, in words; a clock of this machine that is wrong shifts this and nothing else."""
    from abci_app.mechanisms.locks import has_ended
    from abci_app.utc import utc_text

    if has_ended(entry, height + 1, now):
        return "can be withdrawn"
    holds = [f"from height {entry.height} on ({entry.height - height - 1} blocks)"] if entry.height > height + 1 else []
    holds += [f"not before {utc_text(entry.time_seconds)}"] if entry.time_seconds > now else []
    return "leaving: " + ", ".join(holds)


def about(view: LockView) -> str:
    """A lock's purpose, and its object where it has one, in words."""
    from abci_app.mechanisms.locks import NO_OBJECT, Purpose
    from openledger.words import word_of_number

    purpose = word_of_number(Purpose, view.purpose)
    return purpose if view.object_id == NO_OBJECT else f"{purpose} for {view.object_id.hex()}"
