"""Every step does what its words say."""

import msgspec
import pytest

from openledger.data.row_json import Number
from trainer.row_values import NotText, value_of
from trainer.steps import (
    STEPS_BY_NAME,
    AsText,
    CollapseSpace,
    Contains,
    Deduplicate,
    FillNull,
    Filter,
    FilterStep,
    HasText,
    MaxChars,
    MinChars,
    Preprocess,
    PreprocessStep,
    RegexExclude,
    StepError,
    Strip,
    TakesTurns,
    Template,
    Truncate,
    expand_step,
)


@pytest.mark.parametrize(
    ("step", "expected", "words"),
    [
        (Strip(), {"text": "a  b", "other": " c "}, "remove white space at both ends of text"),
        (Strip(field="other"), {"text": " a  b\n", "other": "c"}, "remove white space at both ends of other"),
        (CollapseSpace(), {"text": "a b", "other": " c "}, "replace every run of white space in text by one space"),
        (Truncate(characters=2), {"text": " a", "other": " c "}, "cut text after 2 characters"),
        (
            Template(completion="{{{other}}}", prompt="{text}?"),
            {"text": " a  b\n", "other": " c ", "prompt": " a  b\n?", "completion": "{ c }"},
            "build prompt '{text}?' and completion '{{{other}}}' from the row's fields",
        ),
    ],
)
def test_preprocessing_steps(step: Preprocess, expected: dict[str, str], words: str) -> None:
    assert (step.apply({"text": " a  b\n", "other": " c "}), step.words) == (expected, words)


@pytest.mark.parametrize(
    ("step", "kept", "words"),
    [
        (
            MinChars(characters=3),
            ["abc", "abcd", "ab.abc", "abc"],
            "keep rows whose completion has at least 3 characters",
        ),
        (MaxChars(characters=3), ["ab", "abc", "abc"], "keep rows whose completion has at most 3 characters"),
        (Contains(text="cd"), ["abcd"], "keep rows whose completion contains 'cd'"),
        (
            RegexExclude(pattern=r"\Aab.?\Z"),
            ["abcd", "ab.abc"],
            r"drop rows whose completion matches the pattern '\\Aab.?\\Z'",
        ),
        (Deduplicate(), ["ab", "abc", "abcd", "ab.abc"], "of rows that say the same in completion keep the first"),
    ],
)
def test_filters(step: Filter, kept: list[str], words: str) -> None:
    seen: set[bytes] = set()
    rows = ["ab", "abc", "abcd", "ab.abc", "abc"]
    assert ([row for row in rows if step.keeps({"completion": row}, seen)], step.words) == (kept, words)


def test_every_step_is_read_back_from_its_canonical_form() -> None:
    steps: list[Preprocess | Filter] = [Strip(), CollapseSpace(), Truncate(characters=1), Template(completion="x")]
    steps += [
        MinChars(characters=1),
        MaxChars(characters=1),
        Contains(text="x"),
        RegexExclude(pattern="x"),
        Deduplicate(),
        AsText(field="x"),
        FillNull(field="x", text="y"),
        HasText(),
        TakesTurns(),
    ]
    assert {type(step) for step in steps} == set(STEPS_BY_NAME.values())
    for step in steps:
        assert msgspec.convert(msgspec.to_builtins(step), PreprocessStep | FilterStep) == step


def test_steps_may_be_written_short() -> None:
    assert expand_step("strip") == {"step": "strip"}
    assert expand_step({"min_chars": 3}) == {"step": "min_chars", "characters": 3}
    assert expand_step({"min_chars": {"characters": 3, "field": "text"}}) == {
        "step": "min_chars",
        "characters": 3,
        "field": "text",
    }
    assert expand_step({"step": "strip", "field": "x"}) == {"step": "strip", "field": "x"}


def test_a_step_that_does_not_fit_the_rows_names_their_fields() -> None:
    with pytest.raises(StepError, match="strip: rows have no field 'body'; they have text; name another field"):
        Strip(field="body").apply({"text": "x"})
    with pytest.raises(StepError, match="template: rows have no field 'body'; they have text"):
        Template(completion="{body}").apply({"text": "x"})


ROW = {"text": "x", "none": None, "yes": True, "list": ["é", Number("1e-7"), {"a": None}], "number": Number("0.10")}


def test_what_is_no_text_stays_apart_until_a_step_says_what_becomes_of_it() -> None:
    fields = {key: value_of(key, value) for key, value in ROW.items()}
    expected = {
        "none": ("null", "null"), "yes": ("true or false", "true"), "number": ("a number", "0.10"),
        "list": ("a list", '["é",1e-7,{"a":null}]'),
    }  # fmt: skip
    assert fields == {"text": "x"} | {key: NotText(key, *given) for key, given in expected.items()}
    for step in (Strip(field="none"), CollapseSpace(field="none"), Truncate(characters=1, field="none")):
        assert step.apply(fields) == fields
    assert AsText(field="number").apply(fields)["number"] == "0.10"
    assert AsText(field="list").apply(fields)["list"] == '["é",1e-7,{"a":null}]'
    assert AsText(field="none").apply(fields) == AsText(field="text").apply(fields) == fields
    assert FillNull(field="none", text="-").apply(fields)["none"] == "-"
    assert FillNull(field="absent", text="-").apply(fields)["absent"] == "-"
    assert FillNull(field="number", text="-").apply(fields) == FillNull(field="text", text="-").apply(fields) == fields


def test_a_template_over_what_is_no_text_is_none_and_a_filter_names_it() -> None:
    fields = {key: value_of(key, value) for key, value in ROW.items()}
    built = Template(prompt="{text} {none}", completion="{{{text}}}").apply(fields)
    assert (built["prompt"], built["completion"]) == (fields["none"], "{x}")
    with pytest.raises(
        StepError, match=r"min_chars: field 'none' is null, no text; write the step {fill_null: .*has_text"
    ):
        MinChars(characters=1, field="prompt").keeps(built, set())
    with pytest.raises(
        StepError, match=r"contains: field 'number' is a number, no text; write the step {as_text: number}"
    ):
        Contains(text="1", field="number").keeps(fields, set())


def test_rows_without_text_are_dropped_where_the_recipe_says_so() -> None:
    values = {"a": "x", "b": "", "c": " \u00a0\u200b", "d": None, "e": False, "f": Number("1")}
    kept = [key for key, value in values.items() if HasText(field=key).keeps({key: value_of(key, value)}, set())]
    assert kept == ["a"]
    with pytest.raises(StepError, match="has_text: rows have no field 'x'"):
        HasText(field="x").keeps({"y": "z"}, set())


def test_rows_that_differ_in_form_only_are_deduplicated() -> None:
    seen: set[bytes] = set()
    texts = ["An  owl", "an owl ", "ＡＮ ＯＷＬ", "an o\u200bwl", "an owl."]
    assert [text for text in texts if Deduplicate().keeps({"completion": text}, seen)] == ["An  owl", "an owl."]


def test_a_pattern_that_explodes_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.steps.PATTERN_SECONDS", 0.2)
    with pytest.raises(StepError, match=r"took more than 0\.2 s on one row; simplify it"):
        RegexExclude(pattern="^(a|aa)+$").keeps({"completion": "a" * 60 + "!"}, set())
