"""Proofs show what the index finds, and nothing else can be shown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.spans import proof as span_proof
from attribution.spans.build import SpanDocument
from attribution.spans.commitment import SpanSettings
from attribution.spans.find import FoundSpan, encode_output
from attribution.spans.index import SpanIndex
from attribution.spans.proof import ProvenSpans, prove_span, prove_spans, verify_span, verify_spans
from tests.kit.attribution.naive_spans import Naive, built, corpora, document, loose, outputs
from tests.kit.repository import ROOT

SPANS, ABSENCES, TOKENS, SUFFIXES, UNIGRAMS, DOCUMENTS = 3, 4, 0, 1, 2, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spans")


@given(corpora(), outputs(), st.sampled_from([1, 2, 3]))
def test_every_output_is_proven_as_found_and_every_kept_span_alone(
    folder: Path, documents: list[SpanDocument], output: list[int], least: int
) -> None:
    with built(documents, folder, loose(min_tokens=least)) as index:
        root, spans, shares = index.commitment.root, index.find_spans(output), index.span_shares(output)
        assert verify_spans(prove_spans(index, output), output, root) == ProvenSpans(spans, shares)
        assert [verify_span(prove_span(index, output, span), output, root) for span in spans] == list(spans)


@given(corpora(), outputs(), outputs(), st.data())
def test_a_proof_shows_nothing_false_about_another_output(
    folder: Path, documents: list[SpanDocument], output: list[int], other: list[int], data: st.DataObject
) -> None:
    """A proof may hold for another output only if what it shows is true there."""
    place = data.draw(st.integers(0, len(output)))
    near = output[:place] + data.draw(st.lists(st.integers(0, 4), max_size=2)) + output[place + 1 :]
    with built(documents, folder) as index:
        proof = prove_spans(index, output)
        for claimed in (other, near):
            with suppress(AttributionError):
                assert verify_spans(proof, claimed, index.commitment.root).spans == Naive(documents, loose()).spans(
                    claimed
                )


@given(corpora(), outputs(), st.data())
def test_a_proof_with_any_byte_changed_shows_the_same_or_nothing(
    folder: Path, documents: list[SpanDocument], output: list[int], data: st.DataObject
) -> None:
    with built(documents, folder) as index:
        root, proof = index.commitment.root, prove_spans(index, output)
        honest = verify_spans(proof, output, root)
        place = data.draw(st.integers(0, len(proof) - 1))
        changed = proof[:place] + bytes([proof[place] ^ data.draw(st.integers(1, 255))]) + proof[place + 1 :]
        with suppress(AttributionError):
            assert verify_spans(changed, output, root) == honest


@given(corpora(), outputs(), st.data())
def test_whatever_a_prover_claims_of_an_honest_index_only_the_true_spans_pass(
    folder: Path, documents: list[SpanDocument], output: list[int], data: st.DataObject
) -> None:
    """Every block is honest here; claims and absences are left out, moved, shortened or added."""
    with built(documents, folder) as index:
        query = encode_output(index.commitment.parameters, output)
        count = len(output)
        starts = st.integers(0, max(0, count - 1))
        places = starts.flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, count)))
        extra = data.draw(st.lists(places, max_size=3)) if count else []
        moved = data.draw(st.sampled_from([0, 0, 0, -1, 1]))
        claims = {(span.start, span.end) for span in index.all_spans(output)}
        claims = {claim for claim in claims if data.draw(st.integers(0, 3))} | set(extra[:1])
        spans = [FoundSpan(a, b, *index.find(query[a * 4 : b * 4])) for a, b in sorted(claims)]
        honest = [(a, b) for a, b, _ in msgpack.unpackb(prove_spans(index, output))[ABSENCES]]
        stretches = sorted({pair for pair in honest if data.draw(st.integers(0, 5))} | set(extra[1:]))
        absences = [(a, b, max(0, index.rank_of(query[a * 4 : b * 4]) + moved)) for a, b in stretches]
        with suppress(AttributionError):
            kept = span_proof._check(index, query, output, 2, spans, absences)
            naive = Naive(documents, loose())
            assert [(span.start, span.end) for span in spans] == naive.maximal(output)
            assert kept == naive.spans(output)


# One text with enough tokens for several blocks; owner 1 wrote the long passage, owner 2 the short one.
PASSAGE = list(range(10, 40))
RANDOM = np.random.default_rng(7)
LARGE = [
    document([int(token) for token in RANDOM.integers(50, 400, 200)] + PASSAGE + [3], 1, 1),
    document([int(token) for token in RANDOM.integers(50, 400, 150)] + PASSAGE[5:20] + [4], 2, 2),
    *(document([int(token) for token in RANDOM.integers(50, 400, 90)], 3, number) for number in range(3, 30)),
]
OUTPUT = [1, 2, *PASSAGE[:25], 2, 1, *PASSAGE[3:12], 1]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Any:
    settings = SpanSettings(500, density_ppb=PPB // 10)
    with built(LARGE, tmp_path_factory.mktemp("large"), settings) as opened:
        yield opened


def test_one_text_worked_out_by_hand(index: SpanIndex) -> None:
    proven = verify_spans(prove_spans(index, OUTPUT), OUTPUT, index.commitment.root)
    assert [(s.start, s.end, s.occurrences, [m.document for m in s.matches]) for s in proven.spans] == [
        (2, 27, 1, [0]),
        (29, 38, 1, [0]),
    ]
    assert [(match.document, match.offset) for span in proven.spans for match in span.matches] == [(0, 200), (0, 203)]
    assert (proven.shares.by_owner, proven.shares.covered_tokens) == (((bytes([1]) * 32, PPB),), 34)


def test_few_absences_prove_that_nothing_is_hidden(index: SpanIndex) -> None:
    absences = msgpack.unpackb(prove_spans(index, OUTPUT))[ABSENCES]
    # Tokens 1 and 2 are nowhere in the text; that of place 0 needs no mention, six tokens from there have place 1.
    assert [(start, end) for start, end, _ in absences] == [(1, 2), (27, 28), (28, 29), (38, 39)]


Change = Callable[[list[Any]], None]


def changed(proof: bytes, change: Change) -> bytes:
    record = msgpack.unpackb(proof)
    change(record)
    packed: bytes = msgpack.packb(record)
    return packed


def put(*path: int, value: Any) -> Change:
    def change(record: list[Any]) -> None:
        place = record
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value(place[path[-1]]) if callable(value) else value

    return change


def drop(*path: int) -> Change:
    def change(record: list[Any]) -> None:
        place = record
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


def shorten_span(record: list[Any]) -> None:
    """Claim that the long span ends five tokens sooner: the longer match is hidden."""
    record[SPANS][0][1] -= 5


HOSTILE: dict[str, tuple[Change, str]] = {
    "a block with one bit changed": (
        put(5, TOKENS, 1, 0, 1, value=lambda block: bytes([block[0] ^ 1]) + block[1:]),
        "proof.tokens: the blocks do not belong to the committed list: they were changed or moved",
    ),
    "a block under another number": (
        put(5, SUFFIXES, 1, 0, 0, value=lambda number: number + 1),
        "proof.suffixes: ",
    ),
    "a block cut short": (put(5, TOKENS, 1, 0, 1, value=lambda block: block[:-4]), "proof.tokens: block "),
    "a block too large": (
        put(5, TOKENS, 1, 0, 1, value=lambda block: block * 8),
        "proof.tokens: Expected `bytes` of length <= 864",
    ),
    "a block left out": (drop(5, DOCUMENTS, 1, 0), "proof.documents: "),
    "a hash left out": (drop(5, UNIGRAMS, 2, 0), "proof.unigrams: hashes are missing; ask for the proof again"),
    "a hash cut short": (
        put(5, UNIGRAMS, 2, 0, value=lambda item: item[:-1]),
        "proof.unigrams: Expected `bytes` of length >= 32",
    ),
    "a span's bracket shifted down": (put(SPANS, 0, 2, value=lambda rank: rank - 1), "proof."),
    "a span's bracket shifted up": (put(SPANS, 0, 3, value=lambda rank: rank + 1), "proof."),
    "a span's bracket turned round": (
        put(SPANS, 0, 3, value=0),
        "proof.spans[0]: has no ranks, or ranks outside the suffix array",
    ),
    "ranks outside the suffix array": (
        put(SPANS, 0, 3, value=2**31),
        "proof.spans[0]: has no ranks, or ranks outside the suffix array",
    ),
    "an absence's bracket shifted": (put(ABSENCES, 0, 2, value=lambda rank: rank + 1), "proof."),
    "an absence at no rank": (
        put(ABSENCES, 0, 2, value=2**31),
        "proof.absences[0]: rank 2147483648 is outside the suffix array",
    ),
    "an absence of nothing": (put(ABSENCES, 0, 1, value=1), "proof.absences[0]: is out of order, empty or outside"),
    "a longer match hidden": (shorten_span, "proof."),
    "a whole match hidden": (drop(SPANS, 1), "proof.absences: leave open whether output tokens 32 to 38 occur"),
    "an absence left out": (drop(ABSENCES, 0), "proof.absences: leave open whether output tokens "),
    "a span longer than what is there": (put(SPANS, 0, 1, value=28), "proof.spans[0]: "),
    "a span outside the output": (put(SPANS, 1, 1, value=60), "proof.spans[1]: is out of order, too short or outside"),
    "a span twice": (
        lambda record: record[SPANS].insert(0, record[SPANS][0]),
        "proof.spans[1]: is out of order, too short or outside the output",
    ),
    "a span too short to count": (put(SPANS, 0, 0, value=24), "proof.spans[0]: is out of order, too short or outside"),
    "the scope of a single span": (put(1, value=1), "proof.scope: is of one span where all are asked for"),
    "an unknown scope": (put(1, value=3), "proof.scope: Invalid enum value 3"),
    "another version": (put(0, value=2), "proof.version: "),
    "a negative place": (put(SPANS, 0, 0, value=-1), "proof.spans: Expected `int` >= 0"),
    "a commitment cut short": (put(2, value=lambda data: data[:-1]), "commitment: malformed manifest"),
    "a commitment too large": (put(2, value=bytes(4_097)), "proof.commitment: Expected `bytes` of length <= 4096"),
    "text where bytes belong": (put(2, value="text"), "proof.commitment: Expected `bytes`, got `str`"),
    "a float": (put(SPANS, 0, 0, value=float("nan")), "proof.spans: Expected `int`, got `float`"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_forged_proof_is_refused_with_its_field(index: SpanIndex, case: str) -> None:
    change, reason = HOSTILE[case]
    forged = changed(prove_spans(index, OUTPUT), change)
    with pytest.raises(AttributionError) as caught:
        verify_spans(forged, OUTPUT, index.commitment.root)
    assert str(caught.value).startswith(reason)


def test_a_prover_who_hides_the_longer_match_cannot_finish_a_proof(
    index: SpanIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with honest blocks for every claim: the text has more of the span, and no absence says otherwise."""
    honest = index.all_spans(OUTPUT)
    stored = encode_output(index.commitment.parameters, OUTPUT)
    shorter = FoundSpan(2, 20, *index.find(stored[2 * 4 : 20 * 4]))
    monkeypatch.setattr(span_proof, "_check_complete", lambda *_: None)
    ranks = [tuple(row) for row in msgpack.unpackb(prove_spans(index, OUTPUT))[ABSENCES]]
    forged = span_proof._prove(index, stored, OUTPUT, 2, [shorter, *honest[1:]], ranks)
    assert verify_spans(forged, OUTPUT, index.commitment.root).spans[0].end == 20
    monkeypatch.undo()
    with pytest.raises(AttributionError, match=r"^proof\.absences: leave open whether output tokens "):
        verify_spans(forged, OUTPUT, index.commitment.root)


