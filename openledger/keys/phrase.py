"""Recovery phrases: 24 words that hold 256 bits of entropy and a checksum of 8 bits (BIP-39, English list)."""

import secrets
from functools import cache

from mnemonic import Mnemonic

from openledger.errors import KeyFailure

ENTROPY_BYTES = 32
PHRASE_WORDS = 24
# Shorter phrases of other wallets can be recovered; new ones always have 24 words.
ACCEPTED_WORDS = (12, 15, 18, 21, 24)


@cache
def _english() -> Mnemonic:
    return Mnemonic("english")


def new_phrase() -> str:
    """A fresh 24-word phrase from the system's random source."""
    return phrase_of_entropy(secrets.token_bytes(ENTROPY_BYTES))


def phrase_of_entropy(entropy: bytes) -> str:
    """The words that stand for this entropy (16 to 32 bytes)."""
    return str(_english().to_mnemonic(entropy))


def normalise_phrase(text: str) -> str:
    """The phrase in lower case with single spaces; raises `KeyFailure` naming the word or the checksum."""
    words = text.lower().split()
    if len(words) not in ACCEPTED_WORDS:
        raise KeyFailure(f"a recovery phrase has {PHRASE_WORDS} words, this one has {len(words)}")
    known = frozenset(_english().wordlist)
    for place, word in enumerate(words, start=1):
        if word not in known:
            raise KeyFailure(f"word {place} of the recovery phrase ({word!r}) is not in the list: check its spelling")
    phrase = " ".join(words)
    if not _english().check(phrase):
        raise KeyFailure("the checksum of the recovery phrase is wrong: check the words and their order")
    return phrase


def seed_of_phrase(phrase: str, extra_word: str = "") -> bytes:
    """The 64-byte seed (PBKDF2-HMAC-SHA512, 2,048 rounds); `extra_word` is BIP-39's optional passphrase."""
    return bytes(Mnemonic.to_seed(normalise_phrase(phrase), extra_word))
