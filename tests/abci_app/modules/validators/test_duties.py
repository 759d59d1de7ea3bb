"""Duties: who was away is jailed at the tick, within the limits, comes back, or is removed."""

import pytest

from abci_app.mechanisms import locks
from abci_app.mechanisms.module import DueQuery
from abci_app.module import FEES_ACCOUNT, TREASURY_ACCOUNT, BlockContext, HookContext
from abci_app.modules.validators import (
    AddBond,
    RotateKey,
    SetOnion,
    Unjail,
    ValidatorStatus,
    bond_key,
    consensus_address,
    live_powers,
)
from abci_app.modules.validators.duties import REMOVAL, deeds_by_operator, end_epoch
from abci_app.modules.validators.powers import update_powers
from abci_app.modules.validators.records import DUTIES, VALIDATORS, Duty, JailReason, ValidatorRecord, ValidatorSlashed
from abci_app.modules.validators.revealing import REVEALERS
from abci_app.state.overlay import Overlay
from abci_app.types import PPB
from tests.kit.chain import Chain, replay
from tests.kit.modules.consensus import BOND, OPERATORS, QUICK, Consensus, consensus_key, onion
from tests.kit.modules.ledger import Ledger, ask
from tests.kit.signing import CHAIN_ID, Key, Signer

FIRST = OPERATORS[0]
NEW_KEY = Key.named("a new consensus key").public
# A ten-thousandth of a bond.
DOWNTIME = BOND // 10_000


def record(world: Consensus, who: Signer) -> ValidatorRecord:
    found = VALIDATORS.get(world.ledger.store, who.address)
    assert found is not None
    return found


def statuses(world: Consensus) -> list[int]:
    return [record(world, who).status for who in OPERATORS[: len(world.sets[1])]]


def send(world: Consensus, who: Signer, *messages: object) -> int:
    raw = who.transaction(*messages, sequence=world.ledger.next_sequence(who))  # type: ignore[arg-type]
    (result,) = world.block(raw).tx_results
    return int(result.code)


def hook_context(world: Consensus, height: int) -> HookContext:
    parameters = world.chain.application._context(world.height + 1, 0).parameters
    return HookContext(BlockContext(CHAIN_ID, height, 0, parameters))


def test_every_block_counts_its_last_commit_and_its_proposer() -> None:
    world = Consensus.start([10, 20])
    world.block(proposer=consensus_key(0))
    world.absent = [consensus_key(1)]
    world.block(proposer=consensus_key(0))
    world.block(proposer=consensus_key(0))
    world.absent = []
    world.block(proposer=consensus_key(1))
    duties = DUTIES.get(world.ledger.store)
    assert duties is not None
    rows = {each.address: each for each in duties.duties}
    assert rows == {
        consensus_address(consensus_key(0)): Duty(
            address=consensus_address(consensus_key(0)), signed_power=30, missed=0, proposed=3, silent=0
        ),
        consensus_address(consensus_key(1)): Duty(
            address=consensus_address(consensus_key(1)), signed_power=20, missed=2, proposed=1, silent=0
        ),
    }


def test_who_misses_more_than_half_of_an_epoch_is_jailed_and_slashed_at_the_tick() -> None:
    world = Consensus.start([10] * 5)
    world.until_tick()
    before = world.chain.account(TREASURY_ACCOUNT).balance_nopen
    world.absent = [consensus_key(0)]
    world.until_tick()
    found = record(world, FIRST)
    assert (found.status, found.jailed_for, found.jailed_height) == (ValidatorStatus.JAILED, 1, world.height)
    assert (found.live, found.admitted, found.removal_height) == (0, 10, world.height + 10_000)
    assert locks.amount_of(world.ledger.store, bond_key(FIRST.address)) == BOND - DOWNTIME
    assert world.chain.account(TREASURY_ACCOUNT).balance_nopen - before == DOWNTIME
    assert consensus_key(0) not in world.sets[world.height + 2]
    assert world.chain.violations() == []
    assert replay(world.chain) == world.chain.hashes


def test_who_misses_exactly_half_stays() -> None:
    world = Consensus.start([10] * 5)
    world.until_tick()
    world.absent = [consensus_key(0)]
    world.blocks(5)
    world.absent = []
    world.until_tick()
    assert statuses(world) == [ValidatorStatus.ACTIVE] * 5


