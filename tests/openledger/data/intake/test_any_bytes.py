"""Any bytes under any name: rows, or a refusal in one line that begins with the file's name; nothing else ever."""

import gzip
import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openledger.data.intake.plain_text import TextRule
from openledger.data.intake.problems import FileRefused
from openledger.data.intake.reading import FileReader, ReadOptions
from openledger.data.intake.sources import sources_at
from openledger.data.row_json import RowError, read_row

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet", ".jsonl.gz")
PIECES = st.sampled_from(
    [
        b'{"text":"a"}', b"\n", b"\r\n", b",", b";", b"\t", b'"', b"[", b"]", b"{", b"}", b":", b"\\", b"\xef\xbb\xbf",
        b"\xff\xfe", b"\xff", b"\0", b"\xc3", b"\xa4", b"a", b" ", b"1e999", b"NaN", b"sep=;", b"\x1f\x8b\x08",
        b"\xed\xa0\x80", b"text", b"PAR1",
    ]
)  # fmt: skip


def try_to_read(path: Path, rule: TextRule = TextRule.DOCUMENT) -> None:
    """Read a file to its end or its refusal."""
    (source,) = sources_at([path]).sources
    refusal = ""
    try:
        for line, row in FileReader(source.files[0], ReadOptions(text=rule)).rows():
            assert line >= 1
            assert b"\n" not in row
            check_row(row)
    except FileRefused as error:
        refusal = str(error)
    assert not refusal or refusal.startswith(f"{path}: ")
    assert "\n" not in refusal


def check_row(row: bytes) -> None:
    """A row is one, or refused in one line."""
    refusal = ""
    try:
        read_row(row)
    except RowError as error:
        refusal = str(error)
    assert "\n" not in refusal


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=14).map(b"".join), st.sampled_from(SUFFIXES), st.sampled_from(TextRule))
def test_any_text_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str, rule: TextRule
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    try_to_read(path, rule)


def test_any_damage_to_a_file_is_read_or_refused(tmp_path: Path) -> None:
    table = pa.table({"messages": [[{"role": "user", "content": f"row {number}"}] for number in range(300)]})
    column, plain = io.BytesIO(), io.BytesIO()
    pq.write_table(table, column, row_group_size=100)
    pq.write_table(table, plain, compression="none", use_dictionary=False)
    text = b"".join([b'{"text":"row %d","n":[1,2,{"a":null}]}\n' % number for number in range(300)])
    whole = {
        "a.parquet": column.getvalue(), "b.parquet": plain.getvalue(),
        "c.jsonl": text, "d.jsonl.gz": gzip.compress(text),
        "e.json": b"[" + text.replace(b"\n", b",\n").rstrip(b",\n") + b"]",
        "f.csv": b"q,a\r\n" + b'"one, two","three ""four""\r\nfive"\r\n' * 300,
        "g.jsonl": text.decode().encode("utf-16"),
    }  # fmt: skip
    rng = random.Random(3)
    for name, content in whole.items():
        path = tmp_path / name
        for _ in range(60):
            damaged = bytearray(content)
            for _ in range(rng.randint(1, 4)):
                place = rng.randrange(len(damaged))
                match rng.randrange(3):
                    case 0:
                        damaged[place] = rng.randrange(256)
                    case 1:
                        del damaged[place : place + rng.randint(1, 60)]
                    case _:
                        damaged[place:place] = rng.randbytes(rng.randint(1, 9))
            path.write_bytes(damaged)
            try_to_read(path)
