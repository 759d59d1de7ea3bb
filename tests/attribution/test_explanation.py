"""An explanation verifies from the chain's facts, and whatever is forged in it is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.types import PPB
from attribution.codes import CODE_LIMIT, Codes
from attribution.codes import decode as decode_codes
from attribution.document import Explanation, decode, first_difference, from_base64, to_base64
from attribution.entry import GRADIENTS, SPANS, EntryCommitment
from attribution.errors import AttributionError
from attribution.evidence import IndexEvidence, best_rows
from attribution.explanation import explain, unchecked, verify_integers
from attribution.explanation_parts import (
    ChainFacts,
    Exchange,
    LayerFacts,
    LayerInputs,
    contributions_to_show,
    rows_to_show,
)
from attribution.inheritance import Layer, ParentPart
from attribution.scores import exact_scores
from attribution.shares import PayoutPolicy, payout_shares
from attribution.span_build import SpanDocument, build_span_index
from attribution.span_commitment import SpanSettings
from attribution.span_proof import prove_spans
from openledger.manifest import to_json
from tests.attribution.small_index import SmallIndex, committed, key, small_index

BASE, FIRST, SECOND = key(1), key(2), key(3)
POLICY = PayoutPolicy(PPB // 2, PPB // 4, PPB // 3, PPB // 100, key(99))
OUTPUT = (5, 6, 7, 8, 9, 10, 11, 12, 40, 41)


@dataclass(frozen=True)
class Story:
    """A fine-tune on a fine-tune on an imported base: facts, inputs, and the document that follows."""

    first: SmallIndex
    second: SmallIndex
    facts: ChainFacts
    exchange: Exchange
    inputs: dict[bytes, LayerInputs]
    document: Explanation

    @property
    def evidence(self) -> dict[bytes, IndexEvidence]:
        return {FIRST: self.first.evidence(with_codes=True), SECOND: self.second.evidence(with_codes=True)}


def query_of(index: SmallIndex) -> Codes:
    """Codes near two rows of different owners."""
    noise = np.random.default_rng(4).integers(-3_000, 3_000, size=index.codes.shape[1])
    near = index.codes[2] // 2 + index.codes[7] // 3 + noise
    return Codes(np.clip(near, -CODE_LIMIT, CODE_LIMIT).astype(np.int16), 12)


def inputs_of(index: SmallIndex, commitment: EntryCommitment, *, embed: bool, **more: Any) -> LayerInputs:
    query = query_of(index)
    evidence = index.evidence(with_codes=True)
    lines = contributions_to_show(evidence, query, 3)
    proofs = [index.prove(number) for number in rows_to_show(evidence, query, 2)]
    return LayerInputs(commitment, query, index.evidence(), proofs, lines, embed, **more)


def tell(folder: Path, *, embed: bool = True) -> Story:
    documents = [
        SpanDocument(key(10), key(1_000), key(2_000), tuple(range(20, 30)) + OUTPUT[:8]),
        SpanDocument(key(11), key(1_100), key(2_100), tuple(range(60, 80))),
    ]
    settings = SpanSettings(100, min_tokens=4, min_bits=1, density_ppb=PPB // 2)
    with build_span_index(documents, folder, settings) as spans:
        first, second = small_index(seed=1), small_index(owners=5, width=24, seed=2)
        below = EntryCommitment({GRADIENTS: first.commitment.root}, POLICY)
        above = EntryCommitment({GRADIENTS: second.commitment.root, SPANS: spans.commitment.root}, POLICY)
        layers = {
            BASE: LayerFacts(Layer(BASE, 4, (), False, None), 0, b""),
            FIRST: LayerFacts(
                Layer(FIRST, 5, (ParentPart(BASE, PPB, 100_000_000),), True, None), below.method, below.root
            ),
            SECOND: LayerFacts(
                Layer(SECOND, 9, (ParentPart(FIRST, PPB, 200_000_000),), True, None), above.method, above.root
            ),
        }
        facts = ChainFacts("test-chain", SECOND, "poet", 2, layers)
        exchange = Exchange("Who? \u2013 «ä»", (1, 2), "They did.", OUTPUT)
        inputs = {
            FIRST: inputs_of(first, below, embed=embed),
            SECOND: inputs_of(second, above, embed=embed, span_proof=prove_spans(spans, OUTPUT)),
        }
    return Story(first, second, facts, exchange, inputs, explain(facts, exchange, inputs))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp("spans"))


def changed(document: Explanation, *path: Any, to: Any) -> Explanation:
    """The document with the value at a path replaced (a function is applied), read back from its bytes."""
    tree = json.loads(document.encode())
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to(place[path[-1]]) if callable(to) else to
    return decode(to_json(tree))


# --- What is true


def test_an_explanation_verifies_offline_and_with_the_whole_indexes(story: Story) -> None:
    assert verify_integers(story.document, story.facts) is None
    assert verify_integers(story.document, story.facts, story.evidence) is None
    assert decode(story.document.encode()) == story.document
    assert unchecked(story.document, story.evidence) == ()
    assert [name.split(" ")[0] for name in unchecked(story.document)] == [
        "layers[0].gradients.contributions",
        "layers[0].gradients.rows",
        "layers[1].gradients.contributions",
        "layers[1].gradients.rows",
    ]


def test_its_integers_are_those_of_the_parts(story: Story) -> None:
    top, below, base = story.document.layers
    index, query = story.second, query_of(story.second)
    scores = exact_scores(index.sums, query.values)
    assert top.gradients
    assert top.spans
    assert [line.score for line in top.gradients.owners] == [str(score) for score in scores]
    paid = payout_shares(dict(zip(index.owners, scores, strict=True)), dict.fromkeys(index.owners, 3), POLICY)
    assert [(line.owner, line.share_ppb) for line in top.by_owner] == [
        (name.hex(), part) for name, part in paid.by_owner
    ]
    assert [top.own_ppb, below.own_ppb, base.own_ppb] == [800_000_000, 180_000_000, 20_000_000]
    assert (base.gradients, base.commitment, base.unexplained_ppb) == (msgspec.UNSET, msgspec.UNSET, PPB)
    assert [(line.owner, line.share_ppb) for line in top.spans.by_owner] == [(key(10).hex(), PPB)]
    assert (top.spans.covered_tokens, top.spans.output_tokens) == (8, 10)
    assert from_base64(top.gradients.query_codes, "") == query.encode()
    whole = story.document
    assert sum(line.share_ppb for line in whole.by_owner) + whole.unexplained_ppb == PPB
    assert whole.unexplained_ppb >= base.own_ppb
    best = [line.number for line in top.gradients.rows]
    assert best == best_rows(index.evidence(with_codes=True).row_scores(query.values) or [], 2)


def test_without_embedded_evidence_the_indexes_are_needed(tmp_path: Path) -> None:
    story = tell(tmp_path, embed=False)
    assert verify_integers(story.document, story.facts, story.evidence) is None
    assert len(story.document.encode()) < len(tell(tmp_path).document.encode())
    with pytest.raises(AttributionError, match=r"layers\[0\].gradients.evidence: is not in the document"):
        verify_integers(story.document, story.facts)


def test_spans_alone_pay_where_there_is_no_gradient_index(story: Story) -> None:
    commitment = EntryCommitment({SPANS: story.inputs[SECOND].commitment.roots[SPANS]}, POLICY)
    layers = {SECOND: LayerFacts(Layer(SECOND, 9, (), True, None), commitment.method, commitment.root)}
    facts = replace(story.facts, layers=layers)
    inputs = {SECOND: LayerInputs(commitment, span_proof=story.inputs[SECOND].span_proof)}
    document = explain(facts, story.exchange, inputs)
    assert verify_integers(document, facts) is None
    assert [(line.owner, line.share_ppb) for line in document.by_owner] == [(key(10).hex(), PPB // 3)]
    assert document.unexplained_ppb == PPB - PPB // 3


# --- What is forged


def flip(text: str) -> str:
    """Base64 of codes with one code changed by one."""
    data = bytearray(from_base64(text, ""))
    data[-2] ^= 1
    return to_base64(bytes(data))


def redigested(document: Explanation) -> Explanation:
    """A changed code with its digest computed anew."""
    document = changed(document, "layers", 0, "gradients", "query_codes", to=flip)
    gradients = document.layers[0].gradients
    assert gradients
    digest = decode_codes(from_base64(gradients.query_codes, "")).digest.hex()
    return changed(document, "layers", 0, "gradients", "query_digest", to=digest)


def shift(first: tuple[Any, ...], second: tuple[Any, ...], parts: int = 1) -> Callable[[Explanation], Explanation]:
    """Parts moved from one place to another, so that the sum stays."""
    return lambda document: changed(
        changed(document, *first, to=lambda value: value - parts), *second, to=lambda value: value + parts
    )


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """An object less one of its fields."""
    return lambda value: {key: item for key, item in value.items() if key != name}


OWNERS = ("layers", 0, "gradients", "owners")
FORGERIES: dict[str, tuple[Callable[[Explanation], Explanation], str]] = {
    "a share moved to another owner": (
        shift(("by_owner", 0, "share_ppb"), ("by_owner", 1, "share_ppb")),
        "by_owner[0].share_ppb",
    ),
    "a share moved to the pool": (shift(("by_owner", 0, "share_ppb"), ("unexplained_ppb",)), "by_owner[0].share_ppb"),
    "a share of a layer moved": (
        shift(("layers", 0, "by_owner", 2, "share_ppb"), ("layers", 0, "by_owner", 0, "share_ppb")),
        "layers[0].by_owner[0].share_ppb",
    ),
    "an ancestor's share moved": (
        shift(("layers", 1, "by_owner", 2, "share_ppb"), ("layers", 1, "by_owner", 0, "share_ppb")),
        "layers[1].by_owner[0].share_ppb",
    ),
    "a part moved between layers": (
        shift(("layers", 1, "own_ppb"), ("layers", 0, "own_ppb")),
        "layers[0].own_ppb",
    ),
    "a gradient share lowered": (
        lambda document: changed(document, *OWNERS, 0, "share_ppb", to=lambda part: part - 1),
        "layers[0].gradients.owners[0].share_ppb",
    ),
    "a code of the query changed": (
        lambda document: changed(document, "layers", 0, "gradients", "query_codes", to=flip),
        "layers[0].gradients.query_digest",
    ),
    "a code changed and its digest computed anew": (redigested, "layers[0].gradients.owners[0].score"),
    "a score raised": (
        lambda document: changed(document, *OWNERS, 1, "score", to=lambda score: str(int(score) + 1)),
        "layers[0].gradients.owners[1].score",
    ),
    "an owner left out": (
        lambda document: changed(document, *OWNERS, to=lambda lines: lines[:-1]),
        "layers[0].gradients.owners",
    ),
    "an owner's rows counted twice": (
        lambda document: changed(document, *OWNERS, 1, "rows", to=6),
        "layers[0].gradients.owners[1].rows",
    ),
    "a kinder policy": (
        lambda document: changed(document, "layers", 0, "policy", "cap_ppb", to=PPB),
        "layers[0].policy.cap_ppb",
    ),
    "a better schedule for the parent": (
        lambda document: changed(document, "layers", 0, "parents", 0, "kept_ppb", to=PPB),
        "layers[0].parents[0].kept_ppb",
    ),
    "other parameters of the index": (
        lambda document: changed(document, "layers", 0, "gradients", "parameters", "exponent", to=8),
        "layers[0].gradients.parameters.exponent",
    ),
    "a row's score raised": (
        lambda document: changed(document, "layers", 0, "gradients", "rows", 0, "score", to="77"),
        "layers[0].gradients.rows[0].score",
    ),
    "a row given to another owner": (
        lambda document: changed(document, "layers", 0, "gradients", "rows", 1, "owner", to=key(10).hex()),
        "layers[0].gradients.rows[1].owner",
    ),
    "a span lengthened": (
        lambda document: changed(document, "layers", 0, "spans", "spans", 0, "end", to=9),
        "layers[0].spans.spans[0].end",
    ),
    "a span hidden": (
        lambda document: changed(document, "layers", 0, "spans", "spans", to=[]),
        "layers[0].spans.spans",
    ),
    "another output than the spans' proof": (
        lambda document: changed(document, "output", "token_ids", 3, to=3),
        "layers[0].spans.proof.spans[0]",
    ),
    "a layer left out": (lambda document: changed(document, "layers", to=lambda layers: layers[:2]), "layers"),
    "the spans left out": (lambda document: changed(document, "layers", 0, to=without("spans")), "layers[0].spans"),
    "the commitment left out": (
        lambda document: changed(document, "layers", 1, to=without("commitment")),
        "layers[1].commitment",
    ),
    "another chain": (lambda document: changed(document, "chain_id", to="other"), "chain_id"),
    "another entry": (lambda document: changed(document, "entry_id", to=FIRST.hex()), "entry_id"),
    "another model": (lambda document: changed(document, "model", to="painter"), "model"),
    "another version": (lambda document: changed(document, "model_version", to=3), "model_version"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_field_is_named(story: Story, name: str) -> None:
    forge, field = FORGERIES[name]
    difference = verify_integers(forge(story.document), story.facts)
    assert difference is not None
    assert difference.field == field
    assert difference.expected != difference.found
    with_codes = verify_integers(forge(story.document), story.facts, story.evidence)
    assert with_codes is not None
    assert with_codes.field == field


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all texts and numbers."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from places(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))
    else:
        yield path


@given(st.data())
def test_no_single_value_can_be_changed_unnoticed(story: Story, data: st.DataObject) -> None:
    """But for the texts and the prompt's tokens, which only a model and its tokenizer can check."""
    tree = json.loads(story.document.encode())
    free = {("prompt", "text"), ("output", "text")}
    paths = [path for path in places(tree) if path not in free and path[:2] != ("prompt", "token_ids")]
    path = data.draw(st.sampled_from(paths))
    place = tree
    for step in path[:-1]:
        place = place[step]
    value = place[path[-1]]
    if isinstance(value, int):
        place[path[-1]] = data.draw(st.integers(-2, PPB + 2).filter(lambda other: other != value))
    else:
        at = data.draw(st.integers(0, len(value) - 1))
        new = data.draw(st.sampled_from("0123456789abcdefXYZ+/=").filter(lambda other: other != value[at]))
        place[path[-1]] = value[:at] + new + value[at + 1 :]
    try:
        difference = verify_integers(decode(to_json(tree)), story.facts, story.evidence)
    except AttributionError as error:
        difference = error  # type: ignore[assignment]
    assert difference is not None
    assert difference.field


