"""Functions by which benchmarks train and ask a real model; here a tiny model, and a tokenizer that splits at
spaces."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from attribution.lga.index.plan import checkpoint_digest
from attribution.loss import Tokens
from benchmarks.attribution.language_model import passages, recipe_of, sequences, train_epoch
from tests.kit.attribution.tiny import tiny_examples, tiny_lora
from trainer.schedule import indexed_steps

pytestmark = [pytest.mark.ml, pytest.mark.usefixtures("one_thread")]


def tokenizer(text: str, *, add_special_tokens: bool) -> Any:
    assert not add_special_tokens
    return {"input_ids": [len(word) for word in text.split()]}


def test_an_epoch_saves_the_adapters_of_the_steps_that_the_trainer_indexes(tmp_path: Path) -> None:
    model, examples = tiny_lora(), tiny_examples(16)
    adapters = train_epoch(model, examples, tmp_path, checkpoints=2)
    steps = indexed_steps(recipe_of(16, 2), 4)
    assert steps == (1, 3)
    assert adapters == [tmp_path / f"adapter-after-{step}" for step in steps]
    assert checkpoint_digest(adapters[0]) != checkpoint_digest(adapters[1])
    assert not model.training
    assert train_epoch(model, examples) == []


def test_passages_have_many_lengths_and_are_the_same_every_time() -> None:
    asked = list(islice(passages(tokenizer), 256))
    lengths = [len(item.ids) for item in asked]
    assert len(asked) == 256
    assert 16 <= min(lengths) < max(lengths) <= 256
    assert len(set(lengths[:16])) > 8
    assert all(item.prompt_length == len(item.ids) // 4 for item in asked)
    assert asked == list(islice(passages(tokenizer), 256))


def test_sequences_have_one_length() -> None:
    assert {(len(item.ids), item.prompt_length) for item in islice(sequences(tokenizer), 64)} == {(96, 24)}
    assert isinstance(next(sequences(tokenizer)), Tokens)
