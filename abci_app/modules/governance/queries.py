"""Questions about governance, each answered with a proof of everything that it read."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct, structs

from abci_app.errors import Code, Rejected
from abci_app.mechanisms import electorates, epochs
from abci_app.mechanisms.electorates import Power
from abci_app.module import BlockContext, HookContext, Query
from abci_app.modules.governance.actions import Action, Actions, Scope, ScopeNumber
from abci_app.modules.governance.applying import Applying, Book, live_parameters
from abci_app.modules.governance.codes import GovernanceCode
from abci_app.modules.governance.deciding import (
    actions_of,
    committee_powers,
    count_committee,
    open_key,
    require_proposal,
)
from abci_app.modules.governance.messages import check_actions
from abci_app.modules.governance.records import (
    BALLOTS,
    COMMITTEE_VOTES,
    COUNTER,
    HOLDERS,
    OBJECTIONS,
    OPEN,
    PROPOSALS,
    Ballot,
    CommitteeVotes,
    Holder,
    Objections,
    OpenProposals,
    Proposal,
    ProposalStatus,
)
from abci_app.modules.governance.words import Describing
from abci_app.parameters import CHAIN
from abci_app.state.codec import Record
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.types import ID_BYTES, Bytes32, Integer, OptionalBytes32
from abci_app.versions import APP_VERSION, PLAN, AppVersion, Plan, app_version_of

MAX_PAGE = 50
# Far above every chain's, and far enough below what a height can be for the windows that actions add to it.
MAX_DRY_RUN_HEIGHT = 2**60


class ProposalQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which proposal."""

    number: Integer


class ProposalsQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of proposals, newest first, below number `below_number` (0: from the newest)."""

    below_number: Integer
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class OpenQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Ask which proposals of a scope (and a DataNet, else empty) have not ended."""

    scope: ScopeNumber
    object_id: OptionalBytes32


class HolderQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Whose gOPEN."""

    holder: Bytes32


class BallotQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Ask whose vote on which proposal."""

    number: Integer
    holder: Bytes32


class DryRunQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Actions to try out on the state, as if they took effect at a height."""

    scope: ScopeNumber
    object_id: OptionalBytes32
    actions: Actions
    height: Annotated[int, Meta(ge=0, le=MAX_DRY_RUN_HEIGHT)]


class UpgradeQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


class ActionView(Struct, frozen=True):
    """An action, and what it would change now, in words."""

    action: Action
    effects: tuple[str, ...]


class ProposalView(Struct, frozen=True):
    """A proposal with its actions, and with the validators' votes and objections."""

    proposal: Proposal
    actions: tuple[ActionView, ...]
    committee: CommitteeVotes
    objections: Objections
    # Power of the validators that object, and of all: more than a third cancels.
    objecting_power: int
    validators_power: int


class ProposalPage(Struct, frozen=True):
    """One page; `next_number` is 0 on the last one."""

    proposals: tuple[Proposal, ...]
    next_number: int


class HolderView(Struct, frozen=True):
    """Somebody's gOPEN, and with how much this account votes, its own and what is delegated to it.

    `counts_nopen` came before the running epoch, so it votes on what is proposed now.
    """

    holder: Holder | None
    power: Power
    counts_nopen: int
    electorate_nopen: int
    epoch: int


class DryRunView(Struct, frozen=True):
    """A dry run: code 0 and the effects in words, or the code and text of the first refusal."""

    code: int
    text: str
    effects: tuple[str, ...]


class UpgradeView(Struct, frozen=True):
    """The rules of now and those that are scheduled, with the last plan that was decided."""

    version: AppVersion
    plan: Plan | None


def query_proposals(view: StateView, args: ProposalsQuery) -> ProposalPage:
    """List proposals, newest first."""
    last = COUNTER.get(view)
    newest = last.number if last else 0
    start = min(args.below_number - 1, newest) if args.below_number else newest
    page = [proposal for proposal in _from(view, start, args.limit) if proposal is not None]
    following = start - len(page)
    return ProposalPage(tuple(page), following + 1 if following > 0 else 0)


def _from(view: StateView, start: int, limit: int) -> Iterator[Proposal | None]:
    for number in range(start, max(start - limit, 0), -1):
        yield PROPOSALS.get(view, number)


