"""A snapshot becomes the state of an empty store, whole or not at all, whoever lies and whenever the node is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.chain.snapshots import ChunkAnswer, OfferAnswer, Taken
from abci_app.hashing import sha256
from abci_app.state.tree.trie import app_hash_of
from node.leveldb.store import LevelDBStore
from node.snapshots.folder import StoredSnapshot
from node.snapshots.restoring import Restoring
from tests.kit.node.snapshots import CHUNK_BYTES, HEIGHT, Peer, fill, join, random_state, snapshot_of
from tests.kit.repository import ROOT
from tests.kit.state import trees

STATE = random_state()
APP_HASH = app_hash_of(trees.reference_root(STATE))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredSnapshot:
    folder = tmp_path_factory.mktemp("provider")
    with LevelDBStore.open(folder / "application") as store:
        fill(store, STATE)
        return snapshot_of(store, folder / "snapshots")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[LevelDBStore]:
    with LevelDBStore.open(tmp_path / "application") as store:
        yield store


def require_state(store: LevelDBStore) -> None:
    """The store is at the snapshot's height with exactly its state, and knows how it came there."""
    assert (store.height, store.earliest_height, store.restored_height) == (HEIGHT, HEIGHT, HEIGHT)
    assert store.app_hash == APP_HASH
    assert dict(store.iterate(b"", b"\xff")) == STATE
    assert store.check() == len(STATE)


def test_a_snapshot_becomes_the_state_and_blocks_go_on(stored: StoredSnapshot, empty: LevelDBStore) -> None:
    answers, shut_out = join(Restoring(empty), stored.announced, APP_HASH, [Peer("honest", stored)])
    assert len(answers) > 5
    assert answers == [Taken(ChunkAnswer.ACCEPT)] * (len(answers) - 1) + [Taken(ChunkAnswer.ACCEPT, complete=True)]
    assert shut_out == []
    require_state(empty)
    later = dict(STATE)
    for height, key in enumerate(sorted(STATE)[:6], HEIGHT + 1):
        empty.commit(empty.stage(height, [(key, b"new")]))
        later[key] = b"new"
        assert empty.app_hash == app_hash_of(trees.reference_root(later))
    with empty.version(HEIGHT) as version:
        assert version.app_hash == APP_HASH
        assert dict(version.iterate(b"", b"\xff")) == STATE
    assert empty.restored_height == HEIGHT
    empty.rollback()
    assert empty.height == HEIGHT + 5


def test_a_store_that_was_restored_opens_again(stored: StoredSnapshot, tmp_path: Path) -> None:
    with LevelDBStore.open(tmp_path / "s") as store:
        join(Restoring(store), stored.announced, APP_HASH, [Peer("honest", stored)])
    with LevelDBStore.open(tmp_path / "s") as store:
        require_state(store)


def test_a_liar_among_the_providers_is_shut_out_and_its_chunks_come_from_others(
    stored: StoredSnapshot, empty: LevelDBStore
) -> None:
    liar = Peer("liar", stored, lambda index, true: true[:-1] + bytes([true[-1] ^ 1]))
    silent = Peer("empty", stored, lambda index, true: b"")
    mixer = Peer("mixer", stored, lambda index, true: stored.chunk((index + 1) % stored.announced.chunks))
    answers, shut_out = join(
        Restoring(empty), stored.announced, APP_HASH, [liar, Peer("honest", stored), silent, mixer]
    )
    assert sorted(shut_out) == ["empty", "liar", "mixer"]
    assert [taken.verdict for taken in answers].count(ChunkAnswer.RETRY) == 3
    require_state(empty)


def test_false_announcements_shut_out_their_senders(stored: StoredSnapshot, empty: LevelDBStore) -> None:
    restoring, true = Restoring(empty), stored.announced
    assert restoring.offer(true, sha256(b"another app hash")) is OfferAnswer.REJECT_SENDER
    assert restoring.offer(replace(true, height=HEIGHT + 1), APP_HASH) is OfferAnswer.REJECT_SENDER
    assert restoring.offer(replace(true, map_bytes=b"lie"), APP_HASH) is OfferAnswer.REJECT_SENDER
    assert restoring.offer(replace(true, format=2), APP_HASH) is OfferAnswer.REJECT_FORMAT
    assert restoring.take(0, stored.chunk(0), "peer") == Taken(ChunkAnswer.ABORT)
    join(restoring, true, APP_HASH, [Peer("honest", stored)])
    require_state(empty)


