"""A disk that is full, read-only or not there gives one line with path, reason and what to do, never a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from openledger.content.files import replacing, write_whole
from openledger.exit_codes import ExitCode
from openledger_cli.main import main, storage_error


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 KiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def fill(folder: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_names_the_file_and_leaves_the_old_one(small: Path) -> None:
    target = small / "file"
    target.write_bytes(b"old")
    fill(small)
    with pytest.raises(OSError, match="No space left on device") as failure:
        write_whole(target, bytes(20_000))
    assert failure.value.filename == str(target)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in small.iterdir()) == ["file", "filler"]


def test_a_key_on_a_full_disk_gives_one_line(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(small)
    words = ["keys", "add", "alice", "--home", str(small / "home"), "--keys", "test", "--chain-id", "dev-1"]
    assert main(words) == ExitCode.FAILURE
    said = capsys.readouterr().err
    assert said.startswith(f"error: {small}/home")
    assert "No space left on device; free space on that disk and try again" in said
    assert said.count("\n") == 1


def test_a_read_only_disk_gives_one_line(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    words = ["keys", "add", "alice", "--home", str(small / "home"), "--keys", "test", "--chain-id", "dev-1"]
    assert main(words) == ExitCode.FAILURE
    said = capsys.readouterr().err
    assert "Read-only file system; the file system is mounted read-only: name another place" in said
    assert said.count("\n") == 1


def test_a_home_below_a_file_gives_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    words = ["keys", "add", "alice", "--home", str(tmp_path / "file" / "home"), "--keys", "test", "--chain-id", "dev-1"]
    assert main(words) == ExitCode.FAILURE
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path}/file")
    assert said.count("\n") == 1


def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    write_whole(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left on device") as failure:
        write_whole(Path("/dev/full"), b"x")
    assert (failure.value.filename, Path("/dev/full").is_char_device()) == ("/dev/full", True)
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"x")


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "text")
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "file").read_text()) == (True, "text")


def test_an_error_of_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as failure, replacing(tmp_path / "target"):
        (tmp_path / "source").read_bytes()
    assert failure.value.filename == str(tmp_path / "source")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x"),
         "/x: No space left on device; free space on that disk and try again"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error; the disk fails: look at the system's log"),
        (OSError("the state store is damaged"), "the state store is damaged"),
        (OSError(), "OSError"),
    ],
)  # fmt: skip
def test_an_error_of_storage_is_one_line(error: OSError, line: str) -> None:
    assert storage_error(error) == line
    assert os.linesep not in line
