"""From examples to token ids."""

import pytest

from attribution.loss import Tokens
from tests.kit.trainer.tiny import tiny_model
from trainer.dataset import Row
from trainer.examples import tokenise
from trainer.partition import Example

pytestmark = pytest.mark.ml
ROW = Row(bytes(32), 0, b"{}", bytes(32))


@pytest.fixture(scope="module")
def tokenizer() -> object:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model())


def test_an_example_is_prompt_completion_and_end_cut_to_the_limit(tokenizer: object) -> None:
    example = Example(0, ROW, "chain block state proof", "model data tree")
    assert tokenise(tokenizer, example, 16) == Tokens((2, 3, 4, 5, 6, 7, 8, 1), 4)
    assert tokenise(tokenizer, example, 7) == Tokens((3, 4, 5, 6, 7, 8, 1), 3)  # at most half for the prompt's end
    assert tokenise(tokenizer, Example(0, ROW, "", "model data tree"), 2) == Tokens((6, 7), 0)
