"""Rules that hold of governance whenever a block has ended."""

from abci_app.mechanisms import electorates, locks
from abci_app.mechanisms.deadlines import ENTRIES, STUCK
from abci_app.mechanisms.electorates import EpochAmount
from abci_app.mechanisms.locks.records import LOCKS, Purpose
from abci_app.modules.governance.actions import Scope
from abci_app.modules.governance.deciding import EXECUTION_KIND, LANE, VOTING_KIND, open_key
from abci_app.modules.governance.records import (
    ACTIONS,
    BALLOTS,
    COUNTER,
    HOLDERS,
    OPEN,
    PROPOSALS,
    Proposal,
    ProposalStatus,
    VoteChoice,
)
from abci_app.state.store import StateView
from abci_app.state.table import hash_key_part


def lots_are_locked(view: StateView) -> list[str]:
    """Each holder's lots add up to the lock, and nobody else has gOPEN locked."""
    held = {owner: holder.amount_nopen for (owner,), holder in HOLDERS.iterate(view)}
    locked = {
        owner: lock.amount_nopen
        for (_, _, owner), lock in LOCKS.iterate(view, Purpose.GOPEN, locks.NO_OBJECT)
        if lock.amount_nopen
    }
    return [] if held == locked else [f"gOPEN of {len(held)} holders is not what is locked for {len(locked)}"]


def power_is_of_lots(view: StateView) -> list[str]:
    """Every delegate votes with exactly the lots of those who chose it, each under its epoch."""
    expected: dict[bytes, dict[int, int]] = {}
    for _, holder in HOLDERS.iterate(view):
        lots = expected.setdefault(hash_key_part(holder.delegate), {})
        for lot in holder.lots:
            lots[lot.epoch] = lots.get(lot.epoch, 0) + lot.amount_nopen
    faults = []
    found = {member: power for (_, member), power in electorates.POWERS.iterate(view, electorates.GOPEN)}
    for member in sorted({**expected, **found}):
        lots, power = expected.get(member, {}), found.get(member, electorates.NO_POWER)
        base = sum([amount for epoch, amount in lots.items() if epoch <= power.base_epoch])
        recent = [EpochAmount(epoch, lots[epoch]) for epoch in sorted(lots) if epoch > power.base_epoch]
        if (base, tuple(recent)) != (power.base, power.recent):
            faults.append(f"power of {member.hex()} is {power}, lots are {lots}")
    return faults


def proposals_are_sound(view: StateView) -> list[str]:
    """Numbers are dense, tallies are the ballots, deposits are locked while open, lists name what is open."""
    faults, count = [], COUNTER.get(view)
    proposals = {number: proposal for (number,), proposal in PROPOSALS.iterate(view)}
    if list(proposals) != list(range(1, (count.number if count else 0) + 1)):
        faults.append("numbers of proposals are not dense")
    if [number for (number,), _ in ACTIONS.iterate(view)] != list(proposals):
        faults.append("not every proposal has actions, or others have")
    listed = {each.number: key for key, opened in OPEN.iterate(view) for each in opened.proposals}
    for number, proposal in proposals.items():
        if proposal.is_open != (listed.get(number) == open_key(proposal.scope, proposal.object_id)):
            faults.append(f"proposal {number} is {ProposalStatus(proposal.standing).name.lower()} and listed wrongly")
        if proposal.scope != Scope.COMMITTEE:
            faults += _ballot_faults(view, proposal)
    deposits = sum([lock.amount_nopen for _, lock in LOCKS.iterate(view, Purpose.DEPOSIT)])
    if deposits != sum([proposal.deposit_nopen for proposal in proposals.values() if proposal.is_open]):
        faults.append(f"{deposits} nopen are deposited, open proposals say another amount")
    return faults


def _ballot_faults(view: StateView, proposal: Proposal) -> list[str]:
    sums = dict.fromkeys(VoteChoice, 0)
    for _, ballot in BALLOTS.iterate(view, proposal.number):
        sums[VoteChoice(ballot.choice)] += ballot.power
    tally = proposal.tally
    if [tally.yes, tally.no, tally.abstain, tally.veto] != list(sums.values()):
        return [f"tally of proposal {proposal.number} is {tally}, its ballots say {list(sums.values())}"]
    if tally.cast > proposal.electorate:
        return [f"{tally.cast} voted on proposal {proposal.number}, its electorate is {proposal.electorate}"]
    return []


def proposals_have_one_deadline(view: StateView) -> list[str]:
    """Every open proposal waits for exactly one deadline, unless that met a bug and was put aside."""
    waiting: dict[tuple[int, int, int], int] = {}
    for (_, height, _), deadline in ENTRIES.iterate(view, LANE):
        place = (deadline.kind, deadline.number, height)
        waiting[place] = waiting.get(place, 0) + 1
    for _, stuck in STUCK.iterate(view):
        waiting[stuck.deadline.kind, stuck.deadline.number, stuck.due_height] = 1
    faults = []
    for (number,), proposal in PROPOSALS.iterate(view):
        if proposal.is_open:
            is_voting = proposal.standing == ProposalStatus.VOTING
            kind = VOTING_KIND if is_voting else EXECUTION_KIND
            height = proposal.ends_height if is_voting else proposal.executes_height
            if waiting.get((kind, number, height)) != 1:
                faults.append(f"proposal {number} waits for height {height} without one deadline of kind {kind}")
    return faults


INVARIANTS = (lots_are_locked, power_is_of_lots, proposals_are_sound, proposals_have_one_deadline)
