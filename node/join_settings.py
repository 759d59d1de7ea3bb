"""The settings by which CometBFT joins a chain with a snapshot, and the peers that it begins with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from node import cometbft, rpc
from node.errors import NoAnswer, NodeError, NodeRpcError

_PEER = re.compile(r"[0-9a-f]{40}@(?:[^@:,\s\[\]]+|\[[0-9a-f:.]+\]):\d{1,5}")
_LISTENS = re.compile(r"(?:tcp://)?(.*):(\d{1,5})")
_ANYWHERE = ("", "0.0.0.0", "::", "[::]")  # noqa: S104 - an address that is read, not listened on


def peer_of(url: str) -> str:
    """ID@HOST:PORT of the node behind an RPC address, by its own word; raises NodeError where it has none.

    A connection to it proves the id, and what it sends is checked, so its word is enough.
    """
    try:
        told = rpc.call(url, "status")["node_info"]
        node_id, listens = str(told["id"]).lower(), _LISTENS.fullmatch(str(told["listen_addr"]))
    except (NoAnswer, NodeRpcError, KeyError, TypeError) as error:
        raise NodeError(f"{url} does not say where it listens for peers: {error}; name it with --peer") from error
    if listens is None:
        raise NodeError(f"{url} does not say where it listens for peers; name it with --peer")
    host = urlsplit(url).hostname if listens[1] in _ANYWHERE else listens[1]
    return checked_peer(f"{node_id}@{host}:{listens[2]}")


def checked_peer(text: str) -> str:
    """ID@HOST:PORT; raises NodeError for anything else."""
    if not _PEER.fullmatch(text):
        raise NodeError(f"peer {text!r}: give ID@HOST:PORT, the id as 40 hex digits")
    return text


def settings_to_join(
    urls: Sequence[str], peers: Sequence[str], height: int, block_hash: bytes, trusting_seconds: int
) -> cometbft.Changes:
    """Settings that begin with a snapshot, trusting this block, which somebody verified.

    CometBFT wants two addresses, since its light client compares them; one is named twice where there is no other.
    """
    servers = list(dict.fromkeys(urls))
    servers = servers if len(servers) > 1 else servers * 2
    return {
        ("statesync", "enable"): True,
        ("statesync", "rpc_servers"): ",".join(servers),
        ("statesync", "trust_height"): height,
        ("statesync", "trust_hash"): block_hash.hex().upper(),
        ("statesync", "trust_period"): f"{trusting_seconds}s",
        ("p2p", "persistent_peers"): ",".join(dict.fromkeys(peers)),
    }
