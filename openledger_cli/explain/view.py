"""An explanation for people: tables on the terminal, and the lines of its HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from abci_app.types import PPB
from openledger_cli.text import printable

if TYPE_CHECKING:
    from attribution.explanation.document import Explanation, GradientPart, LayerPart, SpanLine, SpanPart
    from attribution.explanation.explainer import Explainer
    from attribution.explanation.page import ExplanationPage, LayerLine, PageContribution
    from openledger.content.store import ContentStore
    from openledger_cli.output import Printer
    from trainer.publish import ClientLedger

# How a sentence on what was not checked begins.
NOT_CHECKED = "not checked"
# Of a row's text in a table.
_SHOWN_CHARACTERS = 160
# Of each layer.
_SHOWN_CONTRIBUTIONS = 5
# Of an id in a table.
_ID_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class RowView:
    """A supporting row: its layer's number, owner, part of the positive scores of its layer, text if the store has
    it."""

    layer: int
    owner: str
    share_ppb: int
    text: str | None


@dataclass(frozen=True)
class View:
    """A document with what is only for people: names of addresses, texts of rows, the output in pieces."""

    document: Explanation
    names: Mapping[bytes, str]
    rows: tuple[RowView, ...]
    pieces: tuple[tuple[str, str, str], ...]  # text, contributor, note
    models: tuple[str, ...] = ()  # of every layer: its model with its version

    @classmethod
    def of(
        cls,
        document: Explanation,
        explainer: Explainer,
        ledger: ClientLedger,
        store: ContentStore,
        names: Mapping[bytes, str],
    ) -> View:
        """Fetch the texts of the rows that are shown; what the store lacks is shown as such."""
        from attribution.explanation.contributions import positive_of_all
        from attribution.explanation.explainer import row_text

        view = cls(document, names, (), ())
        rows = []
        for number, layer in enumerate(document.layers, start=1):
            gradients = _gradients(layer)
            if gradients is None:
                continue
            positive = positive_of_all(gradients)
            for row in gradients.rows:
                text = row_text(ledger, store, bytes.fromhex(row.contribution_id), bytes.fromhex(row.row_leaf))
                share_ppb = max(0, int(row.score)) * PPB // positive
                rows.append(RowView(layer=number, owner=view.name(row.owner), share_ppb=share_ppb, text=text))
        pieces = tuple(view._pieces(explainer.decode))
        return cls(document, names, tuple(rows), pieces, tuple(_models(document, explainer, ledger)))

    def name(self, owner: str) -> str:
        """The name under which people know an address given in hex."""
        address = bytes.fromhex(owner)
        return self.names.get(address) or encode_id("open", address)

    def contributors(self) -> list[tuple[str, str, int, int | None, int | None]]:
        """(name, address, share, by gradients, by spans), largest share first; the methods' own of the first layer."""
        top = self.document.layers[0]
        gradients, spans = _gradients(top), _spans(top)
        by_gradients = {line.owner: line.share_ppb for line in gradients.owners} if gradients else {}
        by_spans = {line.owner: line.share_ppb for line in spans.by_owner} if spans else {}
        lines = [
            (
                self.name(line.owner),
                encode_id("open", bytes.fromhex(line.owner)),
                line.share_ppb,
                by_gradients.get(line.owner) if gradients else None,
                by_spans.get(line.owner, 0) if spans else None,
            )
            for line in self.document.by_owner
        ]
        lines.sort(key=lambda line: (-line[2], line[0]))
        pool = (None if not gradients else gradients.unexplained_ppb), (None if not spans else _rest(spans))
        return [
            *lines,
            ("unexplained (pool)", "base model and what no index knows", self.document.unexplained_ppb, *pool),
        ]

    def copies(self) -> list[str]:
        """A sentence on every contributor with rows that are copies by their codes, of all layers."""
        counts: dict[str, tuple[int, int]] = {}
        for part in [part for part in map(_gradients, self.document.layers) if part is not None]:
            for line in part.owners:
                copies, rows = counts.get(line.owner, (0, 0))
                counts[line.owner] = copies + line.copies, rows + line.rows + line.copies
        return [
            f"{self.name(owner)}: {copies} of {rows} rows are like rows that were registered before: not credited"
            for owner, (copies, rows) in counts.items()
            if copies
        ]

    def rules(self) -> list[str]:
        """Explain the parts of a share: a sentence on every rule of payout, with the layers that have it."""
        from abci_app.integers.shares import OWNER
        from attribution.explanation.document import PolicyPart
        from attribution.explanation.page import show_share

        layers: dict[str, list[str]] = {}
        for number, layer in enumerate(self.document.layers, start=1):
            policy = layer.policy
            if not isinstance(policy, PolicyPart) or not layer.own_ppb:
                continue
            parts = (
                f"{show_share(policy.kappa_ppb)} by gradients, {show_share(policy.flat_ppb)} by the number of rows used"
            )
            if _gradients(layer) is None:
                parts = f"{show_share(policy.kappa_ppb)} by spans, the rest to the pool"
            elif not layer.attribution_used:
                parts = "by the number of rows used alone, the scores say too little"
            elif policy.score_unit == OWNER:
                parts += "; scores of an owner are summed before those below zero are cut off, so the part of one of "
                parts += "its rows may exceed its own"
            layers.setdefault(parts, []).append(str(number))
        return [
            f"share, layer{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}: {parts}"
            for parts, numbers in layers.items()
        ]

    def coverage(self) -> list[str]:
        """A sentence on every layer with spans: of how much of the output its shares by spans speak."""
        parts = [(number, _spans(layer)) for number, layer in enumerate(self.document.layers, start=1)]
        return [
            f"by spans, layer {number}: {part.covered_tokens} of {part.output_tokens} tokens of the output stand word "
            "for word in training text"
            for number, part in parts
            if part is not None
        ]

    def print(self, output: Printer) -> None:
        """Tables on standard output; ids are shortened where the page and the JSON have them in full."""
        from attribution.explanation.page import show_share

        document = self.document
        shown_model = f"{document.model} version {document.model_version}"
        print(printable(f"model    {shown_model}, {encode_id('olrun', bytes.fromhex(document.entry_id))}"))
        print(printable(f"prompt   {_one_line(document.prompt.text)}"))
        print(printable(f"output   {_one_line(document.output.text)}") + "\n")
        output.rows(
            "Contributors (gradients, spans: of layer 1 alone)",
            ("who", "share", "gradients", "spans"),
            [
                (name, show_share(share), show_share(gradients), show_share(spans))
                for name, _, share, gradients, spans in self.contributors()
            ],
            None,
        )
        for sentence in [*self.rules(), *self.coverage(), *self.copies()]:
            print(printable(sentence))
        print()
        layers = [
            (line.number, line.model, _short(line.identifier), show_share(line.share_ppb), line.explained_by)
            for line in self._layers()
        ]
        output.rows("Layers", ("layer", "model", "entry", "part", "explained by"), layers, None)
        contributions = [
            (
                line.layer,
                _short(line.identifier),
                _short(line.contributor),
                "–" if line.rows is None else line.rows,
                show_share(line.gradients_ppb),
                show_share(line.spans_ppb),
            )
            for number in range(1, len(document.layers) + 1)
            for line in [line for line in self._contributions() if line.layer == number][:_SHOWN_CONTRIBUTIONS]
        ]
        if contributions:
            columns = ("layer", "contribution", "who", "rows", "gradients", "spans")
            output.rows("Contributions", columns, contributions, None)
        if self.rows:
            rows = [
                (
                    row.layer,
                    _short(row.owner),
                    show_share(row.share_ppb),
                    _one_line(row.text) if row.text is not None else "not stored here",
                )
                for row in self.rows
            ]
            output.rows("Rows that support it best", ("layer", "who", "part of the scores", "row"), rows, None)
        spans = [(_one_line(text), _short(name), note) for text, name, note in self.pieces if name]
        if spans:
            output.rows("Spans that stand in training text", ("text", "who", "where"), spans, None)

    def page(self, checked: Sequence[str]) -> ExplanationPage:
        """For `attribution.explanation.page.render`."""
        from attribution.explanation.page import ContributorLine, ExplanationPage, PageRow, Piece, show_share

        document = self.document
        return ExplanationPage(
            model=f"{document.model} version {document.model_version}",
            entry=encode_id("olrun", bytes.fromhex(document.entry_id)),
            prompt=document.prompt.text,
            output=[Piece(*piece) for piece in self.pieces],
            contributors=[ContributorLine(*line) for line in self.contributors()],
            layers=self._layers(),
            contributions=self._contributions(),
            rows=[
                PageRow(layer=row.layer, contributor=row.owner, strength=show_share(row.share_ppb), text=row.text)
                for row in self.rows
            ],
            verified=[line for line in checked if not line.startswith(NOT_CHECKED)],
            unchecked=[line.removeprefix(NOT_CHECKED).lstrip(": ") for line in checked if line.startswith(NOT_CHECKED)],
            remarks=[*self.rules(), *self.coverage(), *self.copies()],
        )

    def tables(self) -> dict[str, Any]:
        """The content of the tables and the page for programs: derived from the document, the chain and the store."""
        from dataclasses import asdict

        contributors = [
            {"name": name, "address": address, "share_ppb": share, "gradients_ppb": gradients, "spans_ppb": spans}
            for name, address, share, gradients, spans in self.contributors()[:-1]
        ]
        spans = [{"text": text, "contributor": name, "where": note} for text, name, note in self.pieces if name]
        return {
            "contributors": contributors,
            "unexplained_ppb": self.document.unexplained_ppb,
            "copies": self.copies(),
            "rules": self.rules(),
            "coverage": self.coverage(),
            "layers": [asdict(line) for line in self._layers()],
            "contributions": [asdict(line) for line in self._contributions()],
            "rows": [asdict(row) for row in self.rows],
            "spans": spans,
        }

    def _layers(self) -> list[LayerLine]:
        from attribution.explanation.page import LayerLine

        models = self.models or [""] * len(self.document.layers)
        return [
            LayerLine(
                number=number,
                identifier=encode_id("olrun", bytes.fromhex(layer.entry_id)),
                model=model,
                share_ppb=layer.own_ppb,
                explained_by=_explained_by(layer),
            )
            for number, (layer, model) in enumerate(zip(self.document.layers, models, strict=True), start=1)
        ]

    def _contributions(self) -> list[PageContribution]:
        from attribution.explanation.contributions import contribution_shares
        from attribution.explanation.page import PageContribution

        return [
            PageContribution(
                layer=number,
                identifier=encode_id("olcontrib", bytes.fromhex(line.contribution_id)),
                contributor=self.name(line.owner),
                rows=line.rows,
                gradients_ppb=line.by_gradients_ppb,
                spans_ppb=line.by_spans_ppb,
            )
            for number, layer in enumerate(self.document.layers, start=1)
            for line in contribution_shares(layer)
        ]

    def _pieces(self, decode: Any) -> list[tuple[str, str, str]]:
        """The output cut at its spans: a span of the first layer that has spans there."""
        ids = self.document.output.token_ids
        whose: list[tuple[str, str]] = [("", "")] * len(ids)
        for layer in reversed(self.document.layers):
            part = _spans(layer)
            for span in part.spans if part else ():
                whose[span.start : span.end] = [self._whose(span)] * (span.end - span.start)
        pieces: list[tuple[str, str, str]] = []
        start, text = 0, decode(ids)
        shown = 0
        for end in range(1, len(ids) + 1):
            if end == len(ids) or whose[end] != whose[start]:
                # A character may be cut between tokens; then it belongs to the piece in which it ends.
                upto = len(text) if end == len(ids) else _alike(text, decode(ids[:end]))
                pieces.append((text[shown:upto], *whose[start]))
                start, shown = end, upto
        return pieces

    def _whose(self, span: SpanLine) -> tuple[str, str]:
        """The first of those who are credited, and where the span stands."""
        match = span.matches[0]
        times = "occurrence" if span.occurrences == 1 else "occurrences"
        place = _short(encode_id("olcontrib", bytes.fromhex(match.contribution_id)))
        others = sorted({self.name(each.credited) for each in span.matches} - {self.name(match.credited)})
        also = f", also credited: {', '.join(map(_short, others))}" if others else ""
        return self.name(match.credited), f"{span.occurrences} {times}, contribution {place}{also}"


