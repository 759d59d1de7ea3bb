"""The folder that a run's output goes to: never one of somebody's, unless this very run has put it there before."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openledger.content.artefact import describe_artefact
from openledger.content.files import cache_home, write_whole
from openledger.content.folder import ArtefactError
from openledger.content.new_files import check_new_folder, making_folder
from openledger.errors import UsageError

MARKER = "output.json"


def runs_home() -> Path:
    """Where runs keep what they can go on from."""
    return cache_home() / "runs"


def check_output_folder(folder: Path, work_folder: Path | None = None) -> None:
    """Raise `UsageError` for a folder that holds anything but what a run left there that is not recorded yet.

    `work_folder`: that of the run; without it any run counts, for an early word before a run is known.
    """
    markers = [work_folder / MARKER] if work_folder else sorted(runs_home().glob(f"*/{MARKER}"))
    if not any(_is_of(folder, marker) for marker in markers):
        check_new_folder(folder)


def forget_output(work_folder: Path) -> None:
    """The run is recorded: its output is somebody's from now on."""
    (work_folder / MARKER).unlink(missing_ok=True)


@contextmanager
def making_output(folder: Path, work_folder: Path | None) -> Iterator[Path]:
    """The folder to write into: a new one appears when it is whole, what the same run had written is replaced.

    The run's `work_folder` knows of it before it appears, so that a process that is killed meanwhile can go on.
    """
    with _filled(folder) as made:
        yield made
        if work_folder:
            artefact = describe_artefact(made).artefact_digest.hex()
            write_whole(work_folder / MARKER, json.dumps({"folder": str(folder.resolve()), "artefact": artefact}))


@contextmanager
def _filled(folder: Path) -> Iterator[Path]:
    try:
        check_new_folder(folder)
    except UsageError:
        yield folder
        return
    with making_folder(folder) as unfinished:
        yield unfinished


def _is_of(folder: Path, marker: Path) -> bool:
    try:
        value = json.loads(marker.read_text(encoding="utf-8"))
        if value["folder"] != str(folder.resolve()):
            return False
        return bool(value["artefact"] == describe_artefact(folder).artefact_digest.hex())
    except (OSError, ValueError, KeyError, TypeError, ArtefactError):
        return False
