"""Proposals of people and validators: putting one forward, voting on it, objecting to it."""

from msgspec import structs

from abci_app.accounts import show_address
from abci_app.errors import Rejected
from abci_app.mechanisms import electorates, epochs, locks
from abci_app.mechanisms.deadlines import schedule
from abci_app.module import Context
from abci_app.modules import datanets
from abci_app.modules.governance.actions import Scope, Upgrade, is_binding, is_critical
from abci_app.modules.governance.codes import GovernanceCode, ObjectionRaised, VoteTaken
from abci_app.modules.governance.deciding import (
    Deciding,
    actions_id,
    cancel_by_objection,
    close,
    committee_powers,
    count_committee,
    deposit_key,
    id_of_number,
    open_key,
    require_proposal,
    set_status,
)
from abci_app.modules.governance.messages import CastVote, Propose, RaiseObjection
from abci_app.modules.governance.parameters import (
    DEPOSIT,
    ELECTORATE_FLOOR,
    QUORUM,
    TIMELOCK_BLOCKS,
    VOTING_BLOCKS,
)
from abci_app.modules.governance.records import (
    ACTIONS,
    BALLOTS,
    COMMITTEE_VOTES,
    COUNTER,
    MAX_COMMITTEE,
    MAX_OPEN,
    MAX_OPEN_CHAIN,
    MAX_OPEN_OF_ONE,
    MAX_OPEN_OF_OPERATOR,
    OBJECTED,
    OBJECTIONS,
    OPEN,
    PROPOSALS,
    ActionList,
    Ballot,
    CommitteeVote,
    CommitteeVotes,
    Counter,
    Objections,
    OpenProposal,
    OpenProposals,
    Proposal,
    ProposalStatus,
    Tally,
    VoteChoice,
    VotingRules,
)
from abci_app.modules.governance.tally import (
    committee_passes,
    committee_rejects,
    objection_cancels,
    verdict_of,
    with_vote,
)
from abci_app.types import Address

NO_VOTES = Tally(yes=0, no=0, abstain=0, veto=0)
# Every so many open proposals the deposit doubles.
OPEN_A_DOUBLING = 8
# A vote in the last tenth that changes the outcome extends the voting by a quarter.
LATE_PART, EXTENSION_PART = 10, 4


# --- Putting one forward


def execute_propose(context: Context, message: Propose, deciding: Deciding) -> None:
    """Check who may, what it costs and that all actions would succeed now; then voting begins."""
    state, scope = context.state, Scope(message.scope)
    listed = OPEN.get(state, *open_key(scope, message.object_id)) or OpenProposals(())
    epoch = epochs.current(state).number
    electorate = _require_electorate(context, message, epoch)
    _require_room(context, scope, listed)
    deposit_nopen = _deposit_nopen(context, message, len(listed.proposals))
    _require_time_before_upgrade(context, message)
    deciding.try_out(context, scope, message.actions)
    number = (COUNTER.get(state) or Counter(0)).number + 1
    COUNTER.set(state, Counter(number))
    rules = _rules(context, message)
    ends_height = schedule(
        state,
        context.height,
        deciding.voting_kind,
        context.height + rules.voting_blocks,
        id_of_number(number),
        number,
    )
    proposal = Proposal(
        number=number,
        proposer=context.sender,
        scope=message.scope,
        object_id=message.object_id,
        title=message.title,
        digest=message.digest,
        deposit_nopen=deposit_nopen,
        submitted_height=context.height,
        epoch=epoch,
        ends_height=ends_height,
        executes_height=0,
        standing=int(ProposalStatus.VOTING),
        tally=NO_VOTES,
        electorate=electorate,
        rules=rules,
        extended=0,
        unobjectionable=0,
    )
    if deposit_nopen:
        locks.take(state, deposit_key(proposal), deposit_nopen)
    ACTIONS.set(state, number, ActionList(message.actions))
    opened = OpenProposals((*listed.proposals, OpenProposal(number, context.sender)))
    OPEN.set(state, *open_key(scope, message.object_id), opened)
    set_status(state, context, proposal, ProposalStatus.VOTING, f"votes are taken until height {ends_height}")


def _rules(context: Context, message: Propose) -> VotingRules:
    """The rules of now, which hold for this proposal to its end."""
    parameters = context.block.parameters
    objected = OBJECTED.get(context.state, actions_id(message.scope, message.object_id, message.actions))
    is_of_chain = message.scope == Scope.CHAIN
    return VotingRules(
        voting_blocks=parameters[VOTING_BLOCKS],
        timelock_blocks=parameters[TIMELOCK_BLOCKS] if is_of_chain else 0,
        quorum_ppb=parameters[QUORUM] if is_of_chain else 0,
        critical=int(is_of_chain and is_critical(message.actions)),
        objected_number=objected.number if objected else 0,
    )