def test_another_models_index_is_refused_by_its_root(story: Story) -> None:
    other = small_index(owners=5, width=24, seed=3)
    facts, inputs = story.facts, story.inputs[SECOND]
    spans = inputs.commitment.roots[SPANS]
    foreign = EntryCommitment({GRADIENTS: other.commitment.root, SPANS: spans}, POLICY)
    # The whole document made for the other index.
    layers = {**facts.layers, SECOND: replace(facts.layers[SECOND], commitment_root=foreign.root)}
    made = {**story.inputs, SECOND: inputs_of(other, foreign, embed=True, span_proof=inputs.span_proof)}
    document = explain(replace(facts, layers=layers), story.exchange, made)
    assert verify_integers(document, replace(facts, layers=layers)) is None
    difference = verify_integers(document, facts)
    assert difference is not None
    assert (difference.field, difference.found) == ("layers[0].commitment", foreign.root.hex())
    assert difference.expected == f"one with root {inputs.commitment.root.hex()}"
    # Only its parts, under the right commitment.
    tree, theirs = json.loads(story.document.encode()), json.loads(document.encode())
    tree["layers"][0]["gradients"] = theirs["layers"][0]["gradients"]
    difference = verify_integers(decode(to_json(tree)), facts)
    assert difference is not None
    assert difference.field == "layers[0].gradients.commitment_root"
    tree["layers"][0]["gradients"]["commitment_root"] = story.second.commitment.root.hex()
    difference = verify_integers(decode(to_json(tree)), facts)
    assert difference is not None
    assert difference.field == "layers[0].gradients.evidence.commitment"
    # A row of the other index among the right ones.
    proof = theirs["layers"][0]["gradients"]["rows"][0]["proof"]
    forged = changed(story.document, "layers", 0, "gradients", "rows", 0, "proof", to=proof)
    difference = verify_integers(forged, facts)
    assert difference is not None
    assert difference.field == "layers[0].gradients.rows[0].proof"
    assert "the proof is for another index" in difference.found
    # Evidence of the other index, given by the reader.
    with pytest.raises(AttributionError, match=r"layers\[0\].gradients: the evidence has root .* another index's"):
        verify_integers(story.document, facts, {SECOND: other.evidence()})


