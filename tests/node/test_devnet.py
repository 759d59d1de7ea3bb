"""Devnets of real nodes: made, started, killed, restarted, stopped; and the node command that they run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import cometbft
from node.comet_heights import comet_heights
from node.devnet import Devnet, DevnetNode
from node.errors import NodeError
from node.maintenance import check, rollback
from node.run import EXIT_HALTED, open_store
from node.status import status
from tests.kit.repository import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "100ms", ("consensus", "timeout_propose"): "500ms"}


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Devnet]:
    """A running network of one validator."""
    with Devnet.create(tmp_path / "net", comet=QUICK) as net:
        yield net


def test_four_validators_agree_on_every_block(tmp_path: Path) -> None:
    with Devnet.create(tmp_path / "net", validators=4, comet=QUICK) as net:
        net.wait_for_height(4)
        hashes = [[node.app_hash_at(height) for height in (1, 2, 3)] for node in net.nodes]
        assert hashes == [hashes[0]] * 4
        assert all(1 <= status(node.rpc_url).peers <= 3 for node in net.nodes)
        assert [status(node.rpc_url).moniker for node in net.nodes] == ["node0", "node1", "node2", "node3"]
    assert [node.running for node in net.nodes] == [False] * 4


def test_a_network_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with Devnet.create(tmp_path / "net", comet=QUICK) as net:
        net.wait_for_height(3)
        first = net.nodes[0].app_hash_at(1)
    with Devnet.open(tmp_path / "net") as again:
        again.wait_for_height(5)
        assert again.nodes[0].app_hash_at(1) == first


def test_a_node_stops_with_code_zero_and_removes_what_only_a_running_node_has(one: Devnet) -> None:
    node = one.nodes[0]
    pid = node.comet_pid
    assert pid is not None
    assert node.stop() == 0
    assert [path.name for path in node.home.folder.iterdir() if path.name in ("abci.sock", "cometbft.pid")] == []
    _wait_gone(pid)


def test_a_killed_application_takes_cometbft_with_it_and_both_come_back(one: Devnet) -> None:
    node = one.nodes[0]
    one.wait_for_height(2)
    pid = node.comet_pid
    node.kill_application()
    _wait_gone(pid)
    node.restart()
    one.wait_for_height(5)


def test_a_killed_cometbft_comes_back_with_the_same_application(one: Devnet) -> None:
    node = one.nodes[0]
    one.wait_for_height(2)
    application, comet = node.process, node.comet_pid
    node.kill_cometbft()
    _wait_gone(comet)
    one.wait_for_height(one.height() + 3)
    assert node.process is application
    assert node.comet_pid != comet


def test_both_killed_come_back(one: Devnet) -> None:
    one.wait_for_height(2)
    one.nodes[0].kill_both()
    one.nodes[0].start()
    one.wait_for_height(5)


def test_a_node_ends_when_whoever_started_it_is_gone(tmp_path: Path) -> None:
    net = Devnet.create(tmp_path / "net", comet=QUICK)
    node = net.nodes[0]
    node.start()
    net.wait_for_height(1)
    assert node.process is not None
    assert node.process.stdin is not None
    node.process.stdin.close()  # what the system does when a process ends
    assert node.process.wait(40) == 0


def test_a_second_node_on_the_same_home_is_refused_with_one_line(one: Devnet) -> None:
    node = one.nodes[0]
    assert node.process is not None
    line = (
        f"error: {node.home.folder} is in use by process {node.process.pid}; stop that node, or give another --home\n"
    )
    assert _start(node) == (1, line)


def test_a_port_in_use_gives_one_line_before_anything_starts(tmp_path: Path) -> None:
    node = Devnet.create(tmp_path / "net", comet=QUICK).nodes[0]
    host, port = cometbft.listen_addresses(node.home)["rpc"]
    with socket.create_server((host, port)):
        code, text = _start(node)
    assert (code, text.count("\n")) == (1, 1)
    assert text.startswith(f"error: port {port} on 127.0.0.1 cannot be had (Address already in use): ")
    assert "stop it, or change [rpc] laddr in" in text
    assert not node.home.store_folder.exists()


def test_a_wrong_genesis_document_gives_one_line_that_names_the_field(tmp_path: Path) -> None:
    node = Devnet.create(tmp_path / "net", comet=QUICK).nodes[0]
    text = node.home.genesis_file.read_text()
    node.home.genesis_file.write_text(text.replace('"power": "10"', '"power": "0"'))
    assert _start(node) == (1, "error: validators[0].power is 0; give 1 to 1000000000000\n")


def test_a_fault_is_refused_outside_development_chains(tmp_path: Path) -> None:
    node = Devnet.create(tmp_path / "net", chain_id="main-1", comet=QUICK).nodes[0]
    line = "error: OPENLEDGER_FAULT is set, but main-1 is no development chain; unset it\n"
    assert _start(node, OPENLEDGER_FAULT="before_finalize_block:3") == (1, line)


def test_a_node_whose_application_fails_stops_with_its_own_exit_code_and_says_where(tmp_path: Path) -> None:
    node = Devnet.create(tmp_path / "net", comet=QUICK).nodes[0]
    program = f"""