def _require_electorate(context: Context, message: Propose, epoch: int) -> int:
    """All power that counts; raises for a sender who may not propose, or where nobody could decide."""
    state = context.state
    if message.scope == Scope.DATANET:
        if datanets.find_datanet(state, message.object_id) is None:
            raise Rejected(
                GovernanceCode.UNKNOWN_OBJECT, f"there is no DataNet {datanets.show_datanet(message.object_id)}"
            )
        raise Rejected(
            GovernanceCode.NOT_YET,
            f"DataNet {datanets.name_of(state, message.object_id)} has no constitution that lets its contributors "
            "decide: its owner does",
        )
    if message.scope == Scope.COMMITTEE:
        powers = committee_powers(state)
        _require_validator(context, powers)
        return sum(powers.values())
    electorate = electorates.total_before(state, electorates.GOPEN, epoch)
    if not electorate:
        raise Rejected(
            GovernanceCode.NO_ELECTORATE,
            f"no gOPEN was locked before epoch {epoch}, so nobody could vote: lock some, and propose in the next epoch",
        )
    floor_nopen = context.block.parameters[ELECTORATE_FLOOR]
    # Also what is not critical: registrars and validators decided by next to nobody would be a chain taken for nothing.
    if is_binding(message.actions) and electorate < floor_nopen:
        raise Rejected(
            GovernanceCode.ELECTORATE_TOO_SMALL,
            f"{electorate} nopen vote, all actions but notes need {floor_nopen} ({ELECTORATE_FLOOR.full_name}): too "
            "few could decide for all",
        )
    return electorate


def _require_validator(context: Context, powers: dict[bytes, int]) -> None:
    if context.sender not in powers:
        raise Rejected(
            GovernanceCode.NOT_A_VALIDATOR, f"{show_address(context.sender)} is no live validator, which this is for"
        )


def _require_room(context: Context, scope: Scope, listed: OpenProposals) -> None:
    own = [each for each in listed.proposals if each.proposer == context.sender]
    most, most_of_one = (MAX_OPEN_CHAIN, MAX_OPEN_OF_ONE) if scope == Scope.CHAIN else (MAX_OPEN, MAX_OPEN_OF_OPERATOR)
    if len(listed.proposals) >= most:
        raise Rejected(
            GovernanceCode.TOO_MANY_OPEN, f"{most} proposals are open, which is as many as may be: wait for one to end"
        )
    if len(own) >= most_of_one:
        raise Rejected(
            GovernanceCode.TOO_MANY_OF_ONE,
            f"{len(own)} proposals of yours are open, which is as many as one may have: wait for one to end",
        )


def _deposit_nopen(context: Context, message: Propose, open_count: int) -> int:
    if message.scope != Scope.CHAIN:
        return 0
    deposit_nopen = context.block.parameters[DEPOSIT] << open_count // OPEN_A_DOUBLING
    if deposit_nopen > message.maximum_deposit_nopen:
        raise Rejected(
            GovernanceCode.DEPOSIT_ABOVE_LIMIT,
            f"the deposit is {deposit_nopen} nopen with {open_count} open proposals, you agreed to "
            f"{message.maximum_deposit_nopen}: agree to more, or wait",
        )
    return deposit_nopen


def _require_time_before_upgrade(context: Context, message: Propose) -> None:
    """An upgrade comes after the latest height at which this proposal can take effect."""
    if message.scope != Scope.CHAIN:
        return
    parameters = context.block.parameters
    voting_blocks = parameters[VOTING_BLOCKS]
    latest = context.height + voting_blocks + voting_blocks // EXTENSION_PART + parameters[TIMELOCK_BLOCKS]
    for place, action in enumerate(message.actions, 1):
        if isinstance(action, Upgrade) and action.height <= latest + 1:
            raise Rejected(
                GovernanceCode.UPGRADE_TOO_SOON,
                f"action {place}: the upgrade is planned for height {action.height}, this proposal may take effect at "
                f"{latest}: plan it for height {latest + 2} or later",
            )


# --- Voting


def execute_cast_vote(context: Context, message: CastVote, deciding: Deciding) -> None:
    """Count a vote in place of the sender's earlier one."""
    proposal = require_proposal(context.state, message.proposal)
    if proposal.standing != ProposalStatus.VOTING or context.height > proposal.ends_height:
        raise Rejected(
            GovernanceCode.NOT_VOTING,
            f"votes on proposal {proposal.number} ended at height {proposal.ends_height}: it is "
            f"{ProposalStatus(proposal.standing).name.lower()}",
        )
    if proposal.scope == Scope.COMMITTEE:
        _vote_in_committee(context, proposal, message.choice, deciding)
    else:
        _vote_with_power(context, proposal, message.choice, deciding)


