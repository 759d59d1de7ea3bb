"""The state in LevelDB: equal to the memory store at every kept height, after any events in between."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.state.memory_store import MemoryStore
from abci_app.state.store import UnknownHeight
from abci_app.state.tree.trie import app_hash_of
from node.leveldb import store as leveldb_store
from node.leveldb.memory import StoreMemory
from node.leveldb.records import StoreError
from node.leveldb.store import LevelDBStore
from tests.kit.node.stored import check_records, commit, make_blocks, records_of
from tests.kit.state import trees
from tests.kit.state.ledger_of_states import EMPTY_APP_HASH, HIGHEST, LOWEST, Block, LedgerOfStates, check_view, steps

probes = st.lists(trees.keys, max_size=3)


@contextmanager
def empty_folder() -> Iterator[Path]:
    """For Hypothesis, which runs many examples within one `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "state"


@given(steps("rollback", "reopen"), probes, st.integers(2, 4), st.none() | trees.states)
@settings(max_examples=120)
def test_any_blocks_rollbacks_and_restarts_leave_what_they_should(
    happenings: list[Block | str], probes: list[bytes], history_heights: int, genesis: dict[bytes, bytes] | None
) -> None:
    with empty_folder() as folder:
        ledger, memory = LedgerOfStates(history_heights), MemoryStore(history_heights)
        store = LevelDBStore.open(folder, history_heights=history_heights)
        if genesis is not None:
            ledger.genesis = genesis
            rows = sorted(genesis.items())
            assert store.stage_genesis(3, rows) == memory.stage_genesis(3, rows)
            for each in (ledger, store, memory):
                each.commit({}, 3) if isinstance(each, LedgerOfStates) else commit(each, {}, 3)
        for happening in happenings:
            if isinstance(happening, dict):
                for each in (store, memory):
                    commit(each, happening)
                ledger.commit(happening)
            elif happening == "reopen":
                store.close()
                check_records(folder, ledger)
                store = LevelDBStore.open(
                    folder, history_heights=history_heights, memory=StoreMemory(pages_bytes=1_000)
                )
            elif ledger.rollback():
                store.rollback()
                memory.rollback()
            else:
                with pytest.raises(UnknownHeight, match="nothing to roll back to"):
                    store.rollback()
            ledger.check(store, probes)
            for height in range(max(ledger.earliest_height, 1), ledger.height + 1):
                ours, theirs = store.version(height), memory.version(height)
                assert ours.prove(probes, [(b"a", b"b/")]) == theirs.prove(probes, [(b"a", b"b/")])
        if ledger.height:
            assert store.check() == len(ledger.latest)
        store.close()
        check_records(folder, ledger)


def test_the_last_128_heights_are_kept_across_a_restart_and_after_pruning(tmp_path: Path) -> None:
    ledger = LedgerOfStates(128)
    blocks = make_blocks(140, 4)
    some = [b"key/\x00", b"key/\x10\x00", b"key/\xf0"]
    with LevelDBStore.open(tmp_path / "state") as store:
        for block in blocks[:133]:
            commit(store, block)
            ledger.commit(block)
        ledger.check(store, some)
        assert (store.earliest_height, store.height) == (6, 133)
    check_records(tmp_path / "state", ledger)
    with LevelDBStore.open(tmp_path / "state") as store:
        ledger.check(store, some)
        for block in blocks[133:]:
            commit(store, block)
            ledger.commit(block)
        ledger.check(store, some)
        assert (store.earliest_height, store.height) == (13, 140)
    check_records(tmp_path / "state", ledger)


def test_a_shorter_history_is_taken_up_with_the_next_block(tmp_path: Path) -> None:
    ledger = LedgerOfStates(10)
    blocks = make_blocks(12)
    with LevelDBStore.open(tmp_path / "state", history_heights=10) as store:
        for block in blocks[:9]:
            commit(store, block)
            ledger.commit(block)
    ledger.history_heights = 3
    with LevelDBStore.open(tmp_path / "state", history_heights=3) as store:
        ledger.check(store)
        commit(store, blocks[9])
        ledger.commit(blocks[9])
        ledger.check(store, [b"key/\x00"])
    check_records(tmp_path / "state", ledger)


def test_a_history_too_short_for_proofs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="history of 1 heights: at least 2 are needed, proofs are for the last but"):
        LevelDBStore.open(tmp_path / "state", history_heights=1)


# --- Genesis


def test_a_large_genesis_is_written_in_pieces_and_adopted_by_the_first_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.leveldb.pieces._PIECE_BYTES", 2_000)
    chance = random.Random(4)
    genesis = {chance.randbytes(8): chance.randbytes(4) for _ in range(500)}
    ledger = LedgerOfStates(128, genesis=genesis)
    with LevelDBStore.open(tmp_path / "state") as store:
        store.stage_genesis(5, [(b"key left over", b"1"), (b"z", b"1")])
        app_hash = store.stage_genesis(5, sorted(genesis.items()))
        assert (store.height, store.app_hash, app_hash) == (0, EMPTY_APP_HASH, app_hash_of(trees.full_root(genesis)))
        check_view(store, genesis, sorted(genesis)[:3])
        check_view(store.latest(), {})
        block: Block = {min(genesis): None, b"new": b"1", max(genesis): b"2"}
        commit(store, block, 5)
        ledger.commit(block, 5)
        ledger.check(store, [min(genesis), b"new"])
        assert store.check() == 500
        with pytest.raises(ValueError, match="genesis cannot be staged: height 5 is committed"):
            store.stage_genesis(5, [])
    check_records(tmp_path / "state", ledger)


def test_a_genesis_without_a_commit_is_gone_after_a_restart(tmp_path: Path) -> None:
    with LevelDBStore.open(tmp_path / "state") as store:
        store.stage_genesis(1, [(b"k%03d" % i, b"v") for i in range(100)])
    assert len(records_of(tmp_path / "state")) > 100
    with LevelDBStore.open(tmp_path / "state") as store:
        assert (store.height, store.app_hash, list(store.iterate(LOWEST, HIGHEST))) == (0, EMPTY_APP_HASH, [])
    assert records_of(tmp_path / "state") == {b"f": b"openledger-store/1"}


def test_a_genesis_that_removes_or_has_no_height_is_refused(tmp_path: Path) -> None:
    with LevelDBStore.open(tmp_path / "state") as store:
        for height, changes in ((0, [(b"a", b"1")]), (1, [(b"a", None)])):
            with pytest.raises(ValueError, match="genesis needs an initial height of at least 1 and no removals"):
                store.stage_genesis(height, changes)


# --- Blocks


def test_a_block_commits_only_on_the_state_that_it_was_staged_on(tmp_path: Path) -> None:
    with LevelDBStore.open(tmp_path / "state") as store:
        commit(store, {b"a": b"1"})
        staged, other = store.stage(2, [(b"a", b"2")]), store.stage(2, [(b"b", b"2")])
        store.commit(staged)
        for stale in (staged, other):
            with pytest.raises(ValueError, match="block 2 was not staged on the last commit"):
                store.commit(stale)
        for height in (1, 2, 4):
            with pytest.raises(ValueError, match=f"height {height} cannot follow height 2"):
                store.stage(height, [])
        assert (store.height, store.app_hash) == (2, staged.app_hash)


def test_a_staged_block_leaves_no_trace_without_its_commit(tmp_path: Path) -> None:
    with LevelDBStore.open(tmp_path / "state") as store:
        commit(store, {b"a": b"1"})
    before = records_of(tmp_path / "state")
    with LevelDBStore.open(tmp_path / "state") as store:
        store.stage(2, [(b"a", b"2"), (b"b", b"1")])
    assert records_of(tmp_path / "state") == before


def test_a_version_stays_readable_after_its_height_is_pruned_or_rolled_back(tmp_path: Path) -> None:
    blocks = make_blocks(9)
    ledger = LedgerOfStates(2)
    with LevelDBStore.open(tmp_path / "state", history_heights=2, memory=StoreMemory(pages_bytes=2_000)) as store:
        held = []
        for block in blocks[:6]:
            commit(store, block)
            ledger.commit(block)
            held.append((store.latest(), ledger.latest))
        store.rollback()
        for block in blocks[6:]:
            commit(store, block)
        assert store.earliest_height == 7
        for version, state in held:
            check_view(version, state, [b"key/\x00"])
            assert version.prove([], [(LOWEST, HIGHEST)]) == trees_proof(state, version.height)


def trees_proof(state: dict[bytes, bytes], height: int) -> bytes:
    memory = MemoryStore()
    commit(memory, dict(state), height)
    return memory.latest().prove([], [(LOWEST, HIGHEST)])


def test_a_closed_version_is_refused(tmp_path: Path) -> None:
    with LevelDBStore.open(tmp_path / "state") as store:
        commit(store, {b"a": b"1"})
        with store.latest() as version:
            assert version.get(b"a") == b"1"
        with pytest.raises(ValueError, match="version 1 is closed"):
            version.get(b"a")


def test_other_threads_read_versions_while_blocks_go_on(tmp_path: Path) -> None:
    blocks = make_blocks(60)
    ledger = LedgerOfStates(128)
    failures: list[BaseException] = []
    rounds = [0, 0]
    with LevelDBStore.open(tmp_path / "state", memory=StoreMemory(pages_bytes=20_000)) as store:
        for block in blocks[:20]:
            commit(store, block)
            ledger.commit(block)
        done = threading.Event()

        def read(thread: int) -> None:
            chance = random.Random(thread)
            try:
                while not done.is_set() or not rounds[thread]:
                    with store.version(chance.randint(1, 20)) as version:
                        state = ledger.states[version.height]
                        check_view(version, state, [b"key/\x20"])
                        assert version.prove([], [(LOWEST, HIGHEST)]) == trees_proof(state, version.height)
                    rounds[thread] += 1
            except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
                failures.append(error)

        threads = [threading.Thread(target=read, args=(thread,)) for thread in range(2)]
        for thread in threads:
            thread.start()
        for block in blocks[20:]:
            commit(store, block)
        done.set()
        for thread in threads:
            thread.join()
        assert not failures
        assert all(rounds)
        assert store.check() == len(list(store.iterate(LOWEST, HIGHEST)))


# --- Crashes and damage

_WRITER = """
import sys
from pathlib import Path
from node.leveldb.store import LevelDBStore
from tests.kit.node.stored import commit, make_blocks
with LevelDBStore.open(Path(sys.argv[1]), history_heights=5) as store:
    for block in make_blocks(1000)[store.height:]:
        commit(store, block)
        print(store.height, store.app_hash.hex(), flush=True)
"""


def test_killing_the_process_at_any_moment_loses_no_committed_block(tmp_path: Path) -> None:
    chance = random.Random(8)
    ledger = LedgerOfStates(5)
    blocks = make_blocks(1000)
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(chance.randint(5, 40))]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        told = [line.split() for line in lines if line.endswith("\n")]
        with LevelDBStore.open(tmp_path / "state", history_heights=5) as store:
            # The last block may have been written just before it could be told.
            assert store.height - int(told[-1][0]) in (0, 1)
            while ledger.height < store.height:
                ledger.commit(blocks[ledger.height])
            ledger.check(store, [b"key/\x00"])
            assert store.check() == len(ledger.latest)
            for height, app_hash in told[-2:]:
                assert store.version(int(height)).app_hash.hex() == app_hash
        check_records(tmp_path / "state", ledger)


def test_a_log_that_breaks_off_anywhere_gives_an_earlier_height_whole(tmp_path: Path) -> None:
    """A power cut leaves a prefix of LevelDB's log: each block is in it whole, or not at all."""
    blocks = make_blocks(12)
    folder, copy = tmp_path / "state", tmp_path / "copy"
    with LevelDBStore.open(folder, history_heights=4) as store:
        for block in blocks[:4]:
            commit(store, block)
    with LevelDBStore.open(folder, history_heights=4) as store:  # the log begins anew
        for block in blocks[4:]:
            commit(store, block)
    [log] = folder.glob("*.log")
    chance = random.Random(9)
    found: set[int] = set()
    for size in sorted([0, log.stat().st_size, *[chance.randint(0, log.stat().st_size) for _ in range(25)]]):
        shutil.copytree(folder, copy)
        with (copy / log.name).open("r+b") as file:
            file.truncate(size)
        with LevelDBStore.open(copy, history_heights=4) as store:
            ledger = LedgerOfStates(4)
            for block in blocks[: store.height]:
                ledger.commit(block)
            ledger.check(store, [b"key/\x00"])
            assert store.check() == len(ledger.latest)
            found.add(store.height)
        check_records(copy, ledger)
        shutil.rmtree(copy)
    assert {4, 12} < found


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        LevelDBStore.open(tmp_path / "state"),
        pytest.raises(StoreError, match=r"cannot be opened: .*; is another node running on it\?"),
    ):
        LevelDBStore.open(tmp_path / "state")


def test_a_large_surplus_of_history_goes_in_bounded_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = make_blocks(60)
    with LevelDBStore.open(tmp_path / "state", history_heights=100) as store:
        for block in blocks[:40]:
            commit(store, block)
    monkeypatch.setattr(leveldb_store, "_PRUNED_RECORDS", 0)
    with LevelDBStore.open(tmp_path / "state", history_heights=3) as store:
        kept = [store.height - store.earliest_height]
        for block in blocks[40:]:
            commit(store, block)
            kept.append(store.height - store.earliest_height)
            assert store.version(store.earliest_height).height == store.earliest_height
    assert kept == list(range(39, 18, -1))  # one more block, two heights fewer
    monkeypatch.setattr(leveldb_store, "_PRUNED_RECORDS", 10**6)
    with LevelDBStore.open(tmp_path / "state", history_heights=3) as store:
        commit(store, {b"key/\x00": b"x"})
        assert store.height - store.earliest_height == 2
