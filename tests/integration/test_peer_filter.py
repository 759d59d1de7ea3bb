"""Which real nodes may connect to a chain that lists its peers."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from abci_app.chain.genesis import GenesisState
from abci_app.modules.members import GenesisPeer
from node import cometbft
from node.devnet import DEFAULT_CHAIN_ID, Devnet, DevnetNode
from node.initialise import initialise
from node.ports import free_ports

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "100ms", ("consensus", "timeout_propose"): "500ms"}


def _full_node(folder: Path, index: int) -> DevnetNode:
    ports = free_ports()
    home = initialise(folder, DEFAULT_CHAIN_ID, rpc_port=next(ports), p2p_port=next(ports))
    return DevnetNode(home, index)


def _join(node: DevnetNode, validator: DevnetNode) -> None:
    """Give the node the chain's document and the validator as its peer, and start it."""
    shutil.copyfile(validator.home.genesis_file, node.home.genesis_file)
    host, port = cometbft.listen_addresses(validator.home)["p2p"]
    address = f"{cometbft.node_id(validator.home)}@{host}:{port}"
    cometbft.change_config(node.home, {**cometbft.LOCAL_NETWORK, ("p2p", "persistent_peers"): address})
    node.start()


def test_a_listed_node_joins_and_any_other_is_turned_away(tmp_path: Path) -> None:
    listed, stranger = _full_node(tmp_path / "listed", 1), _full_node(tmp_path / "stranger", 2)
    peers = (GenesisPeer(node_id=cometbft.node_id(listed.home), name="listed"),)
    net = Devnet.create(tmp_path / "net", app_state=GenesisState(peers=peers), comet=QUICK)
    with net:
        (validator,) = net.nodes
        try:
            for node in (stranger, listed):
                _join(node, validator)
            net.wait_for_height(net.height() + 1, nodes=[listed])
            refusal = f"node {cometbft.node_id(stranger.home)} is not among this chain's peers"
            deadline = time.monotonic() + 30
            while refusal not in _comet_log(validator):
                assert time.monotonic() < deadline, validator.log_tail()
                time.sleep(0.1)
            assert cometbft.node_id(listed.home) in _peers(validator)
            assert cometbft.node_id(stranger.home) not in _peers(validator)
            assert stranger.height() == 0
        finally:
            for node in (stranger, listed):
                node.stop()


def _comet_log(node: DevnetNode) -> str:
    return (node.home.log_folder / "cometbft.log").read_text()


def _peers(node: DevnetNode) -> list[str]:
    return [peer["node_info"]["id"] for peer in node.call("net_info")["peers"]]
