"""Records as messages: what the trainer writes is what the models module takes."""

from dataclasses import replace

import pytest

from abci_app.hashing import list_root
from abci_app.modules.models_records import (
    EvaluationDraft,
    RecordEvaluations,
    RecordRuns,
    Run,
    RunDraft,
    check_entry,
    entry_id_of,
)
from abci_app.state.codec import decode, encode
from abci_app.types import PPB
from openledger.manifest import Manifest
from trainer.evaluate import METRIC
from trainer.publish import from_entry, to_entry, to_evaluation_drafts, to_run_draft
from trainer.record import (
    KINDS,
    EntryRecord,
    EvaluationRecord,
    InputRecord,
    ParentRecord,
    RunEventRecord,
    RunRecord,
)

MANIFEST = Manifest({"recipe": b"x"})
ENTRY = EntryRecord(
    kind="lora",
    parents=(ParentRecord(b"\1" * 32, "base", PPB // 2), ParentRecord(b"\2" * 32, "adapter", PPB // 2)),
    inputs=(InputRecord(b"\3" * 32, 1, PPB, 5, list_root("rows-used", ())),),
    manifest_root=MANIFEST.root,
    artefact_digest=b"\4" * 32,
    tensor_digest=b"\5" * 32,
    byte_count=99,
    format="safetensors",
)
EVENT = RunEventRecord(100, 200, "8 × GPU", METRIC, 3_000_000)
RECORD = RunRecord(
    "mine",
    MANIFEST,
    ENTRY,
    EVENT,
    (
        EvaluationRecord(b"\3" * 32, 1, METRIC, 4_000_000, 9, 200, of_parent=True),
        EvaluationRecord(b"\3" * 32, 1, METRIC, 3_000_000, 9, 100, of_parent=False),
    ),
)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "import"])
def test_an_entry_survives_the_way_to_the_chain_and_back(kind: str) -> None:
    record = replace(ENTRY, kind=kind)
    entry = to_entry(record)
    check_entry(entry)
    assert decode(type(entry), encode(entry)) == entry
    assert from_entry(entry) == record


def test_an_import_brings_its_terms() -> None:
    record = replace(ENTRY, kind="import", parents=(), inputs=(), terms_id=b"\6" * 32)
    check_entry(to_entry(record))
    assert from_entry(to_entry(record)) == record


def test_a_run_is_one_item_of_a_valid_message() -> None:
    draft = to_run_draft(RECORD, b"\7" * 32, "v1")
    run = Run(100, 200, b"", "8 ? GPU", METRIC, 3_000_000)
    assert draft == RunDraft(to_entry(ENTRY), run, b"\7" * 32, "v1")
    message = RecordRuns((draft,))
    message.validate()
    assert decode(RecordRuns, encode(message)) == message


def test_measurements_before_training_belong_to_the_model_that_it_started_from() -> None:
    own = entry_id_of(to_entry(ENTRY))
    drafts = to_evaluation_drafts(RECORD)
    assert drafts == (
        EvaluationDraft(b"\2" * 32, b"\3" * 32, 1, METRIC, 4_000_000, 9, 200),
        EvaluationDraft(own, b"\3" * 32, 1, METRIC, 3_000_000, 9, 100),
    )
    message = RecordEvaluations(drafts)
    assert decode(RecordEvaluations, encode(message)) == message
    without = replace(RECORD, entry=replace(ENTRY, parents=()))
    assert [draft.value for draft in to_evaluation_drafts(without)] == [3_000_000]
