"""`record` fills itself in from what a tool left: an output folder, a configuration, an MLflow run or experiment."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from abci_app.types import PPB
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.openledger.fake_ledger import FakeLedger, use_fake_ledger
from tests.kit.trainer.adapters import made_adapter
from tests.kit.trainer.outputs import save_arguments, save_state
from tests.kit.trainer.tiny import tiny_model
from trainer.describe import describe
from trainer.recording.mlflow_runs import ENTRY_TAG, open_store
from trainer.run_records import ParentRecord

# MLflow calls libraries in ways that these call old.
pytestmark = [pytest.mark.ml, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")]
LOSSES = {5: 2.5, 10: 2.0}
COMMON = ("--model", "mine", "--from", "alice", "--content", "content")
NAMED = ("--base", "base", "--data", "facts@1")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    return use_fake_ledger(tmp_path, monkeypatch)


@pytest.fixture
def output(ledger: FakeLedger, tmp_path: Path) -> Path:
    """A Trainer's output of ten steps, as it leaves it."""
    folder = made_adapter(tmp_path / "out")
    checkpoint = folder / "checkpoint-10"
    shutil.copytree(folder, checkpoint)
    save_state(checkpoint, 10, planned=10, losses=LOSSES)
    (checkpoint / "optimizer.pt").write_bytes(b"moments")
    save_arguments(folder, max_steps=10, per_device_train_batch_size=2, lr_scheduler_type="cosine", seed=7)
    return folder


def test_a_trainers_output_fills_in_the_whole_record(ledger: FakeLedger, output: Path) -> None:
    assert main(["record", str(output), *COMMON, *NAMED]) == ExitCode.OK
    (record,) = ledger.records
    assert (record.entry.kind, record.entry.undeclared) == ("lora", "nothing")
    assert record.entry.parents == (ParentRecord(ledger.chain.entries["base"].entry_id, "base", PPB),)
    assert describe(record.manifest)[:4] == [
        "lora by transformers Trainer, recorded afterwards",
        "10 steps, 2.5 epochs, 2 rows a device",
        "seed 7",
        "training loss 2.5000 at step 5, 2.0000 at step 10 (2 values logged)",
    ]
    files = [file["name"] for file in record.manifest.json("output")["files"]]
    assert files == ["adapter_config.json", "adapter_model.safetensors"]


