"""Options and steps that all commands share which build, sign or send a transaction."""

import argparse
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from openledger.amounts import parse_amount, show_amount
from openledger.client.core import Party, SendOptions, SigningAccount
from openledger.errors import KeyFailure, UsageError
from openledger_cli.context import CommandContext
from openledger_cli.output import print_line
from openledger_cli.secrets import add_passphrase_option, ask_passphrase
from openledger_cli.text import note

if TYPE_CHECKING:
    from abci_app.modules.licences import RegisterTerms
    from openledger.client.client import Client
    from openledger.client.names import QuestionNames
    from openledger.client.results import Committed, Sent
    from openledger.client.transactions import Draft
    from openledger.documents import Resolver
    from openledger.keys.signer import Signer


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Who sends, who pays, until when."""
    group = parser.add_argument_group("transaction")
    group.add_argument("--from", dest="signer", metavar="KEY", required=True, help="name of the key that sends")
    group.add_argument(
        "--account", metavar="KEY|ADDRESS", help="act for this account (rotated, shared or delegated key)"
    )
    group.add_argument("--delegated", action="store_true", help="the key is delegated by --account")
    group.add_argument("--sponsor", metavar="KEY", help="key of the account that pays the fee instead")
    group.add_argument("--fee-limit", metavar="AMOUNT", help="most that the fee may be (default: the estimate)")
    group.add_argument("--expiry", type=int, default=0, metavar="HEIGHT", help="last height to be included at")
    group.add_argument("--sequence", type=int, help="default: the next one, pending transactions counted")
    group.add_argument("--memo-digest", metavar="HEX", help="SHA-256 of a note that you keep")


def add_send_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the steps after signing."""
    group = parser.add_argument_group("sending")
    group.add_argument(
        "--mode", choices=("sync", "async"), default="sync", help="async: do not wait for the node's check"
    )
    group.add_argument("--no-wait", action="store_true", help="do not wait for the block")
    group.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="how long to wait (default 30)")
    add_passphrase_option(parser)


def build_options(context: CommandContext, arguments: argparse.Namespace) -> SendOptions:
    """The client's keyword arguments."""
    options = SendOptions()
    if arguments.account:
        options["account"] = party_named(context, arguments.account)
    if arguments.delegated:
        options["delegated"] = True
    if arguments.sponsor:
        options["sponsor"] = party_named(context, arguments.sponsor)
    if arguments.fee_limit:
        options["fee_limit_nopen"] = parse_amount(arguments.fee_limit)
    if arguments.expiry:
        options["expiry_height"] = arguments.expiry
    if arguments.sequence is not None:
        options["sequence"] = arguments.sequence
    if arguments.memo_digest:
        options["memo_digest"] = _digest(arguments.memo_digest)
    return options


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise UsageError(f"memo digest {text!r} must be 64 hex digits")
    return digest


def party_named(context: CommandContext, text: str) -> Party:
    """An account by the name of its key or by its address."""
    if text.lower().startswith("open1"):
        from abci_app.bech32 import decode_id

        return SigningAccount(decode_id(text, "open")[1])
    info = context.wallet(context.settings.chain_id).get(text)
    return SigningAccount(info.address_bytes, info.policy)


def public_party(context: CommandContext, name: str) -> Any:
    """The sending key without its secret: enough to build and to try out."""
    info = context.wallet(context.settings.chain_id).get(name)

    class _Public(SigningAccount):
        public_key = info.public_keys[0]

    return _Public(info.address_bytes, info.policy)


def open_signer(context: CommandContext, arguments: argparse.Namespace, name: str, chain_id: str) -> "Signer":
    """The key, opened; asks for its passphrase. Plain keys sign for development chains only."""
    wallet = context.wallet(chain_id)
    passphrase = ask_passphrase(arguments, name) if wallet.needs_passphrase(name) else ""
    return wallet.signer(name, passphrase)


def question_resolver(context: CommandContext, names: "QuestionNames") -> "Resolver":
    """For questions: keys of this home for addresses; everything else becomes a name in the question itself."""

    def resolve(prefix: str, text: str) -> bytes | None:
        return _own_address(context, text) if prefix == "open" else names.stand_in(prefix, text)

    return resolve


