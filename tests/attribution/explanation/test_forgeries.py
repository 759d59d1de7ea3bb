"""Everything that is forged in an explanation is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.integers import NumbersRefused
from abci_app.types import PPB
from attribution.entry import GRADIENTS, SPANS, EntryCommitment
from attribution.errors import AttributionError
from attribution.explanation.document import Explanation, decode, from_base64, to_base64
from attribution.explanation.explanation import explain, verify_integers
from attribution.lga.codes import Codes
from attribution.lga.codes import decode as decode_codes
from attribution.lga.commitment import IndexCommitment
from openledger.data.manifest import Manifest, to_json
from tests.kit.attribution.explained import BY_OWNER, FIRST, POLICY, SECOND, Story, changed, inputs_of, query_of, tell
from tests.kit.attribution.small_index import committed, key, small_index


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
    "a credit raised": (
        lambda document: changed(document, *OWNERS, 1, "credit", to=lambda credit: str(int(credit) + 1)),
        "layers[0].gradients.owners[1].credit",
    ),
    "another unit of scores": (
        lambda document: changed(document, "layers", 0, "policy", "score_unit", to="owner"),
        "layers[0].policy.score_unit",
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


ANY_NUMBER = st.integers(0, 2**40)


@given(ANY_NUMBER, ANY_NUMBER, ANY_NUMBER)
def test_no_single_value_can_be_changed_unnoticed(story: Story, which: int, at: int, to: int) -> None:
    """But for the texts and the prompt's tokens, which only a model and its tokenizer can check."""
    tree = json.loads(story.document.encode())
    free = {("prompt", "text"), ("output", "text")}
    paths = [path for path in places(tree) if path not in free and path[:2] != ("prompt", "token_ids")]
    path = paths[which % len(paths)]
    place = tree
    for step in path[:-1]:
        place = place[step]
    value = place[path[-1]]
    if isinstance(value, int):
        other = to % (PPB + 4) - 2
        place[path[-1]] = other + (other >= value)
    else:
        at %= len(value)
        letters = [letter for letter in "0123456789abcdefXYZ+/=" if letter != value[at]]
        place[path[-1]] = value[:at] + letters[to % len(letters)] + value[at + 1 :]
    try:
        difference = verify_integers(decode(to_json(tree)), story.facts, story.evidence)
    except NumbersRefused as error:
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


def test_changed_codes_of_rows_are_refused(story: Story) -> None:
    document = changed(story.document, "layers", 0, "gradients", "evidence", "codes", to=flip)
    with pytest.raises(AttributionError, match=r"layers\[0\].gradients.evidence.codes: is not the list leaves"):
        verify_integers(document, story.facts)
    document = changed(story.document, "layers", 0, "gradients", "evidence", to=without("codes"))
    with pytest.raises(
        AttributionError, match=r"layers\[0\].gradients.evidence: needs the sums of owners or the codes"
    ):
        verify_integers(document, story.facts)


def test_codes_of_another_width_are_another_models(story: Story) -> None:
    codes = Codes(np.ones(8, dtype=np.int16), 0)
    document = changed(story.document, "layers", 0, "gradients", "query_codes", to=to_base64(codes.encode()))
    difference = verify_integers(document, story.facts)
    assert str(difference) == ("layers[0].gradients.query_codes: the document says 8 codes, it must be 24 codes")


def test_the_choice_of_rows_and_contributions_is_checked_where_all_codes_are_at_hand(tmp_path: Path) -> None:
    story = tell(tmp_path, policy=BY_OWNER)
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


def test_a_leaf_is_the_row_that_the_list_of_rows_has_at_its_number(tmp_path: Path) -> None:
    """A trainer can commit to a list of leaves beside a list of rows that says something else."""
    story = tell(tmp_path, policy=BY_OWNER)
    given, index = story.inputs[SECOND], story.second
    rows = [(contribution, leaf, key(10)) for contribution, leaf, _ in index.rows]
    leaves = committed(tuple(rows), index.codes)
    narrow = committed(index.rows, index.codes[:, :20])
    for other, field in ((leaves, "rows[0]"), (narrow, "rows[0].proof")):
        parts = {**index.commitment.manifest.parts, "leaves": other.commitment.manifest.parts["leaves"]}
        forged = replace(other, commitment=IndexCommitment(Manifest(parts)))
        evidence = replace(index.evidence(), commitment=forged.commitment)
        commitment = replace(given.commitment, roots={**given.commitment.roots, GRADIENTS: forged.commitment.root})
        number = next(at for at, row in enumerate(index.rows) if row[2] != key(10))
        known = replace(story.facts.layers[SECOND], commitment_root=commitment.root)
        facts = replace(story.facts, layers={**story.facts.layers, SECOND: known})
        inputs = replace(given, commitment=commitment, evidence=evidence, rows=[forged.prove(number)])
        with pytest.raises(AttributionError) as caught:
            explain(facts, story.exchange, {**story.inputs, SECOND: inputs})
        assert caught.value.field == f"layers[0].gradients.{field}"


def test_a_row_shown_twice_is_named(tmp_path: Path) -> None:
    story = tell(tmp_path, policy=BY_OWNER)
    document = changed(story.document, "layers", 0, "gradients", "rows", to=lambda rows: [rows[0], rows[0]])
    difference = verify_integers(document, story.facts)
    assert difference is not None
    assert (difference.field, difference.found) == ("layers[0].gradients.rows", "a row twice")
