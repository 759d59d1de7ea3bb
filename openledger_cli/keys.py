"""`openledger keys`: make, recover, show and remove keys."""

import argparse
import sys
from typing import Any

from openledger.errors import KeyFailure, UsageError
from openledger_cli import examples
from openledger_cli.context import CommandContext
from openledger_cli.pulse import waiting_for_people
from openledger_cli.secrets import add_passphrase_option, ask_passphrase, ask_phrase, ask_secret
from openledger_cli.text import note

_EXAMPLES = """\
examples:
  openledger keys add alice
  openledger keys add team --shared alice,bob,carol --threshold 2
  openledger keys recover alice < words.txt
  openledger --keys test --chain-id dev-1 keys add robot      plain key, for chains named dev... only
"""


def register(subparsers: Any) -> None:
    """Add `keys` and its commands."""
    parser = subparsers.add_parser(
        "keys",
        help="make, recover, show and remove keys",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = _command(commands, "add", _add, "make a key, or a shared account from keys you have or know")
    add.add_argument("--shared", metavar="KEY,KEY", help="names, addresses or public keys (hex) that share the account")
    add.add_argument("--threshold", type=int, default=0, help="how many of them must sign (default: all)")
    add.add_argument("--weights", metavar="N,N", help="weight of each key's signature (default: 1 each)")
    add.add_argument(
        "--policy", metavar="KEY|HEX", help="keep somebody else's account by its policy, to look at or build for"
    )
    _passphrase(add)
    listing = commands.add_parser("list", help="all keys of this home", epilog=examples.written("keys list"))
    listing.set_defaults(run=_list)
    _command(commands, "show", _show, "address, policy and public keys")
    recover = _command(commands, "recover", _recover, "bring a key back from its 24 words (read from standard input)")
    recover.add_argument("--account", type=int, default=0, help="number of the account under these words (default 0)")
    _passphrase(recover)
    imported = _command(commands, "import", _import, "store a secret key (64 hex digits, read from standard input)")
    _passphrase(imported)
    export = _command(commands, "export", _export, "print the secret key: anybody who sees it controls the account")
    export.add_argument("--yes", action="store_true", help="do not ask")
    _passphrase(export)
    delete = _command(commands, "delete", _delete, "remove a key file; only its 24 words bring it back")
    delete.add_argument("--yes", action="store_true", help="do not ask")


def _command(commands: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help_text, description=help_text, epilog=examples.written(f"keys {name}")
    )
    parser.add_argument("name", help="name of the key")
    parser.set_defaults(run=run)
    return parser


def _passphrase(parser: argparse.ArgumentParser) -> None:
    add_passphrase_option(parser)


def _new_passphrase(arguments: argparse.Namespace) -> str:
    if arguments.context.settings.keys == "test":
        return ""
    return ask_passphrase(arguments, arguments.name, twice=True)


def _add(arguments: argparse.Namespace) -> None:
    context: CommandContext = arguments.context
    wallet = context.wallet()
    if arguments.policy:
        context.output.show(wallet.add_watch(arguments.name, _policy(context, arguments.policy)))
        return
    if arguments.shared:
        public_keys = [key for text in arguments.shared.split(",") for key in _public_keys(context, text.strip())]
        weights = [_weight(text) for text in arguments.weights.split(",")] if arguments.weights else None
        if weights is not None and len(weights) != len(public_keys):
            raise UsageError(f"{len(public_keys)} keys need as many weights, got {len(weights)}")
        threshold = arguments.threshold or sum(weights or [1] * len(public_keys))
        context.output.show(wallet.add_shared(arguments.name, threshold, public_keys, weights))
        return
    info, words = wallet.create(arguments.name, _new_passphrase(arguments))
    if context.as_json:
        context.output.show({"key": info, "recovery_phrase": words})
        return
    context.output.show(info)
    note(
        "\nWrite these 24 words down, in order, and keep them offline. They are shown once; nobody can restore them:\n"
    )
    print(f"  {words}", file=sys.stderr)


def _policy(context: CommandContext, text: str) -> bytes:
    """A policy in hex, or that of a key of this home by its name."""
    from openledger_cli.signing import own_key

    found = own_key(context, "policy", text)
    if found is not None:
        return found
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise KeyFailure(
            f"--policy {text!r} is neither a key that is known here nor hex digits, as `openledger keys show` prints "
            "them"
        ) from None


def _weight(text: str) -> int:
    if not text.strip().isdecimal():
        raise UsageError(f"weight {text!r} is not a whole number")
    return int(text)


def _public_keys(context: CommandContext, text: str) -> tuple[bytes, ...]:
    from openledger_cli.signing import key_named

    if len(text) == 64 and set(text.lower()) <= set("0123456789abcdef"):
        return (bytes.fromhex(text),)
    return key_named(context, text).public_keys


def _list(arguments: argparse.Namespace) -> None:
    keys = arguments.context.wallet().all_keys()
    rows = [(key.name, key.kind, key.address, f"{key.threshold} of {len(key.public_keys)}") for key in keys]
    arguments.context.output.rows("", ("name", "kind", "address", "signatures"), rows, keys)


def _show(arguments: argparse.Namespace) -> None:
    arguments.context.output.show(arguments.context.wallet().get(arguments.name))


def _recover(arguments: argparse.Namespace) -> None:
    words = ask_phrase()
    passphrase = _new_passphrase(arguments)
    info = arguments.context.wallet().recover(arguments.name, words, passphrase, arguments.account)
    arguments.context.output.show(info)


def _import(arguments: argparse.Namespace) -> None:
    try:
        seed = bytes.fromhex(ask_secret("Secret key, 64 hex digits: ").removeprefix("0x"))
    except ValueError:
        raise UsageError("a secret key is 64 hex digits") from None
    arguments.context.output.show(
        arguments.context.wallet().import_seed(arguments.name, seed, _new_passphrase(arguments))
    )


def _export(arguments: argparse.Namespace) -> None:
    _confirm(arguments, f"print the secret of {arguments.name}")
    wallet = arguments.context.wallet()
    passphrase = ask_passphrase(arguments, arguments.name) if wallet.needs_passphrase(arguments.name) else ""
    seed = wallet.export_seed(arguments.name, passphrase)
    arguments.context.output.show({"name": arguments.name, "secret": seed.hex()})


def _delete(arguments: argparse.Namespace) -> None:
    wallet = arguments.context.wallet()
    info = wallet.get(arguments.name)
    _confirm(arguments, f"delete key {arguments.name} of {info.address}")
    wallet.delete(arguments.name)
    arguments.context.output.show({"deleted": arguments.name, "address": info.address})


def _confirm(arguments: argparse.Namespace, action: str) -> None:
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"pass --yes to {action} without being asked")
    with waiting_for_people():
        answer = input(f"Really {action}? Type yes: ")
    if answer.strip() != "yes":
        raise UsageError("nothing was done")
