"""The forgetful database forgets exactly what no sync has covered."""

from __future__ import annotations

from pathlib import Path

import plyvel

from tests.kit.integration.power_loss import ForgetfulDatabase, lose_power


def _rows(folder: Path) -> dict[bytes, bytes]:
    database = plyvel.DB(str(folder))
    try:
        return dict(database)
    finally:
        database.close()


def test_writes_after_the_last_sync_are_forgotten_and_all_before_it_are_kept(tmp_path: Path) -> None:
    database = ForgetfulDatabase(str(tmp_path / "db"), create_if_missing=True)
    database.put(b"unsynced before a sync", b"1")
    with database.write_batch(sync=True) as batch:
        batch.put(b"synced", b"2")
        batch.put(b"deleted later", b"3")
    with database.write_batch() as batch:
        batch.put(b"unsynced", b"4")
        batch.delete(b"deleted later")
    assert database.get(b"unsynced") == b"4"
    database.close()
    lose_power(tmp_path / "db")
    assert _rows(tmp_path / "db") == {b"unsynced before a sync": b"1", b"synced": b"2", b"deleted later": b"3"}


def test_what_was_there_when_it_was_opened_is_kept(tmp_path: Path) -> None:
    first = plyvel.DB(str(tmp_path / "db"), create_if_missing=True)
    first.put(b"old", b"1")
    first.close()
    database = ForgetfulDatabase(str(tmp_path / "db"))
    database.put(b"new", b"2")
    database.close()
    lose_power(tmp_path / "db")
    assert _rows(tmp_path / "db") == {b"old": b"1"}
