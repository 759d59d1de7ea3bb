"""Refusals of files, each with file and line, and what to do."""

from collections.abc import Iterable

from openledger.data.row_json import RowError

# A file with a fault in every line says so often enough in this many.
SHOWN_PROBLEMS = 10


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
