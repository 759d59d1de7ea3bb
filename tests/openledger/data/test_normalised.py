"""Texts that look the same are the same in normal form, with any characters in them that nobody sees."""

import unicodedata
from time import process_time

import pytest

from openledger.data.normalised import normalised_text

SEEN = "the chain holds a caf\u00e9 block"
UNSEEN = {
    "null": "\0", "backspace": "\b", "delete": "\x7f", "soft hyphen": "\xad", "joiner of graphemes": "\u034f",
    "filler of Hangul": "\u3164", "narrow filler": "\uffa0", "vowel of Khmer": "\u17b4", "selector": "\u180b",
    "zero width": "\u200b", "byte order mark": "\ufeff", "reserved": "\u2065", "variation": "\ufe0f",
    "supplementary variation": "\U000e0100", "tag": "\U000e0061",
}  # fmt: skip


@pytest.mark.parametrize("character", UNSEEN.values(), ids=UNSEEN)
def test_an_unseen_character_changes_no_text_wherever_it_stands(character: str) -> None:
    inside = SEEN.replace("chain", f"ch{character}ain")
    before_accent = SEEN.replace("\u00e9", f"e{character}\u0301")
    around = f"{character}{SEEN} {character}"
    assert [normalised_text(text) for text in (inside, before_accent, around)] == [SEEN] * 3


def test_an_ascii_text_with_control_characters_is_no_other_text() -> None:
    assert normalised_text("a\0 b\x08lock\x1b") == "a block"


def test_the_form_of_a_form_is_itself_for_every_character() -> None:
    characters = [chr(number) for number in range(0x110000) if not 0xD800 <= number < 0xE000]
    forms = [normalised_text(f"a{character}\u0301b") for character in characters]
    assert [normalised_text(form) for form in forms] == forms
    assert normalised_text("\u0130\u0345\u03b1\u0345") == normalised_text(normalised_text("\u0130\u0345\u03b1\u0345"))


@pytest.mark.parametrize(
    "marks",
    [
        "\u0301\u0327",
        "\uff9e\u0327",
        "\u0301" * 20 + "\u200b" + "\u0327" * 20,
        "\u0f73\u0301",
        "\U0001d165\u0301",
        "\u064b\u0651\u0301",
    ],
)
def test_a_row_of_marks_takes_no_longer_than_another_row(marks: str) -> None:
    """Marks that must change places with all others: of a mebibyte of them, sorting alone took minutes."""
    text = "a" + marks * (2**20 // len(marks.encode()))
    started = process_time()
    normal = normalised_text(text)
    assert process_time() - started < 5
    assert normalised_text(normal) == normal


def test_marks_that_a_writing_has_all_count() -> None:
    vowels = "\u05d1\u05bc\u05b7\u0591"
    assert normalised_text(vowels) == unicodedata.normalize("NFKC", vowels)
    assert normalised_text("\u0628" + "\u064b" * 40) == normalised_text("\u0628" + "\u064b" * 30)


def test_a_word_of_a_megabyte_beside_one_greek_capital_takes_no_longer_than_another_row() -> None:
    """A pattern that looked for the capital from each letter of the word anew took hours."""
    began = process_time()
    assert normalised_text("Α " + "a" * 100_000) == "a " + "a" * 100_000
    assert process_time() - began < 3
