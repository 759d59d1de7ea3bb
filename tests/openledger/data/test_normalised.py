"""Texts that look the same are the same in normal form, with any characters in them that nobody sees."""

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
