"""A simulated life: blocks of honest and hostile people, and what happens around them, from one seed."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from abci_app.chain import registry
from abci_app.chain.registry import HANDLERS
from abci_app.mechanisms.beacon import is_reveal, reveal_transaction
from abci_app.module import Context
from abci_app.modules.bank import Burn
from tests.kit.chain import replay
from tests.simulation.hostile import hostile, mischief, poison
from tests.simulation.incidents import false_reveals, happen, withdrawals
from tests.simulation.questions import ask_at_random, lie_at_random
from tests.simulation.rules import honest
from tests.simulation.world import POISON_NOPEN, Operation, Phase, World

CHECK_EVERY_BLOCKS = 40
Tell = Callable[[int], None]


@dataclass(frozen=True)
class Broken:
    """An invariant that a life broke: in which block, and what was found."""

    seed: int
    height: int
    what: str


@contextmanager
def poisoned_burns() -> Iterator[None]:
    """The handler of Burn raises for one amount, after it has written."""
    module, execute = HANDLERS[Burn]

    def raise_for_one_amount(context: Context, message: Burn) -> None:
        execute(context, message)
        if message.amount_nopen == POISON_NOPEN:
            raise RuntimeError("a bug in a handler")

    registry.HANDLERS[Burn] = (module, raise_for_one_amount)
    try:
        yield
    finally:
        registry.HANDLERS[Burn] = (module, execute)


@contextmanager
def begun(seed: int, *, has_workshop: bool = True) -> Iterator[World]:
    """A new world, whose workshop the chains of this process know meanwhile; without one nobody does its deeds."""
    world = World.start(seed)
    world.has_workshop = has_workshop
    with world.workshop.registered() if has_workshop else nullcontext(), poisoned_burns():
        yield world


def simulate(world: World, blocks: int, *, only_blocks: bool = False, tell: Tell | None = None) -> World:
    """Let a world live for so many blocks; `only_blocks`: no poison, and nothing but blocks."""
    for number in range(1, blocks + 1):
        one_block(world, only_blocks=only_blocks)
        if not only_blocks and world.chance(4):
            ask_at_random(world, 3)
            lie_at_random(world, 2)
        if number % CHECK_EVERY_BLOCKS == 0:
            world.check()
        if tell is not None:
            tell(number)
    return world


def one_block(world: World, *, only_blocks: bool = False) -> None:
    """What happens, who sends what, and the block that is made of it."""
    happen(world)
    operations = people(world)
    noise = mischief(world, world.rng.randint(0, 3))
    if world.chance(5):
        world.careless_block(operations, noise, a_reveal(world))
    elif world.chance(10) and not only_blocks:
        world.block([*operations, poison(world)], noise)
    else:
        world.block(operations, noise, world.rng.choice(list(Phase)) if world.chance(8) else None)
    if world.chance(25):
        world.restart()


def people(world: World) -> list[Operation]:
    """What honest and hostile people send, at most one transaction each."""
    operations = withdrawals(world)
    busy = {operation.signer.address for operation in operations}
    for operation in honest(world, world.rng.randint(2, 14)):
        sponsor = operation.sponsor.address if operation.sponsor else b""
        if operation.signer.address not in busy and sponsor not in busy:
            operations.append(operation)
    return operations + hostile(world, world.rng.randint(0, 3), operations)


def a_reveal(world: World) -> bytes:
    """What a careless majority lets a block begin with: nothing, the proposer's reveal, or a false one.

    A validator that looks refuses a proposal with a false one.
    """
    world.comet.announce(world.comet.this_round)
    false = false_reveals(world)
    for reveal in false[:3]:
        assert not world.chain.accepts(reveal_transaction(reveal)), "a false reveal was accepted"
    if false and world.chance(3):
        return world.rng.choice(false)
    own = [raw for raw in world.chain.propose() if is_reveal(raw)]
    return own[0][-32:] if own and world.chance(2) else b""


def find_fault(seed: int, blocks: int, tell: Tell | None = None, *, replays: bool = True) -> Broken | None:
    """Live a whole life; returns the first invariant that broke, None where all held to the end.

    At the end the chain is executed again from genesis, and gives the same hashes.
    """
    with begun(seed) as world:
        try:
            simulate(world, blocks, tell=tell)
            world.check()
            if replays:
                assert replay(world.chain) == world.chain.hashes, "another node that replays comes to other hashes"
        except Exception as fault:  # noqa: BLE001  # a mutant may break anything in any way
            return Broken(seed, world.chain.height, _first_line(fault))
    return None


def _first_line(fault: Exception) -> str:
    """What a fault says, or the line that raised it."""
    place = traceback.extract_tb(fault.__traceback__)[-1]
    text = str(fault) or f"{place.line} ({Path(place.filename).name})"
    return text.splitlines()[0][:300]
