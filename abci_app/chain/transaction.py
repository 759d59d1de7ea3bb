"""Transactions: envelope, body, canonical decoding.

    Envelope = [1, body bin, [auth ...]]            the sender's auth first, then the sponsor's
    auth     = [account, policy bin, [[key index, signature] ...]]
    Body     = [1, chain id, sender, sequence, fee limit, expiry height (0 = none), sponsor or empty,
                memo digest or empty, messages]

Signed bytes = H('openledger/tx/v1', body bytes as received); this is also the client's transaction id.
Valid iff expiry = 0 or height <= expiry; a sponsored transaction must have an expiry.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Union

from msgspec import Meta

from abci_app.accounts import MAX_POLICY_BYTES
from abci_app.chain.registry import MESSAGE_TYPES, TAG_OF
from abci_app.chain.weight import weight_of
from abci_app.errors import Code, Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.mechanisms import beacon
from abci_app.module import Message
from abci_app.modules.accounts import FIRST_DELEGABLE_TYPE
from abci_app.policy import MAX_POLICY_KEYS, SIGNATURE_BYTES, DelegatedKey, Policy, check_points, decode_policy
from abci_app.state.codec import CodecError, Record, decode, encode
from abci_app.types import U8, Bytes32, ChainId, Height, Integer, Nopen, OptionalBytes32

# Large enough for 64 training runs of 600 bytes with room to spare, small enough for a 1-4 MB block.
MAX_TRANSACTION_BYTES = 65_536
MAX_MESSAGES = 16

if TYPE_CHECKING:
    AnyMessage = Message
else:
    AnyMessage = Union[MESSAGE_TYPES]  # noqa: UP007 - built from the registry, one member a message type

Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


class KeySignature(Record, frozen=True, array_like=True, gc=False):
    """One signature and which key of the policy made it."""

    key_index: U8
    signature: Signature


class Auth(Record, frozen=True, array_like=True, gc=False):
    """Who agrees. `policy` is given exactly while none is stored: no signature covers it, so nobody may choose."""

    account: Bytes32
    policy: Annotated[bytes, Meta(max_length=MAX_POLICY_BYTES)]
    signatures: Annotated[tuple[KeySignature, ...], Meta(min_length=1, max_length=MAX_POLICY_KEYS)]


class Body(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The part of a transaction that is signed."""

    chain_id: ChainId
    sender: Bytes32
    sequence: Integer
    fee_limit_nopen: Nopen
    expiry_height: Height
    sponsor: OptionalBytes32
    memo_digest: OptionalBytes32
    messages: Annotated[tuple[AnyMessage, ...], Meta(min_length=1, max_length=MAX_MESSAGES)]


class Envelope(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The bytes that travel."""

    body: Annotated[bytes, Meta(max_length=MAX_TRANSACTION_BYTES)]
    auths: Annotated[tuple[Auth, ...], Meta(min_length=1, max_length=2)]


@dataclass(slots=True)
class Transaction:
    """A decoded, statically valid transaction.

    `verified` caches pure facts only: (public key, signature) pairs that are valid over `signed_digest`. Whether
    those keys may act for the account is asked of the state at every execution.
    """

    size_bytes: int
    # Units of work (weight.py).
    weight: int
    body: Body
    auths: tuple[Auth, ...]
    # The policy that each auth presents, decoded and checked; None where it presents none.
    presented: tuple[Policy | DelegatedKey | None, ...]
    signed_digest: bytes
    verified: set[tuple[bytes, bytes]] = field(default_factory=set)
    # Whether every key that the transaction brings was found to be a point of the curve, another pure fact.
    keys_checked: bool = False

    @property
    def payer(self) -> bytes:
        """The account that pays the fee."""
        return self.body.sponsor or self.body.sender

    def check_keys(self) -> None:
        """Raises `Rejected(BAD_POLICY)` unless all keys that the transaction brings are valid points.

        The dearest check that a transaction can ask for, so it comes last, when its sender has signed and can pay.
        """
        if self.keys_checked:
            return
        for presented in self.presented:
            if isinstance(presented, Policy):
                check_points([key.public_key for key in presented.keys])
        for message in self.body.messages:
            check_points(message.new_keys())
        self.keys_checked = True

    def maximum_spend_nopen(self) -> int:
        """The most that the messages can take from the sender (fee not counted)."""
        return sum([message.maximum_spend_nopen() for message in self.body.messages])


def signed_digest(body: bytes) -> bytes:
    """The 32 bytes that signers sign: the client's transaction id."""
    return tagged_hash(TAGS["transaction"], body)


def encode_envelope(body: bytes, auths: tuple[Auth, ...]) -> bytes:
    """Bytes to broadcast."""
    return encode(Envelope(body, auths))


def decode_transaction(raw: bytes) -> Transaction:
    """Decode untrusted bytes and check all that needs no state; raises `Rejected`, also for a beacon reveal."""
    beacon.require_no_reveal(raw)
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise Rejected(Code.TOO_LARGE, f"transaction has {len(raw)} bytes, at most {MAX_TRANSACTION_BYTES} are allowed")
    try:
        envelope = decode(Envelope, raw)
        body = decode(Body, envelope.body)
    except CodecError as error:
        raise Rejected(Code.MALFORMED, f"transaction is malformed: {error}") from error
    _check_body(body)
    _check_auths(body, envelope.auths)
    _check_key_changes(body)
    for message in body.messages:
        message.validate()
    presented = tuple([decode_policy(auth.policy) if auth.policy else None for auth in envelope.auths])
    signatures = sum([len(auth.signatures) for auth in envelope.auths])
    return Transaction(
        size_bytes=len(raw),
        weight=weight_of(len(raw), signatures, presented, body.messages),
        body=body,
        auths=envelope.auths,
        presented=presented,
        signed_digest=signed_digest(envelope.body),
    )


def _check_body(body: Body) -> None:
    if len(body.memo_digest) not in (0, 32):
        raise Rejected(Code.MALFORMED, "memo digest must be empty or 32 bytes")
    if len(body.sponsor) not in (0, 32):
        raise Rejected(Code.MALFORMED, "sponsor must be empty or 32 bytes")
    if body.sponsor == body.sender:
        raise Rejected(Code.BAD_SPONSOR, "sender and sponsor are the same account: leave the sponsor empty")
    if body.sponsor and not body.expiry_height:
        raise Rejected(Code.BAD_SPONSOR, "a sponsored transaction needs an expiry height")


def _check_auths(body: Body, auths: tuple[Auth, ...]) -> None:
    expected = [body.sender, body.sponsor] if body.sponsor else [body.sender]
    if [auth.account for auth in auths] != expected:
        raise Rejected(Code.BAD_SIGNATURE, "signatures must be the sender's, then the sponsor's if there is one")


def _check_key_changes(body: Body) -> None:
    """One change of keys a transaction: each costs up to ten checks of points, and none knows what the other leaves."""
    changes = [type(message).__name__ for message in body.messages if TAG_OF[type(message)] < FIRST_DELEGABLE_TYPE]
    if len(changes) > 1:
        raise Rejected(
            Code.MALFORMED,
            f"the transaction changes keys {len(changes)} times ({changes[0]}, {changes[1]}): send one change a "
            "transaction",
        )
