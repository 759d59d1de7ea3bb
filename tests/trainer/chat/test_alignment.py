"""Reasoning at the beginning of a turn, told from its answer."""

from time import process_time

import pytest

from trainer.chat.alignment import Reasoning, split_reasoning


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>why</think>because", ("<think>", "why", "</think>", "because")),
        (" \n<think>\nwhy\n</think>\n\nbecause ", (" \n<think>\n", "why", "\n</think>\n\n", "because ")),
        ("<think> \n </think>because", ("<think> \n ", "", "</think>", "because")),
        ("<think>a</think>b</think>c", ("<think>", "a", "</think>", "b</think>c")),
        ("<think>why</think> ", ("<think>", "why", "</think> ", "")),
    ],
)
def test_reasoning_and_answer_are_told_apart_and_nothing_is_lost(text: str, parts: tuple[str, ...]) -> None:
    found = split_reasoning(text)
    assert found == Reasoning(*parts)
    assert "".join(parts) == text


@pytest.mark.parametrize("text", ["because", "well <think>why</think>", "<think>why", "</think>", ""])
def test_other_turns_have_no_reasoning(text: str) -> None:
    assert split_reasoning(text) is None


@pytest.mark.parametrize(("before", "after"), [("<think>", ""), ("", "<think>"), ("<think>", "</think>")])
def test_a_mebibyte_of_white_space_takes_no_longer_than_other_text(before: str, after: str) -> None:
    """A pattern with three runs of white space tried all ways to share it out: 20,000 spaces took minutes."""
    began = process_time()
    found = split_reasoning(before + " " * 2**20 + after)
    assert (found is None) == (after != "</think>")
    assert process_time() - began < 1
