"""Finding a contribution's text wherever it may lie: pieces of its rows, and of their tokens, searched for in any file.

What is known to hold text is found by its own structure. This search is for the rest: what a kill left half written, a
cache that nobody thought of, a document that quotes a row. It looks for some rows of many, each by a long piece that is
written alike in JSON, CSV and HTML; compressed files it cannot see into.
"""

import json
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from openledger.data.row_json import read_row, texts_of

SAMPLED_ROWS = 32
SAMPLED_TOKEN_RUNS = 16
# Shorter pieces stand in texts of other people, too.
_LEAST_CHARACTERS, _MOST_CHARACTERS = 16, 200
_LEAST_TOKENS, _MOST_TOKENS = 6, 24
# Characters that some form of file writes in another way.
_WRITTEN_DIFFERENTLY = re.compile(r"[\"'\\<>&\x00-\x1f\x7f]")
_CHUNK_BYTES = 8 * 2**20
# Ids as programs store them: 32 and 64 bits of either order, 16 bits, and those of a span index, one more.
_TOKEN_FORMS = (("<i", 0), (">i", 0), ("<q", 0), ("<H", 0), (">H", 0), (">I", 1))
_WEIGHTS_HEADER_BYTES = 100 * 2**20
# Array files of a gradient index (attribution.lga.index.files): codes, bases, scales.
_ARRAYS = b"openledger-arrays/"


@dataclass(frozen=True, slots=True)
class Needles:
    """The byte strings to look for; empty where rows are too short to be told from anything else."""

    pieces: tuple[bytes, ...]

    @classmethod
    def of(cls, rows: Sequence[bytes], token_runs: Iterable[Sequence[int]] = ()) -> "Needles":
        """Pieces of some of the rows, and of these runs of token ids."""
        found: dict[bytes, None] = {}
        for row in evenly(rows, SAMPLED_ROWS):
            piece = longest_piece(texts_of(read_row(row)))
            if piece:
                found |= dict.fromkeys([piece.encode(), json.dumps(piece)[1:-1].encode()])
        for run in token_runs:
            found |= dict.fromkeys(_token_pieces(run))
        return cls(tuple(found))

    def are_in(self, stream: IO[bytes]) -> bool:
        """Whether a file holds one of them; weights are not looked through."""
        overlap = max(map(len, self.pieces), default=1) - 1
        kept = b""
        first = True
        while chunk := stream.read(_CHUNK_BYTES):
            if first and is_weights(chunk):
                return False
            first = False
            window = kept + chunk
            if any(piece in window for piece in self.pieces):
                return True
            kept = window[-overlap:] if overlap else b""
        return False


def longest_piece(texts: Iterable[str]) -> str:
    """The longest stretch that every form of file writes in the same way; empty where none is long enough."""
    best = max([part for text in texts for part in _WRITTEN_DIFFERENTLY.split(text)], key=len, default="")
    if len(best) < _LEAST_CHARACTERS:
        return ""
    start = max(0, (len(best) - _MOST_CHARACTERS) // 2)
    return best[start : start + _MOST_CHARACTERS]


def evenly(items: Sequence[bytes], count: int) -> Iterator[bytes]:
    """At most `count` of them, spread over all."""
    step = max(1, len(items) // count)
    yield from items[: step * count : step]


def is_weights(start: bytes) -> bool:
    """Whether a file that starts so holds numbers alone: safetensors, GGUF, an archive of torch, arrays of an index."""
    if start.startswith(_ARRAYS):
        return True
    header = int.from_bytes(start[:8], "little") if len(start) > 8 else 0
    return (0 < header <= _WEIGHTS_HEADER_BYTES and start[8:9] == b"{") or start[:4] in (b"GGUF", b"PK\x03\x04")


def _token_pieces(run: Sequence[int]) -> Iterator[bytes]:
    """The tokens of a run in every form in which programs store them."""
    if len(run) < _LEAST_TOKENS:
        return
    start = max(0, (len(run) - _MOST_TOKENS) // 2)
    chosen = run[start : start + _MOST_TOKENS]
    for code, added in _TOKEN_FORMS:
        largest = 2 ** (8 * struct.calcsize(code) - (1 if code[-1].islower() else 0)) - 1
        if max(chosen) + added <= largest:
            yield b"".join([struct.pack(code, each + added) for each in chosen])
