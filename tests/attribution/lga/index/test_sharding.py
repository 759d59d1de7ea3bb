"""Workers share tasks, and each task is done once."""

import errno
import os
from pathlib import Path

import pytest

from attribution.errors import AttributionError
from attribution.lga.index.sharding import Shard, Task, run_tasks, try_lock


def writing(path: Path, log: list[str]) -> Task:
    def make() -> None:
        log.append(path.name)
        path.write_text(path.name)

    return Task(path, make)


def test_every_missing_file_is_made_once_and_ranks_begin_at_different_places(tmp_path: Path) -> None:
    log: list[str] = []
    seen: list[tuple[int, int]] = []
    tasks = [writing(tmp_path / str(number), log) for number in range(4)]
    (tmp_path / "3").write_text("there")
    run_tasks(tasks, Shard(1, 2), progress=lambda done, total: seen.append((done, total)))
    assert log == ["2", "0", "1"]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (tmp_path / "3").read_text() == "there"


def test_a_task_that_another_process_holds_is_left_to_it_until_it_is_done(tmp_path: Path) -> None:
    log: list[str] = []
    tasks = [writing(tmp_path / name, log) for name in ("held", "free")]
    looks = 0

    def finished() -> bool:
        nonlocal looks
        looks += 1
        if looks == 4:  # the other process finishes its task
            (tmp_path / "held").write_text("by another")
        return False

    with try_lock(tmp_path / "held.lock") as mine:
        assert mine
        run_tasks(tasks, Shard(), finished=finished)
    assert log == ["free"]
    assert (tmp_path / "held").read_text() == "by another"


def test_work_that_nobody_needs_any_more_is_left_undone(tmp_path: Path) -> None:
    log: list[str] = []
    run_tasks([writing(tmp_path / "one", log)], Shard(), finished=lambda: True)
    assert log == []


def test_work_that_became_needless_while_the_lock_was_taken_is_left_undone(tmp_path: Path) -> None:
    """The others finished, and may have cleared away what they made."""
    log: list[str] = []
    answers = iter([False, True])
    run_tasks([writing(tmp_path / "one", log)], Shard(), finished=lambda: next(answers))
    assert log == []


def test_a_folder_that_another_process_clears_away_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last process of a build removes the work folder while others look whether there is something to do."""
    path = tmp_path / "work" / "build" / "lock"
    opened, real = [], os.open

    def open_after_another_cleared(file: Path, *options: int) -> int:
        opened.append(file)
        if len(opened) < 3:
            path.parent.rmdir()
            path.parent.parent.rmdir()
        return real(file, *options)

    monkeypatch.setattr("attribution.lga.index.sharding.os.open", open_after_another_cleared)
    with try_lock(path) as mine:
        assert mine
    assert opened == [path] * 3


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(AttributionError, match=r"lock: cannot be locked in .* \(No locks available\): build on a file"):
        try_lock(tmp_path / "lock").__enter__()


def test_locks_exclude_each_other_unless_they_are_shared(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with try_lock(path, shared=True) as one, try_lock(path, shared=True) as other, try_lock(path) as alone:
        assert (one, other, alone) == (True, True, False)
    with try_lock(path) as alone, try_lock(path, shared=True) as shared:
        assert (alone, shared) == (True, False)


def test_an_error_in_a_task_frees_its_lock(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        run_tasks([Task(tmp_path / "file", fail, tmp_path / "elsewhere.lock")], Shard())
    with try_lock(tmp_path / "elsewhere.lock") as mine:
        assert mine