def _gradients(layer: LayerPart) -> GradientPart | None:
    from attribution.explanation.document import GradientPart

    return layer.gradients if isinstance(layer.gradients, GradientPart) else None


def _spans(layer: LayerPart) -> SpanPart | None:
    from attribution.explanation.document import SpanPart

    return layer.spans if isinstance(layer.spans, SpanPart) else None


def _rest(spans: SpanPart) -> int:
    return PPB - sum(line.share_ppb for line in spans.by_owner)


def _models(document: Explanation, explainer: Explainer, ledger: ClientLedger) -> Iterator[str]:
    """Name and version of every layer's model, as the chain has them."""
    for layer in document.layers:
        stored = explainer.entries.stored[bytes.fromhex(layer.entry_id)]
        yield f"{ledger.model_name(stored.model_id)} version {stored.model_version}" if stored.model_id else "unnamed"


def _explained_by(layer: LayerPart) -> str:
    from attribution.explanation.page import show_share

    methods = [name for name, part in (("gradients", _gradients(layer)), ("spans", _spans(layer))) if part]
    known = " and ".join(methods) or ("nothing (pool)" if layer.own_ppb else "nothing")
    # Absent where the entry declares all that it was made from.
    if not isinstance(layer.undeclared_ppb, int):
        return known
    return f"{known}; made from more than it declares ({show_share(layer.undeclared_ppb)} of the whole to the pool)"


def _short(text: str) -> str:
    """An id by its first characters; names stay as they are."""
    return f"{text[:_ID_CHARACTERS]}…" if text.startswith(("open1", "olrun1", "olcontrib1")) else text


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 1]}…"
