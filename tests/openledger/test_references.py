"""References: a name, a version, a number, and nothing in between."""

from __future__ import annotations

import pytest

from openledger.errors import UsageError
from openledger.references import names_like, split_number, split_version


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("garden", ("garden", 0)),
        ("garden@2", ("garden", 2)),
        ("olga/garden.v1@4294967295", ("olga/garden.v1", 2**32 - 1)),
        ("a@b@3", ("a@b", 3)),
    ],
)
def test_a_name_may_carry_a_version(reference: str, parts: tuple[str, int]) -> None:
    assert split_version(reference) == parts


def test_a_version_given_twice_may_agree() -> None:
    assert (split_version("garden@2", 2), split_version("garden", 2)) == (("garden", 2), ("garden", 2))


@pytest.mark.parametrize(
    "reference", ["garden@", "@2", "garden@0", "garden@-1", "garden@4294967296", "garden@٣", "g@1e3"]
)
def test_what_is_no_version_is_refused(reference: str) -> None:
    with pytest.raises(UsageError, match="write NAME or NAME@VERSION"):
        split_version(reference)


def test_versions_that_contradict_are_refused() -> None:
    with pytest.raises(UsageError, match="'garden@2' and version 3 contradict each other"):
        split_version("garden@2", 3)


def test_a_submission_has_a_number() -> None:
    assert split_number("olga/garden#12") == ("olga/garden", 12)


@pytest.mark.parametrize("reference", ["garden", "garden#", "#2", "garden#0", "garden#two", "garden#1-3", "garden#²"])
def test_what_is_no_submission_is_refused(reference: str) -> None:
    with pytest.raises(UsageError, match="write DATANET#NUMBER, for example"):
        split_number(reference)


def test_a_number_of_thousands_of_digits_is_refused_like_any_other() -> None:
    with pytest.raises(UsageError, match="NAME@VERSION"):
        split_version("garden@" + "9" * 5000)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("gardn", ["garden"]),
        ("Garden", ["garden"]),
        ("chatz", ["chat", "chats"]),
        ("garden", []),
        ("physics", []),
        ("", []),
        ("x" * 10_000, []),
    ],
)
def test_names_spelled_nearly_like_one_that_nobody_has_are_found(text: str, near: list[str]) -> None:
    assert names_like(text, ["garden", "chat", "chats", "zoo"]) == near
