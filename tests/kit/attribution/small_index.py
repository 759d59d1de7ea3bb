"""Small committed indexes without a model, made from given codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from abci_app.hashing import sha256
from abci_app.types import PPB
from attribution.explanation.evidence import IndexEvidence
from attribution.lga.code_clusters import search_copies
from attribution.lga.code_copies import DEFAULT_COSINE_PPB, CodeCopies
from attribution.lga.codes import CODE_LIMIT, Int16Array
from attribution.lga.commitment import (
    DATASET,
    LEAVES,
    OWNERS,
    IndexCommitment,
    ItemProof,
    item_hash,
    make_commitment,
    root_of_tree,
    tree_of,
)
from attribution.lga.parameters import IndexParameters, ModuleShape
from attribution.lga.scores import Int64Array


def key(number: int) -> bytes:
    """An id or address."""
    return number.to_bytes(32, "big")


@dataclass(frozen=True)
class SmallIndex:
    """Rows (contribution, row leaf, owner) in order, their codes, and everything committed about them."""

    rows: tuple[tuple[bytes, bytes, bytes], ...]
    codes: Int16Array
    owners: tuple[bytes, ...]
    sums: Int64Array
    commitment: IndexCommitment

    @property
    def keys(self) -> tuple[bytes, ...]:
        return tuple(leaf + contribution + owner for contribution, leaf, owner in self.rows)

    def evidence(self, *, with_codes: bool = False) -> IndexEvidence:
        return IndexEvidence(self.commitment, self.owners, self.sums, self.keys, self.codes if with_codes else None)

    def prove(self, number: int) -> ItemProof:
        items = leaf_items(self.keys, self.codes)
        return self.commitment.prove_item(LEAVES, number, items[number], tree_of(map(item_hash, items)))


def leaf_items(keys: tuple[bytes, ...], codes: Int16Array) -> list[bytes]:
    """Items of the list of leaves."""
    return [name + row.astype("<i2").tobytes() for name, row in zip(keys, codes, strict=True)]


def small_index(owners: int = 4, rows_each: int = 3, width: int = 16, seed: int = 1) -> SmallIndex:
    """Codes drawn from the whole range; owner n contributes in contributions 100 n and 100 n + 1."""
    random = np.random.default_rng(seed)
    names = [key(10 + number) for number in range(owners)]
    rows = sorted(
        (key(100 * number + index % 2), sha256(b"%d/%d/%d" % (seed, number, index)), names[number])
        for number in range(owners)
        for index in range(rows_each)
    )
    codes: Int16Array = random.integers(-CODE_LIMIT, CODE_LIMIT + 1, size=(len(rows), width)).astype(np.int16)
    return committed(tuple(rows), codes)


def committed(
    rows: tuple[tuple[bytes, bytes, bytes], ...],
    codes: Int16Array,
    copies: CodeCopies | None = None,
    false_by: int = 0,
    **changes: Any,
) -> SmallIndex:
    """The index of these rows, registered in their order, and codes; `copies` as they are found unless given.

    All sums are false by some number.
    """
    copies = copies or search_copies(codes, range(len(rows)), DEFAULT_COSINE_PPB)
    names = tuple(sorted({owner for _, _, owner in rows}))
    sums = np.full((len(names), codes.shape[1]), false_by, dtype=np.int64)
    for number, (_, _, owner) in enumerate(rows):
        if number not in copies.leader_of:
            sums[names.index(owner)] += codes[number]
    keys = tuple(leaf + contribution + owner for contribution, leaf, owner in rows)
    owner_items = [owner + row.astype("<i8").tobytes() for owner, row in zip(names, sums, strict=True)]
    lists = {
        name: (len(items), root_of_tree(name, tree_of(map(item_hash, items))))
        for name, items in ((LEAVES, leaf_items(keys, codes)), (OWNERS, owner_items), (DATASET, list(keys)))
    }
    width = codes.shape[1]
    settings = {
        "exponent": 9,
        "norm_cap_millionths": 0,
        "norm_cap_medians": 4,
        "damping_ppb": PPB // 10,
        "checkpoint_codes": 0,
        "directions": width,
        "rank_directions": 0,
        "basis_examples": 0,
        "piece_examples": 1,
        "batch_examples": 1,
        "padding_id": 0,
        "threads": 1,
        "precision": "float32",
        **changes,
    }
    parameters = IndexParameters(
        examples=len(rows),
        owners=len(names),
        checkpoints=1,
        codes=width,
        modules=(ModuleShape("layer", width, 1, width, 1),),
        **settings,
    )
    files = {f"{kind}/0000": (sha256(kind.encode()), 1) for kind in ("basis", "scales")}
    commitment = make_commitment(parameters, lists, copies, files, [key(1)], key(2), {})
    return SmallIndex(rows, codes, names, sums, commitment)
