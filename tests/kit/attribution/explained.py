"""A fine-tune on a fine-tune on an imported base, explained."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from abci_app.integers.inheritance import Layer, ParentPart
from abci_app.integers.shares import OWNER, ROW, PayoutPolicy
from abci_app.types import PPB
from attribution.entry import GRADIENTS, SPANS, EntryCommitment
from attribution.explanation.document import Explanation, decode
from attribution.explanation.evidence import IndexEvidence
from attribution.explanation.explanation import explain
from attribution.explanation.parts import (
    ChainFacts,
    Exchange,
    LayerFacts,
    LayerInputs,
    contributions_to_show,
    rows_to_show,
)
from attribution.lga.codes import CODE_LIMIT, Codes
from attribution.spans.build import SpanDocument, build_span_index
from attribution.spans.commitment import SpanSettings
from attribution.spans.proof import prove_spans
from openledger.data.manifest import to_json
from tests.kit.attribution.small_index import SmallIndex, key, small_index

BASE, FIRST, SECOND = key(1), key(2), key(3)
POLICY = PayoutPolicy(PPB // 2, PPB // 4, PPB // 3, PPB // 100, key(99))
BY_OWNER = replace(POLICY, score_unit=OWNER)
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
    if commitment.policy.score_unit != ROW:
        evidence = index.evidence()
    return LayerInputs(commitment, query, evidence, proofs, lines, embed, **more)


def tell(folder: Path, *, embed: bool = True, policy: PayoutPolicy = POLICY) -> Story:
    documents = [
        SpanDocument(key(10), key(1_000), key(2_000), tuple(range(20, 30)) + OUTPUT[:8]),
        SpanDocument(key(11), key(1_100), key(2_100), tuple(range(60, 80))),
    ]
    settings = SpanSettings(100, min_tokens=4, min_bits=1, density_ppb=PPB // 2)
    with build_span_index(documents, folder, settings) as spans:
        first, second = small_index(seed=1), small_index(owners=5, width=24, seed=2)
        below = EntryCommitment({GRADIENTS: first.commitment.root}, policy)
        above = EntryCommitment({GRADIENTS: second.commitment.root, SPANS: spans.commitment.root}, policy)
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


def changed(document: Explanation, *path: Any, to: Any) -> Explanation:
    """The document with the value at a path replaced (a function is applied), read back from its bytes."""
    tree = json.loads(document.encode())
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to(place[path[-1]]) if callable(to) else to
    return decode(to_json(tree))