def test_what_is_not_given_is_recorded_as_undeclared_and_said(
    ledger: FakeLedger, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", str(output), *COMMON]) == ExitCode.OK
    (record,) = ledger.records
    assert (record.entry.undeclared, record.entry.terms_id) == (
        "parents-and-inputs", ledger.terms("LicenseRef-unknown"),
    )  # fmt: skip
    assert "recorded with undeclared parents and inputs" in capsys.readouterr().err


def test_several_datanets_are_weighted_by_their_rows(ledger: FakeLedger, output: Path) -> None:
    words = ["record", str(output), *COMMON, "--base", "base", "--data", "facts@1", "--data", "questions@1"]
    assert main(words) == ExitCode.OK
    (record,) = ledger.records
    assert [item.weight_ppb for item in record.entry.inputs] == [666_666_667, 333_333_333]


def test_a_configuration_says_what_was_planned_and_its_folder_what_was_done(ledger: FakeLedger, output: Path) -> None:
    Path("sft.yaml").write_text(
        f"base_model: {tiny_model()}\ndatasets: [{{path: garden.jsonl}}]\noutput_dir: {output}\nadapter: lora\n"
        "micro_batch_size: 2\ngradient_accumulation_steps: 4\nnum_epochs: 3\n"
    )
    assert main(["record", "sft.yaml", *COMMON, *NAMED]) == ExitCode.OK
    (record,) = ledger.records
    assert describe(record.manifest)[:2] == [
        "lora by axolotl, recorded afterwards",
        "10 steps, 2.5 epochs, 2 rows a device, gradients of 4 batches a step",
    ]
    assert record.manifest.parts["recipe"] == Path("sft.yaml").read_bytes()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "what is to be recorded? name a folder, a configuration, or --mlflow RUN"),
        (["recipe.yaml"], "recipe.yaml is neither axolotl's nor LLaMA-Factory's"),
        (["out/adapter_config.json"], "is no folder and no configuration (.yaml)"),
        (["plain"], "plain does not show everything about the run: pass --kind and --framework and --recipe FILE"),
        (["out", "--base", "base", "--input", "facts@1"], "--base and --data are short for --parent and --input"),
        (["out", "--mlflow-experiment", "x"], "name no folder and no single run"),
    ],
)
def test_mistakes_are_told_in_one_line(
    ledger: FakeLedger, output: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    Path("plain").mkdir()
    assert main(["record", *words, *COMMON]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert (text in error, error.count("\n"), ledger.records) == (True, 1, [])


def test_without_a_model_name_and_a_terminal_nothing_is_recorded(
    ledger: FakeLedger, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", str(output), "--from", "alice"]) == ExitCode.USAGE
    assert "which model does the run make a version of? pass --model NAME" in capsys.readouterr().err


def log_run(store: Any, experiment_id: str, output: Path, losses: dict[int, float]) -> str:
    """A run as transformers' callback logs it; returns its id."""
    run_id = str(store.create_run(experiment_id, run_name=f"run-{losses[10]}").info.run_id)
    for name, value in (("output_dir", output), ("max_steps", 10), ("seed", 7)):
        store.log_param(run_id, name, str(value))
    for step, loss in losses.items():
        store.log_metric(run_id, "loss", loss, step=step)
    store.log_metric(run_id, "train_runtime", 3.5, step=10)
    store.set_terminated(run_id)
    return run_id


def test_an_experiment_is_imported_once_and_its_runs_get_their_entries_as_tags(
    ledger: FakeLedger, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{Path.cwd()}/mlflow.db"
    store = open_store(uri)
    experiment_id = store.create_experiment("garden", artifact_location=str(Path("artefacts").resolve()))
    gone = log_run(store, experiment_id, output, {5: 3.0, 10: 2.9})
    kept = log_run(store, experiment_id, output, LOSSES)
    store.set_tag(kept, "openledger.data", "facts@1")
    words = ["record", "--mlflow-experiment", "garden", "--tracking-uri", uri, *COMMON, "--base", "base"]
    assert main([*words, "--output", "json"]) == ExitCode.FAILURE
    first = json.loads(capsys.readouterr().out)
    assert [(row["run"], row["entry"]) for row in first] == [("run-2.9", ""), ("run-2.0", "published")]
    assert "its result is not on this machine, or was written over by a later run" in first[0]["state"]
    assert ENTRY_TAG not in store.get_run(gone).data.tags
    assert store.get_run(kept).data.tags[ENTRY_TAG] == "published"
    (record,) = ledger.records
    assert describe(record.manifest)[0] == "lora by a run of MLflow, recorded afterwards"
    assert record.entry.inputs[0].weight_ppb == PPB
    assert main([*words, "--output", "json"]) == ExitCode.FAILURE
    assert [row["state"][:15] for row in json.loads(capsys.readouterr().out)] == ["left out: MLflo", "recorded before"]
    assert len(ledger.records) == 1


def test_a_single_run_is_recorded_with_the_folder_that_its_user_names(
    ledger: FakeLedger, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{Path.cwd()}/mlflow.db"
    store = open_store(uri)
    experiment_id = store.create_experiment("one", artifact_location=str(Path("artefacts").resolve()))
    run_id = log_run(store, experiment_id, output, {5: 3.0, 10: 2.9})
    words = ["record", str(output), "--mlflow", run_id, "--tracking-uri", uri, "--kind", "lora", *COMMON, *NAMED]
    assert main(words) == ExitCode.OK
    tags = store.get_run(run_id).data.tags
    assert (tags[ENTRY_TAG], tags["openledger.chain"]) == ("published", "dev-fake")
    (record,) = ledger.records
    assert record.manifest.json("loss-trace")["losses"] == [3_000_000, 2_900_000]
    # Its tag names the entry now, so that it is not recorded twice.
    assert main(words) == ExitCode.OK
    assert "this run is recorded already, as published: nothing was recorded now" in capsys.readouterr().err
    assert len(ledger.records) == 1
    assert main([*words, "--again"]) == ExitCode.OK
    assert len(ledger.records) == 2
