"""Ed25519 keys from a seed (SLIP-0010); the path is fixed by docs/adr/0010-key-derivation.md.

Ed25519 knows hardened derivation only: a thief who learns one account's key learns nothing about its siblings.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass

from openledger.errors import KeyFailure

# First 31 bits of SHA-256("openledger"): no registered coin type, so no other wallet derives the same keys.
COIN_TYPE = 1_990_859_097
HARDENED = 1 << 31
_CURVE = b"ed25519 seed"
_PATH = re.compile(r"\Am(/[0-9]{1,10}')*\Z")


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """A node of the tree: 32-byte Ed25519 seed and 32-byte chain code."""

    secret: bytes
    chain_code: bytes


def account_path(account_index: int) -> str:
    """Path of the n-th account of a phrase: m/44'/coin type'/n'."""
    if not 0 <= account_index < HARDENED:
        raise KeyFailure(f"account index {account_index} must be between 0 and {HARDENED - 1}")
    return f"m/44'/{COIN_TYPE}'/{account_index}'"


def master_key(seed: bytes) -> ExtendedKey:
    """SLIP-0010 master key of a seed of 16 to 64 bytes."""
    return _split(hmac.digest(_CURVE, seed, hashlib.sha512))


def derive_child(parent: ExtendedKey, index: int) -> ExtendedKey:
    """The hardened child `index` (0 to 2^31 - 1, the hardened bit is added here)."""
    data = b"\x00" + parent.secret + (HARDENED | index).to_bytes(4, "big")
    return _split(hmac.digest(parent.chain_code, data, hashlib.sha512))


def derive(seed: bytes, path: str) -> ExtendedKey:
    """The key at a path such as m/44'/1990859097'/0'; every step must be hardened."""
    if not _PATH.match(path):
        raise KeyFailure(f"derivation path {path!r}: write m/44'/{COIN_TYPE}'/0' (every step hardened)")
    key = master_key(seed)
    for step in path.split("/")[1:]:
        index = int(step.rstrip("'"))
        if index >= HARDENED:
            raise KeyFailure(f"step {step} of derivation path {path!r} must be below {HARDENED}")
        key = derive_child(key, index)
    return key


def _split(digest: bytes) -> ExtendedKey:
    return ExtendedKey(digest[:32], digest[32:])
