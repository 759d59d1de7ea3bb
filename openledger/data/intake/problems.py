"""Refusals of files, each with file and line, and what to do."""

import shlex
from collections.abc import Iterable
from pathlib import PurePath

from openledger.data.row_json import RowError

# A file with a fault in every line says so often enough in this many.
SHOWN_PROBLEMS = 10

_GZIP = ".gz"


def utf8_advice(name: str) -> str:
    """Tell how a file of another encoding becomes UTF-8: the whole command, whose output is a file of the same kind.

    It lies elsewhere: beside the old one, in a folder that is contributed, both would be read.
    """
    source = name.removesuffix(_GZIP)
    target = f"/tmp/{PurePath(source).name}"  # noqa: S108 - a place for the reader, not for this program
    convert = "iconv -f WINDOWS-1252 -t UTF-8"
    read = f"gunzip -c {shlex.quote(name)} | {convert}" if source != name else f"{convert} {shlex.quote(name)}"
    return (
        f"save it as UTF-8 (in a spreadsheet: CSV UTF-8), or convert it: {read} > {shlex.quote(target)} "
        "and put that in its place"
    )


class FileRefused(RowError):
    """One file cannot be read, or one row in it; the text begins with its name."""


class FilesRefused(RowError):
    """Files have faults, nothing of them was contributed; `problems` holds a line for each."""

    def __init__(self, problems: Iterable[str], end: str = "") -> None:
        self.problems = tuple(problems)
        shown = self.problems[:SHOWN_PROBLEMS]
        more = len(self.problems) - len(shown)
        lines = [*shown, *([f"and {more} more"] if more else []), *([end] if end else [])]
        super().__init__("; ".join(lines) if len(self.problems) == 1 else "\n".join(lines))
