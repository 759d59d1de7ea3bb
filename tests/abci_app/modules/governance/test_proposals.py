"""Proposals of the chain: from submission to their end, deposits, limits, extension."""

from typing import Any

import pytest

from abci_app.accounts import get_account, show_address
from abci_app.chain.chain_module import FEE_PER_BYTE
from abci_app.chain.registry import parameters_of
from abci_app.errors import Code
from abci_app.mechanisms import locks
from abci_app.module import TREASURY_ACCOUNT
from abci_app.modules.bank import Burn
from abci_app.modules.governance import (
    AppointMember,
    BallotQuery,
    CancelUpgrade,
    CastVote,
    GovernanceCode,
    LockGopen,
    NoteDown,
    OpenQuery,
    ParameterChange,
    ProposalQuery,
    ProposalsQuery,
    ProposalStatus,
    Propose,
    RetryStuck,
    Scope,
    SetOwner,
    SetParameters,
    Spend,
    Tally,
    UnlockGopen,
    VoteChoice,
    gopen_key,
)
from abci_app.modules.governance.records import Ballot, OpenProposal, OpenProposals
from abci_app.modules.members import Role
from tests.kit.modules.hall import EPOCH, HALL_FUNDS, OPEN, TIMELOCK, VOTING, Hall, proposal_of
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA, EVE

NOTE = NoteDown("let it be known", b"")
FEE = SetParameters("fees", (ParameterChange(0, 500),))


@pytest.fixture
def hall() -> Hall:
    """Alice, Bob and Carl vote with 100 OPEN each."""
    return Hall.of_voters()


def treasury(hall: Hall) -> int:
    return get_account(hall.store, TREASURY_ACCOUNT).balance_nopen


def test_a_fee_changes_from_proposal_to_effect(hall: Hall) -> None:
    events = hall.accept(DORA, proposal_of(FEE))
    submitted = hall.height
    assert events == [
        (
            "proposal_changed",
            {"proposal": "1", "status": "voting", "why": f"votes are taken until height {submitted + VOTING}"},
        )
    ]
    assert hall.chain.balance(DORA) == HALL_FUNDS - OPEN
    assert hall.accept(ALICE, CastVote(1, VoteChoice.YES)) == [
        ("vote_taken", {"voter": ALICE.address.hex(), "proposal": "1", "choice": "1", "power": str(100 * OPEN)})
    ]
    hall.vote(1, VoteChoice.YES, BOB)
    assert hall.ask("governance", "ballot", BallotQuery(1, BOB.address)) == Ballot(VoteChoice.YES, 100 * OPEN)
    assert hall.violations() == []
    hall.wait_until(submitted + VOTING)
    assert hall.status(1) == ProposalStatus.TIMELOCK
    assert hall.violations() == []
    executes = hall.proposal(1).executes_height
    assert executes == submitted + VOTING + TIMELOCK
    hall.wait_until(executes - 1)
    assert fee(hall) == 0
    hall.wait(1)
    assert (hall.status(1), fee(hall)) == (ProposalStatus.EXECUTED, 500)
    assert hall.chain.balance(DORA) == HALL_FUNDS
    assert hall.violations() == []
    # Blocks are judged by what the block before them left.
    result = hall.send(ALICE, Burn(1))
    assert result.code == 0
    assert hall.chain.balance(ALICE) < HALL_FUNDS - 100 * OPEN - 1


def fee(hall: Hall) -> int:
    parameters = parameters_of(hall.store)
    assert parameters is not None
    return parameters[FEE_PER_BYTE]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {0: 10**7},
            "action 1: fees.fee_per_byte_nopen is 10000000, must be 0 to 1,000,000 nopen (0.001 OPEN)",
        ),
        ({9: 1}, "action 1: fees has no parameter with index 9"),
    ],
)
def test_a_proposal_that_breaks_a_limit_is_refused_with_the_limit_named(
    hall: Hall, changes: dict[int, int], text: str
) -> None:
    action = SetParameters("fees", tuple([ParameterChange(index, value) for index, value in changes.items()]))
    assert hall.refuse(DORA, proposal_of(action)) == (GovernanceCode.PARAMETER_REFUSED, text)
    assert hall.newest == 0


