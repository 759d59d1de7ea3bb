"""Four real validators reveal, block after block: through restarts, a lost secret, hostile proposals and a replay."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from abci_app.bech32 import encode_id
from abci_app.chain.genesis import GenesisState
from abci_app.hashing import sha256
from abci_app.mechanisms import beacon
from abci_app.mechanisms.beacon import BeaconQuery, OnionQuery
from abci_app.mechanisms.beacon.records import Beacon
from abci_app.modules.validators import VALIDATOR_BOND
from node import cometbft, doctor, onions
from node.devnet import SHORT_ONION, Devnet, DevnetNode
from openledger.client.client import Client
from tests.kit.integration.revealing_node import HOSTILE
from tests.kit.signing import Signer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

CHAIN_ID = "dev-beacon"
QUICK: cometbft.Changes = {
    ("consensus", "timeout_commit"): "100ms",
    ("consensus", "timeout_propose"): "500ms",
}
MODULE = "tests.kit.integration.revealing_node"
OPERATORS = [Signer.named(f"operator {number}") for number in range(4)]
# Proposers take turns, so in so many blocks each of the four proposes, also where one of them fails its round.
ROUND_OF_PROPOSERS = 6


def address_of(node: DevnetNode) -> bytes:
    return bytes.fromhex(json.loads(node.home.validator_key_file.read_text())["address"])


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with create(tmp_path_factory.mktemp("beacon") / "net", OPERATORS) as made:
        yield made


def create(folder: Path, operators: Sequence[Signer], comet: cometbft.Changes = QUICK) -> Devnet:
    """A network whose genesis has the onions of its validators."""
    balances = tuple([(encode_id("open", each.address), 2 * VALIDATOR_BOND.default) for each in operators])
    made = Devnet.create(
        folder,
        validators=len(operators),
        chain_id=CHAIN_ID,
        app_state=GenesisState(balances=balances),
        operators=[address for address, _ in balances],
        comet=comet,
    )
    for node in made.nodes:
        node.module = MODULE
    return made


def wait_for_blocks(net: Devnet, count: int, nodes: list[DevnetNode] | None = None) -> int:
    height = net.height() + count
    net.wait_for_height(height, nodes=nodes)
    return height


def heads(net: Devnet, first: int, last: int) -> list[tuple[bytes, bool, int]]:
    """(proposer, whether the block begins with a reveal that was taken, its round) of these heights."""
    found = []
    node = net.nodes[0]
    for height in range(first, last + 1):
        block = node.call("block", height=str(height))["block"]
        results = node.call("block_results", height=str(height))["txs_results"] or []
        texts = block["data"]["txs"] or []
        reveals = bool(texts) and beacon.is_reveal(base64.b64decode(texts[0]))
        assert [(result["code"], result["log"]) for result in results] == [(0, "beacon reveal")] * len(texts)
        decided_round = node.call("commit", height=str(height))["signed_header"]["commit"]["round"]
        found.append((bytes.fromhex(block["header"]["proposer_address"]), reveals, decided_round))
    return found


def ask(net: Devnet, height: int = 0) -> Beacon:
    with Client(net.nodes[0].rpc_url) as client:
        answer: Beacon = client.query("beacon", "state", BeaconQuery(), height=height, prove=False).value
        return answer


def agree(net: Devnet, first: int, last: int) -> bool:
    hashes = [[node.app_hash_at(height) for height in range(first, last)] for node in net.nodes]
    return hashes == [hashes[0]] * len(net.nodes)


def test_each_block_begins_with_its_proposers_reveal_and_all_come_to_one_value(net: Devnet) -> None:
    last = wait_for_blocks(net, 2 * ROUND_OF_PROPOSERS)
    found = heads(net, 1, last - 1)
    assert {proposer for proposer, _, _ in found} == {address_of(node) for node in net.nodes}
    assert all(reveals for _, reveals, _ in found)
    counted = sum([decided_round == 0 for _, _, decided_round in found])
    # What block h shows counts in block h + 1.
    assert ask(net, last).reveals == counted
    assert agree(net, 2, last - 1)


def test_a_client_says_in_words_what_it_is(net: Devnet) -> None:
    text = net.nodes[0].call("block", height="3")["block"]["data"]["txs"][0]
    with Client(net.nodes[0].rpc_url) as client:
        found = client.transaction(sha256(base64.b64decode(text)).hex())
    assert (found.messages, found.code, found.log, found.height, found.sender) == (
        ("beacon reveal",), 0, "beacon reveal", 3, b"",
    )  # fmt: skip


def test_the_doctor_says_how_much_of_the_onion_is_left(net: Devnet) -> None:
    node = net.nodes[0]
    (check,) = [each for each in doctor.examine(node.home) if each.name == "beacon"]
    with Client(node.rpc_url) as client:
        used = [client.query("beacon", "onion", OnionQuery(each.address), prove=False).value.used for each in OPERATORS]
    left = int(check.found.removesuffix(" reveals are left"))
    assert check.mark == doctor.Mark.OK
    assert SHORT_ONION - max(used) - 1 <= left < SHORT_ONION


def test_nobody_can_send_one(net: Devnet) -> None:
    text = net.nodes[0].call("block", height="3")["block"]["data"]["txs"][0]
    raw = beacon.reveal_transaction(bytes(32))
    for sent in (text, base64.b64encode(raw).decode()):
        answer = net.nodes[1].call("check_tx", tx=sent)
        assert (answer["code"], answer["codespace"]) == (beacon.BeaconCode.REVEAL_NOT_SENT, "beacon")


def test_a_node_that_was_killed_goes_on_with_the_reveal_that_is_due(net: Devnet) -> None:
    node = net.nodes[1]
    node.kill_both()
    node.start()
    wait_for_blocks(net, 1)
    first = wait_for_blocks(net, 1, nodes=[node])
    last = wait_for_blocks(net, ROUND_OF_PROPOSERS)
    mine = [reveals for proposer, reveals, _ in heads(net, first, last) if proposer == address_of(node)]
    assert mine
    assert all(mine)
    assert agree(net, first, last)


def test_a_node_without_its_secret_is_silent_says_so_and_reveals_again_once_it_is_back(net: Devnet) -> None:
    node = net.nodes[2]
    secret, aside = node.home.beacon_secret_file, node.home.folder / "aside"
    node.stop()
    shutil.move(secret, aside)
    node.start()
    first = wait_for_blocks(net, 2, nodes=[node])
    last = wait_for_blocks(net, ROUND_OF_PROPOSERS)
    silent = [reveals for proposer, reveals, _ in heads(net, first, last) if proposer == address_of(node)]
    assert silent
    assert not any(silent)
    log = (node.home.log_folder / "node.log").read_text()
    assert f"this validator is silent: no beacon secret at {secret}" in log
    shutil.move(aside, secret)
    first = net.height() + 2
    last = wait_for_blocks(net, ROUND_OF_PROPOSERS)
    assert all(reveals for _, reveals, _ in heads(net, first, last))
    assert agree(net, first, last)


def test_a_hostile_proposal_is_rejected_and_what_the_next_round_shows_does_not_count(net: Devnet) -> None:
    node = net.nodes[3]
    node.stop()
    node.start(environment={HOSTILE: "wrong"})
    first = wait_for_blocks(net, 2, nodes=[node])
    last = wait_for_blocks(net, ROUND_OF_PROPOSERS + 2)
    found = heads(net, first, last - 1)
    assert max(decided_round for _, _, decided_round in found) >= 1
    assert address_of(node) not in {proposer for proposer, _, _ in found}
    counted = ask(net, last).reveals - ask(net, first).reveals
    assert counted == sum([reveals and not decided_round for _, reveals, decided_round in found])
    assert agree(net, first, last - 1)
    node.stop()
    node.start()
    wait_for_blocks(net, 1, nodes=[node])


def test_a_node_that_executes_all_blocks_again_comes_to_the_same_state(net: Devnet) -> None:
    node = net.nodes[0]
    node.stop()
    shutil.rmtree(node.home.store_folder)
    node.start()
    last = wait_for_blocks(net, 3)
    net.wait_for_height(last)
    assert agree(net, 2, last - 1)
    with Client(node.rpc_url) as client:
        used = [client.query("beacon", "onion", OnionQuery(each.address), prove=False).value.used for each in OPERATORS]
    assert all(count > 5 for count in used)


def test_no_reveal_stands_in_any_log_before_its_block(net: Devnet) -> None:
    """The links that are still to come are the secret; logs hold none of them, nor the secret itself."""
    for node in net.nodes:
        logs = "".join([path.read_text(errors="replace") for path in node.home.log_folder.iterdir()]).lower()
        known = onions.read_secret(node.home)
        links = known.chains[0].stretch(known.chains[0].length - 1)[-600:-300]
        assert not any(each.hex() in logs for each in (known.secret, *links))


def test_a_chain_that_reveals_never_stands_still(tmp_path: Path) -> None:
    """Each reveal changes the app hash, after which CometBFT makes a block: `create_empty_blocks` has no say."""
    comet = {**QUICK, ("consensus", "create_empty_blocks"): False}
    with create(tmp_path / "net", OPERATORS[:1], comet) as alone:
        alone.wait_for_height(8)
        assert all(reveals for _, reveals, _ in heads(alone, 1, 8))
