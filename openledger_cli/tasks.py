"""Steps that tasks share (`openledger data`, `terms`, `model`): parsers, sending, and what is said at the end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from openledger_cli import signing
from openledger_cli.proofs.trust import add_trust_options
from openledger_cli.secrets import add_passphrase_option
from openledger_cli.text import note

if TYPE_CHECKING:
    from abci_app.module import Message
    from openledger.client.client import Client
    from openledger.client.results import Answer, Committed
    from openledger.client.typed.results import Found
    from openledger.data.reading import Known
    from openledger_cli.context import CommandContext

_SHORT_ADDRESS = 14
# A register of a thousand names is read whole; of a longer one the rest go by their addresses.
_MEMBER_PAGES, _MEMBERS_EACH = 5, 200


def add_task(commands: Any, name: str, run: Any, help_text: str, examples: str) -> argparse.ArgumentParser:
    """A parser for one task with its examples."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_text,
        description=help_text,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_reading_options(parser: argparse.ArgumentParser, *, content: bool = False, one_answer: bool = False) -> None:
    """Options of tasks that ask the chain, and with `content` the content store."""
    if content:
        parser.add_argument(
            "--content", metavar="URL", help="content store, folder or fsspec URL ($OPENLEDGER_CONTENT)"
        )
    add_trust_options(parser, one_answer=one_answer)


def add_sending_options(parser: argparse.ArgumentParser, *, required: bool = True, for_others: bool = False) -> None:
    """Options of tasks that send a transaction; with `for_others`, also of an account that the key is not made for."""
    group = parser.add_argument_group("transaction")
    group.add_argument("--from", dest="signer", metavar="KEY", required=required, help="name of the key that signs")
    if for_others:
        group.add_argument(
            "--account", metavar="KEY|ADDRESS", help="act for this account (rotated, shared or delegated)"
        )
        group.add_argument("--delegated", action="store_true", help="the key is delegated by --account")
        group.add_argument("--sponsor", metavar="KEY", help="key of the account that pays the fee instead")
        group.add_argument("--fee-limit", metavar="AMOUNT", help="most that the fee may be (default: the estimate)")
    signing.add_send_anyway(group)
    group.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="how long to wait (default 30)")
    add_passphrase_option(parser)


def sender_address(arguments: argparse.Namespace) -> bytes:
    """The account that the task acts for."""
    return signing.party_named(arguments.context, arguments.account or arguments.signer).address


def send(arguments: argparse.Namespace, client: Client, messages: Sequence[Message]) -> Committed:
    """Try out, sign, send, and wait until the next question can have it proven; raises `TransactionFailed`."""
    return signing.send_and_settle(arguments.context, arguments, client, messages)


def naming(context: CommandContext, members: Mapping[bytes, str] | None = None) -> Callable[[bytes], str]:
    """Names of people for those who read: their key in this home, else what the chain's register of members calls them.

    The latter go with the beginning of the address, since several may be called the same; others have only that.
    """
    from openledger.connection import known_people

    known = known_people(context.settings)

    def name_of(address: bytes) -> str:
        short = f"{encode_id('open', address)[:_SHORT_ADDRESS]}…"
        called = (members or {}).get(address, "")
        return known.get(address) or (f"{called} ({short})" if called else short)

    return name_of


def members_of(client: Client, height: int, *, prove: bool) -> dict[bytes, str]:
    """Names in the register of members at a height, as far as some pages reach."""
    from abci_app.modules.members import MembersQuery

    found: dict[bytes, str] = {}
    after = b""
    for _ in range(_MEMBER_PAGES):
        page = client.query("members", "list", MembersQuery(after, _MEMBERS_EACH), height=height, prove=prove).value
        found.update([(member.address, member.name) for member in page.members if member.name])
        after = page.next_key
        if not after:
            break
    return found


def say_next(context: CommandContext, *steps: str) -> None:
    """The next steps, for people."""
    if not context.as_json:
        for number, step in enumerate(steps):
            note(f"{'next: ' if not number else '      '}{step}")


def say_how(context: CommandContext, answer: Answer[Any] | Known | Found) -> None:
    """Say how far an answer can be trusted; in JSON it stands in the document."""
    if not context.as_json:
        note(f"\n{answer.note}" if answer.verified else f"\nNOT VERIFIED: {answer.note}")


def head_of(answer: Answer[Any] | Known | Found) -> dict[str, Any]:
    """The head of a JSON result."""
    return {"height": answer.height, "verified": answer.verified, "how": answer.note}
