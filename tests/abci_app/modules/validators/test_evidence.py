"""Double signing is punished once, whichever key of a validator signed, and never what nobody can be blamed for."""

import pytest

from abci_app.mechanisms import locks
from abci_app.module import TREASURY_ACCOUNT
from abci_app.modules.validators import AddBond, Leave, RotateKey, ValidatorStatus, bond_key, live_powers
from abci_app.modules.validators.records import LIST, VALIDATORS
from abci_app.pb import abci_pb2 as pb
from tests.kit.chain import replay
from tests.kit.modules.consensus import BOND, OPERATORS, Consensus, consensus_key
from tests.kit.signing import Key, Signer

FIRST, SECOND = OPERATORS[:2]
NEW_KEY = Key.named("a new consensus key").public
SLASHED = BOND // 10


@pytest.fixture
def world() -> Consensus:
    """Five validators of power 10, after four blocks."""
    world = Consensus.start([10] * 5)
    world.blocks(4)
    return world


def send(world: Consensus, who: Signer, *messages: object) -> pb.ResponseFinalizeBlock:
    raw = who.transaction(*messages, sequence=world.ledger.next_sequence(who))  # type: ignore[arg-type]
    response = world.block(raw)
    assert [result.code for result in response.tx_results] == [0], response.tx_results
    return response


def events(response: pb.ResponseFinalizeBlock) -> list[tuple[str, dict[str, str]]]:
    return [
        (event.type, {attribute.key: attribute.value for attribute in event.attributes}) for event in response.events
    ]


def status(world: Consensus, who: Signer) -> int:
    found = VALIDATORS.get(world.ledger.store, who.address)
    assert found is not None
    return found.status


def bond(world: Consensus, who: Signer) -> tuple[int, list[int]]:
    """What is bonded, and what leaves."""
    lock = locks.find(world.ledger.store, bond_key(who.address))
    return (lock.amount_nopen, [entry.amount_nopen for entry in lock.leaving]) if lock else (0, [])


def treasury(world: Consensus) -> int:
    return world.chain.account(TREASURY_ACCOUNT).balance_nopen


def test_who_signs_twice_loses_a_tenth_and_all_power_in_that_block(world: Consensus) -> None:
    before = treasury(world)
    world.accuse(consensus_key(0))
    response = world.block()
    operator = FIRST.address.hex()
    assert [each for each in events(response) if "validator" in each[0] or "power" in each[0]] == [
        ("validator_slashed", {"operator": operator, "why": "signed twice", "amount_nopen": str(SLASHED)}),
        ("validator_changed", {"operator": operator, "status": "tombstoned", "why": "signed twice"}),
        ("power_changed", {"operator": operator, "consensus_key": consensus_key(0).hex(), "power": "0"}),
    ]
    assert [(update.pub_key.ed25519, update.power) for update in response.validator_updates] == [(consensus_key(0), 0)]
    assert (status(world, FIRST), bond(world, FIRST)) == (ValidatorStatus.TOMBSTONED, (0, [BOND - SLASHED]))
    assert (treasury(world) - before, world.chain.violations()) == (SLASHED, [])
    listed = LIST.get(world.ledger.store)
    assert listed is not None
    assert FIRST.address not in listed.operators


def test_more_evidence_of_the_same_validator_changes_nothing(world: Consensus) -> None:
    for _ in range(3):
        world.accuse(consensus_key(0))
    world.block()
    for height in (2, 3, 4):
        world.accuse(consensus_key(0), height)
        assert [name for name, _ in events(world.block()) if "validator" in name] == []
    assert bond(world, FIRST) == (0, [BOND - SLASHED])


def test_evidence_on_a_rotated_key_finds_its_owner(world: Consensus) -> None:
    send(world, FIRST, RotateKey(NEW_KEY))
    world.blocks(3)
    world.accuse(consensus_key(0), world.height - 3)
    response = world.block()
    assert [(update.pub_key.ed25519, update.power) for update in response.validator_updates] == [(NEW_KEY, 0)]
    assert status(world, FIRST) == ValidatorStatus.TOMBSTONED


def test_evidence_on_who_has_left_takes_from_what_is_leaving(world: Consensus) -> None:
    send(world, FIRST, AddBond(BOND), Leave())
    assert (status(world, FIRST), bond(world, FIRST)) == (ValidatorStatus.LEFT, (0, [2 * BOND]))
    world.accuse(consensus_key(0))
    response = world.block()
    assert list(response.validator_updates) == []
    assert (status(world, FIRST), bond(world, FIRST)) == (ValidatorStatus.TOMBSTONED, (0, [2 * (BOND - SLASHED)]))
    assert world.chain.violations() == []


def test_evidence_that_nobody_can_be_blamed_for_is_ignored(world: Consensus) -> None:
    before = world.chain.state()
    world.accuse(Key.named("a stranger").public)
    world.accuse(consensus_key(0), height=-400_000, seconds=-(10**9))
    response = world.block()
    assert [name for name, _ in events(response) if "validator" in name] == []
    after = world.chain.state()
    changed = [key for key in after if before.get(key) != after[key]]
    assert [key for key in changed if not key.startswith(b"validators/duties/")] == []


@pytest.mark.parametrize(("blocks", "seconds"), [(400_001, 0), (0, 216_001), (400_000, 216_001), (400_001, 216_000)])
def test_evidence_counts_as_long_as_either_limit_of_unbonding_lasts(
    world: Consensus, blocks: int, seconds: int
) -> None:
    height = world.chain.next_height
    world.accuse(consensus_key(0), height - blocks, world.chain.seconds(height) - seconds)
    world.block()
    assert status(world, FIRST) == ValidatorStatus.TOMBSTONED


def test_who_signs_twice_alone_goes_on_until_somebody_else_is_there() -> None:
    world = Consensus.start([10])
    world.blocks(3)
    world.accuse(consensus_key(0))
    assert list(world.block().validator_updates) == []
    assert live_powers(world.ledger.store) == ((FIRST.address, 10),)
    assert world.chain.violations() == []
    world.blocks(5)


def test_two_in_one_block_are_both_punished_and_replay_agrees(world: Consensus) -> None:
    world.accuse(consensus_key(0))
    world.accuse(consensus_key(1))
    world.block()
    assert [status(world, who) for who in (FIRST, SECOND)] == [ValidatorStatus.TOMBSTONED] * 2
    assert len(live_powers(world.ledger.store)) == 3
    world.blocks(3)
    assert replay(world.chain) == world.chain.hashes
