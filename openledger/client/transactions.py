"""Drafts of transactions: build, sign, combine, turn into the bytes to broadcast. No network.

A draft file is JSON. `body_hex` are the bytes that get signed; `body` is the same for people, and a file in which the
two differ is refused, so nobody signs what they did not read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from abci_app.bech32 import decode_id, encode_id
from abci_app.chain.authentication import fee_of
from abci_app.chain.transaction import Auth, Body, KeySignature, decode_transaction, encode_envelope, signed_digest
from abci_app.errors import Rejected
from abci_app.module import Message
from abci_app.parameters import Parameters
from abci_app.policy import DelegatedKey, Policy, PolicyKey, decode_policy, encode_policy
from abci_app.state.codec import CodecError, decode, encode
from abci_app.types import MAX_INTEGER
from openledger.documents import to_document
from openledger.errors import UsageError

KIND = "openledger-transaction"
VERSION = 1
_EMPTY_SIGNATURE = bytes(64)


class CanSign(Protocol):
    """A holder of one Ed25519 key: `openledger.Signer`, a hardware wallet, a signing service."""

    @property
    def public_key(self) -> bytes:
        """32 bytes."""

    def sign(self, digest: bytes) -> bytes:
        """64-byte signature over the 32-byte digest."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One account whose agreement is needed, and the signatures so far.

    `policy` is what counts for the account now; it travels in the transaction only while `present` (not stored yet).
    """

    account: bytes
    policy: bytes
    present: bool
    signatures: tuple[KeySignature, ...] = ()

    def keys(self) -> tuple[PolicyKey, ...]:
        """Keys that can sign here; a delegated key stands alone."""
        policy = decode_policy(self.policy)
        return (PolicyKey(1, policy.public_key, 1),) if isinstance(policy, DelegatedKey) else policy.keys

    def threshold(self) -> int:
        """Weight that is needed."""
        policy = decode_policy(self.policy)
        return policy.threshold if isinstance(policy, Policy) else 1

    def auth(self, signatures: tuple[KeySignature, ...]) -> Auth:
        """Make the part of the envelope that authenticates this account."""
        return Auth(self.account, self.policy if self.present else b"", signatures)


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction on its way to be signed."""

    body_bytes: bytes
    body: Body
    slots: tuple[Slot, ...]

    @property
    def transaction_id(self) -> bytes:
        """The 32 bytes that get signed."""
        return signed_digest(self.body_bytes)

    def sign(self, *signers: CanSign) -> "Draft":
        """Add each signer's signature wherever its key stands in a policy; raises `UsageError` if it stands in none."""
        draft = self
        for signer in signers:
            slots = tuple([_sign_slot(slot, signer, draft.transaction_id) for slot in draft.slots])
            if slots == draft.slots and not any(_place_of(slot, signer) is not None for slot in draft.slots):
                accounts = ", ".join([encode_id("open", slot.account) for slot in draft.slots])
                raise UsageError(f"key {signer.public_key.hex()} is in no policy of this transaction ({accounts})")
            draft = replace(draft, slots=slots)
        return draft

    def envelope(self) -> bytes:
        """The bytes to broadcast; raises `UsageError` while signatures are missing."""
        raw = encode_envelope(self.body_bytes, tuple([slot.auth(_choose(slot)) for slot in self.slots]))
        decode_transaction(raw)
        return raw

    def unsigned_envelope(self) -> bytes:
        """Make an envelope with empty signatures, as many as there can be: for dry runs and fee estimates."""
        return encode_envelope(self.body_bytes, tuple([slot.auth(_stand_ins(slot)) for slot in self.slots]))

    def missing(self) -> list[str]:
        """One line for each account whose signatures do not suffice yet."""
        return [text for text in [_lacks(slot) for slot in self.slots] if text]


