"""Files that are written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

READABLE, PRIVATE = 0o644, 0o600
# How the names of files begin that are not written to their end.
UNFINISHED = ".incoming-"


@contextmanager
def replacing(target: Path, mode: int = READABLE) -> Iterator[IO[bytes]]:
    """A temporary file beside `target` that takes its place when the block ends without an exception.

    Readers see the old file or the whole new one, also after a power failure. Nobody else can read it before it has its
    place. Folders on the way are made.
    """
    temporary = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=UNFINISHED)  # created with mode 0600
        with os.fdopen(descriptor, "wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except OSError as error:
        _remove(temporary)
        beside = str(error.filename or "").startswith(str(target.parent / UNFINISHED))
        if error.errno is not None and (error.filename is None or beside):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise
    except BaseException:
        _remove(temporary)
        raise


def _remove(temporary: str) -> None:
    if temporary:
        Path(temporary).unlink(missing_ok=True)


def write_whole(target: Path, data: bytes | str, mode: int = READABLE) -> None:
    """Write one file whole or not at all; an OSError names the file.

    A link is followed, and what is no file (a pipe, /dev/stdout) is written to and never replaced.
    """
    encoded = data.encode() if isinstance(data, str) else data
    if target.exists() and not target.is_file():
        with naming(target), target.open("wb", buffering=0) as sink:
            sink.write(encoded)
        return
    with replacing(target.resolve() if target.is_symlink() else target, mode) as file:
        file.write(encoded)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError of the block that names no file names this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def existing_folder(path: Path) -> Path:
    """The nearest folder above a path, or itself, that is there: what will lie there lies on its disk."""
    return next(above for above in (path.absolute(), *path.absolute().parents) if above.exists())


def free_bytes_at(path: Path) -> int:
    """How many bytes are free on the disk on which a path is, or will be."""
    return shutil.disk_usage(existing_folder(path)).free


def cache_home() -> Path:
    """Folder for what can be made again: $XDG_CACHE_HOME/openledger, outside any repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openledger"
