"""A model whose training text was erased: nothing of it is left, shares still verify, spans are said to be gone."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from attribution.erasure import TEXT_FILES, folders_with, has_rows_of, indexes_with, text_digests, token_runs
from attribution.explanation.document import Explanation, decode
from attribution.explanation.explainer import Explainer, why_no_text
from attribution.explanation.explanation import verify_integers
from attribution.stored import listing_of
from openledger.content.files import cache_home
from openledger.content.store import ContentErased
from openledger.content.tombstone import Erased, Tombstone
from tests.kit.trainer.explained import World, explained_world, prose

pytestmark = pytest.mark.ml


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with explained_world(tmp_path_factory.mktemp("erased")) as made:
        yield made


def erase(world: World, contribution_id: bytes) -> None:
    """Everything with text of one contribution, as the command removes it."""
    import shutil

    stone = Tombstone(Erased.SPAN_TEXT, "facts#1", contribution_id, "personal-data", 0)
    for folder in folders_with(cache_home(), contribution_id):
        shutil.rmtree(folder)
    for index in indexes_with(world.store, contribution_id):
        for _, digest in index.digests:
            world.store.erase("sha256", digest, stone)


def files_with(folder: Path, needle: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


def test_text_of_a_model_can_be_erased_and_its_shares_still_verify(world: World) -> None:
    exchange = world.explainer.exchange("", prose(7))
    before = world.explainer.explain(exchange, rows=2)
    assert [bool(layer.spans) for layer in before.layers] == [True, True, False]
    contribution_id = next(iter(world.records.contributions))
    (index, *_) = list(indexes_with(world.store, contribution_id))
    files = {each.name: each.digest for each in listing_of(world.store, index.root)}
    documents, tokens = (world.store.get(files[name]) for name in ("documents", "tokens"))
    runs = token_runs(documents, tokens, contribution_id)
    needles = [b"".join([struct.pack(">I", each + 1) for each in run[:8]]) for run in runs]
    assert all(files_with(world.folder, needle) for needle in needles)
    assert (has_rows_of(documents, contribution_id), has_rows_of(documents, b"\1" * 32)) == (True, False)

    erase(world, contribution_id)

    assert [needle for needle in needles if files_with(world.folder, needle)] == []
    assert not any(world.store.has(digest) for digest in text_digests(world.store))
    # The list of documents stays: whose rows were indexed can still be shown.
    assert has_rows_of(world.store.get(files["documents"]), contribution_id)
    for name in TEXT_FILES:
        with pytest.raises(ContentErased, match="the text below a model's spans was erased"):
            world.store.get(files[name])

    said: list[str] = []
    explainer = Explainer(world.explainer.entries, world.store, said.append)
    after = explainer.explain(exchange, rows=2)
    assert [(layer.spans, layer.spans_erased) for layer in after.layers] == [(UNSET, 1), (UNSET, 1), (UNSET, UNSET)]
    assert (after.by_owner, after.unexplained_ppb) == (before.by_owner, before.unexplained_ppb)
    assert [layer.gradients for layer in after.layers] == [layer.gradients for layer in before.layers]
    assert sum("spans of that model can no longer be shown" in line for line in said) == 2
    facts = world.explainer.entries.facts
    assert verify_integers(decode(after.encode()), facts) is None
    assert verify_integers(after, facts, explainer.evidence()) is None
    # One that was made before the erasure verifies by what it carries.
    assert verify_integers(decode(before.encode()), facts) is None
    _refuses_what_holds_spans_back(before, after, facts)
    digest = world.records.contributions[contribution_id].commitment.content_digest
    assert why_no_text(world.records, world.store, contribution_id) == "not stored here"
    world.store.erase("sha256", digest, Tombstone(Erased.ROWS, "facts#1", contribution_id, "personal-data", 0))
    assert why_no_text(world.records, world.store, contribution_id) == "erased on 1970-01-01"


def _refuses_what_holds_spans_back(before: Explanation, after: Explanation, facts: Any) -> None:
    def with_layer(document: Explanation, **changes: object) -> Explanation:
        first, *rest = document.layers
        return msgspec.structs.replace(document, layers=(msgspec.structs.replace(first, **changes), *rest))

    for document, field in (
        (with_layer(after, spans_erased=UNSET), "layers[0].spans"),
        (with_layer(before, spans_erased=1), "layers[0].spans"),
        (with_layer(before, spans=UNSET), "layers[0].spans"),
    ):
        difference = verify_integers(document, facts)
        assert difference is not None
        assert difference.field == field
    raw = json.loads(after.encode())
    raw["layers"][0]["spans_erased"] = 2
    with pytest.raises(ValueError, match="spans_erased"):
        decode(json.dumps(raw).encode())


def test_a_build_that_was_killed_and_a_cut_list_of_documents_are_found(tmp_path: Path) -> None:
    entry = struct.pack(">III32s32s32s", 0, 5, 0, b"\1" * 32, b"\7" * 32, b"\3" * 32)
    for name in ("whole", "cut", "other", "no text"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "documents").write_bytes(entry + (entry[:50] if name == "cut" else b""))
        if name != "no text":
            (tmp_path / name / "tokens").write_bytes(bytes(24))
    (tmp_path / "other" / "documents").write_bytes(entry.replace(b"\7" * 32, b"\6" * 32))
    assert [folder.name for folder in folders_with(tmp_path, b"\7" * 32)] == ["cut", "whole"]
    assert list(folders_with(tmp_path / "nowhere", b"\7" * 32)) == []
