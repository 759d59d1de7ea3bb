"""One file as rows, with its place in words and how far it is read."""

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from abci_app.modules.datanets import Form
from openledger.data.forms import form_of
from openledger.data.intake.json_files import json_lines, json_rows
from openledger.data.intake.kinds import FileKind
from openledger.data.intake.plain_text import TextRule, text_rows
from openledger.data.intake.problems import FileRefused
from openledger.data.intake.sources import FoundFiles, RowSource, SourceFile
from openledger.data.intake.streams import open_source
from openledger.data.intake.tables import table_rows
from openledger.data.row_json import RowError, read_row, write_row
from openledger.packages import advice, is_installed


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The contributor's word about the rows of all files."""

    # The form that every row must have; None: the one that a source's first row has.
    form: Form | None = None
    # Field name -> its name in the rows that are contributed.
    rename: Mapping[str, str] = field(default_factory=dict)
    # Fields that are not contributed.
    without: frozenset[str] = frozenset()
    text: TextRule = TextRule.DOCUMENT


class FileReader:
    """Rows of one file, from its beginning to its end."""

    def __init__(self, file: SourceFile, options: ReadOptions) -> None:
        self.file = file
        # What people should know about how the file was read.
        self.notes: list[str] = []
        # Which of the fields that are renamed or left out its rows have.
        self.named_fields: set[str] = set()
        self._options = options
        self._progress: object = None

    @property
    def position(self) -> int:
        """Bytes of the file that were read."""
        return int(getattr(self._progress, "position", 0))

    def rows(self) -> Generator[tuple[int, bytes]]:
        """Line (of Parquet: row) and bytes of each row. Raises `FileRefused`."""
        rows = self._rows()
        if not (self._options.rename or self._options.without):
            yield from rows
            return
        with closing(rows):
            for line, row in rows:
                yield line, self._changed(line, row)

    def place(self, line: int) -> str:
        """A row's place for people."""
        return f"{self.file.name}: {'row' if self.file.kind == FileKind.PARQUET else 'line'} {line}"

    def _rows(self) -> Generator[tuple[int, bytes]]:
        file, options = self.file, self._options
        if file.kind == FileKind.PARQUET:
            from openledger.data.intake.parquet import ParquetSource, parquet_rows

            parquet = ParquetSource(file.name, file.size)
            self._progress = parquet
            yield from parquet_rows(file.path, parquet, options.without, self.named_fields)
            return
        with open_source(file.path, file.name) as source:
            self._progress = source
            if source.encoding != "UTF-8":
                self.notes.append(f"{file.name}: is {source.encoding}, its rows are contributed as UTF-8")
            if file.kind == FileKind.JSON_LINES:
                yield from json_lines(source)
            elif file.kind == FileKind.JSON:
                yield from json_rows(source, form_is_given=options.form is not None)
            elif file.kind == FileKind.TEXT:
                yield from text_rows(source, options.text)
            else:
                yield from table_rows(source, tabs=file.kind == FileKind.TSV, notes=self.notes)

    def _changed(self, line: int, row: bytes) -> bytes:
        """The row with its fields renamed and left out; numbers and the order of fields stay."""
        options = self._options
        try:
            found = read_row(row)
        except RowError as error:
            raise FileRefused(f"{self.place(line)} {error}") from None
        if not any(name in options.rename or name in options.without for name in found):
            # Byte for byte: renaming a field of another file makes no other row of this one.
            return row
        made: dict[str, object] = {}
        for name, value in found.items():
            if name in options.without:
                self.named_fields.add(name)
                continue
            if name in options.rename:
                self.named_fields.add(name)
            new_name = options.rename.get(name, name)
            if new_name in made:
                raise FileRefused(f"{self.place(line)} would have the field {new_name[:40]!a} twice: rename another")
            made[new_name] = value
        return write_row(made)


def by_form(found: FoundFiles, options: ReadOptions) -> list[RowSource]:
    """The sources, with each folder parted by the form that the first row of its files has."""
    parted: list[RowSource] = []
    for source in found.sources:
        if len(source.files) == 1 or options.form is not None:
            parted.append(source)
            continue
        files_of: dict[Form, list[SourceFile]] = {}
        for file in source.files:
            files_of.setdefault(first_form(file, options), []).append(file)
        parted += [RowSource(source.name, tuple(files_of[form])) for form in sorted(files_of, reverse=True)]
    return parted


def first_form(file: SourceFile, options: ReadOptions) -> Form:
    """The form of a file's first row; a file without rows has none of the known ones."""
    try:
        with closing(FileReader(file, options).rows()) as rows:
            for _, row in rows:
                return form_of(read_row(row))
    except RowError:
        # The file is refused with its line when it is read for good.
        return Form.OTHER
    return Form.OTHER


def require_readers(found: FoundFiles) -> None:
    """Refuse Parquet files where the library that reads them is not installed."""
    if is_installed("pyarrow"):
        return
    for source in found.sources:
        for file in source.files:
            if file.kind == FileKind.PARQUET:
                needs = advice("pyarrow", "reading Parquet")
                raise FileRefused(f"{file.name}: {needs}, or save the table as CSV or JSON Lines")
