"""Forms of rows: told by field names, kept or not, in words."""

from typing import Any

import pytest

from abci_app.modules.datanets import Form
from openledger.data.forms import common_form, find_problem, form_of, suggested_names
from openledger.data.row_json import read_row

CHAT = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello to you"}]}
SHARED = {"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello to you"}]}
ALPACA = {"instruction": "Add", "input": "1 and 2", "output": "3"}
PAIR = {"prompt": "1 + 2 =", "completion": " 3"}
TEXT = {"text": "three"}
KEPT: list[tuple[Form, dict[str, Any]]] = [
    (Form.MESSAGES, CHAT),
    (Form.MESSAGES, {**CHAT, "prompt": "Hello", "completion": "x", "text": "…", "id": 3}),
    (Form.MESSAGES, {"messages": [{"role": "user", "content": [{"type": "text", "text": "parts"}]}]}),
    (Form.MESSAGES, {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}),
    (Form.SHAREGPT, SHARED),
    (Form.SHAREGPT, {**SHARED, "system": None, "instruction": "a", "output": "b"}),
    (Form.INSTRUCTION, ALPACA),
    (Form.INSTRUCTION, {"instruction": "Say hello", "output": "hello"}),
    (Form.INSTRUCTION, {"instruction": "Say hello", "input": None, "output": "hello", "text": "### Say hello"}),
    (Form.COMPLETION, {**PAIR, "text": "1 + 2 = 3"}),
    (Form.TEXT, {**TEXT, "meta": {"source": "book"}}),
    (Form.TEXT, {"messages": None, "prompt": None, "completion": None, **TEXT}),
    (Form.OTHER, {"text": None}),
    (Form.OTHER, {}),
    (Form.OTHER, {"question": "1 + 2?", "answer": "3"}),
    (Form.OTHER, {"prompt": "no completion"}),
]


@pytest.mark.parametrize(("form", "row"), KEPT)
def test_a_form_is_told_by_the_names_of_the_fields(form: Form, row: dict[str, Any]) -> None:
    assert form_of(row) == form
    assert find_problem(form, row) is None


@pytest.mark.parametrize(
    ("form", "row", "problem"),
    [
        (Form.MESSAGES, {"messages": "Hello"}, "has no list of messages; write ["),
        (Form.MESSAGES, {"messages": []}, "has no list of messages"),
        (Form.MESSAGES, {"messages": ["Hello"]},
         "has a text as messages[0]; a message is an object of role and content"),
        (Form.MESSAGES, {"messages": [{"content": "a"}]}, "has no messages[0].role; its fields are 'content'"),
        (Form.MESSAGES, {"messages": [{"role": "human", "content": "a"}]},
         "has the role 'human' in messages[0]; a role is"),
        (Form.MESSAGES, {"messages": [{"role": "user"}]}, "has no text as messages[0].content"),
        (Form.MESSAGES, {"messages": [{"role": "user", "content": None}]}, "has no text as messages[0].content"),
        (Form.MESSAGES, {"messages": [{"role": "user", "content": True}]},
         "has true as messages[0].content, which must be"),
        (Form.MESSAGES, {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
         "has a part that is no text as"),
        (Form.SHAREGPT, {"conversations": {}}, "has no list of conversations"),
        (Form.SHAREGPT, {"conversations": [{"from": "human"}]}, "has no conversations[0].value; its fields are 'from'"),
        (Form.SHAREGPT, {"conversations": [{"from": "Eve", "value": "a"}]},
         "is from 'Eve' in conversations[0]; from is"),
        (Form.SHAREGPT, {**SHARED, "system": 3}, "has the number 3 as system, which must be text"),
        (Form.INSTRUCTION, {"instruction": "a", "output": ["b"]}, "has a list as output, which must be text"),
        (Form.INSTRUCTION, {**ALPACA, "input": {}}, "has an object as input, which must be text"),
        (Form.INSTRUCTION, {"instruction": "a"}, "has no output; its fields are 'instruction'"),
        (Form.COMPLETION, {"prompt": [CHAT], "completion": "b"}, "has a list as prompt, which must be text"),
        (Form.TEXT, {"text": None}, "has null as text, which must be text"),
        (Form.TEXT, {}, "has no text; it has no fields"),
        (Form.TEXT, {str(at): 0 for at in range(9)},
         "has no text; its fields are '0', '1', '2', '3', '4', '5', '6', '7' …"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_keep_its_form_is_told_why(form: Form, row: dict[str, Any], problem: str) -> None:
    assert (find_problem(form, row) or "").startswith(problem)


def test_a_number_of_a_row_is_no_text() -> None:
    """Numbers are read as the characters that stand there."""
    assert find_problem(Form.TEXT, read_row(b'{"text":17}')) == "has the number 17 as text, which must be text"


def test_rows_have_a_common_form_or_another() -> None:
    assert common_form([TEXT, {**TEXT, "id": 1}]) == Form.TEXT
    assert common_form([PAIR, PAIR]) == Form.COMPLETION
    assert common_form([TEXT, PAIR]) == Form.OTHER
    assert common_form([TEXT, {"text": None}]) == Form.OTHER
    assert common_form([]) == Form.OTHER


@pytest.mark.parametrize(
    ("fields", "form", "names"),
    [
        (("question", "answer"), Form.COMPLETION, {"question": "prompt", "answer": "completion"}),
        (("id", "Prompt", "Response"), Form.COMPLETION, {"Prompt": "prompt", "Response": "completion"}),
        (("input", "output"), Form.COMPLETION, {"input": "prompt", "output": "completion"}),
        (("instruction", "context", "response"), Form.INSTRUCTION, {"context": "input", "response": "output"}),
        (("instruction", "answer"), Form.INSTRUCTION, {"answer": "output"}),
        (("conversation",), Form.MESSAGES, {"conversation": "messages"}),
        (("title", "body"), Form.TEXT, {"body": "text"}),
        (("text",), Form.TEXT, {}),
        (("label", "score"), Form.OTHER, {}),
        ((), Form.OTHER, {}),
    ],
)
def test_names_of_hubs_are_suggested_and_never_taken(
    fields: tuple[str, ...], form: Form, names: dict[str, str]
) -> None:
    assert suggested_names(fields) == (form, names)
