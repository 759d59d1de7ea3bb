"""An explanation as one HTML page that needs nothing else: no script, no network, everything from outside escaped.

The output stands first, with the spans that also occur in training text coloured by contributor; then who shaped it,
by how much and by which method, also by layer and by contribution; then the rows that support it best; then what was
verified, and how.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from abci_app.types import PPB

# Told apart by people with the usual colour-vision deficiencies, dark text on all of them (Okabe and Ito, lightened).
_COLOURS = ("#f7cf87", "#aadcf5", "#8fd9c4", "#f6ee9c", "#9cc4e4", "#eeb08a", "#e6bcd6")
_WITHOUT_SPANS = "#cfcfcf"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f4; padding: 1rem; border-radius: .4rem; }
mark { color: inherit; border-radius: .2rem; padding: 0 .1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; vertical-align: top; }
thead { border-bottom: 2px solid #1b1b1b; } tbody tr { border-bottom: 1px solid #ddd; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: inline-block; height: .7rem; border-radius: .2rem; margin-right: .4rem; }
code { overflow-wrap: anywhere; font-size: .85em; }
.label { display: none; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; overflow-wrap: anywhere; }
  table, tbody, tr, td { display: block; } thead { display: none; }
  tbody tr { padding: .5rem 0; } td { padding: .1rem 0; } td.number { text-align: left; white-space: normal; }
  .label { display: inline; color: #555; margin-right: .4rem; }
  .bar { max-width: 100%; }
}
"""
# Said on every page: people read shares as more than they are.
_WHAT_IT_IS_NOT = (
    "Shares measure influence on this answer of this model, by methods that are written down.",
    "They say nothing about who is right, whose idea it was, or what copyright protects.",
    "Without a row that is shown here the model might have answered alike: influence is no proof of a cause.",
    "What the base model learnt before is in the pool, and so is what no index knows.",
    "Words that stand in a contribution may stand in many other places, too.",
)


# Of a training row: some pages of a book.
MOST_ROW_CHARACTERS = 8_192


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the output: its text, and the contributor whose training text has it word for word, if any."""

    text: str
    contributor: str = ""
    # Shown when the pointer rests on it, for example where the span stands in the training text.
    note: str = ""


@dataclass(frozen=True, slots=True)
class ContributorLine:
    """One contributor (or the pool of what nobody explains) with shares in parts per 10^9; None: not measured."""

    name: str
    identifier: str
    share_ppb: int
    gradients_ppb: int | None
    spans_ppb: int | None
    # DataNets and licences of the contributions that are listed.
    sources: str = ""


@dataclass(frozen=True, slots=True)
class LayerLine:
    """An entry that the model is made of: its part of the whole, and what it is explained by."""

    number: int
    identifier: str
    model: str
    share_ppb: int
    explained_by: str


@dataclass(frozen=True, slots=True)
class PageContribution:
    """A contribution in a layer: its part of that layer's scores and spans in parts per 10^9; None: not measured."""

    layer: int
    identifier: str
    contributor: str
    rows: int | None
    gradients_ppb: int | None
    spans_ppb: int | None
    datanet: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class PageRow:
    """A training row that supports the output: in which layer, whose it is, its part of the scores in words, its text
    where it may be seen."""

    layer: int
    contributor: str
    strength: str
    text: str | None
    # Why there is no text.
    missing: str = "not stored here"


@dataclass(frozen=True, slots=True)
class ExplanationPage:
    """Everything that is shown."""

    model: str
    entry: str
    prompt: str
    output: Sequence[Piece]
    contributors: Sequence[ContributorLine]
    layers: Sequence[LayerLine]
    contributions: Sequence[PageContribution]
    rows: Sequence[PageRow]
    # One sentence each: what was checked against what.
    verified: Sequence[str]
    # One sentence each: what was not.
    unchecked: Sequence[str] = ()
    # One sentence each: what shares are made of, how much of the output is in spans, whose rows are not credited.
    remarks: Sequence[str] = ()


