"""One line records a run of transformers' own Trainer: adapters and whole models, with times, losses and quality."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from abci_app.types import PPB
from openledger.content.artefact import describe_artefact
from openledger.data.manifest import get_manifest, to_json
from openledger.errors import TimedOut, UsageError
from tests.kit.openledger.fake_ledger import FakeLedger
from tests.kit.trainer.adapters import with_tensors
from tests.kit.trainer.tiny import byte_base, byte_tokenizer, sentence, tiny_chain, tiny_model
from trainer.claiming import NotClaimed
from trainer.describe import describe
from trainer.recording.callback import OpenLedgerCallback
from trainer.recording.result import ARTEFACT_FOLDER
from trainer.run_records import ParentRecord

pytestmark = pytest.mark.ml


@pytest.fixture
def ledger(tmp_path: Path) -> FakeLedger:
    return FakeLedger(tiny_chain(tmp_path))


@pytest.fixture
def said() -> list[str]:
    return []


def made(ledger: FakeLedger, said: list[str], **changes: Any) -> OpenLedgerCallback:
    """A callback on the fake ledger, for a model of `base` on `facts`."""
    options: dict[str, Any] = {"base": "base", "data": ["facts@1"], **changes}
    return OpenLedgerCallback("mine", ledger=ledger, store=ledger.chain.store, say=said.append, **options)


def trained(
    folder: Path,
    callback: OpenLedgerCallback,
    *,
    lora: bool = True,
    base: Path | None = None,
    resume: bool = False,
    **changes: Any,
) -> Any:
    """Three steps of transformers' Trainer on eight sentences, with the callback."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(tiny_model())
    model = AutoModelForCausalLM.from_pretrained(base or tiny_model())
    if lora:
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
    rows = [{"input_ids": ids, "labels": ids} for ids in (tokenizer(sentence(n))["input_ids"] for n in range(8))]
    settings = {
        "output_dir": str(folder), "max_steps": 3, "per_device_train_batch_size": 2, "logging_steps": 1,
        "report_to": [], "use_cpu": True, "save_strategy": "no", "disable_tqdm": True,
    }  # fmt: skip
    trainer = Trainer(model, TrainingArguments(**(settings | changes)), train_dataset=rows, eval_dataset=rows[:2])
    trainer.add_callback(callback)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def test_an_adapter_is_saved_described_and_recorded(ledger: FakeLedger, said: list[str], tmp_path: Path) -> None:
    callback = made(ledger, said)
    trained(tmp_path / "out", callback)
    (record,) = ledger.records
    assert (callback.record, callback.entry, callback.failure) == (record, "published", None)
    artefact = describe_artefact(tmp_path / "out" / ARTEFACT_FOLDER)
    assert (record.model_name, record.entry.kind, record.entry.undeclared) == ("mine", "lora", "nothing")
    assert record.entry.parents == (ParentRecord(ledger.chain.entries["base"].entry_id, "base", PPB),)
    assert [(item.version, item.weight_ppb) for item in record.entry.inputs] == [(1, PPB)]
    assert (record.entry.artefact_digest, record.entry.tensor_digest) == (
        artefact.artefact_digest, artefact.tensor_digest,
    )  # fmt: skip
    assert all(ledger.chain.store.get(file.digest) for file in artefact.files)
    assert 0 < record.event.started_seconds <= record.event.finished_seconds
    assert said == ["openledger: recorded as published; `openledger query lineage mine` shows it"]


def test_the_manifest_says_what_was_done_but_no_place_and_no_secret(
    ledger: FakeLedger, said: list[str], tmp_path: Path
) -> None:
    callback = made(ledger, said)
    trained(tmp_path / "out", callback, hub_token="hf_secret", learning_rate=0.003, logging_steps=2)
    assert callback.record is not None
    manifest = get_manifest(ledger.chain.store, callback.record.entry.manifest_root)
    recipe = manifest.json("recipe")
    assert (recipe["max_steps"], recipe["learning_rate"]) == (3, "0.003")
    # Logged at step 2 alone: three steps are not one.
    assert manifest.json("loss-trace")["at_steps"] == [2]
    assert (manifest.json("training")["steps"], manifest.json("training")["devices"]) == (3, 1)
    stored = manifest.encode()
    assert str(tmp_path).encode() not in stored
    assert b"hf_secret" not in stored
    assert manifest.parts["about"].startswith(to_json({"data_checked": False})[:-1])
    lines = describe(manifest)
    assert lines[0].startswith("lora by transformers ")
    assert lines[0].endswith(" Trainer, recorded during the run")
    assert lines[1].startswith("3 steps, 0.75 epochs, 2 rows a device")


