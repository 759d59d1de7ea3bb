"""A transaction that makes a handler raise is offered to four real validators: the chain goes on without it.

The bug is planted from outside (tests/kit/integration/poison.py); a node has no such hook.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest

from abci_app.errors import Code
from abci_app.hashing import sha256
from abci_app.modules.bank import Transfer
from node import cometbft
from node.devnet import Devnet, DevnetNode
from node.errors import NodeRpcError
from node.run import EXIT_HALTED
from tests.kit.integration.load import AMOUNT_NOPEN, SINK, Load
from tests.kit.integration.poison import LATE_NOPEN, POISON_NOPEN, VARIABLE
from tests.kit.signing import Signer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

CHAIN_ID = "dev-poison"
QUICK: cometbft.Changes = {
    ("consensus", "timeout_commit"): "100ms",
    ("consensus", "timeout_propose"): "500ms",
    ("tx_index", "indexer"): "null",
}
# Proposers take turns, so after this many blocks each of the four has proposed.
_ROUND_OF_PROPOSERS = 5


class Chain:
    """Four validators with the same bug, and transactions by hand."""

    def __init__(self, net: Devnet, load: Load) -> None:
        self.net = net
        self.load = load

    def transfer(self, sender: Signer, amount_nopen: int) -> bytes:
        message = Transfer(SINK.address, amount_nopen)
        return sender.transaction(message, sequence=sender.sequence, chain_id=CHAIN_ID)

    def offer(self, node: DevnetNode, raw: bytes) -> int | None:
        """CheckTx's code; None when CometBFT knows the transaction already."""
        try:
            return int(node.call("broadcast_tx_sync", tx=base64.b64encode(raw).decode())["code"])
        except NodeRpcError as error:
            if "already exists" in str(error):
                return None
            raise

    def wait_for_blocks(self, count: int, nodes: list[DevnetNode] | None = None) -> int:
        """The height after this many more blocks."""
        height = self.net.height() + count
        self.net.wait_for_height(height, nodes=nodes)
        return height

    def transactions(self, first: int, last: int) -> list[tuple[bytes, int]]:
        """(transaction, code) of these blocks."""
        found: list[tuple[bytes, int]] = []
        for height in range(first, last + 1):
            node = self.net.nodes[0]
            texts = node.call("block", height=str(height))["block"]["data"]["txs"]
            results = node.call("block_results", height=str(height))["txs_results"] or []
            pairs = zip(texts, results, strict=True)
            found += [(base64.b64decode(text), result["code"]) for text, result in pairs]
        return found

    def rounds(self, first: int, last: int) -> list[int]:
        """In which round each of these heights was decided."""
        commits = [self.net.nodes[0].call("commit", height=str(height)) for height in range(first, last + 1)]
        return [commit["signed_header"]["commit"]["round"] for commit in commits]

    def agree(self, first: int, last: int) -> bool:
        hashes = [[node.app_hash_at(height) for height in range(first, last)] for node in self.net.nodes]
        return hashes == [hashes[0]] * 4


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    load = Load(CHAIN_ID)
    folder = tmp_path_factory.mktemp("poison") / "net"
    net = Devnet.create(folder, validators=4, chain_id=CHAIN_ID, app_state=load.genesis(), comet=QUICK)
    for node in net.nodes:
        node.module = "tests.kit.integration.poison"
    with net:
        yield Chain(net, load)


def test_honest_proposers_leave_it_out_and_every_other_transaction_is_committed(chain: Chain) -> None:
    victim, *others = chain.load.senders
    poison = chain.transfer(victim, POISON_NOPEN)
    honest = [chain.transfer(other, AMOUNT_NOPEN) for other in others]
    first = chain.net.height()
    assert chain.offer(chain.net.nodes[0], poison) == 0
    for node, raw in zip([*chain.net.nodes, *chain.net.nodes], honest, strict=False):
        assert chain.offer(node, raw) == 0
    for node in chain.net.nodes[1:]:
        assert chain.offer(node, poison) in (0, None, Code.EXCLUDED)
    last = chain.wait_for_blocks(_ROUND_OF_PROPOSERS)
    assert sorted(chain.transactions(first, last)) == sorted((raw, 0) for raw in honest)
    assert chain.agree(first, last)
    assert [node.running for node in chain.net.nodes] == [True] * 4
    for other in others:
        other.sequence += 1


def test_afterwards_nobody_takes_it_again_and_its_sender_goes_on(chain: Chain) -> None:
    victim = chain.load.senders[0]
    poison, instead = chain.transfer(victim, POISON_NOPEN), chain.transfer(victim, AMOUNT_NOPEN)
    chain.wait_for_blocks(1)
    assert [node.call("num_unconfirmed_txs")["n_txs"] for node in chain.net.nodes] == ["0"] * 4
    assert [chain.offer(node, poison) for node in chain.net.nodes] == [Code.EXCLUDED] * 4
    first = chain.net.height()
    assert chain.offer(chain.net.nodes[0], instead) == 0
    assert chain.transactions(first, chain.wait_for_blocks(3)) == [(instead, 0)]
    victim.sequence += 1


def test_the_proposal_of_a_validator_that_puts_it_in_is_rejected_and_the_next_one_proposes(chain: Chain) -> None:
    rogue, victim = chain.net.nodes[3], chain.load.senders[1]
    rogue.stop()
    rogue.start(environment={VARIABLE: "proposer"})
    chain.wait_for_blocks(2)
    chain.net.wait_for_height(chain.net.height(), nodes=[rogue])
    first = chain.net.height()
    poison, honest = chain.transfer(victim, POISON_NOPEN), chain.transfer(chain.load.senders[2], AMOUNT_NOPEN)
    assert chain.offer(rogue, poison) == 0
    assert chain.offer(chain.net.nodes[0], honest) == 0
    last = chain.wait_for_blocks(2 * _ROUND_OF_PROPOSERS)
    assert chain.transactions(first, last) == [(honest, 0)]
    assert max(chain.rounds(first, last)) >= 1
    assert chain.agree(first, last)
    assert [node.running for node in chain.net.nodes] == [True] * 4
    chain.load.senders[2].sequence += 1


def test_a_node_that_fails_on_a_decided_block_halts_naming_it_and_joins_again_when_mended(chain: Chain) -> None:
    broken, others = chain.net.nodes[2], [chain.net.nodes[index] for index in (0, 1, 3)]
    broken.stop()
    broken.start(environment={VARIABLE: "finalize"})
    chain.net.wait_for_height(chain.net.height() + 1, nodes=[broken])
    sender = chain.load.senders[3]
    raw = chain.transfer(sender, LATE_NOPEN)
    first = chain.net.height()
    assert chain.offer(chain.net.nodes[0], raw) == 0
    assert broken.wait(30) == EXIT_HALTED
    digest = sha256(raw).hex().upper()
    height = _height_of(chain, raw, first)
    console = (broken.home.log_folder / "console.log").read_text()
    assert (
        f"critical: the application failed in finalize_block at height {height}: TransactionFailure: "
        f"unexpected error in transaction 0 of height {height}, hash {digest}: ZeroDivisionError: a bug in a handler"
    ) in console
    chain.wait_for_blocks(3, nodes=others)
    broken.start()
    last = chain.wait_for_blocks(2)
    assert chain.transactions(first, last) == [(raw, 0)]
    assert chain.agree(first, last)


def _height_of(chain: Chain, raw: bytes, first: int) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for height in range(first, chain.net.height() + 1):
            if raw in [found for found, _ in chain.transactions(height, height)]:
                return height
    raise AssertionError("the transaction is in no block")
