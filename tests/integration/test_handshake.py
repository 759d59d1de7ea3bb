"""Every case of CometBFT's handshake (cometbft.md 3.2): A application, T CometBFT's state, S CometBFT's blocks.

One chain is run and stopped at known points; each case puts data of those points together and starts from there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from abci_app.accounts import get_account
from node import cometbft
from node.agreement import Heights, heights
from node.comet_heights import comet_heights
from node.devnet import Devnet
from node.run import open_store
from tests.kit.integration.load import AMOUNT_NOPEN, SINK, Load
from tests.kit.repository import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(120)]

CHAIN_ID = "dev-handshake"
QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "50ms", ("consensus", "timeout_propose"): "500ms"}
OURS = "application"


@dataclass
class Story:
    """One validator, copies of its data folder, and what the chain had come to at each height."""

    net: Devnet
    folder: Path
    app_hashes: dict[int, str]
    transfers: int

    def keep(self, name: str) -> Heights:
        """Copy the stopped node's data; its heights."""
        (node,) = self.net.nodes
        shutil.copytree(node.home.data_folder, self.folder / name)
        return self.heights()

    def heights(self) -> Heights:
        (node,) = self.net.nodes
        with open_store(node.home, node.home.settings()) as store:
            return heights(node.home, store.height)

    def put(self, comet: str | None, application: str | None) -> Heights:
        """CometBFT's data of one point, the application's of another (None: nothing); the heights."""
        (node,) = self.net.nodes
        data = node.home.data_folder
        shutil.rmtree(data)
        if comet is None:
            data.mkdir()
            shutil.copyfile(self.folder / "late" / "priv_validator_state.json", data / "priv_validator_state.json")
        else:
            shutil.copytree(self.folder / comet, data, ignore=shutil.ignore_patterns(OURS))
        if application is not None:
            shutil.copytree(self.folder / application / OURS, data / OURS)
        return self.heights()

    def goes_on(self) -> None:
        """Start; the chain goes on from the last block, and every height and transfer is what it was."""
        (node,) = self.net.nodes
        last = comet_heights(node.home)[1]
        node.start()
        try:
            self.net.wait_for_height(last + 2, 30.0)
            before = {at: app_hash for at, app_hash in self.app_hashes.items() if at < last}
            assert {at: node.app_hash_at(at) for at in before} == before
        finally:
            node.stop()

    def sink_nopen(self) -> int:
        (node,) = self.net.nodes
        with open_store(node.home, node.home.settings()) as store:
            return get_account(store, SINK.address).balance_nopen


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("handshake")
    load = Load(CHAIN_ID)
    net = Devnet.create(folder / "net", chain_id=CHAIN_ID, app_state=load.genesis(), comet=QUICK)
    (node,) = net.nodes
    story = Story(net, folder, {}, 0)
    try:
        node.start()
        net.wait_for_height(2)
        for _ in range(10):
            load.send_one(node.rpc_url)
        net.wait_for_height(net.height() + 3)
        node.stop()
        story.keep("early")
        for point, name in (("before_finalize_block", "undone"), ("after_store_write", "unsaved")):
            node.start(fault=f"{point}:{comet_heights(node.home)[1] + 3}:both")
            assert node.wait(30) == -9
            story.keep(name)
        node.start()
        net.wait_for_height(comet_heights(node.home)[1] + 3)
        last = net.height()
        story.app_hashes = {at: node.app_hash_at(at) for at in range(1, last)}
        story.transfers = len(load.sent)
        node.stop()
        story.keep("late")
        yield story
    finally:
        net.stop()


def test_an_application_without_data_gets_genesis_again_and_executes_all_blocks(story: Story) -> None:
    found = story.put("late", None)
    assert (found.application, found.comet_state) == (0, found.comet_blocks)
    story.goes_on()
    assert story.sink_nopen() == 1 + story.transfers * AMOUNT_NOPEN


def test_an_application_that_is_behind_executes_the_missing_blocks(story: Story) -> None:
    found = story.put("late", "early")
    assert 0 < found.application < found.comet_state - 5 < found.comet_state == found.comet_blocks
    story.goes_on()
    assert story.sink_nopen() == 1 + story.transfers * AMOUNT_NOPEN


def test_a_block_that_neither_had_executed_is_executed(story: Story) -> None:
    found = story.put("undone", "undone")
    assert (found.application, found.comet_state) == (found.comet_blocks - 1, found.comet_blocks - 1)
    story.goes_on()


def test_an_application_further_behind_executes_the_missing_blocks_and_the_last_one(story: Story) -> None:
    found = story.put("unsaved", "early")
    assert found.application < found.comet_state == found.comet_blocks - 1
    story.goes_on()


def test_a_block_that_the_application_alone_had_committed_is_not_executed_again(story: Story) -> None:
    found = story.put("unsaved", "unsaved")
    assert (found.application, found.comet_state) == (found.comet_blocks, found.comet_blocks - 1)
    story.goes_on()
    (node,) = story.net.nodes
    log = (node.home.log_folder / "cometbft.log").read_text()
    assert "Replay last block using mock app" in log.rsplit("Completed ABCI Handshake", 2)[-2]


@pytest.mark.parametrize("comet", ["early", None])
def test_an_application_ahead_of_the_blocks_is_refused_in_one_line_with_the_way_out(
    story: Story, comet: str | None
) -> None:
    found = story.put(comet, "late")
    (node,) = story.net.nodes
    more = "" if comet else ", which are then fetched from the peers"
    assert _refusal(story) == (
        f"error: the application is ahead of the blocks ({found}), so they are not of one backup: restore all of "
        f"{node.home.data_folder} from one, or delete {node.home.store_folder} to execute all blocks again{more}\n"
    )


def test_the_state_of_another_chain_is_refused_in_one_line(story: Story) -> None:
    story.put("late", "late")
    (node,) = story.net.nodes
    document = node.home.genesis_file.read_text()
    node.home.genesis_file.write_text(document.replace(CHAIN_ID, "dev-other"))
    try:
        assert _refusal(story) == (
            f"error: {node.home.store_folder} holds the state of chain {CHAIN_ID}, {node.home.genesis_file} is for "
            "chain dev-other: put that chain's document back, or give another --home\n"
        )
    finally:
        node.home.genesis_file.write_text(document)


def _refusal(story: Story) -> str:
    """Give the words of the node command when it refuses to start."""
    (node,) = story.net.nodes
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-m", "node.run", "--home", str(node.home.folder)],
        capture_output=True, text=True, timeout=30, check=False, cwd=root,
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr
