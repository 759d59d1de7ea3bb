"""Powers: the end hook moves them within the limits of an epoch, and light clients can always skip inside one."""

import random
from itertools import combinations, pairwise

import pytest
from msgspec import structs

from abci_app.errors import Rejected
from abci_app.mechanisms import epochs
from abci_app.module import BlockContext, HookContext
from abci_app.modules.validators import RotateKey, ValidatorStatus, bond_key, live_powers, remove, set_admitted
from abci_app.modules.validators.handlers import new_validator, take_key
from abci_app.modules.validators.powers import limit_of, update_powers
from abci_app.modules.validators.records import LIST, TURNOVER, VALIDATORS, Turnover, ValidatorList, ValidatorRecord
from abci_app.parameters import Parameters
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from tests.kit.modules.ledger import execute
from tests.kit.signing import CHAIN_ID, Signer

SIGNERS = tuple([Signer.named(f"power {number}") for number in range(10)])


class Powers:
    """Validators without anything around them: told sets, one block after the other."""

    def __init__(self, *powers: int) -> None:
        self.state = Overlay(EmptyView())
        self.height, self.epoch = 1, 0
        self.serial = 0
        self.begin_epoch()
        for number, power in enumerate(powers):
            self.add(number)
            self.put(number, status=int(ValidatorStatus.ACTIVE), admitted=power, live=power)
        self.told = {self.get(number).consensus_key: power for number, power in enumerate(powers)}

    def begin_epoch(self) -> None:
        self.epoch += 1
        record = epochs.Epoch(
            number=self.epoch,
            start_height=self.height,
            end_height=self.height + 10,
            treasury_start_nopen=0,
            spent_nopen=0,
        )
        epochs.EPOCH.set(self.state, record)

    def key(self) -> bytes:
        self.serial += 1
        return random.Random(self.serial).randbytes(32)

    def add(self, number: int) -> None:
        operator, key = SIGNERS[number].address, self.key()
        take_key(self.state, operator, key)
        found = LIST.get(self.state)
        LIST.set(self.state, ValidatorList((*(found.operators if found else ()), operator)))
        VALIDATORS.set(self.state, operator, new_validator(operator, key))

    def get(self, number: int) -> ValidatorRecord:
        found = VALIDATORS.get(self.state, SIGNERS[number].address)
        assert found is not None
        return found

    def put(self, number: int, **values: int) -> None:
        VALIDATORS.set(self.state, SIGNERS[number].address, structs.replace(self.get(number), **values))

    def admit(self, number: int, power: int) -> None:
        set_admitted(self.state, self.context(), SIGNERS[number].address, power)

    def remove(self, number: int) -> None:
        remove(self.state, self.context(), SIGNERS[number].address)

    def rotate(self, number: int) -> None:
        execute(self.state, SIGNERS[number], RotateKey(self.key()), self.height)

    def context(self) -> HookContext:
        return HookContext(BlockContext(CHAIN_ID, self.height, 0, Parameters()))

    def block(self) -> dict[bytes, int]:
        """Run the end hook; what CometBFT is told, applied as CometBFT does."""
        context = self.context()
        update_powers(self.state, context)
        for key, power in context.powers.items():
            assert self.told.get(key) != power
            if power:
                self.told[key] = power
            else:
                del self.told[key]
        assert self.told
        self.height += 1
        return dict(self.told)

    def live(self) -> list[int]:
        return sorted([power for _, power in live_powers(self.state)])


@pytest.mark.parametrize(
    ("total", "limit"), [(0, 0), (1, 0), (3, 0), (4, 1), (40, 13), (100, 33), (101, 33), (102, 33)]
)
def test_an_epoch_moves_less_than_a_third(total: int, limit: int) -> None:
    assert limit_of(total) == limit


def test_powers_follow_what_was_admitted_and_the_turnover_is_counted() -> None:
    world = Powers(10, 10, 10, 10, 10)
    world.admit(0, 15)
    world.admit(1, 8)
    world.block()
    assert world.live() == [8, 10, 10, 10, 15]
    assert TURNOVER.get(world.state) == Turnover(epoch=1, power_total=50, lost=2, gained=5)