def test_a_jailed_validator_comes_back() -> None:
    world = Consensus.start([10] * 5)
    world.until_tick()
    world.absent = [consensus_key(0)]
    world.until_tick()
    jailed_height = world.height
    world.absent = []
    assert send(world, FIRST, AddBond(DOWNTIME), Unjail()) == 309
    while world.height < jailed_height + 9:
        world.block()
    assert send(world, FIRST, AddBond(DOWNTIME), Unjail()) == 0
    assert statuses(world) == [ValidatorStatus.ACTIVE] * 5
    assert world.sets[world.height + 2][consensus_key(0)] == 10
    world.until_tick()
    world.until_tick()
    assert statuses(world) == [ValidatorStatus.ACTIVE] * 5


@pytest.mark.parametrize("count", [2, 4])
def test_nobody_is_jailed_where_fewer_than_four_would_stay(count: int) -> None:
    world = Consensus.start([10] * count)
    world.absent = [consensus_key(0)]
    for _ in range(3):
        world.until_tick()
    assert statuses(world) == [ValidatorStatus.ACTIVE] * count


def test_a_restart_after_a_stop_jails_nobody_in_mass() -> None:
    """Seven are away for most of an epoch's blocks, which a set told earlier made: at most a third goes."""
    world = Consensus.start([10] * 10)
    world.until_tick()
    world.absent = [consensus_key(number) for number in range(7)]
    world.blocks(8)
    world.absent = []
    world.until_tick()
    assert sorted(statuses(world)) == [2] * 8 + [3] * 2 or sorted(statuses(world)) == [2] * 7 + [3] * 3
    assert sum([power for _, power in live_powers(world.ledger.store)]) >= 100 - 33


def test_absences_count_under_all_keys_of_a_validator() -> None:
    world = Consensus.start([10] * 5)
    world.until_tick()
    world.absent = [consensus_key(0), NEW_KEY]
    world.blocks(3)
    assert send(world, FIRST, RotateKey(NEW_KEY)) == 0
    world.blocks(3)
    deeds = deeds_by_operator(world.ledger.store)[FIRST.address]
    duties = DUTIES.get(world.ledger.store)
    assert duties is not None
    both = [each.missed for each in duties.duties if each.missed]
    assert (len(both), sum(both)) == (2, deeds.missed)
    world.until_tick()
    assert record(world, FIRST).status == ValidatorStatus.JAILED


def test_who_proposes_without_revealing_is_jailed_at_the_tick() -> None:
    """Of two that have onions and never reveal, one proposes three blocks of the epoch and the other two."""
    world = Consensus.start([10] * 6)
    world.until_tick()
    for number in (0, 1):
        assert send(world, OPERATORS[number], SetOnion(bytes.fromhex(onion(number)))) == 0
    world.until_tick()
    for number in (0, 0, 0, 1, 1, 2, 3, 4, 5, 5):
        world.block(proposer=consensus_key(number))
    deeds = deeds_by_operator(world.ledger.store)
    assert statuses(world) == [3, 2, 2, 2, 2, 2]
    assert record(world, FIRST).jailed_for == JailReason.SILENT
    assert locks.amount_of(world.ledger.store, bond_key(FIRST.address)) == BOND - DOWNTIME
    assert [each.silent for each in deeds.values() if each.silent] == []


def test_silence_while_a_draw_waits_is_fined_from_the_bond() -> None:
    world = Consensus.start([10] * 5)
    world.block()
    state, context = Overlay(world.ledger.store), hook_context(world, 2)
    REVEALERS.fine(state, context, FIRST.address, 7)
    assert REVEALERS.bond_nopen(state, FIRST.address) == BOND - 7
    assert REVEALERS.owner_of(state, consensus_address(consensus_key(0))) == FIRST.address
    assert REVEALERS.owner_of(state, bytes(20)) is None
    assert context.events == [ValidatorSlashed(FIRST.address, "was silent while a draw waited", 7)]


