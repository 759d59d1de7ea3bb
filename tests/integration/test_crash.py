"""Nodes killed at every point of a block's life recover, catch up, and agree; nothing is lost, nothing is doubled.

The kills are exact (`node.faults`). While one node is down the others go on with transfers under way, so the killed
block is never empty and the node that comes back has blocks to catch up with.
"""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.accounts import ACCOUNTS
from abci_app.chain.transaction import decode_transaction
from node import cometbft
from node.comet_heights import comet_heights
from node.devnet import Devnet, DevnetNode
from node.maintenance import check
from node.run import open_store
from tests.kit.integration.load import AMOUNT_NOPEN, SINK, Load
from tests.kit.integration.power_loss import lose_power

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

QUICK: cometbft.Changes = {
    ("consensus", "timeout_commit"): "150ms",
    ("consensus", "timeout_propose"): "500ms",
    ("tx_index", "indexer"): "null",
}

KILLS = [
    "before_finalize_block",
    "before_finalize_block_answer",
    "after_finalize_block_answer",
    "before_store_write",
    "after_store_write",
    "after_commit_answer",
]
CHAIN_ID = "dev-crash"
# Blocks between the order to kill and the kill: the order must have been read by then.
_AHEAD = 3


class Network:
    """A devnet under load."""

    def __init__(self, folder: Path, validators: int) -> None:
        self.load = Load(CHAIN_ID)
        self.net = Devnet.create(
            folder, validators=validators, chain_id=CHAIN_ID, app_state=self.load.genesis(), comet=QUICK
        )

    def start(self) -> None:
        """All nodes, each ready to be given a fault while it runs; the last of several on a disk that forgets."""
        if len(self.net.nodes) > 1:
            self.net.nodes[-1].module = "tests.kit.integration.power_loss"
        for node in self.net.nodes:
            self.start_one(node)
        self.net.wait_for_height(2)

    def start_one(self, node: DevnetNode) -> None:
        node.start(fault=f"file:{_fault_file(node)}")

    def crash(self, node: DevnetNode, point: str, who: str) -> int:
        """Give the running node a fault some blocks ahead, wait for it, start again; the height of the killed block.

        `who` may also be "power": both are killed, and what was written after the last sync is gone.
        """
        logged = len(_log(node))
        height = self.net.height() + _AHEAD
        killed = "both" if who == "power" else who
        draft = _fault_file(node).with_suffix(".draft")
        draft.write_text(f"{point}:{height}:{killed}")
        draft.rename(_fault_file(node))
        if who == "cometbft":
            self.wait_for_another_cometbft(node, logged)
        else:
            assert node.wait(60) == -9
            if who == "power":
                lose_power(node.home.store_folder)
                assert check(node.home) == height + KEPT_WITHOUT_POWER[point]
            self.start_one(node)
        assert f"killing {killed} {point} at height {height}" in _log(node)[logged:]
        return height

    def wait_for_another_cometbft(self, node: DevnetNode, logged_before: int) -> None:
        """The application stays; its supervisor starts CometBFT again."""
        deadline = time.monotonic() + 60
        text = "cometbft ended; starting it again"
        while text not in _log(node)[logged_before:]:
            assert time.monotonic() < deadline, node.log_tail()
            time.sleep(0.05)
        assert node.running

    def recovered(self, node: DevnetNode, height: int) -> None:
        """All nodes have gone beyond the killed block, and agree on every block since the first."""
        self.net.wait_for_height(height + 3, 90.0)
        hashes = [[each.app_hash_at(at) for at in range(max(1, height - 2), height + 2)] for each in self.net.nodes]
        assert hashes == [hashes[0]] * len(hashes)

    def settle(self, *, all_sent: bool) -> None:
        """Stop the load, then the nodes; then every node's state must hold exactly what the blocks say.

        `all_sent`: the node that the load went to was never killed, so everything it admitted is in a block. (A killed
        CometBFT forgets its mempool; those transactions never were in a block.)
        """
        self.load.stop()
        committed = self._committed()
        assert len(set(committed)) == len(committed)
        assert set(committed) <= set(self.load.sent)
        if all_sent:
            assert len(committed) == len(self.load.sent)
        last = self.net.height()
        self.net.wait_for_height(last + 1)
        every = [[each.app_hash_at(height) for height in range(1, last)] for each in self.net.nodes]
        assert every == [every[0]] * len(every)
        self.net.stop()
        for node in self.net.nodes:
            self._count_exactly(node, committed)

    def _committed(self) -> list[bytes]:
        """All transactions of all blocks, once nothing is pending."""
        first = self.net.nodes[0]
        deadline = time.monotonic() + 30
        while first.call("num_unconfirmed_txs")["n_txs"] != "0":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return _transactions(first)

    def _count_exactly(self, node: DevnetNode, committed: list[bytes]) -> None:
        with open_store(node.home, node.home.settings()) as store:
            sink = ACCOUNTS.get(store, SINK.address)
            accounts = [ACCOUNTS.get(store, sender.address) for sender in self.load.senders]
            assert (store.height, store.height) == comet_heights(node.home)
        assert sink is not None
        assert sink.balance_nopen == 1 + len(committed) * AMOUNT_NOPEN
        paid = Counter(decode_transaction(raw).body.sender for raw in committed)
        assert [account.sequence for account in accounts if account] == [
            paid[sender.address] for sender in self.load.senders
        ]


