"""Counting: what the votes on a proposal say, in integers. Nothing here sees a state."""

from collections.abc import Iterable, Mapping
from enum import IntEnum

from abci_app.modules.governance.actions import Scope
from abci_app.modules.governance.records import CommitteeVote, Tally, VoteChoice, VotingRules
from abci_app.types import PPB

# Contributors of a DataNet decide about what binds all of them.
DATANET_QUORUM_PPB = 2 * PPB // 5


class VoteVerdict(IntEnum):
    """The answer that the votes give so far."""

    PASSED = 1
    REJECTED = 2
    VETOED = 3
    NO_QUORUM = 4


def verdict_of(scope: Scope, tally: Tally, electorate: int, rules: VotingRules) -> VoteVerdict:
    """Judge a proposal of the chain or of a DataNet.

    Enough must have voted; a third of yes, no and veto together as veto stops it and costs the deposit; more than half
    of them must be yes, and two thirds for what is critical or a DataNet's.
    """
    decisive = tally.yes + tally.no + tally.veto
    if tally.cast * PPB < rules.quorum_ppb * electorate or not tally.cast:
        return VoteVerdict.NO_QUORUM
    if tally.veto and 3 * tally.veto >= decisive:
        return VoteVerdict.VETOED
    two_thirds = bool(rules.critical) or scope == Scope.DATANET
    enough = 3 * tally.yes >= 2 * decisive if two_thirds else 2 * tally.yes > decisive
    return VoteVerdict.PASSED if enough and tally.yes else VoteVerdict.REJECTED


def passes_over_objection(tally: Tally, electorate: int) -> bool:
    """Whether half of all voted and two thirds of them say yes: then validators cannot object a second time."""
    decisive = tally.yes + tally.no + tally.veto
    return tally.yes > 0 and 2 * tally.cast >= electorate and 3 * tally.yes >= 2 * decisive


def committee_tally(votes: Iterable[CommitteeVote], powers: Mapping[bytes, int]) -> Tally:
    """The votes of the committee with the powers of now."""
    sums = dict.fromkeys(VoteChoice, 0)
    for vote in votes:
        sums[VoteChoice(vote.choice)] += powers.get(vote.operator, 0)
    return Tally(
        yes=sums[VoteChoice.YES], no=sums[VoteChoice.NO], abstain=sums[VoteChoice.ABSTAIN], veto=sums[VoteChoice.VETO]
    )


def committee_passes(tally: Tally, power: int) -> bool:
    """Whether more than two thirds of all power says yes."""
    return 3 * tally.yes > 2 * power


def committee_rejects(tally: Tally, power: int) -> bool:
    """Whether a third of all power or more says no, so that the proposal cannot pass."""
    return tally.no > 0 and 3 * tally.no >= power


def objection_cancels(objecting_power: int, power: int) -> bool:
    """Whether more than a third of all power objects."""
    return 3 * objecting_power > power


def with_vote(tally: Tally, choice: int, power: int) -> Tally:
    """The tally with a vote added, or with a negative power taken out."""
    return Tally(
        yes=tally.yes + (power if choice == VoteChoice.YES else 0),
        no=tally.no + (power if choice == VoteChoice.NO else 0),
        abstain=tally.abstain + (power if choice == VoteChoice.ABSTAIN else 0),
        veto=tally.veto + (power if choice == VoteChoice.VETO else 0),
    )
