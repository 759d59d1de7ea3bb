"""An explanation for people: tables on the terminal, and the lines of its HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from abci_app.types import PPB

if TYPE_CHECKING:
    from attribution.document import Explanation, GradientPart, LayerPart, SpanPart
    from attribution.page import Page
    from openledger.cli.output import Output
    from openledger.content import ContentStore
    from trainer.explain import Explainer
    from trainer.publish import ClientLedger

# Of a row's text in a table.
_SHOWN_CHARACTERS = 160
# Of each layer.
_SHOWN_CONTRIBUTIONS = 5


@dataclass(frozen=True, slots=True)
class RowView:
    """A supporting row: owner, score, its part of the positive scores of its layer, text if the store has it."""

    owner: str
    entry_id: str
    score: str
    share_ppb: int
    text: str | None


@dataclass(frozen=True)
class View:
    """A document with what is only for people: names of addresses, texts of rows, the output in pieces."""

    document: Explanation
    names: Mapping[bytes, str]
    rows: tuple[RowView, ...]
    pieces: tuple[tuple[str, str, str], ...]  # text, contributor, note

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
        from attribution.contribution_shares import positive_of_all
        from trainer.explain import row_text

        view = cls(document, names, (), ())
        rows = []
        for layer in document.layers:
            gradients = _gradients(layer)
            if gradients is None:
                continue
            positive = positive_of_all(gradients)
            for row in gradients.rows:
                text = row_text(ledger, store, bytes.fromhex(row.contribution_id), bytes.fromhex(row.row_leaf))
                share_ppb = max(0, int(row.score)) * PPB // positive
                rows.append(RowView(view.name(row.owner), layer.entry_id, row.score, share_ppb, text))
        pieces = tuple(view._pieces(explainer.decode))
        return cls(document, names, tuple(rows), pieces)

    def name(self, owner: str) -> str:
        """What to call an address given in hex."""
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

    def print(self, output: Output) -> None:
        """Tables on standard output."""
        from attribution.page import show_share

        document = self.document
        print(f"model    {document.model} version {document.model_version}, entry {document.entry_id[:16]}…")
        print(f"prompt   {_one_line(document.prompt.text)}")
        print(f"output   {_one_line(document.output.text)}\n")
        output.rows(
            "Contributors",
            ("who", "share", "by gradients", "by spans"),
            [
                (name, show_share(share), show_share(gradients), show_share(spans))
                for name, _, share, gradients, spans in self.contributors()
            ],
            None,
        )
        for sentence in self.copies():
            print(f"{sentence}\n")
        output.rows("Layers", ("layer", "entry", "share of the whole", "has"), self._layer_rows(), None)
        contributions = self._contribution_rows()
        if contributions:
            columns = ("layer", "contribution", "who", "rows", "by gradients", "by spans")
            output.rows("Contributions", columns, contributions, None)
        if self.rows:
            shown = [
                (
                    self._layer_number(row.entry_id),
                    row.owner,
                    show_share(row.share_ppb),
                    _one_line(row.text) if row.text is not None else "not stored here",
                )
                for row in self.rows
            ]
            output.rows("Rows that support it best", ("layer", "who", "part of the scores", "row"), shown, None)
        spans = [(_one_line(text), name, note) for text, name, note in self.pieces if name]
        if spans:
            output.rows("Spans that stand in training text", ("text", "who", "where"), spans, None)

    def page(self, checked: Sequence[str]) -> Page:
        """For `attribution.page.render`."""
        from attribution.page import ContributorLine, Page, Piece, RowLine, show_share

        document = self.document
        return Page(
            f"{document.model} version {document.model_version}",
            encode_id("olrun", bytes.fromhex(document.entry_id)),
            document.prompt.text,
            [Piece(*piece) for piece in self.pieces],
            [ContributorLine(*line) for line in self.contributors()],
            [RowLine(row.owner, show_share(row.share_ppb), row.text) for row in self.rows],
            checked,
            self.copies(),
        )

    def _layer_rows(self) -> list[tuple[int, str, str, str]]:
        from attribution.page import show_share

        return [
            (number, f"{layer.entry_id[:16]}…", show_share(layer.own_ppb), _what_it_has(layer))
            for number, layer in enumerate(self.document.layers, start=1)
        ]

    def _layer_number(self, entry_id: str) -> int:
        """As the table of layers counts them."""
        return [layer.entry_id for layer in self.document.layers].index(entry_id) + 1

    def _contribution_rows(self) -> list[tuple[int, str, str, int | str, str, str]]:
        from attribution.contribution_shares import contribution_shares
        from attribution.page import show_share

        return [
            (
                number,
                encode_id("olcontrib", bytes.fromhex(line.contribution_id)),
                self.name(line.owner),
                "–" if line.rows is None else line.rows,
                show_share(line.by_gradients_ppb),
                show_share(line.by_spans_ppb),
            )
            for number, layer in enumerate(self.document.layers, start=1)
            for line in contribution_shares(layer)[:_SHOWN_CONTRIBUTIONS]
        ]

    def _pieces(self, decode: Any) -> list[tuple[str, str, str]]:
        """The output cut at its spans: a span of the first layer that has spans there."""
        ids = self.document.output.token_ids
        whose: list[tuple[str, str]] = [("", "")] * len(ids)
        for layer in reversed(self.document.layers):
            part = _spans(layer)
            for span in part.spans if part else ():
                match = span.matches[0]
                times = "occurrence" if span.occurrences == 1 else "occurrences"
                note = f"{span.occurrences} {times}, contribution {match.contribution_id[:16]}…"
                whose[span.start : span.end] = [(self.name(match.credited), note)] * (span.end - span.start)
        pieces: list[tuple[str, str, str]] = []
        start = 0
        for end in range(1, len(ids) + 1):
            if end == len(ids) or whose[end] != whose[start]:
                pieces.append((decode(ids[start:end]), *whose[start]))
                start = end
        return pieces


def _gradients(layer: LayerPart) -> GradientPart | None:
    from attribution.document import GradientPart

    return layer.gradients if isinstance(layer.gradients, GradientPart) else None


def _spans(layer: LayerPart) -> SpanPart | None:
    from attribution.document import SpanPart

    return layer.spans if isinstance(layer.spans, SpanPart) else None


def _rest(spans: SpanPart) -> int:
    return PPB - sum(line.share_ppb for line in spans.by_owner)


def _what_it_has(layer: LayerPart) -> str:
    methods = [name for name, part in (("gradients", _gradients(layer)), ("spans", _spans(layer))) if part]
    if methods:
        return "index of " + " and ".join(methods)
    return "no index: its part goes to the pool" if layer.own_ppb else "no index"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 1]}…"
