"""Test accounts and signed transactions: the smallest honest client."""

import hashlib
from dataclasses import dataclass, field

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from abci_app.chain.transaction import Auth, Body, KeySignature, encode_envelope, signed_digest
from abci_app.module import Message
from abci_app.policy import DelegatedKey, Policy, PolicyKey, address_of, encode_policy, single_key_policy
from abci_app.state.codec import encode

CHAIN_ID = "openledger-test"


@dataclass(slots=True)
class Key:
    """An Ed25519 key made from a name."""

    public: bytes
    secret: bytes

    @classmethod
    def named(cls, name: str) -> "Key":
        public, secret = crypto_sign_seed_keypair(hashlib.sha256(name.encode()).digest())
        return cls(public, secret)

    def sign(self, digest: bytes) -> bytes:
        return crypto_sign(digest, self.secret)[:64]


@dataclass(slots=True)
class Signer:
    """An account whose policy consists of named keys, all of weight 1."""

    keys: list[Key]
    policy: bytes
    address: bytes
    sequence: int = 0
    signs_with: tuple[int, ...] = field(default=(0,))

    @classmethod
    def named(cls, name: str) -> "Signer":
        key = Key.named(name)
        policy = encode_policy(single_key_policy(key.public))
        return cls([key], policy, address_of(policy))

    @classmethod
    def shared(cls, threshold: int, *names: str) -> "Signer":
        keys = sorted([Key.named(name) for name in names], key=lambda key: key.public)
        policy = encode_policy(Policy(threshold, tuple([PolicyKey(1, key.public, 1) for key in keys])))
        return cls(keys, policy, address_of(policy), signs_with=tuple(range(threshold)))

    def auth(self, body: bytes, with_policy: bool = True) -> Auth:
        digest = signed_digest(body)
        signatures = tuple([KeySignature(index, self.keys[index].sign(digest)) for index in self.signs_with])
        return Auth(self.address, self.policy if with_policy else b"", signatures)

    def transaction(
        self,
        *messages: Message,
        sequence: int | None = None,
        fee_limit_nopen: int = 10**6,
        chain_id: str = CHAIN_ID,
        expiry_height: int = 0,
        sponsor: "Signer | None" = None,
        memo_digest: bytes = b"",
        with_policy: bool | None = None,
        sponsor_policy: bool = True,
    ) -> bytes:
        """A signed transaction; without `sequence` the next one of this signer.

        The sender's policy comes along with its first transaction, the sponsor's unless told otherwise.
        """
        if sequence is None:
            sequence = self.sequence
            self.sequence += 1
        body = encode(
            Body(
                chain_id,
                self.address,
                sequence,
                fee_limit_nopen,
                expiry_height,
                sponsor.address if sponsor else b"",
                memo_digest,
                messages,
            )
        )
        auths = [self.auth(body, not sequence if with_policy is None else with_policy)]
        if sponsor:
            auths.append(sponsor.auth(body, sponsor_policy))
        return encode_envelope(body, tuple(auths))

    def delegated_transaction(self, key: Key, *messages: Message, fee_limit_nopen: int = 10**6) -> bytes:
        """A transaction of this account signed by a delegated key."""
        body = encode(Body(CHAIN_ID, self.address, self.sequence, fee_limit_nopen, 0, b"", b"", messages))
        self.sequence += 1
        signature = KeySignature(0, key.sign(signed_digest(body)))
        return encode_envelope(body, (Auth(self.address, encode(DelegatedKey(key.public)), (signature,)),))
