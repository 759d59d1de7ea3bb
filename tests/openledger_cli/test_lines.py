"""Trees of lines: guides, folding, depth; small forms."""

import pytest

from openledger_cli.lines import Line, count, render, show_size, show_time
from openledger_cli.text import printable


def test_a_tree_has_guides_and_keeps_long_lines_whole_in_a_pipe() -> None:
    long = "word " * 60 + "end"
    tree = Line("root", [Line("one", [Line(long)]), Line("two")])
    assert list(render([tree])) == ["root", "├── one", f"│   └── {long}", "└── two"]


def test_a_terminal_folds_inside_the_tree() -> None:
    tree = Line("root", [Line("a " * 30, [Line("below")]), Line("b " * 30)])
    assert list(render([tree], 50)) == [
        "root",
        "├── " + ("a " * 21).rstrip(),
        "│   │   " + ("a " * 9).rstrip(),
        "│   └── below",
        "└── " + ("b " * 23).rstrip(),
        "    " + ("b " * 7).rstrip(),
    ]


def test_a_tree_may_be_thousands_deep() -> None:
    top = line = Line("top")
    for _ in range(5_000):
        line = line.add("x")
    assert len(list(render([top], 80))) == 5_001


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mred\nline\u202e") == "a?[31mred?line?"


def test_counts() -> None:
    assert (count(1, "entry", "entries"), count(3_000, "entry", "entries")) == ("1 entry", "3,000 entries")


@pytest.mark.parametrize(
    ("byte_count", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**50, "1024.0 TiB")]
)
def test_sizes(byte_count: int, text: str) -> None:
    assert show_size(byte_count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "time not stated"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
        (2**63 - 1, "second 9223372036854775807 since 1970"),
    ],
)
def test_times(seconds: int, text: str) -> None:
    assert show_time(seconds) == text
