"""Any order of everything that can happen to locks, beside a book of plain numbers that knows none of the code."""

from collections import defaultdict
from fractions import Fraction
from math import floor

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from abci_app.accounts import ACCOUNTS, Account, get_account
from abci_app.errors import Rejected
from abci_app.mechanisms import locks
from abci_app.mechanisms.locks import LOCKS_ACCOUNT, NO_OBJECT, LockKey, Purpose
from abci_app.mechanisms.locks.ledger import withdraw
from abci_app.mechanisms.locks.queries import account_holds_all_locks, locks_are_whole
from abci_app.mechanisms.locks.records import LOCKS
from abci_app.mechanisms.payees import set_payee
from abci_app.module import TREASURY_ACCOUNT, BlockContext
from abci_app.parameters import Parameters
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from abci_app.types import PPB
from tests.kit.modules.drafts import digest
from tests.kit.signing import CHAIN_ID

PEOPLE = [digest(name) for name in ("alice", "bob", "carl")]
FUNDS = 1_000
KEYS = [
    *[LockKey(purpose, NO_OBJECT, who) for who in PEOPLE for purpose in (Purpose.GOPEN, Purpose.VALIDATOR_BOND)],
    LockKey(Purpose.DATANET_POT, digest("net"), digest("net")),
]
POT = KEYS[-1]