def build(
    chain_id: str,
    slots: Sequence[Slot],
    sequence: int,
    messages: Sequence[Message],
    fee_limit_nopen: int,
    expiry_height: int = 0,
    memo_digest: bytes = b"",
) -> Draft:
    """A draft; `slots` are the sender's and, if somebody else pays, the sponsor's. Raises `UsageError`."""
    sponsor = slots[1].account if len(slots) > 1 else b""
    body = Body(
        chain_id=chain_id,
        sender=slots[0].account,
        sequence=sequence,
        fee_limit_nopen=fee_limit_nopen,
        expiry_height=expiry_height,
        sponsor=sponsor,
        memo_digest=memo_digest,
        messages=tuple(messages),
    )
    draft = _checked(encode(body), tuple(slots))
    try:
        decode_transaction(draft.unsigned_envelope())
    except Rejected as rejection:
        raise UsageError(rejection.text) from None
    return draft


def settle(draft: Draft, stored_policies: Mapping[bytes, bytes]) -> Draft:
    """The draft with policies present exactly where they must be, by what is stored for each account now.

    Policies are not signed: a transaction can be signed before and sent after an account's first one.
    """

    def settled(slot: Slot) -> Slot:
        if isinstance(decode_policy(slot.policy), DelegatedKey):
            return slot
        is_first = slot.account != draft.body.sender or not draft.body.sequence
        return replace(slot, present=is_first and not stored_policies[slot.account])

    return replace(draft, slots=tuple([settled(slot) for slot in draft.slots]))


def estimate_fee(draft: Draft, fees: Parameters) -> int:
    """Fee in nopen, at most: per byte with as many signatures as there can be, and for the work."""
    return fee_of(fees, decode_transaction(draft.unsigned_envelope()))


def with_fee(
    chain_id: str,
    slots: Sequence[Slot],
    sequence: int,
    messages: Sequence[Message],
    fees: Parameters,
    expiry_height: int = 0,
    memo_digest: bytes = b"",
) -> Draft:
    """A draft whose fee limit is the estimate."""
    fee_limit_nopen = MAX_INTEGER
    # The limit itself takes bytes: each round is at most the one before, and the second is exact.
    for _ in range(2):
        draft = build(chain_id, slots, sequence, messages, fee_limit_nopen, expiry_height, memo_digest)
        fee_limit_nopen = estimate_fee(draft, fees)
    return build(chain_id, slots, sequence, messages, fee_limit_nopen, expiry_height, memo_digest)


def combine(drafts: Sequence[Draft]) -> Draft:
    """All signatures of drafts of one transaction; raises `UsageError` when they are of different ones."""
    first = drafts[0]
    for draft in drafts[1:]:
        if draft.body_bytes != first.body_bytes or len(draft.slots) != len(first.slots):
            raise UsageError("the files hold different transactions: combine copies of the same one")
    slots = []
    for place, slot in enumerate(first.slots):
        others = [draft.slots[place] for draft in drafts]
        if any((other.account, other.policy) != (slot.account, slot.policy) for other in others):
            raise UsageError("the files name different policies for one account: build the transaction again")
        merged = {signature.key_index: signature for other in others for signature in other.signatures}
        slots.append(replace(slot, signatures=tuple([merged[index] for index in sorted(merged)])))
    return replace(first, slots=tuple(slots))


def delegated_slot(account: bytes, public_key: bytes) -> Slot:
    """The slot of an account for which a delegated key signs."""
    return Slot(account, encode(DelegatedKey(public_key)), present=True)


def single_slot(account: bytes, policy: Policy | bytes, stored_policy: bytes, sequence: int = 0) -> Slot:
    """The slot of an account: its stored policy counts; while none is stored, the first policy travels along.

    With the account's own first transaction, that is: those behind it will find the policy stored.
    """
    first = policy if isinstance(policy, bytes) else encode_policy(policy)
    return Slot(account, stored_policy or first, present=not stored_policy and not sequence)


# --- Files


def draft_document(draft: Draft) -> dict[str, Any]:
    """JSON form of a draft."""
    slots = [
        {
            "account": encode_id("open", slot.account),
            "policy": slot.policy.hex(),
            "present": slot.present,
            "signatures": [{"key_index": one.key_index, "signature": one.signature.hex()} for one in slot.signatures],
        }
        for slot in draft.slots
    ]
    return {
        "kind": KIND,
        "version": VERSION,
        "body": to_document(draft.body),
        "body_hex": draft.body_bytes.hex(),
        "signers": slots,
    }


def draft_text(draft: Draft) -> str:
    """The text of a draft file."""
    return json.dumps(draft_document(draft), indent=2) + "\n"