def test_codes_of_another_width_are_another_models(story: Story) -> None:
    codes = Codes(np.ones(8, dtype=np.int16), 0)
    document = changed(story.document, "layers", 0, "gradients", "query_codes", to=to_base64(codes.encode()))
    difference = verify_integers(document, story.facts)
    assert str(difference) == ("layers[0].gradients.query_codes: the document says 8 codes, it must be 24 codes")


def test_the_choice_of_rows_and_contributions_is_checked_where_all_codes_are_at_hand(story: Story) -> None:
    inputs = story.inputs[SECOND]
    scores = story.second.evidence(with_codes=True).row_scores(query_of(story.second).values)
    worst = scores.index(min(scores)) if scores else 0
    rows = [story.second.prove(worst), *inputs.rows[1:]]
    document = explain(story.facts, story.exchange, {**story.inputs, SECOND: replace(inputs, rows=rows)})
    assert verify_integers(document, story.facts) is None
    difference = verify_integers(document, story.facts, story.evidence)
    assert difference is not None
    assert (difference.field, difference.expected) == (
        "layers[0].gradients.rows",
        f"the rows {[proof.index for proof in inputs.rows]} of the index",
    )
    forged = changed(story.document, "layers", 0, "gradients", "contributions", 0, "score", to="1")
    assert verify_integers(forged, story.facts) is None
    difference = verify_integers(forged, story.facts, story.evidence)
    assert difference is not None
    assert difference.field == "layers[0].gradients.contributions[0].score"


