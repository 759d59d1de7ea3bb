"""Records and tables of the governance module."""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from abci_app.modules.governance.actions import Actions, ScopeNumber
from abci_app.state.codec import Record
from abci_app.state.table import HASHED, ID, U64, Item, Map
from abci_app.state.table import U8 as U8_PART
from abci_app.types import U32, Bytes32, Flag, Height, Integer, Nopen, OptionalBytes32, Ppb, Text, words

MAX_LOTS = 16
# Live validators are at most 64, and so are who votes in the committee and who objects.
MAX_COMMITTEE = 64
MAX_OPEN_CHAIN = 32
MAX_OPEN_OF_ONE = 4
MAX_OPEN_OF_OPERATOR = 1
MAX_OPEN = 96


class ProposalStatus(IntEnum):
    """Where a proposal stands; from 3 on it has ended."""

    VOTING = 1
    TIMELOCK = 2
    EXECUTED = 3
    REJECTED = 4
    VETOED = 5
    CANCELLED = 6
    FAILED = 7


class VoteChoice(IntEnum):
    """A voter's answer."""

    YES = 1
    NO = 2
    ABSTAIN = 3
    VETO = 4


class Lot(Record, frozen=True, array_like=True, gc=False):
    """An amount of gOPEN by the epoch in which it came to the account that votes with it now."""

    epoch: U32
    amount_nopen: Nopen


class Holder(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Somebody's gOPEN: who votes with it, and its lots from the oldest to the newest."""

    delegate: Bytes32
    lots: Annotated[tuple[Lot, ...], Meta(min_length=1, max_length=MAX_LOTS)]

    @property
    def amount_nopen(self) -> int:
        """All lots together."""
        return sum([lot.amount_nopen for lot in self.lots])


class Tally(Record, frozen=True, array_like=True, gc=False):
    """Power by choice."""

    yes: Integer
    no: Integer
    abstain: Integer
    veto: Integer

    @property
    def cast(self) -> int:
        """All of it."""
        return self.yes + self.no + self.abstain + self.veto


class VotingRules(Record, frozen=True, array_like=True, gc=False):
    """The rules of a proposal, as they were when it was submitted."""

    voting_blocks: Integer
    timelock_blocks: Integer
    quorum_ppb: Ppb
    critical: Flag
    # The proposal with the same actions that was cancelled by objection, or 0.
    objected_number: Integer


class Proposal(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A proposal and where it stands; its actions stand beside it and never change."""

    number: Integer
    proposer: Bytes32
    scope: ScopeNumber
    # The DataNet of a proposal of contributors, else empty.
    object_id: OptionalBytes32
    title: Text
    # Of a longer text in a content store, or empty.
    digest: OptionalBytes32
    deposit_nopen: Nopen
    submitted_height: Height
    # Power that came before this epoch counts.
    epoch: U32
    ends_height: Height
    # 0 until it has passed; then its actions take effect at the end of this block.
    executes_height: Height
    standing: Annotated[int, words(ProposalStatus)]
    tally: Tally
    # All power that counts; of the committee it is read when votes are counted.
    electorate: Integer
    rules: VotingRules
    extended: Flag
    # 1: two thirds of a half of all passed what was cancelled by objection before: nobody objects again.
    unobjectionable: Flag

    @property
    def is_open(self) -> bool:
        """Whether it still can change anything."""
        return self.standing in (ProposalStatus.VOTING, ProposalStatus.TIMELOCK)


class ActionList(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The actions of a proposal."""

    actions: Actions


class Ballot(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A vote and the power with which it counts."""

    choice: Annotated[int, words(VoteChoice)]
    power: Integer


class CommitteeVote(Record, frozen=True, array_like=True, gc=False):
    """A validator's vote; its power is read when votes are counted."""

    operator: Bytes32
    choice: Annotated[int, words(VoteChoice)]


class CommitteeVotes(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Votes of validators on a proposal, in the order in which they came."""

    votes: Annotated[tuple[CommitteeVote, ...], Meta(max_length=MAX_COMMITTEE)]


class Objections(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Validators that objected to a proposal."""

    operators: Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_COMMITTEE)]


class OpenProposal(Record, frozen=True, array_like=True, gc=False):
    """A proposal that has not ended, and whose it is."""

    number: Integer
    proposer: Bytes32


class OpenProposals(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The proposals of a scope and object that have not ended."""

    proposals: Annotated[tuple[OpenProposal, ...], Meta(max_length=MAX_OPEN)]


class Counter(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The last number given out."""

    number: Integer


HOLDERS = Map("governance/holder/", (HASHED,), Holder)
PROPOSALS = Map("governance/proposal/", (U64,), Proposal)
ACTIONS = Map("governance/actions/", (U64,), ActionList)
BALLOTS = Map("governance/ballot/", (U64, HASHED), Ballot)
COMMITTEE_VOTES = Map("governance/committee/", (U64,), CommitteeVotes)
OBJECTIONS = Map("governance/objections/", (U64,), Objections)
OBJECTED = Map("governance/objected/", (ID,), Counter)
OPEN = Map("governance/open/", (U8_PART, ID), OpenProposals)
COUNTER = Item("governance/counter/", Counter)