def test_parameters_that_depend_on_each_other_are_refused_together(hall: Hall) -> None:
    action = SetParameters("governance", (ParameterChange(0, 1_000),))
    code, text = hall.refuse(DORA, proposal_of(action))
    assert (code, text) == (
        GovernanceCode.PARAMETER_REFUSED,
        (
            "action 1: governance.unlock_blocks is 40, must be at least 1,260: 5/4 of governance.voting_blocks and "
            "governance.timelock_blocks together"
        ),
    )
    several = SetParameters("governance", (ParameterChange(0, 1_000), ParameterChange(2, 1_260)))
    assert hall.refuse(DORA, proposal_of(several)) == (
        GovernanceCode.PARAMETER_REFUSED,
        (
            "action 1: 5/4 of governance.voting_blocks is more than 62 epochs: epochs.epoch_blocks is 10, must be at "
            "least 21"
        ),
    )
    both = (SetParameters("epochs", (ParameterChange(0, 21),)), several)
    assert hall.status(hall.propose(DORA, *both)) == ProposalStatus.VOTING


def test_a_later_vote_takes_the_place_of_an_earlier_one(hall: Hall) -> None:
    number = hall.propose(DORA, NOTE)
    hall.vote(number, VoteChoice.YES, ALICE, BOB)
    hall.vote(number, VoteChoice.VETO, BOB)
    hall.vote(number, VoteChoice.ABSTAIN, BOB)
    assert hall.proposal(number).tally == Tally(yes=100 * OPEN, no=0, abstain=100 * OPEN, veto=0)
    assert hall.violations() == []


def test_a_changed_vote_counts_with_what_is_left(hall: Hall) -> None:
    number = hall.propose(DORA, NOTE)
    hall.vote(number, VoteChoice.YES, ALICE)
    hall.accept(ALICE, UnlockGopen(40 * OPEN))
    assert hall.proposal(number).tally.yes == 100 * OPEN
    hall.vote(number, VoteChoice.NO, ALICE)
    assert hall.proposal(number).tally == Tally(yes=0, no=60 * OPEN, abstain=0, veto=0)


@pytest.mark.parametrize(
    ("votes", "status", "keeps_deposit"),
    [
        ([], ProposalStatus.REJECTED, False),
        ([VoteChoice.NO, VoteChoice.NO], ProposalStatus.REJECTED, True),
        ([VoteChoice.VETO, VoteChoice.YES], ProposalStatus.VETOED, False),
        ([VoteChoice.YES, VoteChoice.NO], ProposalStatus.REJECTED, True),
    ],
)
def test_a_deposit_comes_back_unless_vetoed_or_without_a_quorum(
    hall: Hall, votes: list[VoteChoice], status: ProposalStatus, keeps_deposit: bool
) -> None:
    number = hall.propose(DORA, NOTE)
    for voter, choice in zip((ALICE, BOB), votes, strict=False):
        hall.vote(number, choice, voter)
    before = treasury(hall)
    hall.wait_until(hall.proposal(number).ends_height)
    assert hall.status(number) == status
    assert hall.chain.balance(DORA) == HALL_FUNDS - (0 if keeps_deposit else OPEN)
    assert treasury(hall) == before + (0 if keeps_deposit else OPEN)
    assert hall.ask("governance", "open", OpenQuery(Scope.CHAIN, b"")) == OpenProposals(())
    assert hall.violations() == []


def test_critical_actions_need_two_thirds(hall: Hall) -> None:
    number = hall.propose(DORA, FEE)
    hall.vote(number, VoteChoice.YES, ALICE)
    hall.vote(number, VoteChoice.NO, BOB)
    hall.accept(CARL, CastVote(number, VoteChoice.YES))
    hall.wait_until(hall.proposal(number).ends_height)
    assert hall.status(number) == ProposalStatus.TIMELOCK
    # 200 of 360 is a majority and no two thirds.
    hall.accept(EVE, LockGopen(160 * OPEN))
    hall.wait_until(hall.height + EPOCH)
    other = hall.propose(DORA, FEE)
    hall.vote(other, VoteChoice.YES, ALICE, BOB)
    hall.vote(other, VoteChoice.NO, EVE)
    hall.wait_until(hall.proposal(other).ends_height)
    assert hall.status(other) == ProposalStatus.REJECTED


