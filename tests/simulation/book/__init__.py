"""An independent book: what a chain must hold, worked out in plain dictionaries from what happened in its blocks.

It shares no code with the rules that it checks. `follow` takes a block, `differences` compares with the state.
"""

from dataclasses import dataclass, field
from functools import partial

from abci_app.accounts import ACCOUNTS
from abci_app.mechanisms import electorates
from abci_app.mechanisms.beacon.records import beacon_of
from abci_app.mechanisms.deadlines import ENTRIES, STUCK
from abci_app.mechanisms.locks import LOCKS_ACCOUNT, Withdraw
from abci_app.mechanisms.locks.records import LOCKS
from abci_app.module import FEES_ACCOUNT, TREASURY_ACCOUNT, Message
from abci_app.modules import validators as validator_messages
from abci_app.modules.accounts import SetPolicy
from abci_app.modules.bank import Burn, SetPayee, Transfer
from abci_app.modules.governance import (
    PROPOSALS,
    CastVote,
    Delegate,
    LockGopen,
    Propose,
    RaiseObjection,
    UnlockGopen,
)
from abci_app.state.store import StateView
from abci_app.state.table import hash_key_part
from tests.simulation import deeds
from tests.simulation.book.beacon import BeaconBook, tagged
from tests.simulation.book.deadlines import A_BLOCK, Deadlines
from tests.simulation.book.facts import Facts, Sent
from tests.simulation.book.governance import Governance
from tests.simulation.book.money import WHOLE_PPB, Money
from tests.simulation.book.validators import BOND_NOPEN, Standing, Validators, bond_of, consensus_address
from tests.simulation.workshop import DRAWN, JOBS, KIND_OF_LANE

__all__ = ["Book", "Facts", "Money", "Sent", "Validators", "bond_of", "tagged"]

EPOCH_BLOCKS = 10
# As many epochs are kept apart at least; epoch 0 never is, it is every electorate's base.
EPOCHS_APART = 60
SILENT_PENALTY_NOPEN = BOND_NOPEN // 20


