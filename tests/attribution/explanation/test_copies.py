"""Rows that are copies by their codes are leaves of the index, and have no credit in any explanation."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.integers.inheritance import Layer
from abci_app.integers.shares import PayoutPolicy
from abci_app.types import PPB
from attribution.entry import GRADIENTS, EntryCommitment
from attribution.errors import AttributionError
from attribution.explanation.document import Explanation, decode
from attribution.explanation.explanation import explain, verify_integers
from attribution.explanation.parts import (
    ChainFacts,
    Exchange,
    LayerFacts,
    LayerInputs,
    contributions_to_show,
    rows_to_show,
)
from attribution.lga.code_clusters import search_copies
from attribution.lga.code_copies import DEFAULT_COSINE_PPB
from attribution.lga.codes import Codes, Int16Array
from openledger.data.manifest import to_json
from tests.kit.attribution.small_index import SmallIndex, committed, key

ENTRY = key(5)
HALF_FLAT = PayoutPolicy(PPB // 2, PPB // 2, PPB, 0, key(99))
ADA, BOB, EVE = key(11), key(12), key(13)
WIDTH, EACH = 200, 4


def honest_codes(seed: int) -> Int16Array:
    return np.random.default_rng(seed).integers(-9_000, 9_000, size=(2 * EACH, WIDTH)).astype(np.int16)


def honest(seed: int) -> SmallIndex:
    """Ada's and Bob's rows."""
    rows = tuple((key(at // EACH), key(1_000 + at), (ADA, BOB)[at // EACH]) for at in range(2 * EACH))
    return committed(rows, honest_codes(seed))


def with_eve(seed: int, noise: int = 3_000) -> SmallIndex:
    """Add Eve's contribution, registered later, to the honest index: all of Ada's rows and one of Bob's, reworded."""
    index = honest(seed)
    generator = np.random.default_rng(seed + 1)
    reworded = index.codes[: EACH + 1] + generator.integers(-noise, noise + 1, size=(EACH + 1, WIDTH))
    rows = (*index.rows, *((key(2), key(2_000 + at), EVE) for at in range(EACH + 1)))
    return committed(rows, np.concatenate([index.codes, reworded.astype(np.int16)]))


