"""A fifth node joins by a snapshot of two validators, one of which sends false chunks; it is killed on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import cometbft
from node.comet_heights import comet_base, comet_heights
from node.devnet import Devnet, DevnetNode
from node.home import Home, NodeSettings
from node.maintenance import check
from node.ports import free_ports
from node.run import open_store
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.integration.load import Load
from tests.kit.node.altered_node import MODULE, VARIABLE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CHAIN_ID = "dev-sync"
# The joining node has this one and the first one as peers.
LIAR = 1
QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "200ms", ("consensus", "timeout_propose"): "1s"}
DISCOVERY: cometbft.Changes = {("statesync", "discovery_time"): "5s", ("statesync", "chunk_request_timeout"): "5s"}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    load = Load(CHAIN_ID)
    settings = NodeSettings(snapshot_interval_heights=20, snapshots_kept=10)
    net = Devnet.create(
        tmp_path_factory.mktemp("sync") / "net",
        validators=4,
        chain_id=CHAIN_ID,
        app_state=load.genesis(),
        settings=settings,
        comet=QUICK,
    )
    for node in net.nodes:
        node.module = MODULE
        node.start(environment={VARIABLE: "small_chunks liar" if node.index == LIAR else "small_chunks"})
    try:
        net.wait_for_height(3)
        for _ in range(5):
            load.send_one(net.nodes[0].rpc_url)
        net.wait_for_height(26)
        yield net
    finally:
        net.stop()


def joining(net: Devnet, folder: Path) -> DevnetNode:
    """A fifth node, told to begin with a snapshot, that trusts a block that the light client verified."""
    ports = free_ports()
    words = ["node", "init", "--state-sync", "--home", str(folder), "--node", net.nodes[0].rpc_url]
    words += ["--witness", net.nodes[1].rpc_url, "--genesis", str(net.nodes[0].home.genesis_file)]
    assert main([*words, "--rpc-port", str(next(ports)), "--p2p-port", str(next(ports))]) == 0
    home = Home(folder)
    cometbft.change_config(home, {**cometbft.LOCAL_NETWORK, **QUICK, **DISCOVERY})
    return DevnetNode(home, 5, alone=False)


def test_the_joining_home_trusts_what_was_verified_and_never_a_nodes_word(
    net: Devnet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = joining(net, tmp_path / "fifth")
    told = cometbft.read_config(node.home)["statesync"]
    block = net.nodes[2].call("commit", height=str(told["trust_height"]))["signed_header"]["commit"]["block_id"]
    assert (told["enable"], told["trust_hash"], told["trust_period"]) == (True, block["hash"], "129600s")
    assert told["rpc_servers"] == f"{net.nodes[0].rpc_url},{net.nodes[1].rpc_url}"
    capsys.readouterr()
    words = ["node", "init", "--state-sync", "--home", str(tmp_path / "sixth"), "--node", net.nodes[0].rpc_url]
    words += ["--genesis", str(net.nodes[0].home.genesis_file)]
    assert main([*words, "--no-witness", "--trust", "2:" + "00" * 32]) == ExitCode.NOT_VERIFIED
    assert main(words) == ExitCode.NOT_ANCHORED
    assert "no second node is named that would show a forged or an old answer" in capsys.readouterr().err
    assert not (tmp_path / "sixth").exists()


def test_a_running_node_makes_a_snapshot_when_it_is_asked(net: Devnet, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(net.nodes[0].home.folder)
    assert main(["node", "snapshot", "make", "--home", home, "--output", "json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["node", "snapshot", "list", "--home", home, "--output", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert made in listed
    assert made["height"] > 26
    assert main(["node", "doctor", "--home", home, "--output", "json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert [name for name, check in checks.items() if check["mark"] == "fail"] == []
    assert checks["node"]["found"].startswith("making blocks, height ")
    assert checks["peers"]["found"] == "3 connected of 3 configured, none far ahead"


def test_a_node_joins_by_a_snapshot_though_it_is_killed_on_the_way_and_then_follows(
    net: Devnet, tmp_path: Path
) -> None:
    node = joining(net, tmp_path / "fifth")
    try:
        for point in ("restoring_top:0", "restoring_adopted:0"):
            node.start(fault=point)
            assert node.wait(60) == -9, node.log_tail()
        node.start()
        net.wait_for_height(net.height() + 2, 60, nodes=[node])
        first = int(node.call("status")["sync_info"]["earliest_block_height"])
        assert first % 20 == 1
        assert first > 20
        height = node.height() - 1
        assert node.app_hash_at(height) == net.nodes[0].app_hash_at(height)
        node.restart()
        net.wait_for_height(net.height() + 2, 60, nodes=[node])
        log = (node.home.log_folder / "node.log").read_text()
        assert "joining was not finished" in log
        assert f"the state of height {first - 1} is restored" in log
        named = re.findall(r"chunk \d+ of ([0-9a-f]{40}) is false, it is fetched from others", log)
        assert set(named) <= {cometbft.node_id(net.nodes[LIAR].home)}  # CometBFT asks peers by chance
    finally:
        node.stop()
    assert check(node.home) >= height
    assert comet_base(node.home) == first
    with open_store(node.home, node.home.settings()) as store:
        assert store.restored_height == first - 1
        assert store.height == comet_heights(node.home)[1]
