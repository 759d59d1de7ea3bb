"""Rows of a version as files that other programs read: JSON Lines, CSV, Parquet, a folder for `datasets`.

A contribution is in memory at a time, and a file is there whole or not at all. JSON Lines are the rows byte for byte;
what another form cannot hold is counted and said. Tables are read through twice: once for their columns.
"""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from openledger.content.files import replacing
from openledger.content.new_files import check_new, check_new_folder, making_folder
from openledger.content.store import ContentStore, file_digest
from openledger.data.loading import ErasedPart, as_object, batches
from openledger.data.reading import WholeVersion
from openledger.data.row_json import Number, read_row
from openledger.data.rows import RowBatch
from openledger.data.tables import JSON, ColumnKind, Remarks, as_columns, check_columns, columns_of, remark_table
from openledger.errors import UsageError

# Rows done, rows in all.
Progress = Callable[[int, int], None]
FORMS = ("jsonl", "parquet", "csv", "hf")
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".csv": "csv"}
# Signs with which a cell begins that spreadsheets take for a formula.
_FORMULA_STARTS = ("=", "@")
# Rows of one row group of a Parquet file, of at most a mebibyte each and mostly far less.
_GROUP_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class Exported:
    """One finished export: its rows, what the form changed about them, and contributions left out as erased."""

    form: str
    rows: int
    # A sentence for each field and change; and all of them in one line.
    remarks: tuple[str, ...]
    in_short: str
    erased: tuple[ErasedPart, ...]
    # Path and SHA-256 of every file.
    files: tuple[tuple[str, bytes], ...]


@dataclass
class _Source:
    """The rows to write, which can be gone through several times."""

    store: ContentStore
    version: WholeVersion
    without_erased: bool
    progress: Progress
    passes: int = 1
    done: int = 0

    def __post_init__(self) -> None:
        self.erased: dict[bytes, ErasedPart] = {}
        # Rows that the last pass gave.
        self.given = 0

    def rows(self) -> Iterator[bytes]:
        """Bytes of all rows in order."""
        total, self.given = self.version.record.row_count * self.passes, 0
        for _, submission, batch in batches(self.store, self.version, without_erased=self.without_erased):
            if isinstance(batch, RowBatch):
                self.given += len(batch.rows)
                yield from batch.rows
            else:
                self.erased[submission.contribution_id] = batch
            self.done += submission.stored.contribution.row_count
            self.progress(self.done, total)


def form_of_target(target: Path, form: str | None) -> str:
    """The form that is asked for, or that the file's ending says; raises `UsageError`."""
    if form is not None:
        return form
    found = _SUFFIXES.get(target.suffix.lower(), "")
    if not found:
        raise UsageError(f"{target}: which form? end it in .jsonl, .csv or .parquet, or give --form {'|'.join(FORMS)}")
    return found


