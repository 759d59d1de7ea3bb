"""The chain's table of licences, written from `licences.toml`: one source for people, one form for consensus."""

from __future__ import annotations

import textwrap
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("licences.toml")
_USES = {"any": 1, "non-commercial": 2, "research": 3}
MAX_COLUMNS = 108
_HEADER = '''"""Statements of known licences. Written by scripts/help from openledger/licences.toml: change that file.

A row: use class (0 leaves it open), the points in the order of `POINTS` as Y (yes), N (no) and - (left open), demands
that the licence leaves open, licences that its share-alike clause also admits, what its conditions add, kind.
"""

'''


@cache
def read_source() -> dict[str, Any]:
    """The source as it is written."""
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))


def table() -> str:
    """Text of `abci_app/modules/licences/table.py`."""
    source = read_source()
    rows = {}
    for family in source["families"].values():
        whole = {**source["families"][family["like"]], **family} if "like" in family else family
        for licence in family["ids"]:
            rows[licence] = _row(licence, whole, source["points"])
    lines = [f"    {_quote(licence)}: {rows[licence]}," for licence in sorted(rows)]
    exceptions = [f"    {_quote(name)}: {_tuple(prefixes)}," for name, prefixes in sorted(source["exceptions"].items())]
    return (
        _HEADER
        + "# fmt: off\nRow = tuple[int, str, tuple[str, ...], tuple[str, ...], tuple[str, ...], str]\n"
        + "ROWS: dict[str, Row] = {\n"
        + "\n".join(lines)
        + "\n}\nEXCEPTIONS: dict[str, tuple[str, ...]] = {\n"
        + "\n".join(exceptions)
        + "\n}\n# Other spellings: a LicenseRef of such a name would be a known licence in disguise.\nSPELLINGS: "
        + "tuple[str, ...] = (\n"
        + _wrapped(sorted([*source["spellings"], *source["ambiguous"]]))
        + "\n)\n"
    )


def _row(licence: str, family: dict[str, Any], points: list[str]) -> str:
    kind = "own" if family.get("own") else "silent" if family.get("silent") else ""
    left_open = family.get("open", [])
    yes = family.get("yes", [])
    marks = "".join(["-" if kind or point in left_open else "Y" if point in yes else "N" for point in points])
    demands = sorted(set(left_open) - set(points) - {"use_class"})
    onward = sorted(set(family.get("onward", [])) - {licence})
    if family.get("template"):
        kind = "template"
    use = _USES.get(family.get("use", ""), 0)
    start = f'({use}, "{marks}", {_tuple(demands)}, '
    end = f", {_tuple(family.get('also', []))}, {_quote(kind)})"
    if not onward or len(licence) + len(start) + len(_tuple(onward)) + len(end) < MAX_COLUMNS:
        return start + _tuple(onward) + end
    return f"{start}(\n{_wrapped(onward)}\n    ){end}"


def _wrapped(names: list[str]) -> str:
    """Names of a long tuple, as many a line as fit."""
    text = ", ".join([_quote(name) for name in names]) + ","
    return textwrap.fill(text, 118, initial_indent=" " * 8, subsequent_indent=" " * 8, break_on_hyphens=False)


def _tuple(names: list[str]) -> str:
    return "(" + ", ".join([_quote(name) for name in names]) + ("," if len(names) == 1 else "") + ")"


def _quote(text: str) -> str:
    return f'"{text}"'
