"""Proofs of spans: that they occur, that they are maximal, how often they occur and in whose documents.

A proof carries the commitment, hints, and openings of the blocks that the check reads. The check is one function over
a `SpanView`: the prover runs it on the index to learn which blocks it needs, the verifier on the proven blocks. It
needs the commitment's root, the output and no index, no model, no numpy.

- Absence of output tokens [start, end): they sort strictly between the suffixes of two neighbouring ranks, neither of
  which begins with them.
- Presence: the suffixes at the first and last rank of a span begin with it, the ones before and after do not. That
  proves the number of occurrences as well.
- Maximality of one span: an absent stretch within the span and one more token, on either side.
- Completeness (`verify_spans`): let reach(a) be the largest end such that [a, reach(a)) contains no stretch proven
  absent. Wherever reach(a) - a is at least min_tokens, [a, reach(a)) lies within a claimed span. So every stretch of
  min_tokens that occurs lies in a claimed span, and as no claimed span lies within another, they are the maximal ones.

What it rests on: that the committed suffix array is the sorted one. It is a function of the committed text, so anyone
those who have the index check it (`check_span_index`), and a committed array that is another one is found for good.
A proof shows whole blocks: 64 tokens around each position that is compared, of any owner.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from abci_app.hashing import HASH_BYTES
from abci_app.state.codec import CodecError, Record, decode, encode
from attribution.errors import AttributionError
from attribution.spans.blocks import LISTS, BlockList, check_opening, opening_hashes
from attribution.spans.commitment import MAX_COMMITMENT_BYTES, SpanCommitment
from attribution.spans.find import (
    MAX_OUTPUT_TOKENS,
    FoundSpan,
    Span,
    SpanShares,
    encode_output,
    keep_spans,
    span_shares,
)
from attribution.spans.index import SpanIndex
from attribution.spans.view import NUMBER_BYTES, Document, ProvenView, SpanView

# 8,192 output tokens and a thousand matches of every kept span stay below.
MAX_PROOF_BYTES = 64 * 2**20
MAX_BLOCKS = 2**18
MAX_BLOCK_BYTES = max(what.block_bytes for what in LISTS)
MAX_HASHES = 2**20

_Place = Annotated[int, Meta(ge=0, le=MAX_OUTPUT_TOKENS)]
_Number = Annotated[int, Meta(ge=0, lt=2**32)]
_Hash = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
_Block = Annotated[bytes, Meta(max_length=MAX_BLOCK_BYTES)]

_Scope = Literal[1, 2]
_ONE_SPAN: _Scope = 1
_ALL_SPANS: _Scope = 2


class _Opening(Record, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=1):
    """Blocks of one list by number, and the hashes from them to its root."""

    blocks: Annotated[list[tuple[_Number, _Block]], Meta(max_length=MAX_BLOCKS)]
    hashes: Annotated[list[_Hash], Meta(max_length=MAX_HASHES)]


class _ProofRecord(Record, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=1):
    """Stored form, canonical MessagePack."""

    scope: _Scope
    commitment: Annotated[bytes, Meta(max_length=MAX_COMMITMENT_BYTES)]
    spans: Annotated[list[tuple[_Place, _Place, _Number, _Number]], Meta(max_length=MAX_OUTPUT_TOKENS)]
    """start, end, first rank, rank after the last."""
    absences: Annotated[list[tuple[_Place, _Place, _Number]], Meta(max_length=MAX_OUTPUT_TOKENS)]
    """start, end, rank of the suffix after; both increasing."""
    openings: tuple[_Opening, _Opening, _Opening, _Opening]


_FIELDS = ("version", "scope", "commitment", "spans", "absences")
"""Places of the record; the one after holds the openings in the order of LISTS."""


@dataclass(frozen=True, slots=True)
class ProvenSpans:
    """Facts about an output that a proof of all spans shows."""

    spans: tuple[Span, ...]
    shares: SpanShares


class _RecordingView(SpanView):
    """An index that notes which blocks are read from it."""

    def __init__(self, index: SpanIndex) -> None:
        self.commitment = index.commitment
        self._index = index
        self.read: dict[BlockList, set[int]] = {what: set() for what in LISTS}

    def block(self, what: BlockList, index: int) -> bytes:
        self.read[what].add(index)
        return self._index.block(what, index)

    def document_at(self, position: int) -> Document:
        # The search itself is not proven: a document that holds the position is enough.
        return self.document(self._index.document_at(position).number)


def prove_span(index: SpanIndex, output_ids: Sequence[int], span: Span) -> bytes:
    """Proof that one kept span of `find_spans(output_ids)` occurs, is maximal, and in whose documents it is."""
    query = encode_output(index.commitment.parameters, output_ids)
    found = FoundSpan(span.start, span.end, *index.find(query[span.start * NUMBER_BYTES : span.end * NUMBER_BYTES]))
    sides = [
        (start, end)
        for start, end in ((span.start - 1, span.end), (span.start, span.end + 1))
        if start >= 0 and end <= len(output_ids)
    ]
    return _prove(index, query, output_ids, _ONE_SPAN, [found], _with_ranks(index, query, sides))


def verify_span(proof: bytes, output_ids: Sequence[int], root: bytes) -> Span:
    """The span that a proof of one span shows, against the committed root; raises `AttributionError`.

    It says nothing about other spans of the output, so neither whether the span is among the kept ones.
    """
    return _verify(proof, output_ids, root, _ONE_SPAN)[0]


def prove_spans(index: SpanIndex, output_ids: Sequence[int]) -> bytes:
    """Proof that `find_spans(output_ids)` and `span_shares(output_ids)` are what they are: nothing hidden or added."""
    query = encode_output(index.commitment.parameters, output_ids)
    spans = list(index.all_spans(output_ids))
    absent = _needed_absences(index.match_ends(query), spans, index.commitment.parameters.settings.min_tokens)
    return _prove(index, query, output_ids, _ALL_SPANS, spans, _with_ranks(index, query, absent))


def verify_spans(proof: bytes, output_ids: Sequence[int], root: bytes) -> ProvenSpans:
    """Kept spans and shares of an output, against the committed root; raises `AttributionError`."""
    spans = _verify(proof, output_ids, root, _ALL_SPANS)
    return ProvenSpans(spans, span_shares(spans, len(output_ids)))


def _prove(
    index: SpanIndex,
    query: bytes,
    output_ids: Sequence[int],
    scope: _Scope,
    spans: list[FoundSpan],
    absences: list[tuple[int, int, int]],
) -> bytes:
    view = _RecordingView(index)
    _check(view, query, output_ids, scope, spans, absences)
    openings = [_open(index, what, sorted(view.read[what])) for what in LISTS]
    rows = [(span.start, span.end, span.first, span.stop) for span in spans]
    four = (openings[0], openings[1], openings[2], openings[3])
    proof = encode(
        _ProofRecord(scope=scope, commitment=index.commitment.encode(), spans=rows, absences=absences, openings=four)
    )
    if len(proof) > MAX_PROOF_BYTES:
        raise AttributionError(
            "proof", f"would have {len(proof)} bytes, more than {MAX_PROOF_BYTES}: prove single spans"
        )
    return proof


def _open(index: SpanIndex, what: BlockList, numbers: list[int]) -> _Opening:
    if not numbers:
        return _Opening([], [])
    count = what.block_count(index.commitment.parameters.entry_count(what))
    hashes = opening_hashes(numbers, count, lambda level, place: index.tree_node(what, level, place))
    return _Opening([(number, index.block(what, number)) for number in numbers], hashes)


def _verify(proof: bytes, output_ids: Sequence[int], root: bytes, scope: _Scope) -> tuple[Span, ...]:
    record = _decode(proof)
    if record.scope != scope:
        raise AttributionError("proof.scope", "is of one span where all are asked for, or the other way round")
    commitment = SpanCommitment.decode(record.commitment)
    if commitment.root != root:
        raise AttributionError("proof.commitment", f"has root {commitment.root.hex()}, not {root.hex()}: another index")
    for what, opening in zip(LISTS, record.openings, strict=True):
        count = commitment.parameters.entry_count(what)
        check_opening(what, count, commitment.root_of(what), opening.blocks, opening.hashes)
    blocks = {what.name: dict(opening.blocks) for what, opening in zip(LISTS, record.openings, strict=True)}
    view = ProvenView(commitment, blocks)
    query = encode_output(commitment.parameters, output_ids)
    spans = [FoundSpan(*row) for row in record.spans]
    kept = _check(view, query, output_ids, scope, spans, record.absences)
    view.check_all_used()
    return kept


def _decode(proof: bytes) -> _ProofRecord:
    if len(proof) > MAX_PROOF_BYTES:
        raise AttributionError("proof", f"has {len(proof)} bytes, more than {MAX_PROOF_BYTES}")
    try:
        return decode(_ProofRecord, proof)
    except CodecError as error:
        raise AttributionError(*_named(str(error))) from error


def _named(text: str) -> tuple[str, str]:
    """Field and reason of a decoder's text, which ends in "- at `$[4][0]`" or the like."""
    reason, _, path = text.partition(" - at `$")
    steps = [int(step) for step in re.findall(r"\[([0-9]+)\]", path)]
    field = "proof"
    if steps and steps[0] < len(_FIELDS):
        field = f"proof.{_FIELDS[steps[0]]}"
    elif len(steps) > 1 and steps[1] < len(LISTS):
        field = f"proof.{LISTS[steps[1]].name}"
    return field, f"{reason}; ask for the proof again"


