"""The one rule for rows: what two readers could understand in two ways is refused, with line and reason."""

import datetime as dt
import json
import math
import resource
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from abci_app.hashing import list_root, row_leaf, sha256
from openledger.content.store import ContentStore
from openledger.data.normalised import normalised_text
from openledger.data.row_json import MAX_DEPTH, Number, RowError, check_object, read_row
from openledger.data.rows import RowBatch, RowCommitment, TamperedRows, load_batch
from openledger.data.sketch import similarity_sketch

REFUSED: dict[bytes, str] = {
    b'\xef\xbb\xbf{"text":"a"}': "begins with a byte order mark; save the file as UTF-8 without BOM",
    '{"text":"a"}'.encode("utf-16"): "begins with a byte order mark",
    b"": "is empty; leave empty lines out",
    b" \t ": "is empty",
    b'{"text":"a"}\r': "ends with a carriage return",
    b' {"text":"a"}': "has white space before or after its object",
    b'{"text":"a"}\t': "has white space before or after its object",
    b'{"text":"a"} {"text":"b"}': "is not JSON: Extra data",
    b'{"text":"bad "quote"}': "is not JSON: ",
    b"{'text':'a'}": "is not JSON: ",
    b'{"text":"a': "is not JSON: Unterminated string starting at character 9",
    b'{"text":"a",}': "is not JSON: ",
    b'{"text":"a\tb"}': "is not JSON: Invalid control character",
    b'{"text":"\xff"}': "byte 10 is not UTF-8; convert the file to UTF-8",
    b'{"text":"\xed\xa0\xbd"}': "byte 10 is not UTF-8",
    b'["a"]': "is not a JSON object",
    b'"a"': "is not a JSON object",
    b"null": "is not a JSON object",
    b'{"score":NaN}': "holds NaN, which is not JSON",
    b'{"score":[{"a":-Infinity}]}': "holds -Infinity, which is not JSON",
    b'{"score":1e999}': "holds the number 1e999, which is infinite for most readers",
    b'{"score":-1e400}': "holds the number -1e400",
    b'{"n":' + b"1" * 400 + b"}": "which is infinite for most readers",
    b'{"n":' + b"1" * 4301 + b"}": "holds a number of 4301 characters, more than 1000",
    b'{"text":"a","text":"b"}': "has the key 'text' twice in one object",
    b'{"a":[{"b":1,"c":2,"b":1}]}': "has the key 'b' twice in one object",
    b'{"a":1,"\\u0061":2}': "has the key 'a' twice in one object",
    b'{"text":"b\\ud83d"}': r"'text' holds half of a surrogate pair (\ud83d)",
    b'{"a":{"b":["\\udc00x"]}}': r"'a.b[0]' holds half of a surrogate pair (\udc00)",
    b'{"\\ud83d":1}': r"'a key' holds half of a surrogate pair (\ud83d)",
    b'{"a":' + b"[" * 40 + b"]" * 40 + b"}": f"is nested more than {MAX_DEPTH} levels deep",
    b'{"a":' + b"[" * 900 + b"]" * 900 + b"}": "levels deep",
    b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}": "levels deep",
}  # fmt: skip


