"""Runs of an MLflow store, read afterwards: parameters, losses, times, and which folder holds their result.

Parameters and metrics are those that transformers' own MLflow callback logs. Runs of an experiment often share one
output folder, which each of them overwrote; so a folder counts as a run's result only when it lies among the run's
own artefacts, or when the losses in its state are those of the run. Read against MLflow 3.17, as MLflow's own client
reads its stores: a database, a folder or a server.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from trainer.micronats import read_micronats
from trainer.recording.arguments import recipe_of_arguments, training_of_arguments
from trainer.recording.facts import FactsError, LoggedLoss, RunFacts, thinned
from trainer.recording.trainer_folder import is_trainer_folder, kind_of, read_trainer_folder, result_of

# Tags that a recorded run gets in MLflow.
ENTRY_TAG = "openledger.entry"
CHAIN_TAG = "openledger.chain"
DATA_TAG = "openledger.data"
# Names under which trainers log the loss of a step, the usual one first.
_LOSS_METRICS = ("loss", "train/loss", "training_loss", "train_loss")
_EVALUATION_METRICS = ("eval_loss", "eval/loss", "val_loss")
# Logged once, at the last step.
_LAST_STEP_METRICS = ("train_runtime", "train/train_runtime", "total_flos")
_PAGE = 100
MAX_RUNS = 10_000
# Depth to which a run's artefacts are looked through for a saved model.
_MAX_ARTEFACT_FOLDERS = 1_000
_MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """One run of a store: its id and name, the entry that its tag names on which chain, and its facts."""

    run_id: str
    name: str
    recorded_entry: str
    recorded_chain: str
    # What its tag says of its data, as DATANET@VERSION; the recorder's words.
    declared_data: tuple[str, ...]
    facts: RunFacts


def open_store(tracking_uri: str = "") -> Any:
    """MLflow's client for a store, else for the one that MLflow itself would take; raises `FactsError`."""
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise FactsError(f"MLflow is not in this environment ({error}): install it beside this project") from None
    try:
        return MlflowClient(tracking_uri=tracking_uri or None)
    except (MlflowException, ImportError, OSError) as error:
        raise FactsError(f"MLflow's store cannot be opened: {_line(error)}") from None


def read_run(store: Any, run_id: str) -> LoggedRun:
    """One run by its id; raises `FactsError`."""
    from mlflow.exceptions import MlflowException

    try:
        return _read(store, store.get_run(run_id))
    except MlflowException as error:
        raise FactsError(f"run {run_id!r} cannot be read: {_line(error)}") from None


