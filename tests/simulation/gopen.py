"""Random lives of a few coins: locked, delegated, voted with, unlocked, withdrawn, given away, locked again.

An independent book follows every single coin through plain dictionaries, and says for each vote which coins count. It
must agree with the chain on every power and tally, and no coin may count twice on a proposal, however it travels.

    python -m tests.simulation.gopen --sequences 100000 --seed 1
"""

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass, field

from abci_app.accounts import ACCOUNTS, Account
from abci_app.chain.registry import SECTIONS
from abci_app.errors import Rejected
from abci_app.mechanisms import electorates
from abci_app.mechanisms.epochs import EPOCH, Epoch
from abci_app.mechanisms.locks import Withdraw
from abci_app.modules.bank import Transfer
from abci_app.modules.governance import (
    BALLOTS,
    HOLDERS,
    PROPOSALS,
    CastVote,
    Delegate,
    LockGopen,
    NoteDown,
    Propose,
    Scope,
    UnlockGopen,
    VoteChoice,
)
from abci_app.modules.governance.invariants import INVARIANTS
from abci_app.modules.governance.records import MAX_LOTS
from abci_app.parameters import read_document, write_parameters
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from tests.kit.modules.ledger import execute
from tests.kit.signing import Signer

PEOPLE = [Signer.named(f"holder-{number}") for number in range(4)]
COINS_EACH = 6
# Above what proposals deposit; coins are single nopen, so that each can be followed.
DEPOSIT_NOPEN = 10**9
UNLOCK_BLOCKS, EPOCH_BLOCKS = 40, 10
PARAMETERS = read_document(
    SECTIONS,
    {
        "governance": {
            "voting_blocks": 20,
            "timelock_blocks": 10,
            "unlock_blocks": UNLOCK_BLOCKS,
            "deposit_nopen": DEPOSIT_NOPEN,
        },
        "epochs": {"epoch_blocks": EPOCH_BLOCKS},
    },
)


@dataclass
class Coin:
    """One nopen: who has it, since when it votes and with whom, or from when on it may be withdrawn."""

    owner: int
    state: str = "free"
    since: int = 0
    leaves: int = 0


@dataclass
class Book:
    """The book: coins, delegates, and which coins were counted by each ballot."""

    coins: list[Coin] = field(default_factory=list)
    delegates: dict[int, int] = field(default_factory=dict)
    # (proposal, voter) -> coins that count, and the choice.
    ballots: dict[tuple[int, int], tuple[list[int], int]] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)

    def of(self, owner: int, state: str) -> list[int]:
        """Coins of somebody in a state."""
        return [number for number, coin in enumerate(self.coins) if (coin.owner, coin.state) == (owner, state)]

    def lock(self, owner: int, count: int, now: int) -> None:
        """Coins come in this epoch; of seventeen lots the two newest become one."""
        for number in self.of(owner, "free")[:count]:
            self.coins[number].state, self.coins[number].since = "locked", now
        lots = sorted({self.coins[number].since for number in self.of(owner, "locked")})
        if len(lots) > MAX_LOTS:
            for number in self.of(owner, "locked"):
                if self.coins[number].since == lots[-2]:
                    self.coins[number].since = lots[-1]

    def unlock(self, owner: int, count: int, height: int) -> None:
        """The newest leave first."""
        newest = sorted(self.of(owner, "locked"), key=lambda number: -self.coins[number].since)
        for number in newest[:count]:
            self.coins[number].state, self.coins[number].leaves = "leaving", height + UNLOCK_BLOCKS
        if not self.of(owner, "locked"):
            self.delegates.pop(owner, None)

    def delegate(self, owner: int, to: int, now: int) -> None:
        """All come anew to the delegate."""
        self.delegates[owner] = to
        for number in self.of(owner, "locked"):
            self.coins[number].since = now

    def withdraw(self, owner: int, height: int) -> None:
        """What has left is free."""
        for number in self.of(owner, "leaving"):
            if self.coins[number].leaves <= height:
                self.coins[number].state = "free"

    def give(self, owner: int, to: int, count: int) -> None:
        """Free coins change hands."""
        for number in self.of(owner, "free")[:count]:
            self.coins[number].owner = to

    def counted(self, voter: int, epoch: int) -> list[int]:
        """Coins that somebody votes with on a proposal of an epoch."""
        return [
            number
            for number, coin in enumerate(self.coins)
            if coin.state == "locked" and coin.since < epoch and self.delegates.get(coin.owner, coin.owner) == voter
        ]

    def vote(self, proposal: int, voter: int, choice: int) -> None:
        """A ballot takes the place of an earlier one."""
        self.ballots[proposal, voter] = self.counted(voter, self.epochs[proposal]), choice


