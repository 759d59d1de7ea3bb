"""CSV and TSV files: a row for each record, its fields named by the first record, every cell a text.

Cells are quoted as RFC 4180 has it, and a quoted cell may take several lines. A CSV file parts its cells by the
character of `,` `;` and TAB that its first line has most of, or by the one that a line `sep=;` names; TSV by TAB. Line
ends inside of cells become line feeds. Empty lines are left out. A first column without a name that counts the records
from 0 or 1 is left out: tables are written with their row numbers so.
"""

import csv
import json
from collections.abc import Iterator, Sequence

from openledger.data.intake.problems import FileRefused, utf8_advice
from openledger.data.intake.streams import ByteSource, lines_of
from openledger.data.row_json import MAX_ROW_BYTES

DELIMITERS = ",;\t"
# A table of more columns has its records and columns exchanged.
MAX_COLUMNS = 10_000


class _Records:
    """The records of a table with the line at which each begins."""

    def __init__(self, source: ByteSource, *, tabs: bool) -> None:
        # The limit of this process is raised and never lowered: others may rely on theirs.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_ROW_BYTES))
        self._name = source.name
        self._lines = lines_of(source, MAX_ROW_BYTES, "row")
        self._number = 0
        self._record: list[str] = []
        self._record_bytes = 0
        self._first: str | None = None
        self.begins = 0
        self._delimiter = "\t" if tabs else self._delimiter_of_first_line()
        self._reader = csv.reader(self._feed(), delimiter=self._delimiter, strict=True)

    def next(self) -> list[str] | None:
        """The next record that is not an empty line; None at the end. Raises `FileRefused`."""
        while True:
            self._record, self._record_bytes = [], 0
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                raise FileRefused(f"{self._name}: {self._fault(str(error))}") from None
            if cells is None or cells:
                return cells

    def _delimiter_of_first_line(self) -> str:
        first = self._next_line()
        if first is not None and len(first) == 5 and first.lower().startswith("sep="):
            return first[4]
        self._first = first
        unquoted = "".join((first or "").split('"')[::2])
        return max(DELIMITERS, key=unquoted.count)

    def _next_line(self) -> str | None:
        line = next(self._lines, None)
        if line is None:
            return None
        self._number += 1
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            column = line[: error.start].count(self._delimiter_bytes()) + 1
            raise FileRefused(
                f"{self._name}: line {self._number}, near column {column}: byte {error.start + 1} is no UTF-8, "
                f"perhaps Windows-1252 of a spreadsheet: {utf8_advice(self._name)}"
            ) from None

    def _delimiter_bytes(self) -> bytes:
        return getattr(self, "_delimiter", ",").encode()

    def _feed(self) -> Iterator[str]:
        """Physical lines for the parser; a record of more bytes than a row may have is refused while it grows."""
        if self._first is not None:
            line: str | None = self._first
        else:
            line = self._next_line()
        while line is not None:
            if not self._record:
                self.begins = self._number
            self._record.append(line)
            self._record_bytes += len(line)
            if self._record_bytes > MAX_ROW_BYTES:
                raise FileRefused(f"{self._name}: {self._fault('larger')}")
            if "\r" in line:
                raise FileRefused(
                    f"{self._name}: line {self._number} has carriage returns alone inside: save it with line feeds"
                )
            yield f"{line}\n"
            line = self._next_line()

    def _fault(self, text: str) -> str:
        """A fault of the parser in words, with the place where it began."""
        cells = next(csv.reader(["\n".join(self._record[:50])], delimiter=self._delimiter), [])
        column = max(len(cells), 1)
        if "unexpected end" in text or "larger" in text:
            lines = f"lines {self.begins} to {self._number}" if self._number > self.begins else f"line {self.begins}"
            if len(self._record) > 1 or "unexpected end" in text:
                return (
                    f"line {self.begins}, column {column}: a quotation mark opens a cell and none closes it within "
                    f"{lines}: close it, and write a quotation mark inside of a cell twice"
                )
            return (
                f"line {self.begins} is longer than {MAX_ROW_BYTES} bytes, more than a row may have: split the document"
            )
        if "expected after" in text:
            return (
                f"line {self._number}, column {column}: text follows the quotation mark that closes a cell: write a "
                "quotation mark inside of a cell twice"
            )
        return f"line {self._number}: {text}"


def table_rows(source: ByteSource, *, tabs: bool, notes: list[str]) -> Iterator[tuple[int, bytes]]:
    """Line number and row of each record; `notes` gets what was left out. Raises `FileRefused`."""
    records = _Records(source, tabs=tabs)
    header = records.next()
    if header is None:
        return
    line = records.begins
    header = [name.strip() for name in header]
    place = f"{source.name}: line {line}"
    _check_header(header, place)
    numbered = header[0] == "" and len(header) > 1
    counted_from: int | None = None
    record = 0
    while (cells := records.next()) is not None:
        place = f"{source.name}: line {records.begins}"
        if len(cells) != len(header):
            raise FileRefused(f"{place} {_width_problem(cells, header)}")
        if numbered:
            counted_from = _first_number(cells[0], place) if counted_from is None else counted_from
            if cells[0] != str(counted_from + record):
                raise FileRefused(f"{place}, column 1 has no name and does not count the records: name it")
        record += 1
        named = zip(header[numbered:], cells[numbered:], strict=True)
        yield records.begins, json.dumps(dict(named), ensure_ascii=False, separators=(",", ":")).encode()
    if numbered:
        notes.append(f"{source.name}: its first column has no name and counts the records: left out")


def _first_number(cell: str, place: str) -> int:
    if cell not in ("0", "1"):
        raise FileRefused(f"{place}, column 1 has no name and does not count the records: name it")
    return int(cell)


def _check_header(header: Sequence[str], place: str) -> None:
    if len(header) > MAX_COLUMNS:
        raise FileRefused(
            f"{place} names {len(header)} columns, more than {MAX_COLUMNS}: are records and columns exchanged?"
        )
    seen: dict[str, int] = {}
    for column, name in enumerate(header, 1):
        if not name and column > 1:
            raise FileRefused(
                f"{place}, column {column} has no name: name it, the first line names the fields of the rows"
            )
        if name in seen:
            raise FileRefused(f"{place} names {name[:40]!a} twice, as columns {seen[name]} and {column}: rename one")
        if name.startswith('"'):
            raise FileRefused(
                f"{place}, column {column}: a space stands before a quotation mark: take it out everywhere"
            )
        seen[name] = column
    if header == [""]:
        raise FileRefused(f"{place} names no field: the first line names the fields of the rows")


def _width_problem(cells: Sequence[str], header: Sequence[str]) -> str:
    widths = f"has {len(cells)} cells, the first line names {len(header)} fields"
    if len(cells) > len(header):
        surplus = cells[len(header)][:20]
        return f"{widths}: column {len(header) + 1} is {surplus!a}; quote cells that hold the delimiter"
    return f"{widths}: column {len(cells) + 1}, {header[len(cells)][:40]!a}, is missing"
