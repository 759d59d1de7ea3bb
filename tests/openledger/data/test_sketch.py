"""Sketches: the fast way gives what the plain definition gives, and near copies are near."""

import hashlib
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from openledger.data.normalised import normalised_text
from openledger.data.sketch import SKETCH_BYTES, Sketch, similarity_sketch, sketch_similarity_ppb

TEXTS = st.lists(st.text(st.sampled_from("ab cÄß\n."), max_size=60), max_size=6)


def plain_sketch(texts: list[str]) -> bytes:
    """The definition, step by step."""
    minima = [2**32 - 1] * 64
    for text in texts:
        tokens = re.findall(r"\w+", normalised_text(text))
        for start in range(max(1, len(tokens) - 4) if tokens else 0):
            digest = hashlib.sha256(" ".join(tokens[start : start + 5]).encode()).digest()
            bucket = digest[0] % 64
            minima[bucket] = min(minima[bucket], int.from_bytes(digest[1:5], "big"))
    return b"".join([value.to_bytes(4, "big") for value in minima])


@given(TEXTS)
def test_a_sketch_is_what_its_definition_says(texts: list[str]) -> None:
    assert similarity_sketch([json.dumps({"text": text}).encode() for text in texts]) == plain_sketch(texts)


@given(TEXTS, TEXTS)
def test_sketches_of_parts_make_the_sketch_of_the_whole(first: list[str], second: list[str]) -> None:
    parts = []
    for texts in (first, second):
        part = Sketch()
        for text in texts:
            part.add_texts([text])
        parts.append(part.encode())
    whole = Sketch()
    for part_bytes in reversed(parts):
        whole.add(part_bytes)
    assert whole.encode() == plain_sketch(first + second)


def test_sketches_tell_copies_from_other_text() -> None:
    text = " ".join(f"word{number % 97} item{number}" for number in range(400))
    original = similarity_sketch([json.dumps({"text": text}).encode()])
    copy = similarity_sketch([json.dumps({"other": text.upper(), "n": 1}).encode()])
    edited = similarity_sketch([json.dumps({"text": text + " and some words at the end"}).encode()])
    foreign = similarity_sketch([json.dumps({"text": " ".join(f"x{number}" for number in range(800))}).encode()])
    assert len(original) == SKETCH_BYTES
    assert sketch_similarity_ppb(original, copy) == 10**9
    assert sketch_similarity_ppb(original, edited) > 900_000_000
    assert sketch_similarity_ppb(original, foreign) < 100_000_000
