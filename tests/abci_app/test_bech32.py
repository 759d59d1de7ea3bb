"""Ids as text: BIP-350's vectors, typed prefixes, one text for each id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.bech32 import PREFIXES, IdError, decode_id, decode_words, encode_id, encode_words

# BIP-350, "Test vectors for Bech32m".
VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
INVALID = [
    "\x201xj0phk",
    "\x7f1g6xzxy",
    "\x801vctc34",
    "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
    "qyrz8wqd2c9m",
    "1qyrz8wqd2c9m",
    "y1b0jsk6g",
    "lt1igcx5c0",
    "in1muywd",
    "mm1crxm3i",
    "au1s5cgom",
    "M1VUXWEZ",
    "16plkw9",
    "1p2gdwpf",
]


@pytest.mark.parametrize("text", VALID)
def test_valid_text_of_bip_350_decodes_and_encodes_back(text: str) -> None:
    prefix, words = decode_words(text)
    assert encode_words(prefix, words) == text.lower()


@pytest.mark.parametrize("text", INVALID)
def test_invalid_text_of_bip_350_is_refused(text: str) -> None:
    with pytest.raises(IdError):
        decode_words(text)


@given(st.sampled_from(sorted(PREFIXES)), st.binary(min_size=32, max_size=32))
def test_every_id_comes_back_in_either_case(prefix: str, id_bytes: bytes) -> None:
    text = encode_id(prefix, id_bytes)
    assert decode_id(text, prefix) == (prefix, id_bytes)
    assert decode_id(text.upper()) == (prefix, id_bytes)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 10**6), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_one_changed_character_is_always_found(id_bytes: bytes, place: int, character: str) -> None:
    text = encode_id("olrun", id_bytes)
    place = 6 + place % (len(text) - 6)
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(IdError, match="wrong checksum"):
            decode_id(changed)


def test_an_id_of_one_kind_never_passes_for_another() -> None:
    text = encode_id("oldata", bytes(32))
    with pytest.raises(IdError, match=r"is an id of kind DataNet, here one of kind model is needed \(olmodel1\.\.\.\)"):
        decode_id(text, "olmodel")
    with pytest.raises(IdError, match="wrong checksum"):
        decode_id("olmodel" + text.removeprefix("oldata"))


def test_foreign_prefixes_and_lengths_are_refused() -> None:
    with pytest.raises(IdError, match="unknown prefix"):
        decode_id("a1lqfn3a")
    with pytest.raises(IdError, match="unknown id prefix"):
        encode_id("cosmos", bytes(32))
    with pytest.raises(IdError, match="32 bytes, got 20"):
        encode_id("open", bytes(20))
    with pytest.raises(IdError, match="holds 0 bytes"):
        decode_id(encode_words("open", []))
