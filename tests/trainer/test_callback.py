"""One line records a run of transformers' own Trainer: adapters and whole models, with times, losses and quality."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from abci_app.types import PPB
from openledger.content.artefact import describe_artefact
from openledger.content.store import ContentStore
from openledger.data.manifest import get_manifest, to_json
from openledger.errors import UsageError
from tests.kit.trainer.adapters import with_tensors
from tests.kit.trainer.tiny import TinyChain, sentence, tiny_chain, tiny_model
from trainer.ancestry import KnownEntry
from trainer.callback import ARTEFACT_FOLDER, OpenLedgerCallback
from trainer.describe import describe
from trainer.run_records import DeclaredInput, ParentRecord, RunRecord

pytestmark = pytest.mark.ml
INPUTS = (DeclaredInput(b"\2" * 32, 1, PPB, steps=("tokenised",)),)
PARENTS = (ParentRecord(b"\1" * 32, "base", PPB),)


def trained(folder: Path, callback: OpenLedgerCallback, *, lora: bool = True, **changes: Any) -> Any:
    """Three steps of transformers' Trainer on eight sentences, with the callback."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(tiny_model())
    model = AutoModelForCausalLM.from_pretrained(tiny_model())
    if lora:
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
    rows = [{"input_ids": ids, "labels": ids} for ids in (tokenizer(sentence(n))["input_ids"] for n in range(8))]
    settings = {
        "output_dir": str(folder), "max_steps": 3, "per_device_train_batch_size": 2, "logging_steps": 1,
        "report_to": [], "use_cpu": True, "save_strategy": "no", "disable_tqdm": True,
    }  # fmt: skip
    arguments = TrainingArguments(**(settings | changes))
    trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows[:2])
    trainer.add_callback(callback)
    trainer.train()
    return trainer


