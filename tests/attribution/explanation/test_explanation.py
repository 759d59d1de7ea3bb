"""An explanation verifies from the chain's facts, and everything that is forged in it is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from abci_app.integers.inheritance import Layer, ParentPart
from abci_app.integers.shares import ROW, PayoutPolicy, credits_of, payout_shares
from abci_app.types import PPB
from attribution.entry import GRADIENTS, SPANS, EntryCommitment
from attribution.errors import AttributionError
from attribution.explanation.document import decode, first_difference, from_base64
from attribution.explanation.evidence import best_rows
from attribution.explanation.explanation import explain, unchecked, verify_integers
from attribution.explanation.parts import ChainFacts, LayerFacts, LayerInputs, contributions_to_show, rows_to_show
from attribution.lga.codes import CODE_LIMIT, Codes
from attribution.lga.scores import exact_scores, row_scores
from openledger.data.manifest import to_json
from tests.kit.attribution.explained import BY_OWNER, FIRST, POLICY, SECOND, Story, changed, query_of, tell
from tests.kit.attribution.small_index import committed, key


def test_an_explanation_verifies_offline_and_with_the_whole_indexes(story: Story) -> None:
    assert verify_integers(story.document, story.facts) is None
    assert verify_integers(story.document, story.facts, story.evidence) is None
    assert decode(story.document.encode()) == story.document
    assert unchecked(story.document, story.evidence) == unchecked(story.document) == ()


def test_with_owners_as_the_unit_their_sums_are_enough(tmp_path: Path) -> None:
    story = tell(tmp_path, policy=BY_OWNER)
    assert verify_integers(story.document, story.facts) is None
    assert verify_integers(story.document, story.facts, story.evidence) is None
    assert unchecked(story.document, story.evidence) == ()
    top = story.document.layers[0].gradients
    assert top
    assert [line.credit for line in top.owners] == [str(max(0, int(line.score))) for line in top.owners]
    assert [name.split(" ")[0] for name in unchecked(story.document)] == [
        "layers[0].gradients.owners",
        "layers[0].gradients.contributions",
        "layers[0].gradients.rows",
        "layers[1].gradients.owners",
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
    of_rows = row_scores(index.codes, query.values).tolist()
    rows = {
        name: [score for key, score in zip(index.keys, of_rows, strict=True) if key[64:] == name]
        for name in index.owners
    }
    known = credits_of(rows, ROW)
    assert [(line.owner, line.credit) for line in top.gradients.owners] == [
        (name.hex(), str(sum(max(0, score) for score in rows[name]))) for name in index.owners
    ]
    paid = payout_shares(known, dict.fromkeys(index.owners, 3), POLICY)
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
    assert best == best_rows(index.evidence(with_codes=True).row_scores(query.values) or [], (), 2)


def test_without_embedded_evidence_the_indexes_are_needed(tmp_path: Path) -> None:
    story = tell(tmp_path, embed=False)
    assert verify_integers(story.document, story.facts, story.evidence) is None
    assert len(story.document.encode()) < len(tell(tmp_path).document.encode())
    with pytest.raises(AttributionError, match=r"layers\[0\].gradients.evidence: is not in the document"):
        verify_integers(story.document, story.facts)
    sums_alone = {FIRST: story.first.evidence(), SECOND: story.second.evidence()}
    with pytest.raises(
        AttributionError, match=r"layers\[0\].gradients.evidence: has no codes of rows, which this policy"
    ):
        verify_integers(story.document, story.facts, sums_alone)


def test_spans_alone_pay_where_there_is_no_gradient_index(story: Story) -> None:
    commitment = EntryCommitment({SPANS: story.inputs[SECOND].commitment.roots[SPANS]}, POLICY)
    layers = {SECOND: LayerFacts(Layer(SECOND, 9, (), True, None), commitment.method, commitment.root)}
    facts = replace(story.facts, layers=layers)
    inputs = {SECOND: LayerInputs(commitment, span_proof=story.inputs[SECOND].span_proof)}
    document = explain(facts, story.exchange, inputs)
    assert verify_integers(document, facts) is None
    assert [(line.owner, line.share_ppb) for line in document.by_owner] == [(key(10).hex(), PPB // 3)]
    assert document.unexplained_ppb == PPB - PPB // 3


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


@pytest.mark.parametrize("policy", [POLICY, BY_OWNER])
def test_large_indexes_with_clipped_owners_verify(story: Story, policy: PayoutPolicy) -> None:
    """Owners without a positive score, many of them, and codes at the limit."""
    rows = tuple(sorted((key(1_000 + number), key(number), key(500 + number % 40)) for number in range(120)))
    codes = np.full((120, 8), CODE_LIMIT, dtype=np.int16)
    codes[::3] *= -1
    index = committed(rows, codes)
    commitment = EntryCommitment({GRADIENTS: index.commitment.root}, policy)
    facts = ChainFacts(
        "c", FIRST, "m", 1, {FIRST: LayerFacts(Layer(FIRST, 1, (), True, None), commitment.method, commitment.root)}
    )
    query = Codes(np.full(8, CODE_LIMIT, dtype=np.int16), 0)
    document = explain(
        facts, story.exchange, {FIRST: LayerInputs(commitment, query, index.evidence(with_codes=True), embed=True)}
    )
    assert verify_integers(document, facts) is None
    assert verify_integers(document, facts, {FIRST: index.evidence(with_codes=True)}) is None
    assert sum(line.share_ppb for line in document.by_owner) + document.unexplained_ppb == PPB


def test_a_layer_that_gets_nothing_needs_no_index(story: Story) -> None:
    """The schedule lets the parent keep nothing: its index may be lost, and cannot be slipped in."""
    top = story.facts.layers[SECOND]
    layer = replace(top.layer, parents=(ParentPart(FIRST, PPB, 0),))
    facts = replace(story.facts, layers={**story.facts.layers, SECOND: replace(top, layer=layer)})
    document = explain(facts, story.exchange, {SECOND: story.inputs[SECOND]})
    assert verify_integers(document, facts) is None
    assert [part.own_ppb for part in document.layers] == [PPB, 0, 0]
    assert explain(facts, story.exchange, story.inputs) == document
    tree = json.loads(document.encode())
    tree["layers"][1] = json.loads(story.document.encode())["layers"][1] | {"own_ppb": 0}
    difference = verify_integers(decode(to_json(tree)), facts)
    assert difference is not None
    assert (difference.field, difference.expected) == ("layers[1].by_owner", "0 items")