def query_near(index: SmallIndex, row: int, seed: int) -> Codes:
    noise = np.random.default_rng(seed).integers(-6_000, 6_000, size=WIDTH)
    return Codes((index.codes[row] // 2 + noise).astype(np.int16), 9)


def facts_of(commitment: EntryCommitment) -> ChainFacts:
    layer = LayerFacts(Layer(ENTRY, 1, (), True, None), commitment.method, commitment.root)
    return ChainFacts("chain", ENTRY, "model", 1, {ENTRY: layer})


def inputs_of(index: SmallIndex, query: Codes) -> LayerInputs:
    evidence = index.evidence(with_codes=True)
    commitment = EntryCommitment({GRADIENTS: index.commitment.root}, HALF_FLAT)
    shown = [index.prove(number) for number in rows_to_show(evidence, query, 3)]
    return LayerInputs(commitment, query, evidence, shown, contributions_to_show(evidence, query, 9), embed=True)


def explained(inputs: LayerInputs) -> Explanation:
    return explain(facts_of(inputs.commitment), Exchange("p", (1, 2), "o", (3, 4)), {ENTRY: inputs})


@given(st.integers(0, 2**31), st.integers(0, 2 * EACH - 1))
def test_who_copies_gets_nothing_and_takes_nothing_from_anybody(seed: int, row: int) -> None:
    index = with_eve(seed)
    assert index.commitment.copies.found == tuple((2 * EACH + at, at) for at in range(EACH + 1))
    query = query_near(index, row, seed)
    without, with_copies = explained(inputs_of(honest(seed), query)), explained(inputs_of(index, query))
    assert [line for line in with_copies.by_owner if line.owner != EVE.hex()] == list(without.by_owner)
    assert {line.owner: line.share_ppb for line in with_copies.by_owner}[EVE.hex()] == 0
    gradients = with_copies.layers[0].gradients
    assert gradients
    ada, bob, eve = gradients.owners
    assert (eve.score, eve.rows, eve.copies, eve.share_ppb) == ("0", 0, EACH + 1, 0)
    assert (ada.rows, ada.copies, bob.rows, bob.copies) == (EACH, 0, EACH, 0)
    assert EVE.hex() not in {line.owner for line in gradients.rows} | {line.owner for line in gradients.contributions}
    facts = facts_of(inputs_of(index, query).commitment)
    assert verify_integers(decode(with_copies.encode()), facts) is None
    assert verify_integers(with_copies, facts, {ENTRY: index.evidence(with_codes=True)}) is None


@given(st.integers(0, 2**31), st.randoms(use_true_random=False))
def test_sums_are_those_of_the_credited_rows_whoever_owns_the_copies(seed: int, shuffle: Any) -> None:
    index = with_eve(seed)
    owners = [shuffle.choice((ADA, BOB, EVE)) for _ in index.rows]
    rows = tuple((contribution, leaf, owner) for (contribution, leaf, _), owner in zip(index.rows, owners, strict=True))
    order = list(range(len(rows)))
    shuffle.shuffle(order)
    copies = search_copies(index.codes, order, DEFAULT_COSINE_PPB)
    evidence = committed(rows, index.codes, copies).evidence()
    assert len(copies.found) == EACH + 1
    assert sum(evidence.rows_of_owner.values()) + sum(evidence.copies_of_owner.values()) == len(rows)
    for owner, sums in zip(evidence.owners, evidence.owner_sums, strict=True):
        credited = [at for at, name in enumerate(owners) if name == owner and at not in copies.leader_of]
        assert sums.tolist() == index.codes[credited].astype(np.int64).sum(axis=0).tolist()
        assert evidence.rows_of_owner[owner] == len(credited)


def test_a_copy_is_not_shown_among_the_best_rows() -> None:
    index = with_eve(1)
    query = query_near(index, 0, 2)
    copy = 2 * EACH
    with pytest.raises(AttributionError, match=rf"row {copy}, a copy of 0, it must be a credited row") as refused:
        explained(replace(inputs_of(index, query), rows=[index.prove(1), index.prove(copy)]))
    assert refused.value.field == "layers[0].gradients.rows[1]"


@pytest.mark.parametrize(("field", "value"), [("rows", 5), ("copies", 0), ("score", "9")])
def test_credit_for_copies_in_a_document_is_refused_with_the_field(field: str, value: Any) -> None:
    index = with_eve(1)
    inputs = inputs_of(index, query_near(index, 0, 2))
    tree = json.loads(explained(inputs).encode())
    tree["layers"][0]["gradients"]["owners"][2][field] = value
    difference = verify_integers(decode(to_json(tree)), facts_of(inputs.commitment))
    assert difference is not None
    assert difference.field == f"layers[0].gradients.owners[2].{field}"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "leaf 8 is credited; by the codes it is a copy of leaf 0"),
        (
            [(5, 1), (8, 0), (9, 1), (10, 2), (11, 3), (12, 4)],
            "leaf 5 is a copy of leaf 1; by the codes it is credited",
        ),
    ],
)
def test_a_made_up_list_is_refused_by_whoever_reads_the_codes_in_the_document(
    found: list[tuple[int, int]], words: str
) -> None:
    """The trainer committed to it, sums and shares follow from it; the codes say otherwise."""
    honest = with_eve(1)
    made_up = committed(honest.rows, honest.codes, replace(honest.commitment.copies, found=tuple(found)))
    inputs = inputs_of(made_up, query_near(made_up, 0, 2))
    with pytest.raises(AttributionError, match=words) as refused:
        verify_integers(explained(inputs), facts_of(inputs.commitment))
    assert refused.value.field == "layers[0].gradients.evidence.commitment.copies.found"


def test_another_list_of_copies_has_another_root() -> None:
    index = with_eve(1)
    none = replace(index.commitment.copies, found=())
    other = committed(index.rows, index.codes, none)
    assert index.commitment.root != other.commitment.root
    inputs = inputs_of(index, query_near(index, 0, 2))
    with pytest.raises(AttributionError, match="it is another index's"):
        explained(replace(inputs, evidence=other.evidence(with_codes=True)))
