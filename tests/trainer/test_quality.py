"""Rows that a calibration asks with; measuring itself is tested with its command."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openledger.errors import UsageError
from tests.kit.trainer.tiny import tiny_chain, tiny_model, tiny_recipe
from trainer.examples import read_tokens
from trainer.indexed_rows import indexed_rows
from trainer.partition import held_out_rows
from trainer.quality import calibration_queries
from trainer.train import PreparedRun, prepare_run
from trainer.turns import Turn

pytestmark = pytest.mark.ml


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedRun:
    chain = tiny_chain(tmp_path)
    recipe = tiny_recipe()
    versions = [chain.versions[dataset.datanet, dataset.version] for dataset in recipe.datasets]
    run = prepare_run(recipe, versions, chain.store)
    return replace(run, held_out=held_out_rows(run.partitions, 100))


@pytest.fixture
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model())


def test_held_out_rows_ask_first_and_rows_that_were_trained_on_fill_up(prepared: PreparedRun, tokenizer: Any) -> None:
    held_out = read_tokens(tokenizer, prepared.recipe.train, prepared.held_out)
    trained = [row.tokens for row in indexed_rows(prepared, tokenizer)]
    assert calibration_queries(prepared, tokenizer, 5) == held_out[:5]
    wanted = len(held_out) + 4
    assert calibration_queries(prepared, tokenizer, wanted) == (*held_out, *trained[:4])
    assert calibration_queries(prepared, tokenizer, 10_000) == (*held_out, *trained)


def test_rows_that_predict_nothing_do_not_ask(prepared: PreparedRun, tokenizer: Any) -> None:
    silent = replace(prepared.held_out[0], turns=(Turn("text", "", learned=True),))
    one, other = prepared.held_out[1:3]
    queries = calibration_queries(replace(prepared, held_out=(one, silent, other)), tokenizer, 3)
    assert queries[:2] == read_tokens(tokenizer, prepared.recipe.train, (one, other))
    with pytest.raises(UsageError, match="there is nothing to ask with"):
        calibration_queries(replace(prepared, held_out=(silent,), order=()), tokenizer, 3)