def read_draft(path: Path) -> Draft:
    """Read and check a draft file; raises `UsageError`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return draft_from_document(document)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a transaction file: {error}") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def draft_from_document(document: Any) -> Draft:
    """A draft from its JSON form; what people read must be what gets signed. Raises `UsageError`."""
    if not isinstance(document, dict) or (document.get("kind"), document.get("version")) != (KIND, VERSION):
        raise UsageError(f"not a transaction file of version {VERSION}")
    try:
        slots = tuple([_slot_from_document(slot) for slot in document["signers"]])
        draft = _checked(bytes.fromhex(document["body_hex"]), slots)
    except (KeyError, TypeError, ValueError, CodecError, Rejected) as error:
        raise UsageError(f"the transaction file is damaged: {error!r}") from None
    if to_document(draft.body) != document.get("body"):
        raise UsageError("`body` is not what `body_hex` says: do not sign this, build it again")
    return draft


def _slot_from_document(document: Any) -> Slot:
    signatures = tuple(
        [KeySignature(int(one["key_index"]), bytes.fromhex(one["signature"])) for one in document["signatures"]]
    )
    account = decode_id(document["account"], "open")[1]
    return Slot(
        account=account,
        policy=bytes.fromhex(document["policy"]),
        present=bool(document["present"]),
        signatures=signatures,
    )


def _checked(body_bytes: bytes, slots: tuple[Slot, ...]) -> Draft:
    try:
        body = decode(Body, body_bytes)
    except CodecError as error:
        raise UsageError(f"the transaction cannot be built: {error}") from None
    accounts = [body.sender, body.sponsor] if body.sponsor else [body.sender]
    if [slot.account for slot in slots] != accounts:
        raise UsageError("the signers must be the sender and, if there is one, the sponsor")
    return Draft(body_bytes, body, slots)


# --- Signatures


def _place_of(slot: Slot, signer: CanSign) -> int | None:
    return next((index for index, key in enumerate(slot.keys()) if key.public_key == signer.public_key), None)


def _sign_slot(slot: Slot, signer: CanSign, digest: bytes) -> Slot:
    place = _place_of(slot, signer)
    if place is None or any(one.key_index == place for one in slot.signatures):
        return slot
    made = [*slot.signatures, KeySignature(place, signer.sign(digest))]
    return replace(slot, signatures=tuple(sorted(made, key=lambda one: one.key_index)))


def _choose(slot: Slot) -> tuple[KeySignature, ...]:
    """A set of signatures from which none can be left out: the heaviest first, then without what is superfluous."""
    lacks = _lacks(slot)
    if lacks:
        raise UsageError(lacks)
    keys = slot.keys()
    chosen: list[KeySignature] = []
    weight = 0
    for one in sorted(slot.signatures, key=lambda one: (-keys[one.key_index].weight, one.key_index)):
        if weight < slot.threshold():
            chosen.append(one)
            weight += keys[one.key_index].weight
    return tuple(sorted(chosen, key=lambda one: one.key_index))


def _lacks(slot: Slot) -> str:
    keys = slot.keys()
    weight = sum([keys[one.key_index].weight for one in slot.signatures])
    if weight >= slot.threshold():
        return ""
    signed = [one.key_index for one in slot.signatures]
    open_keys = ", ".join([key.public_key.hex()[:16] for index, key in enumerate(keys) if index not in signed])
    account = encode_id("open", slot.account)
    return f"signatures of {account} weigh {weight} of {slot.threshold()}; keys that have not signed: {open_keys}"


def _stand_ins(slot: Slot) -> tuple[KeySignature, ...]:
    """Empty signatures of the largest minimal set: the lightest keys until the threshold is reached."""
    keys = slot.keys()
    chosen: list[int] = []
    weight = 0
    for index in sorted(range(len(keys)), key=lambda index: (keys[index].weight, index)):
        if weight < slot.threshold():
            chosen.append(index)
            weight += keys[index].weight
    for index in list(chosen):
        if weight - keys[index].weight >= slot.threshold():
            chosen.remove(index)
            weight -= keys[index].weight
    return tuple([KeySignature(index, _EMPTY_SIGNATURE) for index in sorted(chosen)])
