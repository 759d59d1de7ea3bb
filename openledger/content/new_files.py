"""The one rule for files and folders that a person names: what is there is never overwritten silently.

`replacing` and `write_whole` (openledger/content/files.py) are for files that a program owns.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from openledger.content.files import READABLE, naming, write_whole
from openledger.errors import UsageError

_REMOVALS, _PAUSE_SECONDS = 20, 0.1


def check_new(path: Path, *, overwrite: bool = False) -> None:
    """Raise `UsageError` where a file would be overwritten; before long work, so that nothing is done in vain.

    What is no file (a pipe, /dev/stdout) is written to, and a folder is never taken for a file.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file in it")
    if not overwrite and (path.is_file() or (path.is_symlink() and not path.exists())):
        raise _already_there(path)


def write_new(path: Path, data: bytes | str, *, overwrite: bool = False, mode: int = READABLE) -> None:
    """Write a file that a person named, whole or not at all; raises `UsageError` where one is there already."""
    check_new(path, overwrite=overwrite)
    if overwrite or path.exists():
        write_whole(path, data, mode)
        return
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".incoming-")
    try:
        with naming(path), os.fdopen(descriptor, "wb") as sink:
            sink.write(data.encode() if isinstance(data, str) else data)
            sink.flush()
            os.fsync(sink.fileno())
            os.fchmod(sink.fileno(), mode)
        _take_place(Path(temporary), path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _take_place(temporary: Path, path: Path) -> None:
    """Give a finished file its name, which nobody may have taken meanwhile."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise _already_there(path) from None
    except OSError:
        # A file system without hard links: the name is looked at a moment before it is taken.
        check_new(path)
        temporary.replace(path)


def check_new_folder(folder: Path) -> None:
    """Raise `UsageError` unless nothing is there, or an empty folder: a folder of somebody's is never written over."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        what = "is not empty" if folder.is_dir() else "is a file"
        raise UsageError(f"{folder} {what}: delete it, or name another folder")


@contextmanager
def making_folder(folder: Path) -> Iterator[Path]:
    """A folder beside it to fill, which takes its place when the block ends; nothing is left behind when it fails.

    Raises `UsageError` for a folder that is not empty. What killed processes left beside it is swept away.
    """
    check_new_folder(folder)
    folder = folder.resolve()
    above = next(parent for parent in folder.parents if parent.exists())
    _sweep(folder)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.replace(folder)
    except BaseException:
        _remove_tree(unfinished)
        remove_empty(folder.parent, above)
        raise


@contextmanager
def removing_new(folder: Path) -> Iterator[None]:
    """Remove what a failed block has put into a folder and the folders in it; a new folder goes altogether."""
    above = next(path for path in (folder, *folder.parents) if path.exists())
    before = _entries(folder)
    try:
        yield
    except BaseException:
        for path in sorted(_entries(folder) - before):
            if path.is_dir() and not path.is_symlink():
                _remove_tree(path)
            else:
                path.unlink(missing_ok=True)
        remove_empty(folder, above)
        raise


def _remove_tree(folder: Path) -> None:
    """Remove a folder, also while a killed process of ours writes its last file into it."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE_SECONDS)


def _entries(folder: Path) -> set[Path]:
    return {*folder.glob("*"), *folder.glob("*/*")}


def remove_empty(folder: Path, above: Path) -> None:
    """Remove folders from this one upwards as long as they are empty; `above` stays."""
    while folder != above and above in folder.parents:
        with suppress(OSError):
            folder.rmdir()
        if folder.exists():
            return
        folder = folder.parent


def _sweep(folder: Path) -> None:
    for path in folder.parent.glob(f".{_glob_escaped(folder.name)}.*.unfinished"):
        number = path.name.removesuffix(".unfinished").rpartition(".")[2]
        if number.isdecimal() and not _runs(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _glob_escaped(name: str) -> str:
    """A name as a pattern that fits only itself."""
    return "".join([f"[{letter}]" if letter in "*?[" else letter for letter in name])


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _already_there(path: Path) -> UsageError:
    return UsageError(f"{path} is there already: name another file, or pass --overwrite")