def test_what_does_not_fit_is_done_in_part_and_waits_for_the_next_epoch() -> None:
    world = Powers(*[30] * 6)
    for number in (0, 1, 2):
        world.remove(number)
    for _ in range(2):
        world.block()
        assert world.live() == [1, 30, 30, 30, 30]
    world.begin_epoch()
    for _ in range(3):
        world.block()
        assert world.live() == [30] * 4, "four stay live, however many epochs pass"
        world.begin_epoch()
    world.add(6)
    world.admit(6, 30)
    world.block()
    world.begin_epoch()
    world.block()
    assert world.live() == [30] * 4
    assert sorted([world.get(number).status for number in range(7)]) == [2, 2, 2, 2, 6, 6, 6]


def test_a_power_above_what_an_epoch_may_lose_goes_in_steps() -> None:
    world = Powers(10, 10, 10, 10, 60)
    world.remove(4)
    seen = []
    for _ in range(4):
        world.block()
        seen.append(world.told.get(world.get(4).consensus_key, 0))
        world.begin_epoch()
    assert seen == [27, 5, 0, 0]
    assert world.get(4).status == ValidatorStatus.LEFT


def test_nobody_is_raised_above_a_third() -> None:
    world = Powers(10, 10, 10, 10)
    world.admit(0, 100)
    for _ in range(5):
        world.block()
        world.begin_epoch()
    assert world.live() == [10, 10, 10, 15]
    world = Powers(10, 10, 10, 10)
    world.add(4)
    world.admit(4, 1_000)
    for _ in range(5):
        world.block()
        world.begin_epoch()
    assert world.live() == [10, 10, 10, 10, 20]


def test_fewer_than_four_have_no_limits_but_that_somebody_stays() -> None:
    world = Powers(10, 10)
    for number in (0, 1):
        world.remove(number)
    world.block()
    assert world.live() == [10]
    for number in (2, 3, 4):
        world.add(number)
        world.admit(number, 50)
    world.block()
    assert world.live() == [10, 50, 50, 50]
    assert world.get(0).status + world.get(1).status == ValidatorStatus.LEAVING + ValidatorStatus.LEFT


def test_a_double_signers_power_goes_at_once_unless_nobody_is_left() -> None:
    world = Powers(10, 10, 10, 10)
    for number in (0, 1, 2):
        world.put(number, status=int(ValidatorStatus.TOMBSTONED), admitted=0)
    world.block()
    assert world.live() == [10]
    world.put(3, status=int(ValidatorStatus.TOMBSTONED), admitted=0)
    world.block()
    assert world.live() == [10]
    world.add(4)
    world.admit(4, 3)
    world.block()
    world.block()
    assert world.live() == [3]
    listed = LIST.get(world.state)
    assert listed is not None
    assert listed.operators == (SIGNERS[4].address,)


def test_a_key_rotated_in_the_block_of_a_tick_counts_in_the_epoch_that_begins() -> None:
    world = Powers(10, 10, 10, 10)
    world.block()
    world.rotate(0)
    world.begin_epoch()
    world.block()
    assert TURNOVER.get(world.state) == Turnover(epoch=2, power_total=40, lost=10, gained=10)


def test_a_rotated_key_and_a_changed_power_are_told_in_two_blocks() -> None:
    world = Powers(10, 10, 10, 10, 10)
    old = world.get(0).consensus_key
    world.rotate(0)
    world.remove(0)
    told = world.block()
    assert (old in told, told[world.get(0).consensus_key]) == (False, 10)
    assert world.get(0).status == ValidatorStatus.LEAVING
    world.begin_epoch()
    assert world.get(0).consensus_key not in world.block()


# --- The limits and what they are for, against a book of what CometBFT was told


