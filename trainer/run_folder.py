"""The folder that a run's output goes to: never one of somebody's, unless this very run has put it there before."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from openledger.content.artefact import describe_artefact
from openledger.content.files import cache_home, write_whole
from openledger.content.folder import ArtefactError
from openledger.content.new_files import check_new_folder, making_folder
from openledger.errors import UsageError

MARKER = "output.json"
# The recipe of the run with ids for names, in its work folder: who has changed the file since can still go on with it.
RECIPE_FILE = "recipe.json"


@dataclass(frozen=True, slots=True)
class _Left:
    """The output that a run has put into a folder, as its work folder says it."""

    work_folder: Path
    folder: str
    # Digest of the files; others that stand there now are somebody's.
    artefact: str
    # Id of the entry that records the run; empty while none does.
    entry: str


def runs_home() -> Path:
    """Where runs keep what they can go on from."""
    return cache_home() / "runs"


def check_output_folder(folder: Path, work_folder: Path | None = None) -> None:
    """Raise `UsageError` for a folder that holds anything but what a run left there that is not recorded yet.

    `work_folder`: that of the run; without it the output of any run passes, recorded or not, for an early word before
    a run is known. The error says what is there, and how to go on without losing it.
    """
    try:
        check_new_folder(folder)
    except UsageError:
        if not folder.is_dir():
            raise
        left = _find_left(folder)
        if left is not None and (work_folder is None or (left.work_folder == work_folder and not left.entry)):
            return
        raise UsageError(f"{folder} {_what_is_there(folder, left)}") from None


def _what_is_there(folder: Path, left: _Left | None) -> str:
    """Say which output is in the way, and how to go on."""
    place = shlex.quote(str(folder))
    elsewhere = f"name another folder with --folder DIR, or put this one aside: mv {place} {place}.old"
    if left is None:
        return f"is not empty, and no run of this machine has left there what it holds: {elsewhere}"
    if left.entry:
        return f"holds the output of a run that is recorded as {left.entry}: {elsewhere}"
    recipe = left.work_folder / RECIPE_FILE
    if not recipe.is_file():
        return f"holds the output of another run, which is not recorded yet: {elsewhere}"
    return (
        "holds the output of another run, which is not recorded yet; to record that one, without training again: "
        f"openledger train {shlex.quote(str(recipe))} --folder {place} --from KEY; for this one {elsewhere}"
    )


def remember_recipe(work_folder: Path, canonical: bytes) -> None:
    """Keep the recipe of a run beside what it can go on from."""
    work_folder.mkdir(parents=True, exist_ok=True)
    write_whole(work_folder / RECIPE_FILE, canonical)


def forget_output(work_folder: Path, entry: str = "") -> None:
    """The run is recorded: its output is somebody's from now on, and a later run can say of which `entry`."""
    left = _read_left(work_folder / MARKER) if entry else None
    if left is None:
        (work_folder / MARKER).unlink(missing_ok=True)
    else:
        _write_left(work_folder, left.folder, left.artefact, entry)
    (work_folder / RECIPE_FILE).unlink(missing_ok=True)


@contextmanager
def making_output(folder: Path, work_folder: Path | None) -> Iterator[Path]:
    """The folder to write into: a new one appears when it is whole, what the same run had written is replaced.

    The run's `work_folder` knows of it before it appears, so that a process that is killed meanwhile can go on.
    """
    with _filled(folder) as made:
        yield made
        if work_folder:
            _write_left(work_folder, str(folder.resolve()), describe_artefact(made).artefact_digest.hex())


@contextmanager
def _filled(folder: Path) -> Iterator[Path]:
    try:
        check_new_folder(folder)
    except UsageError:
        yield folder
        return
    with making_folder(folder) as unfinished:
        yield unfinished


def _find_left(folder: Path) -> _Left | None:
    """Find the run of this machine that has filled a folder, unchanged since; None for somebody else's files."""
    place = str(folder.resolve())
    found = [_read_left(marker) for marker in runs_home().glob(f"*/{MARKER}")]
    here = [left for left in found if left is not None and left.folder == place]
    if not here:
        return None
    try:
        artefact = describe_artefact(folder).artefact_digest.hex()
    except (OSError, ArtefactError):
        return None
    # Two recipes may come to the same bytes: the one that is not recorded is in the way.
    same = sorted([left for left in here if left.artefact == artefact], key=lambda left: bool(left.entry))
    return same[0] if same else None


def _write_left(work_folder: Path, folder: str, artefact: str, entry: str = "") -> None:
    write_whole(work_folder / MARKER, json.dumps({"folder": folder, "artefact": artefact, "entry": entry}))


def _read_left(marker: Path) -> _Left | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        value = json.loads(marker.read_text(encoding="utf-8"))
        return _Left(
            work_folder=marker.parent,
            folder=str(value["folder"]),
            artefact=str(value["artefact"]),
            entry=str(value["entry"]),
        )
    return None
