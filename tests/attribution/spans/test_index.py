"""An index is a function of documents and settings, reads back what went in, and refuses files that are not its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from abci_app.hashing import list_root
from attribution.errors import AttributionError
from attribution.spans import build as span_build
from attribution.spans.blocks import DOCUMENTS, LISTS, SUFFIXES, TOKENS, UNIGRAMS
from attribution.spans.build import SpanDocument, build_span_index, check_span_index
from attribution.spans.commitment import SpanSettings
from attribution.spans.index import SpanIndex
from attribution.spans.view import Document
from tests.kit.attribution.naive_spans import VOCABULARY, built, corpora, document, loose

DOCUMENTS_HERE = [document([0, 1, 2, 3], 1, 1), document([0, 1], 2, 2), document([0, 1, 2, 3], 3, 3)]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spans")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built(DOCUMENTS_HERE, tmp_path / "index").close()
    return tmp_path / "index"


def test_the_files_are_the_lists_that_the_format_says(folder: Path) -> None:
    stored = [[1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 3, 4, 0], [12, 4, 7, 5, 8, 0, 6, 9, 1, 10, 2, 11, 3], [3, 3, 2, 2, 0]]
    assert sorted(range(13), key=lambda start: stored[0][start:]) == stored[1]
    for what, numbers in zip((TOKENS, SUFFIXES, UNIGRAMS), stored, strict=True):
        assert (folder / what.name).read_bytes() == b"".join(number.to_bytes(4) for number in numbers)
    ids = [(item.owner, item.contribution_id, item.row_leaf) for item in DOCUMENTS_HERE]
    rows = [Document(0, 0, 4, 0, *ids[0]), Document(1, 5, 2, 1, *ids[1]), Document(2, 8, 4, 0, *ids[2])]
    assert (folder / DOCUMENTS.name).read_bytes() == b"".join(row.pack() for row in rows)
    with SpanIndex.open(folder) as index:
        assert [index.document(number) for number in range(3)] == rows
        roots = [
            list_root(what.kind, [data[at : at + what.block_bytes] for at in range(0, len(data), what.block_bytes)])
            for what in LISTS
            for data in [(folder / what.name).read_bytes()]
        ]
        assert list(index.commitment.roots) == roots


@given(corpora())
def test_every_builder_and_form_of_tokens_gives_the_same_root(scratch: Path, documents: list[SpanDocument]) -> None:
    with built(documents, scratch / "a") as index:
        check_span_index(index)
        root = index.commitment.root
        starts = [index.document(number).start for number in range(len(documents))]
        assert [index.document_at(start).number for start in starts] == list(range(len(documents)))
    arrays = [
        SpanDocument(item.owner, item.contribution_id, item.row_leaf, np.array(item.token_ids, np.uint16), item.cluster)
        for item in documents
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(__import__("sys").modules, "pydivsufsort", None)
        with build_span_index(iter(arrays), scratch / "b", loose()) as other:
            assert other.commitment.root == root


def test_an_index_being_read_survives_the_building_of_another_in_its_place(folder: Path) -> None:
    with SpanIndex.open(folder) as old:
        before = old.find_spans([0, 1, 2, 3])
        built([document([4])], folder).close()
        assert old.find_spans([0, 1, 2, 3]) == before != ()


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        ([], "documents: there are none: nothing can be indexed"),
        ([document([0]), document([])], "documents[1].token_ids: is empty: leave the document out"),
        ([document([0, VOCABULARY])], "documents[0].token_ids: has an id outside the vocabulary of 5"),
        ([document([-1])], "documents[0].token_ids: has an id outside the vocabulary of 5"),
        ([document([2**70])], "documents[0].token_ids: must be a sequence of token ids, not 1-dimensional object"),
        ([document(np.array([0.5, np.nan]))], "documents[0].token_ids: must be a sequence of token ids, not 1-dim"),
        ([document(np.zeros((2, 2), int))], "documents[0].token_ids: must be a sequence of token ids, not 2-dim"),
        ([SpanDocument(b"o", bytes(32), bytes(32), [0])], "documents[0].owner: must have 32 bytes"),
        ([SpanDocument(bytes(32), b"", bytes(32), [0])], "documents[0].contribution_id: must have 32 bytes"),
        ([SpanDocument(bytes(32), bytes(32), bytes(33), [0])], "documents[0].row_leaf: must have 32 bytes"),
    ],
)
def test_documents_that_cannot_be_indexed_are_named(tmp_path: Path, documents: list[Any], reason: str) -> None:
    with pytest.raises(AttributionError) as caught:
        build_span_index(documents, tmp_path, loose())
    assert str(caught.value).startswith(reason)
    with pytest.raises(AttributionError, match="is missing: build the index to its end"):
        SpanIndex.open(tmp_path)


def test_settings_out_of_range_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(AttributionError, match=r"^commitment\.vocabulary_size"):
        build_span_index(DOCUMENTS_HERE, tmp_path / "index", SpanSettings(0))
    assert list(tmp_path.iterdir()) == []


def test_a_text_beyond_32_bits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_build, "MAX_TEXT", 8)
    build_span_index(DOCUMENTS_HERE[:2], tmp_path, loose()).close()
    with pytest.raises(AttributionError, match=r"^documents\[2\]: the text exceeds 8 tokens: make several indexes"):
        build_span_index(DOCUMENTS_HERE, tmp_path, loose())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize("damage", [cut, lengthen, Path.unlink])
@pytest.mark.parametrize("name", ["commitment", *(name for what in LISTS for name in (what.name, f"{what.name}.tree"))])
def test_a_file_that_is_cut_longer_or_missing_is_named(folder: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(folder / name)
    with pytest.raises(AttributionError) as caught:
        SpanIndex.open(folder)
    parsed = name == "commitment" and damage is not Path.unlink
    assert caught.value.field == ("commitment" if parsed else f"index/{name}")


def test_the_tree_of_another_index_is_refused(folder: Path, tmp_path: Path) -> None:
    built([*DOCUMENTS_HERE[:2], document([0, 1, 3, 3], 3, 3)], tmp_path / "other").close()
    shutil.copy(tmp_path / "other" / "tokens.tree", folder / "tokens.tree")
    with pytest.raises(AttributionError, match=r"^index/tokens\.tree: belongs to another index; build it again"):
        SpanIndex.open(folder)


@pytest.mark.parametrize("what", LISTS, ids=lambda what: what.name)
def test_the_audit_names_the_list_whose_file_was_changed(folder: Path, what: Any) -> None:
    path = folder / what.name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with SpanIndex.open(folder) as index, pytest.raises(AttributionError, match=rf"^{what.name}: a block is not the"):
        check_span_index(index)


def swap(data: bytes, entry_bytes: int) -> bytes:
    """The second and third entries change places."""
    one, two, three = (data[at : at + entry_bytes] for at in (0, entry_bytes, 2 * entry_bytes))
    return one + three + two + data[3 * entry_bytes :]


@pytest.mark.parametrize("what", LISTS, ids=lambda what: what.name)
def test_the_audit_names_the_list_that_its_maker_committed_against_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: Any
) -> None:
    honest = span_build._write_tree

    def dishonest(folder: Path, item: Any, block_count: int) -> bytes:
        if item is what:
            path = folder / item.name
            path.write_bytes(swap(path.read_bytes(), item.entry_bytes))
        return honest(folder, item, block_count)

    monkeypatch.setattr(span_build, "_write_tree", dishonest)
    documents = [document([0, 1, 2, 3], 1, 1), document([0, 2], 2, 2), document([0, 3, 3, 3], 3, 3)]
    with built(documents, tmp_path) as index, pytest.raises(AttributionError) as caught:
        check_span_index(index)
    # A forger who moves tokens within a document has the counts right, and the suffix array of another text.
    assert caught.value.field == (SUFFIXES.name if what is TOKENS else what.name)
