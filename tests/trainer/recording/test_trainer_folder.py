"""An output folder tells which steps its saved model had, and admits where it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.kit.trainer.outputs import finished_output, save_adapter, save_arguments, save_state
from trainer.recording.facts import FactsError, LoggedLoss
from trainer.recording.trainer_folder import is_trainer_folder, losses_of, read_trainer_folder, result_of

LOSSES = tuple(
    LoggedLoss(step, loss)
    for step, loss in ((2, 2_500_000), (4, 2_400_000), (6, 2_250_000), (8, 2_125_000), (10, 2_000_000))
)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return finished_output(tmp_path / "out")


def test_a_finished_run_is_read_from_the_checkpoint_whose_weights_are_the_saved_ones(output: Path) -> None:
    facts = read_trainer_folder(output)
    assert facts.training == {
        "steps": 10, "planned_steps": 10, "epochs": "2.5", "batch_rows_per_device": 2, "optimizer": "adamw_torch",
        "seed": 7,
    }  # fmt: skip
    assert (facts.losses, facts.base, facts.kind, facts.output_folder) == (LOSSES, "tiny-llama", "lora", output)
    assert json.loads(facts.recipe) == {
        "max_steps": 10, "per_device_train_batch_size": 2, "optim": "adamw_torch", "seed": 7,
    }  # fmt: skip


def test_the_best_checkpoint_that_was_loaded_at_the_end_is_not_the_last(output: Path) -> None:
    save_adapter(output, 0.5)
    facts = read_trainer_folder(output)
    assert (facts.training["steps"], facts.training["planned_steps"], facts.losses) == (5, 10, LOSSES[:2])


def test_a_saved_model_of_which_no_checkpoint_is_left_has_no_number_of_steps(output: Path) -> None:
    save_adapter(output, 2.0)
    facts = read_trainer_folder(output)
    assert (facts.training.get("steps"), facts.training["planned_steps"], facts.losses) == (None, 10, ())


def test_the_state_beside_the_model_comes_before_checkpoints(output: Path) -> None:
    save_adapter(output, 2.0)
    save_state(output, 12, planned=12, losses={12: 1.5})
    facts = read_trainer_folder(output)
    assert (facts.training["steps"], facts.losses) == (12, (LoggedLoss(12, 1_500_000),))


def test_the_state_of_the_whole_run_beside_the_best_model_is_taken_as_of_its_step(output: Path) -> None:
    save_adapter(output, 2.0)
    save_state(output, 10, planned=10, losses={2: 2.5, 4: 2.4, 6: 2.25, 8: 2.125, 10: 2.0})
    save_arguments(output, max_steps=10, load_best_model_at_end=True)
    state = json.loads((output / "trainer_state.json").read_text())
    (output / "trainer_state.json").write_text(json.dumps(state | {"best_global_step": 6}))
    facts = read_trainer_folder(output)
    assert (facts.training["steps"], facts.training["epochs"], facts.losses) == (6, "1.5", LOSSES[:3])
    # The older form of the state does not name the step.
    (output / "trainer_state.json").write_text(json.dumps(state))
    assert (read_trainer_folder(output).training.get("steps"), read_trainer_folder(output).losses) == (None, ())


def test_the_state_of_the_whole_run_counts_less_than_the_bytes_of_the_model(output: Path) -> None:
    save_adapter(output, 0.5)
    save_state(output, 10, planned=10, losses={10: 2.0})
    facts = read_trainer_folder(output)
    assert (facts.training["steps"], facts.losses) == (5, LOSSES[:2])


def test_without_a_saved_model_the_newest_checkpoint_is_the_result(output: Path) -> None:
    (output / "adapter_model.safetensors").unlink()
    shutil.rmtree(output / "checkpoint-10")
    facts = read_trainer_folder(output)
    assert (facts.output_folder, facts.training["steps"], facts.training["planned_steps"]) == (
        output / "checkpoint-5",
        5,
        10,
    )


def test_checkpoints_are_ordered_by_number_not_by_name(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        save_adapter(tmp_path / f"checkpoint-{step}", step)
    assert result_of(tmp_path) == tmp_path / "checkpoint-100"


def test_a_folder_without_a_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    save_arguments(tmp_path, seed=1)
    with pytest.raises(FactsError, match=r"holds no saved model .* call trainer.save_model\(\)"):
        read_trainer_folder(tmp_path)


def test_what_is_no_output_of_a_trainer_is_told(tmp_path: Path, output: Path) -> None:
    save_adapter(tmp_path / "model", 1.0)
    assert [is_trainer_folder(place) for place in (output, output / "checkpoint-5", tmp_path / "model")] == [
        True,
        True,
        False,
    ]


def test_losses_that_are_none_are_passed_over() -> None:
    history = [
        {"step": 1, "loss": float("nan")}, {"step": 2, "loss": "high"}, {"loss": 1.0}, "text", {"step": 3, "loss": 1},
        {"step": 3, "eval_loss": 2.5}, {"step": 4, "eval_loss": None},
    ]  # fmt: skip
    assert losses_of(history) == ((LoggedLoss(3, 1_000_000),), 2_500_000)
    assert losses_of(None) == ((), None)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_a_damaged_state_is_named(output: Path, content: str) -> None:
    (output / "checkpoint-10" / "trainer_state.json").write_text(content)
    with pytest.raises(FactsError, match=r"trainer_state\.json"):
        read_trainer_folder(output)
