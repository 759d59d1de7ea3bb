"""The committee: proposals of validators, objections, and what the committee may not do."""

from typing import Any

import pytest

from abci_app.accounts import show_address
from abci_app.bech32 import encode_id
from abci_app.mechanisms.freezes import FOREVER, FREEZES, Freezable, FreezesCode, FreezesPage, FreezesQuery
from abci_app.modules import members
from abci_app.modules.datanets.records import CreateDatanet
from abci_app.modules.governance import (
    AmendDatanet,
    AppointMember,
    CastVote,
    DryRunQuery,
    FreezeObject,
    GovernanceCode,
    NoteDown,
    ParameterChange,
    ProposalQuery,
    ProposalStatus,
    Propose,
    RaiseObjection,
    Scope,
    SetOwner,
    SetParameters,
    VoteChoice,
)
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.members import Role
from tests.kit.modules.drafts import FREE, contribute, new_id
from tests.kit.modules.hall import FREEZE, TIMELOCK, VOTING, Hall, make_committee, proposal_of
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA, EVE

APPOINT = AppointMember(member=EVE.address, roles=Role.BUILDER, name="Eve", organisation=0)
FEE = SetParameters("fees", (ParameterChange(0, 500),))


@pytest.fixture
def powers() -> dict[bytes, int]:
    """Alice, Bob and Carl validate with 10 each, Dora with 1."""
    return {ALICE.address: 10, BOB.address: 10, CARL.address: 10, DORA.address: 1}


@pytest.fixture
def hall(powers: dict[bytes, int], monkeypatch: pytest.MonkeyPatch) -> Hall:
    make_committee(monkeypatch, powers)
    return Hall.of_voters()


def test_more_than_two_thirds_of_all_power_act_in_the_next_block(hall: Hall) -> None:
    number = hall.propose(ALICE, APPOINT, scope=Scope.COMMITTEE)
    hall.vote(number, VoteChoice.YES, ALICE, BOB)
    assert hall.status(number) == ProposalStatus.VOTING
    # 20 of 31 are less than two thirds; a smaller vote makes them 21.
    hall.vote(number, VoteChoice.YES, DORA)
    assert hall.status(number) == ProposalStatus.TIMELOCK
    assert hall.violations() == []
    hall.wait(1)
    assert hall.status(number) == ProposalStatus.EXECUTED
    assert members.roles_of(hall.store, EVE.address) == Role.BUILDER
    assert hall.violations() == []


def test_a_third_against_ends_it(hall: Hall) -> None:
    number = hall.propose(ALICE, APPOINT, scope=Scope.COMMITTEE)
    hall.vote(number, VoteChoice.NO, BOB)
    assert hall.status(number) == ProposalStatus.VOTING
    hall.vote(number, VoteChoice.NO, DORA)
    assert hall.status(number) == ProposalStatus.REJECTED
    assert hall.violations() == []


def test_power_is_read_when_votes_are_counted(hall: Hall, powers: dict[bytes, int]) -> None:
    number = hall.propose(ALICE, APPOINT, scope=Scope.COMMITTEE)
    hall.vote(number, VoteChoice.YES, ALICE, BOB)
    powers[CARL.address] = 5
    view = hall.ask("governance", "proposal", ProposalQuery(number))
    assert (view.proposal.tally.yes, view.proposal.electorate) == (20, 26)
    hall.wait_until(hall.proposal(number).ends_height)
    assert hall.status(number) == ProposalStatus.TIMELOCK
    hall.wait(1)
    assert hall.status(number) == ProposalStatus.EXECUTED


def test_without_two_thirds_it_ends_with_its_votes(hall: Hall) -> None:
    number = hall.propose(ALICE, APPOINT, scope=Scope.COMMITTEE)
    hall.vote(number, VoteChoice.YES, ALICE)
    hall.wait(VOTING)
    assert hall.status(number) == ProposalStatus.REJECTED
    assert hall.violations() == []


