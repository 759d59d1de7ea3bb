"""Building a span index: text, suffix array, counts, documents, Merkle trees, commitment.

The index is a function of the documents in their order and of the settings: two builders get the same bytes. An
interrupted build leaves a folder without commitment; building again writes everything anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from abci_app.hashing import HASH_BYTES, list_root_from, sha256
from attribution.errors import AttributionError
from attribution.spans.blocks import (
    DOCUMENTS,
    LISTS,
    SUFFIXES,
    TOKENS,
    UNIGRAMS,
    BlockList,
    block_tree,
)
from attribution.spans.commitment import MAX_TEXT, SpanCommitment, SpanParameters, SpanSettings
from attribution.spans.index import COMMITMENT_FILE, SpanIndex, tree_file
from attribution.spans.suffix_array import Uint32Array, suffix_array
from attribution.spans.view import Document


@dataclass(frozen=True, slots=True)
class SpanDocument:
    """One training row as the model saw it, and whose it is."""

    owner: bytes
    contribution_id: bytes
    row_leaf: bytes
    token_ids: "Sequence[int] | npt.NDArray[np.integer[Any]]"
    cluster: bytes = b""
    """Documents with the same name here are duplicates of one another; empty: of those with the same tokens."""


def build_span_index(documents: Iterable[SpanDocument], folder: Path, settings: SpanSettings) -> SpanIndex:
    """Index documents in the order in which credit for duplicates goes: as their contributions were registered.

    Writes into `folder` (made when missing, an index in it is replaced) and opens the result. Raises
    `AttributionError` for `documents[i].<field>` or a setting out of range.
    """
    SpanParameters(settings, 1, 1)  # refuse settings before the work
    folder.mkdir(parents=True, exist_ok=True)
    # Removed, not overwritten: a process that has the old index open goes on reading it. The commitment goes first.
    for name in (COMMITMENT_FILE, *(name for what in LISTS for name in (what.name, tree_file(what)))):
        (folder / name).unlink(missing_ok=True)
    document_count, text_tokens = _write_documents(documents, folder, settings)
    parameters = SpanParameters(settings, text_tokens - document_count, document_count)
    text = np.fromfile(folder / TOKENS.name, ">u4").astype(np.uint32)
    suffix_array(text).astype(">u4").tofile(folder / SUFFIXES.name)
    _unigrams(text, settings).tofile(folder / UNIGRAMS.name)
    roots = [_write_tree(folder, what, what.block_count(parameters.entry_count(what))) for what in LISTS]
    commitment = SpanCommitment(parameters, (roots[0], roots[1], roots[2], roots[3]))
    unfinished = folder / f"{COMMITMENT_FILE}.new"
    unfinished.write_bytes(commitment.encode())
    unfinished.replace(folder / COMMITMENT_FILE)
    return SpanIndex.open(folder)


def check_span_index(index: SpanIndex) -> None:
    """Make everything again that follows from tokens and documents: trees, counts and suffix array.

    Raises `AttributionError` for the first list that the builder would have written otherwise.
    """
    index.check_trees()
    check_lists(index)


def check_lists(index: SpanIndex) -> None:
    """Check that documents, counts and suffix array are those of the text; raises `AttributionError` for the list."""
    parameters = index.commitment.parameters
    stored = {what: index.entries(what, 0, parameters.entry_count(what)) for what in (TOKENS, SUFFIXES, UNIGRAMS)}
    text = np.frombuffer(stored[TOKENS], ">u4").astype(np.uint32)
    position = 0
    for number in range(parameters.document_count):
        document = index.document(number)
        end = document.start + document.length
        inside = text[document.start : end]
        if document.start != position or not inside.all() or text[end] or index.document(document.head).head > number:
            raise AttributionError(DOCUMENTS.name, f"entry {number} does not follow the separators of the text")
        if index.document(document.head).head != document.head:
            raise AttributionError(DOCUMENTS.name, f"entry {number} names a head that is no head")
        position = end + 1
    if position != parameters.text_tokens or int(text.max()) > parameters.settings.vocabulary_size:
        raise AttributionError(TOKENS.name, "the text does not end with its last document, or leaves the vocabulary")
    if _unigrams(text, parameters.settings).tobytes() != stored[UNIGRAMS]:
        raise AttributionError(UNIGRAMS.name, "the counts are not those of the text")
    if suffix_array(text).astype(">u4").tobytes() != stored[SUFFIXES]:
        raise AttributionError(SUFFIXES.name, "the suffix array is not that of the text")


def _write_documents(documents: Iterable[SpanDocument], folder: Path, settings: SpanSettings) -> tuple[int, int]:
    """Write text and documents; (number of documents, length of the text)."""
    heads: dict[bytes, int] = {}
    number = position = 0
    with (folder / TOKENS.name).open("wb") as tokens, (folder / DOCUMENTS.name).open("wb") as entries:
        for number, document in enumerate(documents):
            field = f"documents[{number}]"
            for name in ("owner", "contribution_id", "row_leaf"):
                value = getattr(document, name)
                if not isinstance(value, bytes) or len(value) != HASH_BYTES:
                    raise AttributionError(f"{field}.{name}", f"must have {HASH_BYTES} bytes")
            text = _stored(document.token_ids, settings.vocabulary_size, f"{field}.token_ids")
            # Clusters by name and by tokens share the table; the first byte keeps them apart.
            cluster = b"n" + document.cluster if document.cluster else b"t" + sha256(text)
            head = heads.setdefault(cluster, number)
            length = len(text) // TOKENS.entry_bytes
            if position + length + 1 > MAX_TEXT:
                raise AttributionError(field, f"the text exceeds {MAX_TEXT} tokens: make several indexes")
            tokens.write(text + bytes(TOKENS.entry_bytes))
            ids = document.owner, document.contribution_id, document.row_leaf
            entries.write(Document(number, position, length, head, *ids).pack())
            position += length + 1
    if position == 0:
        raise AttributionError("documents", "there are none: nothing can be indexed")
    return number + 1, position


def _stored(token_ids: "Sequence[int] | npt.NDArray[np.integer[Any]]", vocabulary_size: int, field: str) -> bytes:
    """Token ids as the text stores them."""
    if len(token_ids) == 0:
        raise AttributionError(field, "is empty: leave the document out")
    ids = np.asarray(token_ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise AttributionError(field, f"must be a sequence of token ids, not {ids.ndim}-dimensional {ids.dtype}")
    if ids.min() < 0 or ids.max() >= vocabulary_size:
        raise AttributionError(field, f"has an id outside the vocabulary of {vocabulary_size}")
    return (ids.astype(np.int64) + 1).astype(">u4").tobytes()


def _unigrams(text: Uint32Array, settings: SpanSettings) -> "npt.NDArray[np.uint32]":
    """How often each token id occurs, big-endian [vocabulary]."""
    counts = np.bincount(text, minlength=settings.vocabulary_size + 1)[1:]
    stored: npt.NDArray[np.uint32] = counts.astype(">u4")
    return stored


def _write_tree(folder: Path, what: BlockList, block_count: int) -> bytes:
    """Write a list's Merkle tree beside it; its list root."""
    data = (folder / what.name).read_bytes()
    levels = block_tree(data[start : start + what.block_bytes] for start in range(0, len(data), what.block_bytes))
    with (folder / tree_file(what)).open("wb") as stream:
        for level in levels:
            stream.write(b"".join(level))
    return list_root_from(what.kind, block_count, levels[-1][0])