def test_a_node_that_has_a_state_takes_no_snapshot(stored: StoredSnapshot, empty: LevelDBStore) -> None:
    fill(empty, {b"own": b"state", b"a": b"b"})
    before = empty.app_hash
    assert Restoring(empty).offer(stored.announced, APP_HASH) is OfferAnswer.ABORT
    assert (empty.height, empty.app_hash) == (HEIGHT, before)


def test_a_restored_state_is_replaced_until_a_block_has_followed(stored: StoredSnapshot, empty: LevelDBStore) -> None:
    """CometBFT ended before it saved its own state, and joins anew beside the same application."""
    for _ in range(2):
        join(Restoring(empty), stored.announced, APP_HASH, [Peer("honest", stored)])
    require_state(empty)
    empty.commit(empty.stage(HEIGHT + 1, []))
    assert Restoring(empty).offer(stored.announced, APP_HASH) is OfferAnswer.ABORT
    assert empty.height == HEIGHT + 1


def test_another_snapshot_can_follow_one_that_was_given_up(
    stored: StoredSnapshot, empty: LevelDBStore, tmp_path: Path
) -> None:
    other_state = random_state(seed=2)
    with LevelDBStore.open(tmp_path / "other") as store:
        fill(store, other_state)
        other, other_hash = snapshot_of(store, tmp_path / "snapshots"), store.app_hash
    restoring = Restoring(empty)
    assert restoring.offer(other.announced, other_hash) is OfferAnswer.ACCEPT
    for index in range(other.announced.chunks - 1):
        assert restoring.take(index, other.chunk(index), "peer") == Taken(ChunkAnswer.ACCEPT)
    join(restoring, stored.announced, APP_HASH, [Peer("honest", stored)])
    require_state(empty)


def test_chunks_out_of_order_begin_the_snapshot_again(stored: StoredSnapshot, empty: LevelDBStore) -> None:
    restoring = Restoring(empty)
    restoring.offer(stored.announced, APP_HASH)
    assert restoring.take(1, stored.chunk(1), "peer") == Taken(ChunkAnswer.RETRY_SNAPSHOT)
    assert restoring.take(0, stored.chunk(0), "peer") == Taken(ChunkAnswer.ACCEPT)
    assert restoring.take(0, stored.chunk(0), "peer") == Taken(ChunkAnswer.ACCEPT)
    assert restoring.take(1, stored.chunk(1), "peer") == Taken(ChunkAnswer.ACCEPT)


def test_forgetting_leaves_an_empty_store_that_takes_a_snapshot(stored: StoredSnapshot, empty: LevelDBStore) -> None:
    join(Restoring(empty), stored.announced, APP_HASH, [Peer("honest", stored)])
    empty.forget()
    assert (empty.height, empty.restored_height, list(empty.iterate(b"", b"\xff"))) == (0, 0, [])
    join(Restoring(empty), stored.announced, APP_HASH, [Peer("honest", stored)])
    require_state(empty)


_CHILD = """
import os, signal, sys
from pathlib import Path
from node.leveldb.store import LevelDBStore
from node.snapshots.folder import read_snapshot
from node.snapshots.restoring import Restoring
folder, snapshot, app_hash, wanted = Path(sys.argv[1]), read_snapshot(Path(sys.argv[2])), sys.argv[3], sys.argv[4]
with LevelDBStore.open(folder) as store:
    restoring = Restoring(store)
    def reach(point, number):
        if f"{point}:{number}" == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
    restoring.reach = reach
    restoring.offer(snapshot.announced, bytes.fromhex(app_hash))
    for index in range(snapshot.announced.chunks):
        restoring.take(index, snapshot.chunk(index), "peer")
"""


@pytest.mark.parametrize("point", ["begun:0", "chunk:0", "chunk:3", "top:0", "adopted:0"])
def test_a_kill_while_restoring_leaves_nothing_or_all(stored: StoredSnapshot, tmp_path: Path, point: str) -> None:
    folder = tmp_path / "application"
    arguments = [str(folder), str(stored.folder), APP_HASH.hex(), point]
    done = subprocess.run([sys.executable, "-c", _CHILD, *arguments], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with LevelDBStore.open(folder) as store:
        if point == "adopted:0":
            require_state(store)
            return
        assert (store.height, store.restored_height, list(store.iterate(b"", b"\xff"))) == (0, 0, [])
        join(Restoring(store), stored.announced, APP_HASH, [Peer("honest", stored)])
        require_state(store)


def test_the_chunks_of_these_tests_are_many_and_small(stored: StoredSnapshot) -> None:
    assert stored.announced.chunks > 5
    assert max(stored.sizes_bytes) <= CHUNK_BYTES
