"""What CometBFT is told about the chain to join: nothing that was not verified or cannot be harmless."""

from __future__ import annotations

from typing import Any

import pytest

from node import rpc
from node.errors import NoAnswer, NodeError
from node.join_settings import checked_peer, peer_of, settings_to_join

ID = "ab" * 20


def test_the_settings_name_the_block_the_period_and_two_addresses() -> None:
    found = settings_to_join(["http://a:1"], [f"{ID}@a:2", f"{ID}@a:2"], 7, b"\xab" * 32, 3600)
    assert found == {
        ("statesync", "enable"): True,
        ("statesync", "rpc_servers"): "http://a:1,http://a:1",
        ("statesync", "trust_height"): 7,
        ("statesync", "trust_hash"): "AB" * 32,
        ("statesync", "trust_period"): "3600s",
        ("p2p", "persistent_peers"): f"{ID}@a:2",
    }
    two = settings_to_join(["http://a:1", "http://b:1", "http://a:1"], [], 7, b"", 1)
    assert two["statesync", "rpc_servers"] == "http://a:1,http://b:1"


@pytest.mark.parametrize(
    ("listens", "peer"),
    [
        ("tcp://0.0.0.0:26656", f"{ID}@alpha.example:26656"),
        ("tcp://10.0.0.7:26656", f"{ID}@10.0.0.7:26656"),
        ("[::]:26656", f"{ID}@alpha.example:26656"),
        ("tcp://[2001:db8::1]:26656", f"{ID}@[2001:db8::1]:26656"),
    ],
)
def test_a_node_says_where_it_listens(listens: str, peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"node_info": {"id": ID.upper(), "listen_addr": listens}}
    monkeypatch.setattr(rpc, "call", lambda _url, _method: told)
    assert peer_of("http://alpha.example:26657") == peer


@pytest.mark.parametrize("listens", ["", "tcp://host", "a,b:1", "x@y:1", 'q"\n:1'])
def test_words_that_are_no_address_never_reach_the_settings(listens: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {"node_info": {"id": ID, "listen_addr": listens}}
    monkeypatch.setattr(rpc, "call", lambda _url, _method: told)
    with pytest.raises(NodeError, match=r"does not say where it listens for peers|give ID@HOST:PORT"):
        peer_of("http://alpha:1")


def test_a_node_that_does_not_answer_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_url: str, _method: str) -> None:
        raise NoAnswer("nobody")

    monkeypatch.setattr(rpc, "call", fail)
    with pytest.raises(
        NodeError, match=r"http://alpha:1 does not say where it listens for peers: nobody; name it with --"
    ):
        peer_of("http://alpha:1")


@pytest.mark.parametrize("text", ["", ID, f"{ID}@host", f"{ID[1:]}@host:1", f"{ID}@host:123456", f"{ID}@a:1,{ID}@b:2"])
def test_a_peer_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(NodeError, match="give ID@HOST:PORT, the id as 40 hex digits"):
        checked_peer(text)