def finished_runs(store: Any, experiment_name: str) -> Iterator[LoggedRun]:
    """The finished runs of an experiment, the oldest first; raises `FactsError` when there is no such experiment."""
    from mlflow.exceptions import MlflowException

    try:
        experiment = store.get_experiment_by_name(experiment_name)
        if experiment is None:
            names = ", ".join(sorted(item.name for item in store.search_experiments(max_results=_PAGE)))
            raise FactsError(f"there is no experiment {experiment_name!r} in this store; it has {names or 'none'}")
        token, count = None, 0
        while True:
            page = store.search_runs(
                [experiment.experiment_id],
                filter_string="attributes.status = 'FINISHED'",
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            for run in page:
                count += 1
                if count > MAX_RUNS:
                    raise FactsError(f"experiment {experiment_name!r} has more than {MAX_RUNS} runs: name single runs")
                yield _read(store, run)
            token = page.token
            if not token:
                return
    except MlflowException as error:
        raise FactsError(f"experiment {experiment_name!r} cannot be read: {_line(error)}") from None


def tag_run(store: Any, run_id: str, entry: str, chain_id: str) -> None:
    """Write back which entry records the run; raises `FactsError`, the record itself stands."""
    from mlflow.exceptions import MlflowException

    try:
        store.set_tag(run_id, CHAIN_TAG, chain_id)
        store.set_tag(run_id, ENTRY_TAG, entry)
    except MlflowException as error:
        raise FactsError(f"run {run_id} is recorded as {entry}; its tag cannot be written: {_line(error)}") from None


def _read(store: Any, run: Any) -> LoggedRun:
    run_id, parameters, tags = run.info.run_id, dict(run.data.params), dict(run.data.tags)
    losses = _history(store, run, _LOSS_METRICS)
    evaluations = _history(store, run, _EVALUATION_METRICS)
    if "packing" not in parameters:
        # Without TRL's arguments this is a field of the model's configuration.
        parameters.pop("max_length", None)
    folder = _find_folder(store, run, losses)
    facts = RunFacts(
        framework=_framework(parameters),
        recipe=recipe_of_arguments(parameters),
        source=f"MLflow run {run_id}",
        output_folder=folder,
        base=parameters.get("_name_or_path", ""),
        datasets=_datasets(run),
        kind=kind_of(folder) if folder else "",
        training=training_of_arguments(parameters, steps=_last_step(store, run), epochs=run.data.metrics.get("epoch")),
        losses=thinned(losses),
        evaluation_loss_micronats=evaluations[-1].loss_micronats if evaluations else None,
        started_seconds=(run.info.start_time or 0) // _MILLISECONDS,
        finished_seconds=(run.info.end_time or 0) // _MILLISECONDS,
    )
    return LoggedRun(
        run_id=run_id,
        name=run.info.run_name or run_id,
        recorded_entry=tags.get(ENTRY_TAG, ""),
        recorded_chain=tags.get(CHAIN_TAG, ""),
        declared_data=tuple([text.strip() for text in tags.get(DATA_TAG, "").split(",") if text.strip()]),
        facts=facts,
    )


def _history(store: Any, run: Any, names: tuple[str, ...]) -> list[LoggedLoss]:
    """All values of the first of these metrics that the run has, by step."""
    name = next((name for name in names if name in run.data.metrics), None)
    if name is None:
        return []
    found = []
    for point in store.get_metric_history(run.info.run_id, name):
        loss = read_micronats(point.value)
        if loss is not None:
            found.append(LoggedLoss(point.step, loss))
    return sorted(found, key=lambda logged: logged.step)


def _last_step(store: Any, run: Any) -> int | None:
    """The step at which the trainer wrote its summary; None where it wrote none: the last loss may be older."""
    name = next((name for name in _LAST_STEP_METRICS if name in run.data.metrics), None)
    if name is None:
        return None
    return max((point.step for point in store.get_metric_history(run.info.run_id, name)), default=None) or None


def _framework(parameters: dict[str, Any]) -> str:
    version = parameters.get("transformers_version")
    name = "transformers Trainer with TRL's arguments" if "dataset_text_field" in parameters else "transformers Trainer"
    if version:
        return f"{name}, transformers {version}, by MLflow"
    return f"{name}, by MLflow" if "per_device_train_batch_size" in parameters else "a run of MLflow"


def _datasets(run: Any) -> tuple[str, ...]:
    inputs = getattr(getattr(run, "inputs", None), "dataset_inputs", None) or []
    return tuple([item.dataset.name for item in inputs if getattr(item.dataset, "name", "")])


def _find_folder(store: Any, run: Any, losses: list[LoggedLoss]) -> Path | None:
    """The folder with the result of this run and no other; None where there is none on this machine."""
    for place in _artefact_folders(store, run):
        found = _saved_below(place)
        if found is not None:
            return found
    output = run.data.params.get("output_dir")
    folder = Path(output) if output else None
    if folder is None or not folder.is_dir() or not is_trainer_folder(folder):
        return None
    try:
        theirs = read_trainer_folder(folder)
    except FactsError:
        return None
    same = bool(losses) and theirs.losses == thinned(losses)
    return theirs.output_folder if same else None


def _artefact_folders(store: Any, run: Any) -> Iterator[Path]:
    """Folders of the run's artefacts and logged models that lie on this machine."""
    places = [run.info.artifact_uri]
    logged = getattr(getattr(run, "outputs", None), "model_outputs", None) or []
    places += [store.get_logged_model(output.model_id).artifact_location for output in logged]
    for place in places:
        parts = urlparse(place or "")
        if parts.scheme in ("", "file") and parts.path and Path(unquote(parts.path)).is_dir():
            yield Path(unquote(parts.path))


def _saved_below(place: Path) -> Path | None:
    """The saved model below a folder: the newest checkpoint among several, none where it is not clear which."""
    seen, found = 0, []
    for parent, folders, _ in os.walk(place):
        seen += 1
        if seen > _MAX_ARTEFACT_FOLDERS:
            return None
        try:
            found.append(result_of(Path(parent)))
        except FactsError:
            continue
        # What lies below a saved model are its checkpoints.
        folders.clear()
    return found[0] if len(found) == 1 else None


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
