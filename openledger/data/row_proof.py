"""Proof that a row is in a contribution: the row, its salt, and the hashes from its leaf up to the root on the chain.

Stored form, canonical MessagePack: [1, index, count, salt, row, [hash...]]. The leaf is H(row tag, salt || row), the
tree over all leaves is RFC 6962's, the root binds kind and count (docs/protocol). The hashes are those of the siblings
from the leaf upwards, without a level on which the node has none. The salts of other rows stay unknown, so that the
proof tells nothing about them.
"""

from typing import Annotated

from msgspec import Meta

from abci_app.hashing import HASH_BYTES, SALT_BYTES, list_root_from, merkle_leaf, merkle_node, row_leaf
from abci_app.state.codec import CodecError, Record, decode, encode
from openledger.data.row_json import MAX_ROW_BYTES, RowError, read_row
from openledger.data.rows import RowBatch
from openledger.errors import NotVerified

# Rows of a contribution are counted in 32 bits.
MAX_ROWS = 2**32 - 1
_Hash = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]


class RowProof(Record, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=1):
    """One row of a contribution: its place from 0, how many there are, its salt and bytes, and the siblings."""

    index: Annotated[int, Meta(ge=0, lt=MAX_ROWS)]
    count: Annotated[int, Meta(ge=1, le=MAX_ROWS)]
    salt: Annotated[bytes, Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    row: Annotated[bytes, Meta(min_length=1, max_length=MAX_ROW_BYTES)]
    hashes: Annotated[tuple[_Hash, ...], Meta(max_length=32)]

    def encode(self) -> bytes:
        """Stored form."""
        return encode(self)

    @property
    def root(self) -> bytes:
        """The rows root that the proof leads to; raises `NotVerified` where it has other hashes than it needs."""
        if self.index >= self.count:
            raise NotVerified(f"the proof is of row {self.index + 1} of {self.count}, which cannot be")
        node, index, width = merkle_leaf(row_leaf(self.salt, self.row)), self.index, self.count
        remaining = list(self.hashes)
        while width > 1:
            if index ^ 1 < width:
                if not remaining:
                    raise NotVerified("the proof of the row has too few hashes")
                sibling = remaining.pop(0)
                node = merkle_node(sibling, node) if index & 1 else merkle_node(node, sibling)
            index, width = index >> 1, (width + 1) >> 1
        if remaining:
            raise NotVerified("the proof of the row has more hashes than it needs")
        return list_root_from("rows", self.count, node)


def prove_row(batch: RowBatch, index: int) -> RowProof:
    """The proof of one row of a batch; its place counts from 0."""
    level = [merkle_leaf(leaf) for leaf in batch.leaves]
    hashes: list[bytes] = []
    at = index
    while len(level) > 1:
        if at ^ 1 < len(level):
            hashes.append(level[at ^ 1])
        paired = [merkle_node(level[left], level[left + 1]) for left in range(0, len(level) - 1, 2)]
        level = [*paired, *([level[-1]] if len(level) % 2 else [])]
        at >>= 1
    return RowProof(
        index=index, count=len(batch.rows), salt=batch.salts[index], row=batch.rows[index], hashes=tuple(hashes)
    )


def parse_row_proof(data: bytes) -> RowProof:
    """A proof in its stored form, of a row that is one; raises `NotVerified`."""
    try:
        proof = decode(RowProof, data)
        read_row(proof.row)
    except (CodecError, RowError) as error:
        raise NotVerified(f"the proof of the row cannot be read: {error}") from error
    return proof
