"""`openledger node init --state-sync`: a home that joins a chain with a snapshot, trusting a block that was verified.

CometBFT takes a height and a hash on trust. They come from the light client, which starts from what the person trusts
(a genesis document, a given hash) and compares with a witness; never from a node's word alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openledger.errors import UsageError
from openledger_cli.proofs.verify import add_anchor_options

if TYPE_CHECKING:
    from node.cometbft import Changes

_OPTIONS = ("peer", "trust", "genesis", "witness")


def add_join_options(parser: argparse.ArgumentParser) -> None:
    """Add --state-sync and what says whom to trust."""
    group = parser.add_argument_group("joining a chain that exists")
    group.add_argument(
        "--state-sync", action="store_true", help="begin with the newest snapshot of --node's chain, not with block 1"
    )
    add_anchor_options(group)
    group.add_argument(
        "--witness", action="append", default=[], metavar="URL", help="a node to compare headers with (repeatable)"
    )
    group.add_argument("--no-witness", action="store_true", help="compare with no other node, and say so")
    group.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="ID@HOST:PORT",
        help="instead of what the nodes say of themselves",
    )
    parser.set_defaults(allow_stale=False, max_age=None, trust_on_first_use=False)


@dataclass(frozen=True, slots=True)
class Joining:
    """The chain's document, the settings that join it, and the block that they trust."""

    document: bytes
    comet: Changes
    chain_id: str
    height: int
    hash: str


def prepare_joining(args: argparse.Namespace) -> Joining | None:
    """Verify the newest block of the chain; None where nobody asked to join. Raises UsageError and light errors."""
    if not args.state_sync:
        for name in _OPTIONS:
            if getattr(args, name):
                raise UsageError(f"--{name} belongs to --state-sync: add it, or leave --{name} out")
        return None
    from node.join_settings import checked_peer, peer_of, settings_to_join
    from openledger.light.anchors import parse_genesis
    from openledger_cli.proofs.trust import open_light_client
    from openledger_cli.proofs.verify import read_rules

    settings = args.context.settings
    path = args.genesis or settings.genesis
    if not path:
        raise UsageError("--state-sync needs the chain's genesis document from somebody you trust: give --genesis FILE")
    document = Path(path).expanduser().read_bytes()
    # Where both are given, trust begins at the hash: a document older than the trusting period vouches for nothing.
    anchored = argparse.Namespace(**{**vars(args), "genesis": None if args.trust else args.genesis})
    with open_light_client(args.context, anchored) as light:
        header = light.header().header
    found = parse_genesis(document).genesis.chain_id
    if found != header.chain_id:
        raise UsageError(f"{path} is for chain {found}, {settings.node} shows chain {header.chain_id}")
    urls = [settings.node, *(args.witness or settings.witness_urls)]
    peers = [checked_peer(peer) for peer in args.peer] or [peer_of(url) for url in urls]
    trusting_seconds = read_rules(args).trusting_period_seconds
    return Joining(
        document=document,
        comet=settings_to_join(urls, peers, header.height, header.hash, trusting_seconds),
        chain_id=found,
        height=header.height,
        hash=header.hash.hex().upper(),
    )
