"""Counting votes: the borders of every rule, in integers."""

import pytest

from abci_app.modules.governance.actions import Scope
from abci_app.modules.governance.records import CommitteeVote, Tally, VoteChoice, VotingRules
from abci_app.modules.governance.tally import (
    DATANET_QUORUM_PPB,
    VoteVerdict,
    committee_passes,
    committee_rejects,
    committee_tally,
    objection_cancels,
    passes_over_objection,
    verdict_of,
)
from abci_app.types import PPB


def rules(critical: int = 0, quorum_ppb: int = PPB // 3) -> VotingRules:
    return VotingRules(
        voting_blocks=20, timelock_blocks=10, quorum_ppb=quorum_ppb, critical=critical, objected_number=0
    )


def tally(yes: int = 0, no: int = 0, abstain: int = 0, veto: int = 0) -> Tally:
    return Tally(yes=yes, no=no, abstain=abstain, veto=veto)


@pytest.mark.parametrize(
    ("votes", "electorate", "expected"),
    [
        (tally(), 300, VoteVerdict.NO_QUORUM),
        (tally(), 0, VoteVerdict.NO_QUORUM),
        (tally(yes=99), 300, VoteVerdict.NO_QUORUM),
        (tally(yes=100), 300, VoteVerdict.PASSED),
        (tally(yes=1, abstain=99), 300, VoteVerdict.PASSED),
        (tally(abstain=100), 300, VoteVerdict.REJECTED),
        (tally(yes=100, no=100), 300, VoteVerdict.REJECTED),
        (tally(yes=101, no=100), 300, VoteVerdict.PASSED),
        (tally(yes=67, veto=33), 300, VoteVerdict.PASSED),
        (tally(yes=66, veto=33), 290, VoteVerdict.VETOED),
        (tally(yes=200, veto=100), 300, VoteVerdict.VETOED),
        (tally(yes=201, veto=99), 300, VoteVerdict.PASSED),
        (tally(yes=100, no=1, veto=50), 300, VoteVerdict.PASSED),
    ],
)
def test_a_proposal_of_the_chain(votes: Tally, electorate: int, expected: VoteVerdict) -> None:
    assert verdict_of(Scope.CHAIN, votes, electorate, rules()) == expected


@pytest.mark.parametrize(
    ("votes", "expected"),
    [(tally(yes=200, no=100), VoteVerdict.PASSED), (tally(yes=199, no=100), VoteVerdict.REJECTED)],
)
def test_what_is_critical_needs_two_thirds(votes: Tally, expected: VoteVerdict) -> None:
    assert verdict_of(Scope.CHAIN, votes, 300, rules(critical=1)) == expected


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        (tally(yes=4), VoteVerdict.PASSED),
        (tally(yes=3), VoteVerdict.NO_QUORUM),
        (tally(yes=4, no=2), VoteVerdict.PASSED),
        (tally(yes=3, no=2), VoteVerdict.REJECTED),
    ],
)
def test_contributors_need_two_fifths_and_two_thirds(votes: Tally, expected: VoteVerdict) -> None:
    assert verdict_of(Scope.DATANET, votes, 10, rules(quorum_ppb=DATANET_QUORUM_PPB)) == expected


def test_the_committee_passes_with_more_than_two_thirds_of_all_and_ends_with_a_third_against() -> None:
    assert [committee_passes(tally(yes=yes), 30) for yes in (20, 21)] == [False, True]
    assert [committee_rejects(tally(no=no), 30) for no in (0, 9, 10)] == [False, False, True]
    assert not committee_rejects(tally(), 0)


def test_validators_votes_count_with_the_power_of_now() -> None:
    votes = [
        CommitteeVote(b"a" * 32, VoteChoice.YES),
        CommitteeVote(b"b" * 32, VoteChoice.NO),
        CommitteeVote(b"c" * 32, 1),
    ]
    assert committee_tally(votes, {b"a" * 32: 5, b"b" * 32: 7}) == tally(yes=5, no=7)


def test_more_than_a_third_objects_and_half_of_all_pass_over_it() -> None:
    assert [objection_cancels(power, 30) for power in (10, 11)] == [False, True]
    assert passes_over_objection(tally(yes=100, no=50), 300)
    assert not passes_over_objection(tally(yes=100, no=49), 300)
    assert not passes_over_objection(tally(yes=99, no=51), 300)
    assert not passes_over_objection(tally(), 0)
