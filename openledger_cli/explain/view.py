"""An explanation for people: tables on the terminal, and the lines of its HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from abci_app.types import PPB
from openledger_cli.explain.sentences import coverage, gradients_of, rules, span_earnings, spans_of
from openledger_cli.text import printable

if TYPE_CHECKING:
    from attribution.explanation.contributions import ContributionShare
    from attribution.explanation.document import Explanation, LayerPart, SpanLine, SpanPart
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
    """A supporting row: its layer's number, owner, part of its layer's positive scores, text if the store has it."""

    layer: int
    owner: str
    share_ppb: int
    text: str | None
    missing: str = ""  # why there is no text


@dataclass(frozen=True)
class View:
    """A document with what is only for people: names of addresses, texts of rows, the output in pieces."""

    document: Explanation
    names: Mapping[bytes, str]
    rows: tuple[RowView, ...]
    pieces: tuple[tuple[str, str, str], ...]  # text, contributor, note
    models: tuple[str, ...] = ()  # of every layer: its model with its version
    # DataNet and licence of the contributions that are shown, by id.
    origins: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # Whether the words of spans are known: a tokenizer cuts the output at them.
    is_cut: bool = True

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
        from attribution.explanation.explainer import row_text, why_no_text

        view = cls(document, names, (), ())
        rows = []
        for number, layer in enumerate(document.layers, start=1):
            gradients = gradients_of(layer)
            if gradients is None:
                continue
            positive = positive_of_all(gradients)
            for row in gradients.rows:
                contribution_id = bytes.fromhex(row.contribution_id)
                text = row_text(ledger, store, contribution_id, bytes.fromhex(row.row_leaf))
                missing = why_no_text(ledger, store, contribution_id) if text is None else ""
                share_ppb = max(0, int(row.score)) * PPB // positive
                rows.append(
                    RowView(layer=number, owner=view.name(row.owner), share_ppb=share_ppb, text=text, missing=missing)
                )
        try:
            pieces, is_cut = tuple(view._pieces(explainer.decode)), True
        except ModuleNotFoundError:
            pieces, is_cut = ((document.output.text, "", ""),), False
        return cls(
            document=document,
            names=names,
            rows=tuple(rows),
            pieces=pieces,
            models=tuple(_models(document, explainer, ledger)),
            origins={line: ledger.origin(bytes.fromhex(line)) for line in _shown_contributions(document)},
            is_cut=is_cut,
        )

    def name(self, owner: str) -> str:
        """The name under which people know an address given in hex."""
        address = bytes.fromhex(owner)
        return self.names.get(address) or encode_id("open", address)

    def contributors(self) -> list[tuple[str, str, int, int | None, int | None]]:
        """(name, address, share, by gradients, by spans), largest share first; the methods' own of the first layer."""
        top = self.document.layers[0]
        gradients, spans = gradients_of(top), spans_of(top)
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
        for part in [part for part in map(gradients_of, self.document.layers) if part is not None]:
            for line in part.owners:
                copies, rows = counts.get(line.owner, (0, 0))
                counts[line.owner] = copies + line.copies, rows + line.rows + line.copies
        return [
            f"{self.name(owner)}: {copies} of {rows} rows are like rows that were registered before: not credited"
            for owner, (copies, rows) in counts.items()
            if copies
        ]

    def rules(self) -> list[str]:
        """Sentences on how shares are made."""
        return rules(self.document)

    def not_read(self) -> list[str]:
        """Say what cannot be shown without the tokenizer."""
        has_spans = any(spans_of(layer) is not None for layer in self.document.layers)
        why = "which words of the output its spans are: this needs the package transformers"
        return [f"{NOT_CHECKED} without the tokenizer: {why}"] if has_spans and not self.is_cut else []

    def sources(self, address: str) -> str:
        """DataNets and licences of the contributions of one contributor that are shown."""
        found = {
            self.origins[line.contribution_id]: None
            for layer in self.document.layers
            for line in contribution_lines(layer)
            if encode_id("open", bytes.fromhex(line.owner)) == address and line.contribution_id in self.origins
        }
        return ", ".join([f"DataNet {datanet} ({licence})" for datanet, licence in found])

    def remarks(self) -> list[str]:
        """Sentences below the shares."""
        return [*self.rules(), *span_earnings(self.document), *coverage(self.document), *self.copies()]

    def spans(self) -> list[tuple[str, str, str]]:
        """Text (or the numbers of its tokens), contributor and place of every span."""
        if self.is_cut:
            return [piece for piece in self.pieces if piece[1]]
        return [
            (f"tokens {span.start + 1} to {span.end}", *self._whose(span))
            for part in map(spans_of, self.document.layers)
            for span in (part.spans if part else ())
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
        for sentence in self.remarks():
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
                line.datanet,
                line.licence,
                "–" if line.rows is None else line.rows,
                show_share(line.gradients_ppb),
                show_share(line.spans_ppb),
            )
            for number in range(1, len(document.layers) + 1)
            for line in [line for line in self._contributions() if line.layer == number][:_SHOWN_CONTRIBUTIONS]
        ]
        if contributions:
            columns = ("layer", "contribution", "who", "datanet", "licence", "rows", "gradients", "spans")
            output.rows("Contributions", columns, contributions, None)
        if self.rows:
            rows = [
                (
                    row.layer,
                    _short(row.owner),
                    show_share(row.share_ppb),
                    _one_line(row.text) if row.text is not None else row.missing,
                )
                for row in self.rows
            ]
            output.rows("Rows that support it best", ("layer", "who", "part of the scores", "row"), rows, None)
        spans = [(_one_line(text), _short(name), note) for text, name, note in self.spans()]
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
            contributors=[ContributorLine(*line, sources=self.sources(line[1])) for line in self.contributors()],
            layers=self._layers(),
            contributions=self._contributions(),
            rows=[
                PageRow(
                    layer=row.layer,
                    contributor=row.owner,
                    strength=show_share(row.share_ppb),
                    text=row.text,
                    missing=row.missing,
                )
                for row in self.rows
            ],
            verified=[line for line in checked if not line.startswith(NOT_CHECKED)],
            unchecked=[line.removeprefix(NOT_CHECKED).lstrip(": ") for line in checked if line.startswith(NOT_CHECKED)],
            remarks=self.remarks(),
        )

    def tables(self) -> dict[str, Any]:
        """The content of the tables and the page for programs: derived from the document, the chain and the store."""
        from dataclasses import asdict

        contributors = [
            {
                "name": name,
                "address": address,
                "share_ppb": share,
                "gradients_ppb": gradients,
                "spans_ppb": spans,
                "sources": self.sources(address),
            }
            for name, address, share, gradients, spans in self.contributors()[:-1]
        ]
        spans = [{"text": text, "contributor": name, "where": note} for text, name, note in self.spans()]
        return {
            "contributors": contributors,
            "unexplained_ppb": self.document.unexplained_ppb,
            "copies": self.copies(),
            "rules": self.rules(),
            "span_earnings": span_earnings(self.document),
            "coverage": coverage(self.document),
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
        from attribution.explanation.page import PageContribution

        return [
            PageContribution(
                layer=number,
                identifier=encode_id("olcontrib", bytes.fromhex(line.contribution_id)),
                contributor=self.name(line.owner),
                rows=line.rows,
                gradients_ppb=line.by_gradients_ppb,
                spans_ppb=line.by_spans_ppb,
                datanet=self.origins.get(line.contribution_id, ("", ""))[0],
                licence=self.origins.get(line.contribution_id, ("", ""))[1],
            )
            for number, layer in enumerate(self.document.layers, start=1)
            for line in contribution_lines(layer)
        ]

    def _pieces(self, decode: Any) -> list[tuple[str, str, str]]:
        """The output cut at its spans: a span of the first layer that has spans there."""
        ids = self.document.output.token_ids
        whose: list[tuple[str, str]] = [("", "")] * len(ids)
        for layer in reversed(self.document.layers):
            part = spans_of(layer)
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


def contribution_lines(layer: LayerPart) -> Sequence[ContributionShare]:
    """The contributions of a layer that are shown."""
    from attribution.explanation.contributions import contribution_shares

    return contribution_shares(layer)


def _shown_contributions(document: Explanation) -> list[str]:
    lines = [line.contribution_id for layer in document.layers for line in contribution_lines(layer)]
    return list(dict.fromkeys(lines))


def _rest(spans: SpanPart) -> int:
    return PPB - sum(line.share_ppb for line in spans.by_owner)


def _models(document: Explanation, explainer: Explainer, ledger: ClientLedger) -> Iterator[str]:
    """Name and version of every layer's model, as the chain has them."""
    for layer in document.layers:
        stored = explainer.entries.stored[bytes.fromhex(layer.entry_id)]
        yield f"{ledger.model_name(stored.model_id)} version {stored.model_version}" if stored.model_id else "unnamed"


def _explained_by(layer: LayerPart) -> str:
    from attribution.explanation.page import show_share

    methods = [name for name, part in (("gradients", gradients_of(layer)), ("spans", spans_of(layer))) if part]
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