def test_a_bond_below_half_jails_without_another_slash() -> None:
    """Fines of other rules take it there; here a slash by hand, in the state before the tick."""
    world = Consensus.start([10] * 6)
    world.blocks(3)
    state = Overlay(world.ledger.store)
    for who, part_ppb in ((FIRST, PPB // 2 + 1), (OPERATORS[1], PPB // 2)):
        locks.slash(state, bond_key(who.address), part_ppb, [(TREASURY_ACCOUNT, PPB)])
    before = locks.amount_of(state, bond_key(FIRST.address))
    end_epoch(state, hook_context(world, 11))
    found = VALIDATORS.get(state, FIRST.address)
    other = VALIDATORS.get(state, OPERATORS[1].address)
    assert found is not None
    assert other is not None
    assert (found.status, found.jailed_for, other.status) == (ValidatorStatus.JAILED, JailReason.BOND, 2)
    assert locks.amount_of(state, bond_key(FIRST.address)) == before


def test_who_is_jailed_too_long_is_removed_and_its_bond_leaves() -> None:
    world = Consensus.start([10] * 5)
    world.until_tick()
    world.absent = [consensus_key(0)]
    world.until_tick()
    removal = record(world, FIRST).removal_height
    due = ask(world.chain.application.store.latest(), "deadlines", "due", DueQuery(0, removal))
    assert [(each.kind, each.object) for each in due.deadlines] == [(5, FIRST.address)]
    state, context = Overlay(world.ledger.store), hook_context(world, removal)
    assert REMOVAL.due_height(state, FIRST.address, 0) == removal
    REMOVAL.handler(state, context, FIRST.address, 0)
    assert REMOVAL.due_height(state, FIRST.address, 0) is None
    update_powers(state, context)
    lock = locks.find(state, bond_key(FIRST.address))
    found = VALIDATORS.get(state, FIRST.address)
    assert found is not None
    assert lock is not None
    assert (found.status, lock.amount_nopen) == (ValidatorStatus.LEFT, 0)
    assert [entry.amount_nopen for entry in lock.leaving] == [BOND - DOWNTIME]


def test_fees_are_shared_by_power_times_signed_blocks() -> None:
    """Half of them, to who signed; the other half and nothing else to the treasury."""
    fees = {"fee_per_byte_nopen": 1_000, "fee_per_weight_nopen": 0}
    world = Consensus.start([10, 30], parameters={**QUICK, "fees": fees})
    world.blocks(2)
    assert send(world, FIRST, AddBond(1)) == 0
    before = [world.chain.account(who.address).balance_nopen for who in OPERATORS[:2]]
    treasury = world.chain.account(TREASURY_ACCOUNT).balance_nopen
    paid = world.chain.account(FEES_ACCOUNT).balance_nopen
    world.absent = [consensus_key(0)]
    world.block()
    world.absent = []
    world.until_tick()
    # The tick of block 11 has counted the commits of blocks 1 to 9, one of which lacks the first.
    half, signed = paid // 2, [10 * 8, 30 * 9]
    shares = [half * each // sum(signed) for each in signed]
    rests = [half * each % sum(signed) for each in signed]
    shares[rests.index(max(rests))] += half - sum(shares)
    after = [world.chain.account(who.address).balance_nopen for who in OPERATORS[:2]]
    assert [now - then for now, then in zip(after, before, strict=True)] == shares
    assert world.chain.account(TREASURY_ACCOUNT).balance_nopen - treasury == paid - paid // 2
    assert world.chain.account(FEES_ACCOUNT).balance_nopen == 0


def test_a_validator_without_operator_is_neither_jailed_nor_paid() -> None:
    """A chain whose document names no operators goes on as before, until a proposal removes one."""
    signers = {consensus_key(number): 10 for number in range(5)}
    chain = Chain.start({}, signers=signers, parameters=QUICK)
    world = Consensus(Ledger(chain), {1: signers, 2: signers})
    world.absent = [consensus_key(0)]
    for _ in range(3):
        world.until_tick()
    assert [validator.status for _, validator in VALIDATORS.iterate(world.ledger.store)] == [2] * 5
    assert world.chain.violations() == []


def test_reasons_are_numbered_for_ever() -> None:
    assert [int(reason) for reason in JailReason] == [0, 1, 2, 3]
