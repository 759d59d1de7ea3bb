"""Files made to fill memory or disk are refused while little of them is held."""

import gzip
import resource
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from openledger.data.intake import streams
from openledger.data.intake.problems import FileRefused
from openledger.data.intake.reading import FileReader, ReadOptions
from openledger.data.intake.sources import sources_at

MIB = 2**20
# Parts of the file that are held at once, as text of up to four bytes a character, and as rows.
MOST_MIB = 64


def bomb(path: Path, beginning: bytes, repeated: bytes, mebibytes: int) -> Path:
    """A gzip file of a few kilobytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = repeated * (MIB // len(repeated))
    with path.open("wb") as file:
        file.write(packer.compress(beginning))
        for _ in range(mebibytes):
            file.write(packer.compress(block))
        file.write(packer.flush())
    return path


def read_all(path: Path) -> int:
    """How many rows it has."""
    (source,) = sources_at([path]).sources
    rows: Iterator[tuple[int, bytes]] = FileReader(source.files[0], ReadOptions()).rows()
    return sum(1 for _ in rows)


@pytest.mark.parametrize(
    ("name", "beginning", "repeated", "reason"),
    [
        ("a.jsonl.gz", b'{"text":"', b"a", "line 1 is longer than 1048576 bytes"),
        ("a.json.gz", b'[{"text":"', b"a", "has no end within 1048576 bytes"),
        ("a.json.gz", b'[{"text":', b"[" * 16, "is nested too deep"),
        ("a.json.gz", b'[{"text":', b" ", "has no end within 1048576 bytes"),
        ("a.csv.gz", b'q,a\n1,"', b"no end\n", "a quotation mark opens a cell and none closes it within lines 2 to"),
        ("a.csv.gz", b"q,a\n1,", b"x", "line 2 is longer than 1048576 bytes"),
        ("a.csv.gz", b"", b"x,", "line 1 is longer than 1048576 bytes"),
        ("a.json.gz", b"[", b" \n", "its list has no end: the file is cut short"),
    ],
)
def test_what_has_no_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, name: str, beginning: bytes, repeated: bytes, reason: str
) -> None:
    path = bomb(tmp_path / name, beginning, repeated, 192)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileRefused) as caught:
        read_all(path)
    assert reason in str(caught.value)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_MIB * MIB


@pytest.mark.parametrize(
    ("name", "beginning", "repeated", "mebibytes", "rows"),
    [
        ("a.txt.gz", b"", b"a", 192, 192 * 32),
        ("a.jsonl.gz", b"", b"\n", 4, 0),
        ("a.csv.gz", b"text\n", b"\r\n", 4, 0),
        ("a.jsonl.gz", b"", b'{"text":"%b"}\n' % (b"word " * 202 + b"ww"), 192, 192 * 1_024),
        ("a.csv.gz", b"text\n", b"word " * 204 + b"...\n", 192, 192 * 1_024),
    ],
)
def test_a_file_of_any_length_is_read_in_little_memory(
    tmp_path: Path, name: str, beginning: bytes, repeated: bytes, mebibytes: int, rows: int
) -> None:
    path = bomb(tmp_path / name, beginning, repeated, mebibytes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_all(path) == rows
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_MIB * MIB


def test_a_gzip_file_that_gives_far_more_than_text_ever_does_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LEAST_BOMB_BYTES", 8 * MIB)
    path = bomb(tmp_path / "a.jsonl.gz", b"", b'{"text":"a word"}\n'.ljust(1_024, b"\n"), 64)
    with pytest.raises(FileRefused, match=r"a.jsonl.gz: \d+ bytes of gzip give more than \d+ bytes, over 200 times as"):
        read_all(path)
    text = b"".join([b'{"text":"%d words of text"}\n' % (number * number) for number in range(300_000)])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(text, 1))
    assert read_all(tmp_path / "b.jsonl.gz") == 300_000


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text":"a"}\n' * 3)
    (source,) = sources_at([path]).sources
    rows = FileReader(source.files[0], ReadOptions()).rows()
    next(rows)
    with path.open("a") as file:
        file.write('{"text":"b"}\n')
    with pytest.raises(FileRefused, match="changed while it was read: wait until it is complete"):
        list(rows)
