"""`openledger devnet`: several validators on this machine, started and stopped as one.

A new network is made for --chain-id (default dev-1) with keys and settings of its own; an existing folder goes on as it
is. A network that was never up leaves nothing behind.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger.settings import ClientSettings
from openledger_cli.node.client_files import (
    fund,
    funded_lines,
    is_address,
    read_accounts,
    source_line,
    write_client_files,
)

if TYPE_CHECKING:
    from node.devnet import Devnet

_BASE_PORT = 26656
# Below the network's folder: keys, trust and settings of its clients; the content store.
CLIENT_FOLDER, CONTENT_FOLDER = "client", "content"
# The hash of the first state stands in the second header, whose signatures are in the third block.
FIRST_PROVABLE_HEIGHT = 3
_EXAMPLES = """\
examples:
  openledger devnet --account alice=1000OPEN                   one validator, and a key that has money
  openledger devnet --validators 4 --folder ./net              four, kept in ./net; run it again to go on
  openledger devnet --folder ./net --account olga=1000OPEN --account open1...=5OPEN

It prints the line that makes it the chain of the openledger command in a terminal:  . ./net/settings.sh
"""


def register(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("devnet", help="several validators on this machine", epilog=_EXAMPLES)
    parser.add_argument("--validators", type=int, help="how many of a new network (default: 1)")
    parser.add_argument("--folder", type=Path, help="folder of all nodes (default: devnet in --home)")
    parser.add_argument(
        "--base-port", type=int, help="of a new network: node i takes this + 10 i and the next one (default: 26656)"
    )
    parser.add_argument(
        "--account",
        action="append",
        default=[],
        metavar="NAME=AMOUNT",
        help="of a new network: makes this key and gives it the money; or ADDRESS=AMOUNT (repeatable)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the network until Ctrl-C or SIGTERM."""
    from node.devnet import Devnet, run_until
    from node.errors import NodeError

    folder: Path = args.folder or args.context.home / "devnet"
    with _deferring_signals() as signals, ExitStack() as stack:

        def stop_if_asked() -> None:
            if signals:
                raise KeyboardInterrupt

        if any(folder.glob("node*/config/genesis.json")):
            net = Devnet.open(folder)
            _require_same(args, net)
            print(f"going on with the {len(net.nodes)} nodes in {folder}")
            net.between = stop_if_asked
            stack.enter_context(net)
        else:
            try:
                net = stack.enter_context(_new_network(args, folder, stop_if_asked))
            except NodeError:
                # Ctrl-C reaches the programs that make the homes, too: their end is no error then.
                stop_if_asked()
                raise
        _tell(net)
        run_until(lambda: bool(signals), net)
    return 0


@contextmanager
def _deferring_signals() -> Iterator[list[int]]:
    """Numbers of the signals that came in meanwhile: each is acted on between two steps, never in the middle of one.

    A step that were cut short could leave a process that nobody knows of, which goes on writing into a folder that is
    removed. Afterwards this process is as it was.
    """
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda sent, _frame: received.append(sent))
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _new_network(args: argparse.Namespace, folder: Path, stop_if_asked: Callable[[], None]) -> Iterator[Devnet]:
    """A new network that has made its first block; before that, any end removes everything that was made."""
    from abci_app.chain.genesis import GenesisState
    from node import genesis, onions
    from node.devnet import DEFAULT_CHAIN_ID, Devnet
    from node.progress import while_waiting
    from openledger.content.new_files import making_folder, removing_new
    from openledger.keys.wallet import is_development_chain

    pairs = read_accounts(args.account)
    chain_id = _asked_chain(args) or DEFAULT_CHAIN_ID
    genesis.skeleton(chain_id)
    if pairs and not is_development_chain(chain_id) and any(not is_address(name) for name, _ in pairs):
        raise UsageError(
            f"--account NAME makes keys that are not encrypted, for chains named dev... only, not for {chain_id!r}: "
            "give addresses, or another --chain-id"
        )
    with removing_new(folder.resolve()):
        with making_folder(folder) as unfinished, while_waiting("making the homes"):
            keys = ClientSettings(home=str(unfinished / CLIENT_FOLDER), keys="test", chain_id=chain_id)
            funded = fund(keys, pairs)
            count = 1 if args.validators is None else args.validators
            operators = fund(keys, _operators(chain_id, count, pairs))
            balances = tuple([(one.address, one.amount_nopen) for one in [*funded, *operators]])
            Devnet.create(
                unfinished,
                validators=count,
                chain_id=chain_id,
                app_state=GenesisState(balances=balances),
                operators=[one.address for one in operators],
                base_port=_BASE_PORT if args.base_port is None else args.base_port,
                onion_length=onions.LENGTH,
                beside=CLIENT_FOLDER,
                between=stop_if_asked,
            )
        net = Devnet.open(folder)
        net.between = stop_if_asked
        net.start()
        try:
            with while_waiting("waiting for the first state that can be proven"):
                net.wait_for_height(FIRST_PROVABLE_HEIGHT)
        except BaseException:
            net.stop()
            raise
    for line in funded_lines(funded):
        print(line)
    if not funded:
        print("no key has money: for that, stop it, delete its folder and give --account NAME=1000OPEN")
    try:
        yield net
    finally:
        net.stop()


def _operators(chain_id: str, count: int, pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """A key for the operator of each node, with its bond; none on a chain whose keys may not be made so."""
    from abci_app.modules.validators import VALIDATOR_BOND
    from openledger.keys.wallet import is_development_chain
    from openledger_cli.node.genesis import OPERATOR_FUNDS_NOPEN

    if not is_development_chain(chain_id):
        return []
    taken = [name for name, _ in pairs]
    names = [f"validator-{number}" for number in range(count)]
    amount_nopen = VALIDATOR_BOND.default + OPERATOR_FUNDS_NOPEN
    return [(f"{name}-operator" if name in taken else name, amount_nopen) for name in names]


def client_settings(net: Devnet) -> ClientSettings:
    """The settings of a client of this network."""
    from node import genesis

    first = net.nodes[0]
    folder = net.folder.resolve()
    return ClientSettings(
        home=str(folder / CLIENT_FOLDER),
        node=first.rpc_url,
        chain_id=genesis.chain_id(first.home.genesis_file),
        keys="test",
        witnesses=",".join([node.rpc_url for node in net.nodes[1:]]) or "none",
        genesis=str(first.home.genesis_file),
        content=str(folder / CONTENT_FOLDER),
    )


def _tell(net: Devnet) -> None:
    """Say where the nodes are, and the one line that makes this the chain of the command."""
    for node in net.nodes:
        print(f"node {node.index}: RPC {node.rpc_url}, home {node.home.folder}")
    script = write_client_files(client_settings(net), net.folder)
    print(f"in any terminal: {source_line(script)}")
    print("running; Ctrl-C stops all nodes", flush=True)


def _asked_chain(args: argparse.Namespace) -> str:
    """The chain id on the line; the one that somebody asks otherwise says nothing of a network that is made here."""
    return args.context.settings.chain_id if "chain_id" in args.context.named else ""


def _require_same(args: argparse.Namespace, net: Devnet) -> None:
    """Raise `NodeError` for an option that would change how the network was made: that cannot be changed later."""
    from node import genesis
    from node.errors import NodeError

    chain_id = genesis.chain_id(net.nodes[0].home.genesis_file)
    asked = _asked_chain(args)
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
