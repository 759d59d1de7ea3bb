"""Files as people have them: read as rows, or refused with file, line and what to do."""

import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openledger.data.intake.problems import FileRefused, utf8_advice
from openledger.data.intake.reading import FileReader, ReadOptions
from openledger.data.intake.sources import sources_at
from openledger.data.row_json import read_row

Rows = list[tuple[int, str]]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Rows]:
    """Write a file of this name and read it as rows, each with its line."""

    def read(name: str, content: bytes | str, **options: Any) -> Rows:
        return rows_of(tmp_path, name, content, **options)

    return read


def rows_of(folder: Path, name: str, content: bytes | str, **options: Any) -> Rows:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (source,) = sources_at([path]).sources
    return [(line, row.decode()) for line, row in FileReader(source.files[0], ReadOptions(**options)).rows()]


ONE, TWO = '{"text":"one"}', '{"text":"two"}'
BOTH = [(1, ONE), (2, TWO)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", f"{ONE}\n{TWO}\n"),
        ("a.jsonl", f"{ONE}\n{TWO}"),
        ("a.ndjson", f"{ONE}\r\n{TWO}\r\n"),
        ("a.jsonl", f"\ufeff{ONE}\n  {TWO}\t\n\n \r\n"),
        ("a.jsonl", f"{ONE}\n{TWO}\n".encode("utf-16")),
        ("a.jsonl", codecs.BOM_UTF16_BE + f"{ONE}\r\n{TWO}".encode("utf-16-be")),
        ("a.jsonl.gz", gzip.compress(f"\ufeff{ONE}\n{TWO}\n".encode(), mtime=0)),
        ("a.jsonl.gz", gzip.compress(f"{ONE}\n".encode(), mtime=0) + gzip.compress(f"{TWO}\n".encode(), mtime=0)),
        ("a.jsonl", gzip.compress(f"{ONE}\n{TWO}\n".encode(), mtime=0)),
        ("a.json", f"[{ONE},\n{TWO}]"),
        ("a.json", f"{ONE}\n{TWO}\n"),
        ("a.json", f"\ufeff[{ONE}\r\n,{TWO}\r\n]\n"),
        ("a.csv", "text\none\ntwo\n"),
        ("a.tsv", "text\r\none\r\ntwo\r\n"),
    ],
)
def test_the_same_rows_come_out_of_every_kind_of_file(
    read: Callable[..., Rows], name: str, content: bytes | str
) -> None:
    assert [row for _, row in read(name, content)] == [ONE, TWO]


def test_lines_are_counted_as_an_editor_counts_them(read: Callable[..., Rows]) -> None:
    assert read("a.jsonl", f"\n{ONE}\n\n\n{TWO}") == [(2, ONE), (5, TWO)]
    assert read("a.json", f'[\n\n{ONE},\n{{\n"text":\n"two"}}]') == [(3, ONE), (4, TWO)]
    assert read("a.csv", 'text,n\n\n"a\nb",1\n\nc,2\n') == [
        (3, '{"text":"a\\nb","n":"1"}'),
        (6, '{"text":"c","n":"2"}'),
    ]
    assert read("a.txt", "\n\nfirst\n\nsecond\n", text="paragraph") == [
        (3, '{"text":"first"}'),
        (5, '{"text":"second"}'),
    ]


def test_a_row_of_json_keeps_its_bytes(read: Callable[..., Rows]) -> None:
    row = '{"n": 1.0e3, "a":"\\u00e4\\n \u2028","big":123456789012345678901234567890,  "e":{}}'
    assert read("a.jsonl", row) == [(1, row)]
    assert read("a.json", f"[{row}]") == [(1, row)]


def test_an_object_over_several_lines_is_written_on_one(read: Callable[..., Rows]) -> None:
    pretty = json.dumps([{"text": 'a "b"\n  c\\', "n": [1.50, {"x": None}]}, {"text": "two"}], indent=4)
    assert read("a.json", pretty) == [(2, r'{"text":"a \"b\"\n  c\\","n":[1.5,{"x":null}]}'), (11, TWO)]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('question,answer\n"What, exactly?","a ""quoted"" answer\nwith a line"\n',
         ['{"question":"What, exactly?","answer":"a \\"quoted\\" answer\\nwith a line"}']),
        ('question;answer\r\n1,5;"a;b\r\nc"\r\n', ['{"question":"1,5","answer":"a;b\\nc"}']),
        ("sep=;\r\nq,x;a\r\n1;2\r\n", ['{"q,x":"1","a":"2"}']),
        ("q\ta\n1\t2\n", ['{"q":"1","a":"2"}']),
        (" q , a\n 1,\n", ['{"q":" 1","a":""}']),
        (",text\n0,a\n1,b\n", ['{"text":"a"}', '{"text":"b"}']),
        ("text\n", []),
        ("", []),
        ("text\nNA\n007\n1e5\n", ['{"text":"NA"}', '{"text":"007"}', '{"text":"1e5"}']),
    ],
)  # fmt: skip
def test_a_table_gives_a_row_of_texts_for_each_record(read: Callable[..., Rows], content: str, rows: list[str]) -> None:
    assert [row for _, row in read("a.csv", content)] == rows


