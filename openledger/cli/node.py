"""`openledger node`: make, run and look after one node."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

DEFAULT_HOME = Path("~/.openledger/node")

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
    add_home(init)
    init.add_argument("--chain-id", required=True, help="lower-case letters, digits and '-'; dev... for trying out")
    init.add_argument("--moniker", default="", help="the node's name among its peers (default: the folder's name)")
    init.add_argument("--rpc-port", type=int, default=26657, help="port of the RPC on loopback (default: 26657)")
    init.add_argument("--p2p-port", type=int, default=26656, help="port for other nodes on loopback (default: 26656)")
    init.set_defaults(run=_init)

    start = commands.add_parser("start", help="run the node until Ctrl-C or SIGTERM")
    add_home(start)
    start.set_defaults(run=_start)

    status = commands.add_parser("status", help="what a running node says about itself")
    add_home(status)
    status.add_argument("--node", default="", metavar="URL", help="ask this RPC instead of the home's")
    status.add_argument("--output", choices=("text", "json"), default="text")
    status.set_defaults(run=_status)

    check = commands.add_parser("check", help="recompute the stored state and compare (node stopped)")
    add_home(check)
    check.set_defaults(run=_check)

    rollback = commands.add_parser("rollback", help="take the last block back; it is executed again (node stopped)")
    add_home(rollback)
    rollback.set_defaults(run=_rollback)


def add_home(parser: argparse.ArgumentParser) -> None:
    """The option that says which node is meant."""
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME, help=f"the node's folder (default: {DEFAULT_HOME})")


def _init(args: argparse.Namespace) -> int:
    from node.initialise import initialise

    home = initialise(
        args.home.expanduser(), args.chain_id, moniker=args.moniker, rpc_port=args.rpc_port, p2p_port=args.p2p_port
    )
    print(f"made {home.folder} for chain {args.chain_id}")
    print("next: openledger genesis add-account ADDRESS AMOUNT, openledger genesis add-validator --name NAME,")
    print("      openledger node start (each with the same --home)")
    return 0


def _start(args: argparse.Namespace) -> int:
    from node.run import start

    return start(args.home.expanduser())


def _status(args: argparse.Namespace) -> int:
    from node import cometbft
    from node.home import Home
    from node.status import status

    url = args.node
    if not url:
        home = Home(args.home.expanduser())
        home.require_initialised()
        url = cometbft.rpc_url(home)
    values = dataclasses.asdict(status(url))
    if args.output == "json":
        print(json.dumps(values))
        return 0
    for name, value in values.items():
        print(f"{name.replace('_', ' '):20} {value}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from node.home import Home
    from node.maintenance import check

    print(f"the state of height {check(Home(args.home.expanduser()))} is whole")
    return 0


def _rollback(args: argparse.Namespace) -> int:
    from node.home import Home
    from node.maintenance import rollback

    height = rollback(Home(args.home.expanduser()))
    print(f"rolled back to height {height}; the next start executes block {height + 1} again")
    return 0