def _check(
    view: SpanView,
    query: bytes,
    output_ids: Sequence[int],
    scope: _Scope,
    spans: Sequence[FoundSpan],
    absences: Sequence[tuple[int, int, int]],
) -> tuple[Span, ...]:
    """All that a proof claims; the kept spans, or the one span."""
    _check_form(view, len(output_ids), spans, absences)
    for number, (start, end, rank) in enumerate(absences):
        word = query[start * NUMBER_BYTES : end * NUMBER_BYTES]
        if not _sorts_between(view, word, rank, rank):
            raise AttributionError(f"proof.absences[{number}]", f"output tokens {start} to {end} are not absent there")
    for number, span in enumerate(spans):
        word = query[span.start * NUMBER_BYTES : span.end * NUMBER_BYTES]
        if any(_begin(view, rank, word) != word for rank in {span.first, span.stop - 1}):
            raise AttributionError(f"proof.spans[{number}]", "the suffixes of its ranks do not begin with it")
        if not _sorts_between(view, word, span.first, span.stop):
            raise AttributionError(f"proof.spans[{number}]", "occurs at more ranks than the proof says")
    if scope == _ALL_SPANS:
        _check_complete(len(output_ids), view.commitment.parameters.settings.min_tokens, spans, absences)
        return keep_spans(view, output_ids, spans)
    if len(spans) != 1:
        raise AttributionError("proof.spans", f"has {len(spans)} spans, not one")
    _check_maximal(len(output_ids), spans[0], absences)
    kept = keep_spans(view, output_ids, spans)
    if not kept:
        raise AttributionError("proof.spans[0]", "is too light or too common to be kept")
    return kept


