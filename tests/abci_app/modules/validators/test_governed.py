"""Validators under governance: the committee of live validators admits a candidate, who signs, and removes another."""

from abci_app.modules.governance import CastVote, Propose, Scope, SetValidator, VoteChoice
from abci_app.modules.validators import Apply, ValidatorStatus
from abci_app.modules.validators.records import VALIDATORS, ValidatorsCode
from tests.kit.modules.consensus import BOND, OPERATORS, Consensus, consensus_key, onion
from tests.kit.signing import Signer

FIFTH = OPERATORS[4]
NEW_KEY = consensus_key("a fifth")


def send(world: Consensus, who: Signer, *messages: object) -> tuple[int, str]:
    raw = who.transaction(*messages, sequence=world.ledger.next_sequence(who))  # type: ignore[arg-type]
    (result,) = world.block(raw).tx_results
    return int(result.code), result.log


def propose(power: int, operator: bytes) -> Propose:
    return Propose(
        scope=Scope.COMMITTEE,
        object_id=b"",
        actions=(SetValidator(operator, power),),
        title="a validator",
        digest=b"",
        maximum_deposit_nopen=0,
    )


def decided(world: Consensus, number: int, power: int, operator: bytes, *voters: Signer) -> None:
    """More than two thirds of all power say yes."""
    assert send(world, OPERATORS[0], propose(power, operator)) == (0, "")
    for who in voters:
        assert send(world, who, CastVote(number, VoteChoice.YES)) == (0, "")
    world.blocks(2)


def test_a_candidate_that_the_committee_admits_signs_and_one_that_it_removes_goes() -> None:
    world = Consensus.start([10] * 4, candidates=1)
    world.block()
    assert send(world, FIFTH, Apply(NEW_KEY, bytes.fromhex(onion("fifth")), BOND)) == (0, "")
    decided(world, 1, 10, FIFTH.address, *OPERATORS[:3])
    found = VALIDATORS.get(world.ledger.store, FIFTH.address)
    assert found is not None
    assert (found.status, found.admitted, found.live) == (ValidatorStatus.ACTIVE, 10, 10)
    world.blocks(2)
    assert world.sets[world.height][NEW_KEY] == 10
    decided(world, 2, 0, OPERATORS[3].address, *OPERATORS[:3], FIFTH)
    world.blocks(2)
    assert consensus_key(3) not in world.sets[world.height]
    gone = VALIDATORS.get(world.ledger.store, OPERATORS[3].address)
    assert gone is not None
    assert gone.status == ValidatorStatus.LEFT
    assert world.chain.violations() == []


def test_who_is_no_validator_is_not_admitted_by_any_proposal() -> None:
    world = Consensus.start([10] * 4, candidates=1)
    world.block()
    code, log = send(world, OPERATORS[0], propose(10, FIFTH.address))
    assert (code, "is not a validator: it must apply first" in log) == (ValidatorsCode.NOT_A_VALIDATOR, True)
