"""Commits begin snapshots at the same heights on all nodes, and are never failed by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.leveldb.store import LevelDBStore
from node.snapshots.block_keeping import BlockKeeping
from node.snapshots.service import WANTED_FILE, NodeSnapshots
from tests.kit.node.snapshots import HEIGHT, fill, random_state

NOW = 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LevelDBStore]:
    with LevelDBStore.open(tmp_path / "application") as store:
        fill(store, random_state())
        yield store


def opened(store: LevelDBStore, tmp_path: Path, blocks: BlockKeeping | None = None) -> NodeSnapshots:
    return NodeSnapshots(
        store, tmp_path / "snapshots", interval_heights=10, keep=2, blocks=blocks, clock=lambda: float(NOW)
    )


def commit_until(snapshots: NodeSnapshots, store: LevelDBStore, height: int, seconds: int = NOW) -> None:
    while store.height < height:
        store.commit(store.stage(store.height + 1, [(b"height", b"%d" % store.height)]))
        assert snapshots.committed(store.height, seconds) == 0
        snapshots.maker.wait()


def test_multiples_of_the_interval_become_snapshots_that_are_told_and_served(
    store: LevelDBStore, tmp_path: Path
) -> None:
    with opened(store, tmp_path) as snapshots:
        commit_until(snapshots, store, 35)
        told = snapshots.announced()
        assert [each.height for each in told] == [30, 20]
        assert snapshots.chunk(30, 1, 0) == snapshots.folder.kept[0].chunk(0) != b""
        assert [snapshots.chunk(*asked) for asked in ((30, 2, 0), (29, 1, 0), (30, 1, 99))] == [b"", b"", b""]


def test_a_node_that_catches_up_makes_none(store: LevelDBStore, tmp_path: Path) -> None:
    with opened(store, tmp_path) as snapshots:
        commit_until(snapshots, store, 10, NOW - 601)
        assert snapshots.announced() == []


def test_one_can_be_asked_for(store: LevelDBStore, tmp_path: Path) -> None:
    with opened(store, tmp_path) as snapshots:
        (tmp_path / "snapshots" / WANTED_FILE).touch()
        commit_until(snapshots, store, HEIGHT + 1)
        assert [each.height for each in snapshots.announced()] == [HEIGHT + 1]
        assert not (tmp_path / "snapshots" / WANTED_FILE).exists()


def test_an_error_of_the_disk_never_fails_a_commit(
    store: LevelDBStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(BlockKeeping):
        def __init__(self) -> None:
            pass

        def retain_height(self, height: int, seconds: int, oldest_snapshot: int) -> int:
            raise OSError(28, "No space left on device")

    with opened(store, tmp_path, Broken()) as snapshots:
        commit_until(snapshots, store, HEIGHT + 1)
    assert "snapshots and pruning wait, blocks go on: [Errno 28] No space left on device" in caplog.text
