"""Words for proposals: where one stands, what happens when, and what the reader can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openledger.amounts import show_amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abci_app.modules.governance import Proposal, ProposalView

_PERCENT = 100


def standing(proposal: Proposal, height: int) -> str:
    """Where a proposal stands, in one line."""
    from abci_app.modules.governance import ProposalStatus, Scope

    status = ProposalStatus(proposal.standing)
    if status == ProposalStatus.VOTING:
        early = " at the latest" if proposal.scope == Scope.COMMITTEE else ""
        return f"voting until height {proposal.ends_height}{early}{_blocks_left(proposal.ends_height, height)}"
    if status == ProposalStatus.TIMELOCK:
        return (
            f"passed, takes effect at height {proposal.executes_height}{_blocks_left(proposal.executes_height, height)}"
        )
    return {
        ProposalStatus.EXECUTED: f"took effect at height {proposal.executes_height}",
        ProposalStatus.REJECTED: "rejected",
        ProposalStatus.VETOED: "vetoed",
        ProposalStatus.CANCELLED: "cancelled by the validators' objection",
        ProposalStatus.FAILED: f"failed at height {proposal.executes_height}: its actions were no longer possible",
    }[status]


def _blocks_left(until: int, height: int) -> str:
    return f" ({until - height} blocks)" if until > height else ""


def votes(proposal: Proposal) -> str:
    """The tally as people read it."""
    from abci_app.modules.governance import Scope

    tally = proposal.tally
    named = [("yes", tally.yes), ("no", tally.no), ("abstain", tally.abstain), ("veto", tally.veto)]
    is_committee = proposal.scope == Scope.COMMITTEE
    shown = ", ".join(
        [f"{name} {power if is_committee else show_amount(power)}" for name, power in named if power or name == "yes"]
    )
    part = f"{_PERCENT * tally.cast / proposal.electorate:.1f} %" if proposal.electorate else "nothing"
    all_of_it = proposal.electorate if is_committee else show_amount(proposal.electorate)
    return f"{shown}; {part} of {all_of_it} voted"


def needed(proposal: Proposal) -> str:
    """Say what it takes to pass."""
    from abci_app.modules.governance import Scope
    from openledger.amounts import show_share

    if proposal.scope == Scope.COMMITTEE:
        return "passes as soon as more than two thirds of all power says yes, ends when a third says no"
    enough = "two thirds" if proposal.rules.critical else "more than half"
    return (
        f"passes if {show_share(proposal.rules.quorum_ppb)} of it vote, {enough} of yes, no and veto are yes, and less "
        "than a third of them veto"
    )


def steps(view: ProposalView) -> Iterator[str]:
    """Say what one can do now, as commands."""
    from abci_app.modules.governance import ProposalStatus

    proposal = view.proposal
    if proposal.standing == ProposalStatus.VOTING:
        yield f"openledger gov vote {proposal.number} yes|no|abstain|veto --from KEY"
    elif proposal.standing == ProposalStatus.TIMELOCK and proposal.rules.critical and not proposal.unobjectionable:
        yield f"openledger gov object {proposal.number} --from KEY     (operators of live validators)"
    elif proposal.standing == ProposalStatus.TIMELOCK:
        yield f"openledger gov show {proposal.number}"
    else:
        yield "openledger gov list"


def events(view: ProposalView) -> Iterator[str]:
    """Say what happens when."""
    from abci_app.modules.governance import ProposalStatus

    proposal = view.proposal
    if proposal.standing == ProposalStatus.VOTING:
        yield f"votes are counted at the end of block {proposal.ends_height}" + (
            " (extended once)" if proposal.extended else ", later by a quarter if a late vote turns the outcome"
        )
        if proposal.rules.timelock_blocks:
            yield f"if it passes, it takes effect {proposal.rules.timelock_blocks:,} blocks after that"
    if proposal.standing == ProposalStatus.TIMELOCK:
        yield f"its actions take effect together at the end of block {proposal.executes_height}, all or none"
        if proposal.rules.critical and proposal.unobjectionable:
            yield "it passed over an objection: nobody can object again"
        elif proposal.rules.critical:
            yield (
                f"validators with {view.objecting_power} of {view.validators_power} power object; more than a third "
                "cancels it"
            )
    if proposal.deposit_nopen and proposal.is_open:
        yield f"{show_amount(proposal.deposit_nopen)} are deposited; lost if a third vetoes or too few vote"
