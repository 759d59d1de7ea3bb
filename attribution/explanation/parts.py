"""Composing an explanation: everything that follows from the chain's facts and a layer's underivable inputs.

Used for making a document and for verifying one (`attribution.explanation.explanation`), so both compute the same
integers.
"""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, replace

import msgspec
import numpy as np
from msgspec import UNSET

from abci_app.integers import NumbersRefused, inheritance
from abci_app.integers.inheritance import Layer, layered_shares
from abci_app.integers.shares import OWNER, ROW, Credit, PayoutPolicy, Shares, credits_of, payout_shares
from abci_app.types import PPB
from attribution.entry import GRADIENTS, SPANS, EntryCommitment
from attribution.errors import AttributionError
from attribution.explanation.document import (
    FORMAT,
    MAX_CONTRIBUTIONS_SHOWN,
    MAX_ROWS_SHOWN,
    VERSION,
    ContributionLine,
    Difference,
    EvidencePart,
    Explanation,
    GradientPart,
    LayerPart,
    MatchLine,
    OwnerLine,
    ParentLine,
    PolicyPart,
    RowLine,
    ShareLine,
    SpanLine,
    SpanPart,
    TextPart,
    to_base64,
)
from attribution.explanation.evidence import IndexEvidence, best_contributions, best_rows, owner_of
from attribution.lga.codes import Codes
from attribution.lga.commitment import ItemProof, verify_leaf
from attribution.lga.scores import row_scores
from attribution.spans.find import Span
from attribution.spans.proof import verify_spans

# Of one layer: the codes of some two thousand rows.
MAX_EMBEDDED_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One entry as the chain has it: parents by the schedule (`layer.own` is left out), method, commitment root."""

    layer: Layer
    method: int
    commitment_root: bytes


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """Facts that verification starts from, read from the chain: the entry asked about and all its ancestors, by id."""

    chain_id: str
    entry_id: bytes
    model: str
    model_version: int
    layers: Mapping[bytes, LayerFacts]


@dataclass(frozen=True)
class LayerInputs:
    """Inputs of a layer's part: its commitment, and for each method the numbers that cannot be derived.

    `rows`: proofs of the rows to show; `contributions`: those to show, taken as they are where the evidence has no
    codes. `embed` puts the evidence into the document, so that it can be verified without the index. `spans_erased`:
    the text of the span index was erased, so that its spans cannot be shown.
    """

    commitment: EntryCommitment
    query: Codes | None = None
    evidence: IndexEvidence | None = None
    rows: Sequence[ItemProof] = ()
    contributions: Sequence[ContributionLine] = ()
    embed: bool = False
    span_proof: bytes | None = None
    spans_erased: bool = False


def contributions_to_show(evidence: IndexEvidence, query: Codes, count: int) -> tuple[ContributionLine, ...]:
    """The best contributions; the evidence must have codes (`AttributionError`). At most MAX_CONTRIBUTIONS_SHOWN."""
    return _best_lines(evidence, _scores_of(evidence, query), min(count, MAX_CONTRIBUTIONS_SHOWN))


def rows_to_show(evidence: IndexEvidence, query: Codes, count: int) -> list[int]:
    """Numbers of the best rows, to be proven; the evidence must have codes. At most MAX_ROWS_SHOWN."""
    return best_rows(_scores_of(evidence, query), evidence.leader_of, min(count, MAX_ROWS_SHOWN))


def _scores_of(evidence: IndexEvidence, query: Codes) -> list[int]:
    scores = evidence.row_scores(query.values)
    if scores is None:
        raise AttributionError("evidence", "has no codes of rows: open the index and read it with codes")
    return scores


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and the output that answered it, as texts and as tokens."""

    prompt: str
    prompt_ids: tuple[int, ...]
    output: str
    output_ids: tuple[int, ...]


