"""`openledger node`: make, run and look after one node. Its home is the folder of --home."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from openledger.errors import UsageError

if TYPE_CHECKING:
    from node.home import Home

_EXAMPLES = """\
examples:
  openledger node init --chain-id dev-1          make a home with keys and a genesis document
  openledger genesis add-validator --name me     make this node its validator
  openledger node start                          run it until Ctrl-C
  openledger node status --output json           what it says about itself
  openledger node rollback                       take the last block back (node stopped)
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command group."""
    group = subparsers.add_parser(
        "node",
        help="make, run and look after a node",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = group.add_subparsers(dest="node_command", required=True, metavar="COMMAND")

    init = commands.add_parser("init", help="make a home with keys, settings and a genesis document")
    init.add_argument("--moniker", default="", help="the node's name among its peers (default: the folder's name)")
    init.add_argument("--rpc-port", type=int, default=26657, help="port of the RPC on loopback (default: 26657)")
    init.add_argument("--p2p-port", type=int, default=26656, help="port for other nodes on loopback (default: 26656)")
    init.set_defaults(run=_init)

    start = commands.add_parser("start", help="run the node until Ctrl-C or SIGTERM")
    start.set_defaults(run=_start)

    status = commands.add_parser("status", help="what a running node says about itself")
    status.set_defaults(run=_status)

    check = commands.add_parser("check", help="recompute the stored state, check every invariant (node stopped)")
    check.set_defaults(run=_check)

    rollback = commands.add_parser("rollback", help="take the last block back; it is executed again (node stopped)")
    rollback.set_defaults(run=_rollback)


def home_of(args: argparse.Namespace) -> Home:
    """The node's home that the command line names; raises `NodeError` when there is none."""
    from node.home import Home

    home = Home(args.context.home)
    home.require_initialised()
    return home


def _init(args: argparse.Namespace) -> int:
    from node.initialise import initialise

    chain_id = args.context.settings.chain_id
    if not chain_id:
        raise UsageError("which chain? pass --chain-id, such as --chain-id dev-1 for trying things out")
    home = initialise(args.context.home, chain_id, moniker=args.moniker, rpc_port=args.rpc_port, p2p_port=args.p2p_port)
    print(f"made {home.folder} for chain {chain_id}")
    print("next: openledger genesis add-account ADDRESS AMOUNT, openledger genesis add-validator --name NAME,")
    print("      openledger node start (each with the same --home)")
    return 0


def _start(args: argparse.Namespace) -> int:
    from node.run import start

    return start(args.context.home)


def _status(args: argparse.Namespace) -> int:
    from node import cometbft
    from node.status import status

    args.context.output.show(status(cometbft.rpc_url(home_of(args))))
    return 0


def _check(args: argparse.Namespace) -> int:
    from node.maintenance import check

    print(f"the state of height {check(home_of(args))} is whole and holds every invariant")
    return 0


def _rollback(args: argparse.Namespace) -> int:
    from node.maintenance import rollback

    height = rollback(home_of(args))
    print(f"rolled back to height {height}; the next start executes block {height + 1} again")
    return 0
