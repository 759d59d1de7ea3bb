"""Peers that an operator names: written once each, checked before anything is written."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from node import cometbft
from node.errors import NodeError
from node.home import Home
from node.peers import AddedPeer, add_peer, persistent_peers

ID, OTHER = "ab" * 20, "cd" * 20
CONFIG = """moniker = "me"

[p2p]
# Comma separated list of nodes to keep persistent connections to
persistent_peers = "{peers}"
pex = false
"""


def home_with(folder: Path, peers: str = "") -> Home:
    home = Home(folder)
    home.config_folder.mkdir()
    home.comet_config_file.write_text(CONFIG.format(peers=peers))
    secret = base64.b64encode(bytes(64)).decode()
    home.node_key_file.write_text(json.dumps({"priv_key": {"value": secret}}))
    return home


@pytest.mark.parametrize(
    ("before", "given", "after", "replaced"),
    [
        ("", f"{ID}@bob.example:26656", f"{ID}@bob.example:26656", ""),
        ("", f" {ID.upper()}@10.0.0.7:1 ", f"{ID}@10.0.0.7:1", ""),
        ("", f"{ID}@[2001:db8::7]:65535", f"{ID}@[2001:db8::7]:65535", ""),
        ("", f"{ID}@val_1:26656", f"{ID}@val_1:26656", ""),
        (f"{OTHER}@a:1", f"{ID}@b:2", f"{OTHER}@a:1,{ID}@b:2", ""),
        (f"{ID}@a:1, {OTHER}@c:3", f"{ID}@b:2", f"{ID}@b:2,{OTHER}@c:3", f"{ID}@a:1"),
        (f"{ID}@b:2", f"{ID}@b:2", f"{ID}@b:2", f"{ID}@b:2"),
    ],
)
def test_a_peer_is_written_once_and_the_rest_of_the_file_stays(
    before: str, given: str, after: str, replaced: str, tmp_path: Path
) -> None:
    home = home_with(tmp_path, before)
    peers = tuple(after.split(","))
    peer = next(each for each in peers if each.startswith(ID))
    assert add_peer(home, given) == AddedPeer(peer=peer, before=replaced, peers=peers)
    assert home.comet_config_file.read_text() == CONFIG.format(peers=after)
    assert persistent_peers(home) == peers


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("bob.example:26656", "give ID@HOST:PORT, the id as 40 hex digits"),
        (f"{ID[1:]}@b:1", "give ID@HOST:PORT, the id as 40 hex digits"),
        (f"{ID}@b:1,{OTHER}@c:1", "give ID@HOST:PORT, the id as 40 hex digits"),
        (f"{ID}@b:0", "port 0 does not exist; give 1 to 65535"),
        (f"{ID}@b:65536", "port 65536 does not exist; give 1 to 65535"),
        (f'{ID}@b"c:1', "is no host; give a name, an IPv4 address, or an IPv6 one in brackets"),
        (f"{ID}@300.1.1.1:1", "'300.1.1.1' is no host"),
        (f"{ID}@0.0.0.0:1", "'0.0.0.0' is no host"),
        (f"{ID}@[::]:1", "'[::]' is no host"),
        (f"{ID}@-b:1", "'-b' is no host"),
        (f"{ID}@a..b:1", "'a..b' is no host"),
    ],
)
def test_what_is_no_peer_is_refused_and_nothing_is_written(given: str, message: str, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    with pytest.raises(NodeError) as refusal:
        add_peer(home, given)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(f"peer {given!r}")
    assert home.comet_config_file.read_text() == CONFIG.format(peers="")


def test_a_node_is_no_peer_of_itself(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    own = f"{cometbft.node_id(home)}@127.0.0.1:26656"
    with pytest.raises(NodeError) as refusal:
        add_peer(home, own)
    assert str(refusal.value) == f"peer {own!r} is this node itself: name another one"
