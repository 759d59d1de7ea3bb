"""Weights of a step's examples, and which of them share a sequence."""

from typing import Any

import msgspec
import pytest

from attribution.loss import Tokens
from attribution.numerics import prepare
from openledger.errors import UsageError
from tests.kit.trainer.tiny import tiny_model, tiny_recipe
from trainer.step_loss import check_packing, packed_rows, step_weights


def test_every_learned_token_of_a_step_counts_alike_or_every_row_does() -> None:
    step = (Tokens((1, 2, 3, 4), 1), Tokens((5, 6), 0), Tokens((7, 8, 9), 3))
    rows = tiny_recipe().train
    assert step_weights(rows, step) == (1 / 3, 1 / 3, 1 / 3)
    tokens = msgspec.structs.replace(rows, loss="tokens")
    assert step_weights(tokens, step) == (0.75, 0.25, 0.0)
    assert step_weights(tokens, (Tokens((1,), 1),)) == (0.0,)


def test_an_example_goes_into_the_first_sequence_that_has_room_for_it() -> None:
    lengths = (5, 4, 3, 8, 9, 1)
    assert packed_rows([Tokens(tuple(range(length)), 0) for length in lengths], 8) == ((0, 2), (1, 5), (3,), (4,))


@pytest.mark.ml
def test_a_base_that_reads_the_rows_before_a_row_cannot_pack() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    class Mixed(torch.nn.Module):
        """The same model without the positions that keep rows apart."""

        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, **given: Any) -> Any:
            given.pop("position_ids", None)
            return self.model(**given)

    prepare()
    model = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)  # random models hardly look at what stands before
    rows = [Tokens((2, 3, 4, 5), 1), Tokens((7, 8, 9, 1), 0)]
    check_packing(model, rows, 1)
    with pytest.raises(
        UsageError, match=r"train.packing: this base reads the rows before a row .* write packing: false"
    ):
        check_packing(Mixed(model), rows, 1)
