"""`openledger genesis`: fill and check a chain's genesis document, alone or with several parties."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from openledger.amounts import parse_amount, show_amount
from openledger.cli.node import home_of

_EXAMPLES = """\
alone:
  openledger node init --chain-id dev-1
  openledger genesis add-account alice 1000OPEN
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
    account.add_argument("account", help="open1..., 64 hex digits, or the name of one of your keys")
    account.add_argument("amount", help="such as 1000OPEN or 5000nopen")
    account.add_argument(
        "--role", action="append", default=[], help="also make it a member with this role (repeatable)"
    )
    account.add_argument("--name", default="", help="the member's name")
    account.set_defaults(run=_add_account)

    validator = commands.add_parser("add-validator", help="declare this home's validator, signed with its key")
    validator.add_argument("--name", required=True)
    validator.add_argument("--power", type=int, default=10, help="voting power (default: 10)")
    validator.add_argument("--peer-address", default="", help="HOST:PORT at which other nodes reach this one")
    validator.add_argument("--file", type=Path, help="also write the declaration here, for the coordinator")
    validator.set_defaults(run=_add_validator)

    collect = commands.add_parser("collect", help="add declared validators and their peer addresses")
    collect.add_argument("files", nargs="+", type=Path, help="declarations from `genesis add-validator --file`")
    collect.set_defaults(run=_collect)

    validate = commands.add_parser("validate", help="check the document and sum it up")
    validate.set_defaults(run=_validate)


def _add_account(args: argparse.Namespace) -> int:
    from node import genesis

    amount_nopen = parse_amount(args.amount)
    path = home_of(args).genesis_file
    address = args.account
    if not re.fullmatch(r"open1\w+|[0-9a-fA-F]{64}", address):
        address = args.context.wallet(genesis.chain_id(path)).get(address).address
    genesis.add_account(path, address, amount_nopen)
    if args.role or args.name:
        genesis.add_member(path, address, args.role, args.name)
    print(f"{address} starts with {show_amount(amount_nopen)}")
    return 0


def _add_validator(args: argparse.Namespace) -> int:
    from node import genesis

    home = home_of(args)
    declaration = genesis.declare_validator(home, args.name, args.power, args.peer_address)
    document = genesis.add_declarations(home, [declaration])
    if args.file is not None:
        genesis.write_declaration(args.file, declaration)
        print(f"declaration written to {args.file}; send it to the coordinator")
    print(f"{args.name} is validator {declaration.node_id} with power {args.power}, 1 of {len(document['validators'])}")
    return 0


def _collect(args: argparse.Namespace) -> int:
    from node import genesis

    home = home_of(args)
    document = genesis.add_declarations(home, [genesis.read_declaration(path) for path in args.files])
    print(f"{len(document['validators'])} validators in {home.genesis_file}")
    return 0


def _validate(args: argparse.Namespace) -> int:
    from node import genesis

    args.context.output.show(genesis.validate(genesis.read(home_of(args).genesis_file)))
    return 0
