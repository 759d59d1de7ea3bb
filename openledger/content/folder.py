"""Which files of a folder make up an artefact: links into a hub's cache are followed, download records are left out.

A folder of model files comes from a training run, from a clone, from a download or out of a hub's cache, and holds
more than the model. Refused by name are pointers that stand for files which were never fetched, unfinished downloads,
pickles (opening one runs its code), and what a training run keeps beside its result to go on from. A link is followed
only to a regular file inside the folder, or inside the blobs of the cached repository whose snapshot the folder is.
"""

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from openledger.content.store import file_digest
from openledger.errors import UsageError

# The model-signing tool leaves out its signature and git's own files at the top of the folder; we leave out what a
# download writes there about itself, too.
IGNORED_NAMES = frozenset((".cache", ".git", ".gitattributes", ".github", ".gitignore", "model.sig"))
MAX_FILES = 4_096

_POINTERS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_UNFINISHED = re.compile(r"\.(incomplete|part|crdownload|aria2|partial)\Z")
# What trainers keep to go on from: moments of the optimizer, random states, settings as a pickle.
_LEFTOVER_FOLDERS = re.compile(r"\A(checkpoint-[0-9]+|global_step[0-9]+)\Z")
_LEFTOVER_FILES = re.compile(
    r"\A(optimizer|scheduler|scaler|rng_state|random_states)(_?[0-9]+)?\.(pt|pth|bin|pkl|safetensors)\Z"
    r"|\A(trainer_state\.json|training_args\.bin|zero_to_fp32\.py|checkpoint\.safetensors)\Z"
)
_HUB_REPOSITORY = re.compile(r"\A(models|datasets|spaces)--")
_SHA256_NAME = re.compile(r"\A[0-9a-f]{64}\Z")
# A pickle begins so, protocol 2 to 5; torch writes one into a zip file under this name.
_PICKLE_STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_ZIP_START = b"PK\x03\x04"
_ZIP_PICKLE = b"data.pkl"
_HEAD_BYTES = 4_096
# The same numbers for other programs, as hubs keep them beside each other.
_OTHER_FORMS = (".ckpt", ".gguf", ".h5", ".mlmodel", ".msgpack", ".onnx", ".onnx_data", ".ot", ".pth", ".tflite")


class ArtefactError(UsageError, ValueError):
    """A folder or file is no artefact that can be recorded; the text names the file."""


@dataclass(frozen=True, slots=True)
class ArtefactFile:
    """One file: path below the artefact's folder with `/`, SHA-256 of its bytes, size."""

    name: str
    digest: bytes
    byte_count: int


def artefact_files(folder: Path, leave_out: Collection[str] = ()) -> Iterator[ArtefactFile]:
    """Every file below `folder` (not `IGNORED_NAMES`, nor those left out by name), sorted by path components.

    Raises `ArtefactError` for what is no part of a finished model, by name.
    """
    folder = folder.resolve()
    _check_not_a_cache(folder)
    blobs = _blobs_of(folder)
    found = [path for path in _names(folder) if path.as_posix() not in leave_out]
    if not 0 < len(found) <= MAX_FILES:
        raise ArtefactError(f"{folder.name} holds {len(found)} files; an artefact has 1 to {MAX_FILES}")
    for path in sorted(found):
        yield _described(folder, path, blobs)


def is_training_leftover(name: str, *, is_folder: bool) -> bool:
    """Whether a name in a run's output is that of something training goes on from, and no part of its result."""
    return (_LEFTOVER_FOLDERS if is_folder else _LEFTOVER_FILES).match(name) is not None


def other_forms(folder: Path) -> tuple[str, ...]:
    """Files that hold the numbers of a folder's safetensors once more in another form: pickles and other formats."""
    folder = folder.resolve()
    found = []
    for path in sorted(_names(folder)):
        file = folder / path
        if path.name.lower().endswith(_OTHER_FORMS) or (file.is_file() and _is_pickle(file)):
            found.append(path.as_posix())
    return tuple(found)


