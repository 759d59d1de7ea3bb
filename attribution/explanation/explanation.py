"""Explanations: made from indexes and query codes, verified from roots on the chain.

Making and verifying are one computation. `explain` puts the document together from what cannot be derived (codes of
the query, proofs, which rows are shown) and computes everything else; `verify_integers` takes the same things out of
a document, computes the rest again from the chain's facts, and names the first field that differs. Scores, shares,
caps, layers, spans: all integers, so all must be equal.

What this does not tell: whether the query codes are those of the prompt and output. That is a float computation, which
somebody repeats with the model and compares within a band. It also rests on the index's sums being those of its
credited leaves, its copies those that its codes give (both checked by those who have the codes), and the codes those of
its rows: what an audit of the index checks.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UnsetType

from abci_app.integers import NumbersRefused
from attribution.entry import GRADIENTS, SPANS, EntryCommitment
from attribution.errors import AttributionError
from attribution.explanation.document import (
    Difference,
    Explanation,
    GradientPart,
    LayerPart,
    decode,
    first_difference,
    from_base64,
)
from attribution.explanation.evidence import IndexEvidence, LeafList
from attribution.explanation.parts import (
    ChainFacts,
    Exchange,
    LayerFacts,
    LayerInputs,
    Refuted,
    compose,
    layer_amounts,
)
from attribution.lga import codes as code_form
from attribution.lga.commitment import ItemProof
from openledger.data.manifest import Manifest, ManifestError


def explain(facts: ChainFacts, exchange: Exchange, inputs: Mapping[bytes, LayerInputs]) -> Explanation:
    """The document; `inputs` by entry id, for every layer that records a commitment and is credited.

    Raises `AttributionError` for inputs that contradict the facts or each other.
    """
    for entry_id, layer in inputs.items():
        known = facts.layers.get(entry_id)
        if known is None or layer.commitment.root != known.commitment_root:
            raise AttributionError("commitment", f"is not the one that entry {entry_id.hex()} records")
    try:
        document = compose(facts, exchange, inputs)
    except Refuted as refuted:
        raise AttributionError(refuted.difference.field, str(refuted.difference)) from refuted
    # What is written must be readable: no text that JSON cannot carry, nothing beyond a bound.
    return decode(document.encode())


def verify_integers(
    document: Explanation, facts: ChainFacts, evidence: Mapping[bytes, IndexEvidence] | None = None
) -> Difference | None:
    """The first field that does not follow from the chain's facts, or None when every integer does.

    `evidence` by entry id for layers whose document embeds none; where it has the index's codes, the choice of best
    contributions and rows is checked too (`unchecked` names what was not). Raises `AttributionError` for what cannot
    be read, and where evidence is missing.
    """
    header = _header_difference(document, facts)
    if header is not None:
        return header
    inputs: dict[bytes, LayerInputs] = {}
    for index, ((entry_id, amount), part) in enumerate(zip(layer_amounts(facts), document.layers, strict=True)):
        known = facts.layers[entry_id]
        if not known.method or not amount:
            continue
        found = _inputs_of(f"layers[{index}]", part, known, (evidence or {}).get(entry_id))
        if isinstance(found, Difference):
            return found
        inputs[entry_id] = found
    prompt, output = document.prompt, document.output
    exchange = Exchange(
        prompt=prompt.text, prompt_ids=prompt.token_ids, output=output.text, output_ids=output.token_ids
    )
    try:
        expected = compose(facts, exchange, inputs)
    except Refuted as refuted:
        return refuted.difference
    return first_difference(expected, document)


def unchecked(document: Explanation, evidence: Mapping[bytes, IndexEvidence] | None = None) -> tuple[str, ...]:
    """Fields that `verify_integers` takes as they are, because only the codes of all rows can tell."""
    names = []
    for index, part in enumerate(document.layers):
        given = (evidence or {}).get(bytes.fromhex(part.entry_id))
        if not isinstance(part.gradients, UnsetType) and not _has_codes(part.gradients, given):
            names.append(
                f"layers[{index}].gradients.owners (sums and copies are those committed, not those of the codes)"
            )
            if part.gradients.contributions:
                names.append(f"layers[{index}].gradients.contributions")
            if part.gradients.rows:
                names.append(f"layers[{index}].gradients.rows (each is true; whether others score higher is open)")
    return tuple(names)


def needs_index(document: Explanation) -> bool:
    """Whether a layer embeds nothing to compute its scores from, as those of large indexes do: give evidence then."""
    parts = [part.gradients for part in document.layers if not isinstance(part.gradients, UnsetType)]
    return any(isinstance(part.evidence, UnsetType) for part in parts)


def leaves_of(document: Explanation, evidence: Mapping[bytes, IndexEvidence] | None = None) -> dict[bytes, LeafList]:
    """The rows of every gradient index by entry id, without codes, of a document that `verify_integers` found right."""
    found = {}
    for index, part in enumerate(document.layers):
        entry_id = bytes.fromhex(part.entry_id)
        if isinstance(part.gradients, UnsetType):
            continue
        if given := (evidence or {}).get(entry_id):
            found[entry_id] = LeafList(given.commitment, given.keys)
        elif not isinstance(part.gradients.evidence, UnsetType):
            field, embedded = f"layers[{index}].gradients.evidence", part.gradients.evidence
            lists = (from_base64(embedded.commitment, field), from_base64(embedded.dataset, field))
            found[entry_id] = LeafList.decode(*lists, field)
    return found


def _has_codes(part: GradientPart, given: IndexEvidence | None) -> bool:
    """Whether `verify_integers` has the codes: given ones go before embedded ones."""
    if given is not None:
        return given.codes is not None
    return not isinstance(part.evidence, UnsetType) and not isinstance(part.evidence.codes, UnsetType)


def _header_difference(document: Explanation, facts: ChainFacts) -> Difference | None:
    """Whether the document speaks of these facts at all."""
    pairs: list[tuple[str, Any, Any]] = [
        ("chain_id", facts.chain_id, document.chain_id),
        ("entry_id", facts.entry_id.hex(), document.entry_id),
        ("model", facts.model, document.model),
        ("model_version", facts.model_version, document.model_version),
    ]
    order = [entry_id.hex() for entry_id, _ in layer_amounts(facts)]
    for index, (expected, part) in enumerate(zip(order, document.layers, strict=False)):
        pairs.append((f"layers[{index}].entry_id", expected, part.entry_id))
    pairs.append(("layers", f"{len(order)} layers", f"{len(document.layers)} layers"))
    for field, expected, found in pairs:
        if expected != found:
            return Difference(field, str(expected), str(found))
    return None


def _inputs_of(
    place: str, part: LayerPart, known: LayerFacts, evidence: IndexEvidence | None
) -> LayerInputs | Difference:
    """The underivable inputs of a layer, its commitment checked against the chain first."""
    if isinstance(part.commitment, UnsetType):
        return Difference(f"{place}.commitment", f"one with root {known.commitment_root.hex()}", "absent")
    try:
        commitment = EntryCommitment.of(Manifest.decode(from_base64(part.commitment, f"{place}.commitment")))
    except (ManifestError, NumbersRefused) as error:
        raise AttributionError(f"{place}.commitment", str(error)) from error
    if commitment.root != known.commitment_root:
        return Difference(f"{place}.commitment", f"one with root {known.commitment_root.hex()}", commitment.root.hex())
    if commitment.method != known.method:
        return Difference(f"{place}.method", str(known.method), str(commitment.method))
    is_erased = not isinstance(part.spans_erased, UnsetType)
    if is_erased and not {GRADIENTS, SPANS} <= commitment.roots.keys():
        return Difference(f"{place}.spans_erased", "absent: the shares need the spans, or there are none", "present")
    inputs = LayerInputs(commitment, spans_erased=is_erased)
    for name, section in ((GRADIENTS, "gradients"), (SPANS, "spans")):
        there = getattr(part, section)
        wanted = name in commitment.roots and not (is_erased and name == SPANS)
        if isinstance(there, UnsetType) == wanted:
            expected, found = ("present", "absent") if wanted else ("absent", "present")
            return Difference(f"{place}.{section}", expected, found)
        if wanted and there.commitment_root != commitment.roots[name].hex():
            field = f"{place}.{section}.commitment_root"
            return Difference(field, commitment.roots[name].hex(), there.commitment_root)
    if not isinstance(part.gradients, UnsetType):
        with_query = _gradient_inputs(f"{place}.gradients", part.gradients, inputs, evidence)
        if isinstance(with_query, Difference):
            return with_query
        inputs = with_query
    if not isinstance(part.spans, UnsetType):
        inputs = replace(inputs, span_proof=from_base64(part.spans.proof, f"{place}.spans.proof"))
    return inputs


def _gradient_inputs(
    place: str, part: GradientPart, inputs: LayerInputs, evidence: IndexEvidence | None
) -> LayerInputs | Difference:
    embedded = part.evidence
    root = inputs.commitment.roots[GRADIENTS]
    if not isinstance(embedded, UnsetType):
        field = f"{place}.evidence"
        commitment, dataset, owners, codes = (
            None if isinstance(text, UnsetType) else from_base64(text, f"{field}.{name}")
            for name, text in msgspec.structs.asdict(embedded).items()
        )
        own = IndexEvidence.decode(commitment or b"", dataset or b"", owners, codes, field)
        if own.commitment.root != root:
            return Difference(f"{field}.commitment", f"one with root {root.hex()}", own.commitment.root.hex())
        evidence = evidence or own
    if evidence is None:
        raise AttributionError(
            f"{place}.evidence", "is not in the document: give the index, it is in the content store"
        )
    query = code_form.decode(from_base64(part.query_codes, f"{place}.query_codes"), f"{place}.query_codes")
    rows = tuple(
        ItemProof.decode(from_base64(row.proof, f"{place}.rows[{index}].proof"), f"{place}.rows[{index}].proof")
        for index, row in enumerate(part.rows)
    )
    return replace(
        inputs,
        query=query,
        evidence=evidence,
        rows=rows,
        contributions=part.contributions,
        embed=not isinstance(embedded, UnsetType),
    )