def test_a_whole_model_is_a_full_fine_tune_and_its_evaluation_is_the_quality(
    ledger: FakeLedger, said: list[str], tmp_path: Path
) -> None:
    callback = made(ledger, said)
    trainer = trained(tmp_path / "out", callback, lora=False, eval_strategy="steps", eval_steps=1)
    record = callback.record
    assert record is not None
    assert record.entry.kind == "full"
    assert record.event.quality_metric == "evaluation-loss-micronats"
    measured = [line["eval_loss"] for line in trainer.state.log_history if "eval_loss" in line]
    assert record.event.quality_value == round(measured[-1] * 1_000_000)


def test_the_same_run_twice_gives_the_same_entry_and_keeps_both_models(
    ledger: FakeLedger, said: list[str], tmp_path: Path
) -> None:
    for _ in range(2):
        trained(tmp_path / "out", made(ledger, said), lora=False, seed=5)
    assert ledger.records[0].entry == ledger.records[1].entry
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [ARTEFACT_FOLDER, f"{ARTEFACT_FOLDER}-2"]


def test_what_nobody_names_is_undeclared_and_said_before_training(
    ledger: FakeLedger, said: list[str], tmp_path: Path
) -> None:
    callback = made(ledger, said, base=None, data=None, kind="distil")
    trained(tmp_path / "out", callback, lora=False)
    assert callback.record is not None
    entry = callback.record.entry
    assert (entry.kind, entry.undeclared, entry.parents, entry.inputs) == ("distil", "parents-and-inputs", (), ())
    assert entry.terms_id == ledger.terms("LicenseRef-unknown")
    assert said[0].startswith("openledger: this run will be recorded with undeclared parents and inputs: ")


def test_data_that_this_process_loaded_is_found(
    ledger: FakeLedger, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = ledger.chain.versions["facts", 1]
    loaded = (SimpleNamespace(datanet_id=version.datanet_id, version=SimpleNamespace(version=1)),)
    monkeypatch.setattr("openledger.data.loaded", lambda: loaded, raising=False)
    callback = made(ledger, said, data=None)
    trained(tmp_path / "out", callback)
    assert callback.record is not None
    assert [item.datanet_id for item in callback.record.entry.inputs] == [version.datanet_id]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "magic"}, "kind of run 'magic' is unknown; use one of pretrain, lora"),
        ({"data": ["facts"]}, "data 'facts': write DATANET@VERSION, for example facts@1"),
        ({"data": ["facts@1", "facts@1"]}, "one version is named twice"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(
    ledger: FakeLedger, said: list[str], tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        trained(tmp_path / "out", made(ledger, said, **changes))
    assert (ledger.records, list((tmp_path / "out").iterdir())) == ([], [])


def test_another_base_in_memory_than_the_one_that_is_named_is_refused_before_training(
    ledger: FakeLedger, said: list[str], tmp_path: Path
) -> None:
    other = byte_base(tmp_path / "other", byte_tokenizer())
    with pytest.raises(UsageError, match="which is not the base that is named"):
        trained(tmp_path / "out", made(ledger, said), base=other)


def test_a_model_without_files_is_recorded_and_said_not_to_be_compared(
    ledger: FakeLedger, said: list[str], tmp_path: Path
) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    random_model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tiny_model()))
    callback = made(ledger, said)
    state = SimpleNamespace(is_world_process_zero=True)
    random_model.config._name_or_path = ""
    callback.on_train_begin(None, state, None, model=random_model)
    assert said == [
        "openledger: the base is not compared with the model in memory: the files of the model are not at hand"
    ]


