"""Records of the LevelDB store: the order of keys, and that damage is found and named, never used."""

from __future__ import annotations

from pathlib import Path

import plyvel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.state.tree.pages import CorruptPage
from node.leveldb.records import StoredCommit, StoreError, height_key, history_key, page_key, split_history_key
from node.leveldb.store import LevelDBStore
from tests.kit.node.stored import change_record, commit, make_blocks, records_of
from tests.kit.state import trees


def test_another_database_and_another_format_are_refused(tmp_path: Path) -> None:
    plyvel.DB(str(tmp_path / "other"), create_if_missing=True).close()
    change_record(tmp_path / "other", b"some", b"thing")
    with pytest.raises(StoreError, match="holds a LevelDB database that is not a state store; choose another folder"):
        LevelDBStore.open(tmp_path / "other")
    assert records_of(tmp_path / "other") == {b"some": b"thing"}
    LevelDBStore.open(tmp_path / "newer").close()
    change_record(tmp_path / "newer", b"f", b"openledger-store/2")
    with pytest.raises(StoreError, match="has format openledger-store/2, this program reads openledger-store/1"):
        LevelDBStore.open(tmp_path / "newer")


def store_with_blocks(folder: Path) -> StoredCommit:
    """A closed store of six blocks; its last commit."""
    with LevelDBStore.open(folder, history_heights=4) as store:
        for block in make_blocks(6):
            commit(store, block)
    return StoredCommit.decode(records_of(folder)[b"s"])


def test_a_damaged_height_record_is_refused(tmp_path: Path) -> None:
    last = store_with_blocks(tmp_path / "state").encode()
    for damaged in (last[:-1], last[:8] + bytes([last[8] ^ 1]) + last[9:]):
        change_record(tmp_path / "state", b"s", damaged)
        with pytest.raises(StoreError, match="a height record is not what was written; restore a backup"):
            LevelDBStore.open(tmp_path / "state")


@pytest.mark.parametrize("height", [4, 6])
def test_a_missing_height_record_is_refused(tmp_path: Path, height: int) -> None:
    store_with_blocks(tmp_path / "state")
    change_record(tmp_path / "state", height_key(b"h", height), None)
    with pytest.raises(StoreError, match="records below height 6 are missing; restore a backup"):
        LevelDBStore.open(tmp_path / "state")


def test_a_missing_record_of_what_to_prune_is_damage(tmp_path: Path) -> None:
    store_with_blocks(tmp_path / "state")
    change_record(tmp_path / "state", height_key(b"u", 4), None)
    with LevelDBStore.open(tmp_path / "state", history_heights=4) as store:
        staged = store.stage(7, [])
        with pytest.raises(CorruptPage, match="record of height 4 is missing"):
            store.commit(staged)
        assert store.height == 6


def test_a_damaged_or_missing_page_is_never_used(tmp_path: Path) -> None:
    last = store_with_blocks(tmp_path / "state")
    key = page_key(last.root_number)
    page = records_of(tmp_path / "state")[key]
    other = records_of(tmp_path / "state")[page_key(last.root_number - 1)]
    for damaged, message in (
        (page[:20] + bytes([page[20] ^ 1]) + page[21:], "is not what was written"),
        (other, "is not what was written"),
        (None, "is missing"),
    ):
        change_record(tmp_path / "state", key, damaged)
        with LevelDBStore.open(tmp_path / "state") as store:
            for use in (
                lambda store=store: store.stage(7, [(b"key/\x00", b"new value")]),
                lambda store=store: store.latest().prove([b"key/\x00"], []),
                store.check,
            ):
                with pytest.raises(CorruptPage, match=f"page {last.root_number} of the tree {message}"):
                    use()


def test_a_value_that_is_not_in_the_tree_is_found(tmp_path: Path) -> None:
    store_with_blocks(tmp_path / "state")
    stored = next(key for key in records_of(tmp_path / "state") if key.startswith(b"k"))
    change_record(tmp_path / "state", stored, b"another value")
    with LevelDBStore.open(tmp_path / "state") as store:
        with pytest.raises(CorruptPage, match=f"value of key {stored[1:].hex()} does not belong to the tree"):
            store.latest().prove([stored[1:]], [])
        with pytest.raises(CorruptPage, match="keys and values do not lead to the root of height 6"):
            store.check()


@given(trees.keys | st.binary(max_size=127), st.integers(0, 2**63))
def test_history_keys_can_be_read_back(key: bytes, height: int) -> None:
    assert split_history_key(history_key(key, height)) == (key, height)


@given(st.binary(max_size=6), st.integers(0, 300), st.binary(max_size=6), st.integers(0, 300))
def test_history_keys_sort_by_key_then_height(key: bytes, height: int, other: bytes, other_height: int) -> None:
    assert (history_key(key, height) < history_key(other, other_height)) == ((key, height) < (other, other_height))
