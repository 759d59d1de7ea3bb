"""The commitment of a span index: one form, bounded, every field checked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from attribution.errors import AttributionError
from attribution.spans.commitment import MAX_ABOUT_BYTES, SpanCommitment, SpanParameters, SpanSettings
from openledger.data.manifest import Manifest, to_json, verify_part

PARAMETERS = SpanParameters(SpanSettings(vocabulary_size=100, tokenizer="ab" * 32), token_count=50, document_count=7)
COMMITMENT = SpanCommitment(PARAMETERS, (b"t" * 32, b"s" * 32, b"u" * 32, b"d" * 32))


def test_what_is_written_is_what_is_read() -> None:
    assert SpanCommitment.decode(COMMITMENT.encode()) == COMMITMENT
    assert json.loads(PARAMETERS.encode()) == {
        "format": 1, "method": "tsa-1", "vocabulary_size": 100, "tokenizer": "ab" * 32, "min_tokens": 6,
        "min_bits": 32, "max_clusters": 50, "max_occurrences": 1_000, "density_ppb": 50_000_000,
        "token_count": 50, "document_count": 7,
    }  # fmt: skip


def test_the_root_is_a_named_parts_root_so_that_every_part_is_proven_alone() -> None:
    parts = {"about": PARAMETERS.encode(), "tokens": b"t" * 32, "suffixes": b"s" * 32, "unigrams": b"u" * 32,
             "documents": b"d" * 32}  # fmt: skip
    assert COMMITMENT.root == Manifest(parts).root
    for name, value in parts.items():
        proof = COMMITMENT.manifest.prove(name)
        assert proof.value == value
        verify_part(proof, COMMITMENT.root)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"vocabulary_size": 0}, "commitment.vocabulary_size", "must be an integer from 1 to 1048576, not 0"),
        (
            {"vocabulary_size": 2**20 + 1},
            "commitment.vocabulary_size",
            "must be an integer from 1 to 1048576, not 1048577",
        ),
        ({"vocabulary_size": [1]}, "commitment.vocabulary_size", "must be an integer from 1 to 1048576, not [1]"),
        ({"min_tokens": True}, "commitment.min_tokens", "must be an integer from 1 to 1024, not True"),
        ({"min_tokens": 1.5}, "commitment.min_tokens", "must be an integer from 1 to 1024, not 1.5"),
        ({"min_bits": -1}, "commitment.min_bits", "must be an integer from 0 to 1048576, not -1"),
        ({"max_clusters": "50"}, "commitment.max_clusters", "must be an integer from 1 to 4096, not '50'"),
        ({"max_occurrences": 4_097}, "commitment.max_occurrences", "must be an integer from 1 to 4096, not 4097"),
        ({"density_ppb": 0}, "commitment.density_ppb", "must be an integer from 1 to 1000000000, not 0"),
        ({"density_ppb": None}, "commitment.density_ppb", "must be an integer from 1 to 1000000000, not None"),
        ({"tokenizer": "AB" * 32}, "commitment.tokenizer", "must be empty or 64 lower-case hexadecimal digits"),
        ({"tokenizer": 5}, "commitment.tokenizer", "must be empty or 64 lower-case hexadecimal digits"),
        ({"token_count": 6}, "commitment.token_count", "6 in 7 documents"),
        ({"token_count": 2**32 - 1}, "commitment.token_count", "4294967295 in 7 documents"),
        ({"document_count": 0}, "commitment.document_count", "must be an integer from 1 to 4294967295, not 0"),
        ({"format": 2}, "commitment.format", "is 2; this program knows 1"),
        ({"format": True}, "commitment.format", "is True; this program knows 1"),
        ({"method": "lga-1"}, "commitment.method", "is 'lga-1'; this program knows 'tsa-1'"),
        ({"more": 1}, "commitment.about", "must have exactly the fields density_ppb, document_count, format,"),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(changes: dict[str, Any], field: str, reason: str) -> None:
    about = json.dumps(json.loads(PARAMETERS.encode()) | changes, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(AttributionError) as caught:
        SpanParameters.decode(about)
    assert (caught.value.field, str(caught.value).startswith(f"{field}: {reason}")) == (field, True)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        (b"{" * 1_500, "is not JSON"),
        (b"[" * 2_000, "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "must have exactly the fields"),
        (PARAMETERS.encode()[:-1], "is not JSON"),
        (b" " + PARAMETERS.encode(), "is not in canonical JSON"),
        (b" " * (MAX_ABOUT_BYTES + 1), "has 2049 bytes, more than 2048"),
    ],
)
def test_what_is_not_the_one_json_form_is_refused(about: bytes, reason: str) -> None:
    with pytest.raises(AttributionError, match=reason) as caught:
        SpanParameters.decode(about)
    assert caught.value.field == "commitment.about"


def test_a_commitment_that_is_cut_too_large_or_lacks_a_part_is_refused() -> None:
    whole = COMMITMENT.encode()
    for damaged in (b"", whole[:-1], whole + b"\0", whole + bytes(4_096)):
        with pytest.raises(AttributionError, match=r"^commitment: "):
            SpanCommitment.decode(damaged)
    parts = dict(COMMITMENT.manifest.parts)
    with pytest.raises(AttributionError, match=r"^commitment\.tokens: must have 32 bytes"):
        SpanCommitment.decode(Manifest(parts | {"tokens": b"short"}).encode())
    del parts["unigrams"]
    with pytest.raises(AttributionError, match="must have exactly the parts about, documents, suffixes, tokens, uni"):
        SpanCommitment.decode(Manifest(parts).encode())
    with pytest.raises(AttributionError, match=r"^commitment\.about: must have exactly the fields"):
        SpanCommitment.decode(Manifest(dict(COMMITMENT.manifest.parts) | {"about": to_json({})}).encode())


def test_settings_out_of_range_cannot_be_made_into_parameters() -> None:
    with pytest.raises(AttributionError, match=r"^commitment\.min_bits"):
        replace(PARAMETERS, settings=SpanSettings(vocabulary_size=100, min_bits=2**20 + 1))


def test_kept_spans_are_rounded_up() -> None:
    settings = SpanSettings(100)
    assert [settings.kept_spans(count) for count in (0, 1, 20, 21, 8_192)] == [0, 1, 1, 2, 410]
