"""`openledger account payee`: who receives what the chain's rules pay an account; look, set, take back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from openledger.errors import UsageError
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import (
    add_reading_options,
    add_sending_options,
    add_task,
    head_of,
    naming,
    say_how,
    say_next,
    send,
)

if TYPE_CHECKING:
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger account payee alice                     who receives for alice
  openledger account payee --to bob --from alice     bob receives from now on
  openledger account payee --end --from alice        alice receives herself again

a payee receives payouts, rewards and fees that the chain's rules pay, unclaimed ones too; transfers, and what returns
from locks, still reach the account itself; changing the account's keys ends it
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "payee", run, "who receives for an account: show, set, take back", _EXAMPLES)
    parser.add_argument("whose", nargs="?", metavar="KEY|ADDRESS", help="whose payee to show")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--to", metavar="KEY|ADDRESS", help="the account that receives from now on")
    change.add_argument("--end", action="store_true", help="the account receives itself again")
    add_sending_options(parser, required=False, for_others=True)
    add_reading_options(parser, one_answer=True)


def run(arguments: argparse.Namespace) -> None:
    """Change where --to or --end say so, else look."""
    changes = bool(arguments.to or arguments.end)
    if changes and not arguments.signer:
        raise UsageError("whose payee? add --from KEY")
    if not changes and not arguments.whose:
        raise UsageError("name an account to look at, or what to change: --to KEY|ADDRESS --from KEY")
    if changes and arguments.whose:
        raise UsageError(f"{arguments.whose} beside --to or --end: the account that changes is that of --from")
    if changes:
        _change(arguments)
    else:
        _show(arguments)


def _change(arguments: argparse.Namespace) -> None:
    from abci_app.modules.bank import SetPayee
    from openledger_cli.query.commands import account_address

    context: CommandContext = arguments.context
    payee = account_address(context, arguments.to) if arguments.to else b""
    message = SetPayee(payee)
    message.validate()
    with open_client(context) as client:
        committed = send(arguments, client, [message])
    if context.as_json:
        shown = encode_id("open", payee) if payee else ""
        context.output.json({"payee": shown, "height": committed.height})
        return
    whose = arguments.account or arguments.signer
    who = naming(context)(payee) if payee else f"{whose} itself"
    print(f"from block {committed.height} on, {who} receives what the chain pays {whose}")
    say_next(context, f"openledger account payee {whose}")


def _show(arguments: argparse.Namespace) -> None:
    from abci_app.modules.bank import PayeeQuery
    from openledger_cli.query.answers import ask
    from openledger_cli.query.commands import account_address

    context: CommandContext = arguments.context
    address = account_address(context, arguments.whose)
    with open_client(context, arguments) as client:
        answer = ask(client, arguments, "bank", "payee", PayeeQuery(address))
    payee = answer.value.payee
    if context.as_json:
        context.output.json(
            {**head_of(answer), "address": encode_id("open", address), "payee": encode_id("open", payee)}
        )
        return
    if payee == address:
        print(f"{arguments.whose} receives itself what the chain pays it")
    else:
        print(f"{naming(context)(payee)} receives what the chain pays {arguments.whose}")
        print(encode_id("open", payee))
    say_how(context, answer)