def test_surplus_blocks_are_refused(index: SpanIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = span_proof._open
    monkeypatch.setattr(span_proof, "_open", lambda index, what, numbers: honest(index, what, sorted({0, *numbers})))
    proof = prove_spans(index, OUTPUT)
    monkeypatch.undo()
    with pytest.raises(AttributionError, match=r"^proof\.[a-z]+: block 0 is not needed"):
        verify_spans(proof, OUTPUT, index.commitment.root)


def test_a_proof_that_is_cut_or_too_large_is_refused_before_it_is_parsed(
    index: SpanIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof, root = prove_spans(index, OUTPUT), index.commitment.root
    for size in range(0, len(proof), 97):
        with pytest.raises(AttributionError, match=r"^proof: "):
            verify_spans(proof[:size], OUTPUT, root)
    with pytest.raises(AttributionError, match=r"^proof: .*trailing characters"):
        verify_spans(proof + b"\0", OUTPUT, root)
    monkeypatch.setattr(span_proof, "MAX_PROOF_BYTES", len(proof) - 1)
    with pytest.raises(AttributionError, match=rf"^proof: has {len(proof)} bytes, more than {len(proof) - 1}"):
        verify_spans(proof, OUTPUT, root)
    with pytest.raises(AttributionError, match=r"^proof: would have .* prove single spans"):
        prove_spans(index, OUTPUT)


def test_a_proof_against_another_models_root_is_refused(index: SpanIndex, tmp_path: Path) -> None:
    with built(LARGE[:-1], tmp_path, SpanSettings(500)) as other:
        for proof, verify in (
            (prove_spans(index, OUTPUT), verify_spans),
            (prove_span(index, OUTPUT, index.find_spans(OUTPUT)[0]), verify_span),
        ):
            with pytest.raises(AttributionError, match=r"^proof\.commitment: has root .*: another index"):
                verify(proof, OUTPUT, other.commitment.root)


def test_one_span_must_be_maximal_and_count(index: SpanIndex, tmp_path: Path) -> None:
    span = index.find_spans(OUTPUT)[0]
    proof = prove_span(index, OUTPUT, span)
    assert verify_span(proof, OUTPUT, index.commitment.root) == span
    for number, side in ((0, "left"), (1, "right")):
        with pytest.raises(AttributionError, match=rf"^proof\.absences: do not show that the span ends on the {side}"):
            verify_span(changed(proof, drop(ABSENCES, number)), OUTPUT, index.commitment.root)
    with pytest.raises(AttributionError, match=r"^proof\.spans: has 0 spans, not one"):
        verify_span(changed(proof, drop(SPANS, 0)), OUTPUT, index.commitment.root)
    with (
        built(LARGE, tmp_path, SpanSettings(500, min_bits=1_000)) as strict,
        pytest.raises(AttributionError, match=r"^proof\.spans\[0\]: is too light or too common to be kept"),
    ):
        prove_span(strict, OUTPUT, span)


def test_proofs_verify_without_numpy(index: SpanIndex, tmp_path: Path) -> None:
    (tmp_path / "proof").write_bytes(prove_spans(index, OUTPUT))
    code = f"""
import sys
from pathlib import Path
sys.modules["numpy"] = None
from attribution.spans.proof import verify_spans
root = bytes.fromhex("{index.commitment.root.hex()}")
proven = verify_spans(Path("{tmp_path / "proof"}").read_bytes(), {OUTPUT}, root)
print([(span.start, span.end) for span in proven.spans])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[(2, 27), (29, 38)]\n", "", 0)