def test_a_row_shown_twice_is_named(story: Story) -> None:
    document = changed(story.document, "layers", 0, "gradients", "rows", to=lambda rows: [rows[0], rows[0]])
    difference = verify_integers(document, story.facts)
    assert difference is not None
    assert (difference.field, difference.found) == ("layers[0].gradients.rows", "a row twice")


# --- What cannot be made


def test_best_rows_are_chosen_only_where_all_codes_are_at_hand(story: Story) -> None:
    for choose in (contributions_to_show, rows_to_show):
        with pytest.raises(AttributionError, match="evidence: has no codes of rows"):
            choose(story.second.evidence(), query_of(story.second), 3)


def test_inputs_that_contradict_the_chain_make_no_document(story: Story) -> None:
    first, second = story.inputs[FIRST], story.inputs[SECOND]
    cases: list[tuple[dict[bytes, LayerInputs], str, str]] = [
        ({FIRST: first}, "layers[0]", "has an index: it is needed"),
        ({FIRST: first, SECOND: first}, "commitment", "is not the one that entry"),
        ({FIRST: first, SECOND: second, key(8): first}, "commitment", "is not the one that entry"),
        ({FIRST: first, SECOND: replace(second, query=None)}, "layers[0].gradients", "are needed"),
        ({FIRST: first, SECOND: replace(second, span_proof=None)}, "layers[0].spans", "give the span index"),
        ({FIRST: first, SECOND: replace(second, span_proof=b"")}, "layers[0].spans.proof", "malformed|proof"),
        ({FIRST: first, SECOND: replace(second, evidence=first.evidence)}, "layers[0].gradients", "another index's"),
        (
            {FIRST: first, SECOND: replace(second, rows=first.rows)},
            "layers[0].gradients.rows[0].proof",
            "another index",
        ),
        ({FIRST: first, SECOND: replace(second, rows=[*second.rows] * 33)}, "layers[0].gradients.rows", "more than 64"),
    ]
    for inputs, field, reason in cases:
        with pytest.raises(AttributionError, match=reason) as caught:
            explain(story.facts, story.exchange, inputs)
        assert caught.value.field == field


