"""Signed transactions for load: deterministic accounts, transfers built and signed before the clock starts."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import msgpack
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from abci_app.chain.transaction import Auth, Body, KeySignature, encode_envelope, signed_digest
from abci_app.modules.bank import Transfer
from abci_app.policy import DelegatedKey, address_of, encode_policy, single_key_policy
from abci_app.state.codec import encode

# Four times what a transfer costs by default.
FEE_LIMIT_NOPEN = 10**6
GENESIS_BALANCE_NOPEN = 10**11


@dataclass(slots=True)
class LoadAccount:
    """A benchmark account; its seed is the hash of its number."""

    address: bytes
    policy: bytes
    secret: bytes
    sequence: int = 0
    policy_is_stored: bool = False

    @classmethod
    def numbered(cls, number: int) -> "LoadAccount":
        """Account `number`, the same in every run."""
        public, secret = crypto_sign_seed_keypair(hashlib.sha256(b"openledger benchmark %d" % number).digest())
        policy = encode_policy(single_key_policy(public))
        return cls(address_of(policy), policy, secret)

    def sign(self, chain_id: str, messages: tuple[object, ...], fee_limit_nopen: int = FEE_LIMIT_NOPEN) -> bytes:
        """A signed transaction with the next sequence; the account's first one brings the policy."""
        body = self._body(chain_id, messages, fee_limit_nopen, 0, b"")
        policy = b"" if self.policy_is_stored or self.sequence else self.policy
        self.sequence += 1
        return encode_envelope(body, (Auth(self.address, policy, (self._signature(body),)),))

    def sign_delegated(
        self, chain_id: str, messages: tuple[object, ...], key: "LoadAccount", sponsor: "LoadAccount"
    ) -> bytes:
        """A transaction of this account that a delegated key signs and a sponsor, whose policy is stored, pays."""
        body = self._body(chain_id, messages, 10**12, 10**6, sponsor.address)
        self.sequence += 1
        delegated = encode(DelegatedKey(key.secret[32:]))
        auths = (
            Auth(self.address, delegated, (key._signature(body),)),
            Auth(sponsor.address, b"", (sponsor._signature(body),)),
        )
        return encode_envelope(body, auths)

    def _body(
        self, chain_id: str, messages: tuple[object, ...], fee_limit_nopen: int, expiry_height: int, sponsor: bytes
    ) -> bytes:
        return msgpack.encode(
            Body(chain_id, self.address, self.sequence, fee_limit_nopen, expiry_height, sponsor, b"", messages)  # type: ignore[arg-type]
        )

    def _signature(self, body: bytes) -> KeySignature:
        return KeySignature(0, crypto_sign(signed_digest(body), self.secret)[:64])


def accounts(count: int) -> list[LoadAccount]:
    """The first `count` benchmark accounts."""
    return [LoadAccount.numbered(number) for number in range(count)]


def transfers(chain_id: str, senders: Sequence[LoadAccount], recipients: Sequence[bytes], count: int) -> list[bytes]:
    """`count` signed transfers, senders and recipients in turn (recipients offset, so that both sides vary)."""
    transactions = []
    for index in range(count):
        sender = senders[index % len(senders)]
        recipient = recipients[(index * 7919 + 1) % len(recipients)]
        if recipient == sender.address:
            recipient = recipients[(index * 7919 + 2) % len(recipients)]
        transactions.append(sender.sign(chain_id, (Transfer(recipient, 1),)))
    return transactions


def broadcast_body(transactions: Sequence[bytes], method: str = "broadcast_tx_async") -> bytes:
    """One JSON-RPC request body (a batch when there are several)."""
    calls = [
        f'{{"jsonrpc":"2.0","id":{index},"method":"{method}","params":{{"tx":"{base64.b64encode(raw).decode()}"}}}}'
        for index, raw in enumerate(transactions)
    ]
    return (calls[0] if len(calls) == 1 else "[" + ",".join(calls) + "]").encode()