def render(page: ExplanationPage) -> str:
    """The page as UTF-8 HTML text."""
    quoted = {piece.contributor for piece in page.output}
    coloured = [line.name for line in page.contributors if line.name in quoted]
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(coloured)}
    title = f"Who shaped this answer of {page.model}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f"<p>Entry <code>{escape(page.entry)}</code></p>",
        f"<h2>Prompt</h2><pre>{escape(page.prompt)}</pre>",
        f"<h2>Output</h2><pre>{''.join(_piece(piece, colours) for piece in page.output)}</pre>",
        "<p>Coloured: stands word for word in a contribution of that contributor.</p>",
        *_contributors(page.contributors, colours),
        *[f"<p>{escape(sentence)}</p>" for sentence in page.remarks],
        *_layers(page.layers),
        *_contributions(page.contributions),
        *_rows(page.rows),
        *_sentences("Verified", page.verified),
        *_sentences("Not checked", page.unchecked),
        *_sentences("What this is not", _WHAT_IT_IS_NOT),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def show_share(share_ppb: int | None) -> str:
    """A share as a percentage with two decimals, or a dash."""
    if share_ppb is None:
        return "–"
    hundredths = (share_ppb * 10_000 + PPB // 2) // PPB
    return f"{hundredths // 100}.{hundredths % 100:02} %"


def _piece(piece: Piece, colours: dict[str, str]) -> str:
    text = escape(piece.text)
    if not piece.contributor:
        return text
    note = escape(f"{piece.contributor}: {piece.note}" if piece.note else piece.contributor, quote=True)
    colour = colours.get(piece.contributor, _WITHOUT_SPANS)
    return f'<mark style="background:{colour}" title="{note}">{text}</mark>'


def _contributors(lines: Sequence[ContributorLine], colours: dict[str, str]) -> list[str]:
    rows = []
    for line in lines:
        width = max(line.share_ppb, 0) * 1_200 // PPB
        width_rem = f"{width // 100}.{width % 100:02}rem"
        bar = f'<span class="bar" style="background:{colours.get(line.name, _WITHOUT_SPANS)};width:{width_rem}"></span>'
        sources = f"<br>{escape(line.sources)}" if line.sources else ""
        who = f"{bar}{escape(line.name)}<br><code>{escape(line.identifier)}</code>{sources}"
        rows.append((who, *map(show_share, (line.share_ppb, line.gradients_ppb, line.spans_ppb))))
    return _table(
        "Contributors (by gradients, by spans: of layer 1 alone)", ("who",), ("share", "by gradients", "by spans"), rows
    )


def _layers(lines: Sequence[LayerLine]) -> list[str]:
    rows = [
        (
            str(line.number),
            f"{escape(line.model)}<br><code>{escape(line.identifier)}</code>",
            escape(line.explained_by),
            show_share(line.share_ppb),
        )
        for line in lines
    ]
    return _table("Layers", ("layer", "model", "explained by"), ("part of the whole",), rows)


def _contributions(lines: Sequence[PageContribution]) -> list[str]:
    rows = []
    for line in lines:
        numbers = "–" if line.rows is None else str(line.rows), *map(show_share, (line.gradients_ppb, line.spans_ppb))
        named = map(escape, (line.contributor, line.datanet or "–", line.licence or "–"))
        rows.append((str(line.layer), f"<code>{escape(line.identifier)}</code>", *named, *numbers))
    texts = ("layer", "contribution", "who", "DataNet", "licence")
    return _table("Contributions", texts, ("rows", "by gradients", "by spans"), rows)


def _rows(lines: Sequence[PageRow]) -> list[str]:
    rows = [
        (
            str(line.layer),
            escape(line.contributor),
            escape(line.strength),
            escape(line.missing if line.text is None else _beginning(line.text)),
        )
        for line in lines
    ]
    return _table("Rows that support it best", ("layer", "who", "part of the scores", "row"), (), rows)


def _beginning(text: str) -> str:
    """A row may have a mebibyte, and a page dozens of rows."""
    left = len(text) - MOST_ROW_CHARACTERS
    return text if left <= 0 else f"{text[:MOST_ROW_CHARACTERS]}… ({left:,} characters more)"


def _sentences(title: str, sentences: Sequence[str]) -> list[str]:
    lines = [f"<li>{escape(sentence)}</li>" for sentence in sentences]
    return [f"<h2>{title}</h2><ul>", *lines, "</ul>"] if lines else []


def _table(title: str, texts: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of cells that are HTML already; nothing where there are no rows.

    Every cell has its column's name, which is seen where the screen is too narrow for columns.
    """
    if not rows:
        return []
    columns = [(name, "") for name in texts] + [(name, ' class="number"') for name in numbers]
    head = "".join([f"<th{kind}>{name}</th>" for name, kind in columns])
    lines = []
    for row in rows:
        cells = [
            f'<td{kind}><span class="label">{name}</span>{cell}</td>'
            for (name, kind), cell in zip(columns, row, strict=True)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return [f"<h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>", *lines, "</tbody></table>"]
