"""Bringing the files of a recorded model into a folder: each by its digest, none over what is there, resumable.

What a manifest names is not trusted: names that lead out of the folder, or into what tools keep in it, are refused, and
a file that is there with other bytes stops everything before anything is fetched.
"""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from openledger.content.files import free_bytes_at
from openledger.content.folder import IGNORED_NAMES, ArtefactFile
from openledger.content.store import ContentStore, calling_content, file_digest
from openledger.errors import NotVerified, UsageError

# Of bytes done and bytes in all.
Progress = Callable[[int, int], None]
# Room that the file system itself may want beside the files.
_SPARE_BYTES = 2**20


def fetch_files(
    store: ContentStore,
    files: Sequence[ArtefactFile],
    folder: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Bring the files into the folder; returns how many were there already. Raises `UsageError`, `ContentError`."""
    targets = {file.name: checked_target(folder, file.name) for file in files}
    if len(set(targets.values())) != len(files):
        raise NotVerified("the manifest lists a file twice: do not use it")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder for the model")
    wanted = [file for file in files if not _is_there(targets[file.name], file, overwrite=overwrite)]
    _check_room(folder, sum(file.byte_count for file in wanted))
    total = sum(file.byte_count for file in files)
    done = total - sum(file.byte_count for file in wanted)
    for file in wanted:
        with calling_content(f"the model's file {file.name}"):
            store.get_file(file.digest, targets[file.name])
        done += file.byte_count
        if progress is not None:
            progress(done, total)
    return len(files) - len(wanted)


def checked_target(folder: Path, name: str) -> Path:
    """Where a file of the manifest goes; raises `NotVerified` for a name that leads anywhere else."""
    path = PurePosixPath(name)
    parts = path.parts
    harmless = bool(parts) and not path.is_absolute() and ".." not in parts and name.isprintable()
    if not harmless or "\\" in name or parts[0] in IGNORED_NAMES or path.as_posix() != name:
        raise NotVerified(f"file name {name[:80]!r} is none that a model's folder holds: the manifest is not honest")
    target = folder / path
    for parent in target.parents:
        if parent == folder:
            break
        if parent.is_symlink():
            raise UsageError(f"{parent} is a symbolic link: name a folder without links, so that nothing leaves it")
    return target


def _is_there(target: Path, file: ArtefactFile, *, overwrite: bool) -> bool:
    """Whether this very file is there; raises `UsageError` where something else is."""
    if not target.exists() and not target.is_symlink():
        return False
    is_same = (
        target.is_file()
        and not target.is_symlink()
        and target.stat().st_size == file.byte_count
        and file_digest(target) == file.digest
    )
    if is_same:
        return True
    if overwrite and target.is_file() and not target.is_symlink():
        return False
    raise UsageError(f"{target} is there already with other content: name another folder, or pass --overwrite")


def _check_room(folder: Path, wanted_bytes: int) -> None:
    """Refuse before the first byte what the disk has no room for."""
    free = free_bytes_at(folder)
    if wanted_bytes + _SPARE_BYTES > free:
        raise UsageError(
            f"{folder} needs {wanted_bytes:,} bytes and {free:,} are free there: free some, or name another disk"
        )
