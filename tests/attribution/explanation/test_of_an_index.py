"""From training examples through gradients, a built index and query codes to an explanation that verifies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abci_app.integers.inheritance import Layer
from abci_app.integers.shares import PayoutPolicy
from abci_app.types import PPB
from attribution.entry import GRADIENTS, EntryCommitment
from attribution.errors import AttributionError
from attribution.explanation.document import to_base64
from attribution.explanation.evidence import IndexEvidence
from attribution.explanation.explanation import explain, unchecked, verify_integers
from attribution.explanation.parts import (
    ChainFacts,
    Exchange,
    LayerFacts,
    LayerInputs,
    contributions_to_show,
    rows_to_show,
)
from attribution.lga.codes import Codes
from attribution.lga.index.reader import GradientIndex
from attribution.lga.query import query_codes, query_tokens
from tests.kit.attribution.building import build, model_of
from tests.kit.attribution.explained import changed
from tests.kit.attribution.small_index import key

pytestmark = [pytest.mark.ml, pytest.mark.usefixtures("one_thread")]

ENTRY = key(5)
EXCHANGE = Exchange("p", (1, 2), "o", (3, 4, 5))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> GradientIndex:
    return build(tmp_path_factory.mktemp("index"))


def codes_of(index: GradientIndex) -> Codes:
    tokens = query_tokens(EXCHANGE.prompt_ids, EXCHANGE.output_ids)
    models = (model_of(path) for path in sorted(index.folder.parent.glob("weights-*.safetensors")))
    return query_codes(models, index.feature_map, tokens)


def facts_of(commitment: EntryCommitment) -> ChainFacts:
    layer = LayerFacts(Layer(ENTRY, 1, (), True, None), commitment.method, commitment.root)
    return ChainFacts("chain", ENTRY, "model", 1, {ENTRY: layer})


def test_an_index_explains_an_output_and_the_explanation_verifies_from_its_root(index: GradientIndex) -> None:
    commitment = EntryCommitment({GRADIENTS: index.root}, PayoutPolicy(PPB, 0, PPB, 0, key(9)))
    evidence, query = IndexEvidence.of_index(index, with_codes=True), codes_of(index)
    rows = [index.prove_leaf(number) for number in rows_to_show(evidence, query, 3)]
    inputs = LayerInputs(commitment, query, evidence, rows, contributions_to_show(evidence, query, 3), embed=True)
    facts = facts_of(commitment)
    document = explain(facts, EXCHANGE, {ENTRY: inputs})
    assert verify_integers(document, facts) is None
    assert verify_integers(document, facts, {ENTRY: evidence}) is None
    assert (unchecked(document), unchecked(document, {ENTRY: evidence})) == ((), ())
    gradients = document.layers[0].gradients
    assert gradients
    by_owner = {line.owner: int(line.score) for line in gradients.owners}
    exact = {owner.hex(): 0 for owner in index.owners}
    for leaf, row in zip(index.leaves, index.codes.astype(object), strict=True):
        exact[leaf.owner.hex()] += int((row * query.values.astype(object)).sum())
    assert by_owner == exact
    assert sum(line.share_ppb for line in document.by_owner) + document.unexplained_ppb == PPB
    # One code moved, digest and all: the scores no longer follow.
    values = query.values.copy()
    values[int(np.argmax(np.abs(index.owner_sums[0])))] ^= 1
    moved = Codes(values, query.exponent)
    forged = changed(document, "layers", 0, "gradients", "query_codes", to=to_base64(moved.encode()))
    forged = changed(forged, "layers", 0, "gradients", "query_digest", to=moved.digest.hex())
    difference = verify_integers(forged, facts)
    assert difference is not None
    assert difference.field == "layers[0].gradients.owners[0].score"


def test_an_index_with_a_changed_code_is_no_evidence(index: GradientIndex, tmp_path: Path) -> None:
    other = build(tmp_path)
    assert other.root == index.root
    path = other.folder / "codes.bin"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))
    opened = GradientIndex.open(other.folder, index.root)
    assert IndexEvidence.of_index(opened).codes is None
    with pytest.raises(AttributionError, match="codes of leaf 0 are not the committed ones"):
        IndexEvidence.of_index(opened, with_codes=True)


def test_an_index_of_other_rows_has_another_root(index: GradientIndex, tmp_path: Path) -> None:
    other = build(tmp_path, count=17)
    commitment = EntryCommitment({GRADIENTS: index.root}, PayoutPolicy(PPB, 0, PPB, 0, key(9)))
    inputs = LayerInputs(commitment, codes_of(other), IndexEvidence.of_index(other, with_codes=True))
    with pytest.raises(AttributionError, match="it is another index's"):
        explain(facts_of(commitment), EXCHANGE, {ENTRY: inputs})
    right = replace(inputs, evidence=IndexEvidence.of_index(index, with_codes=True))
    assert (
        verify_integers(
            explain(facts_of(commitment), EXCHANGE, {ENTRY: right}),
            facts_of(commitment),
            {ENTRY: IndexEvidence.of_index(index, with_codes=True)},
        )
        is None
    )
