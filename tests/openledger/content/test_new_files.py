"""Files and folders that a person names: written whole, never over what is there, and nothing left of what failed."""

import os
import stat
from pathlib import Path

import pytest

from openledger.content.new_files import check_new, check_new_folder, making_folder, removing_new, write_new
from openledger.errors import UsageError


def _names(folder: Path) -> list[str]:
    return sorted([str(path.relative_to(folder)) for path in folder.rglob("*")])


def test_a_file_is_written_once_and_over_another_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "made" / "draft.json"
    write_new(path, "first")
    with pytest.raises(UsageError, match=r"draft\.json is there already: name another file, or pass --overwrite"):
        write_new(path, "second")
    assert path.read_text() == "first"
    write_new(path, b"third", overwrite=True)
    assert (path.read_text(), _names(tmp_path)) == ("third", ["made", "made/draft.json"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_folder_and_a_dangling_link_are_not_taken_for_a_new_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder: name a file in it"):
        check_new(tmp_path, overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is there already"):
        check_new(tmp_path / "link")


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    read, write = os.pipe()
    write_new(Path(f"/dev/fd/{write}"), "through")
    assert os.read(read, 100) == b"through"
    assert _names(tmp_path) == []


def test_a_file_that_somebody_makes_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "draft.json"
    monkeypatch.setattr("openledger.content.new_files.check_new", lambda *_, **__: path.write_text("theirs"))
    monkeypatch.setattr(Path, "exists", lambda _self: False)
    with pytest.raises(UsageError, match="is there already"):
        write_new(path, "ours")
    assert (path.read_text(), _names(tmp_path)) == ("theirs", ["draft.json"])


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    with making_folder(tmp_path / "a" / "net") as unfinished:
        (unfinished / "file").write_text("x")
        assert not (tmp_path / "a" / "net").exists()
    assert _names(tmp_path) == ["a", "a/net", "a/net/file"]
    with (
        pytest.raises(UsageError, match="net is not empty: delete it, or name another folder"),
        making_folder(tmp_path / "a" / "net"),
    ):
        pass
    check_new_folder(tmp_path / "b")
    with pytest.raises(UsageError, match="is a file"):
        check_new_folder(tmp_path / "a" / "net" / "file")


def test_a_folder_that_fails_leaves_nothing_and_a_killed_one_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".net.999999999.unfinished").mkdir()
    (tmp_path / f".net.{os.getpid()}.unfinished.of-somebody").mkdir()
    with pytest.raises(KeyboardInterrupt), making_folder(tmp_path / "net") as unfinished:
        (unfinished / "file").write_text("x")
        raise KeyboardInterrupt
    assert _names(tmp_path) == [f".net.{os.getpid()}.unfinished.of-somebody"]
    with pytest.raises(ValueError, match="later"), making_folder(tmp_path / "a" / "b" / "net"):
        raise ValueError("later")
    assert _names(tmp_path) == [f".net.{os.getpid()}.unfinished.of-somebody"]


def test_what_a_failure_has_added_goes_and_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "olga.json").write_text("{}")
    with pytest.raises(ValueError, match="later"), removing_new(tmp_path):
        (tmp_path / "keys" / "remy.json").write_text("{}")
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "genesis.json").write_text("{}")
        raise ValueError("later")
    assert _names(tmp_path) == ["keys", "keys/olga.json"]
