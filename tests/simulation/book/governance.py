"""The book's governance: whose gOPEN votes since when, proposals, what they pay out and give back."""

from collections.abc import Callable
from dataclasses import dataclass, field

from abci_app.modules.governance import Action, AppointMember, SetParameters, Spend
from tests.simulation.book.deadlines import Deadlines
from tests.simulation.book.money import WHOLE_PPB, Money
from tests.simulation.deeds import Key

GOPEN_PURPOSE, DEPOSIT_PURPOSE = 1, 7
VOTING_BLOCKS, TIMELOCK_BLOCKS, UNLOCK_BLOCKS, DEPOSIT_NOPEN = 20, 10, 40, 10**9
QUORUM_PPB, CAP_PPB = WHOLE_PPB // 3, WHOLE_PPB // 5_000
MOST_LOTS = 16
VOTING, TIMELOCK, EXECUTED, REJECTED, VETOED, CANCELLED, FAILED = range(1, 8)
YES, NO, ABSTAIN, VETO = range(1, 5)


def gopen_of(owner: bytes) -> Key:
    """The lock of somebody's gOPEN."""
    return GOPEN_PURPOSE, bytes(32), owner


@dataclass
class ProposalInBook:
    """One proposal."""

    number: int
    proposer: bytes
    actions: tuple[Action, ...]
    deposit_nopen: int
    epoch: int
    electorate: int
    ends_height: int
    executes_height: int = 0
    standing: int = VOTING
    # Voter -> (choice, power)
    ballots: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    objectors: list[bytes] = field(default_factory=list)
    was_objected: bool = False
    is_extended: bool = False
    is_final: bool = False

    @property
    def is_critical(self) -> bool:
        """Whether it needs two thirds."""
        return any(isinstance(action, SetParameters | Spend | AppointMember) for action in self.actions)

    def tally(self) -> tuple[int, int, int, int]:
        """Power by choice, added up from the ballots."""
        yes, no, abstain, veto = (
            sum(power for made, power in self.ballots.values() if made == choice) for choice in (YES, NO, ABSTAIN, VETO)
        )
        return yes, no, abstain, veto

    def outcome(self) -> str:
        """What the ballots say."""
        yes, no, abstain, veto = self.tally()
        cast, decisive = yes + no + abstain + veto, yes + no + veto
        if not cast or cast * WHOLE_PPB < QUORUM_PPB * self.electorate:
            return "no quorum"
        if veto and veto * 3 >= decisive:
            return "vetoed"
        passes = yes * 3 >= decisive * 2 if self.is_critical else yes * 2 > decisive
        return "passed" if yes and passes else "rejected"

    @property
    def deposit(self) -> Key:
        """The lock of its deposit."""
        return DEPOSIT_PURPOSE, self.number.to_bytes(32, "big"), self.proposer


