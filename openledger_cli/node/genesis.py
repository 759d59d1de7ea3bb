"""`openledger genesis`: fill and check a chain's genesis document, alone or with several parties."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from abci_app.types import NOPEN_PER_OPEN
from openledger.amounts import show_amount
from openledger.errors import UsageError
from openledger.settings import ClientSettings
from openledger_cli.node.arguments import add_command, home_of, report
from openledger_cli.node.client_files import fund, funded_lines, is_address, read_accounts
from openledger_cli.node.commands import add_account_option
from openledger_cli.parser import OutputFile

# What an operator can spend on fees beside its bond.
OPERATOR_FUNDS_NOPEN = 1_000 * NOPEN_PER_OPEN
_EXAMPLES = """\
alone:
  openledger node init --chain-id dev-1
  openledger genesis add-account --account alice=1000OPEN
  openledger genesis add-validator --name me                  also makes the key of its operator, and funds its bond
  openledger node start

several parties: each runs `node init` with the same chain id and then
  openledger keys add bob
  openledger genesis add-validator --name bob --operator bob --peer-address bob.example:26656 --file bob.json
and sends bob.json to the coordinator, who runs
  openledger genesis add-account open1... 101000OPEN          for each operator: its bond, and something for fees
  openledger genesis collect bob.json carol.json
  openledger genesis validate
and sends config/genesis.json to all; each puts it in its home and runs `genesis collect` with all the files once.
"""


_ADD_ACCOUNT_EXAMPLES = """\
examples:
  openledger genesis add-account --account alice=1000OPEN --account bob=50OPEN    makes the keys that there are not
  openledger genesis add-account alice 1000OPEN
  openledger genesis add-account alice 5000nopen --role registrar --role reviewer --name "Alice Ltd"

What is left of the supply stays with the treasury account.
"""
_ADD_VALIDATOR_EXAMPLES = """\
examples:
  openledger genesis add-validator --name me
  openledger genesis add-validator --name bob --operator bob --power 20 --peer-address bob.example:26656 --file bob.json

The operator is the account that is answerable for the validator: it holds the bond, sends `openledger validator ...`,
and is paid. Where it has no balance in this home's document yet, it gets the bond and 1,000 OPEN. On a chain named
dev... it may be left out: the key --name is taken then, or made.
The declaration is signed with the home's validator key, so nobody can declare a key that is not theirs.
"""
_COLLECT_EXAMPLES = """\
examples:
  openledger genesis collect bob.json carol.json

Also writes the other nodes' addresses into persistent_peers of config/config.toml. Collecting the same files gives
the same document in every home.
"""
_VALIDATE_EXAMPLES = """\
examples:
  openledger genesis validate
  openledger genesis validate --output json

Parties that see the same sha256 start the same chain. It is the digest of the file's bytes, as sha256sum prints it.
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

    account = add_command(commands, "add-account", "give an account a balance", _ADD_ACCOUNT_EXAMPLES, _add_account)
    account.add_argument("name_or_address", nargs="?", metavar="KEY|ADDRESS", help="a key of yours, or open1...")
    account.add_argument("amount", nargs="?", help="such as 1000OPEN or 5000nopen")
    add_account_option(account)
    account.add_argument(
        "--role", action="append", default=[], help="also make it a member with this role (repeatable)"
    )
    account.add_argument("--name", default="", help="the member's name")

    words = "declare this home's validator, signed with its key"
    validator = add_command(commands, "add-validator", words, _ADD_VALIDATOR_EXAMPLES, _add_validator)
    validator.add_argument("--name", required=True)
    validator.add_argument("--operator", default="", metavar="KEY|ADDRESS", help="account that is answerable for it")
    validator.add_argument(
        "--bond", default="", metavar="AMOUNT", help="what it bonds (default: the least that it must)"
    )
    validator.add_argument("--power", type=int, default=10, help="voting power (default: 10)")
    validator.add_argument("--peer-address", default="", help="HOST:PORT at which other nodes reach this one")
    validator.add_argument(
        "--file", metavar="FILE", type=OutputFile, help="also write the declaration for the coordinator"
    )

    words = "add declared validators and their peer addresses"
    collect = add_command(commands, "collect", words, _COLLECT_EXAMPLES, _collect)
    collect.add_argument("files", nargs="+", type=Path, help="declarations from `genesis add-validator --file`")

    add_command(commands, "validate", "check the document and sum it up", _VALIDATE_EXAMPLES, _validate)