def test_an_adapter_is_saved_described_and_handed_over_once(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    published: list[RunRecord] = []
    callback = OpenLedgerCallback(published.append, "mine", parents=PARENTS, inputs=INPUTS, store=store)
    trained(tmp_path / "out", callback)
    (record,) = published
    assert callback.record is record
    artefact = describe_artefact(tmp_path / "out" / ARTEFACT_FOLDER)
    assert (record.model_name, record.entry.kind, record.entry.parents) == ("mine", "lora", PARENTS)
    assert (record.entry.artefact_digest, record.entry.tensor_digest) == (
        artefact.artefact_digest, artefact.tensor_digest,
    )  # fmt: skip
    assert all(store.get(file.digest) for file in artefact.files)
    assert 0 < record.event.started_seconds <= record.event.finished_seconds
    assert (record.event.quality_metric, record.event.quality_value) == ("", 0)


def test_the_manifest_has_arguments_losses_and_steps_but_no_place_and_no_secret(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    callback = OpenLedgerCallback(lambda _: None, "mine", parents=PARENTS, inputs=INPUTS, store=store)
    trained(tmp_path / "out", callback, hub_token="hf_secret", learning_rate=0.003)
    assert callback.record is not None
    manifest = get_manifest(store, callback.record.entry.manifest_root)
    recipe = manifest.json("recipe")
    assert (recipe["max_steps"], recipe["learning_rate"]) == (3, "0.003")
    assert len(manifest.json("loss-trace")["losses"]) == 3
    stored = manifest.encode()
    assert str(tmp_path).encode() not in stored
    assert b"hf_secret" not in stored
    assert manifest.parts["about"].startswith(to_json({"data_checked": False})[:-1])
    assert "  declared by the recorder: tokenised" in describe(manifest)


def test_a_whole_model_is_a_full_fine_tune_and_its_evaluation_is_the_quality(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    callback = OpenLedgerCallback(lambda _: None, "mine", parents=PARENTS, inputs=INPUTS, store=store)
    trainer = trained(tmp_path / "out", callback, lora=False, eval_strategy="steps", eval_steps=1)
    record = callback.record
    assert record is not None
    assert record.entry.kind == "full"
    assert record.event.quality_metric == "evaluation-loss-micronats"
    measured = [line["eval_loss"] for line in trainer.state.log_history if "eval_loss" in line]
    assert record.event.quality_value == round(measured[-1] * 1_000_000)


def test_the_same_run_twice_gives_the_same_entry(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    entries = []
    for name in ("one", "two"):
        callback = OpenLedgerCallback(lambda _: None, "mine", parents=PARENTS, inputs=INPUTS, store=store)
        trained(tmp_path / name, callback, lora=False, seed=5)
        assert callback.record is not None
        entries.append(callback.record.entry)
    assert entries[0] == entries[1]


def test_a_kind_can_be_said_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    callback = OpenLedgerCallback(
        lambda _: None, "mine", kind="distil", undeclared="parents-and-inputs", terms_id=b"\7" * 32, store=store
    )
    trained(tmp_path / "out", callback, lora=False)
    assert callback.record is not None
    assert (callback.record.entry.kind, callback.record.entry.undeclared) == ("distil", "parents-and-inputs")
    silent = OpenLedgerCallback(lambda _: None, "mine", store=store)
    with pytest.raises(UsageError, match=r"a full needs a parent as 'base' .* or say that its parents are undeclared"):
        trained(tmp_path / "out", silent, lora=False)
    with pytest.raises(UsageError, match="kind of run 'magic' is unknown; use one of pretrain, lora"):
        trained(tmp_path / "out", OpenLedgerCallback(lambda _: None, "mine", kind="magic", store=store), lora=False)


def test_only_the_first_of_several_processes_records(tmp_path: Path) -> None:
    published: list[RunRecord] = []
    callback = OpenLedgerCallback(published.append, "mine", store=ContentStore.open(tmp_path / "content"))
    state, arguments = SimpleNamespace(is_world_process_zero=False), SimpleNamespace(output_dir=str(tmp_path / "out"))
    callback.on_train_end(arguments, state, None, model=object())
    assert (published, callback.record) == ([], None)
    assert not (tmp_path / "out").exists()


def test_when_publishing_fails_the_record_is_still_there_to_publish_again(tmp_path: Path) -> None:
    def refuse(record: RunRecord) -> None:
        raise UsageError("no money")

    callback = OpenLedgerCallback(
        refuse, "mine", parents=PARENTS, inputs=INPUTS, store=ContentStore.open(tmp_path / "content")
    )
    with pytest.raises(UsageError, match="no money"):
        trained(tmp_path / "out", callback)
    assert callback.record is not None


@dataclass
class Ledger:
    """A chain that takes records; its `publish` tells the callback which chain it is."""

    chain: TinyChain
    records: list[RunRecord] = field(default_factory=list)

    def entry(self, reference: str) -> KnownEntry:
        """An entry of that chain."""
        return self.chain.entry(reference)

    def publish(self, record: RunRecord) -> None:
        """Keep the record."""
        self.records.append(record)


def test_the_base_of_an_adapter_is_compared_with_the_parents_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    ledger = Ledger(tiny_chain(tmp_path))
    known = ledger.chain.entries["base"]
    ledger.chain.add_entry("other", replace(known.record, manifest_root=b"\5" * 32, tensor_digest=b"\6" * 32))
    for name, expected in (("base", 1), ("other", 0)):
        ledger.records.clear()
        parents = (ParentRecord(ledger.chain.entries[name].entry_id, "base", PPB),)
        callback = OpenLedgerCallback(ledger.publish, "mine", parents=parents, inputs=INPUTS, store=ledger.chain.store)
        if expected:
            trained(tmp_path / name, callback)
        else:
            with pytest.raises(UsageError, match=r"the base of this adapter .* is not among the ancestors of the run"):
                trained(tmp_path / name, callback)
        assert len(ledger.records) == expected


def test_an_adapter_that_does_not_fit_the_base_in_memory_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import PeftModel

    save = PeftModel.save_pretrained

    def cut(self: Any, folder: str, **settings: Any) -> None:
        save(self, folder, **settings)
        with_tensors(Path(folder), lambda tensors: [tensors.pop(name) for name in list(tensors)[:2]])

    monkeypatch.setattr(PeftModel, "save_pretrained", cut)
    callback = OpenLedgerCallback(
        lambda _: None, "mine", parents=PARENTS, inputs=INPUTS, store=ContentStore.open(tmp_path / "content")
    )
    with pytest.raises(UsageError, match="missing in its file"):
        trained(tmp_path / "out", callback)
    assert callback.record is None
