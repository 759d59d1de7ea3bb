"""A file is replaced by the whole new one or stays as it was."""

from pathlib import Path

import pytest

from openledger.content.files import PRIVATE, READABLE, replacing


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mode", [READABLE, PRIVATE])
def test_a_file_takes_its_place_when_it_is_whole_with_the_mode_asked_for(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with replacing(target, mode) as sink:
        sink.write(b"new")
        sink.flush()
        (incoming,) = [path for path in tmp_path.iterdir() if path != target]
        assert (incoming.read_bytes(), mode_of(incoming), target.read_bytes()) == (b"new", PRIVATE, b"old")
    assert (target.read_bytes(), mode_of(target)) == (b"new", mode)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_whatever_goes_wrong_leaves_the_old_file_alone(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(error), replacing(target) as sink:
        sink.write(b"half")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    target = tmp_path / "some" / "where" / "file"
    with replacing(target) as sink:
        sink.write(b"new")
    assert target.read_bytes() == b"new"
