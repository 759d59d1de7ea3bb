"""`openledger devnet` as typed: what it makes, what is left when it fails, and the settings that it hands out."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from node import genesis
from node.ports import free_ports
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.command_process import run_command, sourced, start_command

pytestmark = pytest.mark.integration

ADDRESS = "11" * 32


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--account", f"{ADDRESS}=1OPEN"], "--account counts for a new network only"),
        (["--base-port", "19000"], "--base-port counts for a new network only"),
        (["--validators", "3"], "it has 1 validators, not 3"),
        (["--chain-id", "dev-2"], "it is chain dev-1, not dev-2"),
    ],
)
def test_a_devnet_that_exists_is_not_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    config = tmp_path / "node0" / "config"
    config.mkdir(parents=True)
    genesis.write(config / "genesis.json", genesis.skeleton("dev-1"))
    (config / "config.toml").write_text('[rpc]\nladdr = "tcp://127.0.0.1:1"\n[p2p]\nladdr = "tcp://127.0.0.1:2"\n')
    assert main(["devnet", "--folder", str(tmp_path), *words]) == ExitCode.FAILURE
    assert capsys.readouterr().err == (
        f"error: {tmp_path} holds a network already, and {message}: delete it, or give another --folder\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--validators", "0"], "error: 0 validators: give 1 to 50\n"),
        (["--account", "x"], "error: --account x: give NAME=AMOUNT or ADDRESS=AMOUNT, such as alice=1000OPEN\n"),
        (["--account", "olga=1OPEN", "--account", "olga=2OPEN"], "error: --account olga stands there twice"),
        (["--account", "Olga=1OPEN"], "error: --account Olga=1OPEN: 'Olga' is neither an address nor a name"),
        (["--account", "olga=2000000000OPEN"], "error: "),
        (["--account", "olga=1OPEN", "--chain-id", "town-1"], "error: --account NAME makes keys that are not encr"),
        (["--base-port", "70000"], "error: --base-port 70000: the ports of all nodes must lie between"),
        (["--account", f"{ADDRESS}=much"], "error: amount 'much'"),
        (["--chain-id", "Dev"], "error: chain id 'Dev': give 1 to 50 characters"),
    ],
)
def test_a_devnet_that_cannot_be_made_says_why_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["devnet", "--folder", str(tmp_path / "a" / "net"), *words]) in (ExitCode.FAILURE, ExitCode.USAGE)
    assert capsys.readouterr().err.startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_devnet_whose_port_is_taken_names_the_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ports = free_ports()
    base = next(ports)
    with socket.create_server(("127.0.0.1", base)):
        done = run_command("devnet", "--folder", str(tmp_path / "net"), "--base-port", str(base))
    assert (done.returncode, done.stdout) == (ExitCode.FAILURE, "")
    assert done.stderr == (
        f"error: port {base} on 127.0.0.1 cannot be had (Address already in use): another devnet may be running; "
        "stop it, or give another --base-port\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)])
def test_a_devnet_that_is_stopped_before_it_is_up_leaves_nothing(
    tmp_path: Path, number: signal.Signals, group: bool
) -> None:
    """A terminal's Ctrl-C goes to the whole group, also to the program that makes a home just then."""
    (tmp_path / "net").mkdir()
    base = str(next(free_ports()))
    words = ["devnet", "--folder", str(tmp_path / "net"), "--base-port", base, "--validators", "9"]
    with start_command(*words, "--account", "olga=5OPEN") as process:
        deadline = time.monotonic() + 30
        # Homes are made one after the other beside the folder: stopped in the middle of it.
        while not list(tmp_path.glob(".net.*.unfinished/node1")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(60) == ExitCode.INTERRUPTED
    assert [path.name for path in tmp_path.rglob("*")] == ["net"]


def test_a_devnet_made_by_the_command_runs_until_asked_to_stop(tmp_path: Path) -> None:
    net = tmp_path / "net"
    words = ["devnet", "--folder", str(net), "--validators", "2", "--base-port", "19000"]
    with start_command(*words, "--account", f"{ADDRESS}=5OPEN", "--account", "olga=7OPEN") as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(6)]
            settings = sourced(net / "settings.sh")
            shown = run_command("query", "account", "olga", "--output", "json", environment=settings)
        finally:
            process.send_signal(signal.SIGTERM)
        assert [line.split(",")[0].strip() for line in lines] == [
            f"{ADDRESS} starts with 5 OPEN",
            "new key olga starts with 7 OPEN",
            "node 0: RPC http://127.0.0.1:19001",
            "node 1: RPC http://127.0.0.1:19011",
            f"in any terminal: . {net}/settings.sh",
            "running; Ctrl-C stops all nodes",
        ]
        assert process.wait(60) == 0
    found = json.loads(shown.stdout)
    assert (found["verified"], found["result"]["balance_nopen"]) == (True, 7 * 10**9)
    assert settings == {
        "OPENLEDGER_HOME": str(net / "client"),
        "OPENLEDGER_NODE": "http://127.0.0.1:19001",
        "OPENLEDGER_CHAIN_ID": "dev-1",
        "OPENLEDGER_KEYS": "test",
        "OPENLEDGER_WITNESSES": "http://127.0.0.1:19011",
        "OPENLEDGER_GENESIS": str(net / "node0" / "config" / "genesis.json"),
        "OPENLEDGER_CONTENT": str(net / "content"),
    }


def test_the_chain_that_somebody_asks_otherwise_says_nothing_of_a_network_that_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENLEDGER_CHAIN_ID", "ledger-1")
    base = next(free_ports())
    with socket.create_server(("127.0.0.1", base)):
        words = ["devnet", "--folder", str(tmp_path / "net"), "--account", "olga=1OPEN", "--base-port", str(base)]
        # It comes as far as the port: for ledger-1 no plain key would have been made.
        assert main(words) == ExitCode.FAILURE
    assert f"port {base} on 127.0.0.1 cannot be had" in capsys.readouterr().err
