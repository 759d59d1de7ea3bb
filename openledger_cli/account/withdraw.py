"""`openledger account withdraw`: take out everything that has finished leaving."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from openledger.amounts import show_amount
from openledger.errors import UsageError
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_sending_options, add_task, say_next, send, sender_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abci_app.mechanisms.locks import LockView
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger account withdraw --from alice                           of all locks
  openledger account withdraw --purpose validator-bond --from alice
"""


def register(commands: Any) -> None:
    """Add the task."""
    from abci_app.mechanisms.locks import Purpose
    from openledger.words import words

    parser = add_task(commands, "withdraw", run, "take out what has finished leaving the locks", _EXAMPLES)
    parser.add_argument("--purpose", choices=words(Purpose), help="only of locks for this purpose")
    add_sending_options(parser, for_others=True)


def run(arguments: argparse.Namespace) -> None:
    """Look what can be taken out, send a message for each lock, and say what came."""
    from openledger_cli.account.locks import about

    context: CommandContext = arguments.context
    whose = arguments.account or arguments.signer
    with open_client(context) as client:
        # The node's word is enough: the chain pays what it holds, and tells it in events.
        found = client.locks(sender_address(arguments), prove=False)
        ready = _ready(found.record, arguments.purpose, found.height)
        paid: list[dict[str, Any]] = []
        for part in _parts(ready):
            committed = send(arguments, client, [_message(view) for view in part])
            events = [event for event in committed.events if event.name == "withdrawn"]
            paid += [
                {"lock": about(view), "amount_nopen": int(event.get("amount_nopen")), "height": committed.height}
                for view, event in zip(part, events, strict=True)
            ]
    if context.as_json:
        context.output.json({"address": found.address, "withdrawn": paid})
        return
    for each in paid:
        print(f"{show_amount(each['amount_nopen'])} of {each['lock']}, in block {each['height']}")
    print(f"{show_amount(sum([each['amount_nopen'] for each in paid]))} went to {whose}")
    say_next(context, f"openledger account locks {whose}")


def _ready(views: Sequence[LockView], purpose: str | None, height: int) -> list[LockView]:
    """Locks of which something has finished leaving; raises `UsageError` that says why there are none."""
    from abci_app.mechanisms.locks import Purpose
    from openledger.client.typed.locks import withdrawable_nopen
    from openledger.words import number_of_word
    from openledger_cli.account.locks import leaving_words

    wanted = number_of_word(Purpose, purpose) if purpose else None
    chosen = [view for view in views if wanted in (None, view.purpose)]
    now = int(time.time())
    ready = [view for view in chosen if withdrawable_nopen(view, height + 1, now)]
    if ready:
        return ready
    waiting = sorted([entry for view in chosen for entry in view.leaving], key=lambda entry: entry.height)
    if waiting:
        first = f"the next is {show_amount(waiting[0].amount_nopen)}, {leaving_words(waiting[0], height, now)}"
        raise UsageError(f"nothing has finished leaving yet: {first}")
    raise UsageError("nothing is leaving: see what is locked with `openledger account locks`")


def _message(view: LockView) -> Any:
    from abci_app.mechanisms.locks import NO_OBJECT, Withdraw

    return Withdraw(view.purpose, b"" if view.object_id == NO_OBJECT else view.object_id)


def _parts(views: Sequence[LockView]) -> list[list[LockView]]:
    """Split locks into transactions of as many messages as one may have."""
    from abci_app.chain.transaction import MAX_MESSAGES

    return [list(views[at : at + MAX_MESSAGES]) for at in range(0, len(views), MAX_MESSAGES)]
