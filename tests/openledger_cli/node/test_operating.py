"""A real node as its operators watch it."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from node import cometbft, genesis
from node.home import Home
from node.ports import free_ports
from node.status import State, status_of
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.command_process import run_command, start_command
from tests.kit.node.exposition import Family, parse

pytestmark = pytest.mark.integration


def metrics_of(port: int) -> dict[str, Family]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return parse(answer.read().decode())


def test_a_node_serves_its_metrics_and_writes_objects_when_asked(tmp_path: Path) -> None:
    home = Home(tmp_path / "n")
    rpc, p2p, port = [port for port, _ in zip(free_ports(), range(3), strict=False)]
    words = ["node", "init", "--home", str(home.folder), "--chain-id", "dev-1"]
    assert main([*words, "--rpc-port", str(rpc), "--p2p-port", str(p2p)]) == 0
    assert main(["genesis", "add-validator", "--name", "me", "--home", str(home.folder)]) == 0
    home.write_settings(replace(home.settings(), metrics_port=port))
    with start_command("node", "start", "--home", str(home.folder), "--log-format", "json") as process:
        try:
            deadline = time.monotonic() + 40
            while (found := status_of(home)).height < 2:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            families = metrics_of(port)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
    assert found.state is State.MAKING_BLOCKS
    assert families["openledger_height"].samples["openledger_height", ()] >= 2
    seconds = families["openledger_block_phase_seconds"].samples
    assert seconds["openledger_block_phase_seconds_count", (("phase", "commit"),)] >= 2
    documents = [json.loads(line) for line in (home.log_folder / "node.log").read_text().splitlines()]
    assert [document["message"].partition(" at ")[0] for document in documents[1:2]] == ["metrics"]
    assert {document["alarm"] for document in documents} == {False}
    assert status_of(home).why == "it was not started"


def test_the_port_of_the_metrics_must_be_another_one(tmp_path: Path) -> None:
    home = Home(tmp_path / "n")
    rpc, p2p = [port for port, _ in zip(free_ports(), range(2), strict=False)]
    words = ["node", "init", "--home", str(home.folder), "--chain-id", "dev-1"]
    assert main([*words, "--rpc-port", str(rpc), "--p2p-port", str(p2p)]) == 0
    home.write_settings(replace(home.settings(), metrics_port=rpc))
    done = run_command("node", "start", "--home", str(home.folder))
    said = f"error: {home.settings_file}: metrics_port is {rpc}, which is the port of [rpc] laddr\n"
    assert (done.returncode, done.stderr) == (ExitCode.FAILURE, said)


def test_local_nodes_lie_beside_each_other_and_peers_are_added_by_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homes = [Home(tmp_path / name) for name in ("a", "b")]
    for home in homes:
        assert main(["node", "init", "--local", "--home", str(home.folder), "--account", "alice=5OPEN"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("next, there:\n  openledger genesis add-validator --name NAME\n  openledger node start\n")
    assert [genesis.chain_id(home.genesis_file) for home in homes] == ["dev-1", "dev-1"]
    addresses = [address for home in homes for address in cometbft.listen_addresses(home).values()]
    assert {host for host, _ in addresses} == {"127.0.0.1"}
    assert len({port for _, port in addresses}) == 4
    assert [cometbft.read_config(home)["p2p"]["addr_book_strict"] for home in homes] == [False, False]
    host, port = cometbft.listen_addresses(homes[1])["p2p"]
    peer = f"{cometbft.node_id(homes[1])}@{host}:{port}"
    tail = ["--home", str(homes[0].folder)]
    assert main(["node", "add-peer", peer, *tail]) == 0
    assert capsys.readouterr().out == f"{peer} is 1 of 1 peers\nnext: openledger node start\n"
    assert main(["node", "add-peer", peer, *tail]) == 0
    assert capsys.readouterr().out == f"{peer} is a peer of this node already\n"
    moved = peer.replace(host, "b.example")
    with homes[0].lock():
        assert main(["node", "add-peer", moved, *tail]) == 0
    assert capsys.readouterr().out == (
        f"{moved} takes the place of {peer}, 1 of 1 peers\n"
        "next: stop the node and start it again: peers are read at the start\n"
    )
    assert main(["node", "add-peer", peer, *tail, "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"peer": peer, "before": moved, "peers": [peer]}


def test_a_local_node_keeps_the_ports_that_are_named(tmp_path: Path) -> None:
    port = next(free_ports())
    home = Home(tmp_path / "n")
    assert main(["node", "init", "--local", "--home", str(home.folder), "--rpc-port", str(port)]) == 0
    found = cometbft.listen_addresses(home)
    assert found["rpc"] == ("127.0.0.1", port)
    assert found["p2p"][1] != port
