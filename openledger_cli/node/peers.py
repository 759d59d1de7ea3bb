"""`openledger node add-peer`: name a node that this one always connects to."""

from __future__ import annotations

import argparse

from openledger_cli.node.arguments import add_command, home_of, report

_EXAMPLES = """\
examples:
  openledger node add-peer 0123456789abcdef0123456789abcdef01234567@bob.example:26656
  openledger node add-peer 0123456789abcdef0123456789abcdef01234567@[2001:db8::7]:26656 --home /srv/openledger

`openledger node status` shows a node's id. The node that is named must let this one in: see Peers in docs/operators.md.
It is written to persistent_peers in config/config.toml, which a node reads when it starts.
"""
_RESTART = "stop the node and start it again: peers are read at the start"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `openledger node`."""
    words = "name a node that this one always connects to, from its next start on"
    parser = add_command(commands, "add-peer", words, _EXAMPLES, _add_peer)
    parser.add_argument("peer", metavar="ID@HOST:PORT", help="the node's id, and where it listens for peers")


def _add_peer(args: argparse.Namespace) -> int:
    from node.peers import add_peer

    home = home_of(args)
    added = add_peer(home, args.peer)
    peer = added.peer
    if added.before == peer:
        text = f"{peer} is a peer of this node already"
    elif added.before:
        text = f"{peer} takes the place of {added.before}, 1 of {len(added.peers)} peers"
    else:
        text = f"{peer} is 1 of {len(added.peers)} peers"
    if added.before != peer:
        text += "\nnext: " + (_RESTART if home.is_in_use() else "openledger node start")
    return report(args, text, peer=peer, before=added.before, peers=list(added.peers))
