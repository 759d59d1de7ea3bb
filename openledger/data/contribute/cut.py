"""Rows of sources in order, cut into parts.

The rule: the rows of a source (a file; or of a folder, its files of one form) stand in the order of its files and their
lines; a part takes rows as long as it has at most `MAX_ROWS` rows and `MAX_BATCH_BYTES` bytes of them; the next row
begins the next part. So the same files always give the same parts.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from abci_app.modules.datanets import Form
from openledger.data.forms import form_of
from openledger.data.intake.problems import FileRefused
from openledger.data.intake.reading import FileReader, ReadOptions
from openledger.data.intake.sources import RowSource
from openledger.data.row_json import RowError, read_row
from openledger.data.rows import MAX_BATCH_BYTES, MAX_ROWS

# What goes to a process at once: little enough that all have work, enough that sending it costs nothing.
_CHUNK_ROWS = 1_024
_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one file that stand one after the other, parted by line feeds, with the line of each."""

    data: bytes
    lines: "array[int]"
    reader: FileReader

    def place(self, row: int) -> str:
        """Where one of them stands, for people."""
        return self.reader.place(self.lines[row])


@dataclass(slots=True)
class Part:
    """The rows of one contribution, and where they come from."""

    source: RowSource
    # Which part of its source, from 1.
    number: int
    form: Form
    chunks: list[Rows] = field(default_factory=list)
    row_count: int = 0
    byte_count: int = 0
    # How far the files were read when it began and when it ended, in bytes of all files.
    begins_at: int = 0
    ends_at: int = 0

    def position(self, row: int) -> int:
        """About how far the files are read at one of its rows."""
        return self.begins_at + (self.ends_at - self.begins_at) * row // max(self.row_count, 1)

    def digest(self) -> bytes:
        """SHA-256 of the rows in their order: by this the journal knows them again."""
        hasher = sha256()
        for chunk in self.chunks:
            hasher.update(chunk.data)
            hasher.update(b"\n")
        return hasher.digest()

    @property
    def places(self) -> tuple[str, str]:
        """Where its first and its last row stand."""
        return self.chunks[0].place(0), self.chunks[-1].place(len(self.chunks[-1].lines) - 1)

    def place(self, row: int) -> str:
        """Where one of its rows stands, counted from 0."""
        for chunk in self.chunks:
            if row < len(chunk.lines):
                return chunk.place(row)
            row -= len(chunk.lines)
        raise IndexError(row)


class _Builder:
    """The part that takes rows now."""

    def __init__(self, part: Part, reader: FileReader) -> None:
        self.part = part
        self.reader = reader
        self._rows: list[bytes] = []
        self._lines = array("Q")
        self._held = 0

    def has_room(self, row: bytes) -> bool:
        """Whether the row still belongs to this part."""
        part = self.part
        rows, size = part.row_count + len(self._rows), part.byte_count + self._held
        return rows < MAX_ROWS and size + len(row) <= MAX_BATCH_BYTES

    def add(self, line: int, row: bytes) -> None:
        """Take a row."""
        self._rows.append(row)
        self._lines.append(line)
        self._held += len(row)
        if len(self._rows) == _CHUNK_ROWS or self._held >= _CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Put the rows that were taken into the part."""
        if self._rows:
            self.part.chunks.append(Rows(b"\n".join(self._rows), self._lines, self.reader))
            self.part.row_count += len(self._rows)
            self.part.byte_count += self._held
        self._rows, self._lines, self._held = [], array("Q"), 0


class Cutter:
    """Goes through sources once; `position` says how many bytes of all files are behind it."""

    def __init__(self, sources: list[RowSource], options: ReadOptions, refuse: Callable[[str], None]) -> None:
        self.notes: list[str] = []
        # Which of the fields that are renamed or left out some row has.
        self.named_fields: set[str] = set()
        self._sources = sources
        self._options = options
        self._refuse = refuse
        self._behind = 0
        self._reader: FileReader | None = None

    @property
    def position(self) -> int:
        """Bytes of files that were read."""
        return self._behind + (self._reader.position if self._reader else 0)

    def parts(self) -> Iterator[Part]:
        """Every part; a file that is refused is told, and ends its source."""
        begins_at = 0
        for source in self._sources:
            try:
                for part in self._of_source(source):
                    part.begins_at, part.ends_at = begins_at, self.position
                    begins_at = part.ends_at
                    yield part
            except FileRefused as refusal:
                self._refuse(str(refusal))

    def _of_source(self, source: RowSource) -> Iterator[Part]:
        builder: _Builder | None = None
        for file in source.files:
            reader = FileReader(file, self._options)
            self._reader = reader
            for line, row in reader.rows():
                if builder is None:
                    builder = _Builder(Part(source, 1, self._form(row)), reader)
                if builder.reader is not reader:
                    builder.flush()
                    builder.reader = reader
                if not builder.has_room(row):
                    builder.flush()
                    yield builder.part
                    builder = _Builder(Part(source, builder.part.number + 1, builder.part.form), reader)
                builder.add(line, row)
            self.notes += reader.notes
            self.named_fields |= reader.named_fields
            self._behind += file.size
            self._reader = None
        if builder is None:
            self.notes.append(f"{source.name}: has no rows")
            return
        builder.flush()
        yield builder.part

    def _form(self, row: bytes) -> Form:
        """The form that the rows of a source must have: the one that is given, else that of its first row."""
        if self._options.form is not None:
            return self._options.form
        try:
            return form_of(read_row(row))
        except RowError:
            # The row is refused with its line when it is worked on.
            return Form.OTHER
