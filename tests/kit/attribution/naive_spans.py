"""Spans the slow way: every stretch of the output is looked for in every document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from abci_app.types import PPB
from attribution.spans.build import SpanDocument, build_span_index
from attribution.spans.commitment import SpanSettings
from attribution.spans.find import Match, Span
from attribution.spans.index import SpanIndex
from attribution.spans.surprisal import UNITS_PER_BIT, log2_units

VOCABULARY = 5


Tokens = Sequence[int] | npt.NDArray[np.integer[Any]]


def loose(**changed: int) -> SpanSettings:
    """Thresholds that let short spans of small alphabets count."""
    values = {"min_tokens": 2, "min_bits": 1, "max_clusters": 3, "max_occurrences": 6, "density_ppb": PPB // 2}
    return SpanSettings(VOCABULARY, "", **(values | changed))


def document(tokens: Tokens, owner: int = 0, number: int = 0, cluster: bytes = b"") -> SpanDocument:
    """A document of an owner known by a number."""
    return SpanDocument(bytes([owner]) * 32, number.to_bytes(32), bytes([1]) + number.to_bytes(31), tokens, cluster)


def corpora() -> st.SearchStrategy[list[SpanDocument]]:
    """Few documents of few different tokens, so that much occurs several times; some are duplicates by name."""
    tokens = st.lists(st.integers(0, VOCABULARY - 2), min_size=1, max_size=12)
    one = st.tuples(tokens, st.integers(0, 3), st.sampled_from([b"", b"", b"same"]))
    return st.lists(one, min_size=1, max_size=8).map(
        lambda rows: [document(ids, owner, number, name) for number, (ids, owner, name) in enumerate(rows)]
    )


def outputs() -> st.SearchStrategy[list[int]]:
    """Outputs over the vocabulary, one token of which no document has."""
    return st.lists(st.integers(0, VOCABULARY - 1), max_size=16)


def built(documents: Sequence[SpanDocument], folder: Path, settings: SpanSettings | None = None) -> SpanIndex:
    """An index of the documents, in a folder that one test uses again and again."""
    return build_span_index(documents, folder, settings or loose())


@dataclass(frozen=True)
class Naive:
    """The rules of `attribution.spans.find`, by definition."""

    documents: Sequence[SpanDocument]
    settings: SpanSettings

    def places(self, stretch: Sequence[int]) -> list[tuple[int, int]]:
        """(document, offset) of every occurrence."""
        wanted = list(stretch)
        return [
            (number, offset)
            for number, item in enumerate(self.documents)
            for offset in range(len(item.token_ids) - len(wanted) + 1)
            if list(item.token_ids[offset : offset + len(wanted)]) == wanted
        ]

    def maximal(self, output: Sequence[int]) -> list[tuple[int, int]]:
        """All maximal spans of at least `min_tokens` tokens."""
        size = len(output)
        present = {(a, b) for a in range(size) for b in range(a + 1, size + 1) if self.places(output[a:b])}
        return sorted(
            (a, b)
            for a, b in present
            if b - a >= self.settings.min_tokens and (a - 1, b) not in present and (a, b + 1) not in present
        )

    def head(self, number: int) -> int:
        """First document of a document's cluster."""
        item = self.documents[number]
        return next(
            index
            for index, other in enumerate(self.documents)
            if other.cluster == item.cluster and (item.cluster or list(other.token_ids) == list(item.token_ids))
        )

    def surprisal(self, stretch: Sequence[int]) -> int:
        """In 1/1024 bit."""
        tokens = [token for item in self.documents for token in item.token_ids]
        return sum(log2_units(len(tokens)) - log2_units(tokens.count(token)) for token in stretch)

    def spans(self, output: Sequence[int]) -> tuple[Span, ...]:
        """The kept spans."""
        rated = []
        for start, end in self.maximal(output):
            places = self.places(output[start:end])
            clusters = {self.head(number) for number, _ in places}
            weight = self.surprisal(output[start:end])
            if (
                weight >= self.settings.min_bits * UNITS_PER_BIT
                and len(clusters) <= self.settings.max_clusters
                and len(places) <= self.settings.max_occurrences
            ):
                matches = tuple(self.match(number, places) for number in sorted({number for number, _ in places}))
                rated.append(Span(start, end, weight, len(places), len(clusters), matches))
        kept = -(-len(output) * self.settings.density_ppb // PPB)
        best = sorted(rated, key=lambda span: (-span.surprisal, span.start))[:kept]
        return tuple(sorted(best, key=lambda span: span.start))

    def match(self, number: int, places: Sequence[tuple[int, int]]) -> Match:
        """The first place in one document."""
        item = self.documents[number]
        offset = min(offset for at, offset in places if at == number)
        credited = self.documents[self.head(number)].owner
        return Match(number, offset, item.owner, item.contribution_id, item.row_leaf, credited)

    def exact_shares(self, output: Sequence[int]) -> dict[bytes, Fraction]:
        """Shares before rounding."""
        parts: dict[bytes, Fraction] = {}
        spans = self.spans(output)
        total = sum(span.surprisal for span in spans)
        for span in spans:
            owners = {match.credited for match in span.matches}
            for owner in owners:
                parts[owner] = parts.get(owner, Fraction(0)) + Fraction(span.surprisal, total * len(owners))
        return parts