def _check_form(
    view: SpanView, output_tokens: int, spans: Sequence[FoundSpan], absences: Sequence[tuple[int, int, int]]
) -> None:
    least = view.commitment.parameters.settings.min_tokens
    last_start, last_end = -1, -1
    for number, span in enumerate(spans):
        if not (last_start < span.start and last_end < span.end <= output_tokens and span.end - span.start >= least):
            raise AttributionError(f"proof.spans[{number}]", "is out of order, too short or outside the output")
        if not span.first < span.stop <= view.text_tokens:
            raise AttributionError(f"proof.spans[{number}]", "has no ranks, or ranks outside the suffix array")
        last_start, last_end = span.start, span.end
    last_start, last_end = -1, -1
    for number, (start, end, rank) in enumerate(absences):
        if not (last_start < start < end and last_end < end <= output_tokens):
            raise AttributionError(f"proof.absences[{number}]", "is out of order, empty or outside the output")
        if rank > view.text_tokens:
            raise AttributionError(f"proof.absences[{number}]", f"rank {rank} is outside the suffix array")
        last_start, last_end = start, end


def _begin(view: SpanView, rank: int, word: bytes) -> bytes:
    """Begin of the suffix of a rank, as long as `word`."""
    return view.text(view.suffix(rank), len(word) // NUMBER_BYTES)


def _sorts_between(view: SpanView, word: bytes, first: int, stop: int) -> bool:
    """Whether the suffix before `first` sorts before `word` and the one at `stop` after all that begin with it."""
    below = first == 0 or _begin(view, first - 1, word) < word
    return below and (stop == view.text_tokens or _begin(view, stop, word) > word)


def _check_maximal(output_tokens: int, span: FoundSpan, absences: Sequence[tuple[int, int, int]]) -> None:
    for side, start, end in (("left", span.start - 1, span.end), ("right", span.start, span.end + 1)):
        inside = any(start <= absent_start and absent_end <= end for absent_start, absent_end, _ in absences)
        if start >= 0 and end <= output_tokens and not inside:
            raise AttributionError("proof.absences", f"do not show that the span ends on the {side}")


def _check_complete(
    output_tokens: int, least: int, spans: Sequence[FoundSpan], absences: Sequence[tuple[int, int, int]]
) -> None:
    for start, reach, allowed in _reaches(output_tokens, least, spans, [(a, b) for a, b, _ in absences]):
        if reach > allowed:
            raise AttributionError("proof.absences", f"leave open whether output tokens {start} to {reach} occur")


def _reaches(
    output_tokens: int, least: int, spans: Sequence[FoundSpan], absences: Sequence[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """(start, reach, largest reach that hides nothing) for every start from which `least` tokens follow."""
    reaches = []
    upcoming, covering = len(absences) - 1, len(spans) - 1
    reach = output_tokens
    for start in range(output_tokens - 1, -1, -1):
        while upcoming >= 0 and absences[upcoming][0] >= start:
            reach = absences[upcoming][1] - 1
            upcoming -= 1
        while covering >= 0 and spans[covering].start > start:
            covering -= 1
        within = spans[covering].end if covering >= 0 else 0
        reaches.append((start, reach, max(start + least - 1, within)))
    return reaches


def _needed_absences(ends: Sequence[int], spans: Sequence[FoundSpan], least: int) -> list[tuple[int, int]]:
    """A smallest set of absent stretches that shows a claim complete, by place.

    From right to left, wherever the reach is too far, the shortest minimal absent stretch that starts soonest is
    taken: every other one that would do ends later, and so does less for what is further left.
    """
    output_tokens = len(ends)
    # The last start with each end: one more token, and the stretch is absent, and minimal on its left.
    candidates = [
        (start, end + 1)
        for start, end in enumerate(ends)
        if end < output_tokens and (start + 1 == output_tokens or ends[start + 1] > end)
    ]
    needed: list[tuple[int, int]] = []
    reach = output_tokens
    upcoming = len(candidates)
    for start, _, allowed in _reaches(output_tokens, least, spans, []):
        while upcoming > 0 and candidates[upcoming - 1][0] >= start:
            upcoming -= 1
        if reach > allowed:
            needed.append(candidates[upcoming])
            reach = candidates[upcoming][1] - 1
    return needed[::-1]


def _with_ranks(index: SpanIndex, query: bytes, stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    return [(start, end, index.rank_of(query[start * NUMBER_BYTES : end * NUMBER_BYTES])) for start, end in stretches]
