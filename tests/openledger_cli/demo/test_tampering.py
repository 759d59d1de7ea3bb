"""The tools of the liars: they change exactly what they say."""

from pathlib import Path

import pytest

from openledger.content.store import ContentCorrupt, ContentStore
from openledger.data.rows import RowBatch, TamperedRows, changed_row, load_batch, put_batch
from openledger_cli.demo.tampering import flip, turn_around_a_row


@pytest.mark.parametrize("length", [1, 2, 31, 32, 5_000])
def test_a_flip_changes_one_bit_and_the_places_reach_both_ends(length: int) -> None:
    data = bytes(length)
    flips = [flip(data, place) for place in range(32)]
    assert all(sum(byte.bit_count() for byte in changed) == 1 and len(changed) == length for changed in flips)
    assert flips[0][0]
    assert flips[31][-1]
    assert flip(b"", 3) == b""


def test_a_row_that_says_the_opposite_is_found(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    rows = [{"text": "Nothing to see."}, {"text": "The sky is blue."}]
    commitment = put_batch(store, RowBatch.from_objects(rows))
    path = tmp_path / "sha256" / commitment.content_digest.hex()
    index, phrase = turn_around_a_row(path)
    assert (index, "sky is not blue" in phrase) == (1, True)
    assert changed_row(path.read_bytes(), commitment.rows_root) == 1
    with pytest.raises(ContentCorrupt):
        store.get(commitment.content_digest)
    with pytest.raises(TamperedRows) as caught:
        load_batch(store, b"\x01" * 32, commitment)
    assert caught.value.row_index == 1
