"""The canonical loss: padding and batches change nothing, prompts do not count."""

import pytest
import torch

from attribution.loss import (
    IGNORED_LABEL,
    Tokens,
    example_losses,
    make_batch,
    make_packed_batch,
    packed_losses,
    token_losses,
)
from tests.kit.trainer.tiny import tiny_model

pytestmark = pytest.mark.ml


@pytest.fixture(scope="module")
def model() -> object:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model(), dtype="float32", attn_implementation="eager").eval()


def test_labels_cover_the_completion_only() -> None:
    ids, mask, labels = make_batch([Tokens((2, 3, 4), 1), Tokens((5, 6), 0)], 1)
    assert ids.tolist() == [[2, 3, 4], [5, 6, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert labels.tolist() == [[IGNORED_LABEL, 3, 4], [5, 6, IGNORED_LABEL]]


def test_the_loss_is_the_mean_cross_entropy_of_the_completion(model: object) -> None:
    tokens = Tokens((2, 3, 4, 5, 6, 1), 3)
    (loss,) = example_losses(model, make_batch([tokens], 1)).tolist()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens.ids])).logits[0, 2:5].double()  # type: ignore[operator]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(tokens.ids[3:])).item()
    # Same operations in float64 on the same float32 logits.
    assert loss == pytest.approx(expected, abs=1e-12)


def test_the_gradient_is_that_of_the_plain_expression_in_float64() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(150, 40, generator=generator) * 5
    targets = torch.randint(0, 40, (150,), generator=generator)
    weights = torch.rand(150, generator=generator, dtype=torch.float64)
    ours = logits.clone().requires_grad_()
    (token_losses()(ours, targets) * weights).sum().backward()
    plain = logits.double().requires_grad_()
    losses = torch.nn.functional.cross_entropy(plain, targets, reduction="none")
    (losses * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert ours.grad is not None
    assert plain.grad is not None
    # One rounding of the gradient and one of the weight to float32.
    assert torch.allclose(ours.grad.double(), plain.grad, rtol=3e-7, atol=1e-12)
    assert torch.equal(token_losses()(logits, targets), losses.detach())


def test_padding_and_batching_do_not_change_the_loss(model: object) -> None:
    rows = [Tokens((2, 3, 4, 5, 6, 1), 3), Tokens((7, 8), 0), Tokens((9, 10, 11, 1), 1)]
    together = example_losses(model, make_batch(rows, 1)).tolist()
    alone = [example_losses(model, make_batch([row], 1)).item() for row in rows]
    # float32 matrix products of another shape differ in the last bits.
    assert together == pytest.approx(alone, abs=1e-5)


def test_turns_behind_the_first_answer_that_are_not_learned_carry_no_loss(model: object) -> None:
    chat = Tokens((2, 3, 4, 5, 6, 7, 8, 1), 2, passed=((4, 6),))
    assert chat.learned == ((2, 4), (6, 8))
    assert chat.targets == 4
    labels = make_batch([chat], 1)[2].tolist()[0]
    assert labels == [IGNORED_LABEL, IGNORED_LABEL, 4, 5, IGNORED_LABEL, IGNORED_LABEL, 8, 1]
    (loss,) = example_losses(model, make_batch([chat], 1)).tolist()
    alone = [example_losses(model, make_batch([Tokens(chat.ids[:end], end - 1)], 1)).item() for end in (3, 4, 7, 8)]
    assert loss == pytest.approx(sum(alone) / 4, abs=1e-5)


def test_packed_examples_have_the_losses_that_they_have_alone(model: object) -> None:
    rows = [
        Tokens((2, 3, 4, 5, 6, 1), 3),
        Tokens((7, 8), 0),
        Tokens((9, 10, 11, 5, 6, 1), 1, ((3, 4),)),
        Tokens((3,), 0),
    ]
    batch = make_packed_batch([rows[:2], rows[2:]], 1)
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4, 5, 0, 1], [0, 1, 2, 3, 4, 5, 0, 0]]
    assert batch.labels[0].tolist()[6:] == [IGNORED_LABEL, 8]
    alone = [example_losses(model, make_batch([row], 1)).item() for row in rows]
    assert packed_losses(model, batch).tolist() == pytest.approx(alone, abs=1e-5)