@dataclass
class Book:
    """What must be in the state, and what was wrong with a block already."""

    money: Money
    validators: Validators
    beacon: BeaconBook = field(default_factory=BeaconBook)
    deadlines: Deadlines = field(default_factory=Deadlines)
    epoch_start: int = 1
    faults: list[str] = field(default_factory=list)
    governance: Governance = field(init=False)

    def __post_init__(self) -> None:
        """Governance stands on the others."""
        powers = self.validators.live_powers
        self.governance = Governance(self.money, self.deadlines, TREASURY_ACCOUNT, powers)

    # --- A block

    def follow(self, facts: Facts) -> None:
        """Work out one block, in the order in which blocks work."""
        self.beacon.count(facts.decided_round, facts.height)
        for address in facts.accused:
            self.validators.accuse(address, self.money)
        for deed in facts.deeds:
            self._do(deed, facts)
        self._reveal(facts)
        told = dict(self.validators.told)
        fees_nopen = 0
        for sent in facts.sent:
            if sent.paid:
                self.money.add(sent.sponsor or sent.sender, -sent.fee_nopen)
                fees_nopen += sent.fee_nopen
            if sent.succeeded:
                for message in sent.messages:
                    self._message(sent.sender, message, facts)
        self.money.add(FEES_ACCOUNT, fees_nopen)
        is_silent = self._charge_silence(facts)
        for object_id in self.beacon.draw(facts.height, len(facts.votes)):
            self.deadlines.add(1, facts.height + 1, partial(self._take_draw, object_id))
        epoch = self.governance.epoch
        self.deadlines.run(facts.height)
        ticks = self.governance.epoch != epoch
        self._end_validators(facts, told, is_silent, ticks)

    def _reveal(self, facts: Facts) -> None:
        owner = self.validators.owners.get(facts.proposer)
        valid = bool(facts.reveal) and self.beacon.is_valid(owner, facts.reveal, facts.height)
        if valid != facts.reveal_taken:
            self.faults.append(f"a reveal was {'refused' if valid else 'taken'} that is{'' if valid else ' not'} valid")
        if valid and owner is not None:
            self.beacon.shown, self.beacon.shown_by = facts.reveal, owner

    def _charge_silence(self, facts: Facts) -> bool:
        owner = self.validators.owners.get(facts.proposer)
        if owner is None or self.beacon.shown or owner not in self.beacon.onions:
            return False
        bond = bond_of(owner)
        fine_nopen = self.beacon.fine_nopen(SILENT_PENALTY_NOPEN, self.money.held(bond).amount_nopen)
        self.money.fine(bond, fine_nopen, ((TREASURY_ACCOUNT, WHOLE_PPB),))
        return True

    def _take_draw(self, object_id: bytes, height: int) -> bool:
        made = self.beacon.made.pop(object_id)
        self.beacon.taken[object_id] = made.value, made.weak, height
        return True

    def begin(self) -> None:
        """The chain begins, and its first epoch."""
        self.validators.begin_epoch()
        self.governance.begin_epoch(0)
        self.deadlines.add(0, self.epoch_start + EPOCH_BLOCKS, self._tick)

    def _tick(self, height: int) -> bool:
        self.validators.tick(height, height - self.epoch_start, self.money, FEES_ACCOUNT)
        self.epoch_start = height
        self.governance.begin_epoch(self.governance.epoch + 1)
        self.deadlines.add(0, height + EPOCH_BLOCKS, self._tick)
        return True

    def _end_validators(self, facts: Facts, told: dict[bytes, int], is_silent: bool, ticks: bool) -> None:
        known = self.validators
        if ticks:
            known.told, now = told, known.told
            known.begin_epoch()
            known.told = now
        if any(member.listed for member in known.members.values()):
            known.count(facts.votes, facts.proposer, is_silent)
        known.take_updates(told, facts.updates)
        for operator in known.retire(facts.height, facts.seconds, self.money):
            self.beacon.onions.pop(operator, None)

    def _do(self, deed: deeds.Deed, facts: Facts) -> None:
        money, height = self.money, facts.height
        match deed:
            case deeds.Take(key, amount_nopen):
                money.take(key, amount_nopen)
            case deeds.GiveBack(key, amount_nopen):
                if money.remove(key, amount_nopen):
                    money.add(key[2], amount_nopen)
            case deeds.Pay(key, recipient, amount_nopen):
                if money.remove(key, amount_nopen):
                    money.add(money.receiver(recipient), amount_nopen)
            case deeds.Move(key, target, amount_nopen):
                if money.remove(key, amount_nopen):
                    money.held(target).amount_nopen += amount_nopen
            case deeds.Release(key, amount_nopen, blocks, seconds):
                money.release(key, amount_nopen, height + blocks, facts.seconds + seconds)
            case deeds.Slash(key, part_ppb, receivers):
                money.slash(key, part_ppb, receivers)
            case deeds.Fine(key, amount_nopen, receivers):
                money.fine(key, amount_nopen, receivers)
            case deeds.Schedule(lane, job, due_height):
                self.deadlines.schedule(lane, job, due_height, height)
            case deeds.AskDraw(object_id, at_stake_nopen):
                self.beacon.ask(object_id, height, at_stake_nopen)
            case deeds.Admit(operator, power):
                self.validators.admit(operator, power)

    def _message(self, sender: bytes, message: Message, facts: Facts) -> None:
        money, known, height = self.money, self.validators, facts.height
        match message:
            case Transfer(recipient, amount_nopen):
                money.transfer(sender, recipient, amount_nopen)
            case Burn(amount_nopen):
                money.add(sender, -amount_nopen)
            case SetPayee(payee):
                money.payees.pop(sender, None)
                if payee not in (b"", sender):
                    money.payees[sender] = payee
            case SetPolicy():
                money.payees.pop(sender, None)
            case Withdraw(purpose, object_id):
                key = (purpose, object_id or bytes(32), sender)
                if not money.ended_nopen(key, height, facts.seconds):
                    self.faults.append(f"{sender.hex()} withdrew what has not ended")
                money.withdraw(key, height, facts.seconds)
            case validator_messages.Apply(key, onion, bond_nopen):
                money.take(bond_of(sender), bond_nopen)
                known.come(sender, key, consensus_address(key))
                self.beacon.set_onion(sender, onion, height, 2 * EPOCH_BLOCKS)
            case validator_messages.AddBond(amount_nopen):
                money.take(bond_of(sender), amount_nopen)
            case validator_messages.Leave():
                known.members[sender].standing, known.members[sender].admitted = Standing.LEAVING, 0
            case validator_messages.Unjail():
                known.unjail(sender, consensus_address(known.members[sender].key), height, money)
            case validator_messages.RotateKey(key):
                known.rotate(sender, key, consensus_address(key))
            case validator_messages.SetOnion(onion):
                self.beacon.set_onion(sender, onion, height, 2 * EPOCH_BLOCKS)
            case _:
                self._govern(sender, message, facts)

    def _govern(self, sender: bytes, message: Message, facts: Facts) -> None:
        governance, height = self.governance, facts.height
        match message:
            case LockGopen(amount_nopen):
                governance.lock(sender, amount_nopen)
            case UnlockGopen(amount_nopen):
                governance.unlock(sender, amount_nopen, height, facts.seconds)
            case Delegate(to):
                governance.delegate(sender, to)
            case Propose():
                governance.propose(sender, message.actions, height)
            case CastVote(number, choice):
                governance.vote(sender, number, choice, height)
            case RaiseObjection(number):
                governance.object_to(sender, number)
            case _:
                pass

    def can_withdraw(self, owner: bytes, message: Withdraw, height: int, seconds: int) -> bool:
        """Whether a withdrawal alone in a block would pay something."""
        key = (message.purpose, message.object_id or bytes(32), owner)
        return self.money.ended_nopen(key, height, seconds) > 0

    # --- Against the state

    def _name(self, place: bytes) -> str:
        """The address whose account lies at a place of the table."""
        return next(
            (each.hex() for each in self.money.balances if hash_key_part(each) == place), f"place {place.hex()}"
        )

    def differences(self, view: StateView) -> list[str]:
        """One line for everything in which the state and the book differ."""
        found = [*self.faults, *self.validators.faults, *self.governance.faults]
        self.faults, self.validators.faults, self.governance.faults = [], [], []
        found += self._of_money(view)
        found += self._of_deadlines(view)
        found += self._of_beacon(view)
        found += self._of_proposals(view)
        found += self._of_powers(view)
        return found

    def _of_powers(self, view: StateView) -> list[str]:
        """Who votes with how much of which epoch, as far as epochs are kept apart."""
        first = max(self.governance.epoch - EPOCHS_APART, 0) + 1
        stored = {
            voter: (each.amount, {one.epoch: one.amount for one in each.recent if one.epoch >= first})
            for (_, voter), each in electorates.POWERS.iterate(view)
        }
        booked = {
            hash_key_part(voter): (
                sum(amounts.values()),
                {epoch: amount for epoch, amount in amounts.items() if epoch >= first and amount},
            )
            for voter, amounts in self.governance.powers_by_epoch().items()
            if any(amounts.values())
        }
        return [
            f"power of {voter.hex()} is {stored.get(voter)}, the book has {booked.get(voter)}"
            for voter in {**stored, **booked}
            if stored.get(voter) != booked.get(voter)
        ]

    def _of_proposals(self, view: StateView) -> list[str]:
        stored = {
            number: (
                each.standing,
                (each.tally.yes, each.tally.no, each.tally.abstain, each.tally.veto),
                each.electorate,
                each.ends_height,
                each.executes_height,
            )
            for (number,), each in PROPOSALS.iterate(view)
        }
        booked = {
            number: (each.standing, each.tally(), each.electorate, each.ends_height, each.executes_height)
            for number, each in self.governance.proposals.items()
        }
        return [
            f"proposal {number} is {stored.get(number)}, the book has {booked.get(number)}"
            for number in {**stored, **booked}
            if stored.get(number) != booked.get(number)
        ]

    def _of_money(self, view: StateView) -> list[str]:
        stored = {place: account.balance_nopen for (place,), account in ACCOUNTS.iterate(view)}
        booked_all = {**self.money.balances, LOCKS_ACCOUNT: sum(each.total_nopen for each in self.money.locks.values())}
        written = {hash_key_part(address): nopen for address, nopen in booked_all.items()}
        found = [
            f"balance of {self._name(place)} is {stored.get(place, 0)}, the book has {written.get(place, 0)}"
            for place in {**stored, **written}
            if stored.get(place, 0) != written.get(place, 0)
        ]
        locks = {}
        for (purpose, object_id, _), lock in LOCKS.iterate(view):
            leaving = [[each.amount_nopen, each.height, each.time_seconds] for each in lock.leaving]
            locks[purpose, object_id, lock.owner] = (lock.amount_nopen, leaving)
        booked = {key: (held.amount_nopen, held.leaving) for key, held in self.money.locks.items() if held.total_nopen}
        return found + [
            f"lock {key[0]} of {key[2].hex()} is {locks.get(key)}, the book has {booked.get(key)}"
            for key in {**locks, **booked}
            if locks.get(key) != booked.get(key)
        ]

    def _of_deadlines(self, view: StateView) -> list[str]:
        jobs = {job: (each.due_height, each.runs, each.fallbacks) for (job,), each in JOBS.iterate(view)}
        booked = {job: (each.due_height, each.runs, each.fallbacks) for job, each in self.deadlines.jobs.items()}
        found = [
            f"job {job.hex()} (due, runs, fallbacks) is {jobs.get(job)}, the book has {booked.get(job)}"
            for job in {**jobs, **booked}
            if jobs.get(job) != booked.get(job)
        ]
        stuck = sorted(each.deadline.object for _, each in STUCK.iterate(view))
        if stuck != sorted(self.deadlines.stuck):
            found.append(f"{len(stuck)} deadlines are stuck, the book has {len(self.deadlines.stuck)}")
        kinds = {number: lane for lane, number in KIND_OF_LANE.items()}
        waiting = dict.fromkeys(A_BLOCK, 0)
        for (lane, _, _), deadline in ENTRIES.iterate(view):
            waiting[lane] += deadline.kind in kinds
        for lane, count in waiting.items():
            expected = sum(bool(entry.job) for entry in self.deadlines.lanes[lane])
            if count != expected:
                found.append(f"lane {lane} holds {count} jobs, the book has {expected}")
        return found

    def _of_beacon(self, view: StateView) -> list[str]:
        stored, book = beacon_of(view), self.beacon
        told = {
            "value": (stored.value, book.value),
            "reveals": (stored.reveals, book.reveals),
            "shown": (stored.shown, book.shown),
            "waiting": (stored.waiting, len(book.waiting)),
            "at stake": (stored.at_stake_nopen, book.at_stake_nopen),
        }
        found = [
            f"beacon's {name} is {one!r}, the book has {other!r}" for name, (one, other) in told.items() if one != other
        ]
        drawn = {object_id: (each.value, each.weak, each.height) for (object_id,), each in DRAWN.iterate(view)}
        if drawn != book.taken:
            found.append(f"{len(drawn)} draws were taken, the book has {len(book.taken)} or others")
        return found
