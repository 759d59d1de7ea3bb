"""Examples as people see them before a run."""

from dataclasses import replace

import pytest

from abci_app.modules.datanets import Form
from tests.kit.trainer.chat_templates import CHATML, CHATML_TOKENS
from tests.kit.trainer.chats import ROW, chat_tokenizer, turns
from tests.kit.trainer.examples import pair_example
from trainer.examples import read_tokens
from trainer.partition import Example
from trainer.recipe import Train
from trainer.shown import example_lines

pytestmark = pytest.mark.ml


def test_two_examples_of_different_forms_are_shown_token_by_token_with_what_is_learned() -> None:
    tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
    rows = [replace(ROW, index=index, submission=7) for index in range(3)]
    order = [
        pair_example(0, rows[0], "a\x1b", "é\n"),
        pair_example(0, rows[1], "b", "c"),
        Example(0, rows[2], turns(("user", "h"), ("assistant", "o")), Form.MESSAGES),
        pair_example(0, rows[0], "a\x1b", "é\n"),
    ]
    lines = example_lines(tokenizer, order, read_tokens(tokenizer, Train(steps=1), order), ["garden"])
    assert lines == [
        "example 1: completion, row 0 of garden#7, 6 tokens, 4 learned",
        "  read     a·\\u{1b}",
        "  learned  é·↵·</s>",
        "example 2: messages, row 2 of garden#7, 22 tokens, 2 learned",
        "  read     <|im_start|>·u·s·e·r·↵·h·<|im_end|>·↵·<|im_start|>·a·s·s·i·s·t·a·n·t·↵",
        "  learned  o·<|im_end|>",
    ]


def test_of_a_long_stretch_the_beginning_and_the_end_are_shown() -> None:
    tokenizer = chat_tokenizer(None)
    order = [pair_example(0, ROW, "", "x" * 200)]
    (head, line) = example_lines(
        tokenizer, order, read_tokens(tokenizer, Train(steps=1, sequence_tokens=512), order), ["garden"]
    )
    assert head.endswith("201 tokens, 200 learned")
    assert line == f"  learned  {'·'.join('x' * 48)} … 105 tokens … {'·'.join('x' * 47)}·</s>"
