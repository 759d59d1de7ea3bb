"""Letters of other scripts that look Latin are read as Latin ones when texts are compared."""

import unicodedata
from collections import Counter

import pytest

from openledger.data import look_alikes
from openledger.data.look_alikes import BY_LOOK
from openledger.data.normalised import letters_of, normalised_text, words_of
from openledger.data.sketch import similarity_sketch

SEEN = "the quick brown fox jumps over the lazy dog near the river"
DISGUISED = {
    "Cyrillic": SEEN.translate(str.maketrans("aceopxyh", "асеорхун")).replace("н", "һ"),
    "Greek": SEEN.translate(str.maketrans("ouv", "ουν")),
    "Greek capitals": SEEN.upper().translate(str.maketrans("ABEHIKMNOTXYZ", "ΑΒΕΗΙΚΜΝΟΤΧΥΖ")),
    "Cyrillic capitals": SEEN.upper().translate(str.maketrans("ABEHKMOTXY", "АВЕНКМОТХУ")),
    "Cherokee": SEEN.upper().translate(str.maketrans("DRTHSW", "ᎠᎡᎢᎻᏚᎳ")),
    "small capitals": SEEN.translate(str.maketrans("bdehklnortuvwz", "ʙᴅᴇʜᴋʟɴᴏʀᴛᴜᴠᴡᴢ")),
    "wide": "".join(chr(ord(each) + 0xFEE0) if each != " " else each for each in SEEN),
    "mathematical": "".join(chr(ord(each) - 97 + 0x1D41A) if each != " " else each for each in SEEN),
    "circled": "".join(chr(ord(each) - 97 + 0x24D0) if each != " " else each for each in SEEN),
    "marks that make no letter": SEEN.replace("o", "o\u0336").replace("e", "e\u20dd"),
    "soft hyphens": SEEN.replace("o", "o\xad"),
    "zero width": "\u200b".join(SEEN),
}


@pytest.mark.parametrize("text", DISGUISED.values(), ids=DISGUISED)
def test_a_text_in_letters_that_look_the_same_is_the_same_text(text: str) -> None:
    assert text != SEEN
    assert normalised_text(text) == SEEN
    assert similarity_sketch([f'{{"text":"{text}"}}'.encode()]) == similarity_sketch([f'{{"t":"{SEEN}"}}'.encode()])


def test_other_scripts_keep_their_own_words_in_every_case() -> None:
    for one, other in (("Вот дом", "ВОТ ДОМ"), ("Νίκη Μαρία", "ΝΊΚΗ ΜΑΡΊΑ"), ("Η Υδρα", "η υδρα"), ("ՀԱՅ", "հայ")):
        assert normalised_text(one) == normalised_text(other)
    texts = ["5 µm", "5 mm", "кот", "код", "вода", "мода", "は", "ば", "é", "e", "का", "की"]
    assert len({normalised_text(text) for text in texts}) == len(texts)


def test_digits_of_other_scripts_are_digits() -> None:
    assert normalised_text("١٢٣ and १२३") == "123 and 123"


def test_every_letter_of_the_table_is_in_normal_form_itself_and_stands_for_one_letter() -> None:
    letters = [letter for row in look_alikes._BY_LATIN_LETTER.values() for letter in row]
    assert [letter for letter, count in Counter(each.casefold() for each in letters).items() if count > 1] == []
    for number, latin in BY_LOOK.items():
        assert unicodedata.normalize("NFKD", chr(number)) == chr(number)
        assert normalised_text(chr(number)) == latin


def test_words_end_at_every_sign_and_need_no_spaces_where_a_script_has_none() -> None:
    assert words_of("the_quick-brown.fox's 3,14") == ["the", "quick", "brown", "fox", "s", "3", "14"]
    assert words_of("私は猫 cat") == ["私", "は", "猫", "cat"]


def test_letters_alone_are_the_same_however_words_are_joined_or_marked() -> None:
    plain = letters_of(normalised_text("Crème brûlée is 10 illusions"))
    for text in ("creme_brulee_is_10_illusions", "c.r.e.m.e brulee IS1O iLLusions", "Crèmebrûléeis10illusions"):
        assert letters_of(normalised_text(text)) == plain
