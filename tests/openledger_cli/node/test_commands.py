"""`openledger node`, `genesis` and `devnet` as typed by an operator."""

from __future__ import annotations

import argparse
import json
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from node import cometbft, genesis
from node.comet_heights import comet_heights
from node.home import Home
from node.ports import free_ports
from openledger.exit_codes import ExitCode
from openledger_cli.main import build_parser, main
from tests.kit.command_process import run_command, sourced, start_command
from tests.openledger_cli.test_help import check, command_lines

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
    expected = {"chain_id": "dev-1", "validators": 1, "total_power": 10, "accounts": 2, "members": 1}
    assert {name: summary[name] for name in expected} == expected


def test_the_onion_is_shown_and_renewed_and_its_secret_stays_the_owners(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "n")
    assert _init(home.folder) == 0
    words = ["node", "onion", "--home", str(home.folder)]
    capsys.readouterr()
    assert main([*words, "--output", "json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["number"], first["length"]) == (0, 2**20)
    assert main([*words, "--renew"]) == 0
    onion, step = capsys.readouterr().out.splitlines()
    assert onion != first["onion"]
    assert step.startswith("next: openledger ")
    assert step.endswith(f"--onion {onion}")
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == [onion]
    assert home.beacon_secret_file.stat().st_mode & 0o777 == 0o600
    home.beacon_secret_file.unlink()
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[0] not in (onion, first["onion"])


def test_two_parties_collect_to_the_same_document_and_start_one_chain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homes, files = [Home(tmp_path / "alice"), Home(tmp_path / "bob")], []
    for home in homes:
        file = tmp_path / f"{home.folder.name}.json"
        assert _init(home.folder) == 0
        words = ["genesis", "add-validator", "--name", home.folder.name, "--file", str(file)]
        assert main([*words, "--home", str(home.folder)]) == 0
        files.append(str(file))
    alice, bob = homes
    operator = json.loads(Path(files[1]).read_text())["operator"]
    capsys.readouterr()
    assert main(["genesis", "collect", files[1], "--home", str(alice.folder)]) == ExitCode.FAILURE
    assert f"operator {operator} starts with 0 nopen, its bond is 100000000000000: give it" in capsys.readouterr().err
    assert main(["genesis", "add-account", operator, "100001OPEN", "--home", str(alice.folder)]) == 0
    assert main(["genesis", "collect", files[1], "--home", str(alice.folder)]) == 0
    document = alice.genesis_file.read_bytes()
    bob.genesis_file.write_bytes(document)
    assert main(["genesis", "collect", *files, "--home", str(bob.folder)]) == 0
    assert bob.genesis_file.read_bytes() == document
    assert len(json.loads(document)["validators"]) == 2
    peers = {home: str(cometbft.read_config(home)["p2p"]["persistent_peers"]) for home in homes}
    assert peers[alice].startswith(cometbft.node_id(bob) + "@127.0.0.1:")
    assert peers[bob].startswith(cometbft.node_id(alice) + "@127.0.0.1:")
    with start_command("node", "start", "--home", str(bob.folder)) as process:
        try:
            assert _run_until(alice, 2, capsys)["peers"] == 1  # neither makes a block alone
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0


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
        (["devnet", "--account", "x"], ExitCode.USAGE, "error: --account x: give NAME=AMOUNT"),
    ],
)
def test_a_mistake_gives_one_line_and_a_stable_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: ExitCode, message: str
) -> None:
    assert main([*words, "--home", str(tmp_path / "none")]) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["node", "init", "--chain-id", "dev-1"], ExitCode.FAILURE, "is a node's home already; delete it, or give"),
        (["node", "status"], ExitCode.NODE, "; start it with `openledger node start`"),
        (["node", "rollback"], ExitCode.FAILURE, "height 0 cannot be rolled back: nothing is below it"),
        (["node", "start"], ExitCode.FAILURE, "validators is empty; add one with `openledger genesis add-validator`"),
        (["genesis", "validate"], ExitCode.FAILURE, "validators is empty; add one with `openledger genesis"),
        (["genesis", "add-account", "open1qq", "1OPEN"], ExitCode.FAILURE, "cannot add open1qq: "),
        (["genesis", "add-account", "nobody", "1OPEN"], ExitCode.KEYS, "nobody"),
        (["genesis", "add-account"], ExitCode.USAGE, "or give --account NAME=AMOUNT"),
        (["genesis", "add-account", ADDRESS], ExitCode.USAGE, "how much for"),
        (["genesis", "add-account", "--account", "Olga=1OPEN"], ExitCode.USAGE, "neither an address nor a name"),
        (["genesis", "add-account", ADDRESS, "2000000000OPEN"], ExitCode.FAILURE, "the supply is 10000"),
        (["genesis", "add-account", ADDRESS, "1OPEN", "--role", "king"], ExitCode.FAILURE, "king"),
        (["genesis", "add-validator", "--name", "me", "--power", "0"], ExitCode.FAILURE, "power is 0; give 1 to"),
        (["genesis", "collect", "none.json"], ExitCode.FAILURE, "none.json is not a validator declaration: "),
    ],
)
def test_a_mistake_in_a_new_home_gives_one_line_that_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: ExitCode, message: str
) -> None:
    assert _init(tmp_path / "n") == 0
    capsys.readouterr()
    done = run_command(*words, "--home", str(tmp_path / "n")) if words[1] == "start" else None
    found = done.returncode if done else main([*words, "--home", str(tmp_path / "n")])
    said = done.stderr if done else capsys.readouterr().err
    # A machine that has much to do is told of the wait before: what is left is the one line.
    lines = [line for line in said.splitlines() if not re.search(r" \([0-9]+ s\)$", line)]
    assert (found, len(lines)) == (code, 1)
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_a_cometbft_of_another_version_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "cometbft"
    other.write_text("#!/bin/sh\necho 1.0.1\n")
    other.chmod(0o700)
    monkeypatch.setenv("OPENLEDGER_COMETBFT", str(other))
    assert _init(tmp_path / "n") == ExitCode.FAILURE
    line = f"error: {other} is CometBFT 1.0.1; this node needs {cometbft.VERSION}: run scripts/build-cometbft\n"
    assert capsys.readouterr().err == line
    assert not (tmp_path / "n").exists()