def export_version(
    store: ContentStore,
    version: WholeVersion,
    target: Path,
    form: str,
    *,
    without_erased: bool = False,
    card: str = "",
    overwrite: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Exported:
    """Write all rows to `target`, over a file that is there only when asked to; `card` is a folder's README.

    Raises `UsageError`, `ContentErased`, `ContentMissing`, `TamperedRows`; then nothing is left behind.
    """
    if form == "hf":
        check_new_folder(target)
    else:
        check_new(target, overwrite=overwrite)
    source = _Source(
        store=store,
        version=version,
        without_erased=without_erased,
        progress=progress,
        passes=1 if form == "jsonl" else 2,
    )
    remarks = Remarks()
    if form == "hf":
        written = _write_folder(source, target, card, remarks)
        files = tuple([(str(path), file_digest(path)) for path in sorted(target.rglob("*")) if path.is_file()])
    else:
        write = {"jsonl": _write_lines, "csv": _write_csv, "parquet": _write_parquet}[form]
        with _sink(target) as sink:
            written = write(source, sink, remarks)
        files = ((str(target), file_digest(target)),) if target.is_file() else ()
    erased = tuple(source.erased.values())
    return Exported(
        form=form,
        rows=written,
        remarks=tuple(remarks.sentences()),
        in_short=remarks.in_short(),
        erased=erased,
        files=files,
    )


@contextmanager
def _sink(target: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole or not at all; what is no file (a pipe, /dev/stdout) is written to, never replaced."""
    if target.exists() and not target.is_file():
        with target.open("wb") as sink:
            yield sink
        return
    with replacing(target.resolve() if target.is_symlink() else target) as sink:
        yield sink


def _write_lines(source: _Source, sink: IO[bytes], _remarks: Remarks) -> int:
    for row in source.rows():
        sink.write(row + b"\n")
    return source.given


# --- CSV


def _write_csv(source: _Source, sink: IO[bytes], remarks: Remarks) -> int:
    columns: dict[str, None] = {}
    for row in source.rows():
        columns |= dict.fromkeys(read_row(row))
        check_columns(len(columns))
    if not columns:
        raise UsageError("no row has a field, so that a CSV file would have no column: take --form jsonl")
    text = io.TextIOWrapper(sink, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in source.rows():
        values = read_row(row)
        writer.writerow([_cell(name, values, remarks) for name in columns])
    text.flush()
    text.detach()
    return source.given


def _cell(name: str, values: dict[str, Any], remarks: Remarks) -> str:
    """A value as CSV has it; what it was can no longer be told, which is remarked."""
    if name not in values:
        remarks.add(name, "not there, which CSV does not tell from an empty text")
        return ""
    value = values[name]
    if value is None:
        remarks.add(name, "null, which CSV does not tell from an empty text")
        return ""
    if isinstance(value, bool):
        remarks.add(name, "true or false, which stands as text")
        return "true" if value else "false"
    if isinstance(value, Number):
        remarks.add(name, "a number, which stands as text")
        return str(value)
    if isinstance(value, str):
        if value.startswith(_FORMULA_STARTS):
            remarks.add(name, "a text that begins with = or @, which a spreadsheet runs as a formula")
        return value
    remarks.add(name, "a list or an object, which stands as JSON text")
    return _json_text(value)


def _json_text(value: Any) -> str:
    """JSON of a value that was read with its numbers as they are written."""
    import json

    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        members = [f"{json.dumps(key, ensure_ascii=False)}:{_json_text(each)}" for key, each in value.items()]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join([_json_text(each) for each in value]) + "]"
    return json.dumps(value, ensure_ascii=False)


# --- Parquet


def _write_parquet(source: _Source, sink: IO[bytes], remarks: Remarks) -> int:
    with _pyarrow() as (pa, parquet):
        columns = columns_of(map(as_object, source.rows()))
        if not columns:
            raise UsageError("no row has a field, so that a table would have no column: take --form jsonl")
        schema = pa.schema([(name, _type(pa, kind)) for name, kind in columns.items()])
        waiting = list[dict[str, Any]]()
        with parquet.ParquetWriter(sink, schema) as writer:
            for row in source.rows():
                found = as_object(row)
                remark_table(found, columns, remarks)
                waiting.append(found)
                if len(waiting) == _GROUP_ROWS:
                    writer.write_table(pa.table(as_columns(waiting, columns), schema=schema))
                    waiting.clear()
            if waiting:
                writer.write_table(pa.table(as_columns(waiting, columns), schema=schema))
        return source.given


@contextmanager
def _pyarrow() -> Iterator[Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed here: run `scripts/setup data`, or take --form jsonl"
        ) from None
    yield pa, parquet


def _type(pa: Any, kind: ColumnKind) -> Any:
    """Arrow's type for a kind."""
    if kind.name == "list":
        return pa.list_(_type(pa, kind.of or JSON))
    if kind.name == "object":
        return pa.struct([(name, _type(pa, below)) for name, below in kind.fields.items()])
    simple = {"null": pa.null, "boolean": pa.bool_, "integer": pa.int64, "float": pa.float64}
    return simple.get(kind.name, pa.string)()


# --- A folder that `datasets.load_dataset` reads


def _write_folder(source: _Source, target: Path, card: str, remarks: Remarks) -> int:
    with making_folder(target) as folder:
        (folder / "data").mkdir()
        with replacing(folder / "data" / "train-00000-of-00001.parquet") as sink:
            written = _write_parquet(source, sink, remarks)
        with replacing(folder / "README.md") as sink:
            sink.write(card.encode())
    return written
