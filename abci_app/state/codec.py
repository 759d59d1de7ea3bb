"""Canonical MessagePack: the one encoding of messages, records, state values and query arguments.

Every value is a fixed-order array whose element 0 is its version or type tag. Shortest integer forms, `bin` for
bytes, `str` for printable ASCII. Decoding accepts exactly the bytes that encoding produces: input that does not
re-encode to itself is rejected, and so are trailing bytes. Every exception that msgspec can raise while decoding
(`DecodeError`, `ValidationError`, `UnicodeDecodeError`, `OverflowError`) becomes one `CodecError`.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import msgpack

T = TypeVar("T")
_encoder = msgpack.Encoder()
encode = _encoder.encode
_decoders: dict[Any, "msgpack.Decoder[Any]"] = {}


class CodecError(ValueError):
    """The bytes are not the canonical encoding of the expected type; the text names the field where known."""


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of every message, record and state value: a frozen array; subclasses give `tag=<version or type tag>`."""


def decoder_of(type_: type[T]) -> "msgpack.Decoder[T]":
    """The decoder for a type, made once."""
    decoder = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders.setdefault(type_, msgpack.Decoder(type_))
    return decoder


def decode(type_: type[T], data: bytes) -> T:
    """Decode untrusted canonical bytes. Raises `CodecError` for anything but the canonical encoding of `type_`."""
    try:
        value: T = decoder_of(type_).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise CodecError(str(error) or type(error).__name__) from error
    if _encoder.encode(value) != data:
        raise CodecError("encoding is not canonical (longer integer form, trailing or surplus bytes)")
    return value
