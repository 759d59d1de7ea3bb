"""Opens the state's LevelDB database so that damage is found: in files when they are read, in the log at once.

LevelDB's strict mode refuses a log in which one record is not what was written, and checks what it rewrites. Such a
log is also what a power cut can leave: its end was never promised to anybody. So a log that strict mode refuses is
read up to the damage, and the result is used only after the whole tree was recomputed from it. The file `UNCHECKED`
says that this is still to be done; it survives a kill.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import plyvel

from abci_app.state.tree.pages import CorruptPage
from node.child_log import is_disk_full
from node.leveldb.memory import StoreMemory
from node.leveldb.records import StoreDamaged, StoreError

_LOG = logging.getLogger("openledger.node")

UNCHECKED: Final = "UNCHECKED"


@contextmanager
def damage_is_refused(folder: Path) -> Iterator[None]:
    """Raises `StoreError` in place of errors of LevelDB and of the store's records."""
    try:
        yield
    except plyvel.IOError as error:
        remedy = "free space on that disk" if is_disk_full(str(error)) else "is another node running on it?"
        raise StoreError(f"the state store {folder} cannot be opened: {error}; {remedy}") from error
    except plyvel.Error as error:
        raise StoreError(f"the state store {folder} is damaged: {error}; restore a backup") from error
    except (StoreDamaged, CorruptPage) as error:
        raise StoreError(str(error)) from error


def open_database(folder: Path, check: Callable[[Any], object], memory: StoreMemory) -> Any:
    """The database, checked by `check` first where its log was not whole. Raises `StoreError`."""
    with damage_is_refused(folder):
        try:
            database = _open(folder, memory, strict=True)
        except plyvel.CorruptionError as error:
            _LOG.warning(
                "the state store's log is not whole (%s); all of the state is checked before it is used", error
            )
            (folder / UNCHECKED).touch()
            _open(folder, memory, strict=False).close()
            database = _open(folder, memory, strict=True)
    if (folder / UNCHECKED).exists():
        try:
            with damage_is_refused(folder):
                check(database)
        except BaseException:
            database.close()
            raise
        (folder / UNCHECKED).unlink()
    return database


def _open(folder: Path, memory: StoreMemory, *, strict: bool) -> Any:
    return plyvel.DB(
        str(folder),
        create_if_missing=True,
        paranoid_checks=strict,
        max_open_files=memory.open_files,
        lru_cache_size=memory.block_cache_bytes,
        write_buffer_size=memory.write_buffer_bytes,
        bloom_filter_bits=10,
    )