def _names(folder: Path) -> list[PurePosixPath]:
    found: list[PurePosixPath] = []
    for parent, directories, names in os.walk(folder):
        relative = Path(parent).relative_to(folder)
        if relative == Path():
            directories[:] = [name for name in directories if name not in IGNORED_NAMES]
            names = [name for name in names if name not in IGNORED_NAMES]
        for name in directories:
            if (Path(parent) / name).is_symlink():
                raise ArtefactError(f"{relative / name} is a symbolic link to a folder; put the folder in its place")
            if is_training_leftover(name, is_folder=True):
                raise ArtefactError(
                    f"{relative / name} is a checkpoint that training goes on from, not its result: move such folders "
                    "away, or name one that holds the result alone"
                )
        found += [PurePosixPath(relative.as_posix()) / name for name in names]
    return found


def _described(folder: Path, path: PurePosixPath, blobs: Path | None) -> ArtefactFile:
    if is_training_leftover(path.name, is_folder=False):
        raise ArtefactError(f"{path} is what training goes on from (optimizer, random state, settings): move it away")
    if _UNFINISHED.search(path.name):
        raise ArtefactError(f"{path} is an unfinished download: fetch it again")
    file = folder / path
    target = _follow(folder, path, blobs) if file.is_symlink() else file
    status = target.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ArtefactError(f"{path} is not a regular file")
    _check_content(path, target)
    digest = file_digest(target)
    if target != file and _SHA256_NAME.match(target.name) and target.name != digest.hex():
        raise ArtefactError(f"{path} is not what its name in the cache says (SHA-256 {target.name}): fetch it again")
    return ArtefactFile(str(path), digest, status.st_size)


def _follow(folder: Path, path: PurePosixPath, blobs: Path | None) -> Path:
    """The file behind a link; raises `ArtefactError` for one that leads out."""
    try:
        target = (folder / path).resolve(strict=True)
    except (OSError, RuntimeError):
        raise ArtefactError(f"{path} is a symbolic link that leads to no file: fetch the file again") from None
    if not (target.is_relative_to(folder) or (blobs is not None and target.is_relative_to(blobs))):
        raise ArtefactError(f"{path} is a symbolic link that leads out of the folder; put the file itself in its place")
    if target.is_relative_to(folder) and target.relative_to(folder).parts[0] in IGNORED_NAMES:
        raise ArtefactError(f"{path} is a symbolic link into what is left out; put the file itself in its place")
    return target


def _blobs_of(folder: Path) -> Path | None:
    """Where a hub's cache keeps the files of the repository whose snapshot this folder is; None elsewhere."""
    for parent in folder.parents:
        if parent.name == "snapshots" and _HUB_REPOSITORY.match(parent.parent.name):
            blobs = parent.parent / "blobs"
            return blobs.resolve() if blobs.is_dir() else None
    return None


def _check_not_a_cache(folder: Path) -> None:
    """A cache of repositories, or one repository in it with all its revisions, is not one artefact."""
    if not folder.is_dir():
        raise ArtefactError(f"{folder.name} is not a folder")
    inside = sorted(each for each in folder.iterdir() if _HUB_REPOSITORY.match(each.name))
    if inside:
        raise ArtefactError(f"{folder.name} is a cache of repositories: name a snapshot, {inside[0]}/snapshots/…")
    snapshots = folder / "snapshots"
    if snapshots.is_dir() and (folder / "blobs").is_dir():
        names = ", ".join(sorted(each.name for each in snapshots.iterdir())) or "none is there"
        raise ArtefactError(f"{folder.name} is a cached repository: name one of its snapshots in {snapshots} ({names})")


def _check_content(path: PurePosixPath, file: Path) -> None:
    with file.open("rb") as source:
        head = source.read(_HEAD_BYTES)
    if head.startswith(_POINTERS):
        raise ArtefactError(f"{path} is a git-LFS pointer, not the file that it stands for: run `git lfs pull`")
    if _begins_pickle(head):
        raise ArtefactError(
            f"{path} is a pickle, which runs code when it is opened: save the model with safetensors and move it away"
        )


def _begins_pickle(head: bytes) -> bool:
    return head.startswith(_PICKLE_STARTS) or (head.startswith(_ZIP_START) and _ZIP_PICKLE in head)


def _is_pickle(file: Path) -> bool:
    with file.open("rb") as source:
        return _begins_pickle(source.read(_HEAD_BYTES))
