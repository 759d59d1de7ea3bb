"""Hundreds of blocks of honest and hostile transactions from a seed; what must always hold is checked on the way."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.chain.application import Application
from abci_app.chain.invariants import violations
from abci_app.chain.registry import MODULES, all_queries
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from node.leveldb.store import LevelDBStore
from tests.kit.chain import Chain, replay
from tests.kit.repository import ROOT
from tests.simulation.hostile import CERTAIN_CODES
from tests.simulation.life import CHECK_EVERY_BLOCKS, begun, find_fault, simulate
from tests.simulation.questions import questions
from tests.simulation.rules import never_sent
from tests.simulation.world import World

BLOCKS = 500


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with begun(20_261_121) as world:
        yield simulate(world, BLOCKS)


def test_a_long_life_among_hostile_people_breaks_nothing(world: World) -> None:
    world.check()
    assert world.chain.height == BLOCKS


@pytest.mark.parametrize("seed", range(1, 5))
def test_other_lives_break_nothing_either(seed: int) -> None:
    assert find_fault(seed, 2 * CHECK_EVERY_BLOCKS) is None


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
from tests.simulation.life import begun, simulate
with begun({seed}) as world:
    simulate(world, 40, only_blocks=True)
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
