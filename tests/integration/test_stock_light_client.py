"""CometBFT's own light client in front of our node: a program that is not ours checks our proofs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.accounts import ACCOUNTS, Account
from abci_app.chain.genesis import GenesisState
from abci_app.state.codec import decode
from node import rpc
from node.devnet import Devnet
from node.rpc import NodeRpcError
from tests.kit.integration.light_proxy import light_proxy
from tests.kit.integration.lying_node import LyingNode, flip_value, tell_the_truth

pytestmark = pytest.mark.integration
ADDRESS = bytes(range(32))
BALANCE_NOPEN = 12_345


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    state = GenesisState(balances=((ADDRESS.hex(), BALANCE_NOPEN), *[(bytes([n] * 32).hex(), 5) for n in range(1, 40)]))
    with Devnet.create(tmp_path_factory.mktemp("light") / "net", app_state=state) as net:
        net.wait_for_height(4)
        yield net


def ask(url: str, key: bytes, height: int = 0) -> dict[str, Any]:
    """One key through a light proxy."""
    answer = rpc.call(url, "abci_query", path="/store/openledger/key", data=key.hex(), height=str(height), prove=True)
    response: dict[str, Any] = answer["response"]
    return response


def test_it_accepts_the_value_of_an_existing_key(net: Devnet, tmp_path: Path) -> None:
    with LyingNode(net.nodes[0].rpc_url, tell_the_truth) as node, light_proxy(net, node.url, tmp_path) as url:
        key = ACCOUNTS.key(ADDRESS)
        response = ask(url, key)
        assert base64.b64decode(response["key"]) == key
        assert decode(Account, base64.b64decode(response["value"])) == Account(0, BALANCE_NOPEN, b"")
        older = ask(url, key, int(response["height"]))
        assert older["value"] == response["value"]


def test_it_refuses_when_the_node_lies(net: Devnet, tmp_path: Path) -> None:
    with (
        LyingNode(net.nodes[0].rpc_url, flip_value) as node,
        light_proxy(net, node.url, tmp_path) as url,
        pytest.raises(NodeRpcError, match="leaf hash"),
    ):
        ask(url, ACCOUNTS.key(ADDRESS))


def test_it_refuses_a_true_proof_for_another_height(net: Devnet, tmp_path: Path) -> None:
    def older(response: dict[str, Any]) -> None:
        response["height"] = str(int(response["height"]) + 1000)

    with (
        LyingNode(net.nodes[0].rpc_url, older) as node,
        light_proxy(net, node.url, tmp_path) as url,
        pytest.raises(NodeRpcError),
    ):
        ask(url, ACCOUNTS.key(ADDRESS))
