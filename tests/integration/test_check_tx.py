"""RPC `check_tx` of a real CometBFT beside its own CheckTx, commits and rechecks."""

from __future__ import annotations

import base64
import threading
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from abci_app.chain.genesis import GenesisState
from abci_app.modules.bank import Burn
from node import cometbft
from node.devnet import DEFAULT_CHAIN_ID, Devnet, DevnetNode
from node.errors import NodeError
from tests.kit.signing import Signer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "50ms", ("consensus", "timeout_propose"): "500ms"}
ASKING, SENDING, EACH = 3, 4, 40


def _next_sequence(node: DevnetNode, signer: Signer) -> int:
    answer: dict[str, Any] = node.call("abci_query", path="/local/next-sequence", data=signer.address.hex())
    value = answer["response"]["value"]
    return int.from_bytes(base64.b64decode(value), "big")


def test_asking_beside_blocks_neither_halts_the_node_nor_leaves_anything_waiting(tmp_path: Path) -> None:
    asking, sending = ([Signer.named(f"{name}{number}") for number in range(count)] for name, count in (
        ("asking", ASKING), ("sending", SENDING),
    ))  # fmt: skip
    balances = tuple([(signer.address.hex(), 10**9) for signer in (*asking, *sending)])
    net = Devnet.create(tmp_path / "net", app_state=GenesisState(balances=balances), comet=QUICK)
    with net:
        (node,) = net.nodes
        net.wait_for_height(2)
        failures: list[Exception] = []

        def call(method: str, signer: Signer) -> None:
            try:
                for _ in range(EACH):
                    raw = signer.transaction(Burn(1), chain_id=DEFAULT_CHAIN_ID, fee_limit_nopen=10**8)
                    node.call(method, tx=base64.b64encode(raw).decode())
            except (NodeError, urllib.error.URLError, OSError) as error:
                failures.append(error)

        jobs = [*[("check_tx", each) for each in asking], *[("broadcast_tx_sync", each) for each in sending]]
        threads = [threading.Thread(target=call, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        net.wait_for_height(net.height() + 4)
        assert failures == []
        assert node.running
        assert [_next_sequence(node, signer) for signer in asking] == [0] * ASKING
        assert [_next_sequence(node, signer) for signer in sending] == [EACH] * SENDING