def transaction_resolver(
    context: CommandContext, client: "Client | None", registrations: "list[RegisterTerms]"
) -> "Resolver":
    """For transactions: keys of this home for addresses; ids of everything else on the node's word, said aloud.

    Terms by the name of a licence follow from the table; who registers them first is added to `registrations`. Without
    a client (offline) nothing else has a name.
    """
    from openledger.client.names import id_on_the_nodes_word

    def resolve(prefix: str, text: str) -> bytes | None:
        if prefix == "open":
            return _own_address(context, text)
        if prefix == "olterms" and (terms_id := _licence_id(client, text, registrations)):
            return terms_id
        if client is None:
            return None
        found = id_on_the_nodes_word(client, prefix, text)
        if found is not None:
            note(f"{text} is {encode_id(prefix, found)}, says the node (not verified)")
        return found

    return resolve


def _licence_id(client: "Client | None", text: str, registrations: "list[RegisterTerms]") -> bytes:
    """Id of a licence of the table, which is registered with the transaction where it is not yet; else empty."""
    from abci_app.modules.licences import terms_id_of
    from openledger.terms import registration_of, terms_of_name

    registration = registration_of(text)
    if registration is None:
        return b""
    terms_id = terms_id_of(registration.terms)
    if client is not None:
        registration = terms_of_name(client, text)[1]
    if registration is not None and registration not in registrations:
        registrations.append(registration)
        note(f"{registration.terms.spdx} is registered with it: see `openledger terms show {registration.terms.spdx}`")
    return terms_id


def _own_address(context: CommandContext, text: str) -> bytes | None:
    try:
        return context.wallet(context.settings.chain_id).get(text).address_bytes
    except KeyFailure:
        return None


def send_draft(context: CommandContext, arguments: argparse.Namespace, client: "Client", draft: "Draft") -> int:
    """Broadcast a signed draft, wait, print."""
    pending = client.broadcast(draft.envelope(), mode=arguments.mode)
    if arguments.no_wait:
        show_sent(context, pending.sent)
        return 0
    note(f"sent {pending.sent.hash}, waiting for its block")
    committed = pending.wait(arguments.timeout, check=False)
    show_committed(context, committed)
    from openledger.client.client import checked

    checked(committed, check=True)
    return 0


def show_sent(context: CommandContext, sent: "Sent") -> None:
    """Show the facts about a sent transaction that are known before its block."""
    document = {
        "hash": sent.hash,
        "transaction_id": sent.transaction_id,
        "sender": sent.sender,
        "sequence": sent.sequence,
        "fee_limit_nopen": sent.fee_limit_nopen,
    }
    context.output.show(document)


def show_committed(context: CommandContext, committed: "Committed") -> None:
    """A transaction in its block."""
    context.output.show(committed, _print_committed)


def _print_committed(console: Any, document: dict[str, Any]) -> None:
    outcome = (
        "ok" if not document["code"] else f"failed: {document['log']} ({document['codespace']} {document['code']})"
    )
    lines = [
        ("hash", document["hash"]),
        ("outcome", outcome),
        ("height", f"{document['height']}, position {document['index']}"),
        ("sender", f"{document['sender']}, sequence {document['sequence']}"),
        ("messages", ", ".join(document["messages"])),
    ]
    for event in document["events"]:
        if event["name"] != "tx":
            shown = ", ".join([f"{key} {value}" for key, value in event["attributes"]])
            lines.append(("event", f"{event['name']}: {shown}"))
    for name, value in lines:
        print_line(console, f"{name.ljust(9)} {value}")


def print_simulation(console: Any, document: dict[str, Any]) -> None:
    """A dry run for people."""
    outcome = "ok" if not document["code"] else f"{document['log']} ({document['codespace']} {document['code']})"
    print_line(console, f"outcome  {outcome}")
    print_line(console, f"fee      {show_amount(document['fee_nopen'])} ({document['fee_nopen']} nopen)")
    print_line(console, f"weight   {document['weight']} units")
    print_line(console, f"height   {document['height']}")
    for event in document["events"]:
        if event["name"] != "tx":
            shown = ", ".join([f"{key} {value}" for key, value in event["attributes"]])
            print_line(console, f"event    {event['name']}: {shown}")
    for effect in document["effects"]:
        change = "new" if not effect["before"] else "removed" if not effect["after"] else "changed"
        print_line(console, f"effect   {effect['table']} {effect['key'][:24]}... {change}")