def can_skip(trusted: dict[bytes, int], new: dict[bytes, int]) -> bool:
    """Whether all signers that make a block of the new set valid hold more than a third of the trusted power."""
    keys, total, trusted_total = sorted(new), sum(new.values()), sum(trusted.values())
    for size in range(len(keys) + 1):
        for signers in combinations(keys, size):
            if 3 * sum([new[key] for key in signers]) <= 2 * total:
                continue
            if 3 * sum([trusted.get(key, 0) for key in signers]) <= trusted_total:
                return False
    return True


def test_the_book_sees_a_set_that_cannot_be_skipped_to() -> None:
    a, b, c, d, e = [bytes([number]) * 32 for number in range(5)]
    assert can_skip({a: 1, b: 1, c: 1, d: 1}, {a: 1, b: 1, c: 1, d: 1})
    assert can_skip({a: 1, b: 1, c: 1, d: 1}, {a: 1, b: 1, c: 1, e: 1})
    assert not can_skip({a: 1, b: 1, c: 1, d: 1}, {a: 1, b: 1, e: 1, bytes(31): 1})


def check_epoch(sets: list[dict[bytes, int]]) -> None:
    """Sets of one epoch, that at its start first: limits by differences, and skipping between any two."""
    limit = (sum(sets[0].values()) - 1) // 3
    lost = gained = 0
    for before, after in pairwise(sets):
        for key in sorted({*before, *after}):
            difference = after.get(key, 0) - before.get(key, 0)
            lost, gained = lost + max(-difference, 0), gained + max(difference, 0)
            if difference > 0 and key in before:
                assert 3 * after[key] <= sum(after.values()), "raised above a third"
        assert len(after) >= 4
    assert lost <= limit
    assert gained <= limit
    for first, second in combinations(range(len(sets)), 2):
        if sets[first] != sets[second]:
            assert can_skip(sets[first], sets[second])


@pytest.mark.parametrize("seed", range(60))
def test_in_any_life_limits_hold_and_light_clients_can_skip(seed: int) -> None:
    rng = random.Random(seed)
    scale = rng.choice([1, 10, 10**6])
    world = Powers(*[rng.randint(1, 9) * scale for _ in range(rng.randint(4, 7))])
    known = len(world.told)
    for _ in range(6):
        sets = [dict(world.told)]
        for _ in range(rng.randint(1, 5)):
            for _ in range(rng.randint(0, 3)):
                known = disturb(world, rng, known, scale)
            sets.append(world.block())
        check_epoch(sets)
        world.begin_epoch()


def disturb(world: Powers, rng: random.Random, known: int, scale: int) -> int:
    """Something that people or hooks do; how many validators are known then."""
    number = rng.randrange(known)
    try:
        match rng.randrange(6):
            case 0 if known < len(SIGNERS):
                world.add(known)
                world.admit(known, rng.randint(1, 12) * scale)
                return known + 1
            case 1:
                world.admit(number, rng.randint(1, 12) * scale)
            case 2:
                world.remove(number)
            case 3:
                world.rotate(number)
            case 4 if world.get(number).status == ValidatorStatus.ACTIVE:
                world.put(number, status=int(ValidatorStatus.JAILED))
            case 5 if world.get(number).status == ValidatorStatus.JAILED:
                world.put(number, status=int(ValidatorStatus.ACTIVE))
    except Rejected:
        pass
    return known


def test_a_double_signer_who_was_alone_goes_in_the_block_in_which_somebody_else_comes() -> None:
    world = Powers(10)
    world.put(0, status=int(ValidatorStatus.TOMBSTONED), admitted=0)
    world.add(1)
    world.block()
    assert world.live() == [10]
    world.admit(1, 3)
    world.block()
    assert world.live() == [3]


def test_bonds_are_not_needed_for_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """A validator of a genesis document without operators has none, and may be removed."""
    world = Powers(1, 1)
    world.remove(0)
    world.block()
    assert (world.live(), bond_key(SIGNERS[0].address).owner) == ([1], SIGNERS[0].address)