def test_only_live_validators_say_yes_or_no_and_have_one_open(hall: Hall) -> None:
    eve = show_address(EVE.address)
    not_one = (GovernanceCode.NOT_A_VALIDATOR, f"{eve} is no live validator, which this is for")
    assert hall.refuse(EVE, proposal_of(APPOINT, scope=Scope.COMMITTEE)) == not_one
    number = hall.propose(ALICE, APPOINT, scope=Scope.COMMITTEE)
    assert hall.refuse(EVE, CastVote(number, VoteChoice.YES)) == not_one
    assert hall.refuse(BOB, CastVote(number, VoteChoice.ABSTAIN)) == (
        GovernanceCode.BAD_CHOICE,
        "the committee says yes or no: what does not say yes counts against it",
    )
    assert hall.refuse(ALICE, proposal_of(APPOINT, scope=Scope.COMMITTEE)) == (
        GovernanceCode.TOO_MANY_OF_ONE,
        "1 proposals of yours are open, which is as many as one may have: wait for one to end",
    )


def test_the_committee_touches_no_registrar_and_the_chain_does(
    powers: dict[bytes, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_committee(monkeypatch, powers)
    registrar = [{"address": EVE.address.hex(), "roles": ["registrar"], "name": "Eve"}]
    hall = Hall.of_voters(members=registrar)
    expected = (
        GovernanceCode.REGISTRAR_PROTECTED,
        "action 1: the committee makes, changes and removes no registrar: that takes a proposal of the chain",
    )
    makes = AppointMember(member=DORA.address, roles=Role.REGISTRAR, name="Dora", organisation=0)
    assert hall.refuse(ALICE, proposal_of(APPOINT, scope=Scope.COMMITTEE)) == expected
    assert hall.refuse(ALICE, proposal_of(makes, scope=Scope.COMMITTEE)) == expected
    hall.pass_and_execute(ALICE, APPOINT, makes)
    assert members.roles_of(hall.store, EVE.address) == Role.BUILDER
    assert members.roles_of(hall.store, DORA.address) == Role.REGISTRAR


# --- Freezes


def garden(hall: Hall) -> bytes:
    """Carl's DataNet."""
    hall.accept(CARL, RegisterTerms(FREE))
    net = new_id("datanet", CARL.address, hall.next_sequence(CARL))
    hall.accept(CARL, CreateDatanet("garden", "", terms_id_of(FREE), (), 1))
    return net


def test_a_freeze_of_the_committee_ends_by_itself_and_cannot_be_repeated_at_once(hall: Hall) -> None:
    net = garden(hall)
    freeze = FreezeObject(object_kind=Freezable.DATANET, object_id=net, until_height=FOREVER)
    number = hall.propose(ALICE, freeze, scope=Scope.COMMITTEE)
    hall.vote(number, VoteChoice.YES, ALICE, BOB, CARL)
    events = hall.chain.decide().events
    assert hall.status(number) == ProposalStatus.EXECUTED
    executed = hall.height
    changed = {each.key: each.value for event in events if event.type == "freeze_changed" for each in event.attributes}
    assert changed == {"object": net.hex(), "kind": "1", "until_height": str(executed + 1 + FREEZE)}
    until = executed + 1 + FREEZE
    assert hall.refuse(BOB, contribute(net, "rows")) == (
        FreezesCode.FROZEN,
        f"DataNet garden is frozen until height {until}: it takes no contributions, versions or runs",
    )
    again = proposal_of(freeze, scope=Scope.COMMITTEE)
    hall.wait_until(until - 1)
    assert hall.send(BOB, contribute(net, "rows")).code == 0
    assert hall.refuse(ALICE, again) == (
        FreezesCode.TOO_SOON_AGAIN,
        (
            f"action 1: the committee froze it at height {executed}, and can again from height {executed + 4 * FREEZE}"
            ": ask for a proposal of the chain"
        ),
    )
    hall.wait_until(executed + 4 * FREEZE - 1)
    assert hall.send(ALICE, again).code == 0
    assert hall.violations() == []


def test_the_chain_freezes_for_good_and_lifts_and_the_committee_lifts_only_its_own(hall: Hall) -> None:
    net = garden(hall)
    for_good = FreezeObject(object_kind=Freezable.DATANET, object_id=net, until_height=FOREVER)
    lift = FreezeObject(object_kind=Freezable.DATANET, object_id=net, until_height=0)
    assert hall.refuse(ALICE, proposal_of(lift)) == (
        FreezesCode.NOT_FROZEN,
        "action 1: it is not frozen: there is nothing to lift",
    )
    hall.pass_and_execute(ALICE, for_good)
    page = hall.ask("freezes", "list", FreezesQuery(0, b"", 10))
    freeze = FREEZES.get(hall.store, Freezable.DATANET, net)
    assert freeze is not None
    assert page == FreezesPage((freeze,), 0)
    refusals = [hall.refuse(ALICE, proposal_of(each, scope=Scope.COMMITTEE)) for each in (for_good, lift)]
    assert refusals == [
        (
            FreezesCode.FROZEN_BY_CHAIN,
            "action 1: the chain froze it for good, and the committee's freeze would end it",
        ),
        (FreezesCode.FROZEN_BY_CHAIN, "action 1: the chain froze it for good, and only the chain lifts that"),
    ]
    hall.pass_and_execute(ALICE, lift)
    number = hall.propose(ALICE, for_good, scope=Scope.COMMITTEE)
    hall.vote(number, VoteChoice.YES, ALICE, BOB, CARL)
    hall.wait(1)
    number = hall.propose(ALICE, lift, scope=Scope.COMMITTEE)
    hall.vote(number, VoteChoice.YES, ALICE, BOB, CARL)
    hall.wait(1)
    assert hall.status(number) == ProposalStatus.EXECUTED
    assert hall.refuse(ALICE, proposal_of(lift, scope=Scope.COMMITTEE))[0] == FreezesCode.NOT_FROZEN
    assert hall.violations() == []


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (Freezable.DATANET, f"DataNet {encode_id('oldata', bytes(32))}"),
        (Freezable.MODEL, f"model {encode_id('olmodel', bytes(32))}"),
        (Freezable.ENTRY, f"entry {encode_id('olrun', bytes(32))}"),
    ],
)
def test_what_does_not_exist_is_not_frozen(hall: Hall, kind: Freezable, shown: str) -> None:
    freeze = FreezeObject(object_kind=kind, object_id=bytes(32), until_height=FOREVER)
    assert hall.refuse(ALICE, proposal_of(freeze)) == (
        GovernanceCode.UNKNOWN_OBJECT,
        f"action 1: there is no {shown}",
    )