import sys
from pathlib import Path
from abci_app.chain.application import Application
from node.run import start
real = Application.finalize_block
def broken(self, request):
    if request.height == 3:
        raise ValueError("a bug")
    return real(self, request)
Application.finalize_block = broken
sys.exit(start(Path({str(node.home.folder)!r})))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, cwd=_root()
    )
    assert done.returncode == EXIT_HALTED
    assert "critical: the application failed in finalize_block at height 3: ValueError: a bug" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in (node.home.log_folder / "node.log").read_text()
    assert not node.home.pid_file.exists()


def test_a_port_in_use_stops_a_devnet_before_any_node_starts(tmp_path: Path) -> None:
    net = Devnet.create(tmp_path / "net", validators=2, comet=QUICK)
    host, port = cometbft.listen_addresses(net.nodes[1].home)["p2p"]
    with socket.create_server((host, port)), pytest.raises(NodeError, match=f"port {port} on 127.0.0.1"):
        net.start()
    assert [node.process for node in net.nodes] == [None, None]


@pytest.mark.parametrize(("validators", "message"), [(0, "give 1 to 50"), (51, "give 1 to 50")])
def test_a_network_of_none_or_too_many_is_refused(tmp_path: Path, validators: int, message: str) -> None:
    with pytest.raises(NodeError, match=message):
        Devnet.create(tmp_path / "net", validators=validators)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(NodeError, match="is not empty"):
        Devnet.create(tmp_path)


def test_a_folder_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="holds no devnet"):
        Devnet.open(tmp_path)


def test_a_rolled_back_block_is_executed_again_with_the_same_result(one: Devnet) -> None:
    node = one.nodes[0]
    one.wait_for_height(4)
    node.stop()
    height = comet_heights(node.home)[0]
    signing_state = (node.home.data_folder / "priv_validator_state.json").read_bytes()
    with open_store(node.home, node.home.settings()) as store:
        assert store.height == height
        before = store.app_hash
    assert rollback(node.home) == height - 1
    assert comet_heights(node.home) == (height - 1, height)
    assert check(node.home) == height - 1
    assert (node.home.data_folder / "priv_validator_state.json").read_bytes() == signing_state
    node.start()
    one.wait_for_height(height + 2)
    assert node.app_hash_at(height) == before.hex().upper()


def test_a_second_rollback_is_refused_because_the_heights_differ(one: Devnet) -> None:
    node = one.nodes[0]
    one.wait_for_height(4)
    node.stop()
    height = rollback(node.home)
    with pytest.raises(NodeError) as refusal:
        rollback(node.home)
    assert str(refusal.value) == (
        f"the heights differ (application {height}, CometBFT's state {height}, CometBFT's blocks {height + 1}): "
        "start the node until it makes blocks, stop it, and try again"
    )


def test_a_running_node_cannot_be_rolled_back_or_checked(one: Devnet) -> None:
    for work in (rollback, check):
        with pytest.raises(NodeError, match="is in use by process"):
            work(one.nodes[0].home)


def test_a_new_node_cannot_be_rolled_back(tmp_path: Path) -> None:
    node = Devnet.create(tmp_path / "net").nodes[0]
    with pytest.raises(NodeError, match="height 0 cannot be rolled back: nothing is below it"):
        rollback(node.home)


def _root() -> Path:
    return ROOT


def _start(node: DevnetNode, **environment: str) -> tuple[int, str]:
    """Run the node command to its end, which must come by itself; its code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "node.run", "--home", str(node.home.folder)], capture_output=True, text=True,
        timeout=30, check=False, cwd=_root(), env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, done.stderr


def _wait_gone(pid: int | None) -> None:
    assert pid is not None
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError(f"process {pid} did not end")


def test_many_signals_at_once_stop_a_node_once(one: Devnet) -> None:
    node = one.nodes[0]
    assert node.process is not None
    for _ in range(50):
        node.process.terminate()
    assert node.stop() == 0
