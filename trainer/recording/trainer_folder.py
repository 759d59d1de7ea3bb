"""An output folder of transformers' `Trainer` (TRL's, axolotl's and LLaMA-Factory's are such folders), read afterwards.

Such a folder holds the saved model, `checkpoint-N` folders with the state of step N, and the arguments. Which steps
the saved model had is told by its bytes: the state of the checkpoint whose weights are the saved ones, else the one
beside the model. Where neither is there, the steps are not known, and nothing is made up from the newest checkpoint.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openledger.content.store import file_digest
from trainer.micronats import read_micronats
from trainer.recording.arguments import recipe_of_arguments, training_of_arguments
from trainer.recording.facts import (
    FactsError,
    LoggedLoss,
    RunFacts,
    plain_number,
    read_json,
    thinned,
    whole_number,
)
from trainer.recording.saved_arguments import read_saved_arguments

STATE_FILE = "trainer_state.json"
ARGUMENTS_FILE = "training_args.bin"
_CHECKPOINT = re.compile(r"\Acheckpoint-([0-9]{1,12})\Z")
_WEIGHTS = re.compile(r"\A(adapter_model|model(-[0-9]{5}-of-[0-9]{5})?)\.safetensors\Z")
_ADAPTER_CONFIG = "adapter_config.json"
_MODEL_CONFIG = "config.json"
# A folder of a run holds its checkpoints; thousands are something else.
MAX_CHECKPOINTS = 4_096


@dataclass(frozen=True, slots=True)
class SavedState:
    """The state of a run beside a result: the file, and its fields."""

    path: Path
    fields: dict[str, Any]


def is_trainer_folder(folder: Path) -> bool:
    """Whether a folder looks like the output of a `Trainer`."""
    return (folder / ARGUMENTS_FILE).is_file() or (folder / STATE_FILE).is_file() or bool(checkpoints_of(folder))


def read_trainer_folder(folder: Path) -> RunFacts:
    """The facts that the folder shows; raises `FactsError` where it is damaged or holds no result."""
    result = result_of(folder)
    state = find_state(folder, result)
    arguments = _arguments(folder, result)
    fields = _of_best(state.fields, folder, state.path, arguments) if state else {}
    losses, evaluation = losses_of(fields.get("log_history"))
    started, finished = _times(result, state, fields)
    return RunFacts(
        framework=_framework(arguments),
        recipe=recipe_of_arguments(arguments),
        source=str(folder),
        output_folder=result,
        base=base_of(result),
        kind=kind_of(result),
        training=training_of_arguments(
            arguments,
            steps=whole_number(fields.get("global_step")),
            planned_steps=whole_number(fields.get("max_steps")),
            epochs=fields.get("epoch"),
        ),
        losses=losses,
        evaluation_loss_micronats=evaluation,
        started_seconds=started,
        finished_seconds=finished,
    )


def result_of(folder: Path) -> Path:
    """The folder with the saved model: this one, else its newest checkpoint; raises `FactsError` without any."""
    if _weights(folder):
        return folder
    for checkpoint in reversed(checkpoints_of(folder)):
        if _weights(checkpoint):
            return checkpoint
    raise FactsError(
        f"{folder} holds no saved model (adapter_model.safetensors or model.safetensors, nor checkpoints with one): "
        "call trainer.save_model(), or name the folder that holds the result"
    )


def find_state(folder: Path, result: Path) -> SavedState | None:
    """The state that belongs to the result: of the checkpoint with equal weights, else beside it; None without any."""
    if result != folder:
        return _state_in(result)
    digests = {path.name: file_digest(path) for path in _weights(folder)}
    for checkpoint in reversed(checkpoints_of(folder)):
        theirs = _weights(checkpoint)
        if [path.name for path in theirs] == list(digests) and all(
            path.stat().st_size == (folder / path.name).stat().st_size and file_digest(path) == digests[path.name]
            for path in theirs
        ):
            return _state_in(checkpoint)
    return _state_in(folder)


def checkpoints_of(folder: Path) -> list[Path]:
    """The checkpoint folders, by step."""
    found = [path for path in folder.iterdir() if _CHECKPOINT.match(path.name) and path.is_dir()]
    if len(found) > MAX_CHECKPOINTS:
        raise FactsError(f"{folder} holds {len(found)} checkpoints, more than {MAX_CHECKPOINTS}")
    return sorted(found, key=lambda path: int(path.name.partition("-")[2]))


def losses_of(history: object) -> tuple[tuple[LoggedLoss, ...], int | None]:
    """Training losses of a log, and the last evaluation loss; entries that are none are passed over."""
    losses: list[LoggedLoss] = []
    evaluation = None
    for entry in history if isinstance(history, list) else ():
        if not isinstance(entry, dict):
            continue
        loss, step = read_micronats(entry.get("loss")), whole_number(entry.get("step"))
        if loss is not None and step is not None:
            losses.append(LoggedLoss(step, loss))
        measured = read_micronats(entry.get("eval_loss"))
        evaluation = evaluation if measured is None else measured
    return thinned(losses), evaluation


def base_of(result: Path) -> str:
    """The base that an adapter's own configuration names; empty for whole models, which name none reliably."""
    path = result / _ADAPTER_CONFIG
    if not path.is_file():
        return ""
    named = read_json(path, "an adapter's configuration").get("base_model_name_or_path")
    return named if isinstance(named, str) else ""


def kind_of(result: Path) -> str:
    """`lora` for an adapter, `full` for a whole model."""
    return "lora" if (result / _ADAPTER_CONFIG).is_file() else "full"


def _weights(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _WEIGHTS.match(path.name) and path.is_file())


def _state_in(folder: Path) -> SavedState | None:
    path = folder / STATE_FILE
    return SavedState(path, read_json(path, "a state of a Trainer")) if path.is_file() else None


def _arguments(folder: Path, result: Path) -> dict[str, Any]:
    for place in (result, folder, *reversed(checkpoints_of(folder))):
        if (place / ARGUMENTS_FILE).is_file():
            return read_saved_arguments(place / ARGUMENTS_FILE)
    raise FactsError(f"{folder} holds no {ARGUMENTS_FILE}: pass the configuration of the run with --recipe FILE")


def _of_best(fields: dict[str, Any], folder: Path, path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """The fields as of the best step, where the state is the whole run's and the best model was loaded at its end."""
    if path.parent != folder or arguments.get("load_best_model_at_end") is not True:
        return fields
    best = whole_number(fields.get("best_global_step"))
    if best is None:
        return {"max_steps": fields.get("max_steps")}
    history = [entry for entry in _entries(fields) if (whole_number(entry.get("step")) or 0) <= best]
    epoch = next((entry["epoch"] for entry in reversed(history) if "epoch" in entry), None)
    return {**fields, "global_step": best, "log_history": history, "epoch": epoch}


def _framework(arguments: dict[str, Any]) -> str:
    """The program as far as its arguments tell it; a saved folder does not name versions."""
    return "transformers Trainer with TRL's arguments" if "dataset_text_field" in arguments else "transformers Trainer"


def _times(result: Path, state: SavedState | None, fields: dict[str, Any]) -> tuple[int, int]:
    """Start and end by the times of files: the end is when the result was written, the start what the log says."""
    finished = max([int(path.stat().st_mtime) for path in [*_weights(result), *([state.path] if state else [])]])
    seconds = next((text for entry in _entries(fields) if (text := plain_number(entry.get("train_runtime")))), "")
    return (finished - round(float(seconds)) if seconds else 0), finished


def _entries(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    history = fields.get("log_history")
    yield from (entry for entry in (history if isinstance(history, list) else ()) if isinstance(entry, dict))
