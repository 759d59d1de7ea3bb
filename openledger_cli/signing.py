"""Options and steps that all commands share which build, sign or send a transaction."""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from abci_app.errors import Code
from openledger.amounts import in_open, parse_amount, show_amount
from openledger.client.core import Party, SendOptions, SigningAccount
from openledger.documents.fields import KEY_FIELDS
from openledger.errors import KeyFailure, UsageError, WouldFail
from openledger.keys.wallet import is_key_name
from openledger_cli.context import CommandContext
from openledger_cli.output import print_line, show_value
from openledger_cli.secrets import add_passphrase_option, ask_passphrase
from openledger_cli.text import note

if TYPE_CHECKING:
    from abci_app.module import Message
    from abci_app.modules.licences import RegisterTerms
    from openledger.client.client import Client, PendingTransaction
    from openledger.client.names import QuestionNames
    from openledger.client.results import Committed, Sent
    from openledger.client.transactions import Draft
    from openledger.documents import Resolver
    from openledger.keys.signer import Signer
    from openledger.keys.wallet import KeyInfo


_KEY_DIGITS = 64
# A proof of a state needs the header after it, and the light client one more to be sure of that.
_PROVABLE_AFTER_HEIGHTS = 2
_PROVABLE_WITHIN_SECONDS = 12.0
_LOOK_EACH_SECONDS = 0.2
# What of a key may stand in a field: resolvers are asked for these by the name of the key.
OF_KEYS = ("open", *KEY_FIELDS.values())


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
    add_send_anyway(group)
    group.add_argument("--no-wait", action="store_true", help="do not wait for the block")
    group.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="how long to wait (default 30)")
    add_passphrase_option(parser)


def add_send_anyway(parser: argparse._ActionsContainer) -> None:
    """Add the way to send what is bound to fail."""
    parser.add_argument(
        "--send-anyway", action="store_true", help="send it without trying it out, even if it is bound to fail"
    )


def build_options(context: CommandContext, arguments: argparse.Namespace) -> SendOptions:
    """The client's keyword arguments; a command that has some of the options only leaves the others as they are."""
    options = SendOptions()
    given = vars(arguments)
    if given.get("account"):
        options["account"] = party_named(context, given["account"])
    if given.get("delegated"):
        options["delegated"] = True
    if given.get("sponsor"):
        options["sponsor"] = party_named(context, given["sponsor"])
    if given.get("fee_limit"):
        options["fee_limit_nopen"] = parse_amount(given["fee_limit"])
    if given.get("expiry"):
        options["expiry_height"] = given["expiry"]
    if given.get("sequence") is not None:
        options["sequence"] = given["sequence"]
    if given.get("memo_digest"):
        options["memo_digest"] = _digest(given["memo_digest"])
    return options


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise UsageError(f"memo digest {text!r} must be 64 hex digits")
    return digest


def key_named(context: CommandContext, text: str, chain_id: str = "") -> "KeyInfo":
    """A key of this home by its name, its address or its public key in hex; raises `KeyFailure`."""
    wallet = context.wallet(chain_id or context.settings.chain_id)
    is_hex = len(text) == _KEY_DIGITS and set(text.lower()) <= set("0123456789abcdef")
    if not is_hex and not text.lower().startswith("open1"):
        return wallet.get(text)
    for info in wallet.all_keys():
        if info.address == text.lower() or (is_hex and info.public_keys == (bytes.fromhex(text),)):
            return info
    raise KeyFailure(f"no key here has {text}: see `openledger keys list`")


def party_named(context: CommandContext, text: str) -> Party:
    """An account by the name of its key or by its address."""
    if text.lower().startswith("open1"):
        from abci_app.bech32 import decode_id

        address = decode_id(text, "open")[1]
        own = [info for info in context.wallet(context.settings.chain_id).all_keys() if info.address_bytes == address]
        return SigningAccount(address, own[0].policy if own else b"")
    info = context.wallet(context.settings.chain_id).get(text)
    return SigningAccount(info.address_bytes, info.policy)


def public_party(context: CommandContext, name: str) -> Any:
    """The sending key without its secret: enough to build and to try out."""
    info = key_named(context, name)

    class _Public(SigningAccount):
        public_key = info.public_keys[0]

    return _Public(info.address_bytes, info.policy)


def open_signer(context: CommandContext, arguments: argparse.Namespace, name: str, chain_id: str) -> "Signer":
    """The key, opened; asks for its passphrase, once a command. Plain keys sign for development chains only."""
    wallet = context.wallet(chain_id)
    name = key_named(context, name, chain_id).name
    if (chain_id, name) not in context.opened:
        passphrase = ask_passphrase(arguments, name) if wallet.needs_passphrase(name) else ""
        context.opened[chain_id, name] = wallet.signer(name, passphrase)
    return context.opened[chain_id, name]


def question_resolver(context: CommandContext, names: "QuestionNames") -> "Resolver":
    """For questions: keys of this home for addresses; everything else becomes a name in the question itself."""

    def resolve(prefix: str, text: str) -> bytes | None:
        return own_key(context, prefix, text) if prefix in OF_KEYS else names.stand_in(prefix, text)

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
        if prefix in OF_KEYS:
            return own_key(context, prefix, text)
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


def own_key(context: CommandContext, what: str, text: str) -> bytes | None:
    """Address (`open`), `public-key` or `policy` of a key of this home; None where there is no such key."""
    wallet = context.wallet(context.settings.chain_id)
    if not is_key_name(text) or not wallet.has(text):
        return None
    info = wallet.get(text)
    if what == "policy":
        return info.policy
    if what == "open":
        return info.address_bytes
    if len(info.public_keys) != 1:
        raise UsageError(f"{text} is an account of {len(info.public_keys)} keys: name one key")
    return info.public_keys[0]


