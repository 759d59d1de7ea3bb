"""Evidence: the lists of a gradient index that scores and flat weights are computed from, checked against its root.

All owners with their sums (list `owners`) and all leaves without their codes (list `dataset`); both lists are bound to
their lengths by the commitment, so nobody is left out. Which leaves are copies and credited to nobody is a part of the
commitment itself. Codes of all rows only where the whole index is at hand.
"""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attribution.codes import Int16Array
from attribution.commitment import (
    DATASET,
    KEY_BYTES,
    OWNER_BYTES,
    OWNERS,
    IndexCommitment,
    item_hash,
    root_of_tree,
    tree_of,
)
from attribution.errors import AttributionError
from attribution.index import Index
from attribution.scores import Int64Array, ScoreTable, row_scores

SUM_BYTES = 8


@dataclass(frozen=True, eq=False)
class IndexEvidence:
    """Owners increasing, sums int64 [owners, k], leaves as 96-byte keys; `codes` int16 [n, k] where at hand."""

    commitment: IndexCommitment
    owners: tuple[bytes, ...]
    owner_sums: Int64Array
    keys: tuple[bytes, ...]
    codes: Int16Array | None = None

    @classmethod
    def of_index(cls, index: Index, *, with_codes: bool = False, find_copies: bool = True) -> "IndexEvidence":
        """From an index at hand, which checks what it reads; `with_codes` checks all of it first.

        Without `find_copies` the copies are those that the index commits to, unchecked.
        """
        if with_codes:
            index.verify(copies=find_copies)
        keys = tuple(leaf.encode() for leaf in index.leaves)
        return cls(index.commitment, index.owners, index.owner_sums, keys, index.codes if with_codes else None)

    @classmethod
    def decode(cls, commitment: bytes, owners: bytes, dataset: bytes, field: str) -> "IndexEvidence":
        """Parse what `encoded` gives; raises `AttributionError` below `field` for what contradicts the commitment."""
        try:
            parsed = IndexCommitment.decode(commitment)
        except AttributionError as error:
            raise AttributionError(f"{field}.commitment", str(error)) from error
        parameters = parsed.parameters
        rows = _items(owners, OWNER_BYTES + SUM_BYTES * parameters.codes, parameters.owners, f"{field}.owners")
        keys = _items(dataset, KEY_BYTES, parameters.examples, f"{field}.dataset")
        for name, items in ((OWNERS, rows), (DATASET, keys)):
            if root_of_tree(name, tree_of(map(item_hash, items))) != parsed.list_root(name):
                raise AttributionError(f"{field}.{name}", "is not the list that the commitment holds")
        names = tuple(row[:OWNER_BYTES] for row in rows)
        if list(names) != sorted(set(names)):
            raise AttributionError(f"{field}.owners", "must increase")
        sums = np.frombuffer(b"".join(row[OWNER_BYTES:] for row in rows), dtype="<i8").astype(np.int64)
        return cls(parsed, names, sums.reshape(len(rows), parameters.codes), tuple(keys))

    @property
    def encoded(self) -> tuple[bytes, bytes, bytes]:
        """Commitment, list of owners, list of leaves, as they are hashed."""
        rows = (owner + row.astype("<i8").tobytes() for owner, row in zip(self.owners, self.owner_sums, strict=True))
        return self.commitment.encode(), b"".join(rows), b"".join(self.keys)

    @cached_property
    def table(self) -> ScoreTable:
        """Sums made ready for queries."""
        return ScoreTable.of(np.asarray(self.owner_sums, dtype=np.int64))

    @property
    def leader_of(self) -> dict[int, int]:
        """Leader of every row that is a copy by its codes; all other rows are credited."""
        return self.commitment.copies.leader_of

    @cached_property
    def rows_of_owner(self) -> dict[bytes, int]:
        """Credited rows of every owner: the weights of the flat part."""
        counts = Counter(key[64:96] for number, key in enumerate(self.keys) if number not in self.leader_of)
        return {owner: counts.get(owner, 0) for owner in self.owners}

    @cached_property
    def copies_of_owner(self) -> dict[bytes, int]:
        """Rows of every owner that are copies, its own or another's."""
        counts = Counter(self.keys[number][64:96] for number in self.leader_of)
        return {owner: counts.get(owner, 0) for owner in self.owners}

    def row_scores(self, query: Int16Array) -> list[int] | None:
        """Score of every row in the order of the leaves, or None without codes."""
        return None if self.codes is None else row_scores(np.asarray(self.codes), query).tolist()


def best_rows(scores: list[int], copies: Container[int], count: int) -> list[int]:
    """Numbers of the credited rows with the highest scores above zero, ties by number."""
    credited = [number for number in range(len(scores)) if scores[number] > 0 and number not in copies]
    return sorted(credited, key=lambda number: (-scores[number], number))[:count]


def best_contributions(
    keys: tuple[bytes, ...], scores: list[int], copies: Container[int], count: int
) -> list[tuple[bytes, bytes, int, int]]:
    """(contribution, owner, rows, score) of the contributions with the highest scores above zero, ties by id.

    Of credited rows alone.
    """
    totals: dict[tuple[bytes, bytes], tuple[int, int]] = {}
    for number, (key, score) in enumerate(zip(keys, scores, strict=True)):
        if number not in copies:
            rows, total = totals.get((key[32:64], key[64:96]), (0, 0))
            totals[key[32:64], key[64:96]] = rows + 1, total + score
    lines = [(contribution, owner, *total) for (contribution, owner), total in totals.items()]
    return sorted((line for line in lines if line[3] > 0), key=lambda line: (-line[3], line[:2]))[:count]


def _items(data: bytes, size: int, count: int, field: str) -> list[bytes]:
    if len(data) != size * count:
        raise AttributionError(field, f"{len(data)} bytes; the commitment says {count} items of {size}")
    return [data[at : at + size] for at in range(0, len(data), size)]
