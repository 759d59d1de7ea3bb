"""governance: who decides about the chain, and what is decided.

    governance/holder/ | H(holder) -> Holder(delegate, lots [(epoch, amount)]<=16)
    governance/proposal/ | number -> Proposal            governance/actions/ | number -> ActionList(<=8, <=4 KiB)
    governance/ballot/ | number | H(voter) -> Ballot     governance/committee/ | number -> CommitteeVotes(<=64)
    governance/objections/ | number -> Objections(<=64)  governance/objected/ | H(actions) -> Counter(number)
    governance/open/ | scope U8 | object ID -> OpenProposals      governance/counter/value -> Counter(last number)
    electorates/power/, electorates/total/               mechanisms/electorates.py

gOPEN (`gopen.py`): locked OPEN votes, 1:1, by its owner or a delegate, who cannot be overridden. A proposal counts what
came before the epoch of its submission; what is moved comes anew. So nothing locked or moved after a proposal is seen
votes on it, and nothing votes twice. Unlocking takes votes at once, and OPEN after `unlock_blocks`, which is longer
than any vote and timelock.

Scopes: the chain (all gOPEN), the committee (live validators by power, read when counted), the contributors of a
DataNet (once constitutions exist; refused until then).

| scope | passes when | then |
|---|---|---|
| chain | cast >= `quorum` of the electorate, veto < 1/3 and yes > 1/2 of yes + no + veto | timelock |
| chain, critical | also yes >= 2/3 | timelock, objection |
| committee | yes > 2/3 of all power, at any time; ends when 1/3 says no | the next block |

- Proposing (`proposing.py`): all actions are tried out on a copy first, and the first refusal is the message's. A
  proposal of the chain deposits `deposit`, doubled with every eight open ones; 32 are open at most, 4 of one proposer;
  of the committee one an operator. The deposit comes back, unless a third said veto or too few voted. Only notes are
  proposed to the chain while its electorate is below `electorate_floor`.
- Voting: a later vote replaces an earlier one; tallies are running sums. A vote in the last tenth that turns the
  outcome extends the voting by a quarter, once. Rules are those of the submission.
- Objecting: live validators, critical proposals, in the timelock; more than 1/3 of power cancels. The same actions pass
  over that, once, with cast >= 1/2 of the electorate and yes >= 2/3: no veto is for ever.
- Taking effect (`deciding.py`, `applying.py`): a deadline, all actions or none. Parameters act from the next block.
- Actions (`actions.py`) and who may: the committee has what can be taken back. Spending is capped by
  `treasury_cap` of the treasury as the epoch found it. Freezes are `mechanisms/freezes.py`, upgrades `versions.py`.

Invariants (`invariants.py`): lots are what is locked, power is what lots say, tallies are ballots and never above the
electorate, deposits are those of open proposals, each of which waits for exactly one deadline.
"""

from abci_app.mechanisms import electorates
from abci_app.module import Context, Module
from abci_app.modules.governance.actions import (
    Action,
    AmendDatanet,
    AppointMember,
    CancelUpgrade,
    FreezeObject,
    NoteDown,
    ParameterChange,
    RetryStuck,
    Scope,
    SetOwner,
    SetParameters,
    SetValidator,
    Spend,
    Upgrade,
    is_critical,
)
from abci_app.modules.governance.applying import Book
from abci_app.modules.governance.codes import (
    GopenChanged,
    GovernanceCode,
    ObjectionRaised,
    ProposalChanged,
    VoteTaken,
)
from abci_app.modules.governance.deciding import Deciding
from abci_app.modules.governance.gopen import execute_delegate, execute_lock_gopen, execute_unlock_gopen, gopen_key
from abci_app.modules.governance.invariants import INVARIANTS
from abci_app.modules.governance.messages import CastVote, Delegate, LockGopen, Propose, RaiseObjection, UnlockGopen
from abci_app.modules.governance.parameters import PARAMETERS
from abci_app.modules.governance.proposing import execute_cast_vote, execute_propose, execute_raise_objection
from abci_app.modules.governance.queries import (
    ActionView,
    BallotQuery,
    DryRunQuery,
    DryRunView,
    HolderQuery,
    HolderView,
    OpenQuery,
    ProposalPage,
    ProposalQuery,
    ProposalsQuery,
    ProposalView,
    UpgradeQuery,
    UpgradeView,
    make_queries,
)
from abci_app.modules.governance.records import (
    ACTIONS,
    BALLOTS,
    COMMITTEE_VOTES,
    COUNTER,
    HOLDERS,
    OBJECTED,
    OBJECTIONS,
    OPEN,
    PROPOSALS,
    Holder,
    Lot,
    OpenProposals,
    Proposal,
    ProposalStatus,
    Tally,
    VoteChoice,
)

__all__ = [
    "BALLOTS",
    "HOLDERS",
    "PROPOSALS",
    "Action",
    "ActionView",
    "AmendDatanet",
    "AppointMember",
    "BallotQuery",
    "Book",
    "CancelUpgrade",
    "CastVote",
    "Delegate",
    "DryRunQuery",
    "DryRunView",
    "FreezeObject",
    "GovernanceCode",
    "Holder",
    "HolderQuery",
    "HolderView",
    "LockGopen",
    "Lot",
    "NoteDown",
    "OpenProposals",
    "OpenQuery",
    "ParameterChange",
    "Proposal",
    "ProposalPage",
    "ProposalQuery",
    "ProposalStatus",
    "ProposalView",
    "ProposalsQuery",
    "Propose",
    "RaiseObjection",
    "RetryStuck",
    "Scope",
    "SetOwner",
    "SetParameters",
    "SetValidator",
    "Spend",
    "Tally",
    "UnlockGopen",
    "Upgrade",
    "UpgradeQuery",
    "UpgradeView",
    "VoteChoice",
    "gopen_key",
    "is_critical",
    "make_module",
]


def make_module(book: Book) -> Module:
    """The module, over the parameters and deadlines of all modules, which its actions reach."""
    deciding = Deciding(book)

    def propose(context: Context, message: Propose) -> None:
        """Put actions to the vote."""
        execute_propose(context, message, deciding)

    def cast_vote(context: Context, message: CastVote) -> None:
        """Vote on a proposal."""
        execute_cast_vote(context, message, deciding)

    return Module(
        name="governance",
        tables=(
            HOLDERS,
            PROPOSALS,
            ACTIONS,
            BALLOTS,
            COMMITTEE_VOTES,
            OBJECTIONS,
            OBJECTED,
            OPEN,
            COUNTER,
            electorates.POWERS,
            electorates.TOTALS,
        ),
        errors=GovernanceCode,
        messages={
            LockGopen: execute_lock_gopen,
            UnlockGopen: execute_unlock_gopen,
            Delegate: execute_delegate,
            Propose: propose,
            CastVote: cast_vote,
            RaiseObjection: execute_raise_objection,
        },
        events=(GopenChanged, ProposalChanged, VoteTaken, ObjectionRaised),
        queries=make_queries(book),
        parameters=(PARAMETERS,),
        deadlines=(deciding.voting_kind, deciding.execution_kind),
        invariants=(*INVARIANTS, electorates.totals_match),
    )
