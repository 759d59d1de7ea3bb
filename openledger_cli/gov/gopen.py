"""`openledger gov lock|unlock|delegate|power`: gOPEN of an account, and who votes with it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from openledger.amounts import parse_amount, show_amount
from openledger_cli.lines import Line, print_lines
from openledger_cli.proofs.trust import open_client
from openledger_cli.query.answers import ask
from openledger_cli.signing import party_named
from openledger_cli.tasks import (
    add_reading_options,
    add_sending_options,
    add_task,
    head_of,
    naming,
    say_how,
    say_next,
    send,
    sender_address,
)

if TYPE_CHECKING:
    from abci_app.module import Message
    from openledger_cli.context import CommandContext

_LOCK = """\
  openledger gov lock 100OPEN --from alice

locked OPEN is gOPEN, one vote each, from the next epoch on; `gov unlock` begins the way back, which takes long enough
that voters stay until what they voted for has taken effect
"""
_UNLOCK = """\
  openledger gov unlock 40OPEN --from alice            then, when it has left: openledger account withdraw --from alice

what was locked last goes first; it votes no more from this block on
"""
_DELEGATE = """\
  openledger gov delegate bob --from alice             bob votes with alice's gOPEN, from the next epoch on
  openledger gov delegate alice --from alice           alice votes herself again, from the next epoch on

all of your gOPEN goes, what you lock later too; you cannot vote beside your delegate
"""
_POWER = """\
  openledger gov power alice
"""


def register(commands: Any) -> None:
    """Add the tasks."""
    lock = add_task(commands, "lock", run_lock, "lock OPEN as gOPEN, which votes", _LOCK)
    lock.add_argument("amount", metavar="AMOUNT", help="such as 100OPEN")
    add_sending_options(lock, for_others=True)
    unlock = add_task(commands, "unlock", run_unlock, "let gOPEN leave; it can be withdrawn later", _UNLOCK)
    unlock.add_argument("amount", metavar="AMOUNT", help="such as 40OPEN")
    add_sending_options(unlock, for_others=True)
    delegate = add_task(commands, "delegate", run_delegate, "let another account vote with your gOPEN", _DELEGATE)
    delegate.add_argument("delegate", metavar="KEY|ADDRESS", help="who votes with it; yourself ends a delegation")
    add_sending_options(delegate, for_others=True)
    power = add_task(commands, "power", run_power, "gOPEN of an account, and with how much it votes", _POWER)
    power.add_argument("holder", metavar="KEY|ADDRESS", help="whose")
    add_reading_options(power, one_answer=True)


def run_lock(arguments: argparse.Namespace) -> None:
    """Lock, and say from when it votes."""
    from abci_app.modules.governance import LockGopen

    amount_nopen = parse_amount(arguments.amount)
    _send(arguments, LockGopen(amount_nopen), f"{show_amount(amount_nopen)} locked; it votes from the next epoch on")


def run_unlock(arguments: argparse.Namespace) -> None:
    """Unlock, and say when it can be withdrawn."""
    from abci_app.modules.governance import UnlockGopen

    amount_nopen = parse_amount(arguments.amount)
    _send(
        arguments,
        UnlockGopen(amount_nopen),
        f"{show_amount(amount_nopen)} leaves and votes no more",
        f"openledger account locks {arguments.account or arguments.signer}",
    )


def run_delegate(arguments: argparse.Namespace) -> None:
    """Delegate, and say from when on."""
    from abci_app.modules.governance import Delegate

    to = party_named(arguments.context, arguments.delegate).address
    whose = "you vote" if to == sender_address(arguments) else f"{arguments.delegate} votes"
    _send(arguments, Delegate(to), f"{whose} with your gOPEN from the next epoch on")


def _send(arguments: argparse.Namespace, message: Message, said: str, following: str = "") -> None:
    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        committed = send(arguments, client, [message])
    if context.as_json:
        context.output.json({"done": said, "hash": committed.hash, "height": committed.height})
        return
    print(f"{said} (block {committed.height})")
    say_next(context, following or f"openledger gov power {arguments.account or arguments.signer}")


def run_power(arguments: argparse.Namespace) -> None:
    """Show lots, delegate and power, verified."""
    from abci_app.modules.governance import HolderQuery

    context: CommandContext = arguments.context
    address = party_named(context, arguments.holder).address
    with open_client(context, arguments) as client:
        answer = ask(client, arguments, "governance", "holder", HolderQuery(address))
    view, name_of = answer.value, naming(context)
    holder = view.holder
    if context.as_json:
        context.output.json(
            {
                **head_of(answer),
                "holder": encode_id("open", address),
                "locked_nopen": holder.amount_nopen if holder else 0,
                "delegate": encode_id("open", holder.delegate) if holder else "",
                "power_nopen": view.power.amount,
                "counts_nopen": view.counts_nopen,
                "electorate_nopen": view.electorate_nopen,
                "epoch": view.epoch,
            }
        )
        return
    top = Line(f"{arguments.holder} has {show_amount(holder.amount_nopen if holder else 0)} locked as gOPEN")
    if holder is not None and holder.delegate != address:
        top.add(f"{name_of(holder.delegate)} votes with it")
    top.add(
        f"votes with {show_amount(view.power.amount)}, its own and what is delegated to it; of this "
        f"{show_amount(view.counts_nopen)} counts on what is proposed now, in epoch {view.epoch}"
    )
    top.add(f"all gOPEN that counts now: {show_amount(view.electorate_nopen)}")
    context.output.show({}, lambda console, _document: print_lines(console, [top]))
    say_how(context, answer)
    say_next(context, "openledger gov list" if holder else f"openledger gov lock AMOUNT --from {arguments.holder}")
