"""Bytes of a file as UTF-8 without byte order mark, a part at a time: gzip and UTF-16 undone on the way.

A gzip file is told by its first bytes, under any name. One that gives more than `MAX_GZIP_RATIO` times its own size
is refused once it has given `LEAST_BOMB_BYTES`: text shrinks to a tenth or so, and what shrinks more was made to fill
somebody's disk.
"""

import codecs
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from openledger.data.intake.problems import FileRefused

PART_BYTES = 2**20
MAX_GZIP_RATIO = 200
LEAST_BOMB_BYTES = 2**30
_GZIP_MAGIC = b"\x1f\x8b"
# Beginnings of files that are something else than their name says, and what to do.
_OTHER_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS, not the file", "fetch it with `git lfs pull`"),
    (b"PAR1", "a Parquet file", "give it the end .parquet"),
    (b"PK\x03\x04", "a ZIP archive or an office document", "unpack it, or save its table as CSV"),
    (b"%PDF", "a PDF", "save its text as .txt"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it"),
    (b"BZh", "compressed with bzip2", "decompress it"),
    (b"\xfd7zXZ", "compressed with xz", "decompress it"),
    (b"SQLite format 3", "an SQLite database", "save its table as CSV"),
    (b"ARROW1", "an Arrow file", "save its table as Parquet"),
)
_HTML = (b"<!doctype html", b"<html")
_SNIFFED_BYTES = 8_192


class ByteSource:
    """One open file: `read` gives its bytes as UTF-8, `position` how far the file itself is read."""

    def __init__(self, name: str, raw: IO[bytes], size: int) -> None:
        self.name = name
        self.size = size
        self.encoding = "UTF-8"
        self.gzipped = False
        self._raw = raw
        self._given = 0
        self._stream: IO[bytes] | gzip.GzipFile = raw
        self._first = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._begin()

    @property
    def position(self) -> int:
        """Bytes of the file that were read, compressed ones where it is compressed."""
        return min(self._raw.tell(), self.size)

    def read(self) -> bytes:
        """The next part, empty at the end. Raises `FileRefused`."""
        if self._first:
            part, self._first = self._first, b""
        else:
            part = self._read_stream(PART_BYTES)
        if self._decoder is None:
            return part
        try:
            while True:
                text = self._decoder.decode(part, final=not part)
                if text or not part:
                    return str(text).encode()
                part = self._read_stream(PART_BYTES)
        except UnicodeError:
            raise FileRefused(f"{self.name}: is not valid {self.encoding}: save it as UTF-8") from None

    def _begin(self) -> None:
        if self._raw.read(2) == _GZIP_MAGIC:
            self.gzipped = True
            self._stream = gzip.GzipFile(fileobj=self._raw, mode="rb")
        self._raw.seek(0)
        first = self._read_stream(PART_BYTES)
        for mark, encoding in ((codecs.BOM_UTF8, "UTF-8"), (codecs.BOM_UTF32_LE, "UTF-32"),
                               (codecs.BOM_UTF32_BE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16-LE"),
                               (codecs.BOM_UTF16_BE, "UTF-16-BE")):  # fmt: skip
            if first.startswith(mark):
                if encoding == "UTF-32":
                    raise FileRefused(f"{self.name}: is UTF-32: save it as UTF-8")
                first = first[len(mark) :]
                if encoding != "UTF-8":
                    self._decoder = codecs.getincrementaldecoder(encoding)()
                    self.encoding = "UTF-16"
                break
        else:
            check_is_text(self.name, first[:_SNIFFED_BYTES])
        self._first = first

    def _read_stream(self, size: int) -> bytes:
        try:
            part = self._stream.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileRefused(
                f"{self.name}: the gzip file is cut short or damaged ({error}) after {self._given} bytes of its "
                "content: get it again"
            ) from None
        self._given += len(part)
        if self.gzipped and self._given > max(LEAST_BOMB_BYTES, MAX_GZIP_RATIO * self.size):
            raise FileRefused(
                f"{self.name}: {self.size} bytes of gzip give more than {self._given} bytes, over {MAX_GZIP_RATIO} "
                "times as many: if it is no bomb, decompress it yourself and name the result"
            )
        return part


def check_is_what_it_seems(name: str, beginning: bytes) -> None:
    """Refuse what is plainly another kind of file than its name says, by what it is."""
    for magic, what, remedy in _OTHER_KINDS:
        if beginning.startswith(magic):
            raise FileRefused(f"{name}: is {what}: {remedy}")
    if beginning.lstrip()[:32].lower().startswith(_HTML):
        raise FileRefused(f"{name}: is a page of HTML, perhaps an error page instead of a download: look at it")


def check_is_text(name: str, beginning: bytes) -> None:
    """Refuse what is plainly not text in UTF-8, by name."""
    check_is_what_it_seems(name, beginning)
    evens, odds = beginning[0:64:2].count(0), beginning[1:64:2].count(0)
    if max(evens, odds) > 8 and min(evens, odds) == 0:
        raise FileRefused(f"{name}: looks like UTF-16 without a byte order mark: save it as UTF-8")
    if b"\0" in beginning:
        raise FileRefused(f"{name}: holds zero bytes, so it is no text: is its name right?")


@contextmanager
def open_source(path: Path, name: str) -> Iterator[ByteSource]:
    """Open a regular file; refuses one that changed while it was read."""
    with open_regular(path, name) as raw:
        before = os.fstat(raw.fileno())
        yield ByteSource(name, raw, before.st_size)
        require_unchanged(raw, before, name)


@contextmanager
def open_regular(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open what is a file: reading a pipe twice, or a device, would never end as people expect."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise FileRefused(f"{name}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise FileRefused(f"{name}: is no regular file: write its content to a file first")
    try:
        raw = path.open("rb")
    except OSError as error:
        raise FileRefused(f"{name}: cannot be read: {error.strerror}") from None
    with raw:
        yield raw


def require_unchanged(raw: IO[bytes], before: os.stat_result, name: str) -> None:
    """Refuse a file that somebody wrote to while it was read: nobody could say which rows were contributed."""
    after = os.fstat(raw.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise FileRefused(f"{name}: changed while it was read: wait until it is complete and try again")


def lines_of(source: ByteSource, longest_bytes: int, what: str = "line") -> Iterator[bytes]:
    """Lines without their ends (line feed, or carriage return and line feed); raises `FileRefused` for a longer one."""
    kept: list[bytes] = []
    kept_bytes, number = 0, 0
    while part := source.read():
        first, *rest = part.split(b"\n")
        kept.append(first)
        kept_bytes += len(first)
        if rest:
            number += 1
            yield b"".join(kept).rstrip(b"\r")
            for line in rest[:-1]:
                number += 1
                yield line.rstrip(b"\r")
            kept, kept_bytes = [rest[-1]], len(rest[-1])
        if kept_bytes > longest_bytes:
            raise FileRefused(
                f"{source.name}: line {number + 1} is longer than {longest_bytes} bytes, more than a {what} may have: "
                "write one row a line, and split the document"
            )
    if kept_bytes:
        yield b"".join(kept).rstrip(b"\r")
