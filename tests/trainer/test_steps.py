"""Every step does what its words say."""

import msgspec
import pytest

from trainer.steps import (
    STEPS_BY_NAME,
    CollapseSpace,
    Contains,
    Deduplicate,
    Filter,
    FilterStep,
    MaxChars,
    MinChars,
    Preprocess,
    PreprocessStep,
    RegexExclude,
    StepError,
    Strip,
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
        (Deduplicate(), ["ab", "abc", "abcd", "ab.abc"], "of rows with equal completion keep the first"),
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


def test_a_pattern_that_explodes_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.steps.PATTERN_SECONDS", 0.2)
    with pytest.raises(StepError, match=r"took more than 0\.2 s on one row; simplify it"):
        RegexExclude(pattern="^(a|aa)+$").keeps({"completion": "a" * 60 + "!"}, set())
