"""A real node lets old blocks go, keeps those that are needed, and others still join it."""

from __future__ import annotations

from pathlib import Path

import pytest

from node import cometbft, genesis
from node import home as homes
from node.comet_heights import comet_base
from node.devnet import Devnet, DevnetNode
from node.home import NodeSettings
from node.initialise import initialise
from node.join_settings import peer_of, settings_to_join
from node.maintenance import check
from node.ports import free_ports
from node.snapshots.folder import SnapshotFolder
from tests.kit.node.altered_node import KEPT_BLOCKS, MODULE, VARIABLE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(150)]

CHAIN_ID = "dev-pruning"
EVIDENCE_BLOCKS = 15
# Time enough to join by the oldest one.
SNAPSHOTS_KEPT = 8
QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "120ms"}


@pytest.fixture
def pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Devnet:
    """A validator that keeps few blocks, on a chain whose evidence ages within seconds."""
    monkeypatch.setattr(homes, "MIN_KEEP_BLOCKS", KEPT_BLOCKS)
    settings = NodeSettings(snapshot_interval_heights=10, snapshots_kept=SNAPSHOTS_KEPT, keep_blocks=KEPT_BLOCKS)
    net = Devnet.create(tmp_path / "net", chain_id=CHAIN_ID, settings=settings, comet=QUICK)
    (node,) = net.nodes
    document = genesis.read(node.home.genesis_file)
    document["consensus_params"]["evidence"].update(
        max_age_num_blocks=str(EVIDENCE_BLOCKS), max_age_duration=str(2 * 10**9)
    )
    genesis.write(node.home.genesis_file, document)
    node.module = MODULE
    return net


def earliest(node: DevnetNode) -> int:
    return int(node.call("status")["sync_info"]["earliest_block_height"])


def test_old_blocks_go_and_a_node_joins_by_what_is_left(pruned: Devnet, tmp_path: Path) -> None:
    (validator,) = pruned.nodes
    altered = {VARIABLE: "quick_pruning"}
    ports = free_ports()
    validator.start(environment=altered)
    try:
        pruned.wait_for_height(105)
        first, height = earliest(validator), validator.height()
        folder = SnapshotFolder(validator.home.snapshot_folder)
        folder.look()
        assert 10 < first <= min(height + 1 - max(KEPT_BLOCKS, EVIDENCE_BLOCKS), folder.kept[-1].height)
        validator.stop()
        assert comet_base(validator.home) >= first
        validator.start(environment=altered)
        pruned.wait_for_height(height + 3)
        trusted = validator.height() - 1
        trusted_hash = validator.call("commit", height=str(trusted))["signed_header"]["commit"]["block_id"]["hash"]
        joining = settings_to_join(
            [validator.rpc_url], [peer_of(validator.rpc_url)], trusted, bytes.fromhex(trusted_hash), 3600
        )
        home = initialise(
            tmp_path / "joined",
            CHAIN_ID,
            rpc_port=next(ports),
            p2p_port=next(ports),
            document=validator.home.genesis_file.read_bytes(),
            comet={**cometbft.LOCAL_NETWORK, **QUICK, ("statesync", "discovery_time"): "5s", **joining},
        )
        joined = DevnetNode(home, 1, alone=False)
        joined.start()
        try:
            pruned.wait_for_height(validator.height() + 5, 60, nodes=[joined])
        finally:
            joined.stop()
    finally:
        validator.stop()
    assert check(validator.home) > height