class Refuted(Exception):
    """Something in a document that proves nothing; becomes the answer of `verify_integers`."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


def compose(facts: ChainFacts, exchange: Exchange, inputs: Mapping[bytes, LayerInputs]) -> Explanation:
    """The document that follows from the facts and the underivable inputs."""
    own: dict[bytes, Shares | None] = {}
    parts = []
    for index, split in enumerate(_split_by_schedule(facts)):
        entry_id, amount = split.entry_id, split.own_ppb
        known, given = facts.layers[entry_id], inputs.get(entry_id)
        if amount and known.method and given is None:
            raise AttributionError(f"layers[{index}]", f"entry {entry_id.hex()} has an index: it is needed")
        part, own[entry_id] = _layer_part(f"layers[{index}]", known, given if amount else None, exchange)
        undeclared_ppb = split.undeclared_ppb if known.layer.is_undeclared else UNSET
        parts.append(msgspec.structs.replace(part, own_ppb=amount, undeclared_ppb=undeclared_ppb))
    layers = {entry_id: replace(known.layer, own=own.get(entry_id)) for entry_id, known in facts.layers.items()}
    whole = layered_shares(facts.entry_id, layers)
    return Explanation(
        format=FORMAT,
        version=VERSION,
        chain_id=facts.chain_id,
        entry_id=facts.entry_id.hex(),
        model=facts.model,
        model_version=facts.model_version,
        prompt=TextPart(exchange.prompt, exchange.prompt_ids),
        output=TextPart(exchange.output, exchange.output_ids),
        layers=tuple(parts),
        by_owner=_lines(whole.by_owner),
        unexplained_ppb=whole.unexplained_ppb,
    )


def _layer_part(
    place: str, known: LayerFacts, given: LayerInputs | None, exchange: Exchange
) -> tuple[LayerPart, Shares | None]:
    layer = known.layer
    parents = tuple(ParentLine(each.entry_id.hex(), each.share_ppb, each.kept_ppb) for each in layer.parents)
    bare = LayerPart(
        entry_id=layer.entry_id.hex(),
        number=layer.number,
        has_data=int(layer.has_data),
        parents=parents,
        method=known.method,
        own_ppb=0,
    )
    if given is None:
        return bare, None
    gradients = spans = None
    roots, policy = given.commitment.roots, given.commitment.policy
    shares = Shares((), PPB, attribution_used=False)
    if given.spans_erased and GRADIENTS not in roots:
        raise AttributionError(f"{place}.spans", "are all that the shares come from, and were erased")
    if SPANS in roots and not given.spans_erased:
        spans, shares = _span_part(f"{place}.spans", given, exchange)
    if GRADIENTS in roots:
        gradients, shares = _gradient_part(f"{place}.gradients", given, policy)
    part = msgspec.structs.replace(
        bare,
        commitment_root=known.commitment_root.hex(),
        commitment=to_base64(given.commitment.manifest.encode()),
        policy=PolicyPart(**(asdict(policy) | {"pool": policy.pool.hex()})),
        gradients=gradients or UNSET,
        spans=spans or UNSET,
        spans_erased=1 if given.spans_erased else UNSET,
        by_owner=_lines(shares.by_owner),
        unexplained_ppb=shares.unexplained_ppb,
        attribution_used=int(shares.attribution_used),
    )
    return part, shares


def _gradient_part(place: str, given: LayerInputs, policy: PayoutPolicy) -> tuple[GradientPart, Shares]:
    root = given.commitment.roots[GRADIENTS]
    query, evidence = given.query, given.evidence
    if query is None or evidence is None:
        raise AttributionError(place, "codes of the query and the index's evidence are needed: give the index")
    if evidence.commitment.root != root:
        raise AttributionError(place, f"the evidence has root {evidence.commitment.root.hex()}: it is another index's")
    if len(query.values) != evidence.commitment.parameters.codes:
        count = evidence.commitment.parameters.codes
        raise Refuted(Difference(f"{place}.query_codes", f"{count} codes", _codes(query.values)))
    scores = dict(zip(evidence.owners, evidence.table.scores(query.values), strict=True))
    of_all = evidence.row_scores(query.values)
    known = _credits(place, policy, evidence, scores, of_all)
    alone = payout_shares(
        known, {}, PayoutPolicy(kappa_ppb=PPB, flat_ppb=0, cap_ppb=PPB, minimum_positive_ppb=0, pool=policy.pool)
    )
    part = GradientPart(
        commitment_root=root.hex(),
        parameters=evidence.commitment.manifest.json("parameters"),
        query_codes=to_base64(query.encode()),
        query_digest=query.digest.hex(),
        owners=tuple(
            OwnerLine(
                owner=owner.hex(),
                score=str(scores[owner]),
                credit=str(known[owner].positive),
                rows=evidence.rows_of_owner[owner],
                copies=evidence.copies_of_owner[owner],
                share_ppb=share,
            )
            for owner, share in alone.by_owner
        ),
        unexplained_ppb=alone.unexplained_ppb,
        contributions=_contribution_lines(evidence, of_all, given),
        rows=_row_lines(f"{place}.rows", evidence, given.rows, query, of_all),
        evidence=_evidence_part(evidence, policy) if given.embed else UNSET,
    )
    return part, payout_shares(known, evidence.rows_of_owner, policy)


def _credits(
    place: str, policy: PayoutPolicy, evidence: IndexEvidence, scores: Mapping[bytes, int], of_all: list[int] | None
) -> dict[bytes, Credit]:
    """Credits by which owners are paid, in the unit of the policy."""
    if policy.score_unit == OWNER:
        return credits_of({owner: [score] for owner, score in scores.items()}, OWNER)
    if of_all is None:
        raise AttributionError(
            f"{place}.evidence", "has no codes of rows, which this policy pays by: give the index, it is in the store"
        )
    rows: dict[bytes, list[int]] = {owner: [] for owner in evidence.owners}
    for number, (key, score) in enumerate(zip(evidence.keys, of_all, strict=True)):
        if number not in evidence.leader_of:
            rows[owner_of(key)].append(score)
    return credits_of(rows, ROW)


def embeddable(evidence: IndexEvidence, policy: PayoutPolicy) -> bool:
    """Whether what scores are computed from is small enough to go into a document."""
    return evidence.encoded_bytes(codes=policy.score_unit == ROW) <= MAX_EMBEDDED_BYTES


def _evidence_part(evidence: IndexEvidence, policy: PayoutPolicy) -> EvidencePart:
    encoded = evidence.encoded(codes=policy.score_unit == ROW)
    return EvidencePart(*[UNSET if part is None else to_base64(part) for part in encoded])  # type: ignore[arg-type]


def _contribution_lines(
    evidence: IndexEvidence, scores: list[int] | None, given: LayerInputs
) -> tuple[ContributionLine, ...]:
    """Lines of the given contributions; their scores are computed where all scores are known."""
    if scores is None:
        return tuple(given.contributions)
    return _best_lines(evidence, scores, len(given.contributions))


def _best_lines(evidence: IndexEvidence, scores: list[int], count: int) -> tuple[ContributionLine, ...]:
    return tuple(
        ContributionLine(
            contribution_id=contribution.hex(), owner=owner.hex(), rows=rows, score=str(score), positive=str(positive)
        )
        for contribution, owner, rows, score, positive in best_contributions(
            evidence.keys, scores, evidence.leader_of, count
        )
    )


def _row_lines(
    place: str, evidence: IndexEvidence, proofs: Sequence[ItemProof], query: Codes, of_all: list[int] | None
) -> tuple[RowLine, ...]:
    """The shown rows, best first; each proven and credited, and the best ones where all scores are known."""
    root = evidence.commitment.root
    if len(proofs) > MAX_ROWS_SHOWN:
        raise AttributionError(place, f"{len(proofs)} are more than {MAX_ROWS_SHOWN}: show fewer")
    scored = []
    for index, proof in enumerate(proofs):
        try:
            leaf = verify_leaf(proof, root)
        except NumbersRefused as error:
            wanted = f"a proof under the index's root {root.hex()}"
            raise Refuted(Difference(f"{place}[{index}].proof", wanted, str(error))) from error
        if proof.index in evidence.leader_of:
            leader = evidence.leader_of[proof.index]
            raise Refuted(Difference(f"{place}[{index}]", "a credited row", f"row {proof.index}, a copy of {leader}"))
        if leaf.row_leaf + leaf.contribution_id + leaf.owner != evidence.keys[proof.index]:
            listed = f"row {proof.index} of the list of rows, owner {owner_of(evidence.keys[proof.index]).hex()}"
            raise Refuted(Difference(f"{place}[{index}]", listed, f"a leaf of owner {leaf.owner.hex()}"))
        if len(leaf.codes) != len(query.values):
            raise Refuted(Difference(f"{place}[{index}].proof", _codes(query.values), _codes(leaf.codes)))
        score = int(row_scores(np.array([leaf.codes], dtype="i2"), query.values)[0])
        scored.append((-score, proof.index, leaf, proof))
    scored.sort(key=lambda item: item[:2])
    if of_all is not None:
        best, shown = best_rows(of_all, evidence.leader_of, len(proofs)), [number for _, number, _, _ in scored]
        if best != shown:
            raise Refuted(Difference(place, f"the rows {best} of the index", f"the rows {shown}"))
    if len({number for _, number, _, _ in scored}) != len(scored):
        raise Refuted(Difference(place, "different rows", "a row twice"))
    return tuple(
        RowLine(
            number=number,
            contribution_id=leaf.contribution_id.hex(),
            row_leaf=leaf.row_leaf.hex(),
            owner=leaf.owner.hex(),
            score=str(-cost),
            proof=to_base64(proof.encode()),
        )
        for cost, number, leaf, proof in scored
    )


def _codes(values: Sized) -> str:
    return f"{len(values)} codes"


def _span_part(place: str, given: LayerInputs, exchange: Exchange) -> tuple[SpanPart, Shares]:
    """Spans and shares that the proof shows; they pay where there is no gradient index."""
    root = given.commitment.roots[SPANS]
    if given.span_proof is None:
        raise AttributionError(place, "a proof of the output's spans is needed: give the span index")
    try:
        proven = verify_spans(given.span_proof, exchange.output_ids, root)
    except NumbersRefused as error:
        wanted = f"a proof under the span index's root {root.hex()}"
        raise Refuted(Difference(f"{place}.{error.field}", wanted, str(error))) from error
    part = SpanPart(
        commitment_root=root.hex(),
        spans=tuple(_span_line(span) for span in proven.spans),
        by_owner=_lines(proven.shares.by_owner),
        covered_tokens=proven.shares.covered_tokens,
        output_tokens=proven.shares.output_tokens,
        proof=to_base64(given.span_proof),
    )
    covered = {owner: Credit(bits, bits) for owner, bits in proven.shares.by_owner}
    return part, payout_shares(covered, {}, given.commitment.policy)


def _span_line(span: Span) -> SpanLine:
    matches = tuple(
        MatchLine(
            document=match.document,
            offset=match.offset,
            owner=match.owner.hex(),
            contribution_id=match.contribution_id.hex(),
            row_leaf=match.row_leaf.hex(),
            credited=match.credited.hex(),
        )
        for match in span.matches
    )
    return SpanLine(
        start=span.start,
        end=span.end,
        surprisal=span.surprisal,
        occurrences=span.occurrences,
        clusters=span.clusters,
        matches=matches,
    )


def _lines(by_owner: Sequence[tuple[bytes, int]]) -> tuple[ShareLine, ...]:
    return tuple(ShareLine(owner.hex(), part) for owner, part in by_owner)


def layer_amounts(facts: ChainFacts) -> list[tuple[bytes, int]]:
    """The layers of the document: the entry and its ancestors by falling number, and what each one's data gets.

    That follows from the schedules alone. A layer that gets nothing needs no index.
    """
    return [(layer.entry_id, layer.own_ppb) for layer in _split_by_schedule(facts)]


def _split_by_schedule(facts: ChainFacts) -> tuple[inheritance.LayerAmount, ...]:
    """The schedules split the whole over every layer's own data and over what each layer does not declare."""
    bare = {entry_id: replace(known.layer, own=None) for entry_id, known in facts.layers.items()}
    return layered_shares(facts.entry_id, bare).layers


def reached(facts: ChainFacts) -> list[bytes]:
    """The layers whose data gets a part: those that need inputs if they record an index."""
    return [entry_id for entry_id, amount in layer_amounts(facts) if amount]
