"""Measurements: integers, their interval, before against after, and nothing of the model changed by them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attribution.loss import Tokens
from tests.kit.trainer.tiny import tiny_model
from trainer.evaluate import BATCH_ROWS, HeldOutLoss, Measurement, evaluate, summarise

pytestmark = pytest.mark.ml


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    from transformers import AutoModelForCausalLM

    loaded: torch.nn.Module = AutoModelForCausalLM.from_pretrained(
        tiny_model(), dtype="float32", attn_implementation="eager"
    )
    return loaded.eval()


def test_the_interval_is_1_96_standard_errors() -> None:
    assert summarise([1_000_000, 2_000_000, 3_000_000, 4_000_000]) == Measurement(2_500_000, 4, 1_265_174)
    assert summarise([7]) == Measurement(7, 1, 0)
    with pytest.raises(ValueError, match="no held-out rows"):
        summarise([])


@given(st.lists(st.integers(0, 20_000_000), min_size=2, max_size=50))
def test_mean_and_interval_are_those_of_floating_point_rounded(losses: list[int]) -> None:
    values = torch.tensor(losses, dtype=torch.float64)
    found = summarise(losses)
    assert abs(found.loss_micronats - values.mean().item()) <= 1
    # Integer square roots and divisions each round down once.
    assert found.interval_micronats == pytest.approx(1.96 * values.std().item() / len(losses) ** 0.5, abs=3)


def test_measurements_are_given_by_input_and_over_all(model: torch.nn.Module) -> None:
    rows = [(0, Tokens((2, 3, 4, 1), 0)), (2, Tokens((5, 6, 1), 0)), (0, Tokens((7, 8, 9), 0))]
    result = evaluate(model, rows, 3, 1)
    alone = [evaluate(model, [row], 3, 1).overall.loss_micronats for row in rows]
    assert result.by_input[1] is None
    assert [item.sample_size if item else 0 for item in result.by_input] == [2, 0, 1]
    assert abs(result.overall.loss_micronats - sum(alone) // 3) <= 10


def test_more_rows_than_a_batch_are_all_measured(model: torch.nn.Module) -> None:
    rows = [(0, Tokens((2 + number % 10, 3, 4, 1), 1)) for number in range(2 * BATCH_ROWS + 1)]
    assert evaluate(model, rows, 1, 1).overall.sample_size == 2 * BATCH_ROWS + 1


def test_measuring_twice_gives_the_same_and_restores_the_training_mode(model: torch.nn.Module) -> None:
    rows = [(0, Tokens((2, 3, 4, 1), 0))]
    before = [parameter.clone() for parameter in model.parameters()]
    results, modes = [], []
    for mode in (True, False):
        model.train(mode)
        results.append(evaluate(model, rows, 1, 1))
        modes.append(model.training)
    assert results[0] == results[1]
    assert modes == [True, False]
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_that_knows_the_answer_measures_lower(model: torch.nn.Module) -> None:
    from copy import deepcopy

    from attribution.loss import example_losses, make_batch

    taught, rows = deepcopy(model), [(0, Tokens((2, 3, 4, 5, 1), 1))]
    before = evaluate(taught, rows, 1, 1)
    optimizer = torch.optim.SGD(taught.parameters(), lr=0.5)
    for _ in range(20):
        example_losses(taught, make_batch([rows[0][1]], 1)).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    after = evaluate(taught, rows, 1, 1)
    assert isinstance(after, HeldOutLoss)
    assert after.overall.loss_micronats < before.overall.loss_micronats // 2
