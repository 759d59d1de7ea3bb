"""Damaged files of the state store are noticed: what is read from them is what was written, or nothing is."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import plyvel
import pytest

from abci_app.accounts import ACCOUNTS
from abci_app.chain.application import Application
from abci_app.modules.bank import Transfer
from node.errors import NodeError
from node.leveldb.open import UNCHECKED
from node.leveldb.records import StoreDamaged, StoreError
from node.leveldb.store import LevelDBStore
from tests.kit.chain import Chain
from tests.kit.node.stored import commit, make_blocks
from tests.kit.signing import Signer
from tests.kit.state.ledger_of_states import LedgerOfStates

HISTORY = 6
BLOCKS = make_blocks(12, 60)
# A balance whose bytes are found in a file.
BALANCE_NOPEN = 0x0122334455667788


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed store of twelve blocks, eight of them in a table and four in the log."""
    with LevelDBStore.open(tmp_path / "state", history_heights=HISTORY) as store:
        for block in BLOCKS[:8]:
            commit(store, block)
        store._database.compact_range()
    with LevelDBStore.open(tmp_path / "state", history_heights=HISTORY) as store:
        for block in BLOCKS[8:]:
            commit(store, block)
    return tmp_path / "state"


def read_all(folder: Path) -> int:
    """Open the store and compare everything that it gives with what was written; its height."""
    with LevelDBStore.open(folder, history_heights=HISTORY) as store:
        ledger = LedgerOfStates(HISTORY)
        for block in BLOCKS[: store.height]:
            ledger.commit(block)
        ledger.check(store)
        return store.height


def outcome_of(folder: Path) -> str:
    """The height that is read, or `refused`; anything else that is raised is a fault of the store."""
    try:
        return f"height {read_all(folder)}"
    except (StoreError, StoreDamaged):
        return "refused"


def test_a_flipped_bit_anywhere_in_any_file_is_refused_or_changes_nothing(folder: Path, tmp_path: Path) -> None:
    chance = random.Random(19)
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        if path.name in ("LOG", "LOG.old", "LOCK"):  # LevelDB's own words about itself, and an empty file
            continue
        size = path.stat().st_size
        for at in sorted({0, size - 1, *[chance.randrange(size) for _ in range(14)]}):
            copy = tmp_path / "copy"
            shutil.copytree(folder, copy)
            data = bytearray((copy / path.name).read_bytes())
            data[at] ^= 1 << chance.randrange(8)
            (copy / path.name).write_bytes(data)
            found.setdefault(path.suffix or path.name[:8], []).append(outcome_of(copy))
            shutil.rmtree(copy)
    assert "refused" in found[".ldb"]
    assert set(found[".ldb"]) <= {"refused", "height 12"}
    # A damaged record of the log ends it there: the blocks before it stand whole, and CometBFT replays the others.
    assert set(found[".log"]) <= {"refused", *[f"height {height}" for height in range(8, 13)]}
    assert {"refused", "height 11"} & set(found[".log"])
    assert set(found["CURRENT"]) <= {"refused", "height 12"}
    assert set(found["MANIFEST"]) <= {"refused", "height 12"}


@pytest.mark.parametrize("kind", [".ldb", "MANIFEST", "CURRENT"])
@pytest.mark.parametrize("how", ["gone", "cut", "empty"])
def test_a_missing_or_shortened_file_is_refused_or_changes_nothing(folder: Path, kind: str, how: str) -> None:
    [path] = [path for path in folder.iterdir() if kind in (path.suffix, path.name.split("-")[0])]
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 if how == "cut" else 0])
    assert outcome_of(folder) in ("refused", "height 12")


def test_a_log_with_a_hole_is_refused_again_and_again(folder: Path) -> None:
    [log] = folder.glob("*.log")
    data = bytearray(log.read_bytes())
    data[20] ^= 1  # in the ninth block's batch; all of the log's first 32 KiB block goes with it
    log.write_bytes(data)
    height = outcome_of(folder)
    assert height in ("refused", "height 8")
    assert outcome_of(folder) == height


def test_a_state_left_unchecked_by_a_killed_start_is_checked_by_the_next_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[int] = []
    (folder / UNCHECKED).touch()
    monkeypatch.setattr(LevelDBStore, "check", lambda store: checked.append(store.height))
    LevelDBStore.open(folder, history_heights=HISTORY).close()
    LevelDBStore.open(folder, history_heights=HISTORY).close()
    assert checked == [12]
    assert not (folder / UNCHECKED).exists()


def test_a_state_that_does_not_recompute_after_its_log_was_cut_is_refused_for_good(folder: Path) -> None:
    database = plyvel.DB(str(folder))
    key = next(iter(database.iterator(prefix=b"k", include_value=False)))
    database.delete(key)  # as a batch of the middle that was lost would
    database.close()
    (folder / UNCHECKED).touch()
    for _ in range(2):
        with pytest.raises(StoreError, match="keys and values do not lead to the root of height 12"):
            LevelDBStore.open(folder, history_heights=HISTORY)


def test_leveldb_is_opened_in_strict_mode_so_that_rewriting_never_launders_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    real = plyvel.DB

    def noting(name: str, **options: object) -> object:
        asked.append(options)
        return real(name, **options)

    monkeypatch.setattr(plyvel, "DB", noting)
    LevelDBStore.open(folder, history_heights=HISTORY).close()
    assert [options["paranoid_checks"] for options in asked] == [True]


def flip_balance(folder: Path) -> None:
    """Change one bit of alice's balance in the file that holds it, in place."""
    changed = 0
    for path in folder.glob("*.ldb"):
        at = path.read_bytes().find(BALANCE_NOPEN.to_bytes(8, "big"))
        if at >= 0:
            with path.open("r+b") as file:
                file.seek(at + 6)
                file.write(bytes([BALANCE_NOPEN.to_bytes(8, "big")[6] ^ 1]))
            changed += 1
    assert changed == 1


def test_a_flipped_bit_never_becomes_a_balance(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    alice, bob = Signer.named("alice"), Signer.named("bob")
    with LevelDBStore.open(folder) as store:
        others = {Signer.named(f"other-{number}").address: 7 for number in range(400)}  # several blocks of the file
        chain = Chain.start({alice.address: BALANCE_NOPEN, bob.address: 5, **others}, store=store)
        chain.block()
        chain.block()
        store._database.compact_range()
    flip_balance(folder)
    with LevelDBStore.open(folder) as store:
        chain.application = Application(store)
        with pytest.raises(StoreDamaged, match=r"the state store is damaged: .*checksum mismatch.*; restore a backup"):
            ACCOUNTS.get(store, alice.address)
        with store.latest() as version, pytest.raises(StoreDamaged):
            list(ACCOUNTS.iterate(version))
        with store.latest() as version, pytest.raises(StoreDamaged):
            ACCOUNTS.get(version, alice.address)
        with pytest.raises(StoreDamaged):
            chain.block(alice.transaction(Transfer(bob.address, 1)))


def test_every_error_of_a_damaged_store_is_a_failure_of_storage() -> None:
    assert issubclass(StoreDamaged, OSError)
    assert issubclass(StoreError, NodeError)
