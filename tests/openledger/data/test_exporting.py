"""Versions as files: rows as they are, what a form cannot hold, and nothing half written or written over."""

import csv
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from abci_app.modules.datanets.records import CreateVersion
from openledger.content.store import ContentErased, ContentMissing, ContentStore, file_digest
from openledger.content.tombstone import Erased, Tombstone
from openledger.data.exporting import export_version, form_of_target
from openledger.data.reading import WholeVersion, read_version
from openledger.data.rows import TamperedRows
from openledger.data.tables import MAX_COLUMNS
from openledger.errors import UsageError
from tests.kit.modules.ledger import ALICE, BOB
from tests.kit.openledger.garden import ROWS, Garden

ODD: list[dict[str, Any]] = [
    {"text": 'a "quoted" text\r\nin two lines, ünï', "n": 1, "nested": {"a": [1, 2.5], "b": None}},
    {"text": ["a", "list"], "n": 2**70, "when": None},
    {"": "no name", "n": 1.5, "flag": True, "nested": {"c": "x"}},
    {"text": "=1+1", "empty": {}, "none": [], "deep": [[{"x": 1}], []]},
]


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    return Garden.grow(ContentStore.open(tmp_path / "content"))


@pytest.fixture
def odd(garden: Garden) -> WholeVersion:
    garden.contribute(BOB, ODD)
    garden.ledger.accept(ALICE, CreateVersion(garden.datanet_id, "odd"))
    return read_version(garden, "garden@3")


def test_json_lines_are_the_rows_byte_for_byte(garden: Garden, tmp_path: Path) -> None:
    done = export_version(garden.store, read_version(garden, "garden@2"), tmp_path / "out.jsonl", "jsonl")
    flat = b"".join([row + b"\n" for batch in garden.batches[:3] for row in batch.rows])
    assert (tmp_path / "out.jsonl").read_bytes() == flat
    assert (done.rows, done.remarks, done.erased) == (7, (), ())
    assert done.files == ((str(tmp_path / "out.jsonl"), file_digest(tmp_path / "out.jsonl")),)


def test_csv_has_every_field_and_says_what_it_cannot_hold(garden: Garden, odd: WholeVersion, tmp_path: Path) -> None:
    done = export_version(garden.store, odd, tmp_path / "out.csv", "csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as stream:
        read = list(csv.DictReader(stream))
    assert done.rows == len(read) == 11
    assert [(row["text"], row["n"], row[""]) for row in read[-4:]] == [
        ('a "quoted" text\r\nin two lines, ünï', "1", ""),
        ('["a","list"]', str(2**70), ""),
        ("", "1.5", "no name"),
        ("=1+1", "", ""),
    ]
    assert json.loads(read[-4]["nested"]) == ODD[0]["nested"]
    assert "'when' is null, which CSV does not tell from an empty text (1 row)" in done.remarks
    assert "'text' is a list or an object, which stands as JSON text (1 row)" in done.remarks
    assert "'flag' is true or false, which stands as text (1 row)" in done.remarks


def test_parquet_holds_rows_that_disagree_and_says_how(garden: Garden, odd: WholeVersion, tmp_path: Path) -> None:
    done = export_version(garden.store, odd, tmp_path / "out.parquet", "parquet")
    read = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert done.rows == len(read) == 11
    assert read[0]["messages"] == ROWS[0][0]["messages"]
    assert [json.loads(row["text"]) if row["text"] else None for row in read[-4:]] == [
        ODD[0]["text"], ["a", "list"], None, "=1+1",
    ]  # fmt: skip
    assert [row["n"] for row in read[-4:]] == ["1", str(2**70), "1.5", None]
    assert read[-4]["nested"] == {"a": [1.0, 2.5], "b": None, "c": None}
    assert read[-1]["deep"] == [[{"x": 1}], []]
    assert read[-1]["empty"] == "{}"
    assert "'text' is not of one kind in all rows, so its values stand as JSON text (5 rows)" in done.remarks


def test_a_folder_is_read_by_the_library_of_its_form(garden: Garden, tmp_path: Path) -> None:
    version = read_version(garden, "garden@2")
    done = export_version(
        garden.store, version, tmp_path / "folder", "hf", card="---\nlicense: cc-by-4.0\n---\n# garden\n"
    )
    assert sorted(Path(path).name for path, _ in done.files) == ["README.md", "train-00000-of-00001.parquet"]
    read = datasets.load_dataset(str(tmp_path / "folder"), cache_dir=str(tmp_path / "hub"))["train"]
    assert (len(read), read[0]["messages"], read[5]["text"]) == (7, ROWS[0][0]["messages"], ROWS[2][0]["text"])


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "hf"])
def test_nothing_is_written_over_and_nothing_is_left_of_what_failed(garden: Garden, tmp_path: Path, form: str) -> None:
    version = read_version(garden, "garden@2")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "there").write_text("mine")
    with pytest.raises(UsageError, match=r"is there already|is a file: delete it"):
        export_version(garden.store, version, folder / "there", form)
    assert (folder / "there").read_text() == "mine"
    path = Path(garden.store.path_of(version.contributions[2].commitment.content_digest))
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b"Mulch", b"mulch"))
    with pytest.raises(TamperedRows, match="garden#3: row 2 was changed"):
        export_version(garden.store, version, folder / "new", form)
    path.unlink()
    with pytest.raises(ContentMissing):
        export_version(garden.store, version, folder / "new", form)
    garden.store.erase("sha256", bytes.fromhex(path.name), Tombstone(Erased.ROWS, "garden#3", b"\1" * 32, "other", 0))
    with pytest.raises(ContentErased):
        export_version(garden.store, version, folder / "new", form)
    assert [each.name for each in folder.iterdir()] == ["there"]
    done = export_version(garden.store, version, folder / "new", form, without_erased=True)
    assert (done.rows, [(each.submission.reference, each.first, each.last) for each in done.erased]) == (
        5,
        [("garden#3", 6, 7)],
    )