def test_contributors_cannot_decide_before_their_datanets_have_constitutions(hall: Hall) -> None:
    net = garden(hall)
    fields: dict[str, Any] = {
        "scope": Scope.DATANET,
        "actions": (SetOwner(ALICE.address),),
        "title": "ours",
        "digest": b"",
    }
    assert hall.refuse(ALICE, Propose(object_id=net, maximum_deposit_nopen=0, **fields)) == (
        GovernanceCode.NOT_YET,
        "DataNet garden has no constitution that lets its contributors decide: its owner does",
    )
    assert hall.refuse(ALICE, Propose(object_id=bytes(32), maximum_deposit_nopen=0, **fields)) == (
        GovernanceCode.UNKNOWN_OBJECT,
        f"there is no DataNet {encode_id('oldata', bytes(32))}",
    )
    dry = hall.ask("governance", "dry_run", DryRunQuery(Scope.DATANET, net, (AmendDatanet(bytes(32)),), hall.height))
    assert (dry.code, dry.text) == (
        GovernanceCode.NOT_YET,
        "action 1: AmendDatanet: no DataNet has a constitution yet, its owner decides",
    )


def test_a_freeze_that_is_past_is_refused(hall: Hall) -> None:
    net = garden(hall)
    freeze = FreezeObject(object_kind=Freezable.DATANET, object_id=net, until_height=3)
    assert hall.refuse(ALICE, proposal_of(freeze)) == (
        FreezesCode.ALREADY_PAST,
        "action 1: a freeze until height 3 would have ended: name a height to come",
    )


# --- Objections


