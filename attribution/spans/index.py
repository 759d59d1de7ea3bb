"""Span index on disk: built once with the training, read through memory maps, without a model and without numpy.

Files in the folder, all integers big-endian: `tokens`, `suffixes`, `unigrams`, `documents` (the lists of
`attribution.spans.blocks`, entry after entry), `<list>.tree` (all levels of its Merkle tree, leaves first) and
`commitment`, which is written last: a folder without it is an index that was not finished.
"""

import mmap
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from abci_app.hashing import HASH_BYTES, list_root_from
from attribution.errors import AttributionError
from attribution.spans.blocks import (
    DOCUMENTS,
    LISTS,
    SUFFIXES,
    TOKENS,
    BlockList,
    block_tree,
    level_widths,
)
from attribution.spans.commitment import MAX_COMMITMENT_BYTES, SpanCommitment
from attribution.spans.find import FoundSpan, Span, SpanShares, common_tokens, encode_output, keep_spans, span_shares
from attribution.spans.view import DOCUMENT, NUMBER, NUMBER_BYTES, Document, SpanView

COMMITMENT_FILE = "commitment"


def tree_file(what: BlockList) -> str:
    """Name of the file with a list's Merkle tree."""
    return f"{what.name}.tree"


class SpanIndex(SpanView):
    """An index opened for reading; a context manager. Threads may share it."""

    def __init__(self, commitment: SpanCommitment, maps: dict[str, mmap.mmap]) -> None:
        """Use `open`."""
        self.commitment = commitment
        self._maps = maps
        self._tokens = maps[TOKENS.name]
        self._suffixes = maps[SUFFIXES.name]
        self._ranks = range(commitment.parameters.text_tokens)

    @classmethod
    def open(cls, folder: Path) -> "SpanIndex":
        """Open a finished index; raises `AttributionError` naming the file. Lists are not read through: see `audit`."""
        path = folder / COMMITMENT_FILE
        if not path.is_file():
            raise AttributionError(f"{folder.name}/{COMMITMENT_FILE}", "is missing: build the index to its end")
        with path.open("rb") as stream:
            commitment = SpanCommitment.decode(stream.read(MAX_COMMITMENT_BYTES + 1))
        maps: dict[str, mmap.mmap] = {}
        for what in LISTS:
            entry_count = commitment.parameters.entry_count(what)
            block_count = what.block_count(entry_count)
            maps[what.name] = _map(folder / what.name, entry_count * what.entry_bytes)
            tree = _map(folder / tree_file(what), sum(level_widths(block_count)) * HASH_BYTES)
            maps[tree_file(what)] = tree
            if list_root_from(what.kind, block_count, tree[-HASH_BYTES:]) != commitment.root_of(what):
                raise AttributionError(f"{folder.name}/{tree_file(what)}", "belongs to another index; build it again")
        return cls(commitment, maps)

    def close(self) -> None:
        """Release the files."""
        for mapped in self._maps.values():
            mapped.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def block(self, what: BlockList, index: int) -> bytes:
        """One block of a list."""
        start = index * what.block_bytes
        return self._maps[what.name][start : start + what.block_bytes]

    def entries(self, what: BlockList, first: int, count: int) -> bytes:
        """Entries of a list, straight from the file."""
        return self._maps[what.name][first * what.entry_bytes : (first + count) * what.entry_bytes]

    def tree_node(self, what: BlockList, level: int, index: int) -> bytes:
        """One hash of a list's Merkle tree; level 0 are the blocks."""
        widths = level_widths(what.block_count(self.commitment.parameters.entry_count(what)))
        place = (sum(widths[:level]) + index) * HASH_BYTES
        return self._maps[tree_file(what)][place : place + HASH_BYTES]

    def document_at(self, position: int) -> Document:
        """The document that holds a position of the text."""
        numbers = range(self.commitment.parameters.document_count)
        documents = self._maps[DOCUMENTS.name]

        def start_of(number: int) -> int:
            return int(NUMBER.unpack_from(documents, number * DOCUMENT.size)[0])

        document = self.document(bisect_right(numbers, position, key=start_of) - 1)
        if not document.holds(position):
            raise AttributionError("documents", f"position {position} of the text is in none of them")
        return document

    def rank_of(self, word: bytes) -> int:
        """How many suffixes come before every suffix that begins with `word`, or could."""
        return bisect_left(self._ranks, word, key=self._key(len(word)))

    def find(self, word: bytes) -> tuple[int, int]:
        """Ranks [first, stop) of the suffixes that begin with `word` (stored tokens)."""
        key = self._key(len(word))
        first = bisect_left(self._ranks, word, key=key)
        return first, bisect_right(self._ranks, word, lo=first, key=key)

    def match_ends(self, query: bytes) -> list[int]:
        """For every place of an encoded output the end of the longest stretch from there on that the text has."""
        ends = []
        for start in range(len(query) // NUMBER_BYTES):
            word = query[start * NUMBER_BYTES :]
            key, rank = self._key(len(word)), self.rank_of(word)
            neighbours = [near for near in (rank - 1, rank) if near in self._ranks]
            ends.append(start + max(common_tokens(word, key(near)) for near in neighbours))
        return ends

    def all_spans(self, output_ids: Sequence[int]) -> tuple[FoundSpan, ...]:
        """Every span of at least `min_tokens` tokens, by place, with any surprisal and number of occurrences."""
        parameters = self.commitment.parameters
        query = encode_output(parameters, output_ids)
        spans, before = [], 0
        for start, end in enumerate(self.match_ends(query)):
            if end > before and end - start >= parameters.settings.min_tokens:
                spans.append(FoundSpan(start, end, *self.find(query[start * NUMBER_BYTES : end * NUMBER_BYTES])))
            before = end
        return tuple(spans)

    def find_spans(self, output_ids: Sequence[int]) -> tuple[Span, ...]:
        """The kept spans of an output, by place; raises `AttributionError` for `output_ids`."""
        return keep_spans(self, output_ids, self.all_spans(output_ids))

    def span_shares(self, output_ids: Sequence[int]) -> SpanShares:
        """Shares of an output, by its kept spans."""
        return span_shares(self.find_spans(output_ids), len(output_ids))

    def check_trees(self) -> None:
        """Make the trees of all lists again; raises `AttributionError` for the first that the blocks do not give."""
        for what in LISTS:
            count = what.block_count(self.commitment.parameters.entry_count(what))
            tree = block_tree(self.block(what, index) for index in range(count))
            if b"".join(map(b"".join, tree)) != self._maps[tree_file(what)][:]:
                raise AttributionError(what.name, "a block is not the committed one; take the files from elsewhere")

    def _key(self, size: int) -> Callable[[int], bytes]:
        """Function from a rank to the first `size` bytes of its suffix."""
        tokens, suffixes, unpack = self._tokens, self._suffixes, NUMBER.unpack_from

        def key(rank: int) -> bytes:
            start = unpack(suffixes, rank * NUMBER_BYTES)[0] * NUMBER_BYTES
            return tokens[start : start + size]

        return key


def _map(path: Path, size: int) -> mmap.mmap:
    """A file of exactly this size, mapped for reading."""
    field = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise AttributionError(field, "is missing; take the files from elsewhere or build the index again")
    if path.stat().st_size != size:
        raise AttributionError(field, f"has {path.stat().st_size} bytes, not {size}: it is cut or of another index")
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
