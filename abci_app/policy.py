"""Threshold policies: who can sign for an account.

Policy = `[1, threshold, [[scheme, public key, weight] ...]]`, keys unique and sorted by (scheme, key), weights >= 1,
threshold <= sum of weights. The address of an account is the tagged hash of its first policy; one key alone is a
policy with threshold 1. A delegated key is presented in a policy's place as `[2, public key]`.

Signatures are Ed25519 as libsodium verifies them (scheme 1). That choice is consensus: edge cases differ between
libraries, so one library is pinned and `check_signature_edge_cases` refuses to start on any other behaviour.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated

from msgspec import Meta
from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_open
from nacl.exceptions import BadSignatureError

from abci_app.errors import Code, InvariantBroken, Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.state.codec import CodecError, Record, decode, decoder_of, encode
from abci_app.types import U8, U32, Address, Bytes32

SCHEME_ED25519 = 1
SCHEME_P256 = 2  # reserved
MAX_POLICY_KEYS = 10
SIGNATURE_BYTES = 64


class PolicyKey(Record, frozen=True, array_like=True, gc=False):
    """One key of a policy and the weight of its signature."""

    scheme: U8
    public_key: Bytes32
    weight: Annotated[int, Meta(ge=1, le=2**16 - 1)]


class Policy(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Signatures of keys whose weights reach the threshold act for the account."""

    threshold: U32
    keys: Annotated[tuple[PolicyKey, ...], Meta(min_length=1, max_length=MAX_POLICY_KEYS)]


class DelegatedKey(Record, frozen=True, array_like=True, tag=2, gc=False):
    """Stands in a policy's place when a delegated key signs."""

    public_key: Bytes32


_decode_stored = decoder_of(Policy).decode


def single_key_policy(public_key: bytes) -> Policy:
    """The policy of an account with one Ed25519 key."""
    return Policy(1, (PolicyKey(SCHEME_ED25519, public_key, 1),))


def address_of(policy: bytes) -> Address:
    """Address of the account whose first policy has these canonical bytes."""
    return Address(tagged_hash(TAGS["address"], policy))


def encode_policy(policy: Policy) -> bytes:
    """Canonical bytes of a policy."""
    return encode(policy)


def decode_policy(data: bytes) -> Policy | DelegatedKey:
    """Decode an untrusted policy or delegated key, keys unlooked at (`check_points`); raises `Rejected(BAD_POLICY)`."""
    try:
        policy: Policy | DelegatedKey = decode(Policy | DelegatedKey, data)  # type: ignore[arg-type]
    except CodecError as error:
        raise Rejected(Code.BAD_POLICY, f"policy is malformed: {error}") from error
    if isinstance(policy, Policy):
        _require_order(policy)
    return policy


def decode_stored_policy(data: bytes) -> Policy:
    """Decode a policy out of the state: it was checked when it came in."""
    return _decode_stored(data)


def check_policy(policy: Policy) -> None:
    """Raises `Rejected(BAD_POLICY)` unless keys are sorted, unique and valid points and the threshold is reachable."""
    _require_order(policy)
    check_points([key.public_key for key in policy.keys])


def _require_order(policy: Policy) -> None:
    """Check the parts that cost nothing to see: order and scheme of the keys, a threshold that they reach."""
    places = [(key.scheme, key.public_key) for key in policy.keys]
    if any(left >= right for left, right in pairwise(places)):
        raise Rejected(Code.BAD_POLICY, "policy keys must be unique and sorted by scheme and key")
    for key in policy.keys:
        if key.scheme != SCHEME_ED25519:
            raise Rejected(Code.BAD_POLICY, f"signature scheme {key.scheme} is not supported: use 1 (Ed25519)")
    total = sum([key.weight for key in policy.keys])
    if not 1 <= policy.threshold <= total:
        raise Rejected(Code.BAD_POLICY, f"policy threshold {policy.threshold} must be between 1 and {total}")


def check_points(public_keys: Iterable[bytes]) -> None:
    """Raises `Rejected(BAD_POLICY)` unless each key is a point of the curve's main group. Costs 50 us a key.

    Keys with a component of small order would make validity depend on the nonce.
    """
    for public_key in public_keys:
        if not crypto_core_ed25519_is_valid_point(public_key):
            raise Rejected(Code.BAD_POLICY, f"public key {public_key.hex()} is not a valid Ed25519 point")


def check_indices(policy: Policy, indices: Sequence[int]) -> None:
    """Raises unless these key indices reach the threshold with none to spare, in strictly increasing order.

    Minimality makes the set of signatures unique for its signers: nobody can add, drop or reorder one in transit.
    """
    if len(indices) == 1 and indices[0] < len(policy.keys) and policy.keys[indices[0]].weight >= policy.threshold:
        return  # as nearly everybody signs: one key that is enough by itself
    if any(left >= right for left, right in pairwise(indices)):
        raise Rejected(Code.BAD_SIGNATURE, "signature key indices must increase strictly")
    if not indices or indices[-1] >= len(policy.keys):
        raise Rejected(Code.BAD_SIGNATURE, f"signature key index outside the policy's {len(policy.keys)} keys")
    weights = [policy.keys[index].weight for index in indices]
    total = sum(weights)
    if total < policy.threshold:
        raise Rejected(Code.BAD_SIGNATURE, f"signatures weigh {total}, the policy needs {policy.threshold}")
    if total - min(weights) >= policy.threshold:
        raise Rejected(Code.BAD_SIGNATURE, "more signatures than the policy needs: leave the superfluous ones out")


def signature_is_valid(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Ed25519 as libsodium verifies it."""
    if len(signature) != SIGNATURE_BYTES or len(public_key) != 32:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def check_signature_edge_cases(cases: Sequence[tuple[bytes, bytes, bytes, bool, bool]]) -> None:
    """Each case: public key, signature, message, is the key a valid point, is the signature valid.

    Raises `InvariantBroken` when this library answers otherwise: running on would risk a fork.
    """
    for public_key, signature, message, point_is_valid, is_valid in cases:
        if bool(crypto_core_ed25519_is_valid_point(public_key)) != point_is_valid:
            raise InvariantBroken(f"this build of libsodium judges the point {public_key.hex()} differently")
        if signature_is_valid(public_key, signature, message) != is_valid:
            raise InvariantBroken(f"this build of libsodium judges the signature {signature.hex()} differently")
