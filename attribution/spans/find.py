"""Which stretches of an output stand word for word in the training text, and whose text that is.

A *span* is a stretch of output tokens that occurs in a training document and cannot be extended to either side so
that it still does. Kept are the spans of at least `min_tokens` tokens and `min_bits` of surprisal that are not
common (at most `max_occurrences` times, in at most `max_clusters` documents, duplicates counted once), of these the
ceil(density * output tokens) of the highest surprisal, ties by place. The surprisal of a span is the sum over its
tokens of -log2 of their frequency in the training text, in integers (`attribution.spans.surprisal`).

A span's surprisal is split equally over the distinct owners of the documents that have it; within a cluster of
duplicates, over the owner of its first document only. Shares are the sums of these parts, apportioned by largest
remainder. Spans that overlap count each for itself.

A match says that the words are there, not that the model has them from there; who said it in other words gets
nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm

from abci_app.integers.shares import largest_remainder
from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.spans.commitment import SpanParameters
from attribution.spans.surprisal import UNITS_PER_BIT, surprisal_units
from attribution.spans.view import NUMBER, NUMBER_BYTES, SpanView

# Twice the longest outputs that are served; what a hostile proof can make a verifier read grows with its square.
MAX_OUTPUT_TOKENS = 8_192


@dataclass(frozen=True, slots=True)
class FoundSpan:
    """Output tokens [start, end) and the ranks [first, stop) of the suffixes that begin with them."""

    start: int
    end: int
    first: int
    stop: int

    @property
    def occurrences(self) -> int:
        """How often the training text has it."""
        return self.stop - self.first


@dataclass(frozen=True, slots=True)
class Match:
    """A document that has a span, where it first does in the document's tokens, whose it is and who is credited."""

    document: int
    offset: int
    owner: bytes
    contribution_id: bytes
    row_leaf: bytes
    credited: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """A kept span: output tokens [start, end), surprisal in 1/1024 bit, and the documents that have it, by number."""

    start: int
    end: int
    surprisal: int
    occurrences: int
    clusters: int
    matches: tuple[Match, ...]

    @property
    def credited(self) -> tuple[bytes, ...]:
        """The distinct owners among whom it is split, in byte order."""
        return tuple(sorted({match.credited for match in self.matches}))


@dataclass(frozen=True, slots=True)
class SpanShares:
    """Parts per billion by owner, in byte order, summing to PPB; empty when no span was kept.

    `covered_tokens` of the `output_tokens` lie in a kept span: how much of the output the shares speak of.
    """

    by_owner: tuple[tuple[bytes, int], ...]
    covered_tokens: int
    output_tokens: int


def encode_output(parameters: SpanParameters, output_ids: Sequence[int]) -> bytes:
    """Output tokens as the text stores them; raises `AttributionError` for `output_ids`."""
    if len(output_ids) > MAX_OUTPUT_TOKENS:
        raise AttributionError("output_ids", f"has {len(output_ids)} tokens, more than {MAX_OUTPUT_TOKENS}")
    size = parameters.settings.vocabulary_size
    for place, token in enumerate(output_ids):
        if type(token) is not int or not 0 <= token < size:
            raise AttributionError(f"output_ids[{place}]", f"{token!r} is no token of the vocabulary of {size}")
    return b"".join(NUMBER.pack(token + 1) for token in output_ids)


def keep_spans(view: SpanView, output_ids: Sequence[int], found: Sequence[FoundSpan]) -> tuple[Span, ...]:
    """The spans that count, by place; `found` are all spans of at least `min_tokens` tokens."""
    settings = view.commitment.parameters.settings
    rated = ((span, _surprisal(view, output_ids, span)) for span in found)
    heavy = [(span, bits) for span, bits in rated if bits >= settings.min_bits * UNITS_PER_BIT]
    kept: list[Span] = []
    wanted = settings.kept_spans(len(output_ids))
    for span, bits in sorted(heavy, key=lambda item: (-item[1], item[0].start)):
        if len(kept) == wanted:
            break
        if span.occurrences > settings.max_occurrences:
            continue
        matches = _matches(view, span)
        if matches is not None:
            heads = {head for head, _ in matches}
            by_number = tuple(sorted((match for _, match in matches), key=lambda match: match.document))
            kept.append(
                Span(
                    start=span.start,
                    end=span.end,
                    surprisal=bits,
                    occurrences=span.occurrences,
                    clusters=len(heads),
                    matches=by_number,
                )
            )
    return tuple(sorted(kept, key=lambda span: span.start))


def span_shares(spans: Sequence[Span], output_tokens: int) -> SpanShares:
    """Who is credited for kept spans, exactly: no rounding before the one of the largest remainder."""
    denominator = lcm(*(len(span.credited) for span in spans))
    weights: dict[bytes, int] = {}
    for span in spans:
        for owner in span.credited:
            weights[owner] = weights.get(owner, 0) + span.surprisal * denominator // len(span.credited)
    covered = len({place for span in spans for place in range(span.start, span.end)})
    if not any(weights.values()):  # only min_bits = 0 keeps spans without surprisal
        return SpanShares((), covered, output_tokens)
    owners = sorted(weights)
    parts = largest_remainder([weights[owner] for owner in owners], owners, PPB)
    return SpanShares(tuple(zip(owners, parts, strict=True)), covered, output_tokens)


def common_tokens(one: bytes, other: bytes) -> int:
    """How many tokens two stored stretches have in common from the start on."""
    size = min(len(one), len(other))
    differing = int.from_bytes(one[:size]) ^ int.from_bytes(other[:size])
    return (size - (differing.bit_length() + 7) // 8) // NUMBER_BYTES


def _surprisal(view: SpanView, output_ids: Sequence[int], span: FoundSpan) -> int:
    total = view.commitment.parameters.token_count
    units = 0
    for token in output_ids[span.start : span.end]:
        count = view.occurrences_of_token(token)
        if not 0 < count <= total:
            raise AttributionError("unigrams", f"token {token} occurs, and is counted {count} times of {total}")
        units += surprisal_units(count, total)
    return units


def _matches(view: SpanView, span: FoundSpan) -> list[tuple[int, Match]] | None:
    """(cluster, match) of every document that has the span; None when these are too many clusters."""
    limit = view.commitment.parameters.settings.max_clusters
    found: dict[int, tuple[int, Match]] = {}
    heads: set[int] = set()
    for position, number, head in _places(view, span):
        heads.add(head)
        if len(heads) > limit:
            return None
        document = view.document(number)
        offset = position - document.start
        if number in found and found[number][1].offset <= offset:
            continue
        credited = document.owner if head == number else view.document(head).owner
        match = Match(
            document=number,
            offset=offset,
            owner=document.owner,
            contribution_id=document.contribution_id,
            row_leaf=document.row_leaf,
            credited=credited,
        )
        found[number] = (head, match)
    return list(found.values())


def _places(view: SpanView, span: FoundSpan) -> Iterator[tuple[int, int, int]]:
    """(position, document, head of its cluster) of every occurrence, in the order of the suffix array."""
    for rank in range(span.first, span.stop):
        position = view.suffix(rank)
        document = view.document_at(position)
        if position + span.end - span.start > document.start + document.length:
            raise AttributionError("documents", f"entry {document.number} ends inside a span: it has the wrong length")
        yield position, document.number, document.head
