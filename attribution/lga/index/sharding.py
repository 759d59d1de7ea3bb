"""Several processes, one result: tasks are files, and the process that holds a task's lock makes its file.

Every process walks the same list of tasks, each from another place, makes what is missing and not locked, and goes on
when all files are there. Files are written whole and depend on the inputs alone, so neither the number of processes
nor their order, nor a process that is killed and started again, can change them. The operating system drops the locks
of a process that dies. Processes share a folder; a file system without locks is refused, also for one process: nobody
can tell that it is alone.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from attribution.errors import AttributionError

# How long to wait for the others before looking again.
_POLL_SECONDS = 0.05
MAX_WORLD = 65_536
# The last process clears the work folder away, once.
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Shard:
    """This process among `world` equal ones; `rank` only spreads where they begin."""

    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        """Raises `AttributionError`."""
        if not 0 < self.world <= MAX_WORLD or not 0 <= self.rank < self.world:
            raise AttributionError("rank", f"{self.rank} of {self.world} processes; ranks count from 0")

    @classmethod
    def from_environment(cls) -> "Shard":
        """RANK and WORLD_SIZE as torchrun sets them; one process without them."""
        try:
            return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
        except ValueError as error:
            raise AttributionError("rank", f"RANK and WORLD_SIZE must be numbers: {error}") from error


@dataclass(frozen=True, slots=True)
class Task:
    """A file and how to make it; `make` writes `path` in one step. The lock lies beside it unless told otherwise."""

    path: Path
    make: Callable[[], None]
    lock: Path | None = None


def run_tasks(
    tasks: Sequence[Task],
    shard: Shard,
    *,
    progress: Callable[[int, int], None] | None = None,
    finished: Callable[[], bool] = lambda: False,
) -> None:
    """Return when every file is there, or when `finished` says that nobody needs them any more."""
    start = len(tasks) * shard.rank // shard.world
    pending = [*range(start, len(tasks)), *range(start)]
    done = 0
    while pending and not finished():
        waiting: list[int] = []
        for number in pending:
            task = tasks[number]
            if not task.path.exists():
                with try_lock(task.lock or task.path.with_name(f"{task.path.name}.lock")) as mine:
                    if not mine:
                        waiting.append(number)
                        continue
                    if finished():
                        return
                    if not task.path.exists():
                        task.make()
            done += 1
            if progress:
                progress(done, len(tasks))
        if len(waiting) == len(pending):
            time.sleep(_POLL_SECONDS)
        pending = waiting


@contextmanager
def try_lock(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock of this file for the block, if nobody else has it; yields whether it is held."""
    import fcntl

    descriptor = _open_in_its_folder(path)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError as error:
            reason = f"cannot be locked in {path.parent} ({error.strerror}): build on a file system that has locks"
            raise AttributionError(path.name, reason) from error
        else:
            yield True
    finally:
        os.close(descriptor)


def _open_in_its_folder(path: Path) -> int:
    """A descriptor of a file that is made if need be, with its folders, which another process may be clearing away."""
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError, FileExistsError):  # the latter where a folder went while it was looked at
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    raise AttributionError(path.name, f"cannot be made in {path.parent}: something else removes that folder")
