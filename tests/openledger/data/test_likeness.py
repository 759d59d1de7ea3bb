"""Rows that are there already: the same text, nearly the same, and not at all."""

import json

from openledger.data.likeness import Likeness, Resemblance
from tests.kit.openledger.garden import LONG


def row(text: str, **further: object) -> bytes:
    return json.dumps({"text": text, **further}).encode()


def test_rows_that_say_the_same_are_copies_however_they_are_written() -> None:
    likeness = Likeness.of(
        [row("Water  the ROSES daily"), row("Something else entirely"), row("water the roses daily")]
    )
    likeness.see(json.dumps({"question": "Ｗater the roses\u200b daily", "number": 7}).encode(), "garden#1 row 4")
    assert likeness.copies == (
        Resemblance(0, "garden#1 row 4", exact=True),
        Resemblance(2, "garden#1 row 4", exact=True),
    )


def test_a_row_that_repeats_an_earlier_one_of_its_submission_is_said_to() -> None:
    assert Likeness.of([row("one"), row("two"), row("One ")]).copies == (
        Resemblance(2, "row 1 of this submission", exact=True),
    )


def test_most_words_in_one_row_make_a_near_copy_and_half_of_them_do_not() -> None:
    words = LONG.split()
    likeness = Likeness.of(
        [row(LONG + " indeed"), row(" ".join(words[: len(words) // 2]) + " or when it rains, if you like it so")]
    )
    likeness.see(row(f"An introduction. {LONG}. And an ending."), "garden#3 row 1")
    assert likeness.copies == (Resemblance(0, "garden#3 row 1", exact=False),)


def test_long_rows_are_compared_by_a_sample_with_the_same_result() -> None:
    text = " ".join([f"word{number} of the text" for number in range(400)])
    likeness = Likeness.of([row(text + " with an ending of its own")])
    assert likeness.gram_counts[0] < 400
    likeness.see(row(text), "garden#1 row 1")
    likeness.see(row("nothing of the kind"), "garden#1 row 2")
    assert likeness.copies == (Resemblance(0, "garden#1 row 1", exact=False),)


def test_rows_without_words_are_like_each_other_alone() -> None:
    likeness = Likeness.of([b'{"n":1}', row("!!!")])
    likeness.see(row("words"), "garden#1 row 1")
    likeness.see(row("!!!"), "garden#1 row 2")
    assert likeness.copies == (Resemblance(1, "garden#1 row 2", exact=True),)
