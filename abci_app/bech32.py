"""Bech32m text form of 32-byte ids: a typed prefix, the id, a checksum of 30 bits.

Source: BIP-173 and BIP-350 (the constant 0x2BC830A3 is what tells bech32m from bech32). The prefix is part of the
checksum, so an id of one kind never passes for another, and any error of up to four characters is found.
"""

from collections.abc import Iterable

PREFIXES: dict[str, str] = {
    "open": "address",
    "oldata": "DataNet",
    "olrun": "provenance entry",
    "olmodel": "model",
    "olterms": "terms",
    "olbatch": "claim batch",
    "olchan": "channel",
    "olcontrib": "contribution",
}

ID_BYTES = 32
CHECKSUM_CHARACTERS = 6
# BIP-350: the checksum finds errors reliably in texts of at most 90 characters.
MAX_TEXT_CHARACTERS = 90

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_BECH32M = 0x2BC830A3
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


class IdError(ValueError):
    """A text is not the id it is meant to be: one line that says why."""


def encode_id(prefix: str, id_bytes: bytes) -> str:
    """`open1...` and the like; raises `IdError` unless the prefix is known and the id has 32 bytes."""
    if prefix not in PREFIXES:
        raise IdError(f"unknown id prefix {prefix!r}: use one of {', '.join(PREFIXES)}")
    if len(id_bytes) != ID_BYTES:
        raise IdError(f"an id has {ID_BYTES} bytes, got {len(id_bytes)}")
    return encode_words(prefix, _regroup(id_bytes, 8, 5, pad=True))


def decode_id(text: str, expected_prefix: str | None = None) -> tuple[str, bytes]:
    """(prefix, 32 bytes) of an id; raises `IdError` when it is not one, or not of the expected kind."""
    prefix, words = decode_words(text)
    if prefix not in PREFIXES:
        raise IdError(f"{text!r} has the unknown prefix {prefix!r}: expected {expected_prefix or ', '.join(PREFIXES)}")
    if expected_prefix is not None and prefix != expected_prefix:
        wanted = PREFIXES.get(expected_prefix, expected_prefix)
        raise IdError(
            f"{text!r} is an id of kind {PREFIXES[prefix]}, here one of kind {wanted} is needed ({expected_prefix}1...)"
        )
    id_bytes = bytes(_regroup(words, 5, 8, pad=False))
    if len(id_bytes) != ID_BYTES:
        raise IdError(f"{text!r} holds {len(id_bytes)} bytes, an id has {ID_BYTES}")
    return prefix, id_bytes


def encode_words(prefix: str, words: Iterable[int]) -> str:
    """Bech32m text of 5-bit words under any prefix (BIP-350)."""
    body = list(words)
    state = _polymod([*_expand(prefix), *body, *[0] * CHECKSUM_CHARACTERS]) ^ _BECH32M
    checksum = [state >> 5 * (CHECKSUM_CHARACTERS - 1 - place) & 31 for place in range(CHECKSUM_CHARACTERS)]
    return prefix + "1" + "".join([_ALPHABET[word] for word in body + checksum])


def decode_words(text: str) -> tuple[str, list[int]]:
    """(prefix, 5-bit words) of any bech32m text; raises `IdError` (BIP-350)."""
    if len(text) > MAX_TEXT_CHARACTERS:
        raise IdError(f"an id has at most {MAX_TEXT_CHARACTERS} characters, this text has {len(text)}")
    if any(not "!" <= character <= "~" for character in text):
        raise IdError(f"{text!r} holds a character that no id has")
    if text.lower() != text and text.upper() != text:
        raise IdError(f"{text!r} mixes upper and lower case: copy the id again")
    lowered = text.lower()
    prefix, separator, body = lowered.rpartition("1")
    if not separator or not prefix or len(body) < CHECKSUM_CHARACTERS:
        raise IdError(f"{text!r} is not an id: expected a prefix, the digit 1 and at least 6 characters")
    unknown = [character for character in body if character not in _VALUES]
    if unknown:
        raise IdError(f"{text!r} holds {unknown[0]!r}, which no id has after the digit 1")
    words = [_VALUES[character] for character in body]
    if _polymod([*_expand(prefix), *words]) != _BECH32M:
        raise IdError(f"{text!r} has a wrong checksum: a character is wrong or missing, copy the id again")
    return prefix, words[:-CHECKSUM_CHARACTERS]


def _polymod(words: Iterable[int]) -> int:
    """Remainder of the BCH code of BIP-173."""
    state = 1
    for word in words:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ word
        for place, generator in enumerate(_GENERATOR):
            if top >> place & 1:
                state ^= generator
    return state


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _regroup(words: Iterable[int], from_bits: int, to_bits: int, *, pad: bool) -> list[int]:
    """Regroup bits; without `pad`, leftover bits must be fewer than a word and zero, so that each id has one text."""
    accumulator = 0
    bits = 0
    out: list[int] = []
    for word in words:
        accumulator = accumulator << from_bits | word
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            out.append(accumulator >> bits)
            accumulator &= (1 << bits) - 1
    if pad and bits:
        out.append(accumulator << (to_bits - bits))
    elif not pad and (bits >= from_bits or accumulator):
        raise IdError("the id has padding bits that are not zero")
    return out
