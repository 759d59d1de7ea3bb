"""Verification reads the whole manifest: what people see in the lineage is what the recipe gives, or it is named."""

from dataclasses import replace

import pytest

from openledger.data.manifest import Manifest, put_manifest, to_json
from tests.kit.trainer.tiny import TinyChain
from trainer.ancestry import KnownEntry
from trainer.run_records import RunRecord
from trainer.verify import RunGrade, RunVerdict
from trainer.workflow import verify_entry

pytestmark = pytest.mark.ml


def repeated(chain: TinyChain, record: RunRecord, parts: dict[str, bytes]) -> RunVerdict:
    root = put_manifest(chain.store, Manifest(parts))
    return verify_entry(KnownEntry(b"\1" * 32, replace(record.entry, manifest_root=root)), chain, chain.store)[0]


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("input/0000", "rows_held_out", 5_000, "'rows_held_out' is 5000, not "),
        ("input/0000", "rows_empty", 1, "'rows_empty' is 1, not 0"),
        ("input/0000", "filters", [{"step": "contains", "text": "consent", "field": "text"}], "'filters' is [{"),
        ("input/0001", "cut", {"trained": {}, "measured": {}}, "'cut' is {"),
        ("input/0001", "held_out_copies", {"exact": 0, "near": 9, "inside": 0}, "'held_out_copies' is {"),
        ("base", "tensor_digest", "00" * 32, "'tensor_digest' is '000000"),
        ("seed", "seed", 9, "'seed' is 9, not 3"),
        ("tokenizer", "files", [], "'files' is [], not "),
        ("output", "files", [], "'files' is [], not "),
    ],
)
def test_a_part_that_the_recipe_does_not_give_is_a_contradiction(
    chain: TinyChain, record: RunRecord, name: str, key: str, value: object, said: str
) -> None:
    parts = {**record.manifest.parts, name: to_json({**record.manifest.json(name), key: value})}
    verdict = repeated(chain, record, parts)
    assert (verdict.grade, verdict.failed, len(verdict.contradictions)) == (RunGrade.BIT_EXACT, True, 1)
    assert verdict.contradictions[0].startswith(f"the manifest's part {name} is not what the recipe gives: ")
    assert said in verdict.contradictions[0]


def test_parts_that_are_missing_or_that_nothing_gives_are_named(chain: TinyChain, record: RunRecord) -> None:
    parts = {**record.manifest.parts, "prize": to_json({"first": True})}
    del parts["tokenizer"]
    verdict = repeated(chain, record, parts)
    assert verdict.contradictions == ("the manifest has no part tokenizer, the recipe gives one",)
    assert "the manifest's part prize" in verdict.unchecked
