"""Snapshots are made beside blocks, the same on every node, and a disk without room costs nothing but the snapshot."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import disk
from node.leveldb.store import LevelDBStore
from node.snapshots import making
from node.snapshots.folder import UNFINISHED, SnapshotFolder
from node.snapshots.making import RESERVED_BYTES, NoRoom, SnapshotMaker, make
from tests.kit.node.snapshots import CHUNK_BYTES, HEIGHT, fill, random_state, snapshot_of

STATE = random_state()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LevelDBStore]:
    with LevelDBStore.open(tmp_path / "application") as store:
        fill(store, STATE)
        yield store


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFolder:
    found = SnapshotFolder(tmp_path / "snapshots")
    found.open()
    return found


def heights(folder: SnapshotFolder) -> list[int]:
    assert sorted(int(path.name) for path in folder.folder.iterdir()) == sorted(each.height for each in folder.kept)
    return [each.height for each in folder.kept]


def make_at(store: LevelDBStore, folder: SnapshotFolder, height: int, keep: int = 2) -> None:
    while store.height < height:
        store.commit(store.stage(store.height + 1, [(b"height", b"%d" % store.height)]))
    with store.latest() as version:
        make(version, folder, keep=keep, chunk_bytes=CHUNK_BYTES)


def test_two_nodes_with_other_pasts_make_the_same_bytes(store: LevelDBStore, tmp_path: Path) -> None:
    one = snapshot_of(store, tmp_path / "one")
    with LevelDBStore.open(tmp_path / "other") as other:
        other.stage_genesis(1, sorted(STATE.items()))
        for height in range(1, HEIGHT + 1):
            other.commit(other.stage(height, []))
        two = snapshot_of(other, tmp_path / "two")
    assert one.announced == two.announced
    assert [one.chunk(index) for index in range(8)] == [two.chunk(index) for index in range(8)]


def test_the_newest_are_kept_and_one_stays_while_the_next_is_made(store: LevelDBStore, folder: SnapshotFolder) -> None:
    for height in (5, 6, 7, 8):
        make_at(store, folder, height)
    assert heights(folder) == [8, 7]
    make_at(store, folder, 9, keep=1)
    assert heights(folder) == [9]


def test_what_was_not_finished_is_gone_when_the_node_starts(store: LevelDBStore, folder: SnapshotFolder) -> None:
    make_at(store, folder, HEIGHT)
    (folder.begin() / "entries").write_bytes(b"half")
    again = SnapshotFolder(folder.folder)
    again.open()
    assert heights(again) == [HEIGHT]
    assert not (folder.folder / UNFINISHED).exists()


def test_room_is_made_before_anything_is_written(
    store: LevelDBStore, folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_at(store, folder, 5)
    make_at(store, folder, 6)
    monkeypatch.setattr(disk, "free_bytes", lambda _: RESERVED_BYTES + 10)
    with pytest.raises(NoRoom, match=r"256 MiB are free in .*, the snapshot may take 0 MiB and 256 MiB are left for"):
        make_at(store, folder, 7)
    assert heights(folder) == [6]


def test_an_error_of_the_disk_leaves_the_snapshots_that_are_there(
    store: LevelDBStore, folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_at(store, folder, 5)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        make_at(store, folder, 6)
    assert heights(folder) == [5]


def test_a_chunk_that_the_disk_changed_is_not_served(store: LevelDBStore, folder: SnapshotFolder) -> None:
    make_at(store, folder, 5)
    path = folder.folder / "5" / "entries"
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    stored = folder.kept[0]
    assert stored.chunk(0) == b""
    assert stored.chunk(1) != b""
    assert (stored.chunk(-1), stored.chunk(10_000)) == (b"", b"")


@pytest.mark.parametrize("name", ["map", "chunks", "entries"])
def test_a_snapshot_with_a_torn_file_is_none(store: LevelDBStore, folder: SnapshotFolder, name: str) -> None:
    make_at(store, folder, 5)
    path = folder.folder / "5" / name
    path.write_bytes(path.read_bytes()[:-1])
    folder.look()
    assert folder.kept == ()


def test_blocks_go_on_while_a_snapshot_is_made(
    store: LevelDBStore, folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "_SLICE_ENTRIES", 20)
    app_hash, resting, committed = store.app_hash, threading.Event(), threading.Event()
    maker = SnapshotMaker(folder, keep=2)

    def rest(_seconds: float) -> None:
        resting.set()
        assert committed.wait(10)

    monkeypatch.setattr(maker, "_rest", rest)
    assert maker.begin(store.latest())
    assert resting.wait(10)
    for height in range(HEIGHT + 1, HEIGHT + 200):
        store.commit(store.stage(height, [(b"more/%03d" % height, b"x"), (sorted(STATE)[height], b"new")]))
    assert not maker.begin(store.latest())
    committed.set()
    maker.wait()
    (made,) = folder.kept
    assert made.height == HEIGHT
    assert app_hash == store_hash_of(made.chunk, made.announced.chunks)


def store_hash_of(chunk: object, chunks: int) -> bytes:
    """The app hash that chunks lead to, from their entries alone."""
    import msgspec

    from abci_app.state.tree.trie import app_hash_of
    from tests.kit.state import trees

    assert callable(chunk)
    items = [item for index in range(chunks) for item in msgspec.msgpack.decode(chunk(index), type=list[bytes])]
    return app_hash_of(trees.reference_root(dict(zip(items[::2], items[1::2], strict=True))))


def test_a_stop_gives_up_what_is_being_made(
    store: LevelDBStore, folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(making, "_SLICE_ENTRIES", 1)
    monkeypatch.setattr(making, "_RESTS_PER_WORK", 10**9)
    caplog.set_level(logging.INFO, "openledger.snapshots")
    maker = SnapshotMaker(folder, keep=2)
    maker.begin(store.latest())
    maker.stop()
    assert heights(folder) == []
    assert "the snapshot of height 5 was given up: the node stops" in caplog.text
    assert not maker.begin(store.latest())
