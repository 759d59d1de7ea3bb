"""Records of runs that other programs did: from files, and from transformers' own Trainer in one line."""

from pathlib import Path
from typing import Any

import pytest

from abci_app.hashing import list_root
from abci_app.types import PPB
from openledger.artefact import describe_artefact
from openledger.content import ContentStore
from openledger.errors import UsageError
from openledger.manifest import ManifestError, get_manifest, to_json
from tests.trainer.tiny import TinyChain, sentence, tiny_chain, tiny_model
from trainer.describe import describe
from trainer.record import (
    DeclaredInput,
    EntryRecord,
    InputRecord,
    ParentRecord,
    RunEventRecord,
    RunRecord,
    describe_folder,
    files_of,
    record_external,
)
from trainer.workflow import verify_entry

pytestmark = pytest.mark.ml
EVENT = RunEventRecord(100, 200, "a machine", "", 0)


def external(store: ContentStore, folder: Path, **changes: Any) -> RunRecord:
    arguments: dict[str, Any] = {
        "model_name": "mine", "kind": "full", "framework": "llama.cpp finetune", "recipe": b"epochs = 3\n",
        "parents": [ParentRecord(b"\1" * 32, "base", PPB)],
        "inputs": [DeclaredInput(b"\2" * 32, 4, PPB, steps=("lower-cased", "rows with numbers removed"))],
        "folder": folder, "artefact": describe_folder(folder), "store": store, "event": EVENT,
    } | changes  # fmt: skip
    return record_external(**arguments)


def test_a_run_of_any_framework_is_recorded_from_its_files(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.gguf").write_bytes(b"weights")
    record = external(store, folder)
    artefact = describe_folder(folder)
    assert record.entry == EntryRecord(
        "full",
        (ParentRecord(b"\1" * 32, "base", PPB),),
        (InputRecord(b"\2" * 32, 4, PPB, 0, list_root("rows-used", ())),),
        record.manifest.root,
        artefact.artefact_digest,
        artefact.artefact_digest,
        7,
        "files",
    )
    assert get_manifest(store, record.entry.manifest_root).parts["recipe"] == b"epochs = 3\n"
    assert store.get(files_of(record.manifest)[0].digest) == b"weights"
    assert describe(record.manifest) == [
        "full by llama.cpp finetune",
        "input 0202020202020202… version 4, 100 % of the mix",
        "  declared by the recorder: lower-cased",
        "  declared by the recorder: rows with numbers removed",
    ]


def test_the_same_files_give_the_same_entry_and_other_times_only_another_event(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    first = external(store, tiny_model())
    second = external(store, tiny_model(), event=RunEventRecord(900, 999, "another machine", "", 0))
    assert first.entry == second.entry
    assert first.event != second.event


def test_wrong_kinds_weights_and_shares_are_refused(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    with pytest.raises(ManifestError, match="kind of run 'magic' is unknown; use one of pretrain, lora"):
        external(store, tiny_model(), kind="magic")
    with pytest.raises(ManifestError, match="weights of the inputs sum to 5, must be 1000000000"):
        external(store, tiny_model(), inputs=[DeclaredInput(b"\2" * 32, 1, 5)])
    with pytest.raises(ManifestError, match="shares of the parents sum to 7"):
        external(store, tiny_model(), parents=[ParentRecord(b"\1" * 32, "base", 7)])
    with pytest.raises(ManifestError, match="malformed manifest"):
        external(store, tiny_model(), recipe=b"")


def test_an_external_run_is_not_retrained_but_says_why(tmp_path: Path) -> None:
    chain: TinyChain = tiny_chain(tmp_path)
    base = chain.entries["base"]
    record = external(
        chain.store, tiny_model(), inputs=[], parents=[ParentRecord(base.entry_id, "base", PPB)], recipe=b"x"
    )
    with pytest.raises(UsageError, match=r"recorded from llama\.cpp finetune; its recipe cannot run here"):
        verify_entry(chain.add_entry("mine", record.entry), chain, chain.store)


def test_one_line_records_a_run_of_transformers_own_trainer(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    from trainer.callback import OpenLedgerCallback

    tokenizer = AutoTokenizer.from_pretrained(tiny_model())
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model()), LoraConfig(r=2, target_modules=["q_proj"])
    )
    ids = [tokenizer(sentence(number))["input_ids"] for number in range(8)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=3, per_device_train_batch_size=2, logging_steps=1,
        report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=[{"input_ids": item, "labels": item} for item in ids])
    store = ContentStore.open(tmp_path / "content")
    published: list[RunRecord] = []
    inputs = [DeclaredInput(b"\2" * 32, 1, PPB, steps=("tokenised",))]
    parents = [ParentRecord(b"\1" * 32, "base", PPB)]
    trainer.add_callback(OpenLedgerCallback(published.append, "mine", parents=parents, inputs=inputs, store=store))
    trainer.train()

    (record,) = published
    artefact = describe_artefact(tmp_path / "out" / "openledger-artefact")
    assert (record.entry.kind, record.entry.tensor_digest) == ("lora", artefact.tensor_digest)
    assert (record.entry.parents, record.model_name) == (tuple(parents), "mine")
    manifest = get_manifest(store, record.entry.manifest_root)
    assert manifest.json("recipe")["max_steps"] == 3
    assert str(tmp_path).encode() not in manifest.encode()
    assert len(manifest.json("loss-trace")["losses"]) == 3
    assert 0 < record.event.started_seconds <= record.event.finished_seconds
    assert manifest.parts["about"].startswith(to_json({"data_checked": False})[:-1])