def test_only_the_first_of_several_processes_records(ledger: FakeLedger, said: list[str], tmp_path: Path) -> None:
    callback = made(ledger, said)
    state, arguments = SimpleNamespace(is_world_process_zero=False), SimpleNamespace(output_dir=str(tmp_path / "out"))
    callback.on_train_begin(arguments, state, None, model=object())
    callback.on_train_end(arguments, state, None, model=object())
    assert (ledger.records, callback.record, said) == ([], None, [])
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_recorded_and_not_claimed_yet_is_not_said_to_be_missing(
    ledger: FakeLedger, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(record: object) -> None:
        raise NotClaimed("olrun1abc", "mine", TimedOut("no block came"))

    monkeypatch.setattr(ledger, "publish", publish)
    callback = made(ledger, said)
    trained(tmp_path / "out", callback)
    assert (callback.entry, type(callback.failure)) == ("olrun1abc", NotClaimed)
    (line,) = said
    assert line == (
        "openledger: the run is recorded as olrun1abc, but whose it is could not be settled: no block came; then run "
        "`openledger record --claim olrun1abc --model mine --from KEY`, which claims it where it is not yours"
    )


def test_when_recording_fails_the_script_goes_on_and_one_line_says_how_to_record(
    ledger: FakeLedger, said: list[str], tmp_path: Path
) -> None:
    ledger.refusal = "no money"
    callback = made(ledger, said, key="dana")
    trained(tmp_path / "out", callback)
    folder = tmp_path / "out" / ARTEFACT_FOLDER
    assert (str(callback.failure), callback.entry) == ("no money", "")
    (line,) = said
    assert line == (
        f"openledger: the model is trained and saved in {folder}, but NOT recorded: no money. Later: openledger record "
        f"{folder} --model mine --base base --data facts@1 --from dana"
    )
    assert describe_artefact(folder).files


def test_an_adapter_that_does_not_fit_the_base_in_memory_is_not_recorded(
    ledger: FakeLedger, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import PeftModel

    save = PeftModel.save_pretrained

    def cut(self: Any, folder: str, **settings: Any) -> None:
        save(self, folder, **settings)
        with_tensors(Path(folder), lambda tensors: [tensors.pop(name) for name in list(tensors)[:2]])

    monkeypatch.setattr(PeftModel, "save_pretrained", cut)
    callback = made(ledger, said)
    trained(tmp_path / "out", callback)
    assert "missing in its file" in str(callback.failure)
    assert ledger.records == []


def test_the_best_model_that_is_loaded_at_the_end_had_only_the_steps_of_its_checkpoint(
    ledger: FakeLedger, said: list[str], tmp_path: Path
) -> None:
    callback = made(ledger, said)
    best: dict[str, Any] = {
        "load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps",
        "save_steps": 1, "metric_for_best_model": "eval_loss", "greater_is_better": True, "learning_rate": 0.05,
    }  # fmt: skip
    trainer = trained(tmp_path / "out", callback, **best)
    assert callback.record is not None
    step = trainer.state.best_global_step
    assert step < trainer.state.global_step == 3
    training, trace = [callback.record.manifest.json(part) for part in ("training", "loss-trace")]
    assert (training["steps"], training["planned_steps"], trace["at_steps"]) == (step, 3, list(range(1, step + 1)))
    measured = [
        entry["eval_loss"] for entry in trainer.state.log_history if entry["step"] == step and "eval_loss" in entry
    ]
    assert callback.record.event.quality_value == round(measured[0] * 1_000_000)


def test_a_run_that_is_gone_on_with_has_the_losses_from_its_beginning(
    ledger: FakeLedger, said: list[str], tmp_path: Path
) -> None:
    stopped = made(ledger, said)
    trained(tmp_path / "out", stopped, save_strategy="steps", save_steps=1, max_steps=2)
    callback = made(ledger, said)
    trained(tmp_path / "out", callback, save_strategy="steps", save_steps=1, resume=True)
    assert callback.record is not None
    assert callback.record.manifest.json("loss-trace")["at_steps"] == [1, 2, 3]
