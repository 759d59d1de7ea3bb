"""The result of a run picked out of its output folder, which also holds checkpoints, logs and optimizer states.

The picked files are hard links, or copies where the file system has none, in a folder of their own beside the output;
the output folder is left as it is. `describe_folder` then looks at the picked files like at any others.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openledger.content.folder import IGNORED_NAMES, MAX_FILES, ArtefactError, is_training_leftover

# The callback saves the model that it records into this folder of the output, or one with a number behind: the same
# model once more, of this run or of an earlier one.
ARTEFACT_FOLDER = "openledger-artefact"
_ARTEFACT_FOLDERS = re.compile(rf"\A{ARTEFACT_FOLDER}(-[0-9]+)?\Z")
# Folders that trackers and trainers write logs into.
_LOG_FOLDERS = frozenset(("runs", "wandb", "mlruns", "logs", "trackio", "swanlog", "aim", "tensorboard"))
_LOG_BEGINNINGS = ("events.out.tfevents.", ".")
# Files that LLaMA-Factory and axolotl write about a run, not of its model.
_REPORTS = frozenset(
    ("trainer_log.jsonl", "all_results.json", "train_results.json", "eval_results.json", "training_loss.png",
     "training_eval_loss.png", "running_log.txt", "llamaboard_config.yaml", "training_args.yaml", "debug.log")
)  # fmt: skip


@contextmanager
def picked_result(folder: Path) -> Iterator[Path]:
    """A folder with the files of the result alone, gone afterwards; raises `ArtefactError` when there are none."""
    folder = folder.resolve()
    names = _picked_names(folder)
    if not names:
        raise ArtefactError(f"{folder.name} holds no files of a model: name the folder that holds the result")
    # Beside the output, since links do not lead to other file systems.
    beside = folder.parent if os.access(folder.parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=".openledger-result-", dir=beside) as place:
        # Named like the output: refusals name the folder.
        picked = Path(place) / folder.name
        for name in names:
            _link(folder / name, picked / name)
        yield picked


def _picked_names(folder: Path) -> list[str]:
    found: list[str] = []
    for parent, folders, names in os.walk(folder):
        relative = Path(parent).relative_to(folder)
        at_top = relative == Path()
        folders[:] = [
            name
            for name in sorted(folders)
            if not is_training_leftover(name, is_folder=True) and not (at_top and _is_beside_the_result(name))
        ]
        for name in sorted(names):
            leftover = is_training_leftover(name, is_folder=False) or name.startswith(_LOG_BEGINNINGS)
            if not leftover and not (at_top and (name in _REPORTS or name in IGNORED_NAMES)):
                found.append((relative / name).as_posix())
        if len(found) > MAX_FILES:
            raise ArtefactError(f"{folder.name} holds more than {MAX_FILES} files: name the folder of the result")
    return found


def _is_beside_the_result(name: str) -> bool:
    """Whether a folder of this name at the top of an output holds something else than its result."""
    beside = name in _LOG_FOLDERS or name in IGNORED_NAMES or name.startswith(".")
    return beside or _ARTEFACT_FOLDERS.match(name) is not None


def _link(source: Path, target: Path) -> None:
    """Put one file under the picked ones; a link is followed to a file inside the output folder only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() or not source.is_file():
        raise ArtefactError(f"{source.name} is a link or no regular file; put the file itself in its place")
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
