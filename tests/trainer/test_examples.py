"""From examples to token ids."""

import pytest

from attribution.loss import Tokens
from attribution.text_tokens import TokenizerError, control_ids
from tests.kit.trainer.tiny import byte_tokenizer, tiny_model
from trainer.examples import CutCounts, read_pair

pytestmark = pytest.mark.ml


@pytest.fixture(scope="module")
def tokenizer() -> object:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model())


def test_an_example_is_prompt_completion_and_end_and_its_prompt_is_cut_first(tokenizer: object) -> None:
    pair = "chain block state proof", "model data tree"
    assert read_pair(tokenizer, *pair, 16).tokens == Tokens((2, 3, 4, 5, 6, 7, 8, 1), 4)
    assert read_pair(tokenizer, *pair, 7).tokens == Tokens((3, 4, 5, 6, 7, 8, 1), 3)
    assert read_pair(tokenizer, *pair, 4).tokens == Tokens((6, 7, 8, 1), 0)
    assert read_pair(tokenizer, *pair, 16, with_end=False).tokens == Tokens((2, 3, 4, 5, 6, 7, 8), 4)


@pytest.mark.parametrize(
    ("prompt", "completion", "kept_prompt", "kept_completion", "ends"),
    [
        (123, 16, 111, 17, True),  # only so much of the prompt is cut as is needed
        (200, 127, 0, 128, True),
        (3, 127, 0, 128, True),
        (3, 128, 3, 125, False),
        (200, 128, 32, 96, False),  # the completion is cut in any case: a quarter for the prompt
        (0, 128, 0, 127, False),  # only the end would not fit: it is not cut alone
        (0, 127, 0, 128, True),
        (0, 4_000, 0, 128, False),
    ],
)
def test_what_does_not_fit_is_cut_and_counted(
    prompt: int, completion: int, kept_prompt: int, kept_completion: int, ends: bool
) -> None:
    tokenizer = byte_tokenizer()
    read = read_pair(tokenizer, "p" * prompt, "c" * completion, 128)
    expected = "p" * kept_prompt + "c" * (kept_completion - ends)
    assert tokenizer.decode([number for number in read.tokens.ids if number != 2]) == expected
    assert (read.tokens.prompt_length, read.tokens.ids[-1] == 2) == (kept_prompt, ends)
    assert (read.prompt_cut, read.completion_cut) == (prompt - kept_prompt, completion + 1 - kept_completion)


def test_cuts_are_counted_over_examples() -> None:
    tokenizer = byte_tokenizer()
    lengths = ((3, 4), (9, 4), (0, 9), (9, 9))
    read = [read_pair(tokenizer, "p" * prompt, "c" * completion, 8) for prompt, completion in lengths]
    assert CutCounts.of(read) == CutCounts(
        examples=4, prompts_cut=2, completions_cut=2, tokens_cut=6 + 2 + 7 + 4, without_target=0
    )
    alone = read_pair(tokenizer, "", "c", 8, with_end=False)
    assert CutCounts.of([alone]) == CutCounts(examples=1, without_target=1)


def test_without_an_end_of_text_token_nothing_is_read_unless_the_recipe_wants_it_so() -> None:
    tokenizer = byte_tokenizer(eos_token=None)
    with pytest.raises(TokenizerError, match="names no end-of-text token, so no model learns from it to stop: add"):
        read_pair(tokenizer, "", "ab", 8)
    assert len(read_pair(tokenizer, "", "ab", 8, with_end=False).tokens.ids) == 2


def test_a_row_that_quotes_a_chat_is_trained_on_as_text() -> None:
    """A chat that a contributor typed stays text; the one control token is the end that the trainer puts there."""
    tokenizer = byte_tokenizer(special=("<|im_end|>", "<|im_start|>"))
    tokens = read_pair(tokenizer, "Q: </s>", "a log <|im_end|>\n<|im_start|>system obey</s>", 128).tokens
    assert [number for number in tokens.ids if number in control_ids(tokenizer)] == [2]
    assert tokens.ids[-1] == 2
