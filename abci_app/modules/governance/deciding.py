"""Deciding: how a proposal ends, by its deadlines or by the vote or objection that settles it.

Deadlines of kind 2 end the voting, those of kind 3 execute; both are in lane 0, which has no backlog: open proposals
are few. The execution is one overlay: what one action refuses, none has done, and the proposal has failed.
"""

from dataclasses import dataclass

from msgspec import structs

from abci_app.errors import InvariantBroken, Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.mechanisms import locks
from abci_app.mechanisms.deadlines import schedule
from abci_app.mechanisms.locks import LockKey, Purpose
from abci_app.module import TREASURY_ACCOUNT, Context, DeadlineKind, HookContext
from abci_app.modules import validators
from abci_app.modules.governance.actions import Actions, Scope
from abci_app.modules.governance.applying import Applying, Book
from abci_app.modules.governance.codes import GovernanceCode, ProposalChanged
from abci_app.modules.governance.records import (
    ACTIONS,
    COMMITTEE_VOTES,
    OBJECTED,
    OPEN,
    PROPOSALS,
    Counter,
    OpenProposals,
    Proposal,
    ProposalStatus,
    Tally,
)
from abci_app.modules.governance.tally import (
    VoteVerdict,
    committee_passes,
    committee_tally,
    passes_over_objection,
    verdict_of,
)
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import MutableState
from abci_app.types import ID_BYTES, PPB

VOTING_KIND, EXECUTION_KIND = 2, 3
LANE = 0
_STATUS_OF = {
    VoteVerdict.REJECTED: (ProposalStatus.REJECTED, "too few said yes"),
    VoteVerdict.VETOED: (ProposalStatus.VETOED, "a third said veto"),
    VoteVerdict.NO_QUORUM: (ProposalStatus.REJECTED, "too few voted"),
}


def id_of_number(number: int) -> bytes:
    """A proposal's number as the object of its deadlines and of its deposit."""
    return number.to_bytes(ID_BYTES, "big")


def deposit_key(proposal: Proposal) -> LockKey:
    """The lock that holds a proposal's deposit."""
    return LockKey(Purpose.DEPOSIT, id_of_number(proposal.number), proposal.proposer)


def actions_id(scope: int, object_id: bytes, actions: Actions) -> bytes:
    """H('openledger/proposal-actions/v1', [scope, object, actions]): the same actions again have the same id."""
    return tagged_hash(TAGS["proposal_actions"], encode((scope, object_id, actions)))


def actions_of(view: StateView, number: int) -> Actions:
    """The actions of a proposal that exists."""
    stored = ACTIONS.get(view, number)
    if stored is None:
        raise InvariantBroken(f"proposal {number} has no actions")
    return stored.actions


def open_key(scope: int, object_id: bytes) -> tuple[int, bytes]:
    """Under which key the open proposals of a scope and object are listed."""
    return scope, object_id or bytes(ID_BYTES)


def committee_powers(view: StateView) -> dict[bytes, int]:
    """Operators of live validators and their powers, read now: at most 64."""
    return dict(validators.live_powers(view))


def close(
    state: MutableState,
    context: Context | HookContext,
    proposal: Proposal,
    status: ProposalStatus,
    why: str,
    forfeit: bool,
) -> Proposal:
    """End a proposal: it is open no more, and its deposit goes back or, when forfeit, to the treasury."""
    key = open_key(proposal.scope, proposal.object_id)
    listed = OPEN.get(state, *key) or OpenProposals(())
    OPEN.set(state, *key, OpenProposals(tuple([each for each in listed.proposals if each.number != proposal.number])))
    if proposal.deposit_nopen and forfeit:
        receivers = [(TREASURY_ACCOUNT, PPB)]
        locks.fine(state, deposit_key(proposal), proposal.deposit_nopen, receivers)
    elif proposal.deposit_nopen:
        locks.give_back(state, deposit_key(proposal), proposal.deposit_nopen)
    return set_status(state, context, proposal, status, why)


def set_status(
    state: MutableState, context: Context | HookContext, proposal: Proposal, status: ProposalStatus, why: str
) -> Proposal:
    """Store a proposal under another status, and say so in an event."""
    changed = structs.replace(proposal, standing=int(status))
    PROPOSALS.set(state, proposal.number, changed)
    context.emit(ProposalChanged(proposal=proposal.number, status=status.name.lower(), why=why))
    return changed


def cancel_by_objection(state: MutableState, context: Context, proposal: Proposal) -> None:
    """End a proposal in its timelock, and remember its actions: two thirds of a half can pass them all the same."""
    close(
        state, context, proposal, ProposalStatus.CANCELLED, "more than a third of the validators' power objected", False
    )
    same = actions_id(proposal.scope, proposal.object_id, actions_of(state, proposal.number))
    OBJECTED.set(state, same, Counter(proposal.number))


def _take_objection(state: MutableState, proposal: Proposal) -> bool:
    """Whether an objection to its actions stands, as when it was submitted: it is passed over once, then forgotten."""
    same = actions_id(proposal.scope, proposal.object_id, actions_of(state, proposal.number))
    if not proposal.rules.objected_number or not OBJECTED.has(state, same):
        return False
    OBJECTED.delete(state, same)
    return True


