"""Hundreds of blocks of honest and hostile transactions from a seed; what must always hold is checked on the way."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.chain import registry
from abci_app.chain.application import Application
from abci_app.chain.invariants import violations
from abci_app.chain.registry import HANDLERS, MODULES, all_queries
from abci_app.module import Context
from abci_app.modules.bank import Burn
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from node.leveldb.store import LevelDBStore
from tests.kit.chain import Chain, replay
from tests.kit.repository import ROOT
from tests.simulation.hostile import CERTAIN_CODES, hostile, mischief, poison
from tests.simulation.questions import ask_at_random, lie_at_random, questions
from tests.simulation.rules import honest, never_sent
from tests.simulation.world import POISON_NOPEN, World

BLOCKS = 500
CHECK_EVERY_BLOCKS = 40


def simulate(seed: int, blocks: int, *, only_blocks: bool = False) -> World:
    """Run a world for so many blocks; `only_blocks`: no poison, and nothing but blocks."""
    world = World.start(seed)
    for number in range(1, blocks + 1):
        operations = honest(world, world.rng.randint(2, 14))
        operations += hostile(world, world.rng.randint(0, 3), operations)
        noise = mischief(world, world.rng.randint(0, 3))
        if world.chance(5):
            world.careless_block(operations, noise)
        elif world.chance(10) and not only_blocks:
            world.block([*operations, poison(world)], noise)
        else:
            world.block(operations, noise)
        if world.chance(25):
            world.restart()
        if not only_blocks and world.chance(4):
            ask_at_random(world, 3)
            lie_at_random(world, 2)
        if number % CHECK_EVERY_BLOCKS == 0:
            world.check()
    return world


@pytest.fixture(scope="module")
def poisoned() -> Iterator[None]:
    """The handler of Burn raises for one amount, after it has written."""
    module, execute = HANDLERS[Burn]

    def raise_for_one_amount(context: Context, message: Burn) -> None:
        execute(context, message)
        if message.amount_nopen == POISON_NOPEN:
            raise RuntimeError("a bug in a handler")

    registry.HANDLERS[Burn] = (module, raise_for_one_amount)
    yield
    registry.HANDLERS[Burn] = (module, execute)


@pytest.fixture(scope="module")
def world(poisoned: None) -> World:
    return simulate(20_261_121, BLOCKS)


def test_a_long_life_among_hostile_people_breaks_nothing(world: World) -> None:
    world.check()
    assert world.chain.height == BLOCKS


@pytest.mark.parametrize("seed", range(1, 7))
def test_other_lives_break_nothing_either(poisoned: None, seed: int) -> None:
    simulate(seed, 2 * CHECK_EVERY_BLOCKS)


def test_every_message_type_succeeded_and_hostile_ones_were_refused_for_many_reasons(world: World) -> None:
    assert never_sent(world) == []
    assert sorted(CERTAIN_CODES - set(world.codes)) == []
    assert len(world.codes) >= 30


def test_every_query_is_among_the_questions(world: World) -> None:
    assert {(module, name) for module, name, _ in questions(world)} == set(all_queries())


def test_replay_from_genesis_gives_the_same_hashes_in_memory_and_in_leveldb(world: World, tmp_path: Path) -> None:
    assert replay(world.chain) == world.chain.hashes
    with LevelDBStore.open(tmp_path / "state") as store:
        assert replay(world.chain, lambda: store) == world.chain.hashes
        store.check()
        assert violations(store) == []


def test_a_block_that_was_rolled_back_gives_the_same_hash_again(world: World) -> None:
    store = MemoryStore()
    copy = Chain(Application(store), world.chain.init)
    copy.application.init_chain(copy.init)
    for request in world.chain.requests[:60]:
        copy.commit_block(request)
    for _ in range(20):
        store.rollback()
    again = Chain(Application(store), world.chain.init)
    for request in world.chain.requests[40:60]:
        again.commit_block(request)
    assert again.hashes == world.chain.hashes[40:60]


def test_no_record_of_a_datanet_or_an_entry_can_vanish_unnoticed(world: World) -> None:
    watched = [table.prefix for module in MODULES if module.name in ("datanets", "models") for table in module.tables]
    state = world.chain.state()
    by_table = {prefix: [key for key in state if key.startswith(prefix)] for prefix in watched}
    unnoticed = []
    for prefix, keys in by_table.items():
        assert keys, f"the simulation wrote nothing to {prefix.decode()}"
        overlay = Overlay(world.store)
        overlay.delete(world.rng.choice(keys))
        if not violations(overlay):
            unnoticed.append(prefix)
    assert unnoticed == []


HASH_PROGRAM = """
from tests.simulation.test_simulation import simulate
world = simulate({seed}, 40, only_blocks=True)
print([(height, app_hash.hex()) for height, app_hash in world.chain.hashes][-1])
"""


def last_hash_under(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HASH_PROGRAM.format(seed=7)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_state_does_not_depend_on_the_hash_seed_of_the_interpreter() -> None:
    first, second = last_hash_under("0"), last_hash_under("1")
    assert first == second
    assert first.startswith("(40, '")
