"""Spans and shares are those of the definition, for any documents and outputs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.spans.build import SpanDocument
from attribution.spans.find import MAX_OUTPUT_TOKENS, Match, Span, SpanShares, common_tokens, span_shares
from tests.kit.attribution.naive_spans import Naive, built, corpora, document, loose, outputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spans")


def settings() -> st.SearchStrategy[dict[str, int]]:
    return st.fixed_dictionaries(
        {
            "min_tokens": st.integers(1, 3),
            "min_bits": st.integers(0, 6),
            "max_clusters": st.integers(1, 4),
            "max_occurrences": st.integers(1, 8),
            "density_ppb": st.sampled_from([1, PPB // 4, PPB]),
        }
    )


@given(corpora(), outputs(), settings())
def test_spans_and_shares_are_those_of_the_definition(
    folder: Path, documents: list[SpanDocument], output: list[int], values: dict[str, int]
) -> None:
    naive = Naive(documents, loose(**values))
    with built(documents, folder, naive.settings) as index:
        spans = index.find_spans(output)
        assert [(span.start, span.end) for span in index.all_spans(output)] == naive.maximal(output)
        assert spans == naive.spans(output)
        shares = index.span_shares(output)
    covered = {place for span in spans for place in range(span.start, span.end)}
    assert (shares.covered_tokens, shares.output_tokens) == (len(covered), len(output))
    if any(span.surprisal for span in spans):
        exact = naive.exact_shares(output)
        assert [owner for owner, _ in shares.by_owner] == sorted(exact)
        assert sum(part for _, part in shares.by_owner) == PPB
        assert all(abs(part - exact[owner] * PPB) < 1 for owner, part in shares.by_owner)
    else:
        assert shares.by_owner == ()


def test_nothing_matches_across_the_end_of_a_document(tmp_path: Path) -> None:
    parts = [document([0, 1, 2], 1, 1), document([3, 0, 1], 2, 2)]
    with built(parts, tmp_path, loose(max_clusters=2)) as index:
        assert [(span.start, span.end) for span in index.all_spans([1, 2, 3, 0])] == [(0, 2), (2, 4)]


def test_a_copy_in_the_cluster_of_an_earlier_document_earns_nothing(tmp_path: Path) -> None:
    original, copy = document([0, 1, 2, 3, 0, 1], 1, 1), document([0, 1, 2, 3, 0, 1], 2, 2)
    reworded = document([2, 0, 1, 2, 3, 0, 1], 3, 3, cluster=b"alike")
    named = [document(original.token_ids, 1, 1, cluster=b"alike"), reworded]
    output, wide = [0, 1, 2, 3, 0, 1], loose(density_ppb=1)
    one, two = bytes([1]) * 32, bytes([2]) * 32
    with built([original, copy], tmp_path, wide) as index:
        (span,) = index.find_spans(output)
        assert (span.occurrences, span.clusters, span.credited) == (2, 1, (one,))
        assert [match.owner for match in span.matches] == [one, two]
        assert index.span_shares(output) == SpanShares(((one, PPB),), 6, 6)
    with built(named, tmp_path, wide) as index:
        assert index.span_shares(output).by_owner == ((one, PPB),)


def test_a_span_is_split_equally_over_owners_not_over_documents(tmp_path: Path) -> None:
    parts = [document([0, 1, 2, 3], 1, 1), document([0, 1, 2, 0], 1, 2), document([3, 0, 1, 2], 2, 3)]
    with built(parts, tmp_path) as index:
        shares = index.span_shares([0, 1, 2])
    assert shares == SpanShares(((bytes([1]) * 32, PPB // 2), (bytes([2]) * 32, PPB // 2)), 3, 3)


def span(start: int, end: int, surprisal: int, *owners: int) -> Span:
    matches = tuple(
        Match(number, 0, bytes(32), bytes(32), bytes(32), bytes([owner]) * 32) for number, owner in enumerate(owners)
    )
    return Span(start, end, surprisal, len(owners), len(owners), matches)


def test_parts_are_exact_until_the_one_rounding_and_ties_go_by_owner() -> None:
    shares = span_shares([span(0, 4, 1_000, 1, 2, 3), span(2, 6, 500, 3, 3)], 10)
    exact = {1: Fraction(1_000, 3), 2: Fraction(1_000, 3), 3: Fraction(1_000, 3) + 500}
    floors = {owner: int(part * PPB / 1_500) for owner, part in exact.items()}
    assert floors == {1: 222_222_222, 2: 222_222_222, 3: 555_555_555}
    # The third has the larger remainder, .55 against .22.
    expected = ((bytes([1]) * 32, floors[1]), (bytes([2]) * 32, floors[2]), (bytes([3]) * 32, floors[3] + 1))
    assert shares == SpanShares(expected, 6, 10)
    assert span_shares([span(0, 1, 1, 2, 1, 3)], 1).by_owner == (
        (bytes([1]) * 32, 333_333_334),
        (bytes([2]) * 32, 333_333_333),
        (bytes([3]) * 32, 333_333_333),
    )


def test_an_output_without_spans_or_without_tokens_has_no_shares(tmp_path: Path) -> None:
    with built([document([0, 1, 2])], tmp_path) as index:
        assert [index.span_shares([]), index.span_shares([4, 4, 4])] == [SpanShares((), 0, 0), SpanShares((), 0, 3)]


@pytest.mark.parametrize(
    ("output", "field"),
    [([0, 5], "output_ids[1]"), ([-1], "output_ids[0]"), ([True], "output_ids[0]"), ([1.0], "output_ids[0]"),
     ([0] * (MAX_OUTPUT_TOKENS + 1), "output_ids")],
)  # fmt: skip
def test_an_output_outside_the_vocabulary_or_too_long_is_refused(tmp_path: Path, output: list[int], field: str) -> None:
    with built([document([0, 1, 2])], tmp_path) as index, pytest.raises(AttributionError) as caught:
        index.find_spans(output)
    assert caught.value.field == field


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_tokens_count_from_the_start(one: list[int], other: list[int]) -> None:
    stored = [b"".join(token.to_bytes(4) for token in tokens) for tokens in (one, other)]
    equal = [a == b for a, b in zip(one, other, strict=False)]
    assert common_tokens(*stored) == (equal.index(False) if False in equal else len(equal))