people, keys, own_keys = st.sampled_from(PEOPLE), st.sampled_from(KEYS), st.sampled_from(KEYS[:-1])
amounts = st.one_of(st.integers(0, 40), st.integers(0, 40), st.integers(0, 2 * FUNDS))
parts = st.one_of(st.sampled_from([0, 1, PPB // 10, PPB // 3, PPB // 2, PPB]), st.integers(0, PPB))

RECEIVERS: list[bytes | LockKey] = [*PEOPLE, TREASURY_ACCOUNT, *KEYS]


@st.composite
def receiver_lists(draw: st.DrawFn) -> list[tuple[bytes | LockKey, int]]:
    """Some receivers whose parts are one."""
    names: list[bytes | LockKey] = draw(st.lists(st.sampled_from(RECEIVERS), min_size=1, max_size=4))
    cuts = sorted(draw(st.lists(parts, min_size=len(names) - 1, max_size=len(names) - 1)))
    return list(zip(names, [high - low for low, high in zip([0, *cuts], [*cuts, PPB], strict=True)], strict=True))


class Book:
    """Balances, amounts and entries [amount, height, seconds] in dictionaries; a call returns False when refused."""

    def __init__(self) -> None:
        self.balances: dict[bytes, int] = defaultdict(int, dict.fromkeys(PEOPLE, FUNDS))
        self.amounts: dict[LockKey, int] = defaultdict(int)
        self.leaving: dict[LockKey, list[list[int]]] = defaultdict(list)
        self.payees: dict[bytes, bytes] = {}

    def take(self, key: LockKey, payer: bytes, amount: int) -> bool:
        if not 0 < amount <= self.balances[payer]:
            return False
        self.balances[payer] -= amount
        self.amounts[key] += amount
        return True

    def release(self, key: LockKey, amount: int) -> bool:
        if not 0 < amount <= self.amounts[key]:
            return False
        self.amounts[key] -= amount
        return True

    def receive(self, who: bytes, amount: int) -> None:
        self.balances[self.payees.get(who, who)] += amount

    def withdraw(self, key: LockKey, height: int, seconds: int) -> int:
        paid = 0
        for entry in list(self.leaving[key]):
            if entry[1] <= height and entry[2] <= seconds:
                self.leaving[key].remove(entry)
                paid += entry[0]
        self.balances[key.owner] += paid
        return paid

    def slash(self, key: LockKey, part: int) -> int:
        taken = floor(Fraction(self.amounts[key] * part, PPB))
        self.amounts[key] -= taken
        for entry in self.leaving[key]:
            cut = floor(Fraction(entry[0] * part, PPB))
            entry[0] -= cut
            taken += cut
        self.leaving[key] = [entry for entry in self.leaving[key] if entry[0]]
        return taken

    def fine(self, key: LockKey, amount: int) -> int:
        """One nopen after the other."""
        taken = 0
        while taken < amount:
            if self.amounts[key]:
                self.amounts[key] -= 1
            elif self.leaving[key]:
                newest = self.leaving[key][-1]
                newest[0] -= 1
                if not newest[0]:
                    self.leaving[key].pop()
            else:
                break
            taken += 1
        return taken

    def hand_out(self, taken: int, receivers: list[tuple[bytes | LockKey, int]]) -> None:
        given = [floor(Fraction(taken * part, PPB)) for _, part in receivers]
        place = 0
        while sum(given) < taken:
            given[place] += 1 if receivers[place][1] else 0
            place += 1
        for (receiver, _), amount in zip(receivers, given, strict=True):
            if isinstance(receiver, LockKey):
                self.amounts[receiver] += amount
            else:
                self.receive(receiver, amount)


class BookOfLocks(RuleBasedStateMachine):
    """The code and the book do the same."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Overlay(EmptyView())
        self.book = Book()
        self.height, self.seconds = 1, 1

    @initialize(steps=st.integers(0, 8), payee=people)
    def fund(self, steps: int, payee: bytes) -> None:
        """Everybody has money and locks of which parts leave, each a block and a second after the one before."""
        for who in PEOPLE:
            ACCOUNTS.set(self.state, who, Account(0, FUNDS, b""))
        self.set_payee(PEOPLE[0], payee)
        for key in KEYS:
            self.take(key, PEOPLE[1] if key is POT else key.owner, 150)
        for step in range(steps):
            for key in KEYS[:-1]:
                self.leave(key, 10 + step, 1 + step, 1 + step)

    @property
    def block(self) -> BlockContext:
        return BlockContext(CHAIN_ID, self.height, self.seconds, Parameters())

    def same(self, done: bool, call: object, *arguments: object) -> None:
        """The call is refused exactly when the book refuses it, and then writes nothing that counts."""
        attempt = Overlay(self.state)
        try:
            call(attempt, *arguments)  # type: ignore[operator]
        except Rejected:
            assert not done
        else:
            assert done
            attempt.merge_into(self.state)

    @rule(blocks=st.integers(1, 2), seconds=st.integers(0, 2))
    def time_passes(self, blocks: int, seconds: int) -> None:
        self.height += blocks
        self.seconds += seconds

    @rule(key=keys, payer=people, amount=amounts)
    def take(self, key: LockKey, payer: bytes, amount: int) -> None:
        self.same(self.book.take(key, payer, amount), locks.take, key, amount, payer)

    @rule(key=own_keys, amount=amounts)
    def give_back(self, key: LockKey, amount: int) -> None:
        done = self.book.release(key, amount)
        self.book.balances[key.owner] += amount if done else 0
        self.same(done, locks.give_back, key, amount)

    @rule(key=keys, who=people, amount=amounts)
    def pay(self, key: LockKey, who: bytes, amount: int) -> None:
        done = self.book.release(key, amount)
        self.book.receive(who, amount if done else 0)
        self.same(done, locks.pay, key, who, amount)

    @rule(source=keys, into=keys, amount=amounts)
    def move(self, source: LockKey, into: LockKey, amount: int) -> None:
        done = self.book.release(source, amount)
        self.book.amounts[into] += amount if done else 0
        self.same(done, locks.move, source, into, amount)

    @rule(key=own_keys, amount=st.integers(0, 12), blocks=st.integers(0, 6), seconds=st.integers(0, 6))
    def leave(self, key: LockKey, amount: int, blocks: int, seconds: int) -> None:
        done = len(self.book.leaving[key]) < 8 and self.book.release(key, amount)
        if done:
            self.book.leaving[key].append([amount, self.height + blocks, self.seconds + seconds])
        self.same(done, lambda state: locks.leave(state, self.block, key, amount, blocks, seconds))

    @rule(key=own_keys)
    def withdraw(self, key: LockKey) -> None:
        assert withdraw(self.state, self.block, key) == self.book.withdraw(key, self.height, self.seconds)

    @rule(key=keys, part=parts, receivers=receiver_lists())
    def slash(self, key: LockKey, part: int, receivers: list[tuple[bytes | LockKey, int]]) -> None:
        taken = self.book.slash(key, part)
        self.book.hand_out(taken, receivers)
        assert locks.slash(self.state, key, part, receivers) == taken

    @rule(key=keys, amount=amounts, receivers=receiver_lists())
    def fine(self, key: LockKey, amount: int, receivers: list[tuple[bytes | LockKey, int]]) -> None:
        taken = self.book.fine(key, amount)
        self.book.hand_out(taken, receivers)
        assert locks.fine(self.state, key, amount, receivers) == taken

    @rule(who=people, payee=st.one_of(st.just(b""), people))
    def set_payee(self, who: bytes, payee: bytes) -> None:
        set_payee(self.state, who, payee)
        self.book.payees.pop(who, None)
        if payee:
            self.book.payees[who] = payee

    @invariant()
    def locks_are_as_in_the_book(self) -> None:
        for key in KEYS:
            lock = locks.find(self.state, key)
            amount, leaving = self.book.amounts[key], self.book.leaving[key]
            assert (lock is None) == (not amount and not leaving)
            if lock is not None:
                assert (lock.owner, lock.amount_nopen) == (key.owner, amount)
                assert [[each.amount_nopen, each.height, each.time_seconds] for each in lock.leaving] == leaving

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        assert account_holds_all_locks(self.state) == [] == locks_are_whole(self.state)
        balances = {who: get_account(self.state, who).balance_nopen for who in [*PEOPLE, TREASURY_ACCOUNT]}
        assert balances == {who: self.book.balances[who] for who in balances}
        held = get_account(self.state, LOCKS_ACCOUNT).balance_nopen
        assert sum(balances.values()) + held == FUNDS * len(PEOPLE)
        assert min(balances.values()) >= 0
        assert len(list(LOCKS.iterate(self.state))) <= len(KEYS)


TestBookOfLocks = BookOfLocks.TestCase
TestBookOfLocks.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