def in_timelock(hall: Hall, *actions: object) -> int:
    number = hall.propose(EVE, *actions)  # type: ignore[arg-type]
    hall.vote(number, VoteChoice.YES, ALICE, BOB)
    hall.wait_until(hall.proposal(number).ends_height)
    assert hall.status(number) == ProposalStatus.TIMELOCK
    return number


def test_more_than_a_third_of_power_cancels_and_half_of_all_pass_over_it(hall: Hall) -> None:
    number = in_timelock(hall, FEE)
    assert hall.accept(ALICE, RaiseObjection(number)) == [
        ("objection_raised", {"operator": ALICE.address.hex(), "proposal": "1"})
    ]
    assert hall.status(number) == ProposalStatus.TIMELOCK
    hall.accept(DORA, RaiseObjection(number))
    assert hall.status(number) == ProposalStatus.CANCELLED
    assert hall.violations() == []
    hall.wait(TIMELOCK)
    again = in_timelock(hall, FEE)
    assert (hall.proposal(again).rules.objected_number, hall.proposal(again).unobjectionable) == (number, 1)
    assert hall.refuse(ALICE, RaiseObjection(again)) == (
        GovernanceCode.NO_OBJECTION_POSSIBLE,
        "proposal 2 passed over an objection already: nobody can object",
    )
    hall.wait_until(hall.proposal(again).executes_height)
    assert hall.status(again) == ProposalStatus.EXECUTED


def test_an_objection_is_passed_over_once(hall: Hall) -> None:
    """What was voted through against validators once is no standing permission to do it again and again."""
    number = in_timelock(hall, FEE)
    for who in (ALICE, DORA):
        hall.accept(who, RaiseObjection(number))
    first, second = hall.propose(EVE, FEE), hall.propose(EVE, FEE)
    for each in (first, second):
        hall.vote(each, VoteChoice.YES, ALICE, BOB)
    hall.wait_until(hall.proposal(second).ends_height)
    assert [hall.proposal(each).unobjectionable for each in (first, second)] == [1, 0]
    hall.wait_until(hall.proposal(second).executes_height)
    third = in_timelock(hall, FEE)
    assert (hall.proposal(third).rules.objected_number, hall.proposal(third).unobjectionable) == (0, 0)


def test_other_actions_or_too_few_votes_can_be_objected_to_again(hall: Hall) -> None:
    number = in_timelock(hall, FEE)
    for who in (ALICE, BOB):
        hall.accept(who, RaiseObjection(number))
    other = hall.propose(EVE, SetParameters("fees", (ParameterChange(0, 501),)))
    same = hall.propose(EVE, FEE)
    for each in (other, same):
        hall.vote(each, VoteChoice.YES, ALICE)
    # A third of all is a quorum, and less than a half.
    hall.wait_until(hall.proposal(same).ends_height)
    assert [hall.proposal(each).unobjectionable for each in (other, same)] == [0, 0]
    assert hall.status(same) == ProposalStatus.TIMELOCK
    hall.accept(ALICE, RaiseObjection(same))


def test_who_cannot_object_and_when(hall: Hall) -> None:
    assert hall.refuse(ALICE, RaiseObjection(9)) == (GovernanceCode.UNKNOWN_PROPOSAL, "there is no proposal 9")
    number = hall.propose(EVE, FEE)
    assert hall.refuse(ALICE, RaiseObjection(number)) == (
        GovernanceCode.NOT_IN_TIMELOCK,
        "proposal 1 is voting: validators object between passing and taking effect",
    )
    hall.vote(number, VoteChoice.YES, ALICE, BOB)
    hall.wait_until(hall.proposal(number).ends_height)
    assert hall.refuse(EVE, RaiseObjection(number))[0] == GovernanceCode.NOT_A_VALIDATOR
    hall.accept(DORA, RaiseObjection(number))
    assert hall.refuse(DORA, RaiseObjection(number)) == (
        GovernanceCode.ALREADY_OBJECTED,
        "you objected to proposal 1 already",
    )
    mild = in_timelock(hall, NoteDown("mild", b""))
    assert hall.refuse(ALICE, RaiseObjection(mild)) == (
        GovernanceCode.NO_OBJECTION_POSSIBLE,
        "proposal 2 is not critical: nobody can object",
    )
