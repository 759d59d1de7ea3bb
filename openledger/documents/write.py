"""Documents of messages, records and results."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import msgspec

from abci_app.bech32 import encode_id
from abci_app.chain.registry import TAG_OF
from abci_app.module import Message
from openledger.documents.fields import ID_BYTES, MESSAGE_TYPE_FIELDS, NAME_OF_TAG, id_prefix, type_info
from openledger.words import is_flag, word_of_number, words_of_type


def to_document(value: Any, field: str = "", struct: str = "") -> Any:
    """JSON form of a message, record, result or anything made of them."""
    if isinstance(value, msgspec.Struct):
        document = {
            item.name: _field_document(getattr(value, item.name), item.type, item.name, type(value).__name__)
            for item in type_info(type(value)).fields
        }
        if isinstance(value, Message):
            return {"type": NAME_OF_TAG[TAG_OF[type(value)]], **document}
        return document
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value).__name__
        shown = [item.name for item in fields(value) if not item.name.startswith("_")]
        return {name: to_document(getattr(value, name), name, kind) for name in shown}
    if isinstance(value, bytes | bytearray):
        prefix = id_prefix(field, struct)
        return encode_id(prefix, bytes(value)) if prefix and len(value) == ID_BYTES else value.hex()
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(key): to_document(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(item, field, struct) for item in value]
    return value


def _field_document(value: Any, info: Any, field: str, struct: str) -> Any:
    """A field's value: words and booleans for numbers that stand for them, names for types of messages."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _number_document(value, info, field)
    if isinstance(value, tuple | list) and value and isinstance(value[0], int):
        return [_number_document(item, info, field) for item in value]
    return to_document(value, field, struct)


def _number_document(value: int, info: Any, field: str) -> Any:
    kind = words_of_type(info)
    if kind is not None:
        return word_of_number(kind, value)
    if is_flag(info):
        return bool(value)
    if field in MESSAGE_TYPE_FIELDS:
        return NAME_OF_TAG.get(value, value)
    if field == "roles":
        return _role_names(value)
    return value


def _role_names(bits: int) -> list[str] | int:
    """Names of the roles in a set of bits; the number itself where a bit has no name."""
    from abci_app.modules.members import Role

    known = [role for role in Role if bits & role]
    return [role.name.lower() for role in known] if sum(known) == bits else bits
