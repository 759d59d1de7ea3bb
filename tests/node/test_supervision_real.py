"""Every way in which a real CometBFT fails ends as it should: with one line and a code, or by going on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.pb import abci_pb2 as pb
from node import disk
from node.devnet import Devnet, DevnetNode
from node.errors import NodeError
from node.run import EXIT_COMETBFT, EXIT_DISK_FULL
from node.status import State, status_of
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.node.fake_comet import wait_until
from tests.kit.node.real_node import RealNode
from tests.kit.node.small_application import SmallApplication

pytestmark = pytest.mark.integration


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DevnetNode]:
    net = Devnet.create(tmp_path / "net")
    yield net.nodes[0]
    net.stop()


def change(node: DevnetNode, before: str, after: str) -> None:
    text = node.home.comet_config_file.read_text()
    assert before in text
    node.home.comet_config_file.write_text(text.replace(before, after))


def end_of(node: DevnetNode) -> tuple[int, str]:
    """Start the node; its exit code and the last line that it said."""
    node.start()
    code = node.wait(40.0)
    return code, (node.home.log_folder / "console.log").read_text().strip().splitlines()[-1]


def test_a_setting_with_an_impossible_value_ends_the_node_with_one_line(node: DevnetNode) -> None:
    change(node, 'timeout_commit = "500ms"', 'timeout_commit = "5x"')
    code, line = end_of(node)
    assert code == EXIT_COMETBFT
    assert 'consensus.timeout_commit\': time: unknown unit "x"' in line


def test_a_misspelt_setting_is_refused_instead_of_ignored(node: DevnetNode) -> None:
    change(node, "timeout_commit = ", "timeout_comit = ")
    code, line = end_of(node)
    assert code == 1
    assert "has no setting [consensus] timeout_comit; did you mean timeout_commit?" in line


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("data/priv_validator_state.json", "{", "Error reading PrivValidator state from"),
        ("config/priv_validator_key.json", "{", "Error reading PrivValidator key from"),
    ],
)
def test_a_file_that_cannot_be_read_ends_the_node_with_its_line(
    node: DevnetNode, file: str, text: str, said: str
) -> None:
    (node.home.folder / file).write_text(text)
    code, line = end_of(node)
    assert (code, said in line) == (EXIT_COMETBFT, True), line
    assert status_of(node.home).state is State.NOT_RUNNING
    assert said in status_of(node.home).why


def test_a_moniker_that_is_not_ascii_ends_the_node_with_its_line(node: DevnetNode) -> None:
    change(node, 'moniker = "node0"', 'moniker = "Zoë"')
    code, line = end_of(node)
    assert code == EXIT_COMETBFT
    assert "info.Moniker must be valid non-empty ASCII text" in line


@pytest.mark.parametrize("file", ["config/priv_validator_key.json", "config/node_key.json"])
def test_a_missing_key_is_refused_before_cometbft_makes_another_one(node: DevnetNode, file: str) -> None:
    (node.home.folder / file).unlink()
    code, line = end_of(node)
    assert (
        code,
        line.endswith(f"{file} is missing: put it back from its backup; CometBFT would make another one"),
    ) == (
        1,
        True,
    )


def test_a_lost_signing_state_is_refused_once_there_are_blocks(node: DevnetNode) -> None:
    node.start()
    wait_until(lambda: node.height() >= 2, 40.0)
    node.stop()
    node.home.signing_state_file.unlink()
    code, line = end_of(node)
    assert code == 1
    assert "without it this validator could sign twice" in line


def test_one_validator_of_two_says_that_it_waits_and_how_much_power_it_sees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = Devnet.create(tmp_path / "net", validators=2)
    node = net.nodes[0]
    assert main(["node", "status", "--home", str(node.home.folder)]) == ExitCode.NODE
    node.start()
    try:
        wait_until(lambda: status_of(node.home).state is State.WAITING and status_of(node.home).power_seen > 0, 40.0)
        capsys.readouterr()
        code = main(["node", "status", "--home", str(node.home.folder), "--output", "json"])
    finally:
        net.stop()
    said = json.loads(capsys.readouterr().out)
    assert code == ExitCode.STANDS_STILL
    assert (said["state"], said["power_seen"], said["power_total"], said["peers"]) == ("waiting", 10, 20, 0)
    assert said["why"].startswith(
        "no block yet: more than two thirds of the power must be running and reachable (10 of"
    )


class ShortAnswers(SmallApplication):
    """An application that leaves out the results of a block's transactions: consensus panics over it."""

    def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        answer = super().finalize_block(request)
        del answer.tx_results[:]
        return answer


def test_a_panic_of_consensus_is_noticed_and_given_up_when_it_comes_again(tmp_path: Path) -> None:
    node = RealNode(tmp_path, ShortAnswers())
    said: list[str] = []
    node.supervisor._on_failure = said.append
    node.supervisor._height = lambda: node.application.height
    node.server.start()
    node.supervisor.start()
    try:
        wait_until(lambda: node.height() >= 1, 30.0)
        node.broadcast(b"one")
        wait_until(lambda: bool(said), 60.0)
    finally:
        node.supervisor.stop()
        node.server.stop()
    why = "expected tx results length to match size of transactions in block. Expected 1, got 0"
    assert said == [
        f"cometbft cannot go on: ERROR: failed to create node: error during handshake: error on replay: {why}"
    ]
    assert "CONSENSUS FAILURE!!!" in (tmp_path / "cometbft.log").read_text()
    assert node.supervisor.pid is None


def test_a_full_disk_pauses_the_node_and_space_lets_it_go_on(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(mount)], check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        net = Devnet.create(mount / "net")
        node = net.nodes[0]
        filler = mount / "filler"
        try:
            node.start()
            wait_until(lambda: node.height() >= 2, 40.0)
            with filler.open("wb") as file:
                file.write(b"\0" * (disk.free_bytes(mount) - 20 * 2**20))
            wait_until(lambda: status_of(node.home).state is State.DISK_FULL, 30.0)
            assert node.running
            assert "a running node goes on by itself" in status_of(node.home).why
            with pytest.raises(NodeError):
                node.call("status")
            before = len(list(mount.iterdir()))
            filler.unlink()
            assert len(list(mount.iterdir())) == before - 1
            wait_until(lambda: status_of(node.home).state is State.MAKING_BLOCKS, 40.0)
            height = node.height()
            wait_until(lambda: node.height() > height, 30.0)
        finally:
            net.stop()
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_start_on_a_full_disk_ends_with_one_line_and_its_code(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(mount)], check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        node = Devnet.create(mount / "net").nodes[0]
        (mount / "filler").write_bytes(b"\0" * (disk.free_bytes(mount) - 20 * 2**20))
        code, line = end_of(node)
        assert (code, line.startswith("critical: stopped: the disk is full: ")) == (EXIT_DISK_FULL, True), line
        assert status_of(node.home).why.startswith("stopped: the disk is full: ")
    finally:
        subprocess.run(["umount", str(mount)], check=True)
