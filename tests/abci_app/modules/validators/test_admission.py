"""Admission and removal, as proposals call them."""

import pytest

from abci_app.errors import Rejected
from abci_app.module import MAX_VALIDATOR_POWER, BlockContext, HookContext
from abci_app.modules.members import MEMBERS, Member
from abci_app.modules.validators import Apply, ValidatorStatus, live_powers, remove, set_admitted
from abci_app.modules.validators.records import ValidatorsCode
from abci_app.state.overlay import Overlay
from tests.abci_app.modules.validators.test_messages import (
    FIFTH,
    FIRST,
    NEW_KEY,
    NO_VALIDATOR,
    ONION,
    put,
    record,
    state,
    world,
)
from tests.kit.modules.consensus import BOND, Consensus
from tests.kit.modules.ledger import execute
from tests.kit.signing import CHAIN_ID, Signer

__all__ = ["state", "world"]


def hook_context(world: Consensus) -> HookContext:
    parameters = world.chain.application._context(world.height + 1, 0).parameters
    return HookContext(BlockContext(CHAIN_ID, world.height + 1, 0, parameters))


def test_a_proposal_admits_changes_and_removes(world: Consensus, state: Overlay) -> None:
    context = hook_context(world)
    execute(state, FIFTH, Apply(NEW_KEY, ONION, BOND), 2)
    set_admitted(state, context, FIFTH.address, 3)
    assert (record(state, FIFTH).status, record(state, FIFTH).admitted) == (ValidatorStatus.ACTIVE, 3)
    set_admitted(state, context, FIRST.address, 12)
    assert (record(state, FIRST).status, record(state, FIRST).admitted) == (ValidatorStatus.ACTIVE, 12)
    remove(state, context, FIRST.address)
    assert (record(state, FIRST).status, record(state, FIRST).admitted) == (ValidatorStatus.LEAVING, 0)
    assert len(context.events) == 3


def test_a_jailed_validator_gets_its_power_when_it_comes_back(world: Consensus, state: Overlay) -> None:
    put(state, FIRST, status=ValidatorStatus.JAILED)
    set_admitted(state, hook_context(world), FIRST.address, 7)
    assert (record(state, FIRST).status, record(state, FIRST).admitted) == (ValidatorStatus.JAILED, 7)


def test_a_proposal_that_cannot_be_is_refused(world: Consensus, state: Overlay) -> None:
    context = hook_context(world)

    def refused(who: Signer, power: int) -> tuple[int, str]:
        with pytest.raises(Rejected) as found:
            set_admitted(state, context, who.address, power) if power else remove(state, context, who.address)
        return found.value.code, found.value.text

    for power in (-1, MAX_VALIDATOR_POWER + 1):
        assert refused(FIRST, power) == (
            ValidatorsCode.POWER_OUT_OF_RANGE,
            f"power is {power}, must be 1 to {MAX_VALIDATOR_POWER}; 0 removes",
        )
    assert refused(FIFTH, 1) == refused(FIFTH, 0) == NO_VALIDATOR
    for status, code in ((4, ValidatorsCode.LEAVING), (5, ValidatorsCode.TOMBSTONED), (6, NO_VALIDATOR[0])):
        put(state, FIRST, status=status, admitted=0)
        assert refused(FIRST, 1)[0] == refused(FIRST, 0)[0] == code
    assert context.events == []


def test_members_that_are_members_no_longer_stay_validators(world: Consensus, state: Overlay) -> None:
    """Who may validate is for proposals to say, not for a registrar alone."""
    MEMBERS.set(state, FIRST.address, Member(FIRST.address, 1, "", 0, b""))
    MEMBERS.delete(state, FIRST.address)
    assert dict(live_powers(state))[FIRST.address] == 10
