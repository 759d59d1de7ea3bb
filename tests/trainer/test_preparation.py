"""Several forms in one DataNet: every row is read by its own form, and steps concern the rows that have their field."""

import json
from dataclasses import replace
from typing import Any

import pytest

from abci_app.modules.datanets import Form
from trainer.dataset import Row
from trainer.partition import PartitionError, make_partition
from trainer.recipe import Dataset, parse_recipe

MESSAGES = {"messages": [{"role": "user", "content": " hi "}, {"role": "assistant", "content": "ho ho ho"}]}
SHAREGPT = {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "once more"}]}
INSTRUCTION = {"instruction": "Name one.", "input": "", "output": "an owl "}
COMPLETION = {"prompt": "An owl is ", "completion": "a bird"}
TEXT = {"text": " Owls fly. "}
ALL = [
    (Form.MESSAGES, MESSAGES), (Form.SHAREGPT, SHAREGPT), (Form.INSTRUCTION, INSTRUCTION),
    (Form.COMPLETION, COMPLETION), (Form.TEXT, TEXT),
]  # fmt: skip


def dataset(more: str = "") -> Dataset:
    text = f"""
version: 1
name: forms
model: {{base: base}}
datasets:
  - datanet: garden
    version: 1
    weight_ppb: 1000000000
    split: {{held_out_ppb: 0}}
{more}
train: {{steps: 1}}
output: {{model: forms}}
"""
    return parse_recipe(text).datasets[0]


def rows(items: list[tuple[Form, Any]]) -> list[Row]:
    return [
        Row(bytes([9] * 32), index, json.dumps(item).encode(), bytes(32), form)
        for index, (form, item) in enumerate(items)
    ]


def test_every_form_has_its_own_reading() -> None:
    made = make_partition(dataset(), 0, rows(ALL))
    assert [(item.form, item.prompt, item.completion) for item in made.training] == [
        (Form.MESSAGES, " hi ", "ho ho ho"),
        (Form.SHAREGPT, "hi", "once more"),
        (Form.INSTRUCTION, "Name one.", "an owl "),
        (Form.COMPLETION, "An owl is ", "a bird"),
        (Form.TEXT, "", " Owls fly. "),
    ]
    assert made.rows_by_form == {"text": 1, "completion": 1, "instruction": 1, "messages": 1, "sharegpt": 1}


def test_rows_of_no_stated_form_are_read_by_their_fields() -> None:
    stated = make_partition(dataset(), 0, rows(ALL)).training
    unstated = make_partition(dataset(), 0, rows([(Form.OTHER, item) for _, item in ALL])).training
    assert [(item.turns, item.form) for item in unstated] == [(item.turns, item.form) for item in stated]


def test_a_step_concerns_rows_whose_form_has_its_field() -> None:
    steps = "    preprocess: [strip, {strip: output}]\n    filters: [{min_chars: 7}]"
    made = make_partition(dataset(steps), 0, rows(ALL))
    assert [item.completion for item in made.training] == ["ho ho ho", "once more", "Owls fly."]
    assert (made.changed_by_step, made.passed_by_step, made.kept_by_filter) == ((1, 1), (4, 4), (3,))


def test_a_field_that_no_row_has_or_only_some_rows_of_a_form_is_a_mistake() -> None:
    nowhere = dataset("    preprocess: [{strip: txt}]")
    with pytest.raises(
        PartitionError, match=r"line 2 of its file, row 0: strip: rows have no field 'txt'.* 4 more rows"
    ):
        make_partition(nowhere, 0, rows(ALL))
    some = dataset("    preprocess: [{strip: note}]")
    with pytest.raises(PartitionError, match=r"row 1: strip: rows have no field 'note'; they have text"):
        make_partition(some, 0, rows([(Form.TEXT, TEXT | {"note": "x"}), (Form.TEXT, TEXT)]))


def test_a_template_makes_pairs_of_the_rows_that_it_fits() -> None:
    steps = (
        '    preprocess: [{template: {prompt: "{conversations[0][value]}? ", completion: "{conversations[1][value]}"}}]'
    )
    made = make_partition(dataset(steps), 0, rows(ALL[:2]))
    assert [(item.form, item.prompt, item.completion) for item in made.training] == [
        (Form.MESSAGES, " hi ", "ho ho ho"),
        (Form.COMPLETION, "hi? ", "once more"),
    ]
    assert made.passed_by_step == (1,)


@pytest.mark.parametrize(
    ("form", "row", "reason"),
    [
        (Form.MESSAGES, {"messages": "hi"}, "the row has no list of messages"),
        (Form.SHAREGPT, {"conversations": [{"from": "x", "value": "y"}]}, r"the row is from 'x' in conversations\[0\]"),
        (Form.TEXT, {"body": "x"}, "the row has no text; its fields are 'body'"),
        (Form.INSTRUCTION, {"instruction": "x", "output": None}, "field 'output' is null, no text"),
        (Form.INSTRUCTION, {"instruction": "x", "input": 7, "output": "y"}, "field 'input' is a number, no text"),
        (Form.COMPLETION, {"prompt": ["x"], "completion": "y"}, "field 'prompt' is a list, no text"),
    ],
)
def test_a_row_that_is_not_what_its_form_says_is_refused_by_line_or_left_out_on_request(
    form: Form, row: dict[str, Any], reason: str
) -> None:
    given = rows([ALL[4], (form, row)])
    with pytest.raises(PartitionError, match=rf"line 3 of its file, row 1: (\w+: )?{reason}.*has_text"):
        make_partition(dataset(), 0, given)
    if "prompt" not in row and "input" not in row:
        made = make_partition(dataset("    filters: [has_text]"), 0, given)
        assert [item.completion for item in made.training] == [" Owls fly. "]


def test_a_conversation_without_an_answer_is_counted_as_empty() -> None:
    silent = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": " \u200b"}]}
    alone = {"messages": [{"role": "user", "content": "hi"}]}
    made = make_partition(dataset(), 0, rows([(Form.MESSAGES, silent), (Form.MESSAGES, alone), ALL[0]]))
    assert (made.empty, len(made.training)) == (2, 1)


def test_conversations_in_which_nobody_takes_turns_are_left_out_on_request() -> None:
    monologue = {"messages": [{"role": "assistant", "content": "ho"}, {"role": "assistant", "content": "ho"}]}
    made = make_partition(dataset("    filters: [takes_turns]"), 0, rows([(Form.MESSAGES, monologue), *ALL]))
    assert made.kept_by_filter == (5,)
    assert len(made.training) == 5


def test_a_row_is_named_by_the_number_of_its_submission_where_it_is_known() -> None:
    numbered = [replace(row, submission=4) for row in rows([(Form.TEXT, {"body": "x"})])]
    with pytest.raises(PartitionError, match="submission #4 line 2 of its file, row 0: the row has no text"):
        make_partition(dataset(), 0, numbered)
