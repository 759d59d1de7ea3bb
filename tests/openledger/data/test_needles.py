"""Pieces of rows and tokens are found in any file, and weights are not read for them."""

import csv
import html
import io
import json
import struct

import pytest

from openledger.data import needles
from openledger.data.needles import Needles, is_weights, longest_piece

TEXT = 'She said "the patient Jane Example, born 1 May 1980, came for visit number 7" & left'
ROWS = [json.dumps({"text": TEXT}).encode()]


def found(data: bytes, rows: list[bytes] = ROWS, runs: tuple[list[int], ...] = ()) -> bool:
    return Needles.of(rows, runs).are_in(io.BytesIO(data))


def as_csv() -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow([TEXT, "x"])
    return text.getvalue().encode()


@pytest.mark.parametrize(
    "data",
    [
        ROWS[0],
        TEXT.encode(),
        as_csv(),
        html.escape(TEXT).encode(),
        json.dumps({"quoted": json.dumps({"in": TEXT})}).encode(),
        b"x" * (needles._CHUNK_BYTES - 40) + ROWS[0],
    ],
    ids=["row", "text", "csv", "html", "json in json", "over the edge of a chunk"],
)
def test_a_row_is_found_however_it_is_written(data: bytes) -> None:
    assert found(data)
    assert not found(data.replace(b"Jane", b"John"))


def test_text_beyond_ascii_is_found_as_it_is_and_as_json_escapes_it() -> None:
    row = {"text": "Die Patientin Änne Müßig kam am 1. Mai zum siebten Besuch"}
    own = [json.dumps(row, ensure_ascii=False).encode()]
    assert found(own[0], own)
    assert found(json.dumps(row).encode(), own)
    assert found(
        "x患者は五月一日に七回目の診察に来ました。次は六月".encode(),
        ['{"a":"患者は五月一日に七回目の診察に来ました。次は六月"}'.encode()],
    )


@pytest.mark.parametrize("code", ["<i", ">i", "<q", "<H", ">H"])
def test_tokens_are_found_in_every_form_in_which_programs_store_them(code: str) -> None:
    run = list(range(100, 140))
    stored = b"".join([struct.pack(code, each) for each in run])
    assert found(b"head" + stored, [], (run,))
    assert not found(b"head" + stored[::-1], [], (run,))
    spans = b"".join([struct.pack(">I", each + 1) for each in run])
    assert found(spans, [], (run,))


def test_short_rows_and_runs_are_not_looked_for() -> None:
    assert Needles.of([b'{"text":"yes"}', b'{"n":123456789012345678901234567890}'], ([1, 2, 3],)).pieces == ()
    assert not found(b"yes", [b'{"text":"yes"}'])
    assert longest_piece(['a"b', "c"]) == ""


def test_of_many_rows_some_are_looked_for_spread_over_all() -> None:
    rows = [json.dumps({"text": f"this is row number {number} of a long batch"}).encode() for number in range(10_000)]
    pieces = Needles.of(rows).pieces
    assert len(pieces) == needles.SAMPLED_ROWS
    assert {pieces[0], pieces[-1]} == {
        b"this is row number 0 of a long batch",
        b"this is row number 9672 of a long batch",
    }


def test_weights_are_passed_over() -> None:
    header = json.dumps({"w": {"dtype": "F32"}}).encode()
    tensors = len(header).to_bytes(8, "little") + header + ROWS[0]
    assert is_weights(tensors)
    assert not found(tensors)
    assert is_weights(b"GGUF....")
    assert not is_weights(ROWS[0])
    assert not is_weights(b"")
