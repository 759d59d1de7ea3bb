"""Our light client on a chain made by real CometBFT validators, from its genesis document."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.chain.genesis import GenesisState
from abci_app.modules.bank import AccountQuery
from node.devnet import Devnet
from openledger.client.light_client import AsyncLightClient, LightClient
from openledger.client.trust_store import FileTrustStore
from openledger.exit_codes import ExitCode
from openledger.light.anchors import GenesisAnchor, HashAnchor, parse_genesis
from openledger.light.results import WitnessReport
from tests.kit.repository import ROOT

pytestmark = pytest.mark.integration
ADDRESS = bytes(range(32))
BALANCE_NOPEN = 12_345


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    state = GenesisState(balances=((ADDRESS.hex(), BALANCE_NOPEN),))
    folder = tmp_path_factory.mktemp("light") / "net"
    with Devnet.create(folder, validators=2, app_state=state) as net:
        net.wait_for_height(8)
        yield net


@pytest.fixture
def client(net: Devnet, tmp_path: Path) -> Iterator[LightClient]:
    store = FileTrustStore(tmp_path / "trust")
    with LightClient(net.nodes[0].rpc_url, [net.nodes[1].rpc_url], anchor=_genesis(net), store=store) as client:
        yield client


def _genesis(net: Devnet) -> GenesisAnchor:
    return parse_genesis(net.nodes[0].home.genesis_file.read_bytes())


def test_every_header_of_a_real_chain_verifies_from_its_genesis(net: Devnet, client: LightClient) -> None:
    for height in range(8, 0, -1):
        header = client.header(height).header
        shown = net.nodes[1].call("commit", height=str(height))["signed_header"]["commit"]["block_id"]["hash"]
        assert header.hash.hex().upper() == shown


def test_a_real_answer_is_verified_and_bundled(net: Devnet, client: LightClient, tmp_path: Path) -> None:
    answer = client.query("bank", "account", AccountQuery(ADDRESS))
    assert (answer.value.balance_nopen, answer.height + 1) == (BALANCE_NOPEN, answer.header.height)
    assert answer.witnesses == (WitnessReport(net.nodes[1].rpc_url, "agrees"),)
    assert answer.anchor == str(_genesis(net))
    path = tmp_path / "bundle.json"
    path.write_bytes(client.bundle(answer))
    genesis = str(net.nodes[0].home.genesis_file)
    code, document = _verify_offline(path, tmp_path, "--genesis", genesis)
    assert (code, document["outcome"], document["height"]) == (ExitCode.OK, "verified", answer.height)
    assert document["answer"]["balance_nopen"] == BALANCE_NOPEN
    code, document = _verify_offline(path, tmp_path / "other")
    assert (code, document["outcome"]) == (ExitCode.NOT_ANCHORED, "consistent, not anchored")


def _verify_offline(path: Path, home: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """`openledger verify` in a process of its own in which opening a socket is an error."""
    program = (
        "import socket, sys\n"
        "def refuse(*_): raise OSError('no network here')\n"
        "socket.socket.connect = refuse\n"
        "from openledger_cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "loaded = {'torch', 'plyvel'} & set(sys.modules)\n"
        "sys.exit(code if not loaded else f'{loaded} were loaded')\n"
    )
    command = [sys.executable, "-c", program, "verify", str(path), "--home", str(home), "--output", "json", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    return done.returncode, json.loads(done.stdout or "{}")


def test_the_chain_is_followed_from_a_hash_in_both_directions(net: Devnet) -> None:
    url, other = net.nodes[0].rpc_url, net.nodes[1].rpc_url
    with LightClient(url, [other], anchor=_genesis(net)) as client:
        anchor = HashAnchor(5, client.header(5).header.hash)
    with LightClient(url, [other], anchor=anchor) as client:
        assert client.header(8).path == (5, 8)
        assert client.header(2).path == (5, 4, 3, 2)


def test_asyncio_verifies_too(net: Devnet) -> None:
    async def ask() -> int:
        nodes = [node.rpc_url for node in net.nodes]
        async with AsyncLightClient(nodes[0], nodes[1:], anchor=_genesis(net)) as client:
            answer = await client.query("bank", "account", AccountQuery(ADDRESS))
            return int(answer.value.balance_nopen)

    assert asyncio.run(ask()) == BALANCE_NOPEN


def test_a_later_run_goes_on_from_the_trust_store(net: Devnet, tmp_path: Path) -> None:
    store = FileTrustStore(tmp_path)
    url, other = net.nodes[0].rpc_url, net.nodes[1].rpc_url
    with LightClient(url, [other], anchor=_genesis(net), store=store) as client:
        first = client.header()
    net.wait_for_height(first.header.height + 2)
    with LightClient(url, [other], store=store) as client:
        later = client.header()
    assert later.path[0] == first.header.height
    assert later.anchor == str(_genesis(net))
    assert later.header.time_ns <= time.time_ns()
