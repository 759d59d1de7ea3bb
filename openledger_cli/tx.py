"""`openledger tx`: one command a message, generated from the message's fields, and the steps one by one with files."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import KeyFailure, UsageError
from openledger.exit_codes import exit_code_of_refusal
from openledger_cli import examples, signing
from openledger_cli.context import CommandContext
from openledger_cli.main import GLOBAL_OPTIONS
from openledger_cli.parser import OutputFile
from openledger_cli.proofs.trust import open_client
from openledger_cli.secrets import add_passphrase_option
from openledger_cli.text import note

if TYPE_CHECKING:
    from abci_app.module import Message
    from abci_app.modules.licences import RegisterTerms

_EXAMPLES = """\
examples:
  openledger tx bank transfer --from alice --recipient bob --amount 1.5OPEN
  openledger tx bank transfer --from alice --recipient bob --amount 1.5OPEN --dry-run

signing apart from sending (k-of-n, or a key on a machine without network):
  openledger tx build --from team --messages messages.json --draft draft.json
  openledger tx sign draft.json --with alice --draft alice.json          (on alice's machine)
  openledger tx sign draft.json --with bob --draft bob.json              (on bob's machine)
  openledger tx combine alice.json bob.json --draft signed.json
  openledger tx broadcast signed.json

messages.json: [{"type": "bank.transfer", "recipient": "open1...", "amount_nopen": "1.5OPEN"}]
"""
_STEPS = ("build", "sign", "combine", "show", "broadcast", "simulate", "send")
# Options of our own that a message's field must not shadow.
_TAKEN = frozenset(
    {*GLOBAL_OPTIONS, "from", "account", "delegated", "sponsor", "fee_limit", "expiry", "sequence", "memo_digest"}
    | {"mode", "no_wait", "send_anyway", "timeout", "passphrase_file", "dry_run", "draft", "file", "overwrite", "help"}
)


def register(subparsers: Any) -> None:
    """Add `tx`, its steps and one command for each message type."""
    from abci_app.chain.registry import MODULES

    parser = subparsers.add_parser(
        "tx",
        help="build, sign, combine, send and try out transactions",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="steps and modules", metavar="STEP|MODULE", required=True)
    _register_steps(commands)
    for module in MODULES:
        if not module.messages:
            continue
        group = commands.add_parser(module.name, help=f"messages of the {module.name} module")
        messages = group.add_subparsers(title="messages", metavar="MESSAGE", required=True)
        for message in module.messages:
            _register_message(messages, module.name, message)


def _register_steps(commands: Any) -> None:
    build = _step(commands, "build", _build, "write an unsigned transaction to a file")
    build.add_argument("--messages", required=True, metavar="FILE", help="JSON list of messages, - for standard input")
    build.add_argument("--offline", action="store_true", help="ask no node: needs --chain-id, --sequence, --fee-limit")
    build.add_argument(
        "--stored-policy", metavar="KEY|HEX", help="offline: the account's policy on the chain, if it changed"
    )
    signing.add_build_options(build)
    _file_option(build)
    sign = _step(commands, "sign", _sign, "add signatures to a file; needs no network")
    sign.add_argument("draft", type=Path, help="file from `tx build`")
    sign.add_argument("--with", dest="signers", action="append", required=True, metavar="KEY", help="key to sign with")
    add_passphrase_option(sign)
    _file_option(sign)
    combine = _step(commands, "combine", _combine, "put the signatures of several copies together; needs no network")
    combine.add_argument("drafts", nargs="+", type=Path, help="signed copies of one transaction")
    _file_option(combine)
    show = _step(commands, "show", _show, "what a file does and who has signed")
    show.add_argument("draft", type=Path)
    broadcast = _step(commands, "broadcast", _broadcast, "send a signed file and wait for its block")
    broadcast.add_argument("draft", type=Path)
    signing.add_send_options(broadcast)
    simulate = _step(commands, "simulate", _simulate, "dry run of a file, signed or not: code, fee, effects")
    simulate.add_argument("draft", type=Path)
    send = _step(commands, "send", _send, "build, sign and send several messages as one transaction")
    send.add_argument("--messages", required=True, metavar="FILE", help="JSON list of messages, - for standard input")
    send.add_argument("--dry-run", action="store_true", help="only say what would happen")
    signing.add_build_options(send)
    signing.add_send_options(send)


def _step(commands: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help_text, description=help_text, epilog=examples.written(f"tx {name}")
    )
    parser.set_defaults(run=run)
    return parser


def _file_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--draft",
        "--file",
        dest="file",
        metavar="FILE",
        type=OutputFile,
        help="write it here (default: standard output)",
    )


def _register_message(messages: Any, module: str, message: "type[Message]") -> None:
    from abci_app.module import snake_case
    from openledger.documents import describe_type, type_info

    name = snake_case(message.__name__)
    text = " ".join((message.__doc__ or "").split())
    fields = type_info(message).fields
    needed = [field for field in fields if field.required and not _may_be_empty(field.type)]
    parser = messages.add_parser(
        name.replace("_", "-"),
        aliases=[name] if "_" in name else [],
        help=text,
        description=text,
        epilog=examples.of_message(module, message, name, lambda field: options_of_field(field)[0], needed),
    )
    group = parser.add_argument_group("message")
    for field in fields:
        group.add_argument(
            *options_of_field(field.name),
            dest=f"field_{field.name}",
            metavar="VALUE",
            required=field in needed,
            help=describe_type(field.type, field.name),
        )
    parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
    parser.add_argument(
        "--draft",
        "--file",
        dest="file",
        metavar="FILE",
        type=OutputFile,
        help="write the unsigned transaction here instead of sending it",
    )
    signing.add_build_options(parser)
    signing.add_send_options(parser)
    parser.set_defaults(run=_message, message_type=f"{module}.{name}")


def options_of_field(field: str) -> list[str]:
    """`--amount` and `--amount-nopen`; a field whose name is one of our own options becomes `--message-output`."""
    short = field.removesuffix("_nopen").removesuffix("_ppb")
    names = [short, field] if short != field and short not in _TAKEN else [field]
    return [f"--{'message-' if name in _TAKEN else ''}{name.replace('_', '-')}" for name in names]


def _may_be_empty(info: Any) -> bool:
    """Whether a field may be left out on the line: empty bytes and texts, empty lists."""
    return hasattr(info, "min_length") and not info.min_length


def _message(arguments: argparse.Namespace) -> int:
    given = {name.removeprefix("field_"): value for name, value in vars(arguments).items() if name.startswith("field_")}
    document = {
        "type": arguments.message_type,
        **{name: "" if value is None else value for name, value in given.items()},
    }
    return _send_documents(arguments, [document], arguments.file)


def _send(arguments: argparse.Namespace) -> int:
    return _send_documents(arguments, _read_messages(arguments.messages), None)


def _send_documents(arguments: argparse.Namespace, documents: list[Any], file: Path | None) -> int:
    context: CommandContext = arguments.context
    with open_client(context) as client:
        messages = _messages(context, documents, client)
        options = signing.build_options(context, arguments)
        if arguments.dry_run:
            party = signing.public_party(context, arguments.signer)
            return _show_simulation(context, client.simulate(party, *messages, **options))
        if file is not None:
            party = signing.public_party(context, arguments.signer)
            return _write(context, client.prepare(party, *messages, **options), file)
        return signing.finish(context, arguments, client, signing.submit(context, arguments, client, messages))


def _show_simulation(context: CommandContext, simulation: Any) -> int:
    """Print a dry run; the exit code is that of the same refusal anywhere else."""
    context.output.show(simulation, signing.print_simulation)
    return exit_code_of_refusal(simulation.code) if simulation.code else 0


def _build(arguments: argparse.Namespace) -> int:
    context: CommandContext = arguments.context
    documents = _read_messages(arguments.messages)
    if arguments.offline:
        return _build_offline(context, arguments, documents)
    with open_client(context) as client:
        messages = _messages(context, documents, client)
        party = signing.public_party(context, arguments.signer)
        draft = client.prepare(party, *messages, **signing.build_options(context, arguments))
        return _write(context, draft, arguments.file)


def _build_offline(context: CommandContext, arguments: argparse.Namespace, documents: list[Any]) -> int:
    from openledger.client import transactions

    options = signing.build_options(context, arguments)
    if not context.settings.chain_id or "sequence" not in options or "fee_limit_nopen" not in options:
        raise UsageError("--offline needs --chain-id, --sequence and --fee-limit, since no node is asked")
    party = signing.public_party(context, arguments.signer)
    sender = options.get("account", party)
    if options.get("delegated"):
        slots = [transactions.delegated_slot(sender.address, party.public_key)]
    else:
        stored = _stored_policy(context, arguments.stored_policy) if arguments.stored_policy else b""
        slots = [transactions.single_slot(sender.address, sender.policy, stored, options["sequence"])]
    if "sponsor" in options:
        slots.append(transactions.single_slot(options["sponsor"].address, options["sponsor"].policy, b""))
    draft = transactions.build(
        context.settings.chain_id,
        slots,
        options["sequence"],
        _messages(context, documents, None),
        options["fee_limit_nopen"],
        options.get("expiry_height", 0),
        options.get("memo_digest", b""),
    )
    return _write(context, draft, arguments.file)


def _stored_policy(context: CommandContext, text: str) -> bytes:
    """A policy by the name of a key of this home, or in hex."""
    found = signing.own_key(context, "policy", text)
    if found is not None:
        return found
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise KeyFailure(f"--stored-policy {text!r} is neither a key that is known here nor hex digits") from None


def _sign(arguments: argparse.Namespace) -> int:
    from openledger.client.transactions import read_draft

    draft = read_draft(arguments.draft)
    for name in arguments.signers:
        draft = draft.sign(signing.open_signer(arguments.context, arguments, name, draft.body.chain_id))
    return _write(arguments.context, draft, arguments.file)


def _combine(arguments: argparse.Namespace) -> int:
    from openledger.client.transactions import combine, read_draft

    return _write(arguments.context, combine([read_draft(path) for path in arguments.drafts]), arguments.file)


def _show(arguments: argparse.Namespace) -> int:
    from openledger.client.transactions import read_draft
    from openledger.documents import to_document

    draft = read_draft(arguments.draft)
    document = {
        "transaction_id": draft.transaction_id.hex(),
        "body": to_document(draft.body),
        "signatures": [len(slot.signatures) for slot in draft.slots],
        "missing": draft.missing(),
    }
    arguments.context.output.show(document)
    return 0


def _broadcast(arguments: argparse.Namespace) -> int:
    from openledger.client.transactions import read_draft

    draft = read_draft(arguments.draft)
    chain_id = arguments.context.settings.chain_id or draft.body.chain_id
    with open_client(arguments.context) as client:
        if client.chain_id != chain_id:
            raise UsageError(
                f"wrong chain id: the file is for {chain_id!r}, the node is on {client.chain_id!r}: name another --node"
            )
        return signing.send_draft(arguments.context, arguments, client, client.settle(draft))


def _simulate(arguments: argparse.Namespace) -> int:
    from openledger.client.transactions import read_draft

    with open_client(arguments.context) as client:
        return _show_simulation(arguments.context, client.simulate_draft(read_draft(arguments.draft)))


def _write(context: CommandContext, draft: Any, file: Path | None) -> int:
    from openledger.client.transactions import draft_document, draft_text

    if file is None:
        context.output.json(draft_document(draft))
    else:
        context.write(file, draft_text(draft))
    for line in draft.missing():
        note(line)
    if file is not None:
        note(f"wrote {file}: transaction {draft.transaction_id.hex()}")
    return 0


def _messages(context: CommandContext, documents: list[Any], client: Any) -> "list[Message]":
    from openledger.documents import message_from_document

    registrations: list[RegisterTerms] = []
    resolve = signing.transaction_resolver(context, client, registrations)
    messages = [message_from_document(document, resolve) for document in documents]
    return [*registrations, *messages]


def _read_messages(path: str) -> list[Any]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).expanduser().read_text(encoding="utf-8")
        documents = json.loads(text)
    except OSError as error:
        raise UsageError(f"messages file {path!r} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"messages file {path!r} is not JSON: {error}") from None
    found = documents if isinstance(documents, list) else [documents]
    if not found:
        raise UsageError(f"messages file {path!r} holds no message")
    return found