def _transactions(node: DevnetNode) -> list[bytes]:
    """Every transaction of every block; each must have succeeded."""
    found = []
    for height in range(1, node.height() + 1):
        texts = node.call("block", height=str(height))["block"]["data"]["txs"]
        results = node.call("block_results", height=str(height))["txs_results"] or []
        assert [result["code"] for result in results] == [0] * len(texts)
        found += [base64.b64decode(text) for text in texts]
    return found


def _log(node: DevnetNode) -> str:
    return (node.home.log_folder / "node.log").read_text()


def _stored_height(node: DevnetNode) -> int:
    return comet_heights(node.home)[1]


def _fault_file(node: DevnetNode) -> Path:
    return node.home.folder / "fault"


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    yield from _running(tmp_path_factory.mktemp("four") / "net", 4)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    yield from _running(tmp_path_factory.mktemp("single") / "net", 1)


def _running(folder: Path, validators: int) -> Iterator[Network]:
    network = Network(folder, validators)
    try:
        network.start()
        yield network
    finally:
        network.load.stop()
        network.net.stop()


CASES = [
    *[(point, "application") for point in KILLS],
    *[(point, "both") for point in KILLS],
    ("before_finalize_block_answer", "cometbft"),
    ("after_store_write", "cometbft"),  # the application has committed, CometBFT's state is not saved
]
# The height that is on the disk when the power goes at this point, against the block's.
KEPT_WITHOUT_POWER = {
    "before_store_write": -1,  # nothing of the block was written
    "after_store_write": 0,  # Commit is not answered, but what it wrote is on the disk
    "after_commit_answer": 0,  # CometBFT may rely on it: it must be there
}


@pytest.mark.parametrize(("point", "who"), [*CASES, *[(point, "power") for point in KEPT_WITHOUT_POWER]])
def test_one_of_four_validators_killed_recovers_and_agrees(four: Network, point: str, who: str) -> None:
    if four.load.sent == []:
        four.load.start(four.net.nodes[0].rpc_url)
    victim = four.net.nodes[3 if who == "power" else 1 + CASES.index((point, who)) % 3]
    height = four.crash(victim, point, who)
    four.recovered(victim, height)


def test_after_all_kills_every_transfer_has_happened_once_on_all_four(four: Network) -> None:
    four.settle(all_sent=True)


@pytest.mark.parametrize(("point", "who"), CASES)
def test_a_single_validator_killed_replays_and_goes_on(single: Network, point: str, who: str) -> None:
    (node,) = single.net.nodes
    single.load.follow(node.rpc_url)
    single.load.start(node.rpc_url)
    height = single.crash(node, point, who)
    single.load.stop()
    single.recovered(node, height)
    assert node.call("block", height=str(height))["block"]["data"]["txs"] != []


def test_after_all_kills_every_transfer_of_the_single_validator_has_happened_once(single: Network) -> None:
    single.settle(all_sent=False)


def test_power_lost_before_the_first_block_is_written_leaves_nothing_and_genesis_is_built_again(tmp_path: Path) -> None:
    network = Network(tmp_path / "net", 1)
    (node,) = network.net.nodes
    try:
        node.module = "tests.kit.integration.power_loss"
        node.start(fault="before_store_write:1:both")
        assert node.wait(60) == -9
        lose_power(node.home.store_folder)
        assert check(node.home) == 0
        network.start_one(node)
        network.recovered(node, 1)
    finally:
        network.net.stop()
