"""The tasks of benchmarks/attribution: real text without a network, runs that repeat, checkpoints where they belong."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from attribution.lga.features import FeatureSettings
from benchmarks.attribution.adapter_gradients import checkpoint_gradients, example_gradients
from benchmarks.attribution.char.gpt import mass_steps
from benchmarks.attribution.char.model import AdapterRecipe, CharGPT, adapter_parameters
from benchmarks.attribution.char.task import CharTask
from benchmarks.attribution.corpora import ALPHABET, SEQUENCE_CHARACTERS, Corpus, help_topics, standard_library
from benchmarks.attribution.digits_task import NETWORK, TRAINING, DigitsTask
from benchmarks.attribution.lga import adapter_gradients, attribute

pytestmark = [pytest.mark.ml, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def task() -> CharTask:
    """A few sequences, a base that knows nothing yet."""
    torch.manual_seed(0)
    corpus = standard_library()
    few = replace(corpus, training=corpus.training[:12], owners=corpus.owners[:12], queries=corpus.queries[:3])
    return CharTask(few, AdapterRecipe(epochs=2, batch=4), CharGPT())


@pytest.mark.parametrize("make", [standard_library, help_topics])
def test_a_corpus_has_twenty_sequences_and_three_queries_of_every_contributor(make: Callable[[], Corpus]) -> None:
    corpus = make()

    assert [corpus.owners.count(owner) for owner in range(24)] == [20] * 24
    assert [corpus.query_owners.count(owner) for owner in range(24)] == [3] * 24
    sequences = [*corpus.training, *corpus.queries]
    assert len(set(sequences)) == len(sequences) == 552
    assert {len(text) for text in sequences} == {SEQUENCE_CHARACTERS}
    assert set("".join([*sequences, corpus.pretraining])) <= set(ALPHABET)
    assert re.fullmatch("[0-9a-f]{64}", corpus.digest)
    assert make() == corpus


def test_the_model_has_the_size_of_the_protocol(task: CharTask) -> None:
    model, _ = task.train(range(4), 1)

    assert sum(parameter.numel() for parameter in task.base.parameters()) == 115_552
    assert sum(parameter.numel() for parameter in adapter_parameters(model).values()) == 8_192


def test_a_retrain_repeats_bit_by_bit_and_depends_on_rows_and_seed(task: CharTask) -> None:
    losses = task.train_and_measure([0, 3, 5, 7, 9], 1)

    assert np.array_equal(task.train_and_measure([0, 3, 5, 7, 9], 1), losses)
    assert not np.array_equal(task.train_and_measure([0, 3, 5, 7, 9], 2), losses)
    assert not np.array_equal(task.train_and_measure([0, 3, 5, 7, 10], 1), losses)


def test_checkpoints_are_those_of_the_steps_asked_for(task: CharTask) -> None:
    model, checkpoints = task.train(range(12), 1, [2, 6])

    assert [checkpoint.steps for checkpoint in checkpoints] == [2, 6]
    assert checkpoints[0].step_size == pytest.approx(4e-3 * 5 / 6)
    last = adapter_parameters(model)
    assert all(torch.equal(value, last[name]) for name, value in checkpoints[1].parameters.items())


def test_hooks_find_the_gradients_of_one_backward_pass_an_example(task: CharTask) -> None:
    model, checkpoints = task.train(range(12), 1, [6])
    found = adapter_gradients(model, checkpoints, task.training_ids)[0]

    slow = example_gradients(model, task.training_ids)
    for name, gradient in found.items():
        line = gradient.reshape(len(gradient), -1).double().numpy()
        assert line == pytest.approx(slow[f"{name}.weight"], rel=1e-3, abs=1e-6)


def test_scores_of_codes_follow_those_of_floats(task: CharTask) -> None:
    model, checkpoints = task.train(range(12), 1, [3, 6])
    training, queries = (adapter_gradients(model, checkpoints, ids) for ids in (task.training_ids, task.query_ids))

    found = attribute(training, queries, FeatureSettings(1_024))

    assert found.index.map.code_count == 2 * 1_024
    scaled = found.float_scores / np.linalg.norm(found.float_scores, axis=0)
    integers = found.integer_scores / np.linalg.norm(found.integer_scores.astype(np.float64), axis=0)
    assert np.abs(scaled - integers).max() < 1e-3
    expected = found.index.codes.astype(np.int64) @ found.query_codes.astype(np.int64).T
    assert np.array_equal(found.integer_scores, expected)


def test_the_state_of_adam_comes_with_whole_gradients(task: CharTask) -> None:
    model, checkpoints = task.train(range(12), 1, [6])

    at = checkpoint_gradients(model, checkpoints[0], task.training_ids, task.query_ids)

    assert at.steps == 6
    assert {name: value.shape for name, value in at.queries.items()} == {
        name: (3, value.shape[1]) for name, value in at.first_moments.items()
    }
    assert all((value >= 0).all() for value in at.second_moments.values())


@pytest.mark.parametrize(("count", "steps"), [(1, [29]), (2, [13, 50]), (4, [6, 21, 39, 65])])
def test_checkpoints_stand_in_the_middle_of_equal_shares_of_the_step_sizes(count: int, steps: list[int]) -> None:
    assert mass_steps(100, count) == steps
    sizes = [1 - step / 100 for step in range(100)]
    shares = [sum(sizes[:step]) / sum(sizes) for step in steps]
    assert shares == pytest.approx([(2 * part + 1) / (2 * count) for part in range(count)], abs=0.01)


def test_a_tenth_of_the_digits_gets_another_class() -> None:
    pytest.importorskip("sklearn", reason="digits are bundled with scikit-learn (extra dev)")
    task, clean = DigitsTask.open(NETWORK, 0.1), DigitsTask.open(NETWORK)

    assert int(task.flipped.sum()) == TRAINING // 10
    assert torch.equal(task.flipped, task.classes != clean.classes)
    assert task.recipe() != clean.recipe()
