"""Which reader a file has, by the end of its name."""

from enum import StrEnum
from pathlib import PurePath

from openledger.data.intake.problems import FileRefused


class FileKind(StrEnum):
    """Kinds of files with rows."""

    JSON_LINES = "JSON Lines"
    JSON = "JSON"
    CSV = "CSV"
    TSV = "TSV"
    PARQUET = "Parquet"
    TEXT = "plain text"


_SUFFIXES: dict[str, FileKind] = {
    ".jsonl": FileKind.JSON_LINES, ".ndjson": FileKind.JSON_LINES, ".jsonlines": FileKind.JSON_LINES,
    ".json": FileKind.JSON,
    ".csv": FileKind.CSV,
    ".tsv": FileKind.TSV, ".tab": FileKind.TSV,
    ".parquet": FileKind.PARQUET,
    ".txt": FileKind.TEXT, ".text": FileKind.TEXT, ".md": FileKind.TEXT, ".markdown": FileKind.TEXT,
    ".rst": FileKind.TEXT,
}  # fmt: skip
GZIP_SUFFIX = ".gz"
KNOWN = ".jsonl, .ndjson, .json, .csv, .tsv, .parquet, .txt, .md or .rst, also with .gz behind"
# What people have instead, and what makes rows of it.
_REMEDIES: dict[str, str] = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), "unpack it and name the folder"),
    **dict.fromkeys((".bz2", ".xz", ".zst", ".lz4"), "decompress it, or compress it with gzip"),
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), "save the sheet as CSV"),
    **dict.fromkeys((".arrow", ".feather", ".orc", ".avro"), "save the table as Parquet"),
    **dict.fromkeys((".pdf", ".docx", ".doc", ".odt", ".html", ".htm", ".epub"), "save its text as .txt"),
    **dict.fromkeys((".py", ".ipynb", ".xml", ".yaml", ".yml"), "write its rows as JSON Lines"),
}


def kind_of(name: str) -> FileKind | None:
    """The kind of a file by its name, None where the name says none."""
    path = PurePath(name.lower())
    suffix = PurePath(path.stem).suffix if path.suffix == GZIP_SUFFIX else path.suffix
    return _SUFFIXES.get(suffix)


def require_kind(name: str) -> FileKind:
    """The kind of a file that somebody named; raises `FileRefused` with what to do."""
    kind = kind_of(name)
    if kind is None:
        suffix = PurePath(name.lower()).suffix
        remedy = _REMEDIES.get(suffix, f"give it an end that says what is in it: {KNOWN}")
        what = f"a file with the end {suffix}" if suffix else "a file with no end in its name"
        raise FileRefused(f"{name}: {what} has no rows that are known here; {remedy}")
    return kind