def query_open(view: StateView, args: OpenQuery) -> OpenProposals:
    """List the proposals that have not ended, complete."""
    if len(args.object_id) not in (0, ID_BYTES):
        raise Rejected(
            GovernanceCode.WRONG_SCOPE,
            f"object_id has {len(args.object_id)} bytes: give {ID_BYTES} bytes, a DataNet's id, or none",
        )
    return OPEN.get(view, *open_key(args.scope, args.object_id)) or OpenProposals(())


def query_holder(view: StateView, args: HolderQuery) -> HolderView:
    """Somebody's lots and delegate, and with how much this account votes."""
    epoch = epochs.current(view).number
    power = electorates.find_power(view, electorates.GOPEN, args.holder) or electorates.NO_POWER
    return HolderView(
        holder=HOLDERS.get(view, args.holder),
        power=power,
        counts_nopen=power.before(epoch),
        electorate_nopen=electorates.total_before(view, electorates.GOPEN, epoch),
        epoch=epoch,
    )


def query_ballot(view: StateView, args: BallotQuery) -> Ballot:
    """Somebody's vote on a proposal of the chain."""
    ballot = BALLOTS.get(view, args.number, args.holder)
    if ballot is None:
        raise Rejected(Code.NOT_FOUND, f"no vote of that account on proposal {args.number}")
    return ballot


def query_upgrade(view: StateView, args: UpgradeQuery) -> UpgradeView:
    """The version of the rules, and the plan of an upgrade."""
    version = APP_VERSION.get(view)
    if version is None:
        raise Rejected(Code.HEIGHT_UNAVAILABLE, "the chain has not started yet")
    return UpgradeView(version, PLAN.get(view))


def make_queries(book: Book) -> tuple[Query, ...]:
    """All questions; some need the rules that actions reach."""

    def query_proposal(view: StateView, args: ProposalQuery) -> ProposalView:
        """Show a proposal, its actions in words against the state, and who voted and objected in the committee."""
        proposal = require_proposal(view, args.number)
        describing = Describing(view, Scope(proposal.scope), book)
        actions = actions_of(view, args.number)
        objections = OBJECTIONS.get(view, args.number) or Objections(())
        powers = committee_powers(view)
        if proposal.scope == Scope.COMMITTEE and proposal.standing == ProposalStatus.VOTING:
            tally = count_committee(view, args.number, powers)
            proposal = structs.replace(proposal, tally=tally, electorate=sum(powers.values()))
        return ProposalView(
            proposal=proposal,
            actions=tuple([ActionView(action, describing.lines(action)) for action in actions]),
            committee=COMMITTEE_VOTES.get(view, args.number) or CommitteeVotes(()),
            objections=objections,
            objecting_power=sum([powers.get(operator, 0) for operator in objections.operators]),
            validators_power=sum(powers.values()),
        )

    def query_dry_run(view: StateView, args: DryRunQuery) -> DryRunView:
        """Try actions out on the state: their effects in words, or why they would be refused."""
        scope = Scope(args.scope)
        chain = CHAIN.get(view)
        if chain is None:
            raise Rejected(Code.HEIGHT_UNAVAILABLE, "the chain has not started yet")
        block = BlockContext(
            chain_id=chain.chain_id,
            height=args.height,
            time_seconds=chain.genesis_time_seconds,
            parameters=live_parameters(view, book),
            app_version=app_version_of(view),
        )
        describing = Describing(view, scope, book)
        effects = tuple([line for action in args.actions for line in describing.lines(action)])
        try:
            check_actions(scope, args.object_id, args.actions)
            Applying(state=Overlay(view), context=HookContext(block), scope=scope, book=book).all(args.actions)
        except Rejected as rejection:
            return DryRunView(int(rejection.code), rejection.text, effects)
        return DryRunView(0, "", effects)

    return (
        Query("proposal", ProposalQuery, ProposalView, query_proposal, "a proposal, its actions in words, its votes"),
        Query("proposals", ProposalsQuery, ProposalPage, query_proposals, "proposals, newest first, paged"),
        Query("open", OpenQuery, OpenProposals, query_open, "proposals that have not ended"),
        Query("holder", HolderQuery, HolderView, query_holder, "gOPEN of an account and its power"),
        Query("ballot", BallotQuery, Ballot, query_ballot, "an account's vote on a proposal"),
        Query("dry_run", DryRunQuery, DryRunView, query_dry_run, "what actions would do, in words"),
        Query("upgrade", UpgradeQuery, UpgradeView, query_upgrade, "the rules of now and the planned upgrade"),
    )
