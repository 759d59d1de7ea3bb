"""Recovery phrases: the standard's vectors, and each mistake named."""

import pytest

from openledger.errors import KeyFailure
from openledger.keys import phrase

ABANDON = " ".join(["abandon"] * 23 + ["art"])


def test_new_phrases_have_24_words_and_differ() -> None:
    first, second = phrase.new_phrase(), phrase.new_phrase()
    assert len(first.split()) == len(second.split()) == 24
    assert first != second
    assert phrase.normalise_phrase(first) == first


def test_seed_with_an_extra_word_is_that_of_the_standards_vector() -> None:
    # BIP-39's published vectors use the extra word TREZOR.
    assert phrase.seed_of_phrase(ABANDON, "TREZOR").hex() == (
        "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8"
    )


def test_case_and_spacing_do_not_matter() -> None:
    assert phrase.normalise_phrase("  " + ABANDON.upper().replace(" ", "\n ")) == ABANDON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abandon art", "a recovery phrase has 24 words, this one has 2"),
        (
            ABANDON.replace("art", "artt"),
            r"word 24 of the recovery phrase \('artt'\) is not in the list, perhaps 'art': check",
        ),
        (
            ABANDON.replace("art", "zoo"),
            "the checksum of the recovery phrase is wrong: check the words and their order",
        ),
    ],
)
def test_a_wrong_phrase_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(KeyFailure, match=message):
        phrase.normalise_phrase(text)


WORDS = phrase.phrase_of_entropy(bytes(range(32))).split()
PHRASE = " ".join(WORDS)
_COLUMNS = "\n".join([f"{n + 1:2}. {WORDS[n]:12} {n + 13}. {WORDS[n + 12]}" for n in range(12)])


@pytest.mark.parametrize(
    "text",
    [
        PHRASE + ".",
        ", ".join(WORDS) + ".",
        "\n".join([f"{number}. {word}" for number, word in enumerate(WORDS, 1)]),
        "\r\n".join([f"{number}) {word.title()}" for number, word in enumerate(WORDS, 1)]),
        "\n".join([f"#{number:02} - {word}" for number, word in enumerate(WORDS, 1)]),
        " ".join([f"{number}:{word.upper()}" for number, word in enumerate(WORDS, 1)]),
        _COLUMNS,
        "\n".join([f"- {word}" for word in WORDS]),
        str(WORDS),
        "\u00a0".join(WORDS),
        "\ufeff\u201c" + "\u2003".join(WORDS) + "\u201d",
        "\u200b ".join(WORDS),
        "\t".join(WORDS[:12]) + "\n\n" + "   ".join(WORDS[12:]) + "\n",
        ";".join(WORDS),
        " ".join([word[:4] for word in WORDS]),
        " | ".join(WORDS),
        "1 " + " ".join(WORDS),
    ],
)
def test_a_phrase_is_read_in_every_usual_layout(text: str) -> None:
    assert phrase.normalise_phrase(text) == PHRASE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PHRASE.replace(WORDS[2], "fruitt"), r"\('fruitt'\) is not in the list, perhaps 'fruit'"),
        (" ".join(WORDS[:23]), "has 24 words, this one has 23$"),
        (" ".join([*WORDS[:23], "xqzw", "extra"]), r"has 25; word 24 .* \('xqzw'\) is not in the list$"),
        (" ".join(["blarg"] * 24), "; and 21 more: check the spelling"),
        ("", "has 24 words, this one has 0"),
    ],
)
def test_words_that_are_wrong_are_named_with_the_nearest(text: str, message: str) -> None:
    with pytest.raises(KeyFailure, match=message):
        phrase.normalise_phrase(text)
