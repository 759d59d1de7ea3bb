"""Placeholders name fields as rows have them, and places inside of lists and objects."""

import pytest

from openledger.data.row_json import Number
from trainer.placeholders import MissingField, check_template, filled
from trainer.row_values import Fields, NotText, value_of

ROW: dict[str, object] = {
    "user question": "q", "Antwort-Text": "a", "问题": "x", "a.b": "dotted", "odd[0]": "bracketed", "n": Number("7"),
    "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho", "n": Number("1.50")}],
    "meta": {"tags": ["one", None], "title page": "t"},
}  # fmt: skip
FIELDS: Fields = {name: value_of(name, value) for name, value in ROW.items()}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{user question}: {Antwort-Text} {问题}", "q: a x"),
        ("{a.b} {odd[0]}", "dotted bracketed"),
        ("{conversations[0][value]} {conversations[-1][value]}", "hi ho"),
        ("{meta[tags][0]} {meta[title page]}", "one t"),
        ("{{{user question}}}", "{q}"),
        ("", ""),
    ],
)
def test_names_of_every_kind_and_places_inside_are_filled_in(template: str, expected: str) -> None:
    check_template(template)
    assert filled(template, FIELDS) == expected


def test_what_is_no_text_stays_none_and_says_where_it_came_from() -> None:
    assert filled("{conversations[1][n]}", FIELDS) == NotText("conversations[1][n]", "a number", "1.50")
    assert filled("{meta[tags][1]}", FIELDS) == NotText("meta[tags][1]", "null", "null")
    assert filled("{conversations}", FIELDS) == FIELDS["conversations"]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{answer}", r"template: rows have no field 'answer'; they have Antwort-Text, a\.b, conversations"),
        ("{answers[0]}", "template: rows have no field 'answers'"),
        ("{conversations[2][value]}", r"template: conversations has 2 items, no \[2\]"),
        ("{conversations[0][text]}", r"template: conversations\[0\] has no \[text\]; it has from, value"),
        ("{conversations[first]}", r"template: conversations has no \[first\]; it is no list or object with that"),
        ("{user question[0]}", r"template: user question has no \[0\]; it is no list or object with that"),
    ],
)
def test_what_a_row_has_not_is_said(template: str, reason: str) -> None:
    with pytest.raises(MissingField, match=reason):
        filled(template, FIELDS)


@pytest.mark.parametrize(
    "template", ["{", "{}", "{ }", "{a!r}", "{a:>9}", "{a[0}", "{a]}", "{[0]}", "{a.__class__}", "{" + "a" * 300 + "}"]
)
def test_what_is_no_placeholder_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="template"):
        check_template(template)
