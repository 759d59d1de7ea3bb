"""Equal genesis and blocks give the same bytes everywhere: app hashes, results, events, answers and proofs.

The blocks hold every message type, failing and malformed transactions included; the rules that keep clocks, floats and
hash order out of `abci_app` in the first place are checked by tests/tidy.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from abci_app.chain.registry import all_queries
from abci_app.state.memory_store import MemoryStore
from node.leveldb.store import LevelDBStore
from tests.determinism.history import History, Way, execute
from tests.fuzz.corpus import sample_queries, world_with_everything
from tests.kit.repository import ROOT

BLOCKS = 120
# Seeds that put the strings of a set into different orders, and surroundings that must not matter.
SURROUNDINGS = {
    "hash seed 0": ({"PYTHONHASHSEED": "0"}, ()),
    "hash seed 4242, elsewhere, without asserts": (
        {"PYTHONHASHSEED": "4242", "TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}, ("-O",),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def history() -> History:
    world = world_with_everything(11, BLOCKS)
    queries = [query.SerializeToString() for query in sample_queries(world)]
    return History(world.chain.init.SerializeToString(), world.chain.blocks, queries)


@pytest.fixture(scope="module")
def expected(history: History) -> list[str]:
    return execute(history, MemoryStore())


def test_the_history_has_something_of_everything(history: History, expected: list[str]) -> None:
    blocks = [line for line in expected if line.startswith("block ")]
    assert len(blocks) == BLOCKS
    assert len({line.split()[2] for line in blocks}) > BLOCKS // 2, "few blocks changed anything"
    answered = {line.split()[2] for line in expected if line.startswith("query ") and "code=0" in line}
    assert {f"/query/{module}/{name}" for module, name in all_queries()} <= answered
    assert "/store/openledger/ics23" in answered


# The attributes of an event in the order of a set.
PLANTED_FAULT = """
import sys
from abci_app.chain import block
from tests.determinism.history import main

def unordered(event, plain=block.encode_event):
    name, attributes = plain(event)
    return name, list(set(attributes))

block.encode_event = unordered
main(*sys.argv[1:])
"""


def traced(
    history: History, folder: Path, surroundings: str, program: tuple[str, str] = ("-m", "tests.determinism.history")
) -> list[str]:
    """The trace of another process."""
    environment, options = SURROUNDINGS[surroundings]
    path = folder / "history"
    history.save(path)
    done = subprocess.run(
        [sys.executable, *options, *program, path, "memory"],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_another_process_with_another_hash_seed_gives_the_same_bytes(
    history: History, expected: list[str], tmp_path: Path, surroundings: str
) -> None:
    assert traced(history, tmp_path, surroundings) == expected


def test_an_order_that_depends_on_the_hash_seed_would_be_seen(history: History, tmp_path: Path) -> None:
    short = History(history.init, history.blocks[:20], [])
    first, second = [traced(short, tmp_path, surroundings, ("-c", PLANTED_FAULT)) for surroundings in SURROUNDINGS]
    differing = {line.split()[0] for line, other in zip(first, second, strict=True) if line != other}
    assert differing == {"block"}


def test_leveldb_gives_the_same_bytes_as_memory_proofs_included(
    history: History, expected: list[str], tmp_path: Path
) -> None:
    with LevelDBStore.open(tmp_path / "state") as store:
        assert execute(history, store) == expected


@pytest.mark.parametrize(
    "way",
    [Way(warm=True), Way(rounds=True), Way(restart_every=1), Way(twice=True), Way(True, True, 7, True)],
    ids=["warm caches", "rounds that failed", "a restart before each block", "each block twice", "all of it"],
)
def test_the_way_to_a_block_does_not_show_in_it(history: History, expected: list[str], way: Way) -> None:
    assert execute(history, MemoryStore(), way) == expected


def test_a_leveldb_node_that_restarts_from_its_files_gives_the_same_bytes(
    history: History, expected: list[str], tmp_path: Path
) -> None:
    with LevelDBStore.open(tmp_path / "state") as store:
        assert execute(history, store, Way(True, True, 20, True)) == expected
