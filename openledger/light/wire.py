"""Protobuf bytes that validators hash and sign, written by hand: four kinds of field, so every byte is in sight.

As in proto3 an empty scalar is left out; CometBFT writes some messages even when they are empty (`message` here).
Field numbers: cometbft.md 2.5 and 4.1.
"""

from abci_app.hashing import uvarint

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_PRECOMMIT = 2
NANOSECONDS_PER_SECOND = 10**9


def varint(number: int, value: int) -> bytes:
    """int32/int64/uint64 field; a negative value takes ten bytes."""
    return bytes((number << 3 | _VARINT,)) + uvarint(value & (2**64 - 1)) if value else b""


def sfixed64(number: int, value: int) -> bytes:
    """sfixed64 field."""
    return bytes((number << 3 | _FIXED64,)) + value.to_bytes(8, "little", signed=True) if value else b""


def text_or_bytes(number: int, value: bytes) -> bytes:
    """string or bytes field."""
    return message(number, value) if value else b""


def message(number: int, content: bytes) -> bytes:
    """Embedded message, present even when empty."""
    return bytes((number << 3 | _BYTES,)) + uvarint(len(content)) + content


def timestamp(time_ns: int) -> bytes:
    """google.protobuf.Timestamp of nanoseconds since 1970; nanos are never negative."""
    seconds, nanos = divmod(time_ns, NANOSECONDS_PER_SECOND)
    return varint(1, seconds) + varint(2, nanos)


def block_id(block_hash: bytes, parts_total: int, parts_hash: bytes) -> bytes:
    """BlockID and CanonicalBlockID; the part set header is always there."""
    return text_or_bytes(1, block_hash) + message(2, varint(1, parts_total) + text_or_bytes(2, parts_hash))


def consensus_version(block_version: int, app_version: int) -> bytes:
    """Consensus: version of the block protocol and of the application."""
    return varint(1, block_version) + varint(2, app_version)


def simple_validator(public_key: bytes, power: int) -> bytes:
    """SimpleValidator with an ed25519 key: a leaf of validators_hash."""
    return message(1, message(1, public_key)) + varint(2, power)


def precommit(chain_id: str, height: int, round_: int, block_id_content: bytes | None, time_ns: int) -> bytes:
    """Sign bytes of a precommit: CanonicalVote behind its length; `None` for a vote for nil."""
    content = (
        varint(1, _PRECOMMIT)
        + sfixed64(2, height)
        + sfixed64(3, round_)
        + (b"" if block_id_content is None else message(4, block_id_content))
        + message(5, timestamp(time_ns))
        + text_or_bytes(6, chain_id.encode("utf-8"))
    )
    return uvarint(len(content)) + content
