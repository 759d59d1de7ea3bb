"""Which files are read, in which order, and what is left out.

A file that is named is read, or refused by name. Of a folder, all files below it whose names end as a known kind are
read, ordered by their paths; left out and said are other files, links, names that begin with a dot, and the papers of
a data set (README, LICENSE and such), which are about the rows and no rows. A file that is named twice, or lies in a
folder that is named too, is read once. What comes from one file, or from a folder's files of one form, is contributed
together.
"""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from openledger.data.intake.kinds import GZIP_SUFFIX, KNOWN, FileKind, kind_of, require_kind
from openledger.data.intake.problems import FileRefused, FilesRefused

# Files of one folder; more are a data base that somebody exported, and belong into one file.
MAX_FILES = 100_000
_PAPERS = (
    "readme", "license", "licence", "copying", "notice", "changelog", "changes", "contributing", "citation", "authors",
    "dataset_info", "dataset_infos", "dataset_dict", "state",
)  # fmt: skip
_SHOWN_LEFT_OUT = 3
# Compressed files hold several times their own size.
_PACKED_TIMES = 5


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read; `name` is how people see it."""

    path: Path
    name: str
    kind: FileKind
    size: int

    @property
    def likely_row_bytes(self) -> int:
        """About how many bytes of rows it holds."""
        is_packed = self.kind == FileKind.PARQUET or self.name.lower().endswith(GZIP_SUFFIX)
        return self.size * (_PACKED_TIMES if is_packed else 1)


@dataclass(frozen=True, slots=True)
class RowSource:
    """A named file, or the files of a named folder: they are contributed together."""

    name: str
    files: tuple[SourceFile, ...]


@dataclass(slots=True)
class FoundFiles:
    """The sources in the order in which they were named, and what was left out, in words."""

    sources: list[RowSource] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum([file.size for source in self.sources for file in source.files])

    @property
    def likely_row_bytes(self) -> int:
        """About how many bytes of rows they hold."""
        return sum([file.likely_row_bytes for source in self.sources for file in source.files])


def sources_at(paths: Iterable[Path]) -> FoundFiles:
    """The files at these paths; raises `FilesRefused` naming each path that is none of a known kind."""
    found, problems, seen = FoundFiles(), [], set[str]()
    for path in paths:
        try:
            source = _folder(path, seen, found.notes) if path.is_dir() else _file(path, seen, found.notes)
        except FileRefused as problem:
            problems.append(str(problem))
            continue
        if source.files:
            found.sources.append(source)
    if problems:
        raise FilesRefused(problems)
    return found


def shown(path: Path) -> str:
    """A path as people can read it, also where its bytes are no text or would command a terminal."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join([character if character.isprintable() else "\ufffd" for character in text])


def _file(path: Path, seen: set[str], notes: list[str]) -> RowSource:
    name = shown(path)
    if not path.exists():
        raise FileRefused(f"{name}: there is no such file")
    if not path.is_file():
        raise FileRefused(f"{name}: is no regular file: write its content to a file first")
    kind = require_kind(name)
    if _is_known(path, seen):
        notes.append(f"{name}: is named twice, read once")
        return RowSource(name, ())
    return RowSource(name, (SourceFile(path=path, name=name, kind=kind, size=path.stat().st_size),))


def _folder(path: Path, seen: set[str], notes: list[str]) -> RowSource:
    folder = f"{shown(path).rstrip(os.sep)}{os.sep}"
    files: list[SourceFile] = []
    left_out: dict[str, list[str]] = {}
    for file in sorted(_walk(path, folder, left_out), key=lambda one: one.relative_to(path).as_posix().encode()):
        name = f"{folder}{shown(file.relative_to(path))}"
        kind = kind_of(file.name)
        if PurePath(file.name.lower()).name.split(".", 1)[0] in _PAPERS:
            left_out.setdefault("about the data", []).append(name)
        elif kind is None:
            left_out.setdefault("of no known kind", []).append(name)
        elif not _is_known(file, seen):
            files.append(SourceFile(path=file, name=name, kind=kind, size=file.stat().st_size))
        if len(files) > MAX_FILES:
            raise FileRefused(f"{folder}: has more than {MAX_FILES} files: put their rows into fewer files")
    for reason, names in left_out.items():
        more = f" and {len(names) - _SHOWN_LEFT_OUT} more" if len(names) > _SHOWN_LEFT_OUT else ""
        notes.append(f"{folder}: left out, {reason}: {', '.join(names[:_SHOWN_LEFT_OUT])}{more}")
    if not files:
        ends = Counter([PurePath(name).suffix for names in left_out.values() for name in names])
        there = f" (there are {', '.join(sorted(ends)[:5])})" if ends else ""
        raise FileRefused(f"{folder}: has no file that ends with {KNOWN}{there}")
    return RowSource(folder, tuple(files))


def _walk(path: Path, folder: str, left_out: dict[str, list[str]]) -> Iterable[Path]:
    def refuse(error: OSError) -> None:
        raise FileRefused(f"{error.filename or folder}: cannot be read: {error.strerror}")

    for place, folders, names in os.walk(path, onerror=refuse):
        here = Path(place)
        for name in list(folders):
            if name.startswith("."):
                folders.remove(name)
                left_out.setdefault("hidden", []).append(f"{folder}{shown((here / name).relative_to(path))}")
            elif (here / name).is_symlink():
                folders.remove(name)
                left_out.setdefault("a link", []).append(f"{folder}{shown((here / name).relative_to(path))}")
        for name in names:
            file = here / name
            relative = f"{folder}{shown(file.relative_to(path))}"
            if name.startswith("."):
                left_out.setdefault("hidden", []).append(relative)
            elif file.is_symlink():
                left_out.setdefault("a link", []).append(relative)
            elif not file.is_file():
                left_out.setdefault("no regular file", []).append(relative)
            else:
                yield file


def _is_known(path: Path, seen: set[str]) -> bool:
    whole = str(path.resolve())
    known = whole in seen
    seen.add(whole)
    return known