def _vote_with_power(context: Context, proposal: Proposal, choice: int, deciding: Deciding) -> None:
    """Power that came before the proposal's epoch counts, once, by the account that votes with it now."""
    state, sender = context.state, context.sender
    power = electorates.power_before(state, electorates.GOPEN, sender, proposal.epoch)
    if not power:
        raise Rejected(
            GovernanceCode.NO_POWER,
            f"{show_address(sender)} votes with no gOPEN that came before epoch {proposal.epoch}, in which proposal "
            f"{proposal.number} was submitted",
        )
    tally = proposal.tally
    earlier = BALLOTS.get(state, proposal.number, sender)
    if earlier is not None:
        tally = with_vote(tally, earlier.choice, -earlier.power)
    counted = structs.replace(proposal, tally=with_vote(tally, choice, power))
    BALLOTS.set(state, proposal.number, sender, Ballot(choice, power))
    PROPOSALS.set(state, proposal.number, _extended(context, proposal, counted, deciding))
    context.emit(VoteTaken(voter=sender, proposal=proposal.number, choice=choice, power=power))


def _extended(context: Context, before: Proposal, after: Proposal, deciding: Deciding) -> Proposal:
    """Give others time to answer a vote that turns the outcome when it is nearly too late, once."""
    blocks = after.rules.voting_blocks
    is_late = context.height > after.ends_height - blocks // LATE_PART
    scope = Scope(after.scope)
    turns = verdict_of(scope, before.tally, before.electorate, before.rules) != verdict_of(
        scope, after.tally, after.electorate, after.rules
    )
    if after.extended or not is_late or not turns:
        return after
    ends_height = schedule(
        context.state,
        context.height,
        deciding.voting_kind,
        after.ends_height + blocks // EXTENSION_PART,
        id_of_number(after.number),
        after.number,
    )
    return structs.replace(after, ends_height=ends_height, extended=1)


def _vote_in_committee(context: Context, proposal: Proposal, choice: int, deciding: Deciding) -> None:
    """A proposal of the committee is decided as soon as more than two thirds say yes, or a third says no."""
    state, sender, powers = context.state, context.sender, committee_powers(context.state)
    _require_validator(context, powers)
    if choice not in (VoteChoice.YES, VoteChoice.NO):
        raise Rejected(
            GovernanceCode.BAD_CHOICE, "the committee says yes or no: what does not say yes counts against it"
        )
    stored = COMMITTEE_VOTES.get(state, proposal.number) or CommitteeVotes(())
    kept = [vote for vote in stored.votes if vote.operator != sender]
    if len(kept) >= MAX_COMMITTEE:
        kept = [vote for vote in kept if vote.operator in powers]
    votes = CommitteeVotes((*kept, CommitteeVote(sender, choice)))
    COMMITTEE_VOTES.set(state, proposal.number, votes)
    counted = structs.replace(
        proposal, tally=count_committee(state, proposal.number, powers), electorate=sum(powers.values())
    )
    PROPOSALS.set(state, proposal.number, counted)
    context.emit(VoteTaken(voter=sender, proposal=proposal.number, choice=choice, power=powers[sender]))
    if committee_passes(counted.tally, counted.electorate):
        deciding.let_execute(state, context, counted, context.height + 1)
    elif committee_rejects(counted.tally, counted.electorate):
        close(state, context, counted, ProposalStatus.REJECTED, "a third of all power or more said no", False)


# --- Objecting


def execute_raise_objection(context: Context, message: RaiseObjection) -> None:
    """Count a validator's objection; more than a third of all power cancels the proposal."""
    state, sender = context.state, context.sender
    proposal = require_proposal(state, message.proposal)
    if proposal.standing != ProposalStatus.TIMELOCK:
        raise Rejected(
            GovernanceCode.NOT_IN_TIMELOCK,
            f"proposal {proposal.number} is {ProposalStatus(proposal.standing).name.lower()}: validators object "
            "between passing and taking effect",
        )
    if not proposal.rules.critical or proposal.unobjectionable:
        why = "is not critical" if not proposal.rules.critical else "passed over an objection already"
        raise Rejected(GovernanceCode.NO_OBJECTION_POSSIBLE, f"proposal {proposal.number} {why}: nobody can object")
    powers = committee_powers(state)
    _require_validator(context, powers)
    known = OBJECTIONS.get(state, proposal.number) or Objections(())
    if sender in known.operators:
        raise Rejected(GovernanceCode.ALREADY_OBJECTED, f"you objected to proposal {proposal.number} already")
    kept = known.operators if len(known.operators) < MAX_COMMITTEE else _live(known.operators, powers)
    operators = (*kept, bytes(sender))
    OBJECTIONS.set(state, proposal.number, Objections(operators))
    context.involved.append(Address(proposal.proposer))
    context.emit(ObjectionRaised(operator=sender, proposal=proposal.number))
    objecting = sum([powers.get(operator, 0) for operator in operators])
    if objection_cancels(objecting, sum(powers.values())):
        cancel_by_objection(state, context, proposal)


def _live(operators: tuple[bytes, ...], powers: dict[bytes, int]) -> tuple[bytes, ...]:
    return tuple([operator for operator in operators if operator in powers])
