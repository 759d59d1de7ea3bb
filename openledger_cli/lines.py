"""Trees of text lines for people, and small forms: counts, times, sizes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING

from openledger.light.parse import format_time
from openledger.light.wire import NANOSECONDS_PER_SECOND
from openledger_cli.text import printable

if TYPE_CHECKING:
    from rich.console import Console

# The last second of the year 9999, beyond which there is no calendar to show.
_LAST_SECONDS = 253_402_300_799
_BINARY = 1024
# Deep in a tree on a narrow terminal lines get longer than the terminal rather than narrower than this.
_LEAST_WIDTH = 40
# Of a row of data; anybody may contribute rows of thousands of fields.
_SHOWN_FIELDS, _SHOWN_NAME, _SHOWN_CHARACTERS = 24, 60, 600


@dataclass(slots=True)
class Line:
    """A line and what stands below it."""

    text: str
    below: list[Line] = field(default_factory=list)

    def add(self, text: str) -> Line:
        """A line below this one."""
        line = Line(text)
        self.below.append(line)
        return line


def print_lines(console: Console, lines: Sequence[Line]) -> None:
    """Each line as the root of a tree; a terminal folds long lines inside the tree, a pipe gets them whole."""
    from openledger_cli.output import print_line

    for text in render(lines, console.width if console.is_terminal else 0):
        print_line(console, text)


def render(lines: Sequence[Line], width: int = 0) -> Iterator[str]:
    """Text of the trees, folded to `width` characters (0 = not at all).

    Without recursion: a tree may be as deep as a chain of retrainings is long.
    """
    # (line, guide before its first text line, guide before everything below that)
    waiting = [(line, "", "") for line in reversed(lines)]
    while waiting:
        line, first, rest = waiting.pop()
        bar = "│   " if line.below else ""
        room = max(width - len(rest) - len(bar), _LEAST_WIDTH) if width else 0
        parts = wrap(printable(line.text), room, break_on_hyphens=False) if room else [printable(line.text)]
        yield from [f"{first if number == 0 else rest + bar}{part}" for number, part in enumerate(parts or [""])]
        last = len(line.below) - 1
        guides = [("└── ", "    ") if number == last else ("├── ", "│   ") for number in range(len(line.below))]
        waiting += [
            (below, rest + corner, rest + stem)
            for below, (corner, stem) in zip(reversed(line.below), reversed(guides), strict=True)
        ]


def count(number: int, one: str, many: str = "") -> str:
    """`1 entry`, `3 entries`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def show_time(seconds: int) -> str:
    """Unix seconds as UTC."""
    if seconds > _LAST_SECONDS:
        return f"second {seconds} since 1970"
    return format_time(seconds * NANOSECONDS_PER_SECOND) if seconds else "time not stated"


def show_size(byte_count: int) -> str:
    """Bytes in the largest binary unit that leaves a whole part."""
    value, unit = float(byte_count), 0
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    while value >= _BINARY and unit < len(units) - 1:
        value, unit = value / _BINARY, unit + 1
    return f"{byte_count} bytes" if not unit else f"{value:.1f} {units[unit]}"


def row_lines(row: str) -> list[str]:
    """A row for people: a line for each field, long ones cut."""
    lines = []
    fields = json.loads(row)
    for name, value in list(fields.items())[:_SHOWN_FIELDS]:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        shown = " ".join(text.split())
        more = f" … ({len(shown):,} characters)" if len(shown) > _SHOWN_CHARACTERS else ""
        lines.append(f"{name[:_SHOWN_NAME]}: {shown[:_SHOWN_CHARACTERS]}{more}")
    if len(fields) > _SHOWN_FIELDS:
        lines.append(f"… and {len(fields) - _SHOWN_FIELDS:,} more fields")
    return lines or ["(no field)"]
