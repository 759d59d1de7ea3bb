"""Which files of indexes hold the text of a contribution, in a content store and in folders of caches.

A span index holds the tokens of all its documents, and its suffix array with the counts of tokens gives them back: the
first token of the suffix of each rank follows from the counts. So the three lists go together, and with them the hashes
over their blocks, by which short texts could be guessed. What stays is the commitment and the list of documents: how
many tokens of which row of whose were indexed. A gradient index holds codes, from which shares are paid; it stays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from attribution.errors import AttributionError
from attribution.spans.blocks import DOCUMENTS, SUFFIXES, TOKENS, UNIGRAMS
from attribution.spans.index import tree_file
from attribution.spans.view import DOCUMENT, NUMBER_BYTES
from attribution.stored import listing_of
from openledger.content.store import ContentError, ContentStore

_OF_TEXT = (TOKENS, SUFFIXES, UNIGRAMS)
TEXT_FILES = frozenset([name for what in _OF_TEXT for name in (what.name, tree_file(what))])
# Token runs to look for elsewhere.
_RUNS = 16
_KIND = "index"


@dataclass(frozen=True, slots=True)
class IndexedText:
    """A span index in the store that has rows of a contribution: its root, and the digests of its files with text."""

    root: bytes
    digests: tuple[tuple[str, bytes], ...]


def indexes_with(store: ContentStore, contribution_id: bytes) -> Iterator[IndexedText]:
    """Every span index of the store that has a row of this contribution, also where its text is erased already.

    An index whose list of documents cannot be read counts as one: nobody can tell that it has none.
    """
    for root, files in _span_indexes(store):
        try:
            has_it = has_rows_of(store.get(files[DOCUMENTS.name]), contribution_id)
        except (ContentError, KeyError):
            has_it = True
        if has_it:
            text = tuple([(name, digest) for name, digest in sorted(files.items()) if name in TEXT_FILES])
            yield IndexedText(root, text)


def text_digests(store: ContentStore, without: Sequence[bytes] = ()) -> frozenset[bytes]:
    """Digests of the files with text of all span indexes but those of these roots."""
    return frozenset(
        [
            digest
            for root, files in _span_indexes(store)
            for name, digest in files.items()
            if name in TEXT_FILES and root not in without
        ]
    )


def _span_indexes(store: ContentStore) -> Iterator[tuple[bytes, dict[str, bytes]]]:
    """Root and files by name of every span index that the store lists."""
    for file in store.files():
        if file.kind == _KIND:
            try:
                files = {each.name: each.digest for each in listing_of(store, bytes.fromhex(file.name))}
            except (ContentError, AttributionError):
                continue
            if TEXT_FILES & files.keys():
                yield bytes.fromhex(file.name), files


def folders_with(folder: Path, contribution_id: bytes) -> Iterator[Path]:
    """Every folder below this one that is a span index, finished or not, with a row of this contribution."""
    for documents in sorted(folder.rglob(DOCUMENTS.name)):
        holder = documents.parent
        if documents.is_file() and any((holder / name).exists() for name in TEXT_FILES):
            try:
                has_it = has_rows_of(documents.read_bytes(), contribution_id)
            except OSError:
                continue
            if has_it:
                yield holder


def has_rows_of(documents: bytes, contribution_id: bytes) -> bool:
    """Whether a list of documents, maybe cut short, names this contribution."""
    return any(contribution == contribution_id for *_, contribution, _leaf in _entries(documents))


def token_runs(documents: bytes, tokens: bytes, contribution_id: bytes) -> list[list[int]]:
    """Token ids of some of the contribution's rows, for finding them elsewhere."""
    runs: list[list[int]] = []
    for start, length, _head, _owner, contribution, _leaf in _entries(documents):
        if contribution == contribution_id and len(runs) < _RUNS:
            stored = tokens[start * NUMBER_BYTES : (start + length) * NUMBER_BYTES]
            numbers = [int.from_bytes(stored[at : at + NUMBER_BYTES]) - 1 for at in range(0, len(stored), NUMBER_BYTES)]
            runs.append([number for number in numbers if number >= 0])
    return runs


def _entries(documents: bytes) -> Iterator[tuple[int, int, int, bytes, bytes, bytes]]:
    """(start, length, head, owner, contribution, row leaf) of every document."""
    whole = len(documents) - len(documents) % DOCUMENT.size
    yield from DOCUMENT.iter_unpack(documents[:whole])
