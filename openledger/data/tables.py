"""Rows as columns of a table: which columns there are, of which kind, and what a table cannot hold as it was.

A kind is found over all rows, so that one odd row does not end an export half way: where rows disagree (a text here, a
list there), the column holds each value's JSON as text, and the export says so.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openledger.errors import UsageError

_LARGEST = 2**63
# Anybody may contribute rows with fields of their own making: each is a column of every row.
MAX_COLUMNS = 1_000
# Whole numbers up to here are exact as 64-bit floats.
_EXACT_AS_FLOAT = 2**53
_SHOWN_NAMES = 3


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """Kind of a column or of what it holds: null, boolean, integer, float, text, list (`of`), object (`fields`), json.

    `json` is anything, written as JSON text.
    """

    name: str
    of: "ColumnKind | None" = None
    fields: Mapping[str, "ColumnKind"] = field(default_factory=dict)
    # Of integers: whether all of them are exact as floats.
    small: bool = True


NULL, TEXT, JSON = ColumnKind("null"), ColumnKind("text"), ColumnKind("json")


def kind_of(value: Any) -> ColumnKind:
    """The kind of one JSON value."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return ColumnKind("boolean")
    if isinstance(value, int):
        return ColumnKind("integer", small=abs(value) <= _EXACT_AS_FLOAT) if -_LARGEST <= value < _LARGEST else JSON
    if isinstance(value, float):
        return ColumnKind("float")
    if isinstance(value, str):
        return TEXT
    if isinstance(value, list):
        items = NULL
        for item in value:
            items = join(items, kind_of(item))
        return ColumnKind("list", of=items)
    if not 0 < len(value) <= MAX_COLUMNS:
        return JSON
    return ColumnKind("object", fields={name: kind_of(item) for name, item in value.items()})


def join(one: ColumnKind, other: ColumnKind) -> ColumnKind:
    """The kind that holds the values of both."""
    if one == other or other == NULL:
        return one
    if one == NULL:
        return other
    names = {one.name, other.name}
    if names == {"integer"}:
        return ColumnKind("integer", small=one.small and other.small)
    if names == {"integer", "float"}:
        whole = one if one.name == "integer" else other
        return ColumnKind("float") if whole.small else JSON
    if one.name != other.name:
        return JSON
    if one.name == "list":
        return ColumnKind("list", of=join(one.of or NULL, other.of or NULL))
    if one.name == "object":
        fields = dict(one.fields)
        for name, kind in other.fields.items():
            fields[name] = join(fields[name], kind) if name in fields else kind
        return ColumnKind("object", fields=fields) if len(fields) <= MAX_COLUMNS else JSON
    return JSON


def columns_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, ColumnKind]:
    """Columns in the order in which rows first have them, each with the kind that holds all its values.

    Raises `UsageError` for rows with too many different fields.
    """
    columns: dict[str, ColumnKind] = {}
    for row in rows:
        for name, value in row.items():
            columns[name] = join(columns[name], kind_of(value)) if name in columns else kind_of(value)
        check_columns(len(columns))
    return columns


def check_columns(count: int) -> None:
    """Raise `UsageError` where there are more columns than a table is made with."""
    if count > MAX_COLUMNS:
        raise UsageError(f"the rows have more than {MAX_COLUMNS} different fields, too many for a table: take jsonl")


def as_columns(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, ColumnKind]) -> dict[str, list[Any]]:
    """The values of each column, one for every row; a row without it has null there."""
    return {name: [fitted(row.get(name), kind) for row in rows] for name, kind in columns.items()}


def fitted(value: Any, kind: ColumnKind) -> Any:
    """A value as its column holds it."""
    if kind.name == "json":
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if value is None:
        return None
    if kind.name == "float":
        return float(value)
    if kind.name == "list":
        return [fitted(item, kind.of or NULL) for item in value]
    if kind.name == "object":
        return {name: fitted(value.get(name), below) for name, below in kind.fields.items()}
    return value


@dataclass
class Remarks:
    """All that a form could not hold as it was: field, what about it, and how many rows it happened to."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, name: str, text: str) -> None:
        """One more row to which it happened."""
        self.counts[name, text] = self.counts.get((name, text), 0) + 1

    def sentences(self) -> list[str]:
        """A sentence for each field and what happened to it."""
        return [
            f"'{name}' is {text} ({count:,} {'row' if count == 1 else 'rows'})"
            for (name, text), count in self.counts.items()
        ]

    def in_short(self) -> str:
        """All of it in one line: each thing that happened once, with the fields that it happened to."""
        fields: dict[str, list[str]] = {}
        for name, text in self.counts:
            fields.setdefault(text, []).append(f"'{name}'")
        return "; ".join([f"{text}: {_some(names)}" for text, names in fields.items()])


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def remark_table(row: Mapping[str, Any], columns: Mapping[str, ColumnKind], remarks: Remarks) -> None:
    """Note what a table of these columns changes about one row."""
    for name, kind in columns.items():
        if name in row and row[name] is None:
            remarks.add(name, "null, which a table does not tell from a field that is not there")
        elif name in row and _holds_json(kind):
            remarks.add(name, "not of one kind in all rows, so its values stand as JSON text")


def _holds_json(kind: ColumnKind) -> bool:
    below = [*kind.fields.values(), *([kind.of] if kind.of else [])]
    return kind.name == "json" or any(_holds_json(each) for each in below)
