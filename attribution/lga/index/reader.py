"""A gradient index, read: map, owner sums, leaves, codes, and proofs of each, from a folder that need not be trusted.

    commitment.bin     named parts (attribution.lga.commitment); its root is what the chain records
    basis-0000.bin     bases of checkpoint 0      } attribution.lga.index.map_files
    scales-0000.bin    scales of checkpoint 0     }
    leaves.bin         row leaf | contribution | owner, 96 bytes an example
    leaf-hashes.bin    hashes of the leaves with their codes, 32 bytes each
    codes.bin          int16 little-endian [examples, k]
    owners.bin         addresses, 32 bytes each, increasing
    owner-sums.bin     int64 little-endian [owners, k]

Everything is checked against the commitment when it is first used, rows of codes one by one; `verify` checks it all.
"""

from bisect import bisect_left
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from abci_app.hashing import HASH_BYTES
from attribution.errors import AttributionError
from attribution.lga.code_clusters import check_copies
from attribution.lga.code_copies import CodeCopies
from attribution.lga.commitment import (
    DATASET,
    KEY_BYTES,
    LEAVES,
    OWNER_BYTES,
    OWNERS,
    IndexCommitment,
    ItemProof,
    item_hash,
    root_of_tree,
    tree_of,
    verify_leaf,
)
from attribution.lga.features import FeatureMap
from attribution.lga.index.files import read_whole
from attribution.lga.index.map_files import read_feature_map
from attribution.lga.parameters import IndexParameters
from attribution.lga.precision import PRECISIONS, Precision
from openledger.data.manifest import MAX_MANIFEST_BYTES, PartProof

COMMITMENT_FILE = "commitment.bin"
LEAVES_FILE = "leaves.bin"
LEAF_HASHES_FILE = "leaf-hashes.bin"
CODES_FILE = "codes.bin"
OWNERS_FILE = "owners.bin"
OWNER_SUMS_FILE = "owner-sums.bin"
# Bytes of codes that are read at a time while everything is verified.
_READ_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class LeafKey:
    """Which row an example is, whose contribution it came with, and who is credited."""

    row_leaf: bytes
    contribution_id: bytes
    owner: bytes

    def encode(self) -> bytes:
        """96 bytes."""
        return self.row_leaf + self.contribution_id + self.owner