class Life:
    """One sequence: the chain's rules straight on a state, and the book beside it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.state = Overlay(EmptyView())
        write_parameters(self.state, SECTIONS, PARAMETERS)
        self.book = Book([Coin(owner) for owner in range(len(PEOPLE)) for _ in range(COINS_EACH)])
        for person in PEOPLE:
            ACCOUNTS.set(self.state, person.address, Account(0, COINS_EACH, b""))
        self.proposer = Signer.named("proposer")
        ACCOUNTS.set(self.state, self.proposer.address, Account(0, 100 * DEPOSIT_NOPEN, b""))
        self.height, self.done = 1, Counter[str]()
        self._enter_epoch()

    @property
    def epoch(self) -> int:
        """The epoch that runs."""
        return self.height // EPOCH_BLOCKS

    def _enter_epoch(self) -> None:
        start = self.epoch * EPOCH_BLOCKS
        EPOCH.set(
            self.state,
            Epoch(
                number=self.epoch,
                start_height=start,
                end_height=start + EPOCH_BLOCKS,
                treasury_start_nopen=0,
                spent_nopen=0,
            ),
        )

    def run(self, steps: int) -> None:
        """Take steps, and compare with the book after each."""
        self.lock()
        self.lock()
        self.wait_an_epoch()
        moves = [self.lock, self.unlock, self.unlock, self.delegate, self.delegate, self.withdraw, self.give]
        deeds = [*moves, self.propose, self.propose, *[self.vote] * 6, *[self.wait] * 3]
        for _ in range(steps):
            self.rng.choice(deeds)()
            self.compare()

    def send(self, who: int, message: object, succeeds: bool) -> bool:
        """Execute a message on a copy that counts only when it is not refused; the book knows which it is."""
        scratch = Overlay(self.state)
        try:
            execute(scratch, PEOPLE[who], message, self.height)  # type: ignore[arg-type]
        except Rejected as rejection:
            if succeeds:
                raise AssertionError(rejection.text) from rejection
            return False
        assert succeeds, message
        scratch.merge_into(self.state)
        self.done[type(message).__name__] += 1
        return True

    def lock(self) -> None:
        who, count = self.rng.randrange(4), self.rng.randint(1, 3)
        if self.send(who, LockGopen(count), len(self.book.of(who, "free")) >= count):
            self.book.lock(who, count, self.epoch)

    def unlock(self) -> None:
        who, count = self.rng.randrange(4), self.rng.randint(1, 3)
        leaving = len({self.book.coins[number].leaves for number in self.book.of(who, "leaving")})
        if leaving < 5 and self.send(who, UnlockGopen(count), len(self.book.of(who, "locked")) >= count):
            self.book.unlock(who, count, self.height)
            self.wait_a_block()

    def delegate(self) -> None:
        who, to = self.rng.randrange(4), self.rng.randrange(4)
        possible = bool(self.book.of(who, "locked")) and self.book.delegates.get(who, who) != to
        if self.send(who, Delegate(PEOPLE[to].address), possible):
            self.book.delegate(who, to, self.epoch)

    def withdraw(self) -> None:
        who = self.rng.randrange(4)
        ready = [number for number in self.book.of(who, "leaving") if self.book.coins[number].leaves <= self.height]
        if self.send(who, Withdraw(1, b""), bool(ready)):
            self.book.withdraw(who, self.height)

    def give(self) -> None:
        who, to = self.rng.sample(range(4), 2)
        count = self.rng.randint(1, 3)
        if self.send(who, Transfer(PEOPLE[to].address, count), len(self.book.of(who, "free")) >= count):
            self.book.give(who, to, count)

    def propose(self) -> None:
        voters = [coin for coin in self.book.coins if coin.state == "locked" and coin.since < self.epoch]
        if not voters or len(self.book.epochs) >= 4:
            return
        actions = (NoteDown("let it be known", b""),)
        message = Propose(
            scope=Scope.CHAIN,
            object_id=b"",
            actions=actions,
            title="a note",
            digest=b"",
            maximum_deposit_nopen=DEPOSIT_NOPEN,
        )
        execute(self.state, self.proposer, message, self.height)
        self.book.epochs[len(self.book.epochs) + 1] = self.epoch
        proposal = PROPOSALS.get(self.state, len(self.book.epochs))
        assert proposal is not None
        assert proposal.electorate == len(voters)

    def vote(self) -> None:
        if not self.book.epochs:
            return
        number, voter = self.rng.choice(list(self.book.epochs)), self.rng.randrange(4)
        proposal = PROPOSALS.get(self.state, number)
        assert proposal is not None
        power = len(self.book.counted(voter, proposal.epoch))
        choice = self.rng.choice(list(VoteChoice))
        if self.send(voter, CastVote(number, choice), self.height <= proposal.ends_height and power > 0):
            self.book.vote(number, voter, choice)
            ballot = BALLOTS.get(self.state, number, PEOPLE[voter].address)
            assert ballot is not None
            assert (ballot.choice, ballot.power) == (choice, power)

    def wait(self) -> None:
        self.height += self.rng.choice((1, 2, 3, 5, EPOCH_BLOCKS, UNLOCK_BLOCKS))
        self._enter_epoch()

    def wait_an_epoch(self) -> None:
        """Let what was locked come to count."""
        self.height += EPOCH_BLOCKS
        self._enter_epoch()

    def wait_a_block(self) -> None:
        """Amounts that leave have heights of their own in the book."""
        self.height += 1
        self._enter_epoch()

    def compare(self) -> None:
        """Every power, lot and tally is what the book says, and no coin counts twice."""
        for who, person in enumerate(PEOPLE):
            holder = HOLDERS.get(self.state, person.address)
            assert (holder.amount_nopen if holder else 0) == len(self.book.of(who, "locked"))
            now = len(self.book.counted(who, self.epoch))
            assert electorates.power_before(self.state, electorates.GOPEN, person.address, self.epoch) == now
        for number in self.book.epochs:
            proposal = PROPOSALS.get(self.state, number)
            assert proposal is not None
            ballots = [ballot for (voted, _), ballot in self.book.ballots.items() if voted == number]
            counted = [coin for coins, _ in ballots for coin in coins]
            assert len(counted) == len(set(counted)), "a coin counts twice"
            sums = [sum([len(coins) for coins, choice in ballots if choice == option]) for option in VoteChoice]
            tally = proposal.tally
            assert [tally.yes, tally.no, tally.abstain, tally.veto] == sums
            assert tally.cast <= proposal.electorate

    def check(self) -> None:
        """The module's own invariants hold at the end, too (its deadlines do not run here)."""
        faults = [line for invariant in INVARIANTS[:2] for line in invariant(self.state)]
        assert faults + electorates.totals_match(self.state) == []


def run_lives(first_seed: int, count: int, steps: int) -> Counter[str]:
    """Run so many lives; returns how often each message succeeded."""
    done = Counter[str]()
    for seed in range(first_seed, first_seed + count):
        life = Life(seed)
        try:
            life.run(steps)
            life.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        done.update(life.done)
    return done


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    done = run_lives(arguments.seed, arguments.sequences, arguments.steps)
    counts = dict(sorted(done.items()))
    print(f"{arguments.sequences} sequences of {arguments.steps} steps, no coin counted twice: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
