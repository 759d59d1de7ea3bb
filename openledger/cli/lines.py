"""Trees of text lines for people, and small forms: counts, times, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openledger.light.parse import format_time
from openledger.light.wire import NANOSECONDS_PER_SECOND

if TYPE_CHECKING:
    from rich.console import Console
    from rich.tree import Tree

# The last second of the year 9999, beyond which there is no calendar to show.
_LAST_SECONDS = 253_402_300_799
_BINARY = 1024


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
    for line in lines:
        console.print(_tree(line), soft_wrap=not console.is_terminal)


def _tree(line: Line) -> Tree:
    """Without recursion: a tree may be as deep as a chain of retrainings is long."""
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text(printable(line.text)))
    waiting = [(line, root)]
    while waiting:
        above, branch = waiting.pop()
        waiting += [(below, branch.add(Text(printable(below.text)))) for below in above.below]
    return root


def printable(text: str) -> str:
    """Control characters as `?`: some texts come from documents that anybody may have written."""
    return "".join([character if character.isprintable() else "?" for character in text])


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
