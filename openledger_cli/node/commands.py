"""`openledger node`: make, run and look after one node. Its home is the folder of --home."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypedDict

from openledger.errors import UsageError
from openledger.settings import ClientSettings
from openledger_cli.node import peers, upkeep
from openledger_cli.node.arguments import add_command, home_of, report
from openledger_cli.node.client_files import fund, funded_lines, read_accounts, source_line, write_client_files
from openledger_cli.node.join import Joining, add_join_options, prepare_joining

if TYPE_CHECKING:
    from node.cometbft import Changes
    from node.home import Home

_RPC_PORT, _P2P_PORT = 26657, 26656
_LOCAL_CHAIN_ID = "dev-1"
_EXAMPLES = """\
examples:
  openledger node init --chain-id dev-1          make a home with keys and a genesis document
  openledger genesis add-validator --name me     make this node its validator
  openledger node start                          run it until Ctrl-C
  openledger node status --output json           what it says about itself
  openledger node rollback                       take the last block back (node stopped)
  openledger node doctor                         what is wrong with it, and what to do
"""
_INIT_EXAMPLES = """\
examples:
  openledger node init --chain-id dev-1 --account alice=1000OPEN
  openledger node init --chain-id ledger-1 --home /srv/openledger --moniker alpha --p2p-port 26656
  openledger node init --local --account alice=1000OPEN --home ./n
                                                 for trying things out, on free ports of this machine; beside others
  openledger node init --state-sync --node http://a:26657 --witness http://b:26657 --genesis genesis.json --home ./n
                                                 joins that chain by a snapshot; --trust HEIGHT:HASH where it is old

Both ports are on loopback. Let other nodes in by changing [p2p] laddr in config/config.toml; the RPC has no
authentication, so put something that has before it (docs/operators.md).
"""
_START_EXAMPLES = """\
examples:
  openledger node start
  openledger node start --home /srv/openledger
  openledger node start --log-format json        one object a line; "alarm": true where somebody should look

Ctrl-C or SIGTERM stops it in order, exit code 0. Exit code 70: the application met an error that must not happen and
halted rather than disagree with the other validators; logs/node.log has the details. 71: CometBFT cannot go on (its
settings, its keys, or its consensus); 74: the application met a full disk. The last line says why.
"""
_STATUS_EXAMPLES = """\
examples:
  openledger node status
  openledger node status --home /srv/openledger --output json

Exit code 0: it makes blocks, is syncing or starting. 11: the chain stands still on this node; `state` and `why` say
how: waiting (too little of the power is seen), standing still, disk full. 12: the chain goes on, but a hook or
scheduled work was put aside because of a bug, or the log has critical lines since this start: `alarm` says which.
3: no node runs on this home.
"""
_CHECK_EXAMPLES = """\
examples:
  openledger node check
  openledger node check --home /srv/openledger

Reads every value, recomputes the tree and the app hash, and runs every module's invariants. The node must be stopped.
"""
_ONION_EXAMPLES = """\
examples:
  openledger node onion
  openledger node onion --renew                  begins a new one, which takes half a second

The chain must be told an onion that is to count: at genesis, with the application to become a validator, or with
`openledger tx validators set-onion`, and then it counts two epochs later. Until then the old one goes on. The secret
stays in config/beacon_secret.json; who reads that file knows what this validator will reveal.
"""
_ROLLBACK_EXAMPLES = """\
examples:
  openledger node rollback
  openledger node start                          executes the block again

Use it when the last block was executed by a faulty version: stop the node, roll back, install the right version, start.
The block itself and the validator's signing state stay, so nothing is ever signed twice.
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
    init = add_command(
        commands, "init", "make a home with keys, settings and a genesis document", _INIT_EXAMPLES, _init
    )
    add_account_option(init)
    add_join_options(init)
    init.add_argument("--moniker", default="", help="the node's name among its peers (default: the folder's name)")
    init.add_argument("--rpc-port", type=int, help=f"port of the RPC on loopback (default: {_RPC_PORT})")
    init.add_argument("--p2p-port", type=int, help=f"port for other nodes on loopback (default: {_P2P_PORT})")
    init.add_argument(
        "--local",
        action="store_true",
        help="all on this machine: ports that are free now, peers on loopback, chain dev-1 unless one is named",
    )
    start = add_command(commands, "start", "run the node until Ctrl-C or SIGTERM", _START_EXAMPLES, _start)
    start.add_argument(
        "--log-format", choices=["text", "json"], default="", help="of the node's own log (default: as in node.toml)"
    )
    add_command(commands, "status", "what a running node says about itself", _STATUS_EXAMPLES, _status)
    add_command(commands, "check", "recompute the stored state and compare (node stopped)", _CHECK_EXAMPLES, _check)
    words = "the onion from which this validator's beacon reveals follow"
    onion = add_command(commands, "onion", words, _ONION_EXAMPLES, _onion)
    onion.add_argument(
        "--renew", action="store_true", help="begin a new one; the old ones go on until they are used up"
    )
    words = "take the last block back; it is executed again (node stopped)"
    add_command(commands, "rollback", words, _ROLLBACK_EXAMPLES, _rollback)
    peers.register(commands)
    upkeep.register(commands)


def add_account_option(parser: argparse.ArgumentParser) -> None:
    """Accounts that a new chain starts with, and keys for those that have none."""
    parser.add_argument(
        "--account",
        action="append",
        default=[],
        metavar="NAME=AMOUNT",
        help="make this key, where there is none, and give it the money; or ADDRESS=AMOUNT (repeatable)",
    )


