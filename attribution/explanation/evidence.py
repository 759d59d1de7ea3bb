"""Evidence: the lists of a gradient index that scores and flat weights are computed from, checked against its root.

All owners with their sums (list `owners`) and all leaves without their codes (list `dataset`); both lists are bound to
their lengths by the commitment, so nobody is left out. Which leaves are copies and credited to nobody is a part of the
commitment itself. Codes of all rows only where the whole index is at hand.
"""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from abci_app.integers import NumbersRefused
from attribution.errors import AttributionError
from attribution.lga.code_clusters import check_copies
from attribution.lga.code_copies import COPIES
from attribution.lga.codes import Int16Array, check_code_array
from attribution.lga.commitment import (
    DATASET,
    KEY_BYTES,
    LEAVES,
    OWNER_BYTES,
    OWNERS,
    IndexCommitment,
    item_hash,
    root_of_tree,
    tree_of,
)
from attribution.lga.index.reader import GradientIndex, rows_by_owner, sum_rows
from attribution.lga.scores import Int64Array, ScoreTable, row_scores

SUM_BYTES, CODE_BYTES = 8, 2


@dataclass(frozen=True)
class LeafList:
    """Leaves of an index without their codes, as 96-byte keys, in order, and its commitment."""

    commitment: IndexCommitment
    keys: tuple[bytes, ...]

    @classmethod
    def decode(cls, commitment: bytes, dataset: bytes, field: str) -> "LeafList":
        """Parse and check; raises `AttributionError` below `field` for what contradicts the commitment or itself."""
        try:
            parsed = IndexCommitment.decode(commitment)
        except NumbersRefused as error:
            raise AttributionError(f"{field}.commitment", str(error)) from error
        keys = _items(dataset, KEY_BYTES, parsed.parameters.examples, f"{field}.dataset")
        _check_list(parsed, DATASET, keys, f"{field}.dataset")
        if any(one >= other for one, other in pairwise(map(_order, keys))):
            raise AttributionError(f"{field}.dataset", "leaves must increase by contribution and row: a row pays once")
        return cls(parsed, tuple(keys))


@dataclass(frozen=True, eq=False)
class IndexEvidence:
    """Owners increasing, sums int64 [owners, k], leaves as 96-byte keys; `codes` int16 [n, k] where at hand."""

    commitment: IndexCommitment
    owners: tuple[bytes, ...]
    owner_sums: Int64Array
    keys: tuple[bytes, ...]
    codes: Int16Array | None = None

    @classmethod
    def of_index(cls, index: GradientIndex, *, with_codes: bool = False, search_copies: bool = True) -> "IndexEvidence":
        """From an index at hand, which checks what it reads; `with_codes` checks all of it first.

        Without `search_copies` the copies are those that the index commits to, unchecked.
        """
        if with_codes:
            index.verify(copies=search_copies)
        keys = tuple(leaf.encode() for leaf in index.leaves)
        return cls(index.commitment, index.owners, index.owner_sums, keys, index.codes if with_codes else None)

    @classmethod
    def decode(
        cls, commitment: bytes, dataset: bytes, owners: bytes | None, codes: bytes | None, field: str
    ) -> "IndexEvidence":
        """Parse what was encoded, sums or codes; raises `AttributionError` below `field` for what contradicts it."""
        listed = LeafList.decode(commitment, dataset, field)
        if (owners is None) == (codes is None):
            raise AttributionError(field, "needs the sums of owners or the codes of rows, one of the two")
        if owners is None:
            return cls._of_codes(listed, codes or b"", field)
        names, sums = _sums(listed.commitment, owners, f"{field}.owners")
        if set(names) != {owner_of(key) for key in listed.keys}:
            raise AttributionError(f"{field}.owners", "are not the owners of the leaves")
        return cls(listed.commitment, names, sums, listed.keys)

    @classmethod
    def _of_codes(cls, listed: LeafList, data: bytes, field: str) -> "IndexEvidence":
        commitment, keys = listed.commitment, listed.keys
        parameters = commitment.parameters
        rows = _items(data, CODE_BYTES * parameters.codes, parameters.examples, f"{field}.codes")
        _check_list(commitment, LEAVES, [key + row for key, row in zip(keys, rows, strict=True)], f"{field}.codes")
        codes = np.frombuffer(data, dtype="<i2").astype(np.int16).reshape(len(rows), parameters.codes)
        check_code_array(f"{field}.codes", codes, dimensions=2)
        check_copies(codes, commitment.copies, f"{field}.commitment.{COPIES}")
        of_owner = rows_by_owner([owner_of(key) for key in keys], commitment.copies.leader_of)
        sums = np.stack([sum_rows(codes, numbers) for numbers in of_owner.values()])
        evidence = cls(commitment, tuple(of_owner), sums, keys, codes)
        _check_list(commitment, OWNERS, evidence.owner_items, f"{field}.codes")
        return evidence

    @property
    def owner_items(self) -> list[bytes]:
        """The list `owners` as it is hashed: address and sums of each."""
        return [owner + row.astype("<i8").tobytes() for owner, row in zip(self.owners, self.owner_sums, strict=True)]

    def encoded(self, *, codes: bool) -> tuple[bytes, bytes, bytes | None, bytes | None]:
        """Bytes that `decode` reads: with the codes of all rows, which must be at hand, or with the sums of owners."""
        whole = (self.commitment.encode(), b"".join(self.keys))
        if not codes:
            return *whole, b"".join(self.owner_items), None
        if self.codes is None:
            raise AttributionError("evidence", "has no codes of rows: open the index and read it with codes")
        return *whole, None, np.asarray(self.codes).astype("<i2").tobytes()

    def encoded_bytes(self, *, codes: bool) -> int:
        """Length of lists and codes of `encoded`, without making them."""
        parameters = self.commitment.parameters
        of_owner, of_row = OWNER_BYTES + SUM_BYTES * parameters.codes, CODE_BYTES * parameters.codes
        lists = of_row * parameters.examples if codes else of_owner * parameters.owners
        return KEY_BYTES * parameters.examples + lists

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
        counts = Counter(owner_of(key) for number, key in enumerate(self.keys) if number not in self.leader_of)
        return {owner: counts.get(owner, 0) for owner in self.owners}

    @cached_property
    def copies_of_owner(self) -> dict[bytes, int]:
        """Rows of every owner that are copies, its own or another's."""
        counts = Counter(owner_of(self.keys[number]) for number in self.leader_of)
        return {owner: counts.get(owner, 0) for owner in self.owners}

    def row_scores(self, query: Int16Array) -> list[int] | None:
        """Score of every row in the order of the leaves, or None without codes; those of the last query are kept."""
        if self.codes is None:
            return None
        asked = query.tobytes()
        if asked not in self._last_scores:
            scores = row_scores(np.asarray(self.codes), query).tolist()
            self._last_scores.clear()
            self._last_scores[asked] = scores
        return self._last_scores[asked]

    @cached_property
    def _last_scores(self) -> dict[bytes, list[int]]:
        """By codes of the query: what is shown, what is paid and what is verified ask for the same, one by one."""
        return {}