def test_a_late_vote_that_turns_the_outcome_extends_once(hall: Hall) -> None:
    number = hall.propose(DORA, NOTE)
    ends = hall.proposal(number).ends_height
    hall.vote(number, VoteChoice.YES, ALICE)
    hall.wait_until(ends - 2)
    hall.vote(number, VoteChoice.NO, BOB)
    assert (hall.proposal(number).ends_height, hall.proposal(number).extended) == (ends + VOTING // 4, 1)
    # The first deadline is stale now, and a second turn extends no more.
    hall.wait_until(ends)
    assert hall.status(number) == ProposalStatus.VOTING
    assert hall.violations() == []
    hall.wait_until(ends + VOTING // 4 - 1)
    hall.vote(number, VoteChoice.YES, CARL)
    assert hall.status(number) == ProposalStatus.TIMELOCK


def test_a_late_vote_that_turns_nothing_extends_nothing(hall: Hall) -> None:
    number = hall.propose(DORA, NOTE)
    ends = hall.proposal(number).ends_height
    hall.vote(number, VoteChoice.YES, ALICE)
    hall.wait_until(ends - 1)
    hall.vote(number, VoteChoice.YES, BOB)
    assert hall.status(number) == ProposalStatus.TIMELOCK


def test_what_was_possible_at_submission_and_is_not_when_due_fails_whole(hall: Hall) -> None:
    half = hall.ask("governance", "proposals", ProposalsQuery(0, 10))
    assert half.proposals == ()
    left = treasury(hall) * 5_000_000 // 10**9
    spend = Spend(EVE.address, left - OPEN)
    first, second = hall.propose(DORA, spend), hall.propose(DORA, NoteDown("before", b""), FEE, spend)
    for number in (first, second):
        hall.vote(number, VoteChoice.YES, ALICE, BOB)
    hall.wait_until(hall.proposal(second).ends_height)
    hall.wait_until(hall.proposal(second).executes_height)
    assert (hall.status(first), hall.status(second)) == (ProposalStatus.EXECUTED, ProposalStatus.FAILED)
    assert (fee(hall), hall.chain.balance(EVE), hall.chain.balance(DORA)) == (0, HALL_FUNDS + left - OPEN, HALL_FUNDS)
    assert hall.violations() == []


def test_open_proposals_are_few_and_dearer_with_every_eight() -> None:
    hall = Hall.of_voters()
    people = (ALICE, BOB, CARL, DORA, EVE)
    for count in range(9):
        hall.propose(people[count // 2], NOTE)
    assert [hall.proposal(number).deposit_nopen for number in (1, 8, 9)] == [OPEN, OPEN, 2 * OPEN]
    assert hall.refuse(EVE, proposal_of(NOTE, maximum_deposit_nopen=OPEN)) == (
        GovernanceCode.DEPOSIT_ABOVE_LIMIT,
        f"the deposit is {2 * OPEN} nopen with 9 open proposals, you agreed to {OPEN}: agree to more, or wait",
    )
    for _ in range(2):
        hall.propose(ALICE, NOTE)
    assert hall.refuse(ALICE, proposal_of(NOTE)) == (
        GovernanceCode.TOO_MANY_OF_ONE,
        "4 proposals of yours are open, which is as many as one may have: wait for one to end",
    )
    assert hall.violations() == []


def test_no_more_than_thirty_two_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    from abci_app.modules.governance import proposing

    monkeypatch.setattr(proposing, "MAX_OPEN_CHAIN", 2)
    hall = Hall.of_voters()
    hall.propose(ALICE, NOTE)
    hall.propose(BOB, NOTE)
    assert hall.refuse(CARL, proposal_of(NOTE)) == (
        GovernanceCode.TOO_MANY_OPEN,
        "2 proposals are open, which is as many as may be: wait for one to end",
    )


def test_nobody_proposes_where_nobody_could_vote() -> None:
    hall = Hall.begin()
    hall.accept(ALICE, LockGopen(OPEN))
    assert hall.refuse(ALICE, proposal_of(NOTE)) == (
        GovernanceCode.NO_ELECTORATE,
        "no gOPEN was locked before epoch 0, so nobody could vote: lock some, and propose in the next epoch",
    )


@pytest.mark.parametrize("action", [FEE, AppointMember(EVE.address, int(Role.REGISTRAR), "", 0), CancelUpgrade()])
def test_whatever_changes_anything_waits_for_a_large_electorate(action: Any) -> None:
    """Who is first to lock a little OPEN must not make registrars and validators of his own."""
    hall = Hall.of_voters(governance={"electorate_floor_nopen": 301 * OPEN})
    assert hall.refuse(DORA, proposal_of(NOTE, action)) == (
        GovernanceCode.ELECTORATE_TOO_SMALL,
        (
            f"{300 * OPEN} nopen vote, all actions but notes need {301 * OPEN} (governance.electorate_floor_nopen): "
            "too few could decide for all"
        ),
    )
    assert hall.status(hall.propose(DORA, NOTE)) == ProposalStatus.VOTING


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        (
            {"scope": Scope.COMMITTEE, "actions": (FEE,)},
            GovernanceCode.WRONG_SCOPE,
            "action 1, SetParameters, is for a proposal of scope chain, not of committee",
        ),
        (
            {"actions": (NOTE, SetOwner(ALICE.address))},
            GovernanceCode.WRONG_SCOPE,
            "action 2, SetOwner, is for a proposal of scope datanet, not of chain",
        ),
        (
            {"object_id": bytes(32)},
            GovernanceCode.WRONG_SCOPE,
            "a proposal of a DataNet's contributors names it, no other does",
        ),
        (
            {"actions": (SetParameters("fees", (ParameterChange(0, 2**62),) * 64),) * 8},
            GovernanceCode.BAD_ACTIONS,
            "the actions have 5713 bytes, at most 4096: split them",
        ),
        (
            {"actions": (Spend(ALICE.address, 0),)},
            GovernanceCode.BAD_ACTIONS,
            "action 1: a payment of 0 nopen",
        ),
        ({"digest": b"short"}, GovernanceCode.BAD_ACTIONS, "digest has 5 bytes, must be none or 32"),
    ],
)
def test_what_no_state_makes_right_is_refused(
    hall: Hall, changes: dict[str, Any], code: GovernanceCode, text: str
) -> None:
    fields = {
        "scope": Scope.CHAIN,
        "object_id": b"",
        "actions": (NOTE,),
        "title": "a proposal",
        "digest": b"",
        "maximum_deposit_nopen": OPEN,
        **changes,
    }
    assert hall.refuse(DORA, Propose(**fields)) == (code, text)


def test_votes_on_nothing_on_what_has_ended_and_of_nobody_are_refused(hall: Hall) -> None:
    assert hall.refuse(ALICE, CastVote(7, VoteChoice.YES)) == (
        GovernanceCode.UNKNOWN_PROPOSAL,
        "there is no proposal 7",
    )
    assert hall.ask("governance", "proposal", ProposalQuery(7)) == (
        GovernanceCode.UNKNOWN_PROPOSAL,
        "there is no proposal 7",
    )
    number = hall.propose(DORA, NOTE)
    assert hall.refuse(ALICE, CastVote(number, 5)) == (
        Code.MALFORMED,
        "transaction is malformed: Expected `int` <= 4 - at `$[8][0][2]`",
    )
    assert hall.refuse(EVE, CastVote(number, VoteChoice.YES)) == (
        GovernanceCode.NO_POWER,
        f"{show_address(EVE.address)} votes with no gOPEN that came before epoch 1, in which proposal 1 was submitted",
    )
    ends = hall.proposal(number).ends_height
    hall.wait_until(ends)
    assert hall.refuse(ALICE, CastVote(number, VoteChoice.YES)) == (
        GovernanceCode.NOT_VOTING,
        f"votes on proposal 1 ended at height {ends}: it is rejected",
    )


def test_a_vote_in_the_last_block_counts(hall: Hall) -> None:
    number = hall.propose(DORA, NOTE)
    hall.wait_until(hall.proposal(number).ends_height - 1)
    hall.vote(number, VoteChoice.YES, ALICE)
    # It turned the outcome, so others may answer.
    assert (hall.status(number), hall.proposal(number).extended) == (ProposalStatus.VOTING, 1)


def test_voters_stay_until_it_has_taken_effect(hall: Hall) -> None:
    number = hall.propose(DORA, NOTE)
    hall.vote(number, VoteChoice.YES, ALICE, BOB)
    hall.accept(ALICE, UnlockGopen(100 * OPEN))
    lock = locks.find(hall.store, gopen_key(ALICE.address))
    assert lock is not None
    assert lock.leaving[0].height > hall.proposal(number).ends_height + VOTING // 4 + TIMELOCK


def test_what_is_listed_newest_first_comes_in_pages(hall: Hall) -> None:
    for who in (ALICE, BOB, CARL):
        hall.propose(who, NOTE)
    first = hall.ask("governance", "proposals", ProposalsQuery(0, 2))
    assert ([each.number for each in first.proposals], first.next_number) == ([3, 2], 2)
    rest = hall.ask("governance", "proposals", ProposalsQuery(first.next_number, 2))
    assert ([each.number for each in rest.proposals], rest.next_number) == ([1], 0)
    assert hall.ask("governance", "open", OpenQuery(Scope.CHAIN, b"")).proposals[0] == OpenProposal(1, ALICE.address)


def test_work_that_is_not_stuck_is_not_done_again(hall: Hall) -> None:
    assert hall.refuse(DORA, proposal_of(RetryStuck(1))) == (
        1200,
        "action 1: no deadline is stuck under number 1: see the list",
    )


def test_an_epoch_goes_on_while_people_vote(hall: Hall) -> None:
    number = hall.propose(DORA, NOTE)
    hall.wait(EPOCH)
    hall.vote(number, VoteChoice.YES, ALICE)
    assert hall.proposal(number).epoch == 1