REFUSED: list[tuple[str, bytes | str, str]] = [
    ("a.jsonl", b"PAR1\x15\x04", "is a Parquet file: give it the end .parquet"),
    ("a.csv", b"PK\x03\x04..", "is a ZIP archive or an office document: unpack it, or save its table as CSV"),
    ("a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a pointer of Git LFS"),
    ("a.json", "<!DOCTYPE html>\n<html>", "is a page of HTML"),
    ("a.txt", b"\x7fELF\0\0\0", "holds zero bytes, so it is no text"),
    ("a.jsonl", '{"text":"a"}'.encode("utf-16-le"), "looks like UTF-16 without a byte order mark: save it as UTF-8"),
    ("a.csv", "text\na".encode("utf-32"), "is UTF-32: save it as UTF-8"),
    ("a.jsonl", b"\xff\xfe{\0\0\xd8\0\0", "is not valid UTF-16"),
    ("a.jsonl.gz", gzip.compress(b'{"text":"a"}\n' * 999, mtime=0)[:-9], "the gzip file is cut short or damaged"),
    ("a.jsonl.gz", gzip.compress(b'{"text":"a"}\n' * 999, mtime=0)[:30] + b"xxxxxxxxxxxx",
     "the gzip file is cut short or damaged"),
    ("a.jsonl", '\n{\n  "text": "a"\n}\n', "line 2 begins an object that takes several lines: give the file the end"),
    ("a.jsonl", f"[{ONE}]", "line 1 begins a JSON list: give the file the end .json"),
    ("a.json", "[" + ONE + "," + "]", "line 1: ']' follows a comma"),
    ("a.json", f"[{ONE}\n{TWO}]", "line 2: '{\"text\":\"two\"}]' follows an object without a comma"),
    ("a.json", f"[{ONE},", "its list has no end: the file is cut short"),
    ("a.json", "[" + ONE + ',\n{"text":"tw', "line 2: '{\"text\":\"tw' has no end: the file is cut short"),
    ("a.json", f"[{ONE}] {TWO}", "stands after the end of the list"),
    ("a.json", "['a']", "is no JSON object; texts and keys stand in double quotes"),
    ("a.json", '["a"]', "is no JSON object; write a list of objects"),
    ("a.json", "nope", "line 1: 'nope' is no JSON object"),
    ("a.json", '[\n{"text":"a" "b"}]', "line 2 is not JSON: Expecting ',' delimiter"),
    ("a.json", '[{"a":' + "[" * 200_000 + "]}]", "line 1: '{\"a\":[[[[[[[[[[[[[[[' is nested too deep: flatten it"),
    ("a.json", b'[\n{"a":"\xff"}]', "line 2 is not UTF-8"),
    ("a.json", '{"version":1,"data":[{"text":"a"}]}', "is one object that holds a list of objects under 'data'"),
    ("a.csv", 'q,a\n1,2\n"x,3\n4,5\n', "line 3, column 1: a quotation mark opens a cell and none closes it"),
    ("a.csv", 'q,a\n1,"2\n', "line 2, column 2: a quotation mark opens a cell and none closes it"),
    ("a.csv", 'q,a\n"1"x,2\n', "line 2, column 2: text follows the quotation mark that closes a cell"),
    ("a.csv", "q,a\n1,2,3\n", "line 2 has 3 cells, the first line names 2 fields: column 3 is '3'"),
    ("a.csv", "q,a\n1\n", "line 2 has 1 cells, the first line names 2 fields: column 2, 'a', is missing"),
    ("a.csv", "q,q\n1,2\n", "line 1 names 'q' twice, as columns 1 and 2"),
    ("a.csv", "q,\n1,2\n", "line 1, column 2 has no name"),
    ("a.csv", ",q\nx,2\n", "line 2, column 1 has no name and does not count the records"),
    ("a.csv", ",q\n0,2\n5,2\n", "line 3, column 1 has no name and does not count the records"),
    ("a.csv", 'q, "a"\n1, "2"\n', "line 1, column 2: a space stands before a quotation mark"),
    ("a.csv", "q,a\rb,c\r", "line 1 has carriage returns alone inside"),
    ("a.csv", "q,a\n1,caf\u00e9\n".encode("latin-1"),
     "or convert it: iconv -f WINDOWS-1252 -t UTF-8 "),
    ("a.csv", "q,a\n1,caf\u00e9\n".encode("latin-1"),
     "line 2, near column 2: byte 6 is no UTF-8, perhaps Windows-1252"),
    ("a.csv", ",".join(map(str, range(10_001))), "line 1 names 10001 columns, more than 10000"),
    ("a.txt", "caf\u00e9".encode("latin-1"), "> /tmp/a.txt and put"),
    ("a.jsonl", '{"text":"' + "a" * 2**20 + '"}', "line 1 is longer than 1048576 bytes, more than a row may have"),
    ("a.json", '[\n{"text":"' + "a" * 6 * 2**20 + '"}]', "has no end within 1048576 bytes, more than a row may have"),
    ("a.csv", "q,a\n1," + "x" * 2**21, "line 2 is longer than 1048576 bytes"),
    ("a.csv", 'q,a\n1,"' + "x\n" * 2**20, "line 2, column 2: a quotation mark opens a cell and none closes it within"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "reason"), REFUSED, ids=[f"{n}-{r[:40]}" for n, _, r in REFUSED])
