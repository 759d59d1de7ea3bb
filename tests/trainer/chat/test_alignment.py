"""Reasoning at the beginning of a turn, told from its answer."""

import tracemalloc
from time import process_time

import pytest

from trainer.chat.alignment import Reasoning, marked, places, split_reasoning
from trainer.turns import Turn


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


def test_a_conversation_of_thousands_of_turns_takes_memory_as_its_text_does() -> None:
    """The way to each turn was kept as a list of its own. A row may have 512 turns; nothing here relies on that."""
    turns = [Turn("user", f"text {at}", learned=False) for at in range(6_000)]
    conversation = marked(turns)
    written = ["<|turn|>".join(["", *texts, ""]) for texts in (conversation.contents, [turn.text for turn in turns])]
    tracemalloc.start()
    found = places(conversation, turns, *written)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [written[1][slice(*place.written)] for place in found] == [turn.text for turn in turns]
    assert peak_bytes < 20 * 2**20
