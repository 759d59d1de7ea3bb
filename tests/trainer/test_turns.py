"""Rows of every form as turns."""

from typing import Any

import pytest

from abci_app.modules.datanets import Form
from trainer.turns import (
    MAX_TURNS,
    Turn,
    UnreadableRow,
    conversation_turns,
    merged_system,
    pair_turns,
    plain_turns,
    takes_turns,
)

HI, HO = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}
USER, ANSWER = Turn("user", "hi", learned=False), Turn("assistant", "ho", learned=True)


@pytest.mark.parametrize(
    ("form", "row", "expected"),
    [
        (Form.MESSAGES, {"messages": [HI, HO]}, (USER, ANSWER)),
        (Form.MESSAGES, {"messages": [HI, HO | {"weight": 0}]}, (USER, Turn("assistant", "ho", learned=False))),
        (
            Form.MESSAGES,
            {
                "messages": [
                    {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
                ]
            },
            (Turn("system", "ab", learned=False),),
        ),
        (
            Form.MESSAGES,
            {"messages": [{"role": "tool", "content": "7"}, HO]},
            (Turn("tool", "7", learned=False), ANSWER),
        ),
        (
            Form.SHAREGPT,
            {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}], "system": "be"},
            (Turn("system", "be", learned=False), USER, ANSWER),
        ),
        (
            Form.SHAREGPT,
            {"conversations": [{"from": "system", "value": "be"}, {"from": "bing", "value": "ho"}], "system": "other"},
            (Turn("system", "be", learned=False), ANSWER),
        ),
    ],
)
def test_conversations_are_read_in_their_variants(form: Form, row: dict[str, Any], expected: tuple[Turn, ...]) -> None:
    assert conversation_turns(form, row) == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": []}, "has no list of messages"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, r"has the role 'narrator' in messages\[0\]"),
        ({"messages": [HI, {"role": "assistant", "content": None}]}, r"has no text as messages\[1\].content"),
        (
            {"messages": [HI, {"role": "assistant", "content": None, "tool_calls": [{}]}]},
            r"calls a tool in messages\[1\] beside its text, which is not read here: write the call into its content",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            r"has a part that is no text as messages\[0\].content\[0\]",
        ),
        ({"messages": [HI, HO] * MAX_TURNS}, "has 1024 turns, more than 512"),
    ],
)
def test_what_is_no_conversation_is_refused_by_place(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableRow, match=reason):
        conversation_turns(Form.MESSAGES, row)


def test_rows_that_are_no_conversations_are_a_text_or_a_question_with_its_answer() -> None:
    assert plain_turns(Form.TEXT, {"text": "a"}) == (Turn("text", "a", learned=True),)
    assert plain_turns(Form.COMPLETION, {"prompt": "hi", "completion": "ho"}) == (USER, ANSWER)
    assert pair_turns("", "ho") == (ANSWER,)
    for given in ({}, {"input": ""}, {"input": " \n"}, {"input": None}):
        assert plain_turns(Form.INSTRUCTION, {"instruction": "hi", "output": "ho"} | given) == (USER, ANSWER)
    asked = plain_turns(Form.INSTRUCTION, {"instruction": "Add.", "input": "1 2", "output": "3"})[0]
    assert asked == Turn("user", "Add.\n\n1 2", learned=False)


def test_a_system_turn_is_merged_into_the_first_question_only() -> None:
    system = Turn("system", "be", learned=False)
    assert merged_system((system, USER, ANSWER)) == (Turn("user", "be\n\nhi", learned=False), ANSWER)
    for turns in ((USER, ANSWER), (system, ANSWER), (system,), ()):
        assert merged_system(turns) == turns


def test_who_takes_turns() -> None:
    system = Turn("system", "be", learned=False)
    assert takes_turns((system, USER, ANSWER, USER, ANSWER))
    for turns in ((USER,), (ANSWER, USER), (USER, USER, ANSWER), (USER, ANSWER, USER), (system,), ()):
        assert not takes_turns(turns)