def owner_of(key: bytes) -> bytes:
    """The owner in a leaf's key: row leaf | contribution | owner."""
    return key[64:96]


def contribution_of(key: bytes) -> bytes:
    """The contribution in a leaf's key."""
    return key[32:64]


def _order(key: bytes) -> tuple[bytes, bytes]:
    """Key by which leaves are sorted."""
    return contribution_of(key), key[:32]


def best_rows(scores: list[int], copies: Container[int], count: int) -> list[int]:
    """Numbers of the credited rows with the highest scores above zero, ties by number."""
    credited = [number for number in range(len(scores)) if scores[number] > 0 and number not in copies]
    return sorted(credited, key=lambda number: (-scores[number], number))[:count]


def best_contributions(
    keys: tuple[bytes, ...], scores: list[int], copies: Container[int], count: int
) -> list[tuple[bytes, bytes, int, int, int]]:
    """(contribution, owner, rows, score, positive scores) of those with the most positive scores, ties by id.

    Of credited rows alone; without those that have no row above zero.
    """
    totals: dict[tuple[bytes, bytes], tuple[int, int, int]] = {}
    for number, (key, score) in enumerate(zip(keys, scores, strict=True)):
        if number not in copies:
            line = contribution_of(key), owner_of(key)
            rows, total, positive = totals.get(line, (0, 0, 0))
            totals[line] = rows + 1, total + score, positive + max(0, score)
    found = [(contribution, owner, *known) for (contribution, owner), known in totals.items() if known[2]]
    return sorted(found, key=lambda line: (-line[4], line[:2]))[:count]


def _sums(commitment: IndexCommitment, data: bytes, field: str) -> tuple[tuple[bytes, ...], Int64Array]:
    """Owners and their sums from the list `owners`."""
    parameters = commitment.parameters
    rows = _items(data, OWNER_BYTES + SUM_BYTES * parameters.codes, parameters.owners, field)
    _check_list(commitment, OWNERS, rows, field)
    names = tuple(row[:OWNER_BYTES] for row in rows)
    if list(names) != sorted(set(names)):
        raise AttributionError(field, "must increase")
    sums = np.frombuffer(b"".join(row[OWNER_BYTES:] for row in rows), dtype="<i8").astype(np.int64)
    return names, sums.reshape(len(rows), parameters.codes)


def _check_list(commitment: IndexCommitment, name: str, items: Sequence[bytes], field: str) -> None:
    if root_of_tree(name, tree_of(map(item_hash, items))) != commitment.list_root(name):
        raise AttributionError(field, f"is not the list {name} that the commitment holds")


def _items(data: bytes, size: int, count: int, field: str) -> list[bytes]:
    if len(data) != size * count:
        raise AttributionError(field, f"{len(data)} bytes; the commitment says {count} items of {size}")
    return [data[at : at + size] for at in range(0, len(data), size)]
