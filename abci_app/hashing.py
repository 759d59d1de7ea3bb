"""Hash functions of the protocol: SHA-256, tagged hashes, RFC 6962 roots and list roots.

Every tag that the protocol uses stands in `TAGS`; a tag is never reused for another meaning, and
released tags never change, because ids and roots that people stored depend on them.
"""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256 as _sha256

HASH_BYTES = 32
SALT_BYTES = 16
EMPTY_HASH = _sha256(b"").digest()

# Object ids: 'openledger/<kind>-id/v1'. List roots: 'openledger/list/<kind>/v1'.
TAGS: dict[str, str] = {
    "transaction": "openledger/tx/v1",
    "address": "openledger/address/v1",
    "policy": "openledger/policy/v1",
    "proposal_actions": "openledger/proposal-actions/v1",
    "module_account": "openledger/module-account/v1",
    "state_key": "openledger/key/v1",
    "row": "openledger/row/v1",
    "row_split": "openledger/row-split/v1",
    "row_order": "openledger/row-order/v1",
    "tensors": "openledger/tensors/v1",
    "manifest": "openledger/manifest/v1",
    "name": "openledger/name/v1",
    "genesis": "openledger/genesis/v1",
    "datanet_id": "openledger/datanet-id/v1",
    "model_id": "openledger/model-id/v1",
    "terms_id": "openledger/terms-id/v1",
    "joined_terms_id": "openledger/joined-terms-id/v1",
    "contribution_id": "openledger/contribution-id/v1",
    "entry_id": "openledger/entry/v1",
    "beacon_onion": "openledger/onion/v1",
    "beacon_value": "openledger/beacon/v1",
    "beacon_draw": "openledger/draw/v1",
    "attribution_codes": "openledger/attribution-codes/v1",
    "attribution_shingle": "openledger/attribution-shingle/v1",
    "attribution_explanation": "openledger/attribution-explanation/v1",
}

LIST_KINDS = (
    "rows", "contributions", "rows-used", "data-order", "chunks",
    "span-tokens", "span-suffixes", "span-unigrams", "span-documents",
    "attribution-leaves", "attribution-owners", "attribution-dataset",
)  # fmt: skip


def sha256(data: bytes) -> bytes:
    """SHA-256 of `data`, 32 bytes."""
    return _sha256(data).digest()


@cache
def _tag_prefix(tag: str) -> bytes:
    digest = _sha256(tag.encode("ascii")).digest()
    return digest + digest


def tagged_hash(tag: str, data: bytes) -> bytes:
    """H(tag, data) = SHA-256(SHA-256(tag) || SHA-256(tag) || data), the tagged hash of BIP-340."""
    return _sha256(_tag_prefix(tag) + data).digest()


def uvarint(number: int) -> bytes:
    """Unsigned LEB128 encoding of a non-negative integer."""
    if number < 0:
        raise ValueError(f"uvarint of a negative number: {number}")
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def merkle_leaf(item: bytes) -> bytes:
    """Hash of one item of an RFC 6962 tree."""
    return _sha256(b"\x00" + item).digest()


def merkle_node(left: bytes, right: bytes) -> bytes:
    """Hash of two neighbouring nodes of an RFC 6962 tree."""
    return _sha256(b"\x01" + left + right).digest()


def merkle_root(items: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1 Merkle tree hash: leaf = H(00 || item), inner = H(01 || left || right), empty = H("").

    Built level by level: pairing neighbours and carrying an odd last node up unchanged gives the same tree
    as the RFC's split at the largest power of two below n.
    """
    if not items:
        return EMPTY_HASH
    level = [_sha256(b"\x00" + item).digest() for item in items]
    while len(level) > 1:
        paired = [_sha256(b"\x01" + level[index] + level[index + 1]).digest() for index in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def list_root(kind: str, items: Sequence[bytes]) -> bytes:
    """Root of a list outside the state tree; binds kind and length: H(list tag, uvarint(n) || RFC 6962 root)."""
    return list_root_from(kind, len(items), merkle_root(items))


def list_root_from(kind: str, count: int, tree_root: bytes) -> bytes:
    """Root of a list of `count` items whose RFC 6962 root is known."""
    if kind not in LIST_KINDS:
        raise ValueError(f"unknown kind of list {kind!r}; known: {', '.join(LIST_KINDS)}")
    return tagged_hash(f"openledger/list/{kind}/v1", uvarint(count) + tree_root)


def row_leaf(salt: bytes, row: bytes) -> bytes:
    """Leaf of one data row: H(row tag, 16-byte salt || row bytes); the salt keeps short rows from being guessed."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"row salt has {len(salt)} bytes, needs {SALT_BYTES}")
    return tagged_hash(TAGS["row"], salt + row)
