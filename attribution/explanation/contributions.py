"""Contributions of a layer with their parts by gradients and by spans, for people: derived from a document alone.

By gradients: the positive scores of a contribution's credited rows, of those of all rows; where a recipe clips owners
instead of rows, the sum of its scores, of what all owners are paid by. By spans: a span's bits go in
equal parts to the owners credited for it (attribution.spans.find), and an owner's part in equal parts to those of its
contributions that have the span. Rounded down; nothing is paid by these numbers.
"""

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from msgspec import UnsetType

from abci_app.integers.shares import OWNER
from abci_app.types import PPB
from attribution.explanation.document import GradientPart, LayerPart, PolicyPart, SpanLine, SpanPart

# Contribution and owner in hex.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ContributionShare:
    """Parts in parts per billion, None where the layer does not have the method; `rows` are credited ones."""

    contribution_id: str
    owner: str
    rows: int | None
    by_gradients_ppb: int | None
    by_spans_ppb: int | None


def contribution_shares(layer: LayerPart) -> list[ContributionShare]:
    """The contributions that a layer's document names, largest part by either method first, ties by id."""
    gradients = None if isinstance(layer.gradients, UnsetType) else layer.gradients
    spans = None if isinstance(layer.spans, UnsetType) else layer.spans
    clips_owners = isinstance(layer.policy, PolicyPart) and layer.policy.score_unit == OWNER
    rows, by_gradients = _of_gradients(gradients, clips_owners=clips_owners)
    by_spans = _of_spans(spans)
    found = [
        ContributionShare(
            *key,
            rows.get(key),
            by_gradients.get(key) if gradients else None,
            by_spans.get(key, 0) if spans else None,
        )
        for key in sorted({*by_gradients, *by_spans})
    ]
    return sorted(found, key=lambda line: -max(line.by_gradients_ppb or 0, line.by_spans_ppb or 0))


def positive_of_all(part: GradientPart) -> int:
    """Sum of all owners' credits, at least 1: the whole of which rows and contributions are parts."""
    return sum(int(line.credit) for line in part.owners) or 1


def _of_gradients(part: GradientPart | None, *, clips_owners: bool) -> tuple[dict[Key, int], dict[Key, int]]:
    if part is None:
        return {}, {}
    whole = positive_of_all(part)
    lines = {(line.contribution_id, line.owner): line for line in part.contributions}
    paid = {line.owner for line in part.owners if int(line.credit)}
    amounts = {
        key: int(line.positive) if not clips_owners else max(0, int(line.score)) if line.owner in paid else 0
        for key, line in lines.items()
    }
    parts = {key: min(PPB, amount * PPB // whole) for key, amount in amounts.items()}
    return {key: line.rows for key, line in lines.items()}, parts


def _of_spans(part: SpanPart | None) -> dict[Key, int]:
    bits: defaultdict[Key, Fraction] = defaultdict(Fraction)
    for span in part.spans if part else ():
        having = _having(span)
        for owner, contributions in having.items():
            for contribution in contributions:
                bits[contribution, owner] += Fraction(span.surprisal, len(having) * len(contributions))
    whole = sum(bits.values())
    return {key: int(value * PPB / whole) for key, value in bits.items()} if whole else {}


def _having(span: SpanLine) -> dict[str, set[str]]:
    """Contributions with a span by the owner who is credited: its own where there are some, else the copies of them."""
    own: defaultdict[str, set[str]] = defaultdict(set)
    copies: defaultdict[str, set[str]] = defaultdict(set)
    for match in span.matches:
        (own if match.owner == match.credited else copies)[match.credited].add(match.contribution_id)
    return {**copies, **own}
