"""Similarity sketches of rows: how much two contributions overlap, told from 256 bytes each.

MinHash over token 5-grams (shorter rows: all their tokens), 64 big-endian 32-bit integers. Tokens are the words of the
row's text in normal form (openledger.data.normalised). One-permutation hashing: a 5-gram's SHA-256
gives bucket (first byte mod 64) and value (next 4 bytes), each bucket keeps its minimum, an empty one holds 2^32 - 1.
Equal text gives equal sketches on every machine; integers only.
"""

from collections.abc import Iterable
from hashlib import sha256

from abci_app.types import PPB
from openledger.data.normalised import normalised_text, words_of
from openledger.data.row_json import read_row, texts_of

SKETCH_BUCKETS = 64
SKETCH_BYTES = SKETCH_BUCKETS * 4
SHINGLE_TOKENS = 5
_EMPTY_BUCKET = b"\xff" * 4


class Sketch:
    """A sketch that grows row by row; the order of the rows does not matter."""

    def __init__(self) -> None:
        self._minima = [_EMPTY_BUCKET] * SKETCH_BUCKETS
        # No value at or above this changes anything: of many rows, few values do.
        self._highest = _EMPTY_BUCKET

    def add_texts(self, texts: Iterable[str]) -> None:
        """Add one row by its texts."""
        tokens = words_of(normalised_text(" ".join(texts)))
        if not tokens:
            return
        if len(tokens) > SHINGLE_TOKENS:
            shingles = map(" ".join, zip(*[tokens[place:] for place in range(SHINGLE_TOKENS)], strict=False))
        else:
            shingles = map(" ".join, [tokens])
        highest = self._highest
        digests = [sha256(shingle).digest() for shingle in map(str.encode, shingles)]
        low = [digest for digest in digests if digest[1:5] < highest]
        self._keep([(digest[0] % SKETCH_BUCKETS, digest[1:5]) for digest in low])

    def add(self, sketch: bytes) -> None:
        """Add all rows of another sketch."""
        self._keep([(at // 4, sketch[at : at + 4]) for at in range(0, SKETCH_BYTES, 4)])

    def encode(self) -> bytes:
        """The 256 bytes."""
        return b"".join(self._minima)

    def _keep(self, values: list[tuple[int, bytes]]) -> None:
        changed = False
        for bucket, value in values:
            if value < self._minima[bucket]:
                self._minima[bucket] = value
                changed = True
        if changed:
            self._highest = max(self._minima)


def similarity_sketch(rows: Iterable[bytes]) -> bytes:
    """The sketch of these rows, 256 bytes."""
    sketch = Sketch()
    for row in rows:
        sketch.add_texts(texts_of(read_row(row)))
    return sketch.encode()


def sketch_similarity_ppb(left: bytes, right: bytes) -> int:
    """Estimated overlap (Jaccard) of two sketches in parts per billion, over the buckets that either one fills."""
    if len(left) != SKETCH_BYTES or len(right) != SKETCH_BYTES:
        raise ValueError(f"a sketch has {SKETCH_BYTES} bytes")
    pairs = [(left[at : at + 4], right[at : at + 4]) for at in range(0, SKETCH_BYTES, 4)]
    filled = [pair for pair in pairs if pair != (_EMPTY_BUCKET, _EMPTY_BUCKET)]
    return PPB * sum(one == other for one, other in filled) // len(filled) if filled else 0
