"""The document has one form; what is malformed is refused with its place."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.errors import AttributionError
from attribution.explanation import document as module
from attribution.explanation.document import Difference, decode, first_difference, from_base64, to_base64
from openledger.data.manifest import to_json
from tests.kit.attribution.explained import Story, tell


@pytest.fixture(scope="module")
def data(story: Story) -> bytes:
    return story.document.encode()


def test_the_form_is_canonical_and_its_digest_a_tagged_hash(story: Story, data: bytes) -> None:
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    assert decode(data).digest == story.document.digest
    assert len(story.document.digest) == 32


@given(st.data())
def test_a_document_cut_short_or_changed_is_refused_or_another_document(data: bytes, draws: st.DataObject) -> None:
    at = draws.draw(st.integers(0, len(data) - 1))
    with pytest.raises(AttributionError):
        decode(data[:at])
    byte = draws.draw(st.integers(0, 255))
    with suppress(AttributionError):
        assert decode(data[:at] + bytes([byte]) + data[at + 1 :]).encode() == data[:at] + bytes([byte]) + data[at + 1 :]


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(garbage: bytes) -> None:
    with pytest.raises(AttributionError):
        decode(garbage)


def broken(data: bytes, path: tuple[Any, ...], to: Any) -> bytes:
    """The document with one value replaced, in plain JSON."""
    tree = place = json.loads(data)
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()


GRADIENTS = ("layers", 0, "gradients")


@pytest.mark.parametrize(
    ("path", "to", "field", "reason"),
    [
        (("format",), "other", "format", "this program reads"),
        (("version",), 2, "format", "this program reads"),
        (("unexplained_ppb",), 10**9 + 1, "unexplained_ppb", "Expected `int` <= 1000000000"),
        (("unexplained_ppb",), 0.5, "unexplained_ppb", "Expected `int`, got `float`"),
        (("unexplained_ppb",), float("nan"), "explanation", "malformed"),
        (("unexplained_ppb",), True, "unexplained_ppb", "Expected `int`, got `bool`"),
        (("unexplained_ppb",), None, "unexplained_ppb", "Expected `int`, got `null`"),
        (("layers",), [], "layers", "length >= 1"),
        (("layers",), {}, "layers", "Expected `array`"),
        (("extra",), 1, "explanation", "unknown field `extra`"),
        (("entry_id",), "AB" * 32, "entry_id", "regex"),
        (("entry_id",), "ab" * 32 + "\n", "entry_id", "regex"),
        (("prompt", "token_ids"), [-1], "prompt.token_ids[0]", "Expected `int` >= 0"),
        (("prompt", "token_ids"), [2**32], "prompt.token_ids[0]", "Expected `int`"),
        (("layers", 0, "gradients", "owners", 0, "score"), "-0", "layers[0].gradients.owners[0].score", "regex"),
        (("layers", 0, "gradients", "owners", 0, "score"), "1e9", "layers[0].gradients.owners[0].score", "regex"),
        (("layers", 0, "gradients", "owners", 0, "score"), 7, "layers[0].gradients.owners[0].score", "`str`"),
        ((*GRADIENTS, "query_codes"), "a\n", "layers[0].gradients.query_codes", "regex"),
        ((*GRADIENTS, "parameters"), [], "layers[0].gradients.parameters", "Expected `object`"),
        ((*GRADIENTS, "parameters"), {"exponent": 0.5}, "layers[0].gradients.parameters[...]", "got `float`"),
        ((*GRADIENTS, "parameters"), {"exponent": None}, "layers[0].gradients.parameters[...]", "got `null`"),
        ((*GRADIENTS, "parameters"), {"checkpoints": True}, "layers[0].gradients.parameters[...]", "got `bool`"),
        ((*GRADIENTS, "parameters"), {"modules": [[], []]}, "layers[0].gradients.parameters[...][0]", "length 5"),
        ((*GRADIENTS, "parameters"), {str(name): 1 for name in range(65)}, "layers[0].gradients.parameters", "<= 64"),
    ],
)
def test_a_malformed_value_is_refused_with_its_place(
    data: bytes, path: tuple[Any, ...], to: Any, field: str, reason: str
) -> None:
    with pytest.raises(AttributionError, match=reason) as caught:
        decode(broken(data, path, to))
    assert caught.value.field == field


def test_more_rows_than_the_limit_are_refused(data: bytes) -> None:
    row = json.loads(data)["layers"][0]["gradients"]["rows"][0]
    with pytest.raises(AttributionError, match="length <= 64") as caught:
        decode(broken(data, (*GRADIENTS, "rows"), [row] * 65))
    assert caught.value.field == "layers[0].gradients.rows"


def test_other_spellings_of_the_same_content_are_refused(data: bytes) -> None:
    tree = json.loads(data)
    for other in (
        json.dumps(tree, sort_keys=True).encode(),
        json.dumps(dict(reversed(tree.items())), separators=(",", ":")).encode(),
        json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
        data + b"\n",
        data[:-1] + b',"version":1}',
    ):
        with pytest.raises(AttributionError, match="is not in canonical JSON"):
            decode(other)


def test_depth_and_size_are_bounded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = broken(data, (*GRADIENTS, "parameters"), {"deep": "HERE"}).replace(b'"HERE"', b"[" * 50_000 + b"]" * 50_000)
    with pytest.raises(AttributionError):
        decode(deep)
    monkeypatch.setattr(module, "MAX_DOCUMENT_BYTES", len(data) - 1)
    with pytest.raises(AttributionError, match=f"explanation: has {len(data)} bytes, more than {len(data) - 1}"):
        decode(data)


def test_true_is_not_one_although_python_says_so() -> None:
    class Part(msgspec.Struct):
        value: object

    difference = first_difference(Part({"checkpoints": 1}), Part({"checkpoints": True}))
    assert difference is not None
    assert (difference.field, difference.expected, difference.found) == ("value.checkpoints", "1", "true")
    assert first_difference(Part({"checkpoints": [1, "a"]}), Part({"checkpoints": (1, "a")})) is None


@given(st.binary(max_size=40))
def test_base64_reads_back(blob: bytes) -> None:
    assert from_base64(to_base64(blob), "x") == blob


@pytest.mark.parametrize("text", ["a", "ab", "abc", "ab==c", "aR==", "a b=", "ä"])
def test_other_base64_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(AttributionError, match="base64") as caught:
        from_base64(text, "rows[0].proof")
    assert caught.value.field == "rows[0].proof"


def test_differences_read_as_a_sentence(story: Story, tmp_path: Path) -> None:
    assert str(Difference("a.b", "1", "2")) == "a.b: the document says 2, it must be 1"
    bare = tell(tmp_path, embed=False).document
    difference = first_difference(bare, story.document)
    assert difference is not None
    assert (difference.field, difference.expected) == ("layers[0].gradients.evidence", "absent")
    difference = first_difference(story.document, bare)
    assert difference is not None
    assert (difference.field, difference.found) == ("layers[0].gradients.evidence", "absent")
    assert len(difference.expected) == 100
    assert to_json({"a": 1}) == b'{"a":1}'
