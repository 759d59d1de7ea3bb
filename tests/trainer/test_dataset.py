"""Rows of a version: all of them in order, and every way in which a store or a node can lie about them."""

from dataclasses import replace
from pathlib import Path

import pytest

from openledger.content.store import ContentMissing, ContentStore
from openledger.data.row_json import RowError
from openledger.data.rows import RowBatch, TamperedRows, put_batch
from openledger.data.versions import ContributionRecord, VersionRecord
from openledger.errors import UsageError
from tests.kit.trainer.tiny import put_rows
from trainer import dataset
from trainer.dataset import Row, load_rows
from trainer.row_values import NotText

ROWS = [[{"text": f"row {row} of {batch}"} for row in range(3)] for batch in range(2)]


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore.open(tmp_path)


@pytest.fixture
def version(store: ContentStore) -> VersionRecord:
    """Contributions given in the other order than their ids."""
    records = [
        ContributionRecord(bytes([9 - number]) * 32, b"\5" * 32, put_rows(store, number, rows))
        for number, rows in enumerate(ROWS)
    ]
    return VersionRecord.of(b"\7" * 32, 1, tuple(records))


def overwrite(store: ContentStore, digest: bytes, old: bytes, new: bytes) -> None:
    path = Path(store.path_of(digest))
    data = path.read_bytes()
    assert old in data
    path.chmod(0o644)
    path.write_bytes(data.replace(old, new, 1))


def test_rows_come_by_ascending_contribution_in_their_order(store: ContentStore, version: VersionRecord) -> None:
    rows = list(load_rows(store, version))
    assert [(row.contribution_id[0], row.index, row.fields()["text"]) for row in rows] == [
        (8, 0, "row 0 of 1"), (8, 1, "row 1 of 1"), (8, 2, "row 2 of 1"),
        (9, 0, "row 0 of 0"), (9, 1, "row 1 of 0"), (9, 2, "row 2 of 0"),
    ]  # fmt: skip
    assert len({row.leaf for row in rows}) == 6


def test_values_of_a_row_that_are_no_text_do_not_become_text_by_themselves() -> None:
    row = Row(bytes(32), 0, b'{"a":"x","b":7,"d":null}', bytes(32))
    assert row.fields() == {"a": "x", "b": NotText("b", "a number", "7"), "d": NotText("d", "null", "null")}
    with pytest.raises(RowError, match="has the key 'a' twice"):
        Row(bytes(32), 0, b'{"a":"x","a":"y"}', bytes(32)).fields()


def test_a_changed_row_is_named(store: ContentStore, version: VersionRecord) -> None:
    record = version.contributions[1]
    overwrite(store, record.commitment.content_digest, b"row 1 of 0", b"row 1 OF 0")
    with pytest.raises(TamperedRows, match="contribution 0909090909090909…: row 1 was changed after") as caught:
        list(load_rows(store, version))
    assert (caught.value.contribution, caught.value.row_index) == (b"\x09" * 32, 1)


def test_a_changed_salt_leaf_or_order_is_found(store: ContentStore, version: VersionRecord) -> None:
    commitment = version.contributions[0].commitment
    lines = store.get(commitment.content_digest).split(b"\n")
    swapped = b"\n".join([lines[0], lines[2], lines[1], *lines[3:]])
    Path(store.path_of(commitment.content_digest)).chmod(0o644)
    Path(store.path_of(commitment.content_digest)).write_bytes(swapped)
    with pytest.raises(TamperedRows, match="its file was changed") as caught:
        list(load_rows(store, version))
    assert caught.value.row_index is None


def test_another_batch_under_the_record_is_refused(store: ContentStore, version: VersionRecord) -> None:
    """The digest fits its file, the root does not: the registrant lied about the rows."""
    record = version.contributions[0]
    other = put_batch(store, RowBatch.from_objects([{"text": "other"}], [bytes(16)]))
    forged = replace(record, commitment=replace(record.commitment, content_digest=other.content_digest))
    lied = replace(version, contributions=(forged, version.contributions[1]))
    with pytest.raises(TamperedRows, match=r"registered 3 rows, .* in the file 1 rows"):
        list(load_rows(store, lied))


def test_contributions_left_out_or_added_do_not_hash_to_the_versions_root(
    store: ContentStore, version: VersionRecord
) -> None:
    for contributions in (version.contributions[:1], (*version.contributions, version.contributions[0])):
        with pytest.raises(TamperedRows, match="its contributions do not hash to its root"):
            list(load_rows(store, replace(version, contributions=contributions)))


def test_a_missing_file_names_its_contribution_and_what_to_do(store: ContentStore, version: VersionRecord) -> None:
    digest = version.contributions[0].commitment.content_digest
    Path(store.path_of(digest)).unlink()
    with pytest.raises(ContentMissing, match="rows of contribution 0808080808080808… are not in"):
        list(load_rows(store, version))


def test_a_version_too_large_for_memory_is_refused_before_anything_is_read(
    store: ContentStore, version: VersionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "MAX_ROWS_PER_VERSION", 5)
    with pytest.raises(UsageError, match=r"version 1 has 6 rows, more than 5, .* train on a smaller version"):
        list(load_rows(store, version))
