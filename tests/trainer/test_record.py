"""Records of runs that other programs did, from their files."""

from pathlib import Path
from typing import Any

import pytest

from abci_app.types import PPB
from openledger.content.store import ContentStore
from openledger.data.manifest import ManifestError, files_of, get_manifest
from openledger.errors import UsageError
from tests.kit.trainer.tiny import TinyChain, tiny_chain, tiny_model
from trainer.chain_records import from_entry, to_entry
from trainer.describe import describe
from trainer.outside import describe_folder
from trainer.recording.external import record_external
from trainer.run_records import DeclaredInput, EntryRecord, InputRecord, ParentRecord, RunEventRecord, RunRecord
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
    (folder / "weights.npz").write_bytes(b"weights")
    record = external(store, folder)
    artefact = describe_folder(folder)
    assert record.entry == EntryRecord(
        "full",
        (ParentRecord(b"\1" * 32, "base", PPB),),
        (InputRecord(b"\2" * 32, 4, PPB, 0, b""),),
        record.manifest.root,
        artefact.artefact_digest,
        artefact.artefact_digest,
        7,
        "files",
    )
    assert get_manifest(store, record.entry.manifest_root).parts["recipe"] == b"epochs = 3\n"
    assert store.get(files_of(record.manifest)[0].digest) == b"weights"
    assert describe(record.manifest) == [
        "full by llama.cpp finetune, recorded afterwards",
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


def test_a_run_without_parents_or_inputs_is_recorded_only_as_undeclared_under_terms(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    with pytest.raises(
        ManifestError, match=r"a full needs a parent as 'base' .* or say that its parents are undeclared"
    ):
        external(store, tiny_model(), parents=[])
    with pytest.raises(ManifestError, match=r"a full needs an input .* or say that its inputs are undeclared"):
        external(store, tiny_model(), inputs=[])
    with pytest.raises(ManifestError, match="undeclared parents or inputs needs the terms under which"):
        external(store, tiny_model(), inputs=[], undeclared="inputs")
    with pytest.raises(ManifestError, match=f"sum to {PPB}: leave a part for those that are undeclared"):
        external(store, tiny_model(), undeclared="inputs", terms_id=b"\3" * 32)
    record = external(store, tiny_model(), inputs=[], undeclared="inputs", terms_id=b"\3" * 32)
    assert (record.entry.undeclared, record.entry.terms_id) == ("inputs", b"\3" * 32)
    assert from_entry(to_entry(record.entry)) == record.entry


def test_rows_that_nobody_declared_are_not_shown_as_none(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    record = external(store, tiny_model())
    (part,) = record.manifest.inputs
    assert "rows_used" not in part
    with pytest.raises(ManifestError, match="rows_used needs the root of these rows"):
        external(
            ContentStore.open(tmp_path / "content"),
            tiny_model(),
            inputs=[DeclaredInput(b"\2" * 32, 4, PPB, rows_used=3)],
        )


def test_an_external_run_is_not_retrained_but_says_why(tmp_path: Path) -> None:
    chain: TinyChain = tiny_chain(tmp_path)
    base = chain.entries["base"]
    record = external(chain.store, tiny_model(), parents=[ParentRecord(base.entry_id, "base", PPB)], recipe=b"x")
    with pytest.raises(UsageError, match=r"recorded from llama\.cpp finetune; its recipe cannot run here"):
        verify_entry(chain.add_entry("mine", record.entry), chain, chain.store)
