"""Real validators: a key is rotated, one goes silent and comes back, half ask to leave at once, one signs twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.modules.governance import SetValidator
from abci_app.modules.members import GenesisPeer
from abci_app.modules.validators import AddBond, Apply, Leave, RotateKey, SetOwnPeers, Unjail, ValidatorStatus
from node import cometbft, rpc
from node.onions import read_secret
from node.own_validator import own_validator
from openledger_cli.validator.common import consensus_key_of
from openledger_cli.validator.keys import new_key_file
from tests.kit.integration.light_proxy import light_proxy
from tests.kit.integration.real_validators import RealValidators, full_node
from tests.kit.modules.consensus import BOND, OPERATORS
from tests.kit.repository import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
COUNT = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealValidators]:
    folder = tmp_path_factory.mktemp("validators")
    with RealValidators.running(folder / "net", COUNT, candidates=1) as world:
        newcomer = full_node(world.desk, world.net.nodes, folder / "newcomer", index=COUNT)
        world.net.nodes.append(newcomer)
        newcomer.start()
        yield world


def test_a_rotated_key_signs_from_the_second_block_on(world: RealValidators) -> None:
    operator, node = OPERATORS[0], world.net.nodes[0]
    old = world.address_of(node)
    path = new_key_file(node.home.validator_key_file)
    height = world.send(operator, RotateKey(consensus_key_of(path)))
    world.wait_for_height(height + 3)
    assert [old in world.signers(height + after) for after in (1, 2)] == [True, False]
    assert old in world.signatures(height + 1)
    node.stop()
    path.replace(node.home.validator_key_file)
    node.start()
    new = world.address_of(node)
    world.wait("a signature of the new key", lambda: new in world.signatures(world.height() - 1))
    assert world.signers(world.height())[new] == 10
    assert old not in world.signatures(world.height() - 1)


def test_who_goes_silent_is_jailed_and_comes_back(world: RealValidators) -> None:
    operator, node = OPERATORS[1], world.net.nodes[1]
    address = world.address_of(node)
    node.stop()
    world.wait("jail", lambda: world.validator(operator).status == ValidatorStatus.JAILED)
    jailed = world.validator(operator)
    assert (jailed.power, jailed.bond_nopen) == (0, BOND - BOND // 10_000)
    told = own_validator(world.desk.rpc_url, address)
    assert told.standing == f"jailed since height {jailed.jailed_height}, because it missed too many blocks"
    assert "openledger validator unjail` after adding 0.0001 OPEN to its bond" in told.owes
    node.start()
    world.wait_for_height(jailed.jailed_height + 10)
    height = world.send(operator, AddBond(BOND // 10_000), Unjail())
    world.wait_for_height(height + 3)
    assert world.signers(height + 2)[address] == 10
    world.wait("its signature", lambda: address in world.signatures(world.height() - 1))


def test_a_candidate_that_the_committee_admits_signs(world: RealValidators) -> None:
    operator, node = OPERATORS[COUNT], world.net.nodes[COUNT]
    world.wait("the newcomer to follow", lambda: node.height() >= world.height() - 2)
    onion = read_secret(node.home).chains[-1].onion
    world.send(operator, Apply(consensus_key_of(node.home.validator_key_file), onion, BOND))
    world.decide(1, SetValidator(operator.address, 10), voters=OPERATORS[1:COUNT])
    address = world.address_of(node)
    world.wait("its signature", lambda: address in world.signatures(world.height() - 1))
    assert (world.validator(operator).status, world.validator(operator).power) == (ValidatorStatus.ACTIVE, 10)


def test_half_the_set_asks_to_leave_at_once_and_the_stock_light_client_follows(
    world: RealValidators, tmp_path: Path
) -> None:
    before = world.signers(world.height())
    assert len(before) == COUNT + 1
    leaving = OPERATORS[:4]
    last = max([world.send(who, Leave()) for who in leaving])
    # In this epoch and the next, as far as the limits and four that stay permit.
    world.wait("three of four to leave", lambda: len(world.signers(world.height())) == 4)
    sets = [world.signers(height) for height in range(last, world.height())]
    assert all(len(each) >= 4 for each in sets)
    statuses = sorted([world.validator(who).status for who in leaving])
    assert statuses == [ValidatorStatus.LEAVING, *[ValidatorStatus.LEFT] * 3]
    with light_proxy(world.net, world.desk.rpc_url, tmp_path, witness=world.net.nodes[4].rpc_url) as url:
        tip = world.height() - 1
        proven = rpc.call(url, "commit", height=str(tip))["signed_header"]["header"]
        assert proven == world.desk.call("commit", height=str(tip))["signed_header"]["header"]


def test_who_signs_twice_is_slashed_and_removed_once(world: RealValidators) -> None:
    """A second process with its key signs; the node itself goes on as if nothing were."""
    operator, node = OPERATORS[4], world.net.nodes[4]
    address = world.address_of(node)
    place = str(world.height() - 1)
    for number in range(2):
        program = [sys.executable, "-m", "tests.kit.integration.double_signer", str(node.home.validator_key_file)]
        subprocess.run([*program, world.desk.rpc_url, place, str(number)], check=True, cwd=ROOT)
    world.wait("evidence", lambda: world.validator(operator).status == ValidatorStatus.TOMBSTONED)
    height, punished = world.height(), world.validator(operator)
    assert (punished.power, punished.bond_nopen) == (0, 0)
    assert [entry.amount_nopen for entry in punished.leaving] == [BOND - BOND // 10]
    world.wait_for_height(height + 4)
    assert address not in world.signers(height + 4)
    after = world.validator(operator)
    # Duties are counted on, and begin again with each epoch.
    assert (after.status, after.power, after.bond_nopen, after.leaving) == (
        punished.status, punished.power, punished.bond_nopen, punished.leaving,
    )  # fmt: skip


def test_a_live_validators_own_node_joins_a_closed_chain_and_a_stranger_is_turned_away(tmp_path: Path) -> None:
    listed = (GenesisPeer(node_id="0" * 40, name="nobody"),)
    with RealValidators.running(tmp_path / "net", 1, peers=listed) as world:
        (validator,) = world.net.nodes
        own, stranger = [full_node(validator, [validator], tmp_path / name) for name in ("own", "stranger")]
        world.send(OPERATORS[0], SetOwnPeers((cometbft.node_id(own.home),)))
        try:
            for node in (stranger, own):
                node.start()
            world.wait("the own node to follow", lambda: own.height() > 2)
            refusal = f"node {cometbft.node_id(stranger.home)} is not among this chain's peers"
            log = validator.home.log_folder / "cometbft.log"
            world.wait("the refusal", lambda: refusal in log.read_text())
            assert stranger.height() == 0
        finally:
            for node in (stranger, own):
                node.stop()