def test_the_ending_of_a_file_says_its_form(tmp_path: Path) -> None:
    names = {"a.jsonl": "jsonl", "b.CSV": "csv", "c.parquet": "parquet", "d.ndjson": "jsonl"}
    assert {name: form_of_target(tmp_path / name, None) for name in names} == names
    assert form_of_target(tmp_path / "folder", "hf") == "hf"
    with pytest.raises(UsageError, match="which form"):
        form_of_target(tmp_path / "x.txt", None)


def test_progress_counts_every_pass(garden: Garden, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    report: Callable[[int, int], None] = lambda done, total: told.append((done, total))  # noqa: E731
    export_version(garden.store, read_version(garden, "garden@1"), tmp_path / "out.csv", "csv", progress=report)
    assert told == [(3, 10), (5, 10), (8, 10), (10, 10)]


def test_what_is_no_file_is_written_to_and_stays_what_it_is(garden: Garden, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    done = export_version(garden.store, read_version(garden, "garden@1"), pipe, "jsonl")
    reader.join(10)
    assert (done.files, pipe.is_fifo(), found[0].count(b"\n")) == ((), True, 5)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_rows_with_fields_of_somebodys_making_do_not_make_a_table_of_any_width(
    garden: Garden, tmp_path: Path, form: str
) -> None:
    deep = {"text": "x", "deep": {f"inner {number}": 1 for number in range(MAX_COLUMNS + 1)}}
    garden.contribute(BOB, [deep])
    garden.ledger.accept(ALICE, CreateVersion(garden.datanet_id, "deep"))
    export_version(garden.store, read_version(garden, "garden@3"), tmp_path / "deep", form)
    garden.contribute(BOB, [{f"field {number}": "x" for number in range(MAX_COLUMNS)}])
    garden.ledger.accept(ALICE, CreateVersion(garden.datanet_id, "wide"))
    wide = read_version(garden, "garden@4")
    with pytest.raises(UsageError, match="more than 1000 different fields"):
        export_version(garden.store, wide, tmp_path / "wide", form)
    assert export_version(garden.store, wide, tmp_path / "wide", "jsonl").rows == 9
