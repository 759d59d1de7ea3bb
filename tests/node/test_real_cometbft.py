"""The socket server and the supervisor with the real CometBFT binary and a small application."""

from __future__ import annotations

import base64
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import cometbft, rpc
from node.comet_heights import comet_heights
from node.errors import NodeRpcError
from node.home import Home
from node.status import NodeStatus, State, status
from tests.kit.node.fake_comet import wait_until
from tests.kit.node.real_node import RealNode
from tests.kit.node.small_application import SmallApplication

pytestmark = pytest.mark.integration
Node = RealNode[SmallApplication]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = RealNode(tmp_path, SmallApplication())
    node.server.start()
    node.supervisor.start()
    try:
        wait_until(lambda: node.height() >= 1, 30.0)
        yield node
    finally:
        node.supervisor.stop()
        node.server.stop()


def test_one_node_makes_blocks_with_transactions(node: Node) -> None:
    refused = node.broadcast(b"bad one")
    assert (refused["code"], refused["log"], refused["codespace"]) == (7, "refused: begins with bad", "small")
    accepted = node.broadcast(b"good one")
    assert accepted["code"] == 0
    wait_until(lambda: "result" in _transaction(node, str(accepted["hash"])), 20.0)
    assert _transaction(node, str(accepted["hash"]))["result"]["tx"] == base64.b64encode(b"good one").decode()
    assert node.halts == []


def _transaction(node: Node, digest: str) -> dict[str, dict[str, str]]:
    try:
        return {"result": rpc.call(node.url, "tx", hash=base64.b64encode(bytes.fromhex(digest)).decode())}
    except NodeRpcError:
        return {}


def test_a_killed_cometbft_is_started_again_and_the_application_discards_once_a_generation(node: Node) -> None:
    node.wait_for_blocks(2)
    before = node.application.height
    pid = node.supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: node.application.discarded == 2, 30.0)
    wait_until(lambda: node.application.height >= before + 2, 30.0)
    assert node.supervisor.restarts == 1
    assert node.halts == []


def test_a_closed_socket_ends_cometbft_and_the_supervisor_starts_it_again(node: Node) -> None:
    before = node.application.height
    node.server._end_generation(5.0)
    wait_until(lambda: node.application.discarded == 2, 30.0)
    wait_until(lambda: node.application.height >= before + 2, 30.0)
    assert node.supervisor.restarts >= 1


def test_an_exception_in_a_block_ends_cometbft_and_is_reported_once(node: Node) -> None:
    node.broadcast(b"poison")
    wait_until(lambda: bool(node.halts), 30.0)
    wait_until(lambda: node.supervisor.restarts >= 1, 30.0)
    assert [(halt.method, halt.detail) for halt in node.halts] == [
        ("finalize_block", "ValueError: a bug in a handler; transaction 0")
    ]


def test_a_query_whose_path_is_not_text_does_not_end_cometbft(node: Node) -> None:
    with urllib.request.urlopen(f"{node.url}/abci_query?path=0xff&data=0x01", timeout=10.0) as answer:
        response = json.loads(answer.read())["result"]["response"]
    assert (response["code"], response["codespace"]) == (1, "node")
    node.wait_for_blocks(2)
    assert (node.supervisor.restarts, node.halts) == (0, [])


def test_status_says_what_the_node_says(node: Node) -> None:
    node.wait_for_blocks(2)
    found = status(node.url)
    key = json.loads(node.home.validator_key_file.read_text())
    assert found.height >= 1
    assert found == NodeStatus(
        state=State.MAKING_BLOCKS,
        why="",
        power_seen=10,
        alarm=found.alarm,
        # This application answers all questions alike.
        validator=found.validator,
        power_total=10,
        chain_id=json.loads(node.home.genesis_file.read_text())["chain_id"],
        moniker=str(cometbft.read_config(node.home)[""]["moniker"]),
        node_id=cometbft.node_id(node.home),
        cometbft_version="0.38.25",
        rpc_url=node.url,
        height=found.height,
        block_time=found.block_time,
        app_hash=node.application.app_hash.hex().upper(),
        application_height=found.application_height,
        catching_up=False,
        peers=0,
        validator_address=key["address"],
        voting_power=10,
    )
    # This small application knows no queries: that is said, not taken for "nothing".
    assert found.alarm.startswith("the node does not tell what was put aside (abci_query deadlines/failing: ")


def test_the_heights_of_a_stopped_cometbft_are_read_without_changing_its_databases(node: Node) -> None:
    node.wait_for_blocks(2)
    node.supervisor.stop()
    folders = [node.home.data_folder / name for name in ("state.db", "blockstore.db")]
    before = [sorted((path.name, path.stat().st_size) for path in folder.iterdir()) for folder in folders]
    (node.home.data_folder / "openledger-left-over").mkdir()
    assert comet_heights(node.home) == (node.application.height, node.application.height)
    assert [sorted((path.name, path.stat().st_size) for path in folder.iterdir()) for folder in folders] == before
    assert sorted(path.name for path in node.home.data_folder.iterdir() if path.name.startswith("openledger-")) == []


def test_an_empty_home_has_height_zero(tmp_path: Path) -> None:
    assert comet_heights(Home(tmp_path)) == (0, 0)


def test_thousands_of_batched_transactions_are_admitted_and_committed(node: Node) -> None:
    import http.client
    from urllib.parse import urlsplit

    texts = [base64.b64encode(b"tx %d" % n).decode() for n in range(1000)]
    calls = [
        {"jsonrpc": "2.0", "id": n, "method": "broadcast_tx_async", "params": {"tx": text}}
        for n, text in enumerate(texts)
    ]
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(node.url).port, timeout=30)
    connection.request("POST", "/", json.dumps(calls), {"Content-Type": "application/json"})
    answers = json.loads(connection.getresponse().read())
    connection.close()
    assert len(answers) == 1000
    assert all("result" in answer for answer in answers)
    wait_until(lambda: len(_committed(node)) >= 1000, 30.0)
    assert sorted(_committed(node)) == sorted(b"tx %d" % n for n in range(1000))


def _committed(node: Node) -> list[bytes]:
    """All transactions of all blocks."""
    blocks = [rpc.call(node.url, "block", height=str(height)) for height in range(1, node.height() + 1)]
    return [base64.b64decode(tx) for block in blocks for tx in block["block"]["data"]["txs"]]
