"""`attribution.json`: codes, exact scores, shares, clusters, inheritance, an explanation and forgeries of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np

from abci_app.integers import NumbersRefused
from abci_app.integers.inheritance import Layer, ParentPart, kept_part, layered_shares
from abci_app.integers.shares import (
    MAX_SCORE,
    OWNER,
    PayoutPolicy,
    Shares,
    credits_of,
    largest_remainder,
    payout_shares,
)
from abci_app.modules.models.records import InheritanceSchedule
from abci_app.types import MAX_INTEGER, PPB
from attribution.entry import GRADIENTS, EntryCommitment
from attribution.explanation.document import Explanation, decode, from_base64, to_base64
from attribution.explanation.explanation import explain, verify_integers
from attribution.explanation.parts import (
    ChainFacts,
    Exchange,
    LayerFacts,
    LayerInputs,
    contributions_to_show,
    rows_to_show,
)
from attribution.lga import codes as code_form
from attribution.lga.codes import CODE_LIMIT, Codes, choose_exponent, quantise
from attribution.lga.scores import exact_scores
from openledger.data.manifest import to_json
from tests.golden import copies
from tests.kit.attribution.small_index import committed, key, small_index

# Beyond this an integer is decimal text.
_EXACT_JSON = 2**53 - 1
POOL = key(99)


def number(value: int) -> int | str:
    """An integer as vectors write it."""
    return value if abs(value) <= _EXACT_JSON else str(value)


def make() -> dict[str, Any]:
    """The file."""
    return {
        "exponents": _exponents(),
        "quantise": _quantise(),
        "codes": _codes(),
        "codes_refused": _codes_refused(),
        "scores": _scores(),
        "largest_remainder": _largest_remainder(),
        "payout": _payout(),
        "shingles": copies.shingles(),
        "cosine": copies.cosine(),
        "clusters": copies.clusters(),
        "code_thresholds": copies.code_thresholds(),
        "code_copies": copies.code_copies(),
        "kept_part": _kept_part(),
        "layered": _layered(),
        "explanation": _explanation(),
    }


def _exponents() -> list[dict[str, Any]]:
    values = [0.0, 1.0, 0.1, 3.75, 32_767.0, 32_767.5, 32_768.0, 5e-324, 1.7976931348623157e308]
    return [{"largest": value.hex(), "exponent": choose_exponent(value)} for value in values]


def _quantise() -> list[dict[str, Any]]:
    cases = [
        (0, [0.5, 1.5, 2.5, -0.5, -1.5, -2.5]),
        (3, [0.1, -0.1, 0.0625]),
        (-2, [6.0, 10.0, -6.0]),
        (14, [9.0, -9.0]),
    ]
    return [
        {
            "exponent": exponent,
            "values": [value.hex() for value in values],
            "codes": quantise(np.array(values), exponent).tolist(),
        }
        for exponent, values in cases
    ]


def _codes() -> list[dict[str, Any]]:
    cases = [([0], 0), ([1, -1, CODE_LIMIT, -CODE_LIMIT], -2), (list(range(-4, 5)), 1_100)]
    made = [Codes(np.array(values, dtype=np.int16), exponent) for values, exponent in cases]
    return [
        {
            "codes": codes.values.tolist(),
            "exponent": codes.exponent,
            "bytes": codes.encode().hex(),
            "digest": codes.digest.hex(),
        }
        for codes in made
    ]


def _codes_refused() -> list[dict[str, str]]:
    cases = {
        "cut short": "0100000200000001",
        "surplus byte": "01000001000000010000",
        "no codes": "01000000000000",
        "-32768 is no code": "010000010000000080",
        "unknown version": "020000010000000100",
        "exponent beyond its limit": "014d04010000000100",
    }
    for data in cases.values():
        _refused(bytes.fromhex(data))
    return [{"why": why, "bytes": data} for why, data in cases.items()]


def _refused(data: bytes) -> None:
    try:
        code_form.decode(data)
    except NumbersRefused:
        return
    raise AssertionError(data.hex())


def _scores() -> list[dict[str, Any]]:
    largest, least = 2**63 - 1, -(2**63)
    cases = [
        ([[1, -2, 3], [0, 0, 0]], [4, 5, -6]),
        ([[2**26, -(2**26), 2**53 + 1]], [CODE_LIMIT, -CODE_LIMIT, CODE_LIMIT]),
        ([[largest] * 4, [least] * 4, [largest, least, 1, -1]], [CODE_LIMIT] * 4),
    ]
    return [
        {
            "owner_sums": [[number(value) for value in row] for row in sums],
            "query": query,
            "scores": [
                number(score) for score in exact_scores(np.array(sums, dtype=np.int64), np.array(query, dtype=np.int16))
            ],
        }
        for sums, query in cases
    ]


def _largest_remainder() -> list[dict[str, Any]]:
    cases = [([1, 1, 1], [3, 1, 2], 2), ([1, 1, 1], [1, 2, 3], PPB), ([0, 5, 7, MAX_INTEGER], [4, 3, 2, 1], PPB)]
    return [
        {
            "weights": [number(weight) for weight in weights],
            "keys": [key(name).hex() for name in names],
            "total": total,
            "parts": list(largest_remainder(weights, [key(name) for name in names], total)),
        }
        for weights, names, total in cases
    ]


def _payout() -> list[dict[str, Any]]:
    free = PayoutPolicy(PPB, 0, PPB, 0, POOL)
    half = PayoutPolicy(PPB // 2, PPB // 4, PPB, 0, POOL)
    capped = PayoutPolicy(PPB, 0, 400_000_000, 0, POOL)
    careful = PayoutPolicy(490_000_000, 510_000_000, PPB, PPB // 4, POOL)
    by_owner = PayoutPolicy(PPB, 0, PPB, 0, POOL, OWNER)
    cases: list[tuple[str, PayoutPolicy, dict[int, list[int]], dict[int, int]]] = [
        ("scores alone, negative ones clipped", free, {1: [3], 2: [-5], 3: [1]}, {}),
        ("rows are clipped one by one", free, {1: [3, -2, 4], 2: [-5], 3: []}, {}),
        ("owners are clipped, after their rows were added", by_owner, {1: [3, -2, 4], 2: [-5, 2], 3: [1]}, {}),
        ("no positive score: to the pool", free, {1: [-1], 2: [0]}, {}),
        ("attribution, flat weights, pool", half, {1: [3], 2: [1], 3: [-9]}, {3: 2, 4: 1}),
        ("a cap that caps another", capped, {1: [90], 2: [9], 3: [1]}, {}),
        ("all at the cap: the rest to the pool", capped, {1: [5], 2: [3]}, {}),
        ("too little positive mass: flat", careful, {1: [100], 2: [-301]}, {1: 1, 2: 3}),
        ("just enough positive mass", careful, {1: [1, -3]}, {1: 1, 2: 3}),
        ("the largest inputs", half, {1: [MAX_SCORE], 2: [-MAX_SCORE], 3: [1]}, {1: MAX_INTEGER, 2: 1}),
    ]
    return [
        {
            "why": why,
            "policy": _policy(policy),
            "scores": {key(owner).hex(): [number(score) for score in of_rows] for owner, of_rows in scores.items()},
            "flat_weights": {key(owner).hex(): number(weight) for owner, weight in flat.items()},
            **_shares(_paid(scores, flat, policy)),
        }
        for why, policy, scores, flat in cases
    ]


def _paid(scores: dict[int, list[int]], flat: dict[int, int], policy: PayoutPolicy) -> Shares:
    known = credits_of({key(owner): of_rows for owner, of_rows in scores.items()}, policy.score_unit)
    return payout_shares(known, {key(owner): weight for owner, weight in flat.items()}, policy)


def _policy(policy: PayoutPolicy) -> dict[str, Any]:
    return {
        "kappa_ppb": policy.kappa_ppb,
        "flat_ppb": policy.flat_ppb,
        "cap_ppb": policy.cap_ppb,
        "minimum_positive_ppb": policy.minimum_positive_ppb,
        "pool": policy.pool.hex(),
        "score_unit": policy.score_unit,
    }


def _shares(shares: Shares) -> dict[str, Any]:
    return {
        "by_owner": {owner.hex(): part for owner, part in shares.by_owner},
        "unexplained_ppb": shares.unexplained_ppb,
        "attribution_used": int(shares.attribution_used),
    }


def _kept_part() -> list[dict[str, int]]:
    cases = [((200_000_000, 4, 10_000_000), age) for age in (0, 3, 4, 19, 20, 4_000)]
    cases += [((PPB, 0, 0), 7), ((5, 1, PPB), 0), ((PPB, 1, 0), 30)]
    return [
        {
            "ancestors_ppb": ancestors,
            "half_life_versions": half_life,
            "floor_ppb": floor,
            "age_versions": age,
            "kept_ppb": kept_part(InheritanceSchedule(ancestors, half_life, floor), age),
        }
        for (ancestors, half_life, floor), age in cases
    ]


def _layered() -> dict[str, Any]:
    own = [
        Shares(((key(11), 700_000_000), (key(12), 200_000_001)), 99_999_999, attribution_used=True),
        Shares(((key(11), 333_333_333), (key(13), 666_666_667)), 0, attribution_used=True),
    ]
    layers = [
        Layer(key(1), 1, (), False, None),
        Layer(key(2), 2, (ParentPart(key(1), PPB, 200_000_000),), True, own[0]),
        Layer(
            key(3), 5, (ParentPart(key(2), 666_666_667, 150_000_000), ParentPart(key(1), 333_333_333, 1)), True, own[1]
        ),
        Layer(key(4), 6, (ParentPart(key(3), 500_000_001, 7), ParentPart(key(2), 499_999_999, 7)), False, None),
    ]
    whole = layered_shares(key(4), {layer.entry_id: layer for layer in layers})
    return {
        "entry_id": key(4).hex(),
        "layers": [
            {
                "entry_id": layer.entry_id.hex(),
                "number": layer.number,
                "has_data": int(layer.has_data),
                "parents": [
                    {"entry_id": parent.entry_id.hex(), "share_ppb": parent.share_ppb, "kept_ppb": parent.kept_ppb}
                    for parent in layer.parents
                ],
                "own": None if layer.own is None else _shares(layer.own),
            }
            for layer in layers
        ],
        "own_ppb": {part.entry_id.hex(): part.own_ppb for part in whole.layers},
        "by_owner": {owner.hex(): part for owner, part in whole.by_owner},
        "unexplained_ppb": whole.unexplained_ppb,
    }


def _explanation() -> dict[str, Any]:
    drawn = small_index(owners=3, rows_each=2, width=64, seed=5)
    codes = drawn.codes.copy()
    codes[5] = codes[1]
    index = committed(drawn.rows, codes)
    assert index.commitment.copies.found == ((5, 1),)
    policy = PayoutPolicy(490_000_000, 310_000_000, 400_000_000, 10_000_000, POOL)
    commitment = EntryCommitment({GRADIENTS: index.commitment.root}, policy)
    base, entry = key(1), key(2)
    layers = {
        base: LayerFacts(Layer(base, 3, (), False, None), 0, b""),
        entry: LayerFacts(
            Layer(entry, 4, (ParentPart(base, PPB, 100_000_000),), True, None), commitment.method, commitment.root
        ),
    }
    facts = ChainFacts("vectors", entry, "poet", 1, layers)
    query = Codes((index.codes[1] // 2 + index.codes[4] // 3).astype(np.int16), 11)
    evidence = index.evidence(with_codes=True)
    inputs = LayerInputs(
        commitment,
        query,
        evidence,
        [index.prove(row) for row in rows_to_show(evidence, query, 2)],
        contributions_to_show(evidence, query, 2),
        embed=True,
    )
    document = explain(facts, Exchange("Who?", (1, 2), "«They»", (3, 4)), {entry: inputs})
    return {
        "facts": {
            "chain_id": facts.chain_id,
            "entry_id": entry.hex(),
            "model": facts.model,
            "model_version": facts.model_version,
            "layers": [
                {
                    "entry_id": known.layer.entry_id.hex(),
                    "number": known.layer.number,
                    "has_data": int(known.layer.has_data),
                    "parents": [
                        msgspec.to_builtins(parent) | {"entry_id": parent.entry_id.hex()}
                        for parent in known.layer.parents
                    ],
                    "method": known.method,
                    "commitment_root": known.commitment_root.hex(),
                }
                for known in layers.values()
            ],
        },
        "document": json.loads(document.encode()),
        "digest": document.digest.hex(),
        "forged": [_forged(document, facts, path, value) for path, value in _forgeries(document)],
    }


def _forgeries(document: Explanation) -> list[tuple[list[Any], Any]]:
    gradients = document.layers[0].gradients
    assert gradients
    codes = code_form.decode(from_base64(gradients.query_codes, "query_codes"))
    values = codes.values.copy()
    values[3] += 1
    return [
        (["by_owner", 0, "share_ppb"], document.by_owner[0].share_ppb - 1),
        (["layers", 0, "by_owner", 1, "share_ppb"], 0),
        (["layers", 0, "gradients", "query_codes"], to_base64(Codes(values, codes.exponent).encode())),
        (["layers", 0, "gradients", "owners", 2, "score"], "7"),
        (["layers", 0, "gradients", "owners", 2, "rows"], 2),
        (["layers", 0, "gradients", "owners", 2, "copies"], 0),
        (["layers", 0, "gradients", "commitment_root"], key(77).hex()),
        (["layers", 0, "policy", "kappa_ppb"], PPB // 2),
        (["layers", 0, "parents", 0, "kept_ppb"], PPB),
        (["layers", 0, "gradients", "rows", 1, "score"], "1"),
        (["model"], "painter"),
    ]


def _forged(document: Explanation, facts: ChainFacts, path: list[Any], value: Any) -> dict[str, Any]:
    tree = place = json.loads(document.encode())
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    difference = verify_integers(decode(to_json(tree)), facts)
    assert difference is not None
    return {"path": path, "value": value, "field": difference.field}
