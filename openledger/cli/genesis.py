"""`openledger genesis`: fill and check a chain's genesis document, alone or with several parties."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from openledger.cli.node import add_home

if TYPE_CHECKING:
    from node.home import Home

_EXAMPLES = """\
amounts: 5 OPEN is written 5open, the smallest unit 1nopen

alone:
  openledger node init --chain-id dev-1
  openledger genesis add-account open1... 1000open
  openledger genesis add-validator --name me
  openledger node start

several parties: each runs `node init` with the same chain id and then
  openledger genesis add-validator --name bob --peer-address bob.example:26656 --file bob.json
and sends bob.json to the coordinator, who runs
  openledger genesis collect bob.json carol.json
  openledger genesis validate
and sends config/genesis.json to all; each puts it in its home and runs `genesis collect` with all the files once.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command group."""
    group = subparsers.add_parser(
        "genesis",
        help="fill and check a chain's genesis document",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = group.add_subparsers(dest="genesis_command", required=True, metavar="COMMAND")

    account = commands.add_parser("add-account", help="give an account a balance")
    add_home(account)
    account.add_argument("address", help="open1... or 64 hex digits")
    account.add_argument("amount", help="such as 1000open or 5000nopen")
    account.add_argument(
        "--role", action="append", default=[], help="also make it a member with this role (repeatable)"
    )
    account.add_argument("--name", default="", help="the member's name")
    account.set_defaults(run=_add_account)

    validator = commands.add_parser("add-validator", help="declare this home's validator, signed with its key")
    add_home(validator)
    validator.add_argument("--name", required=True)
    validator.add_argument("--power", type=int, default=10, help="voting power (default: 10)")
    validator.add_argument("--peer-address", default="", help="HOST:PORT at which other nodes reach this one")
    validator.add_argument("--file", type=Path, help="also write the declaration here, for the coordinator")
    validator.set_defaults(run=_add_validator)

    collect = commands.add_parser("collect", help="add declared validators and their peer addresses")
    add_home(collect)
    collect.add_argument("files", nargs="+", type=Path, help="declarations from `genesis add-validator --file`")
    collect.set_defaults(run=_collect)

    validate = commands.add_parser("validate", help="check the document and sum it up")
    add_home(validate)
    validate.add_argument("--output", choices=("text", "json"), default="text")
    validate.set_defaults(run=_validate)


def _add_account(args: argparse.Namespace) -> int:
    from node import genesis

    amount_nopen = parse_amount(args.amount)
    path = _home(args).genesis_file
    genesis.add_account(path, args.address, amount_nopen)
    if args.role or args.name:
        genesis.add_member(path, args.address, args.role, args.name)
    print(f"{args.address} starts with {amount_nopen} nopen")
    return 0


def _add_validator(args: argparse.Namespace) -> int:
    from node import genesis

    home = _home(args)
    declaration = genesis.declare_validator(home, args.name, args.power, args.peer_address)
    document = genesis.add_declarations(home, [declaration])
    if args.file is not None:
        genesis.write_declaration(args.file, declaration)
        print(f"declaration written to {args.file}; send it to the coordinator")
    print(f"{args.name} is validator {declaration.node_id} with power {args.power}, 1 of {len(document['validators'])}")
    return 0


def _collect(args: argparse.Namespace) -> int:
    from node import genesis

    home = _home(args)
    document = genesis.add_declarations(home, [genesis.read_declaration(path) for path in args.files])
    print(f"{len(document['validators'])} validators in {home.genesis_file}")
    return 0


def _validate(args: argparse.Namespace) -> int:
    from node import genesis

    values = dataclasses.asdict(genesis.validate(genesis.read(_home(args).genesis_file)))
    if args.output == "json":
        print(json.dumps(values))
        return 0
    for name, value in values.items():
        print(f"{name.replace('_', ' '):14} {value}")
    return 0


def parse_amount(text: str) -> int:
    """Whole nopen from `5open`, `0.5open` or `5nopen`. Raises NodeError."""
    from abci_app.types import MAX_INTEGER, NOPEN_PER_OPEN
    from node.errors import NodeError

    number, unit = (text[:-5], "nopen") if text.endswith("nopen") else (text.removesuffix("open"), text[-4:])
    whole, _, fraction = number.partition(".")
    digits = 9 if unit == "open" else 0
    valid = whole.isascii() and whole.isdigit() and (not fraction or (fraction.isascii() and fraction.isdigit()))
    if not valid or unit not in ("open", "nopen") or len(fraction) > digits or number.endswith("."):
        raise NodeError(f"amount {text!r}: give a number with its unit, such as 1000open, 0.5open or 5000nopen")
    amount_nopen = int(whole) if unit == "nopen" else int(whole) * NOPEN_PER_OPEN + int(fraction.ljust(digits, "0"))
    if amount_nopen > MAX_INTEGER:
        raise NodeError(f"amount {text!r} is more than there can be")
    return amount_nopen


def _home(args: argparse.Namespace) -> Home:
    from node.home import Home

    home = Home(args.home.expanduser())
    home.require_initialised()
    return home