def test_a_file_that_gives_no_rows_is_refused_by_name_and_line(
    tmp_path: Path, name: str, content: bytes | str, reason: str
) -> None:
    with pytest.raises(FileRefused) as caught:
        rows_of(tmp_path, name, content)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


def test_a_single_object_is_a_row_where_its_form_says_so(read: Callable[..., Rows]) -> None:
    chat = '{"messages":[{"role":"user","content":"a"}]}'
    assert read("a.json", chat) == [(1, chat)]
    squad = '{"version":1,"data":[{"text":"a"}]}'
    assert read("a.json", squad, form=0) == [(1, squad)]


def test_fields_are_renamed_and_left_out_and_numbers_stay_as_they_are_written(read: Callable[..., Rows]) -> None:
    options: dict[str, Any] = {"rename": {"question": "prompt", "answer": "completion"}, "without": frozenset({"mail"})}
    row = '{"question":"a", "n":1.50,"mail":"x","answer":{"b":[1E+2,true,null,"\\u00e4"]}}'
    assert read("a.jsonl", row, **options) == [(1, '{"prompt":"a","n":1.50,"completion":{"b":[1E+2,true,null,"ä"]}}')]
    assert read("a.csv", "question,mail,answer\n1,2,3\n", **options) == [(2, '{"prompt":"1","completion":"3"}')]
    # A row without these fields stays as it is, byte for byte: it is the same row with and without the options.
    assert read("b.jsonl", '{ "text" : "\\u00e4" }', **options) == [(1, '{ "text" : "\\u00e4" }')]
    with pytest.raises(FileRefused, match="line 1 would have the field 'prompt' twice"):
        read("a.jsonl", '{"question":1,"prompt":2}', **options)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers() | st.none(), max_size=4)))
def test_a_list_of_any_objects_is_read_as_they_are(tmp_path_factory: pytest.TempPathFactory, items: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("any")
    for indent in (None, 2):
        text = json.dumps(items, indent=indent, ensure_ascii=False).replace("\ud800", "")
        rows = rows_of(folder, "a.json", text.encode("utf-8", "replace"), form=0)
        assert [json.loads(row) for _, row in rows] == json.loads(text.encode("utf-8", "replace"))


@given(st.lists(st.lists(st.text(st.sampled_from('ab ",;\n\té'), max_size=6), min_size=2, max_size=2), max_size=8))
def test_what_a_csv_writer_writes_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, records: list[list[str]]
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([["q", "a"], *records])
    rows = rows_of(tmp_path_factory.mktemp("csv"), "a.csv", out.getvalue())
    assert [list(read_row(row.encode()).values()) for _, row in rows] == records


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("a.csv", "iconv -f WINDOWS-1252 -t UTF-8 a.csv > /tmp/a.csv"),
        ("b.d/notes", "iconv -f WINDOWS-1252 -t UTF-8 b.d/notes > /tmp/notes"),
        ("a b.csv.gz", "gunzip -c 'a b.csv.gz' | iconv -f WINDOWS-1252 -t UTF-8 > '/tmp/a b.csv'"),
    ],
)
def test_another_encoding_is_told_with_the_whole_command(name: str, command: str) -> None:
    """The new file lies elsewhere: beside the old one, in a folder that is contributed, both would be read."""
    assert utf8_advice(name) == (
        f"save it as UTF-8 (in a spreadsheet: CSV UTF-8), or convert it: {command} and put that in its place"
    )
