"""`openledger status`: what a node says about itself."""

import argparse
from typing import Any

from openledger_cli import examples
from openledger_cli.proofs.trust import open_client


def register(subparsers: Any) -> None:
    """Add `status`."""
    parser = subparsers.add_parser(
        "status", help="what the node is and how far it is", epilog=examples.written("status")
    )
    parser.set_defaults(run=_status)


def _status(arguments: argparse.Namespace) -> None:
    with open_client(arguments.context) as client:
        status = client.status()
    sync = status.sync_info
    arguments.context.output.show(
        {
            "node": arguments.context.node_url,
            "chain_id": status.node_info.network,
            "moniker": status.node_info.moniker,
            "node_id": status.node_info.id,
            "cometbft": status.node_info.version,
            "height": sync.latest_block_height,
            "block_time": sync.latest_block_time,
            "block_hash": sync.latest_block_hash,
            "catching_up": "yes" if sync.catching_up else "no",
        }
    )
