"""Recovery phrases: 24 words that hold 256 bits of entropy and a checksum of 8 bits (BIP-39, English list)."""

import re
import secrets
import unicodedata
from difflib import get_close_matches
from functools import cache

from mnemonic import Mnemonic

from openledger.errors import KeyFailure

ENTROPY_BYTES = 32
PHRASE_WORDS = 24
# Shorter phrases of other wallets can be recovered; new ones always have 24 words.
ACCEPTED_WORDS = (12, 15, 18, 21, 24)
_LETTERS = 4
_FEW = 3
_TOKEN = re.compile(r"([0-9]{1,2})(?![0-9])|([^\W\d_]+)")


@cache
def _english() -> Mnemonic:
    return Mnemonic("english")


def new_phrase() -> str:
    """A fresh 24-word phrase from the system's random source."""
    return phrase_of_entropy(secrets.token_bytes(ENTROPY_BYTES))


def phrase_of_entropy(entropy: bytes) -> str:
    """The words that stand for this entropy (16 to 32 bytes)."""
    return str(_english().to_mnemonic(entropy))


def words_of(text: str) -> list[str]:
    """The words of a phrase in any layout in which people keep them, in lower case.

    Numbered lists (also in columns: then the numbers give the order), commas, bullets, quotes, line breaks, capitals,
    spaces of every kind, invisible characters, a full stop at the end; words cut to their first four letters, as on
    metal plates.
    """
    plain = "".join([sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf"])
    words: list[str] = []
    numbers: list[int] = []
    for number, word in _TOKEN.findall(plain.lower()):
        if word:
            words.append(_whole_word(word))
        elif number:
            numbers.append(int(number))
    if sorted(numbers) == list(range(1, len(words) + 1)):
        ordered = sorted(zip(numbers, words, strict=True))
        return [word for _, word in ordered]
    return words


def normalise_phrase(text: str) -> str:
    """The phrase in lower case with single spaces; raises `KeyFailure` naming the words or the checksum."""
    words = words_of(text)
    unknown = [(place, word) for place, word in enumerate(words, start=1) if word not in _known()]
    said = [
        f"word {place} of the recovery phrase ({word!r}) is not in the list{_nearest(word)}" for place, word in unknown
    ]
    if len(words) not in ACCEPTED_WORDS:
        also = f"; {'; '.join(said)}" if said and len(said) < _FEW else ""
        raise KeyFailure(f"a recovery phrase has {PHRASE_WORDS} words, this one has {len(words)}{also}")
    if said:
        more = f"; and {len(said) - _FEW} more" if len(said) > _FEW else ""
        raise KeyFailure(f"{'; '.join(said[:_FEW])}{more}: check the spelling")
    phrase = " ".join(words)
    if not _english().check(phrase):
        raise KeyFailure("the checksum of the recovery phrase is wrong: check the words and their order")
    return phrase


@cache
def _known() -> frozenset[str]:
    return frozenset(_english().wordlist)


def _whole_word(word: str) -> str:
    """The word that its first four letters stand for: no two words of the list share them."""
    if word in _known() or len(word) != _LETTERS:
        return word
    return next((each for each in _english().wordlist if each.startswith(word)), word)


def _nearest(word: str) -> str:
    near = get_close_matches(word, _english().wordlist, 1, 0.6)
    return f", perhaps {near[0]!r}" if near else ""


def seed_of_phrase(phrase: str, extra_word: str = "") -> bytes:
    """The 64-byte seed (PBKDF2-HMAC-SHA512, 2,048 rounds); `extra_word` is BIP-39's optional passphrase."""
    return bytes(Mnemonic.to_seed(normalise_phrase(phrase), extra_word))
