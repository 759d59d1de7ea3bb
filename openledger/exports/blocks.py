"""Documents for people, as Markdown and as HTML out of the same blocks; texts are escaped here and nowhere else.

What is proven stands between marks, so that people can add their own words around it and a verifier finds the rest:

    <!-- openledger:proven 1 -->  ...  <!-- /openledger:proven 1 -->
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openledger.exports.text import html, markdown


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the document's title."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Bullets | Grid


@dataclass(frozen=True, slots=True)
class DocumentSection:
    """Blocks that are proven, or that a person is to fill in."""

    blocks: tuple[Block, ...]
    proven: bool = True


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #999;padding:.2rem .5rem;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}"
)


def marks(number: int) -> tuple[str, str]:
    """The lines around the proven part of this number."""
    return f"<!-- openledger:proven {number} -->", f"<!-- /openledger:proven {number} -->"


def markdown_document(sections: Sequence[DocumentSection], proof: str, front: Sequence[str] = ()) -> bytes:
    """Sections as Markdown, with front matter if there is any, and the line that names the proof."""
    head = ["---", *front, "---", ""] if front else []
    lines = [*head, f"<!-- {proof} -->", ""]
    for body in _marked(sections, _markdown):
        lines += [*body, ""]
    return "\n".join(lines).encode()


def html_document(title: str, sections: Sequence[DocumentSection], proof: str) -> bytes:
    """Sections as a page without scripts that loads nothing."""
    lines = [
        "<!doctype html>",
        f"<!-- {proof} -->",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{html(title)}</title><style>{_STYLE}</style></head><body>",
    ]
    for body in _marked(sections, _html):
        lines += body
    return "\n".join([*lines, "</body></html>", ""]).encode()


def _marked(sections: Sequence[DocumentSection], render: Callable[[Block], list[str]]) -> list[list[str]]:
    number, found = 0, []
    for section in sections:
        lines = [line for block in section.blocks for line in render(block)]
        if section.proven:
            number += 1
            first, last = marks(number)
            lines = [first, "", *lines, last]
        found.append(lines)
    return found


def _markdown(block: Block) -> list[str]:
    if isinstance(block, Heading):
        return [f"{'#' * block.level} {markdown(block.text)}", ""]
    if isinstance(block, Paragraph):
        return [markdown(block.text), ""]
    if isinstance(block, Bullets):
        return [*[f"- {markdown(item)}" for item in block.items], ""]
    return [_row(block.head), f"|{' --- |' * len(block.head)}", *[_row(row) for row in block.rows], ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join([markdown(cell) for cell in cells])} |"


def _html(block: Block) -> list[str]:
    if isinstance(block, Heading):
        return [f"<h{block.level}>{html(block.text)}</h{block.level}>"]
    if isinstance(block, Paragraph):
        return [f"<p>{html(block.text)}</p>"]
    if isinstance(block, Bullets):
        return ["<ul>", *[f"<li>{html(item)}</li>" for item in block.items], "</ul>"]
    head = "".join([f"<th>{html(cell)}</th>" for cell in block.head])
    rows = ["".join([f"<td>{html(cell)}</td>" for cell in row]) for row in block.rows]
    return ["<table>", f"<tr>{head}</tr>", *[f"<tr>{row}</tr>" for row in rows], "</table>"]
