"""`openledger devnet`: several validators on this machine, started and stopped as one.

A new network is made for --chain-id (default dev-1); an existing folder goes on as it is.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abci_app.chain.genesis import GenesisState
    from node.devnet import Devnet

_BASE_PORT = 26656
_EXAMPLES = """\
examples:
  openledger devnet                                          one validator
  openledger devnet --validators 4 --folder ./net              four, kept in ./net; run it again to go on
  openledger devnet --folder ./net --account open1...=1000OPEN  a new network in which that account has money
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "devnet",
        help="several validators on this machine",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--validators", type=int, help="how many of a new network (default: 1)")
    parser.add_argument("--folder", type=Path, help="folder of all nodes (default: devnet in --home)")
    parser.add_argument(
        "--base-port", type=int, help="of a new network: node i takes this + 10 i and the next one (default: 26656)"
    )
    parser.add_argument(
        "--account", action="append", default=[], metavar="ADDRESS=AMOUNT", help="of a new network (repeatable)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the network until Ctrl-C or SIGTERM."""
    from node.devnet import DEFAULT_CHAIN_ID, Devnet, run_until
    from node.progress import while_waiting

    folder = args.folder or args.context.home / "devnet"
    if any(folder.glob("node*/config/genesis.json")):
        net = Devnet.open(folder)
        _require_same(args, net)
        print(f"going on with the {len(net.nodes)} nodes in {folder}")
    else:
        with while_waiting("making the homes"):
            net = Devnet.create(
                folder,
                validators=1 if args.validators is None else args.validators,
                chain_id=args.context.settings.chain_id or DEFAULT_CHAIN_ID,
                app_state=_accounts(args.account),
                base_port=_BASE_PORT if args.base_port is None else args.base_port,
            )
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    with net:
        for node in net.nodes:
            print(f"node {node.index}: RPC {node.rpc_url}, home {node.home.folder}")
        print("running; Ctrl-C stops all nodes", flush=True)
        run_until(lambda: bool(signals), net)
    return 0


def _require_same(args: argparse.Namespace, net: Devnet) -> None:
    """Raise `NodeError` for an option that would change how the network was made: that cannot be changed later."""
    from node import genesis
    from node.errors import NodeError

    chain_id = genesis.chain_id(net.nodes[0].home.genesis_file)
    asked = args.context.settings.chain_id
    refused = ""
    if args.account:
        refused = "--account counts for a new network only"
    elif args.base_port is not None:
        refused = "--base-port counts for a new network only"
    elif args.validators not in (None, len(net.nodes)):
        refused = f"it has {len(net.nodes)} validators, not {args.validators}"
    elif asked and asked != chain_id:
        refused = f"it is chain {chain_id}, not {asked}"
    if refused:
        raise NodeError(f"{net.folder} holds a network already, and {refused}: delete it, or give another --folder")


def _accounts(texts: list[str]) -> GenesisState:
    """The genesis state in which these accounts have these balances. Raises NodeError."""
    from abci_app.chain.genesis import GenesisState
    from node.errors import NodeError
    from openledger.amounts import parse_amount

    pairs = [text.partition("=") for text in texts]
    for address, sign, amount in pairs:
        if not address or not sign or not amount:
            raise NodeError(f"--account {address}{sign}{amount}: give ADDRESS=AMOUNT, such as open1...=1000OPEN")
    return GenesisState(balances=tuple((address, parse_amount(amount)) for address, _, amount in pairs))