def _init(args: argparse.Namespace) -> int:
    from node import genesis
    from node.initialise import initialise
    from node.progress import while_waiting
    from openledger.content.new_files import removing_new

    joining = prepare_joining(args)
    if joining is not None:
        return _init_joining(args, joining)
    chain_id = args.context.settings.chain_id or (_LOCAL_CHAIN_ID if args.local else "")
    if not chain_id:
        raise UsageError("which chain? pass --chain-id, such as --chain-id dev-1 for trying things out")
    pairs = read_accounts(args.account)
    with removing_new(args.context.home.resolve()):
        with while_waiting("making the home"):
            home = initialise(args.context.home, chain_id, moniker=args.moniker, **_where(args))
        settings = _client_settings(home, chain_id)
        funded = fund(settings, pairs)
        for one in funded:
            genesis.add_account(home.genesis_file, one.address, one.amount_nopen)
        script = write_client_files(settings, home.folder)
    text = "\n".join(
        [
            f"made {home.folder} for chain {chain_id}",
            *funded_lines(funded),
            f"in any terminal: {source_line(script)}",
            "next, there:",
            *([] if funded else ["  openledger genesis add-account --account NAME=AMOUNT"]),
            "  openledger genesis add-validator --name NAME",
            "  openledger node start",
        ]
    )
    return report(args, text, home=str(home.folder), chain_id=chain_id, settings=str(script))


def _init_joining(args: argparse.Namespace, joining: Joining) -> int:
    from node.initialise import initialise
    from node.progress import while_waiting
    from openledger.content.new_files import removing_new

    if args.account:
        raise UsageError("--account is for new chains: this one exists, leave it out")
    with removing_new(args.context.home.resolve()), while_waiting("making the home"):
        home = initialise(
            args.context.home,
            joining.chain_id,
            moniker=args.moniker,
            document=joining.document,
            **_where(args, joining.comet),
        )
        script = write_client_files(_client_settings(home, joining.chain_id), home.folder)
    text = (
        f"made {home.folder} to join chain {joining.chain_id}, trusting block {joining.height}:{joining.hash}\n"
        f"in any terminal: {source_line(script)}\n"
        "next, there: openledger node start"
    )
    values = {"height": joining.height, "hash": joining.hash, "settings": str(script)}
    return report(args, text, home=str(home.folder), chain_id=joining.chain_id, **values)


class _Where(TypedDict):
    """Arguments of `initialise` that say where a node listens and how it meets its peers."""

    rpc_port: int
    p2p_port: int
    comet: Changes


def _where(args: argparse.Namespace, comet: Changes | None = None) -> _Where:
    """Ports that were named, else free ones of a node of this machine alone, else CometBFT's own."""
    from node import cometbft
    from node.ports import free_ports

    rpc_port, p2p_port = args.rpc_port, args.p2p_port
    if args.local:
        free = (port for port in free_ports() if port not in (rpc_port, p2p_port))
        rpc_port = next(free) if rpc_port is None else rpc_port
        p2p_port = next(free) if p2p_port is None else p2p_port
    changes = {**(cometbft.LOCAL_NETWORK if args.local else {}), **(comet or {})}
    return {
        "rpc_port": _RPC_PORT if rpc_port is None else rpc_port,
        "p2p_port": _P2P_PORT if p2p_port is None else p2p_port,
        "comet": changes,
    }


def _client_settings(home: Home, chain_id: str) -> ClientSettings:
    """The settings of a client of this node; one's own node is asked without a witness."""
    from node import cometbft
    from openledger.keys.wallet import is_development_chain

    return ClientSettings(
        home=str(home.folder),
        node=cometbft.rpc_url(home),
        chain_id=chain_id,
        keys="test" if is_development_chain(chain_id) else "file",
        witnesses="none",
        genesis=str(home.genesis_file),
    )


def _start(args: argparse.Namespace) -> int:
    from node.run import start

    return start(args.context.home, log_format=args.log_format)


def _status(args: argparse.Namespace) -> int:
    from node.errors import NoAnswer
    from node.status import BAD_STATES, State, status_of
    from openledger.exit_codes import ExitCode

    home = home_of(args)
    found = status_of(home)
    if found.state is State.NOT_RUNNING and not args.context.as_json:
        raise NoAnswer(f"no node runs on {home.folder} ({found.why}); start it with `openledger node start`")
    args.context.output.show(found)
    if found.state is State.NOT_RUNNING:
        return ExitCode.NODE
    if found.state in BAD_STATES:
        return ExitCode.STANDS_STILL
    return ExitCode.ALARM if found.alarm else ExitCode.OK


def _check(args: argparse.Namespace) -> int:
    from node.maintenance import check
    from node.progress import while_waiting

    home = home_of(args)
    with while_waiting("checking the state"):
        height = check(home)
    return report(args, f"the state of height {height} is whole and holds every invariant", height=height)


def _onion(args: argparse.Namespace) -> int:
    from node import onions
    from node.progress import while_waiting

    home = home_of(args)
    if args.renew or not home.beacon_secret_file.exists():
        with while_waiting("making the onion"):
            made = onions.renew(home) if home.beacon_secret_file.exists() else onions.make_secret(home)
        text = f"{made.hex()}\nnext: openledger tx validators set-onion --from OPERATOR --onion {made.hex()}"
        return report(args, text, onion=made.hex())
    newest = onions.read_secret(home).chains[-1]
    return report(args, newest.onion.hex(), onion=newest.onion.hex(), number=newest.number, length=newest.length)


def _rollback(args: argparse.Namespace) -> int:
    from node.maintenance import rollback
    from node.progress import while_waiting

    home = home_of(args)
    with while_waiting("taking the last block back"):
        height = rollback(home)
    text = f"rolled back to height {height}; the next start executes block {height + 1} again"
    return report(args, text, height=height)
