"""Questions about validators, each proven and asked again of the proof, and invariants that find what is wrong."""

from typing import Any

import pytest
from msgspec import structs

from abci_app.errors import Code
from abci_app.mechanisms import locks
from abci_app.modules.validators import RotateKey, SetOwnPeers, ValidatorStatus, ValidatorView, consensus_address
from abci_app.modules.validators.invariants import (
    bonds_belong_to_validators,
    duties_are_of_known_keys,
    list_is_complete,
    records_are_consistent,
    tombstoned_have_no_power,
)
from abci_app.modules.validators.queries import (
    TurnoverQuery,
    TurnoverView,
    ValidatorListQuery,
    ValidatorListView,
    ValidatorQuery,
    ValidatorRow,
)
from abci_app.modules.validators.records import (
    DUTIES,
    LIST,
    VALIDATORS,
    Duties,
    Duty,
    JailReason,
    ValidatorList,
)
from abci_app.state.overlay import Overlay
from tests.kit.modules.consensus import BOND, OPERATORS, Consensus, consensus_key
from tests.kit.modules.ledger import ask
from tests.kit.signing import Key

FIRST = OPERATORS[0]
NEW_KEY = Key.named("a new consensus key").public
NODE = "01" * 20


@pytest.fixture
def world() -> Consensus:
    """Four validators; the second was away in one block."""
    world = Consensus.start([10] * 4)
    world.block(proposer=consensus_key(0))
    world.absent = [consensus_key(1)]
    world.block(proposer=consensus_key(0))
    world.absent = []
    world.block(proposer=consensus_key(0))
    return world


def question(world: Consensus, name: str, args: Any) -> Any:
    with world.chain.application.store.latest() as version:
        return ask(version, "validators", name, args)


def test_one_validator_by_its_operator_or_by_any_key_that_it_had(world: Consensus) -> None:
    raw = FIRST.transaction(RotateKey(NEW_KEY), SetOwnPeers((NODE,)), sequence=0)
    assert [result.code for result in world.block(raw, proposer=consensus_key(0)).tx_results] == [0]
    expected = ValidatorView(
        operator=FIRST.address,
        status=ValidatorStatus.ACTIVE,
        consensus_key=NEW_KEY,
        consensus_address=consensus_address(NEW_KEY),
        power=10,
        admitted=10,
        bond_nopen=BOND,
        leaving=(),
        missed=0,
        proposed=4,
        silent=0,
        rotated_height=4,
        jailed_for=JailReason.NONE,
        jailed_height=0,
        removal_height=0,
        worker_key=b"",
        box_key=b"",
        capabilities=0,
        own_peers=(NODE,),
    )
    keys = (b"", consensus_address(consensus_key(0)), consensus_address(NEW_KEY))
    operators = (FIRST.address, b"", b"")
    for operator, address in zip(operators, keys, strict=True):
        assert question(world, "validator", ValidatorQuery(operator, address)) == expected


def test_a_validator_that_is_none_is_told(world: Consensus) -> None:
    nobody = bytes(range(32))
    assert question(world, "validator", ValidatorQuery(nobody, b"")) == (
        Code.NOT_FOUND,
        f"no validator {nobody.hex()}: see `openledger validator list`",
    )
    assert question(world, "validator", ValidatorQuery(b"", nobody[:20])) == (
        Code.NOT_FOUND,
        f"no validator ever had consensus address {nobody[:20].hex()}",
    )
    for args in (ValidatorQuery(b"", b""), ValidatorQuery(nobody, nobody[:20])):
        assert question(world, "validator", args) == (
            Code.BAD_QUERY,
            "name a validator by its operator or by its consensus address, not by both",
        )


def test_all_validators_with_what_they_missed(world: Consensus) -> None:
    rows = {
        who.address: ValidatorRow(
            operator=who.address,
            status=ValidatorStatus.ACTIVE,
            consensus_key=consensus_key(number),
            power=10,
            admitted=10,
            bond_nopen=BOND,
            missed=int(number == 1),
            silent=0,
        )
        for number, who in enumerate(OPERATORS[:4])
    }
    listed = LIST.get(world.ledger.store)
    assert listed is not None
    expected = ValidatorListView(tuple([rows[operator] for operator in listed.operators]))
    assert question(world, "list", ValidatorListQuery()) == expected


def test_how_much_power_an_epoch_may_move(world: Consensus) -> None:
    expected = TurnoverView(epoch=0, power_total=40, lost=0, gained=0, limit=13, live=4)
    assert question(world, "turnover", TurnoverQuery()) == expected
    world.block(FIRST.transaction(RotateKey(NEW_KEY), sequence=0))
    assert question(world, "turnover", TurnoverQuery()) == structs.replace(expected, lost=10, gained=10)


# --- Invariants


def broken(world: Consensus, **values: Any) -> Overlay:
    """The state with the first validator's record changed."""
    state = Overlay(world.ledger.store)
    found = VALIDATORS.get(state, FIRST.address)
    assert found is not None
    VALIDATORS.set(state, FIRST.address, structs.replace(found, **values))
    return state


def test_a_sound_state_breaks_nothing(world: Consensus) -> None:
    assert world.chain.violations() == []


def test_what_is_wrong_with_the_list_is_found(world: Consensus) -> None:
    hexed = FIRST.address.hex()
    assert list_is_complete(broken(world, status=6)) == [f"{hexed} has left and is listed"]
    state = Overlay(world.ledger.store)
    listed = LIST.get(state)
    assert listed is not None
    LIST.set(state, ValidatorList(tuple([each for each in listed.operators if each != FIRST.address])))
    assert list_is_complete(state) == [
        f"{hexed} has status 2 and is not listed",
        f"{hexed} is not listed and has power 10",
    ]
    assert bonds_belong_to_validators(state) == [f"{hexed} has a bond of {BOND} nopen and is not listed"]
    LIST.set(state, ValidatorList((*listed.operators, FIRST.address, bytes(32))))
    assert list_is_complete(state) == [f"{bytes(32).hex()} is listed and has no record", "a validator is listed twice"]


def test_what_is_wrong_with_a_record_is_found(world: Consensus) -> None:
    hexed = FIRST.address.hex()
    for values, fault in (
        ({"consensus_key": bytes(32)}, "its consensus key is not listed as its own"),
        ({"retiring_key": bytes(32)}, "a rotated key was not told to CometBFT"),
        ({"removal_height": 7}, "it has a date of removal or a reason for jail that do not fit its status"),
        ({"status": 4}, "status 4 has an admitted power of 10"),
        ({"admitted": 0}, "it is active without an admitted power"),
    ):
        assert records_are_consistent(broken(world, **values)) == [f"{hexed}: {fault}"]
    state = broken(world, status=5, admitted=0)
    assert tombstoned_have_no_power(state) == [f"{hexed} signed twice and has power"]


def test_what_is_wrong_with_duties_is_found(world: Consensus) -> None:
    state = Overlay(world.ledger.store)
    stranger = Duty(address=bytes(20), signed_power=1, missed=0, proposed=0, silent=0)
    stored = DUTIES.get(state)
    assert stored is not None
    DUTIES.set(state, Duties((*stored.duties, stranger)))
    assert duties_are_of_known_keys(state) == [
        f"duties of {bytes(20).hex()}, nobody's key",
        "duties are not in order, or two rows are of one key",
    ]


def test_cometbft_knows_what_validators_have(world: Consensus) -> None:
    assert "chain" not in str(world.chain.violations())
    assert locks.amount_of(world.ledger.store, locks.LockKey(2, bytes(32), FIRST.address)) == BOND
