"""`openledger node`, `genesis` and `devnet` as typed by an operator."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node import cometbft
from node.home import Home
from node.ports import free_ports
from openledger.cli.main import main
from openledger.exit_codes import ExitCode

pytestmark = pytest.mark.integration

ADDRESS = "11" * 32


def _init(home: Path, chain_id: str = "dev-1") -> int:
    ports = [str(port) for port, _ in zip(free_ports(), range(2), strict=False)]
    words = ["node", "init", "--home", str(home), "--chain-id", chain_id, "--moniker", "me"]
    return main([*words, "--rpc-port", ports[0], "--p2p-port", ports[1]])


def test_init_accounts_validator_and_validate_make_a_chain_that_can_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(tmp_path / "n")
    assert _init(tmp_path / "n") == 0
    assert main(["genesis", "add-account", ADDRESS, "5OPEN", "--home", home, "--role", "registrar"]) == 0
    assert main(["genesis", "add-validator", "--name", "alice", "--home", home]) == 0
    capsys.readouterr()
    assert main(["genesis", "validate", "--home", home, "--output", "json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    expected = {"chain_id": "dev-1", "validators": 1, "total_power": 10, "accounts": 1, "members": 1}
    assert {name: summary[name] for name in expected} == expected


def test_two_parties_collect_to_the_same_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for name in ("alice", "bob"):
        home, file = tmp_path / name, tmp_path / f"{name}.json"
        assert _init(home) == 0
        assert main(["genesis", "add-validator", "--name", name, "--file", str(file), "--home", str(home)]) == 0
        files.append(str(file))
    alice, bob = Home(tmp_path / "alice"), Home(tmp_path / "bob")
    assert main(["genesis", "collect", files[1], "--home", str(alice.folder)]) == 0
    document = alice.genesis_file.read_bytes()
    bob.genesis_file.write_bytes(document)
    assert main(["genesis", "collect", *files, "--home", str(bob.folder)]) == 0
    assert bob.genesis_file.read_bytes() == document
    assert len(json.loads(document)["validators"]) == 2
    peers = {home: str(cometbft.read_config(home)["p2p"]["persistent_peers"]) for home in (alice, bob)}
    assert peers[alice].startswith(cometbft.node_id(bob) + "@127.0.0.1:")
    assert peers[bob].startswith(cometbft.node_id(alice) + "@127.0.0.1:")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["node", "init"], ExitCode.USAGE, "error: which chain? pass --chain-id"),
        (["node", "init", "--chain-id", "No"], ExitCode.FAILURE, "error: chain id 'No': give 1 to 50 characters"),
        (["node", "start"], ExitCode.FAILURE, "is not a node's home; run `openledger node init --home"),
        (["node", "status"], ExitCode.FAILURE, "is not a node's home"),
        (["node", "check"], ExitCode.FAILURE, "is not a node's home"),
        (["node", "rollback"], ExitCode.FAILURE, "is not a node's home"),
        (["genesis", "validate"], ExitCode.FAILURE, "is not a node's home"),
        (["genesis", "add-account", ADDRESS, "many"], ExitCode.USAGE, "error: amount 'many'"),
        (["devnet", "--account", "x"], ExitCode.FAILURE, "error: --account x: give ADDRESS=AMOUNT"),
    ],
)
def test_a_mistake_gives_one_line_and_a_stable_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: ExitCode, message: str
) -> None:
    assert main([*words, "--home", str(tmp_path / "none")]) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_status_of_a_node_that_is_down_says_how_to_start_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _init(tmp_path / "n") == 0
    assert main(["node", "status", "--home", str(tmp_path / "n")]) == ExitCode.NODE
    assert "start it with `openledger node start`" in capsys.readouterr().err


def test_a_home_is_not_made_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _init(tmp_path / "n") == 0
    assert _init(tmp_path / "n") == ExitCode.FAILURE
    assert "is a node's home already; delete it, or give another --home" in capsys.readouterr().err


def test_help_of_each_command_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for group, example in (("node", "node start"), ("genesis", "genesis collect"), ("devnet", "--validators 4")):
        with pytest.raises(SystemExit) as ending:
            main([group, "--help"])
        assert ending.value.code == 0
        assert f"openledger {example}".split()[-1] in capsys.readouterr().out


def test_a_node_made_by_commands_runs_until_asked_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(tmp_path / "n")
    assert _init(tmp_path / "n") == 0
    assert main(["genesis", "add-validator", "--name", "alice", "--home", home]) == 0
    with _command("node", "start", "--home", home) as process:
        try:
            deadline = time.monotonic() + 40
            capsys.readouterr()
            while main(["node", "status", "--home", home, "--output", "json"]) != 0:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert json.loads(capsys.readouterr().out)["chain_id"] == "dev-1"
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0


def test_a_devnet_made_by_the_command_runs_until_asked_to_stop(tmp_path: Path) -> None:
    words = ["devnet", "--folder", str(tmp_path / "net"), "--validators", "2", "--base-port", "19000"]
    with _command(*words, "--account", f"{ADDRESS}=5OPEN") as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(3)]
        finally:
            process.send_signal(signal.SIGTERM)
        assert [line.split(",")[0].strip() for line in lines] == [
            "node 0: RPC http://127.0.0.1:19001",
            "node 1: RPC http://127.0.0.1:19011",
            "running; Ctrl-C stops all nodes",
        ]
        assert process.wait(60) == 0


def _command(*words: str) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen(
        [sys.executable, "-m", "openledger.cli.main", *words], cwd=root, stdout=subprocess.PIPE, text=True
    )
