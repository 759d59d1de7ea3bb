"""The commands that README.md shows, for the tests that parse and run them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_OWN_FILES = "## With your own files"
_TOUR = "## The whole story"


def text() -> str:
    """The whole document."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines(part: str) -> list[str]:
    """Command lines in its ```sh blocks, remarks removed; a `$ ` in front marks commands among output."""
    lines: list[str] = []
    for block in re.findall(r"```sh\n(.*?)```", part, re.DOTALL):
        shown = [line for line in block.splitlines() if line.strip()]
        if any(line.startswith("$ ") for line in shown):
            shown = [line.removeprefix("$ ") for line in shown if line.startswith("$ ")]
        lines += [re.sub(r"\s+#\s.*$", "", line).strip() for line in shown]
    return lines


def tour_commands() -> list[str]:
    """`openledger ...` of the tour of the demo, in order."""
    return _commands_under(_TOUR)


def own_file_commands() -> list[str]:
    """`openledger ...` of the tour with one's own files, in order; the first one starts the chain."""
    return _commands_under(_OWN_FILES)


def python_example() -> str:
    """The one example of the SDK."""
    (example,) = re.findall(r"```python\n(.*?)```", text(), re.DOTALL)
    return str(example)


def _commands_under(heading: str) -> list[str]:
    _, _, tour = text().partition(heading)
    part = tour.partition("\n## ")[0]
    return [line for line in shell_lines(part) if line.startswith("openledger ")]