@pytest.mark.parametrize(("row", "reason"), REFUSED.items(), ids=range(len(REFUSED)))
def test_a_row_that_readers_may_understand_in_two_ways_is_refused_with_its_line(row: bytes, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        RowBatch.from_rows([b'{"text":"good"}', row], source="export.jsonl")
    assert str(caught.value).startswith("export.jsonl: line 2 (row 1) ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", [row for row in REFUSED if b"\n" not in row], ids=range(len(REFUSED)))
def test_a_registered_row_is_held_to_the_same_rule_when_it_is_read(row: bytes, tmp_path: Path) -> None:
    """Another program may have contributed it: the chain has only its root."""
    salt = bytes(16)
    leaf = row_leaf(salt, row)
    blob = b"openledger-rows/1 1\n" + f"{salt.hex()} {leaf.hex()} ".encode() + row + b"\n"
    store = ContentStore.open(tmp_path)
    store.put(blob)
    recorded = RowCommitment(list_root("rows", [leaf]), 1, len(row), sha256(blob))
    with pytest.raises(TamperedRows, match=f"batch file {sha256(blob).hex()[:16]}….*line 2 .row 0. "):
        load_batch(store, b"\7" * 32, recorded)


def test_all_refused_rows_are_named_at_once() -> None:
    rows = [b'{"a":NaN}', b'{"a":1}', *[b"[]"] * 9]
    with pytest.raises(RowError) as caught:
        RowBatch.from_rows(rows, source="a.jsonl")
    assert str(caught.value).count("a.jsonl: line ") == 5
    assert str(caught.value).endswith('line 6 (row 5) is not a JSON object; write {"text": …}; and 5 more')


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"score": math.nan}, "'score' is nan, which is not JSON"),
        ({"a": [{"b": math.inf}]}, "'a[0].b' is inf"),
        ({"text": "b\ud83d"}, "'text' holds half of a surrogate pair"),
        ({1: "a"}, "the row has the key 1, a int; write it as text"),
        ({"a": {None: 1}}, "a has the key None, a NoneType"),
        ({"when": dt.date(2024, 1, 1)}, "'when' is a date, which JSON has not; write it as text"),
        ({"img": b"\0"}, "'img' is a bytes"),
        ({"pair": (1, 2)}, "'pair' is a tuple"),
        (["a"], "is a list, not a dictionary"),
        ({"n": 10**400}, "holds the number 1000000000"),
    ],
)
def test_an_object_that_json_would_change_is_refused(item: Any, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        RowBatch.from_objects([{"text": "good"}, item])
    assert str(caught.value).startswith("row 1 ")
    assert reason in str(caught.value)


def test_an_object_that_holds_itself_is_refused() -> None:
    item: dict[str, Any] = {}
    item["a"] = item
    with pytest.raises(RowError, match="levels deep"):
        check_object(item)


def test_what_json_allows_is_kept_byte_for_byte() -> None:
    row = '{"a":null, "b":[true,-0.10,1e-3,12345678901234567890],"c":"\u2028 \\ud83e\\udd89","":{}}'.encode()
    assert RowBatch.from_rows([row]).rows == (row,)
    numbers = [Number("-0.10"), Number("1e-3"), Number("12345678901234567890")]
    assert read_row(row) == {"a": None, "b": [True, *numbers], "c": "\u2028 🦉", "": {}}


def test_the_deepest_row_has_a_sketch() -> None:
    row = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b'"x"' + b"]" * (MAX_DEPTH - 1) + b"}"
    assert similarity_sketch([row]) == similarity_sketch([b'{"a":"x"}'])


def test_the_sketch_is_of_the_text_that_people_see() -> None:
    plain, disguised = (
        {"text": text} for text in ("Straße fine owl café", "ＳＴＲＡＳＳＥ ﬁne\u00a0 o\u200bwl cafe\u0301")
    )
    sketches = [similarity_sketch([json.dumps(item).encode()]) for item in (plain, disguised)]
    assert sketches[0] == sketches[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße", "STRASSE"), ("café", "cafe\u0301"), ("ﬁne", "fine"), ("Ａ１", "a1"), ("a\u00a0\t b\r\n", "a b"),
        ("o\u200bwl", "owl"), ("\ufeffowl\u00ad", "owl"), ("❤️", "❤"), ("İ", "i\u0307"), ("\u0345", "\u03b9"),
    ],
)  # fmt: skip
def test_texts_that_look_alike_have_one_normal_form(one: str, other: str) -> None:
    assert normalised_text(one) == normalised_text(other)
    assert normalised_text(normalised_text(one)) == normalised_text(one)


def test_other_words_and_signs_stay_apart() -> None:
    texts = ["a b", "ab", "a. b", "e", "é", "1", "2", "x²+1 ", "да", "は", "ば"]
    assert len({normalised_text(text) for text in texts}) == len(texts)


def test_a_row_has_a_mebibyte_and_no_more() -> None:
    text = "word " * 200_000
    assert read_row(f'{{"text":"{text}"}}'.encode()) == {"text": text}
    with pytest.raises(RowError, match="has 1048577 bytes, more than 1048576; split the document"):
        read_row(b'{"text":"' + b"a" * (2**20 - 10) + b'"}')


def test_the_largest_rows_are_refused_within_a_moment_and_little_memory() -> None:
    """A hundred thousand keys of which the last two are one, and half a million values in a deep place."""
    keys = b",".join([b'"%06x":1' % number for number in range(95_000)])
    deep = b'{"%s":' % (b"k" * 40) * 30
    values = deep + b"[" + b"0," * 500_000 + b'"\\ud83d"]' + b"}" * 30
    started, before = process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RowError, match="has the key '017317' twice"):
        read_row(b'{%s,"017317":1}' % keys)
    with pytest.raises(RowError, match="holds half of a surrogate pair"):
        read_row(values)
    assert process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024