def _add_account(args: argparse.Namespace) -> int:
    from node import genesis
    from openledger.content.files import write_whole
    from openledger.content.new_files import removing_new

    if bool(args.account) == bool(args.name_or_address):
        raise UsageError("name an account and its amount, or give --account NAME=AMOUNT (repeatable)")
    if args.name_or_address and not args.amount:
        raise UsageError(f"how much for {args.name_or_address}? give an amount, such as 1000OPEN")
    pairs = read_accounts(args.account or [f"{args.name_or_address}={args.amount}"])
    home = home_of(args)
    genesis.require_not_started(home)
    path = home.genesis_file
    settings = replace(args.context.settings, chain_id=genesis.chain_id(path))
    if not args.account and not is_address(args.name_or_address):
        settings.wallet().get(args.name_or_address)
    before = path.read_bytes()
    with removing_new(settings.home_folder.resolve()):
        funded = fund(settings, pairs)
        try:
            for one in funded:
                genesis.add_account(path, one.address, one.amount_nopen)
                if args.role or args.name:
                    genesis.add_member(path, one.address, args.role, args.name)
        except BaseException:
            write_whole(path, before)
            raise
    if args.account:
        accounts = {one.name: one.address for one in funded}
        return report(args, "\n".join(funded_lines(funded)), accounts=accounts)
    one = funded[0]
    text = f"{one.address} starts with {show_amount(one.amount_nopen)}"
    return report(args, text, account=one.address, balance_nopen=one.amount_nopen)


def _add_validator(args: argparse.Namespace) -> int:
    from node import declarations, genesis
    from openledger.amounts import parse_amount
    from openledger.content.new_files import removing_new

    home = home_of(args)
    genesis.require_not_started(home)
    least_nopen = genesis.bond_of(genesis.read(home.genesis_file))
    bond_nopen = parse_amount(args.bond) if args.bond else least_nopen
    if bond_nopen < least_nopen:
        raise UsageError(f"--bond {args.bond}: a validator of this chain bonds at least {show_amount(least_nopen)}")
    settings = replace(args.context.settings, chain_id=genesis.chain_id(home.genesis_file))
    with removing_new(settings.home_folder.resolve()):
        (operator,) = fund(settings, [(_operator_name(args, settings), bond_nopen + OPERATOR_FUNDS_NOPEN)])
        declaration = genesis.declare_validator(
            home, args.name, args.power, args.peer_address, operator=operator.address, bond_nopen=bond_nopen
        )
        funded = genesis.fund_operator(home.genesis_file, operator.address, operator.amount_nopen)
        document = genesis.add_declarations(home, [declaration])
    count = len(document["validators"])
    text = f"{args.name} is validator {declaration.node_id} with power {args.power}, 1 of {count}"
    text += f"\n{operator.name} is its operator and bonds {show_amount(bond_nopen)}"
    if funded:
        text += f"\n{funded_lines([operator])[0]}, the bond among them"
    if args.file is not None:
        args.context.write(args.file, declarations.declaration_text(declaration))
        text += f"\ndeclaration written to {args.file}; send it to the coordinator"
    return report(
        args,
        text,
        name=args.name,
        node_id=declaration.node_id,
        power=args.power,
        validators=count,
        operator=operator.address,
        bond_nopen=bond_nopen,
    )


def _operator_name(args: argparse.Namespace, settings: ClientSettings) -> str:
    """The key or address that is answerable: as given, or on a development chain the key of the validator's name."""
    from openledger.keys.wallet import is_development_chain, is_key_name

    if args.operator:
        if not is_address(args.operator):
            settings.wallet().get(args.operator)
        return str(args.operator)
    if not is_development_chain(settings.chain_id):
        raise UsageError("who is answerable for it? give --operator KEY or ADDRESS (a key: `openledger keys add NAME`)")
    return args.name if is_key_name(args.name) else "validator"


def _collect(args: argparse.Namespace) -> int:
    from node import declarations, genesis

    home = home_of(args)
    document = genesis.add_declarations(home, [declarations.read_declaration(path) for path in args.files])
    count = len(document["validators"])
    return report(args, f"{count} validators in {home.genesis_file}", validators=count, genesis=str(home.genesis_file))


def _validate(args: argparse.Namespace) -> int:
    from node import genesis

    args.context.output.show(genesis.validate_file(home_of(args).genesis_file))
    return 0
