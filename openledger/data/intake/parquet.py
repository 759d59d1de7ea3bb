"""Parquet files: a row for each record, values by one rule or refused by name.

    text, whole numbers, true and false, null     as they are
    numbers with a point                          as a double is written; those that are not finite are refused
    decimals                                      text, digit for digit
    dates, times of day, moments                  text of ISO 8601; moments with a zone in UTC; finer than microseconds
                                                  is refused
    lists, structures, maps with keys of text     lists and objects
    categories                                    their values
    bytes, durations, everything else             refused, with the column's name

A Parquet file is read row group by row group; one of more than `MAX_GROUP_BYTES` is refused.
"""

import datetime as dt
import json
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.data.intake.problems import FileRefused
from openledger.data.intake.streams import check_is_what_it_seems, open_regular, require_unchanged
from openledger.data.row_json import MAX_ROW_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

MAX_GROUP_BYTES = 2**30
_BATCH_BYTES = 8 * 2**20
_MOST_ROWS_OF_A_BATCH = 1_024
_MAGIC = b"PAR1"
_SNIFFED_BYTES = 64


class ParquetSource:
    """How far a Parquet file is read, in bytes by its rows."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.position = 0


def parquet_rows(
    path: Path, source: ParquetSource, without: frozenset[str], left_out: set[str]
) -> Iterator[tuple[int, bytes]]:
    """Row number from 1, and the row; `left_out` gets the columns that were left out. Raises `FileRefused`."""
    import os

    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_regular(path, source.name) as raw:
        before = os.fstat(raw.fileno())
        beginning = raw.read(_SNIFFED_BYTES)
        if not beginning.startswith(_MAGIC):
            check_is_what_it_seems(source.name, beginning)
        raw.seek(0)
        try:
            with pq.ParquetFile(raw) as file:
                left_out |= without & set(file.schema_arrow.names)
                yield from _rows(file, source, without)
        except FileRefused:
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            # Of a damaged file the library also raises errors of the operating system and of characters.
            reason = " ".join(str(error).split())[:160]
            raise FileRefused(f"{source.name}: cannot be read as Parquet ({reason}): get it again") from None
        require_unchanged(raw, before, source.name)


def _rows(file: Any, source: ParquetSource, without: frozenset[str]) -> Iterator[tuple[int, bytes]]:
    schema, names = file.schema_arrow, file.schema_arrow.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise FileRefused(f"{source.name}: has two columns {twice[:40]!a}: rename one")
    columns = [name for name in names if name not in without]
    targets = {name: _target(schema.field(name).type, name, source.name) for name in columns}
    number = 0
    for group in range(file.num_row_groups):
        about = file.metadata.row_group(group)
        if about.total_byte_size > MAX_GROUP_BYTES:
            raise FileRefused(
                f"{source.name}: its row group {group + 1} has {about.total_byte_size} bytes, more than "
                f"{MAX_GROUP_BYTES}: write it with smaller row groups (row_group_size=10000)"
            )
        rows = max(about.num_rows, 1)
        batch_rows = max(1, min(_MOST_ROWS_OF_A_BATCH, _BATCH_BYTES * rows // max(about.total_byte_size, 1)))
        for batch in file.iter_batches(batch_rows, row_groups=[group], columns=columns, use_threads=False):
            for record in _records(batch, targets, source, number):
                number += 1
                place = f"{source.name}: row {number}"
                row = json.dumps(_plain(record, "", place), ensure_ascii=False, separators=(",", ":")).encode()
                if len(row) > MAX_ROW_BYTES:
                    raise FileRefused(f"{place} has {len(row)} bytes, more than {MAX_ROW_BYTES}: split the document")
                source.position = source.size * number // max(file.metadata.num_rows, 1)
                yield number, row


def _records(batch: Any, targets: Mapping[str, Any], source: ParquetSource, number: int) -> list[dict[str, Any]]:
    import pyarrow as pa

    arrays = []
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        try:
            arrays.append(array if targets[name] is None else array.cast(targets[name]))
        except pa.ArrowInvalid:
            raise FileRefused(
                f"{source.name}: rows after {number}: column {name[:40]!a} holds moments finer than microseconds: "
                "write it as text"
            ) from None
    records: list[dict[str, Any]] = pa.RecordBatch.from_arrays(arrays, names=list(batch.schema.names)).to_pylist()
    return records


def _target(kind: "pa.DataType", place: str, file: str) -> Any:
    """The type that a column is read as, None for its own; raises `FileRefused` for what rows cannot hold."""
    changed = _as_row_value(kind, place, file)
    return None if changed.equals(kind) else changed


def _as_row_value(kind: Any, place: str, file: str) -> Any:
    import pyarrow as pa
    from pyarrow import types

    if types.is_timestamp(kind):
        return pa.timestamp("us" if kind.unit == "ns" else kind.unit, kind.tz and "UTC")
    if types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        names = [field.name for field in fields]
        if len(set(names)) < len(names):
            raise FileRefused(f"{file}: column {place[:80]!a} has two fields of one name: rename one")
        return pa.struct([pa.field(one.name, _as_row_value(one.type, f"{place}.{one.name}", file)) for one in fields])
    if types.is_fixed_size_list(kind):
        return pa.list_(_as_row_value(kind.value_type, f"{place}[]", file), kind.list_size)
    if types.is_large_list(kind):
        return pa.large_list(_as_row_value(kind.value_type, f"{place}[]", file))
    if types.is_list(kind):
        return pa.list_(_as_row_value(kind.value_type, f"{place}[]", file))
    if types.is_map(kind):
        if not (types.is_string(kind.key_type) or types.is_large_string(kind.key_type)):
            raise FileRefused(f"{file}: column {place[:80]!a} is a map with keys of {kind.key_type}: write it as text")
        return pa.map_(kind.key_type, _as_row_value(kind.item_type, f"{place}.*", file))
    if types.is_dictionary(kind):
        return _as_row_value(kind.value_type, place, file)
    held = (
        types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean, types.is_null,
        types.is_decimal, types.is_date, types.is_time, types.is_timestamp,
    )  # fmt: skip
    if any(is_held(kind) for is_held in held):
        return kind
    what = "bytes" if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind) else kind
    raise FileRefused(
        f"{file}: column {place[:80]!a} holds {what}, which a row cannot hold: write it as text, or leave it out "
        f"with --without {place.split('.', 1)[0].split('[', 1)[0]}"
    )


def _plain(value: Any, field: str, place: str) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FileRefused(f"{place}, column {field[:80]!a} is {value}, which JSON has not: write null or text")
        return value
    if isinstance(value, dict):
        return {name: _plain(inner, f"{field}.{name}" if field else name, place) for name, inner in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):
            made = {name: _plain(inner, f"{field}.{name}", place) for name, inner in value}
            if len(made) < len(value):
                raise FileRefused(f"{place}, column {field[:80]!a} has a key twice: keep one")
            return made
        return [_plain(inner, f"{field}[{at}]", place) for at, inner in enumerate(value)]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    raise FileRefused(f"{place}, column {field[:80]!a} is a {type(value).__name__}: write it as text")
