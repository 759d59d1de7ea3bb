"""What a reviewer is proposed: nothing that was found to be doubtful is accepted unseen."""

from typing import Any

import pytest

from openledger_cli.data.common import numbers_in_words, numbers_of
from openledger_cli.data.verdicts import Looked, looked_at, next_steps

NOTHING: dict[str, Any] = {"overlap_percent": 0, "exact_copies": [], "near_copies": [], "looks_like": []}
REVIEW = "openledger data review garden"


@pytest.mark.parametrize(
    ("seen", "quick", "findings", "reason"),
    [
        ({}, False, (), "other"),
        ({"rows_not_seen": "content is not in the store"}, False, ("its rows cannot be seen here",), "other"),
        ({"near_copies": [{}]}, False, ("near copies",), "plagiarism"),
        ({"looks_like": ["e-mail"]}, False, ("personal data or secrets",), "personal-data"),
        ({"exact_copies": [{}], "looks_like": ["e-mail"]}, False,
         ("exact copies", "personal data or secrets"), "plagiarism"),
        # Where rows were compared these tell more than sketches, which anybody can copy.
        ({"overlap_percent": 100}, False, (), "other"),
        ({"overlap_percent": 50}, True, ("overlap 50 %",), "plagiarism"),
        ({"overlap_percent": 49}, True, (), "other"),
    ],
)  # fmt: skip
def test_what_was_seen_is_summed_up(seen: dict[str, Any], quick: bool, findings: tuple[str, ...], reason: str) -> None:
    assert looked_at(7, {**NOTHING, **seen}, quick=quick) == Looked(7, findings, reason)


def test_only_what_nothing_was_found_in_is_proposed_for_acceptance() -> None:
    looked = [Looked(number, (), "other") for number in (1, 2, 3, 7)]
    assert next_steps("garden", looked, is_one=False) == [
        f"{REVIEW} --accept 1-3,7 --from KEY",
        f"{REVIEW} --reject NUMBERS --reason REASON --from KEY",
    ]
    assert next_steps("garden", looked[:1], is_one=False, unlooked=True)[0].startswith(
        f"{REVIEW} --accept 1 --from KEY     (not looked for: personal data and secrets; `scripts/setup data`"
    )
    flagged = Looked(4, ("near copies", "personal data or secrets"), "plagiarism")
    assert next_steps("garden", [*looked, flagged], is_one=False) == [
        f"{REVIEW} --accept 1-3,7 --from KEY",
        f"{REVIEW}#4 --show 20     (near copies, personal data or secrets: look, then decide it by itself)",
    ]
    assert next_steps("garden", [flagged], is_one=True) == [
        f"{REVIEW} --reject 4 --reason plagiarism --from KEY     (near copies, personal data or secrets)",
        f"{REVIEW} --accept 4 --from KEY     (if that may be there)",
    ]


def test_many_doubtful_ones_are_not_listed_without_end() -> None:
    looked = [Looked(number, ("near copies",), "plagiarism") for number in range(1, 21)]
    steps = next_steps("garden", looked, is_one=False)
    assert (len(steps), steps[-1]) == (6, "and so on with 6-20")


@pytest.mark.parametrize("text", ["1", "1-2", "1-3,7", "2,4,6-9"])
def test_numbers_are_written_as_they_are_read(text: str) -> None:
    assert numbers_in_words(numbers_of(text)) == text
