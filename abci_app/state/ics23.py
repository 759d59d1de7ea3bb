"""Our proofs as ICS-23 CommitmentProofs (protobuf), in the form of its `tendermintSpec`.

Two proofs in a row, as in IBC: the key in the store, to the tree's root; then the store's name with that root as its
value, to the app hash. Messages of cosmos/ics23 `proofs.proto`, encoded by hand: five messages, no repeated use.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from abci_app.hashing import uvarint
from abci_app.state.proof import SimpleProof
from abci_app.state.tree.trie import STORE_NAME, app_hash_of

__all__ = ["SimpleProof", "commitment_proofs", "upper_leaf"]

# LeafOp{hash SHA256, prehash_key NO_HASH (0, left out), prehash_value SHA256, length VAR_PROTO, prefix 00}
_LEAF_OP: Final = bytes.fromhex("0801 1801 2001 2a01 00")
_SHA256_FIELD: Final = bytes.fromhex("0801")
_EXIST, _NONEXIST = 1, 2

Path = tuple[bytes, list[tuple[bytes, bool]]]


class ProvableVersion(Protocol):
    """The methods of a version that these proofs are made with; the versions of both stores have them."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def path(self, key: bytes) -> Path | None:
        """(leaf hash, siblings bottom-up with True for a left one), or None."""
        ...

    def neighbours(self, key: bytes) -> tuple[bytes | None, bytes | None]:
        """Nearest existing keys below and above an absent one."""
        ...

    def root_hash(self) -> bytes:
        """Root of the tree below the upper leaf."""
        ...


def upper_leaf(root: bytes) -> bytes:
    """Leaf of the store's name above the tree's root: the app hash."""
    return app_hash_of(root)


def commitment_proofs(version: ProvableVersion, key: bytes) -> list[tuple[bytes, bytes]]:
    """[(key, proof that it exists or is absent), (store name, proof of the root)], protobuf bytes.

    Raises `LookupError` for absence in an empty tree, which ICS-23 cannot express.
    """
    value = version.get(key)
    if value is not None:
        first = _field(_EXIST, _existence(version, key))
    else:
        below, above = version.neighbours(key)
        if below is None and above is None:
            raise LookupError("ICS-23 has no proof of absence for an empty tree")
        sides = [
            _field(number, _existence(version, neighbour))
            for number, neighbour in ((2, below), (3, above))
            if neighbour is not None
        ]
        first = _field(_NONEXIST, _field(1, key) + b"".join(sides))
    upper = _field(_EXIST, _existence_message(STORE_NAME, version.root_hash(), ()))
    return [(key, first), (STORE_NAME, upper)]


def _existence(version: ProvableVersion, key: bytes) -> bytes:
    value, path = version.get(key), version.path(key)
    if value is None or path is None:
        raise KeyError(f"key {key.hex()} does not exist")
    return _existence_message(key, value, path[1])


def _existence_message(key: bytes, value: bytes, siblings: Sequence[tuple[bytes, bool]]) -> bytes:
    """ExistenceProof{key, value, leaf, path...}: InnerOp{hash, prefix, suffix} from the leaf up."""
    steps = []
    for sibling, is_left in siblings:
        prefix = b"\x01" + sibling if is_left else b"\x01"
        suffix = b"" if is_left else _field(3, sibling)
        steps.append(_field(4, _SHA256_FIELD + _field(2, prefix) + suffix))
    return _field(1, key) + _field(2, value) + _field(3, _LEAF_OP) + b"".join(steps)


def _field(number: int, data: bytes) -> bytes:
    """Length-delimited protobuf field."""
    return bytes((number << 3 | 2,)) + uvarint(len(data)) + data
