"""Runs of a real MLflow store are read, their result only where it is theirs, and get the entry's id as a tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.trainer.outputs import finished_output, save_adapter
from trainer.recording.facts import FactsError, LoggedLoss
from trainer.recording.mlflow_runs import ENTRY_TAG, finished_runs, open_store, read_run, tag_run
from trainer.recording.trainer_folder import read_trainer_folder

# MLflow calls libraries in ways that these call old.
pytestmark = [pytest.mark.ml, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")]
LOSSES = {2: 2.5, 4: 2.4, 6: 2.25, 8: 2.125, 10: 2.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_store(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")


def log_run(store: Any, experiment: str, output: Path, losses: dict[int, float] = LOSSES, end: str = "FINISHED") -> str:
    """A run as transformers' callback logs it; returns its id."""
    found = store.get_experiment_by_name(experiment)
    place = output.parent / "artefacts"
    experiment_id = found.experiment_id if found else store.create_experiment(experiment, artifact_location=str(place))
    run_id = str(store.create_run(experiment_id).info.run_id)
    for name, value in (("output_dir", output), ("max_steps", 10), ("seed", 7), ("_name_or_path", "tiny-llama"),
                        ("hub_token", "hf_x"), ("max_length", 20)):  # fmt: skip
        store.log_param(run_id, name, str(value))
    for step, loss in losses.items():
        store.log_metric(run_id, "loss", loss, step=step)
    store.log_metric(run_id, "train_runtime", 3.5, step=max(losses))
    store.set_terminated(run_id, end)
    return run_id


def test_a_run_is_read_with_its_result(store: Any, tmp_path: Path) -> None:
    output = finished_output(tmp_path / "out")
    run = read_run(store, log_run(store, "read", output))
    assert run.facts.training == {"steps": 10, "planned_steps": 10, "seed": 7}
    assert run.facts.losses == tuple(LoggedLoss(step, round(loss * 1e6)) for step, loss in LOSSES.items())
    assert (run.facts.base, run.facts.kind, run.facts.output_folder) == ("tiny-llama", "lora", output)
    assert b"hf_x" not in run.facts.recipe


def test_of_runs_that_share_a_folder_it_belongs_to_the_one_whose_losses_its_state_has(
    store: Any, tmp_path: Path
) -> None:
    output = finished_output(tmp_path / "out")
    log_run(store, "shared", output, {2: 3.0, 4: 2.9})
    log_run(store, "shared", output)
    log_run(store, "shared", output, {2: 1.0}, end="FAILED")
    assert [run.facts.output_folder for run in finished_runs(store, "shared")] == [None, output]


def test_a_folder_whose_model_was_written_over_belongs_to_no_run(store: Any, tmp_path: Path) -> None:
    output = finished_output(tmp_path / "out")
    run_id = log_run(store, "over", output)
    save_adapter(output, 3.0)
    assert read_run(store, run_id).facts.output_folder is None
    assert read_trainer_folder(output).losses == ()


def test_a_model_among_the_artefacts_is_the_result(store: Any, tmp_path: Path) -> None:
    run_id = log_run(store, "artefacts", tmp_path / "gone")
    folder = Path(store.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "model" / "model"
    save_adapter(folder, 1.0)
    assert read_run(store, run_id).facts.output_folder == folder


def test_two_models_among_the_artefacts_are_not_guessed_between(store: Any, tmp_path: Path) -> None:
    run_id = log_run(store, "two", tmp_path / "gone")
    place = Path(store.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    save_adapter(place / "first", 1.0)
    save_adapter(place / "second", 2.0)
    assert read_run(store, run_id).facts.output_folder is None


def test_a_recorded_run_gets_the_entry_as_a_tag(store: Any, tmp_path: Path) -> None:
    run_id = log_run(store, "tagged", tmp_path / "gone")
    store.set_tag(run_id, "openledger.data", "garden@2, faq@1")
    tag_run(store, run_id, "olrun1x", "dev-1")
    run = read_run(store, run_id)
    assert (run.recorded_entry, run.recorded_chain, run.declared_data) == ("olrun1x", "dev-1", ("garden@2", "faq@1"))
    assert store.get_run(run_id).data.tags[ENTRY_TAG] == "olrun1x"


def test_what_is_not_there_is_said_with_what_is(store: Any, tmp_path: Path) -> None:
    log_run(store, "here", tmp_path / "gone")
    with pytest.raises(FactsError, match=r"there is no experiment 'there' in this store; it has .*here"):
        list(finished_runs(store, "there"))
    with pytest.raises(FactsError, match="run 'abc' cannot be read"):
        read_run(store, "abc")
    with pytest.raises(FactsError, match="MLflow's store cannot be opened"):
        open_store("nothing://x")