@dataclass(frozen=True)
class GradientIndex:
    """An index in a folder. Open it with `GradientIndex.open`; `root` then is that of its commitment."""

    folder: Path
    commitment: IndexCommitment

    @classmethod
    def open(cls, folder: Path, root: bytes | None = None) -> "GradientIndex":
        """Read and check commitment and file sizes; `root` is what the chain records, None to take any.

        Raises `AttributionError` with the field that is wrong.
        """
        data = read_whole(folder / COMMITMENT_FILE, "commitment", MAX_MANIFEST_BYTES)
        commitment = IndexCommitment.decode(data)
        if root is not None and commitment.root != root:
            text = f"has root {commitment.root.hex()}, the entry records {root.hex()}: it is another model's index"
            raise AttributionError("commitment", text)
        index = cls(folder, commitment)
        parameters = commitment.parameters
        sizes = {
            LEAVES_FILE: KEY_BYTES * parameters.examples,
            LEAF_HASHES_FILE: HASH_BYTES * parameters.examples,
            CODES_FILE: 2 * parameters.codes * parameters.examples,
            OWNERS_FILE: OWNER_BYTES * parameters.owners,
            OWNER_SUMS_FILE: 8 * parameters.codes * parameters.owners,
        }
        for name, size in sizes.items():
            _check_size(folder / name, size)
        return index

    @property
    def root(self) -> bytes:
        """Root of the commitment."""
        return self.commitment.root

    @property
    def parameters(self) -> IndexParameters:
        """Counts, exponent, settings."""
        return self.commitment.parameters

    @property
    def copies(self) -> CodeCopies:
        """Which leaves are credited through another one; `verify` finds them again."""
        return self.commitment.copies

    @property
    def precision(self) -> Precision:
        """In which its codes are defined."""
        return next(known for known in PRECISIONS if known == self.parameters.precision)

    @cached_property
    def feature_map(self) -> FeatureMap:
        """Bases, scales, cap and exponent: what turns gradients into codes."""
        kinds = [f"{kind}/{at:04d}" for at in range(self.parameters.checkpoints) for kind in ("basis", "scales")]
        found = read_feature_map(self.folder, self.parameters, {name: self.commitment.file(name) for name in kinds})
        if found.code_count != self.parameters.codes:
            raise AttributionError("parameters.codes", f"{self.parameters.codes}; the scales give {found.code_count}")
        return found

    @cached_property
    def owners(self) -> tuple[bytes, ...]:
        """Addresses of all owners, increasing."""
        data = (self.folder / OWNERS_FILE).read_bytes()
        owners = tuple(data[at : at + OWNER_BYTES] for at in range(0, len(data), OWNER_BYTES))
        if list(owners) != sorted(set(owners)):
            raise AttributionError(OWNERS, f"{OWNERS_FILE} must hold increasing addresses; fetch it again")
        return owners

    @cached_property
    def owner_sums(self) -> npt.NDArray[np.int64]:
        """Sums of credited codes int64 [owners, k], in the order of `owners`; checked against the commitment."""
        if root_of_tree(OWNERS, self._owner_levels) != self.commitment.list_root(OWNERS):
            raise AttributionError(OWNERS, f"{OWNER_SUMS_FILE} is not what the commitment holds; fetch it again")
        return self._stored_sums

    @cached_property
    def codes(self) -> npt.NDArray[np.int16]:
        """Codes int16 [examples, k], memory-mapped and unchecked: `leaf` checks one row, `verify` all."""
        shape = (self.parameters.examples, self.parameters.codes)
        return np.memmap(self.folder / CODES_FILE, dtype="<i2", mode="r", shape=shape)

    @cached_property
    def leaves(self) -> tuple[LeafKey, ...]:
        """All leaves without their codes, in order; checked against the commitment."""
        items = list(self._items(LEAVES_FILE, KEY_BYTES))
        if root_of_tree(DATASET, tree_of(map(item_hash, items))) != self.commitment.list_root(DATASET):
            raise AttributionError(DATASET, f"{LEAVES_FILE} is not what the commitment holds; fetch it again")
        return tuple(LeafKey(item[:32], item[32:64], item[64:96]) for item in items)

    def leaf_number(self, contribution_id: bytes, row_leaf: bytes) -> int:
        """Place of a row in the index; raises `AttributionError` when the run did not train on it."""
        at = bisect_left(self._order, (contribution_id, row_leaf))
        if at == len(self._order) or self._order[at] != (contribution_id, row_leaf):
            raise AttributionError("leaf", f"row {row_leaf.hex()[:16]}… is not among the examples of this index")
        return at

    def prove_part(self, name: str) -> PartProof:
        """A part of the commitment with its path."""
        return self.commitment.prove_part(name)

    def prove_leaf(self, number: int) -> ItemProof:
        """One leaf with its codes; raises `AttributionError` when the stored row is not the committed one."""
        item = self._leaf_item(number)
        proof = self.commitment.prove_item(LEAVES, number, item, self._leaf_levels)
        verify_leaf(proof, self.root)
        return proof

    def prove_owner(self, owner: bytes) -> ItemProof:
        """The sums of one owner."""
        at = bisect_left(self.owners, owner)
        if at == len(self.owners) or self.owners[at] != owner:
            raise AttributionError("owner", f"{owner.hex()[:16]}… has no example in this index")
        return self.commitment.prove_item(OWNERS, at, owner + self.owner_sums[at].tobytes(), self._owner_levels)

    def verify(self, *, copies: bool = True) -> None:
        """Check everything, sums included; raises `AttributionError` with the first part that differs.

        Finding the copies again compares all pairs of rows: leave it out where the index is only to be used.
        """
        _ = self.feature_map
        if any(one >= other for one, other in pairwise(self._order)):
            raise AttributionError(DATASET, "leaves must increase by contribution and row")
        number = 0
        for block in self._code_blocks():
            for row in block:
                if item_hash(self.leaves[number].encode() + row.tobytes()) != self._leaf_levels[0][number]:
                    raise AttributionError(LEAVES, f"codes of leaf {number} are not the committed ones")
                number += 1
        if copies:
            check_copies(self.codes, self.copies)
        rows = rows_by_owner([leaf.owner for leaf in self.leaves], self.copies.leader_of)
        if tuple(rows) != self.owners:
            raise AttributionError(OWNERS, "are not the owners of the leaves")
        for at, owner in enumerate(self.owners):
            if not np.array_equal(sum_rows(self.codes, rows[owner]), self.owner_sums[at]):
                raise AttributionError(OWNERS, f"sums of {owner.hex()[:16]}… are not those of its credited leaves")

    @cached_property
    def _order(self) -> list[tuple[bytes, bytes]]:
        """Key by which the leaves are sorted."""
        return [(leaf.contribution_id, leaf.row_leaf) for leaf in self.leaves]

    @cached_property
    def _leaf_levels(self) -> list[list[bytes]]:
        levels = tree_of(self._items(LEAF_HASHES_FILE, HASH_BYTES))
        if root_of_tree(LEAVES, levels) != self.commitment.list_root(LEAVES):
            raise AttributionError(LEAVES, f"{LEAF_HASHES_FILE} is not what the commitment holds; fetch it again")
        return levels

    @cached_property
    def _owner_levels(self) -> list[list[bytes]]:
        rows = zip(self.owners, self._stored_sums, strict=True)
        return tree_of(item_hash(owner + row.tobytes()) for owner, row in rows)

    @cached_property
    def _stored_sums(self) -> npt.NDArray[np.int64]:
        shape = (self.parameters.owners, self.parameters.codes)
        return np.memmap(self.folder / OWNER_SUMS_FILE, dtype="<i8", mode="r", shape=shape)

    def _leaf_item(self, number: int) -> bytes:
        if not 0 <= number < self.parameters.examples:
            raise AttributionError("leaf", f"there is no number {number}; the index has {self.parameters.examples}")
        codes: bytes = self.codes[number].tobytes()
        return self.leaves[number].encode() + codes

    def _items(self, name: str, size: int) -> Iterator[bytes]:
        with (self.folder / name).open("rb") as source:
            while item := source.read(size):
                yield item

    def _code_blocks(self) -> Iterator[npt.NDArray[np.int16]]:
        rows = max(1, _READ_BYTES // (2 * self.parameters.codes))
        for start in range(0, self.parameters.examples, rows):
            yield self.codes[start : start + rows]


def rows_by_owner(owners: Sequence[bytes], copies: Container[int]) -> dict[bytes, list[int]]:
    """Numbers of the credited leaves of every owner, all that are not among `copies`; owners increasing."""
    rows: dict[bytes, list[int]] = {owner: [] for owner in sorted(set(owners))}
    for number, owner in enumerate(owners):
        if number not in copies:
            rows[owner].append(number)
    return rows


def sum_rows(codes: npt.NDArray[np.int16], rows: Sequence[int]) -> npt.NDArray[np.int64]:
    """Sum of some rows, int64 [k]; at most MAX_EXAMPLES x 32,767 < 2^39 in magnitude."""
    total = np.zeros(codes.shape[1], dtype=np.int64)
    block = max(1, _READ_BYTES // (2 * codes.shape[1]))
    for start in range(0, len(rows), block):
        total += codes[list(rows[start : start + block])].sum(axis=0, dtype=np.int64)
    return total


def _check_size(path: Path, size: int) -> None:
    field = path.name
    try:
        found = path.stat().st_size
    except OSError as error:
        raise AttributionError(field, f"cannot be read: {error.strerror or error}; fetch the whole index") from error
    if found != size:
        raise AttributionError(field, f"has {found} bytes, the commitment says {size}; fetch it again")
