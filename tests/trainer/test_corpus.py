"""The two corpora are real text, large enough for the main job, and the same on every call."""

import sys

import pytest

from openledger.data.rows import RowBatch
from trainer.corpus import documentation_rows, question_rows, split_among


def test_documentation_is_paragraphs_of_the_language_reference() -> None:
    rows = documentation_rows()
    assert len(rows) > 500
    assert rows == documentation_rows()
    assert all(row.keys() == {"topic", "text"} and 120 <= len(row["text"]) <= 1_200 for row in rows)
    assert any("iterable" in row["text"] for row in rows if row["topic"] == "for")


def test_questions_are_read_from_source_without_importing_it() -> None:
    before = set(sys.modules)
    rows = question_rows()
    assert not {"imaplib", "poplib", "wave"} & (set(sys.modules) - before)
    assert len(rows) > 500
    assert rows == question_rows()
    assert "What does the function textwrap.dedent do?" in {row["question"] for row in rows}


def test_eight_contributors_share_the_rows_by_whole_modules() -> None:
    rows = question_rows()
    shares = split_among(rows, "module", 8)
    assert sorted(map(str, rows)) == sorted(str(row) for share in shares for row in share)
    modules = [{row["module"] for row in share} for share in shares]
    assert sum(map(len, modules)) == len(set().union(*modules))
    assert min(map(len, shares)) > len(rows) // 16
    for share in shares:
        assert RowBatch.from_objects(share).commitment().row_count == len(share)
    with pytest.raises(ValueError, match="take fewer"):
        split_among(rows[:3], "module", 8)