def test_a_text_that_json_cannot_carry_makes_no_document(story: Story) -> None:
    with pytest.raises(AttributionError, match="ask for the explanation again"):
        explain(story.facts, replace(story.exchange, prompt="\udc80"), story.inputs)


def test_documents_are_compared_in_the_order_of_their_fields(story: Story) -> None:
    document = story.document
    other = changed(changed(document, "unexplained_ppb", to=0), "prompt", "text", to="else")
    difference = first_difference(document, other)
    assert difference is not None
    assert (difference.field, difference.found) == ("prompt.text", "else")
    assert first_difference(document, document) is None


def test_large_indexes_with_clipped_owners_verify(story: Story) -> None:
    """Owners without a positive score, many of them, and codes at the limit."""
    rows = tuple(sorted((key(1_000 + number), key(number), key(500 + number % 40)) for number in range(120)))
    codes = np.full((120, 8), CODE_LIMIT, dtype=np.int16)
    codes[::3] *= -1
    index = committed(rows, codes)
    commitment = EntryCommitment({GRADIENTS: index.commitment.root}, POLICY)
    facts = ChainFacts(
        "c", FIRST, "m", 1, {FIRST: LayerFacts(Layer(FIRST, 1, (), True, None), commitment.method, commitment.root)}
    )
    query = Codes(np.full(8, CODE_LIMIT, dtype=np.int16), 0)
    document = explain(facts, story.exchange, {FIRST: LayerInputs(commitment, query, index.evidence(), embed=True)})
    assert verify_integers(document, facts) is None
    assert verify_integers(document, facts, {FIRST: index.evidence(with_codes=True)}) is None
    assert sum(line.share_ppb for line in document.by_owner) + document.unexplained_ppb == PPB