def test_a_port_in_use_is_named_with_the_file_that_sets_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "n")
    assert _init(home.folder) == 0
    assert main(["genesis", "add-validator", "--name", "me", "--home", str(home.folder)]) == 0
    host, port = cometbft.listen_addresses(home)["p2p"]
    with socket.create_server((host, port)):
        done = run_command("node", "start", "--home", str(home.folder))
    assert done.returncode == ExitCode.FAILURE
    assert done.stderr == (
        f"error: port {port} on {host} cannot be had (Address already in use): another node may be running; "
        f"stop it, or change [p2p] laddr in {home.comet_config_file}\n"
    )


def test_results_are_json_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, file = tmp_path / "n", tmp_path / "me.json"
    ports = [str(port) for port, _ in zip(free_ports(), range(2), strict=False)]
    tail = ["--home", str(home), "--output", "json"]
    commands = [
        ["node", "init", "--chain-id", "dev-1", "--rpc-port", ports[0], "--p2p-port", ports[1]],
        ["genesis", "add-account", ADDRESS, "5OPEN"],
        ["genesis", "add-validator", "--name", "me", "--file", str(file)],
        ["genesis", "collect", str(file)],
        ["node", "check"],
    ]
    found = []
    for words in commands:
        assert main([*words, *tail]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found == [
        {"home": str(home), "chain_id": "dev-1", "settings": str(home / "settings.sh")},
        {"account": ADDRESS, "balance_nopen": 5 * 10**9},
        {
            "name": "me",
            "node_id": cometbft.node_id(Home(home)),
            "power": 10,
            "validators": 1,
            "operator": found[2]["operator"],
            "bond_nopen": 100_000 * 10**9,
        },
        {"validators": 1, "genesis": str(Home(home).genesis_file)},
        {"height": 0},
    ]


@pytest.mark.parametrize("group", ["node", "genesis"])
def test_help_of_each_command_shows_examples_that_the_parser_takes(group: str) -> None:
    parser = build_parser(group)
    (groups,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    own = groups.choices[group]
    (commands,) = [action for action in own._actions if isinstance(action, argparse._SubParsersAction)]
    for name, command in commands.choices.items():
        lines = command_lines(command.epilog or "")
        assert any(line.startswith(f"openledger {group} {name}") for line in lines)
        for line in lines:
            check(line)


def test_a_node_made_by_commands_runs_is_rolled_back_and_executes_the_block_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "n")
    assert _init(home.folder) == 0
    assert main(["genesis", "add-validator", "--name", "alice", "--home", str(home.folder)]) == 0
    first = _run_until(home, 2, capsys)
    last = comet_heights(home)[0]
    assert last >= first["height"]
    assert main(["node", "check", "--home", str(home.folder)]) == 0
    assert main(["node", "rollback", "--home", str(home.folder)]) == 0
    assert capsys.readouterr().out == (
        f"the state of height {last} is whole and holds every invariant\n"
        f"rolled back to height {last - 1}; the next start executes block {last} again\n"
    )
    again = _run_until(home, last + 2, capsys)
    assert again["chain_id"] == "dev-1"
    assert (home.log_folder / "node.log").read_text().count(f"executed again: block {last}\n") == 1
    assert main(["node", "check", "--home", str(home.folder)]) == 0


def _run_until(home: Home, height: int, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """`node start` until `node status` shows this height, then Ctrl-C; the status."""
    with start_command("node", "start", "--home", str(home.folder)) as process:
        try:
            deadline = time.monotonic() + 40
            found: dict[str, Any] = {"height": 0}
            capsys.readouterr()
            while found["height"] < height:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
                main(["node", "status", "--home", str(home.folder), "--output", "json"])
                found = json.loads(capsys.readouterr().out)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
    capsys.readouterr()
    return found


def test_a_home_comes_with_settings_and_keys_that_have_money(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "n"
    ports = [str(port) for port, _ in zip(free_ports(), range(2), strict=False)]
    words = ["node", "init", "--home", str(home), "--chain-id", "dev-1", "--account", "alice=5OPEN"]
    assert main([*words, "--rpc-port", ports[0], "--p2p-port", ports[1]]) == 0
    assert f"in any terminal: . {home}/settings.sh\n" in capsys.readouterr().out
    assert sourced(home / "settings.sh") == {
        "OPENLEDGER_HOME": str(home),
        "OPENLEDGER_NODE": f"http://127.0.0.1:{ports[0]}",
        "OPENLEDGER_CHAIN_ID": "dev-1",
        "OPENLEDGER_KEYS": "test",
        "OPENLEDGER_WITNESSES": "none",
        "OPENLEDGER_GENESIS": str(home / "config" / "genesis.json"),
    }
    # client.yaml says the same to everybody who names only the home.
    assert (
        main(["genesis", "add-account", "--account", "bob=1OPEN", "--account", "alice=1OPEN", "--home", str(home)]) == 1
    )
    assert (
        main(["genesis", "add-account", "--account", "bob=1OPEN", "--account", "carol=2OPEN", "--home", str(home)]) == 0
    )
    capsys.readouterr()
    assert main(["keys", "list", "--output", "json", "--home", str(home)]) == 0
    keys = {key["name"]: key["address"] for key in json.loads(capsys.readouterr().out)}
    balances = genesis.read(Home(home).genesis_file)["app_state"]["balances"]
    assert {name: dict(balances)[address] for name, address in keys.items()} == {
        "alice": 5 * 10**9,
        "bob": 10**9,
        "carol": 2 * 10**9,
    }


def test_a_home_that_cannot_be_made_leaves_what_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "n"
    (home / "keys").mkdir(parents=True)
    words = ["node", "init", "--home", str(home), "--chain-id", "dev-1", "--account", "alice=2000000000OPEN"]
    assert main(words) == ExitCode.FAILURE
    assert capsys.readouterr().err.startswith("error: cannot add open1")
    assert [path.name for path in home.rglob("*")] == ["keys"]
