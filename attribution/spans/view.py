"""Reading a span index: from its files, or from the blocks that a proof carries. The rules need only these reads."""

import struct
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from abci_app.hashing import HASH_BYTES
from attribution.errors import AttributionError
from attribution.spans.blocks import DOCUMENTS, LISTS, SUFFIXES, TOKENS, UNIGRAMS, BlockList
from attribution.spans.commitment import SpanCommitment

NUMBER_BYTES = 4
NUMBER = struct.Struct(">I")
DOCUMENT = struct.Struct(f">III{HASH_BYTES}s{HASH_BYTES}s{HASH_BYTES}s")

assert DOCUMENT.size == DOCUMENTS.entry_bytes
assert {what.entry_bytes for what in (TOKENS, SUFFIXES, UNIGRAMS)} == {NUMBER_BYTES}


@dataclass(frozen=True, slots=True)
class Document:
    """One indexed training row: where it stands in the text and whose it is.

    `head` is the number of the first document of its cluster of duplicates, itself when it is the first: what is
    found in a cluster is credited to the head's owner.
    """

    number: int
    start: int
    length: int
    head: int
    owner: bytes
    contribution_id: bytes
    row_leaf: bytes

    def pack(self) -> bytes:
        """The list's entry, 108 bytes."""
        return DOCUMENT.pack(
            self.start, self.length, self.head, self.owner, self.contribution_id, self.row_leaf
        )  # fmt: skip

    def holds(self, position: int) -> bool:
        """Whether a position of the text lies in this document."""
        return self.start <= position < self.start + self.length


class SpanView(ABC):
    """Reads of one span index. Positions, ranks and tokens out of range are refused by `AttributionError`."""

    commitment: SpanCommitment

    @abstractmethod
    def block(self, what: BlockList, index: int) -> bytes:
        """One block of a list."""

    @abstractmethod
    def document_at(self, position: int) -> Document:
        """The document that holds a position of the text, which is no separator."""

    def entries(self, what: BlockList, first: int, count: int) -> bytes:
        """Entries [first, first + count) of a list, all within it."""
        if count == 0:
            return b""
        low, high = first // what.block_entries, (first + count - 1) // what.block_entries
        joined = b"".join(self.block(what, index) for index in range(low, high + 1))
        start = (first - low * what.block_entries) * what.entry_bytes
        return joined[start : start + count * what.entry_bytes]

    @property
    def text_tokens(self) -> int:
        """Length of the text with separators, and of the suffix array."""
        return self.commitment.parameters.text_tokens

    def suffix(self, rank: int) -> int:
        """Where the suffix of this rank starts."""
        (position,) = NUMBER.unpack(self.entries(SUFFIXES, rank, 1))
        if position >= self.text_tokens:
            raise AttributionError("suffixes", f"entry {rank} points behind the text: the index is not a suffix array")
        return int(position)

    def text(self, position: int, count: int) -> bytes:
        """`count` tokens from a position on, fewer at the end of the text, as they are stored."""
        return self.entries(TOKENS, position, min(count, self.text_tokens - position))

    def occurrences_of_token(self, token_id: int) -> int:
        """How many of the training tokens are this one."""
        (count,) = NUMBER.unpack(self.entries(UNIGRAMS, token_id, 1))
        return int(count)

    def document(self, number: int) -> Document:
        """A document by its number."""
        parameters = self.commitment.parameters
        start, length, head, *ids = DOCUMENT.unpack(self.entries(DOCUMENTS, number, 1))
        if head > number or length == 0 or start + length >= parameters.text_tokens:
            raise AttributionError("documents", f"entry {number} contradicts itself: the index was not built by rule")
        return Document(number, start, length, head, *ids)


class ProvenView(SpanView):
    """The blocks that a proof opened; reading any other is refused."""

    def __init__(self, commitment: SpanCommitment, blocks: Mapping[str, Mapping[int, bytes]]) -> None:
        """`blocks`: list name -> block number -> block, all checked against the commitment's roots."""
        self.commitment = commitment
        self._blocks = blocks
        self._used: dict[str, set[int]] = {what.name: set() for what in LISTS}
        self._documents = self._opened_documents()

    def block(self, what: BlockList, index: int) -> bytes:
        """An opened block; raises `AttributionError`."""
        block = self._blocks[what.name].get(index)
        if block is None:
            raise AttributionError(f"proof.{what.name}", f"block {index} is needed and missing: the proof is cut")
        self._used[what.name].add(index)
        return block

    def document_at(self, position: int) -> Document:
        """The opened document that holds a position."""
        place = bisect_right(self._documents, (position, self.text_tokens)) - 1
        if place >= 0:
            document = self.document(self._documents[place][1])
            if document.holds(position):
                return document
        raise AttributionError("proof.documents", f"the document at position {position} of the text is missing")

    def check_all_used(self) -> None:
        """Refuse blocks that nothing needed: a proof has one form, and room for nothing else."""
        for what in LISTS:
            surplus = self._blocks[what.name].keys() - self._used[what.name]
            if surplus:
                raise AttributionError(f"proof.{what.name}", f"block {min(surplus)} is not needed")

    def _opened_documents(self) -> list[tuple[int, int]]:
        """(start, number) of all opened documents, by start."""
        opened = []
        for index, block in self._blocks[DOCUMENTS.name].items():
            for place in range(len(block) // DOCUMENT.size):
                start = NUMBER.unpack_from(block, place * DOCUMENT.size)[0]
                opened.append((start, index * DOCUMENTS.block_entries + place))
        return sorted(opened)
