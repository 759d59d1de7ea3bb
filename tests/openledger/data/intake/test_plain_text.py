"""Plain text becomes rows by one of three rules, and loses nothing but white space between them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openledger.data.intake import plain_text
from openledger.data.intake.plain_text import TextRule
from openledger.data.intake.reading import FileReader, ReadOptions
from openledger.data.intake.sources import sources_at


def texts(folder: Path, content: str | bytes, rule: TextRule = TextRule.DOCUMENT) -> list[tuple[int, str]]:
    path = folder / "a.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (source,) = sources_at([path]).sources
    rows = FileReader(source.files[0], ReadOptions(text=rule)).rows()
    return [(line, json.loads(row)["text"]) for line, row in rows]


def test_a_file_is_one_row_without_the_white_space_around_it(tmp_path: Path) -> None:
    assert texts(tmp_path, "\ufeff\r\n  # Title\r\n\r\n two\rthree \r\n\r\n") == [(2, "# Title\n\n two\nthree")]
    assert texts(tmp_path, " \n\n\t") == []
    assert texts(tmp_path, "") == []


def test_paragraphs_and_lines_are_rows_where_that_is_said(tmp_path: Path) -> None:
    text = "one\ntwo\n\n \n\nthree\n\t\nfour"
    assert texts(tmp_path, text, TextRule.PARAGRAPH) == [(1, "one\ntwo"), (6, "three"), (8, "four")]
    assert [row for _, row in texts(tmp_path, text, TextRule.LINE)] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("piece", "characters"),
    [
        ("p" * 999 + "\n\n", 32 * 1_001 - 2),
        ("l" * 999 + "\n", 32 * 1_000 - 1),
        ("w" * 999 + " ", 32 * 1_000 - 1),
        ("x" * 1_000, 32_768),
    ],
    ids=["empty line", "line end", "space", "anywhere"],
)
def test_a_long_text_is_cut_where_it_hurts_least(tmp_path: Path, piece: str, characters: int) -> None:
    text = piece * 100
    found = [row for _, row in texts(tmp_path, text)]
    assert {len(row) for row in found[:-1]} == {characters}
    assert "".join("".join(found).split()) == "".join(text.split())


@given(
    st.lists(st.sampled_from(["a", "ü", " ", "\n", "\n\n", "\r\n", "word ", "x" * 9]), max_size=60),
    st.sampled_from(TextRule),
    st.integers(4, 30),
)
def test_no_character_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], rule: TextRule, limit: int
) -> None:
    content = "".join(parts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plain_text, "MAX_DOCUMENT_CHARACTERS", limit)
        rows = texts(tmp_path_factory.mktemp("text"), content, rule)
    assert "".join("".join([row for _, row in rows]).split()) == "".join(content.split())
    assert all(row == row.strip() and row for _, row in rows)
    if rule != TextRule.LINE:
        assert all(len(row) <= limit for _, row in rows)
    lines = content.replace("\r\n", "\n").split("\n")
    assert all(row[0] in lines[line - 1] for line, row in rows)