def submit(
    context: CommandContext, arguments: argparse.Namespace, client: "Client", messages: "Sequence[Message]"
) -> "PendingTransaction":
    """Try out, sign and hand over, in the key's turn; raises `WouldFail` before anything is sent."""
    options = build_options(context, arguments)
    names = [arguments.signer, *([arguments.sponsor] if getattr(arguments, "sponsor", "") else [])]
    client.try_first = not getattr(arguments, "send_anyway", False)
    with _naming_the_way_out(arguments):
        return _submit(context, arguments, client, messages, names, options)


@contextmanager
def _naming_the_way_out(arguments: argparse.Namespace) -> Iterator[None]:
    """Add to what was not sent how this command sends it all the same, where it has the option."""
    try:
        yield
    except WouldFail as failure:
        if hasattr(arguments, "send_anyway"):
            failure.way_out = "--send-anyway sends it"
        raise


def _submit(
    context: CommandContext,
    arguments: argparse.Namespace,
    client: "Client",
    messages: "Sequence[Message]",
    names: Sequence[str],
    options: SendOptions,
) -> "PendingTransaction":
    chain_id = client.chain_id
    name = key_named(context, names[0], chain_id).name
    if client.try_first and (chain_id, name) not in context.opened and context.wallet(chain_id).needs_passphrase(name):
        # Nobody should type a passphrase for what is bound to fail.
        client.try_out(public_party(context, arguments.signer), *messages, **options)
    signers = [open_signer(context, arguments, name, chain_id) for name in names]
    return client.send(signers, *messages, mode=getattr(arguments, "mode", "sync"), **options)


def send_and_settle(
    context: CommandContext, arguments: argparse.Namespace, client: "Client", messages: "Sequence[Message]"
) -> "Committed":
    """Send, and wait until the next question can have it proven; raises `TransactionFailed`."""
    committed = submit(context, arguments, client, messages).wait(arguments.timeout)
    wait_until_provable(client, committed.height)
    return committed


def wait_until_provable(client: "Client", height: int) -> None:
    """Wait for the block or two that let the next question have this height proven."""
    ends = time.monotonic() + _PROVABLE_WITHIN_SECONDS
    while time.monotonic() < ends:
        if int(client.status().sync_info.latest_block_height) >= height + _PROVABLE_AFTER_HEIGHTS:
            return
        time.sleep(_LOOK_EACH_SECONDS)


def finish(
    context: CommandContext, arguments: argparse.Namespace, client: "Client", pending: "PendingTransaction"
) -> int:
    """Wait for the block of what was handed over, unless that is not wanted, and print."""
    from openledger.client.client import checked

    if arguments.no_wait:
        show_sent(context, pending.sent)
        return 0
    note(f"sent {pending.sent.hash}, waiting for its block")
    committed = pending.wait(arguments.timeout, check=False)
    show_committed(context, committed)
    checked(committed, check=True)
    wait_until_provable(client, committed.height)
    return 0


def send_draft(context: CommandContext, arguments: argparse.Namespace, client: "Client", draft: "Draft") -> int:
    """Try out and broadcast a signed draft, wait, print."""
    if not arguments.send_anyway:
        found = client.simulate_draft(draft)
        # A sequence that was used already may be that of this very transaction: sending it again finds it.
        if found.code not in (0, Code.WRONG_SEQUENCE):
            with _naming_the_way_out(arguments):
                raise WouldFail(found.code, found.codespace, found.log)
    return finish(context, arguments, client, client.broadcast(draft.envelope(), mode=arguments.mode))


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
        "ok"
        if not document["code"]
        else f"failed: {in_open(document['log'])} ({document['codespace']} {document['code']})"
    )
    lines = [
        ("hash", document["hash"]),
        ("outcome", outcome),
        ("height", f"{document['height']}, position {document['index']}"),
        # Nobody sends a beacon reveal: its block's proposer makes it.
        ("sender", f"{document['sender']}, sequence {document['sequence']}" if document["sender"] else "none"),
        ("messages", ", ".join(document["messages"])),
    ]
    for event in document["events"]:
        if event["name"] != "tx":
            shown = ", ".join([f"{key} {show_value(key, value)}" for key, value in event["attributes"]])
            lines.append(("event", f"{event['name']}: {shown}"))
    for name, value in lines:
        print_line(console, f"{name.ljust(9)} {value}")


def print_simulation(console: Any, document: dict[str, Any]) -> None:
    """A dry run for people."""
    outcome = "ok"
    if document["code"]:
        outcome = f"{in_open(document['log'])} ({document['codespace']} {document['code']})"
    print_line(console, f"outcome  {outcome}")
    print_line(console, f"fee      {show_amount(document['fee_nopen'])} ({document['fee_nopen']} nopen)")
    print_line(console, f"weight   {document['weight']} units")
    print_line(console, f"height   {document['height']}")
    for event in document["events"]:
        if event["name"] != "tx":
            shown = ", ".join([f"{key} {show_value(key, value)}" for key, value in event["attributes"]])
            print_line(console, f"event    {event['name']}: {shown}")
    for effect in document["effects"]:
        change = "new" if not effect["before"] else "removed" if not effect["after"] else "changed"
        print_line(console, f"effect   {effect['table']} {effect['key'][:24]}... {change}")
