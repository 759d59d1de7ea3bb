"""`openledger node add-peer`: writes a node's address among those that CometBFT always redials."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from node import cometbft
from node.errors import NodeError
from node.home import Home
from node.join_settings import checked_peer

_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_HOST_LENGTH = 253


@dataclass(frozen=True, slots=True)
class AddedPeer:
    """The peer as it was written, what stood in its place before (empty: nothing), and all that the home names now."""

    peer: str
    before: str
    peers: tuple[str, ...]


def add_peer(home: Home, text: str) -> AddedPeer:
    """Put ID@HOST:PORT among `persistent_peers`; an id that is there gets the new address. Raises NodeError."""
    node_id, at, address = text.strip().partition("@")
    node_id = node_id.lower()
    peer = checked_peer(node_id + at + address)
    _check_address(text, address)
    if node_id == cometbft.node_id(home):
        raise NodeError(f"peer {text!r} is this node itself: name another one")
    known = persistent_peers(home)
    before = next((each for each in known if _id_of(each) == node_id), "")
    peers = tuple([peer if _id_of(each) == node_id else each for each in known] + ([] if before else [peer]))
    if peers != known:
        cometbft.change_config(home, {("p2p", "persistent_peers"): ",".join(peers)})
    return AddedPeer(peer=peer, before=before, peers=peers)


def persistent_peers(home: Home) -> tuple[str, ...]:
    """The addresses that config.toml names, as they stand there. Raises NodeError where it cannot be read."""
    listed = str(cometbft.read_config(home).get("p2p", {}).get("persistent_peers", ""))
    return tuple([each.strip() for each in listed.split(",") if each.strip()])


def _id_of(peer: str) -> str:
    return peer.partition("@")[0].lower()


def _check_address(text: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    if not 1 <= int(port) <= 65535:
        raise NodeError(f"peer {text!r}: port {port} does not exist; give 1 to 65535")
    if not _is_host(host):
        raise NodeError(f"peer {text!r}: {host!r} is no host; give a name, an IPv4 address, or an IPv6 one in brackets")


def _is_host(host: str) -> bool:
    """Whether this is a name that DNS can have, or the address of one machine."""
    bare = host[1:-1] if host.startswith("[") else host
    try:
        return not ipaddress.ip_address(bare).is_unspecified
    except ValueError:
        pass
    labels = host.removesuffix(".").split(".")
    only_numbers = all(label.isdigit() for label in labels)  # 10.0.0 and 300.1.1.1 are addresses that went wrong
    return len(host) <= _MAX_HOST_LENGTH and not only_numbers and all(map(_HOST_LABEL.fullmatch, labels))
