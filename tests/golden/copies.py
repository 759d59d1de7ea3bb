"""Parts of `attribution.json` about copies: overlaps of words, cosines of codes, who leads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from abci_app.hashing import sha256
from abci_app.types import PPB
from attribution.lga.code_clusters import cosine_reaches, search_copies
from attribution.lga.code_copies import DEFAULT_COSINE_PPB, OFF_PPB, threshold_ppb
from attribution.payout.clusters import ClusterPolicy, ClusterRow, cluster_rows, shingles_of_tokens
from tests.kit.attribution.small_index import key


def shingles() -> list[dict[str, Any]]:
    """Sets of hashed runs."""
    cases: list[list[int]] = [[], [7], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 2**32 - 1], [9] * 8]
    return [
        {"tokens": tokens, "shingles": sorted(str(value) for value in shingles_of_tokens(tokens))} for tokens in cases
    ]


def cosine() -> list[dict[str, Any]]:
    """Cosines around their minimum."""
    cases = [
        ([3, 4], [3, 4], PPB),
        ([3, 4], [4, 3], 960_000_000),
        ([3, 4], [4, 3], 960_000_001),
        ([1, 0], [-1, 0], PPB // 2),
    ]
    return [
        {
            "left": left,
            "right": right,
            "minimum_ppb": minimum,
            "reaches": int(cosine_reaches(np.array(left, dtype=np.int16), np.array(right, dtype=np.int16), minimum)),
        }
        for left, right, minimum in cases
    ]


def clusters() -> list[dict[str, Any]]:
    """Leaders and reasons."""
    text = [value * value % 251 for value in range(60)]
    changed = [*text[:30], 999, *text[31:]]
    other = [value * 7 % 241 for value in range(60)]
    cases: list[tuple[str, list[tuple[int, list[int]]], list[list[int]] | None]] = [
        ("the first registered leads, wherever it stands", [(9, text), (7, text), (8, changed), (10, other)], None),
        ("codes find what the words hide", [(1, text), (2, other)], [[900, 10], [899, 11]]),
    ]
    out = []
    for why, given, codes in cases:
        rows = [
            ClusterRow((place, 0), sha256(repr(tokens).encode()), tuple(tokens), key(place)) for place, tokens in given
        ]
        found = cluster_rows(rows, ClusterPolicy(), None if codes is None else np.array(codes, dtype=np.int16))
        out.append(
            {
                "why": why,
                "policy": {"minimum_jaccard_ppb": 800_000_000, "minimum_cosine_ppb": 600_000_000},
                "rows": [
                    {"place": list(row.place), "content": row.content.hex(), "tokens": list(row.tokens)} for row in rows
                ],
                "codes": codes or [],
                "leaders": list(found.leader_of),
                "reasons": {str(copy.row): copy.reason for copy in found.copies},
            }
        )
    return out


def code_thresholds() -> list[dict[str, int]]:
    """From which cosine on so many codes are copies."""
    cases = [(1, PPB // 2), (63, PPB), (64, PPB // 2), (177, 600_000_000), (178, 600_000_000), (4_096, OFF_PPB)]
    return [
        {"codes": codes, "minimum_cosine_ppb": minimum, "threshold_ppb": threshold_ppb(minimum, codes)}
        for codes, minimum in cases
    ]


def code_copies() -> dict[str, Any]:
    """100 codes, so cosines from 0.8 on; rows 0, 1 and 3 are alike, and 4 is like 1 but not like the others."""
    plain = [index * index % 41 - 20 for index in range(100)]
    other = [index * 7 % 43 - 21 for index in range(100)]
    rows = [
        plain,
        [value + (5 if index % 3 else -9) for index, value in enumerate(plain)],
        other,
        [2 * value for value in plain],
        [value + (9 if index % 3 else -18) for index, value in enumerate(plain)],
        [-value for value in other],
    ]
    orders = [
        ("copies of copies do not chain", [0, 1, 2, 3, 4, 5], DEFAULT_COSINE_PPB),
        ("the order of the chain decides", [4, 1, 5, 3, 2, 0], DEFAULT_COSINE_PPB),
        ("a cosine of one", [5, 4, 3, 2, 1, 0], PPB),
        ("switched off", [0, 1, 2, 3, 4, 5], OFF_PPB),
    ]
    made = [
        (why, order, search_copies(np.array(rows, dtype=np.int16), order, minimum)) for why, order, minimum in orders
    ]
    cases = [
        {"why": why, "order": order, "part": json.loads(copies.encode()), "bytes": copies.encode().hex()}
        for why, order, copies in made
    ]
    return {"codes": rows, "cases": cases}
