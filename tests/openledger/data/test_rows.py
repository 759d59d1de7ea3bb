"""Row batches: commitments, the file format, and the refusal of a changed byte."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.hashing import list_root, row_leaf, sha256
from openledger.content.store import ContentStore
from openledger.data.row_json import RowError
from openledger.data.rows import (
    RowBatch,
    RowCommitment,
    TamperedRows,
    changed_row,
    load_batch,
    put_batch,
)
from openledger.data.sketch import similarity_sketch

OBJECTS = st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=30), max_size=3), min_size=1, max_size=12)
CONTRIBUTION = b"\7" * 32


def test_the_commitment_is_what_the_design_says() -> None:
    rows, salts = [b'{"text":"one"}', b'{"text":"two"}'], [b"\1" * 16, b"\2" * 16]
    batch = RowBatch.from_rows(rows, salts)
    leaves = [row_leaf(salt, row) for salt, row in zip(salts, rows, strict=True)]
    lines = [
        b"%s %s %s\n" % (s.hex().encode(), leaf.hex().encode(), r)
        for s, leaf, r in zip(salts, leaves, rows, strict=True)
    ]
    blob = b"openledger-rows/1 2\n" + b"".join(lines)
    assert batch.encode() == blob
    assert batch.commitment() == RowCommitment(list_root("rows", leaves), 2, 28, sha256(blob), similarity_sketch(rows))


@given(OBJECTS)
def test_a_batch_survives_its_file_and_its_salts_are_fresh(objects: list[dict[str, str]]) -> None:
    batch = RowBatch.from_objects(objects)
    assert RowBatch.decode(batch.encode()) == batch
    assert [json.loads(row) for row in batch.rows] == objects
    again = RowBatch.from_objects(objects)
    assert again.commitment().rows_root != batch.commitment().rows_root
    assert again.commitment().sketch == batch.commitment().sketch


@given(OBJECTS, st.data())
def test_any_changed_byte_is_detected_and_a_changed_row_is_named(
    objects: list[dict[str, str]], data: st.DataObject
) -> None:
    store = ContentStore.open("memory://openledger-rows")
    batch = RowBatch.from_objects(objects)
    commitment = put_batch(store, batch)
    blob = bytearray(batch.encode())
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    store._filesystem.pipe_file(store.path_of(commitment.content_digest), bytes(blob))
    with pytest.raises(TamperedRows) as caught:
        load_batch(store, CONTRIBUTION, commitment)
    assert caught.value.contribution == CONTRIBUTION
    line = bytes(batch.encode())[:at].count(b"\n") - 1
    assert caught.value.row_index in {None, line}


def test_a_changed_row_is_named_by_contribution_and_index(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    commitment = put_batch(store, RowBatch.from_objects([{"text": str(number)} for number in range(10)]))
    path = Path(store.path_of(commitment.content_digest))
    path.write_bytes(path.read_bytes().replace(b'{"text":"6"}', b'{"text":"9"}'))
    with pytest.raises(TamperedRows, match="contribution 0707070707070707…: row 6 was changed") as caught:
        load_batch(store, CONTRIBUTION, commitment)
    assert (caught.value.contribution, caught.value.row_index) == (CONTRIBUTION, 6)


def test_rows_that_do_not_fit_the_chains_record_are_refused(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    one = put_batch(store, RowBatch.from_objects([{"text": "one"}]))
    other = put_batch(store, RowBatch.from_objects([{"text": "two"}]))
    mixed = RowCommitment(one.rows_root, 1, one.byte_count, other.content_digest)
    with pytest.raises(TamperedRows, match="the file is not what the record says"):
        load_batch(store, CONTRIBUTION, mixed)
    store.put(b"no rows")
    with pytest.raises(TamperedRows, match="registered file is no valid row batch"):
        load_batch(store, CONTRIBUTION, RowCommitment(one.rows_root, 1, 1, sha256(b"no rows")))
    assert changed_row(b"no rows", one.rows_root) is None


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], "holds 1 to 65536 rows"),
        ([b"[1]"], "row 0 is not a JSON object"),
        ([b"{}", b"{"], "row 1 is not JSON"),
        ([b'{"a":"\xff"}'], "row 0 byte 7 is not UTF-8"),
        ([b'{"a":\n1}'], "row 0 contains a line feed"),
        ([b'{"a":"' + b"x" * 2**20 + b'"}'], "row 0 has 1048584 bytes"),
    ],
)
def test_bad_rows_are_named(rows: list[bytes], text: str) -> None:
    with pytest.raises(RowError, match=text):
        RowBatch.from_rows(rows)
