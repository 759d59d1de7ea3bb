"""Every different row of a run is credited once, to whom registered it first."""

from dataclasses import replace
from pathlib import Path

import pytest

from openledger.content import ContentStore
from tests.trainer.tiny import RECIPE, put_rows, sentence, tiny_model
from trainer.dataset import ContributionRecord, DatanetVersion
from trainer.indexed_rows import IndexedRows, indexed_rows
from trainer.recipe import parse_recipe
from trainer.train import prepare_run

pytestmark = pytest.mark.ml
ADA, BOB, EVE = (bytes([letter]) * 32 for letter in b"abe")
ONE_INPUT = (
    RECIPE.split("  - datanet: questions")[0].replace("750000000", "1000000000") + RECIPE[RECIPE.index("train:") :]
)


def rows_of(store: ContentStore, *batches: tuple[bytes, int, list[str]], steps: int = 40) -> IndexedRows:
    """Index a run over contributions (owner, height, texts) with nothing held out."""
    from transformers import AutoTokenizer

    records = []
    for number, (owner, height, texts) in enumerate(batches):
        commitment = put_rows(store, number, [{"text": text} for text in texts])
        records.append(ContributionRecord(bytes([99 - number]) * 32, owner, commitment, height, number + 1))
    version = DatanetVersion.of(b"f" * 32, 1, tuple(records))
    text = ONE_INPUT.replace("held_out_ppb: 200000000", "held_out_ppb: 0").replace("steps: 6", f"steps: {steps}")
    recipe = parse_recipe(text.replace("evaluate: {rows: 6}", "evaluate: {rows: 0}"))
    prepared = prepare_run(recipe, [version], store)
    return indexed_rows(prepared, AutoTokenizer.from_pretrained(tiny_model()))


def credited(rows: IndexedRows) -> list[tuple[bytes, str]]:
    return [(row.contribution.contributor, row.example.completion) for row in rows.credited]


def test_rows_stand_in_the_order_of_the_chain_each_once(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    first, second, third = (sentence(number) for number in range(3))
    rows = rows_of(store, (BOB, 9, [first, second]), (ADA, 4, [third]))
    assert credited(rows) == [(ADA, third), (BOB, first), (BOB, second)]
    assert rows.copies == ()


def test_a_copy_under_another_name_is_credited_to_the_first_and_listed_with_its_reason(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    long = " ".join(sentence(number) for number in (1, 2))
    rows = rows_of(store, (EVE, 9, [sentence(3), f"{long} chain"]), (ADA, 4, [sentence(3), long]))
    assert credited(rows) == [(ADA, sentence(3)), (ADA, long)]
    assert [(copy.row.contribution.contributor, copy.leader.contribution.contributor, copy.reason)
            for copy in rows.copies] == [(EVE, ADA, "exact"), (EVE, ADA, "text")]  # fmt: skip


def test_rows_that_the_run_did_not_consume_are_not_indexed(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    texts = [sentence(number) for number in range(12)]
    rows = rows_of(store, (ADA, 1, texts), steps=2)
    assert len(rows.credited) == 4
    assert {text for _, text in credited(rows)} < set(texts)


def test_the_key_is_contribution_and_row_leaf(tmp_path: Path) -> None:
    (row,) = rows_of(ContentStore.open(tmp_path), (ADA, 1, [sentence(1)])).credited
    assert row.key == (row.contribution.contribution_id, row.example.row.leaf)
    other = replace(row, contribution=replace(row.contribution, contribution_id=b"x" * 32))
    assert other.key == (b"x" * 32, row.example.row.leaf)