@dataclass
class Governance:
    """All of it; `powers` tells validators' live powers."""

    money: Money
    deadlines: Deadlines
    treasury: bytes
    powers: Callable[[], dict[bytes, int]]
    epoch: int = 0
    treasury_start_nopen: int = 0
    spent_nopen: int = 0
    # Holder -> [epoch, amount], the oldest first.
    lots: dict[bytes, list[list[int]]] = field(default_factory=dict)
    delegates: dict[bytes, bytes] = field(default_factory=dict)
    proposals: dict[int, ProposalInBook] = field(default_factory=dict)
    objected: list[tuple[Action, ...]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def begin_epoch(self, number: int) -> None:
        """What an epoch may spend is measured by its beginning."""
        self.epoch, self.spent_nopen = number, 0
        self.treasury_start_nopen = self.money.balances[self.treasury]

    # --- gOPEN

    def lock(self, holder: bytes, amount_nopen: int) -> None:
        """A lot comes; the two newest of seventeen become one."""
        self.money.take(gopen_of(holder), amount_nopen)
        lots = self.lots.setdefault(holder, [])
        lots.append([self.epoch, amount_nopen])
        same_epoch = len(lots) > 1 and lots[-2][0] == self.epoch
        if same_epoch or len(lots) > MOST_LOTS:
            newest = lots.pop()
            lots[-1] = [newest[0], lots[-1][1] + newest[1]]

    def unlock(self, holder: bytes, amount_nopen: int, height: int, seconds: int) -> None:
        """The newest goes first."""
        self.money.release(gopen_of(holder), amount_nopen, height + UNLOCK_BLOCKS, seconds)
        left_nopen, lots = amount_nopen, self.lots.get(holder, [])
        while left_nopen and lots:
            taken_nopen = min(left_nopen, lots[-1][1])
            lots[-1][1] -= taken_nopen
            left_nopen -= taken_nopen
            if not lots[-1][1]:
                lots.pop()
        if left_nopen:
            self.faults.append(f"{holder.hex()} unlocked {left_nopen} nopen that it does not have")
        if not lots:
            self.lots.pop(holder, None)
            self.delegates.pop(holder, None)

    def delegate(self, holder: bytes, to: bytes) -> None:
        """Everything comes anew to the delegate."""
        self.delegates[holder] = to
        self.lots[holder] = [[self.epoch, sum(amount for _, amount in self.lots.get(holder, []))]]

    def power(self, voter: bytes, epoch: int) -> int:
        """What somebody votes with that came before an epoch."""
        holders = [holder for holder in self.lots if self.delegates.get(holder, holder) == voter]
        return sum(amount for holder in holders for since, amount in self.lots[holder] if since < epoch)

    def powers_by_epoch(self) -> dict[bytes, dict[int, int]]:
        """Voter -> epoch -> what came to it in that epoch."""
        found: dict[bytes, dict[int, int]] = {}
        for holder, lots in self.lots.items():
            amounts = found.setdefault(self.delegates.get(holder, holder), {})
            for epoch, amount in lots:
                amounts[epoch] = amounts.get(epoch, 0) + amount
        return found

    def electorate(self, epoch: int) -> int:
        """All that came before an epoch."""
        return sum(amount for lots in self.lots.values() for since, amount in lots if since < epoch)

    # --- Proposals

    def open_now(self) -> list[ProposalInBook]:
        """Proposals that have not ended."""
        return [each for each in self.proposals.values() if each.standing in (VOTING, TIMELOCK)]

    def propose(self, proposer: bytes, actions: tuple[Action, ...], height: int) -> None:
        """Take the deposit; voting begins."""
        number = len(self.proposals) + 1
        made = ProposalInBook(
            number=number,
            proposer=proposer,
            actions=actions,
            deposit_nopen=DEPOSIT_NOPEN << len(self.open_now()) // 8,
            epoch=self.epoch,
            electorate=self.electorate(self.epoch),
            ends_height=height + VOTING_BLOCKS,
            was_objected=actions in self.objected,
        )
        if not made.electorate:
            self.faults.append(f"proposal {number} was made although nobody can vote")
        self.money.take(made.deposit, made.deposit_nopen)
        self.proposals[number] = made
        self._await_end(made)

    def _await_end(self, proposal: ProposalInBook) -> None:
        ends_height = proposal.ends_height

        def end(now: int) -> bool:
            if proposal.standing != VOTING or proposal.ends_height != ends_height:
                return False
            self._end_voting(proposal, now)
            return True

        self.deadlines.add(0, ends_height, end)

    def vote(self, voter: bytes, number: int, choice: int, height: int) -> None:
        """A ballot takes the place of an earlier one; a late one that turns the outcome extends the voting once."""
        proposal, power = self.proposals[number], self.power(voter, self.proposals[number].epoch)
        if not power or proposal.standing != VOTING or height > proposal.ends_height:
            self.faults.append(f"a vote on proposal {number} counted with power {power}, status {proposal.standing}")
        before = proposal.outcome()
        proposal.ballots[voter] = choice, power
        late = height > proposal.ends_height - VOTING_BLOCKS // 10
        if late and not proposal.is_extended and proposal.outcome() != before:
            proposal.is_extended = True
            proposal.ends_height += VOTING_BLOCKS // 4
            self._await_end(proposal)
        if sum(proposal.tally()) > proposal.electorate:
            self.faults.append(f"proposal {number} has more votes than there are")

    def _end_voting(self, proposal: ProposalInBook, now: int) -> None:
        outcome = proposal.outcome()
        if outcome != "passed":
            standing = VETOED if outcome == "vetoed" else REJECTED
            self._close(proposal, standing, forfeit=outcome != "rejected")
            return
        yes, no, abstain, veto = proposal.tally()
        half_voted = 2 * (yes + no + abstain + veto) >= proposal.electorate
        stands = proposal.was_objected and proposal.actions in self.objected
        proposal.is_final = stands and half_voted and 3 * yes >= 2 * (yes + no + veto)
        if proposal.is_final:
            self.objected = [actions for actions in self.objected if actions != proposal.actions]
        proposal.standing, proposal.executes_height = TIMELOCK, now + TIMELOCK_BLOCKS

        def execute(_: int) -> bool:
            if proposal.standing != TIMELOCK:
                return False
            self._execute(proposal)
            return True

        self.deadlines.add(0, proposal.executes_height, execute)

    def _execute(self, proposal: ProposalInBook) -> None:
        """All actions or none: what is asked of the treasury in sum must fit under the epoch's cap."""
        spends = [action for action in proposal.actions if isinstance(action, Spend)]
        asked_nopen = sum(action.amount_nopen for action in spends)
        if asked_nopen + self.spent_nopen > self.treasury_start_nopen * CAP_PPB // WHOLE_PPB and spends:
            self._close(proposal, FAILED, forfeit=False)
            return
        for action in spends:
            self.money.transfer(self.treasury, self.money.receiver(action.recipient), action.amount_nopen)
        self.spent_nopen += asked_nopen
        self._close(proposal, EXECUTED, forfeit=False)

    def _close(self, proposal: ProposalInBook, standing: int, *, forfeit: bool) -> None:
        proposal.standing = standing
        self.money.remove(proposal.deposit, proposal.deposit_nopen)
        self.money.add(self.treasury if forfeit else proposal.proposer, proposal.deposit_nopen)

    def object_to(self, operator: bytes, number: int) -> None:
        """More than a third of all power cancels."""
        proposal, powers = self.proposals[number], self.powers()
        if proposal.standing != TIMELOCK or not proposal.is_critical or proposal.is_final:
            self.faults.append(f"an objection to proposal {number} counted, status {proposal.standing}")
        if not powers.get(operator) or operator in proposal.objectors:
            self.faults.append(f"{operator.hex()} objected without power, or twice")
        proposal.objectors.append(operator)
        if 3 * sum(powers.get(each, 0) for each in proposal.objectors) > sum(powers.values()):
            self._close(proposal, CANCELLED, forfeit=False)
            self.objected.append(proposal.actions)
