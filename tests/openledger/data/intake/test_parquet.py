"""Parquet files: each kind of value by its rule, or refused by the column's name."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openledger.data.intake import parquet, reading
from openledger.data.intake.problems import FileRefused
from openledger.data.intake.reading import FileReader, ReadOptions, require_readers
from openledger.data.intake.sources import sources_at


def rows_of(folder: Path, table: Any, *, without: frozenset[str] = frozenset(), **options: Any) -> list[dict[str, Any]]:
    """Write a table and read its rows."""
    path = folder / "a.parquet"
    pq.write_table(table, path, **options)
    (source,) = sources_at([path]).sources
    return [json.loads(row) for _, row in FileReader(source.files[0], ReadOptions(without=without)).rows()]


NOON = dt.datetime(2024, 1, 31, 12, 0, 0, 250_000)  # noqa: DTZ001 - a moment without a zone is meant
VALUES: list[tuple[Any, list[Any], list[Any]]] = [
    (pa.string(), ["a", None, "ü\n"], ["a", None, "ü\n"]),
    (pa.large_string(), ["a"], ["a"]),
    (pa.uint64(), [2**64 - 1], [2**64 - 1]),
    (pa.bool_(), [True, None], [True, None]),
    (pa.null(), [None], [None]),
    (pa.float64(), [0.1, 1e300], [0.1, 1e300]),
    (pa.float32(), [0.5], [0.5]),
    (pa.decimal128(9, 3), [Decimal("12.500"), Decimal("-1E+2")], ["12.500", "-100.000"]),
    (pa.date32(), [dt.date(2024, 1, 31)], ["2024-01-31"]),
    (pa.time64("us"), [dt.time(12, 30)], ["12:30:00"]),
    (pa.time64("ns"), [dt.time(12, 30)], ["12:30:00"]),
    (pa.timestamp("ms"), [NOON], ["2024-01-31T12:00:00.250000"]),
    (pa.timestamp("ns"), [NOON], ["2024-01-31T12:00:00.250000"]),
    (pa.timestamp("us", "Europe/Berlin"), [NOON.replace(tzinfo=dt.UTC)], ["2024-01-31T12:00:00.250000+00:00"]),
    (pa.list_(pa.int8()), [[1, 2], [], None], [[1, 2], [], None]),
    (pa.list_(pa.int8(), 2), [[1, 2]], [[1, 2]]),
    (pa.list_(pa.timestamp("ns")), [[NOON]], [["2024-01-31T12:00:00.250000"]]),
    (
        pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
        [[{"role": "user", "content": None}]],
        [[{"role": "user", "content": None}]],
    ),
    (pa.map_(pa.string(), pa.int8()), [[("a", 1), ("b", None)], []], [{"a": 1, "b": None}, []]),
    (pa.dictionary(pa.int8(), pa.string()), ["x", "y", "x"], ["x", "y", "x"]),
]


@pytest.mark.parametrize(("kind", "given", "expected"), VALUES, ids=[str(kind)[:40] for kind, _, _ in VALUES])
def test_values_are_written_by_their_rule(tmp_path: Path, kind: Any, given: list[Any], expected: list[Any]) -> None:
    table = pa.table({"v": pa.array(given, kind), "n": pa.array(range(len(given)))})
    assert rows_of(tmp_path, table) == [{"v": value, "n": number} for number, value in enumerate(expected)]


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        (pa.binary(), [b"x"], "column 'v' holds bytes, which a row cannot hold: write it as text, or leave it"),
        (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), [None], "column 'v.bytes' holds bytes"),
        (pa.list_(pa.binary()), [[b"x"]], "column 'v[]' holds bytes"),
        (pa.duration("s"), [dt.timedelta(1)], "column 'v' holds duration[s]"),
        (pa.map_(pa.int8(), pa.int8()), [[(1, 1)]], "column 'v' is a map with keys of int8: write it as text"),
        (pa.map_(pa.string(), pa.int8()), [[("a", 1), ("a", 2)]], "row 1, column 'v' has a key twice"),
        (pa.float64(), [1.0, float("nan")], "row 2, column 'v' is nan, which JSON has not: write null or text"),
        (pa.list_(pa.float32()), [[float("inf")]], "row 1, column 'v[0]' is inf"),
        (pa.timestamp("ns"), pa.array([1], pa.int64()), "column 'v' holds moments finer than microseconds"),
        (pa.string(), ["a", "b" * 2**20], "row 2 has 1048584 bytes, more than 1048576: split the document"),
    ],
)  # fmt: skip
def test_what_a_row_cannot_hold_is_refused_by_name(tmp_path: Path, kind: Any, given: Any, reason: str) -> None:
    array = given.cast(kind) if isinstance(given, pa.Array) else pa.array(given, kind)
    with pytest.raises(FileRefused) as caught:
        rows_of(tmp_path, pa.table({"v": array}))
    assert str(caught.value).startswith(f"{tmp_path / 'a.parquet'}: ")
    assert reason in str(caught.value)


def test_a_column_that_cannot_be_held_is_left_out_where_that_is_said(tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([b"x"], pa.binary()), "text": ["a"]})
    assert rows_of(tmp_path, table, without=frozenset({"image"})) == [{"text": "a"}]


def test_many_row_groups_are_read_in_their_order(tmp_path: Path) -> None:
    table = pa.table({"text": [f"row {number}" for number in range(5_000)]})
    rows = rows_of(tmp_path, table, row_group_size=700)
    assert [row["text"] for row in rows] == [f"row {number}" for number in range(5_000)]


def test_a_file_that_is_none_or_whose_row_groups_are_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "b"] * 5_000}), path)
    whole = path.read_bytes()
    (source,) = sources_at([path]).sources
    for damaged in (whole[:-20], b"PAR1", whole[:100] + whole[-100:], b"[]"):
        path.write_bytes(damaged)
        with pytest.raises(FileRefused, match=r"a.parquet: cannot be read as Parquet \(.*\): get it again"):
            list(FileReader(source.files[0], ReadOptions()).rows())
    for other, reason in (
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"<html>", "HTML"),
    ):
        path.write_bytes(other)
        with pytest.raises(FileRefused, match=reason):
            list(FileReader(source.files[0], ReadOptions()).rows())
    path.write_bytes(whole)
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 100)
    with pytest.raises(FileRefused, match=r"its row group 1 has \d+ bytes, more than 100: write it with smaller row"):
        list(FileReader(source.files[0], ReadOptions()).rows())


def test_where_the_library_is_missing_the_set_up_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "b.jsonl").write_text("")
    monkeypatch.setattr(reading, "is_installed", lambda name: False)
    require_readers(sources_at([tmp_path / "b.jsonl"]))
    with pytest.raises(FileRefused, match=r"a.parquet: reading Parquet needs pyarrow, .* run `scripts/setup data`"):
        require_readers(sources_at([tmp_path]))
