"""A node on a disk that forgets, when the power goes, everything that was written after the last sync.

`python -m tests.kit.integration.power_loss` runs the node command with a LevelDB beside which a second one, the
*synced* one, follows: it gets a write only once a synced write comes at or after it, as the log file of a real one
does. After a SIGKILL, `lose_power` puts the synced database in the place of the other.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import plyvel

_Operation = tuple[str, bytes, bytes]
_REAL: Callable[..., Any] = plyvel.DB


def _synced_folder(folder: Path) -> Path:
    return folder.with_name(folder.name + ".synced")


def _copy_whole(folder: Path, target: Path) -> None:
    """Copy a folder in which LevelDB may just remove a file that it has compacted: again until nothing was missed."""
    for _ in range(100):
        shutil.rmtree(target, ignore_errors=True)
        try:
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns("LOCK"))
        except shutil.Error:
            continue
        return
    raise OSError(f"{folder} keeps changing while it is copied")


def lose_power(folder: Path) -> None:
    """Leave the store's folder as it is after the power went and came back."""
    shutil.rmtree(folder)
    _synced_folder(folder).rename(folder)


class ForgetfulDatabase:
    """The part of `plyvel.DB` that the store uses, with a synced database that follows."""

    def __init__(self, name: str, **options: Any) -> None:
        self._real = _REAL(name, **options)
        _copy_whole(Path(name), _synced_folder(Path(name)))
        self._synced = _REAL(str(_synced_folder(Path(name))), create_if_missing=True)
        self._unsynced: list[_Operation] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def put(self, key: bytes, value: bytes, sync: bool = False) -> None:
        self.apply([("put", key, value)], sync)

    def delete(self, key: bytes, sync: bool = False) -> None:
        self.apply([("delete", key, b"")], sync)

    def write_batch(self, sync: bool = False) -> ForgetfulBatch:
        return ForgetfulBatch(self, sync)

    def apply(self, operations: list[_Operation], sync: bool) -> None:
        """Write now; to the synced database when this write is synced."""
        _write(self._real, operations, sync)
        self._unsynced += operations
        if sync:
            _write(self._synced, self._unsynced, True)
            self._unsynced = []

    def close(self) -> None:
        self._real.close()
        self._synced.close()


class ForgetfulBatch:
    """A write batch of it."""

    def __init__(self, database: ForgetfulDatabase, sync: bool) -> None:
        self._database = database
        self._sync = sync
        self._operations: list[_Operation] = []

    def put(self, key: bytes, value: bytes) -> None:
        self._operations.append(("put", key, value))

    def delete(self, key: bytes) -> None:
        self._operations.append(("delete", key, b""))

    def write(self) -> None:
        self._database.apply(self._operations, self._sync)
        self._operations = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.write()


def _write(database: Any, operations: list[_Operation], sync: bool) -> None:
    batch = database.write_batch(sync=sync)
    for kind, key, value in operations:
        if kind == "put":
            batch.put(key, value)
        else:
            batch.delete(key)
    batch.write()


def main() -> int:
    plyvel.DB = ForgetfulDatabase
    from node.run import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
