"""`transaction.json`: accounts, signed transactions with one message of every type, ids, and what decoding refuses."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]  # an independent codec, to write what ours would not

from abci_app.bech32 import encode_id
from abci_app.chain.registry import HANDLERS, MESSAGE_NAMES, TAG_OF
from abci_app.chain.transaction import decode_transaction
from abci_app.errors import Rejected
from abci_app.hashing import TAGS, sha256
from abci_app.module import FEES_ACCOUNT, TREASURY_ACCOUNT, Message
from abci_app.modules.bank import Burn, Transfer
from abci_app.modules.datanets.records import contribution_id_of
from abci_app.modules.models.records import entry_id_of
from abci_app.state.codec import Record, encode
from tests.golden.samples import (
    ADAPTER,
    AGENT,
    ALICE,
    CONTRIBUTION,
    IMPORT,
    MESSAGES,
    SHARED,
    SPONSOR,
    TERMS,
    TERMS_ID,
    UNDECLARED,
    digest,
    object_id,
)
from tests.golden.values import plain, typed
from tests.kit.signing import CHAIN_ID, Signer

_NAMES = {tag: name for name, tag in MESSAGE_NAMES.items()}


def _message(message: Message) -> dict[str, Any]:
    return {"type": _NAMES[TAG_OF[type(message)]], **typed(message)}


def _account(name: str, signer: Signer) -> dict[str, Any]:
    return {
        "name": name,
        "keys": [{"seed": key.secret[:32].hex(), "public_key": key.public.hex()} for key in signer.keys],
        "policy": signer.policy.hex(),
        "address": signer.address.hex(),
        "address_text": encode_id("open", signer.address),
    }


def _transaction(name: str, raw: bytes) -> dict[str, Any]:
    transaction = decode_transaction(raw)
    body = transaction.body
    [_, body_bytes, _] = msgpack.unpackb(raw)
    fields = {key: value for key, value in typed(body).items() if key not in ("tag", "messages")}
    return {
        "name": name,
        "body": {**fields, "messages": [_message(message) for message in body.messages]},
        "body_bytes": body_bytes.hex(),
        "signed_digest": transaction.signed_digest.hex(),
        "auths": plain(transaction.auths),
        "envelope": raw.hex(),
        "cometbft_hash": sha256(raw).hex(),
    }


def _transactions() -> list[dict[str, Any]]:
    made = [_transaction(_NAMES[TAG_OF[type(message)]], _signed(message)) for message in MESSAGES]
    transfer = Transfer(SHARED.address, 1)
    shared = Signer.shared(2, "one", "two", "three")
    shared.sequence = 200
    sponsored = _signer().transaction(transfer, Burn(1), expiry_height=500, sponsor=SPONSOR)
    cases = {
        "first transaction, with the policy": _signer().transaction(transfer),
        "policy already stored": _signer().transaction(transfer, with_policy=False),
        "sponsored, two messages": sponsored,
        "two of three keys, memo digest": shared.transaction(transfer, memo_digest=digest("memo")),
        "delegated key": _signer().delegated_transaction(AGENT, transfer),
        "largest sequence": _signer().transaction(transfer, sequence=2**63 - 1),
    }
    return made + [_transaction(name, raw) for name, raw in cases.items()]


def _signer() -> Signer:
    return Signer.named("alice")


def _signed(message: Message) -> bytes:
    return _signer().transaction(message, sequence=7)


def _refused() -> list[dict[str, Any]]:
    """Wrong before any state is asked."""
    raw = _signed(Transfer(SHARED.address, 1))
    [_, body_bytes, auths] = msgpack.unpackb(raw)
    body = msgpack.unpackb(body_bytes)

    def with_body(changed: bytes, auths: list[Any] = auths) -> bytes:
        packed: bytes = msgpack.packb([1, changed, auths])
        return packed

    def with_field(place: int, value: Any, auths: list[Any] = auths) -> bytes:
        return with_body(msgpack.packb([*body[:place], value, *body[place + 1 :]]), auths)

    transfer = body[8][0]
    cases = {
        "trailing byte": raw + b"\x00",
        "cut off": raw[:-1],
        "empty": b"",
        "envelope version 2": b"\x93\x02" + raw[2:],
        "body version 2": with_field(0, 2),
        "trailing byte in the body": with_body(body_bytes + b"\x00"),
        "sequence not in its shortest form": with_body(body_bytes.replace(b"\x07\xce", b"\xcc\x07\xce", 1)),
        "sequence above 2^63-1": with_field(3, 2**63),
        "negative fee limit": with_field(4, -1),
        "fee limit as a float": with_field(4, 1.0),
        "sponsor as nil": with_field(6, None),
        "chain id with a line end": with_field(1, CHAIN_ID + "\n"),
        "chain id not ASCII": with_field(1, "chäin"),
        "sender of 31 bytes": with_field(2, bytes(31)),
        "memo digest of 31 bytes": with_field(7, bytes(31)),
        "no messages": with_field(8, []),
        "17 messages": with_field(8, [transfer] * 17),
        "unknown message type": with_field(8, [[0x7FFF, *transfer[1:]]]),
        "message with a field too many": with_field(8, [[*transfer, 1]]),
        "message with a field too few": with_field(8, [transfer[:-1]]),
        "message as a map": with_field(8, [{"recipient": transfer[1]}]),
        "two changes of keys": with_field(8, [[0x13, SPONSOR.keys[0].public], [0x13, ALICE.keys[0].public]]),
        "transfer of nothing": with_field(8, [[*transfer[:2], 0]]),
        "no signature": msgpack.packb([1, body_bytes, [[*auths[0][:2], []]]]),
        "no auth": msgpack.packb([1, body_bytes, []]),
        "auth of another account": msgpack.packb([1, body_bytes, [[bytes(32), *auths[0][1:]]]]),
        "signature of 63 bytes": msgpack.packb([1, body_bytes, [[*auths[0][:2], [[0, bytes(63)]]]]]),
        "policy with a threshold out of reach": msgpack.packb(
            [1, body_bytes, [[auths[0][0], msgpack.packb([1, 2, msgpack.unpackb(ALICE.policy)[2]]), auths[0][2]]]]
        ),
        "sponsor without expiry": with_field(6, SPONSOR.address, [*auths, [SPONSOR.address, b"", auths[0][2]]]),
        "sponsor is the sender": with_field(6, ALICE.address),
    }
    refused = []
    for why, wrong in cases.items():
        try:
            decode_transaction(wrong)
        except Rejected as error:
            refused.append({"why": why, "code": int(error.code), "code_name": error.code.name, "envelope": wrong.hex()})
        else:
            raise AssertionError(f"accepted: {why}")
    return refused


def _content_id(kind: str, prefix: str, record: Record, made: bytes) -> dict[str, Any]:
    return {
        "kind": kind,
        "hash_tag": TAGS[f"{kind}_id"],
        "record": typed(record),
        "record_bytes": encode(record).hex(),
        "id": made.hex(),
        "text": encode_id(prefix, made),
    }


def _object_id(kind: str, prefix: str, sequence: int, message_index: int) -> dict[str, Any]:
    made = object_id(kind, ALICE.address, sequence, message_index)
    return {
        "kind": kind,
        "hash_tag": TAGS[f"{kind}_id"],
        "chain_id": CHAIN_ID,
        "sender": ALICE.address.hex(),
        "sequence": sequence,
        "message_index": message_index,
        "id": made.hex(),
        "text": encode_id(prefix, made),
    }


def make() -> dict[str, Any]:
    """The content of the file."""
    if {type(message) for message in MESSAGES} != set(HANDLERS):
        raise AssertionError("MESSAGES must hold one message of every type")
    return {
        "about": "see README.md; bytes are lower-case hex, integers above 2^53-1 decimal text",
        "chain_id": CHAIN_ID,
        "delegated_key": {"seed": AGENT.secret[:32].hex(), "public_key": AGENT.public.hex()},
        "accounts": [
            _account("alice", ALICE),
            _account("sponsor", SPONSOR),
            _account("two of three", SHARED),
        ],
        "transactions": _transactions(),
        "refused": _refused(),
        "content_ids": [
            _content_id("terms", "olterms", TERMS, TERMS_ID),
            _content_id("contribution", "olcontrib", CONTRIBUTION, contribution_id_of(CONTRIBUTION)),
            _content_id("entry", "olrun", IMPORT, entry_id_of(IMPORT)),
            _content_id("entry", "olrun", UNDECLARED, entry_id_of(UNDECLARED)),
            _content_id("entry", "olrun", ADAPTER, entry_id_of(ADAPTER)),
        ],
        "object_ids": [_object_id("datanet", "oldata", 3, 0), _object_id("model", "olmodel", 4, 1)],
        "module_accounts": [
            {"name": "fees", "address": FEES_ACCOUNT.hex()},
            {"name": "treasury", "address": TREASURY_ACCOUNT.hex()},
        ],
    }
