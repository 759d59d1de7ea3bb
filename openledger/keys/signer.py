"""Who signs: an Ed25519 key with the policy and address of its account."""

from dataclasses import dataclass, field

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from abci_app.policy import Policy, PolicyKey, address_of, encode_policy, single_key_policy
from abci_app.types import Address
from openledger.keys import derivation, phrase

SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Signer:
    """A secret key held in memory; `address` is that of the account with this one key as its first policy."""

    address: Address
    policy: bytes
    public_key: bytes
    _secret_key: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> "Signer":
        """The signer of a 32-byte Ed25519 seed."""
        public_key, secret_key = crypto_sign_seed_keypair(seed)
        policy = encode_policy(single_key_policy(public_key))
        return cls(address_of(policy), policy, public_key, secret_key)

    @classmethod
    def from_phrase(cls, words: str, account_index: int = 0) -> "Signer":
        """The n-th account of a recovery phrase (docs/adr/0010-key-derivation.md)."""
        seed = phrase.seed_of_phrase(words)
        return cls.from_seed(derivation.derive(seed, derivation.account_path(account_index)).secret)

    def sign(self, digest: bytes) -> bytes:
        """64-byte Ed25519 signature over a transaction's signed digest."""
        return bytes(crypto_sign(digest, self._secret_key)[:64])


def shared_policy(threshold: int, public_keys: list[bytes], weights: list[int] | None = None) -> Policy:
    """A k-of-n policy in canonical order; every key weighs 1 unless `weights` says otherwise."""
    weighted = sorted(zip(public_keys, weights or [1] * len(public_keys), strict=True))
    return Policy(threshold, tuple([PolicyKey(1, key, weight) for key, weight in weighted]))