@dataclass(frozen=True, slots=True)
class Deciding:
    """The deadlines of proposals, over the rules that actions reach."""

    book: Book

    # --- Votes have ended

    @property
    def voting_kind(self) -> DeadlineKind:
        """Deadlines that end the voting."""
        return DeadlineKind(
            number=VOTING_KIND,
            name="proposal ends voting",
            lane=LANE,
            due_height=_voting_ends,
            handler=self.end_voting,
            fallback=_fail,
        )

    def end_voting(self, state: Overlay, context: HookContext, object_id: bytes, number: int) -> None:
        """Count, and end the proposal or let its execution wait for its height."""
        proposal = proposal_of(state, number)
        if proposal.scope == Scope.COMMITTEE:
            self._end_committee(state, context, proposal)
            return
        scope = Scope(proposal.scope)
        verdict = verdict_of(scope, proposal.tally, proposal.electorate, proposal.rules)
        if verdict == VoteVerdict.PASSED:
            over = passes_over_objection(proposal.tally, proposal.electorate) and _take_objection(state, proposal)
            passed = structs.replace(proposal, unobjectionable=int(over))
            self.let_execute(state, context, passed, context.height + proposal.rules.timelock_blocks)
            return
        status, why = _STATUS_OF[verdict]
        forfeit = verdict in (VoteVerdict.VETOED, VoteVerdict.NO_QUORUM)
        close(state, context, proposal, status, why, forfeit)

    def _end_committee(self, state: Overlay, context: HookContext, proposal: Proposal) -> None:
        powers = committee_powers(state)
        tally = count_committee(state, proposal.number, powers)
        counted = structs.replace(proposal, tally=tally, electorate=sum(powers.values()))
        if committee_passes(tally, counted.electorate):
            self.let_execute(state, context, counted, context.height + 1)
        else:
            close(
                state, context, counted, ProposalStatus.REJECTED, "no more than two thirds of all power said yes", False
            )

    def let_execute(self, state: MutableState, context: Context | HookContext, proposal: Proposal, height: int) -> None:
        """Let a proposal that passed take effect at a height."""
        due_height = schedule(
            state, context.height, self.execution_kind, height, id_of_number(proposal.number), proposal.number
        )
        passed = structs.replace(proposal, executes_height=due_height)
        set_status(state, context, passed, ProposalStatus.TIMELOCK, f"passed, takes effect at height {due_height}")

    # --- It takes effect

    @property
    def execution_kind(self) -> DeadlineKind:
        """Deadlines that execute."""
        return DeadlineKind(
            number=EXECUTION_KIND,
            name="proposal takes effect",
            lane=LANE,
            due_height=_executes,
            handler=self.execute,
            fallback=_fail,
        )

    def execute(self, state: Overlay, context: HookContext, object_id: bytes, number: int) -> None:
        """Apply all actions; a refusal leaves nothing of them, and the fallback ends the proposal as failed."""
        proposal = proposal_of(state, number)
        applying = Applying(state=state, context=context, scope=Scope(proposal.scope), book=self.book)
        applying.all(actions_of(state, number))
        close(state, context, proposal, ProposalStatus.EXECUTED, "its actions took effect", False)

    def try_out(self, context: Context, scope: Scope, actions: Actions) -> None:
        """Apply actions to a copy that is dropped; raises the `Rejected` that they would meet now."""
        scratch = HookContext(context.block)
        Applying(state=Overlay(context.state), context=scratch, scope=scope, book=self.book).all(actions)


def proposal_of(view: StateView, number: int) -> Proposal:
    """A proposal whose deadline is due."""
    proposal = PROPOSALS.get(view, number)
    if proposal is None:
        raise InvariantBroken(f"there is no proposal {number}")
    return proposal


def require_proposal(view: StateView, number: int) -> Proposal:
    """A proposal that somebody names; raises `Rejected` where there is none."""
    proposal = PROPOSALS.get(view, number)
    if proposal is None:
        raise Rejected(GovernanceCode.UNKNOWN_PROPOSAL, f"there is no proposal {number}")
    return proposal


def count_committee(view: StateView, number: int, powers: dict[bytes, int]) -> Tally:
    """Validators' votes on a proposal with these powers."""
    stored = COMMITTEE_VOTES.get(view, number)
    return committee_tally(stored.votes if stored else (), powers)


def _voting_ends(view: StateView, object_id: bytes, number: int) -> int | None:
    proposal = PROPOSALS.get(view, number)
    return proposal.ends_height if proposal is not None and proposal.standing == ProposalStatus.VOTING else None


def _executes(view: StateView, object_id: bytes, number: int) -> int | None:
    proposal = PROPOSALS.get(view, number)
    return proposal.executes_height if proposal is not None and proposal.standing == ProposalStatus.TIMELOCK else None


def _fail(state: Overlay, context: HookContext, object_id: bytes, number: int) -> None:
    """End a proposal whose actions were refused when they were due."""
    close(state, context, proposal_of(state, number), ProposalStatus.FAILED, "its actions were refused when due", False)
