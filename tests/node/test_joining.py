"""A joining that was cut short is forgotten, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node import joining
from node.agreement import Heights
from node.errors import NodeError
from node.home import Home
from node.joining import COMET_DATABASES, begin_again_where_unfinished
from node.leveldb.store import LevelDBStore
from node.snapshots.restoring import Restoring
from tests.kit.node.snapshots import HEIGHT, Peer, fill, join, random_state, snapshot_of

STATE = random_state(30)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    for name in (*COMET_DATABASES, "application"):
        (found.data_folder / name).mkdir(parents=True)
    found.signing_state_file.write_text("{}")
    return found


@pytest.fixture
def store(home: Home) -> Iterator[LevelDBStore]:
    with LevelDBStore.open(home.store_folder) as store:
        yield store


def restored(store: LevelDBStore, folder: Path) -> None:
    with LevelDBStore.open(folder / "provider") as provider:
        fill(provider, STATE)
        made = snapshot_of(provider, folder / "snapshots")
        join(Restoring(store), made.announced, provider.app_hash, [Peer("honest", made)])


def stands(monkeypatch: pytest.MonkeyPatch, comet_state: int, comet_blocks: int, *, enabled: bool = True) -> None:
    monkeypatch.setattr(joining, "heights", lambda _home, own: Heights(own, comet_state, comet_blocks))
    monkeypatch.setattr(joining, "joins_by_snapshot", lambda _home: enabled)


def names(home: Home) -> list[str]:
    return sorted(path.name for path in home.data_folder.iterdir())


@pytest.mark.parametrize("comet_state", [0, HEIGHT])
def test_a_restored_state_without_a_block_is_forgotten_with_cometbfts_part(
    home: Home, store: LevelDBStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comet_state: int
) -> None:
    restored(store, tmp_path)
    stands(monkeypatch, comet_state, 0)
    begin_again_where_unfinished(home, store)
    assert (store.height, store.restored_height) == (0, 0)
    assert names(home) == ["application", "priv_validator_state.json"]


def test_cometbfts_state_without_ours_is_forgotten(
    home: Home, store: LevelDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands(monkeypatch, HEIGHT, 0)
    begin_again_where_unfinished(home, store)
    assert names(home) == ["application", "priv_validator_state.json"]


def test_a_node_that_has_a_block_keeps_everything(
    home: Home, store: LevelDBStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored(store, tmp_path)
    before = names(home)
    stands(monkeypatch, HEIGHT, HEIGHT + 1)
    begin_again_where_unfinished(home, store)
    assert (store.height, names(home)) == (HEIGHT, before)


def test_a_state_that_came_from_genesis_is_never_forgotten(
    home: Home, store: LevelDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, STATE)
    before = names(home)
    stands(monkeypatch, 0, 0)
    begin_again_where_unfinished(home, store)
    assert (store.height, names(home)) == (HEIGHT, before)


def test_an_empty_home_has_nothing_to_forget(home: Home, store: LevelDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = names(home)
    stands(monkeypatch, 0, 0, enabled=False)
    begin_again_where_unfinished(home, store)
    assert names(home) == before


def test_a_node_that_shall_not_join_again_says_so_and_forgets_nothing(
    home: Home, store: LevelDBStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored(store, tmp_path)
    stands(monkeypatch, 0, 0, enabled=False)
    with pytest.raises(NodeError, match=r"has not finished joining by a snapshot .* and \[statesync\] enable is false"):
        begin_again_where_unfinished(home, store)
    assert store.height == HEIGHT
