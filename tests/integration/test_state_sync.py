"""A fifth node joins four validators with their snapshot, is killed on the way, and then follows the chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node import cometbft
from node.comet_heights import comet_base, comet_heights
from node.devnet import Devnet, DevnetNode
from node.home import NodeSettings
from node.initialise import initialise
from node.join_settings import peer_of, settings_to_join
from node.maintenance import check
from node.ports import free_ports
from node.run import open_store
from tests.kit.integration.load import Load

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CHAIN_ID = "dev-sync"
QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "200ms", ("consensus", "timeout_propose"): "1s"}
DISCOVERY: cometbft.Changes = {("statesync", "discovery_time"): "5s", ("statesync", "chunk_request_timeout"): "5s"}


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Devnet]:
    load = Load(CHAIN_ID)
    settings = NodeSettings(snapshot_interval_heights=10, snapshots_kept=10)
    net = Devnet.create(
        tmp_path / "net", validators=4, chain_id=CHAIN_ID, app_state=load.genesis(), settings=settings, comet=QUICK
    )
    with net:
        net.wait_for_height(3)
        for _ in range(5):
            load.send_one(net.nodes[0].rpc_url)
        net.wait_for_height(13)
        yield net


def joining(net: Devnet, folder: Path) -> DevnetNode:
    """A fifth node, told to begin with a snapshot, that trusts a block of the chain."""
    ports = free_ports()
    trusted = net.nodes[0].call("commit", height="2")["signed_header"]["commit"]["block_id"]["hash"]
    urls = [node.rpc_url for node in net.nodes]
    changes = settings_to_join(urls[:2], [peer_of(url) for url in urls], 2, bytes.fromhex(trusted), 36 * 3600)
    home = initialise(
        folder,
        CHAIN_ID,
        rpc_port=next(ports),
        p2p_port=next(ports),
        document=net.nodes[0].home.genesis_file.read_bytes(),
        comet={**cometbft.LOCAL_NETWORK, **QUICK, **DISCOVERY, **changes},
    )
    return DevnetNode(home, 5, alone=False)


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
        assert first % 10 == 1
        assert first > 10
        height = node.height() - 1
        assert node.app_hash_at(height) == net.nodes[0].app_hash_at(height)
        node.restart()
        net.wait_for_height(net.height() + 2, 60, nodes=[node])
        log = (node.home.log_folder / "node.log").read_text()
        assert "joining was not finished" in log
        assert f"the state of height {first - 1} is restored" in log
    finally:
        node.stop()
    assert check(node.home) >= height
    assert comet_base(node.home) == first
    with open_store(node.home, node.home.settings()) as store:
        assert store.restored_height == first - 1
        assert store.height == comet_heights(node.home)[1]
