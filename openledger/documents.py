"""Messages, records and results as JSON documents, and back: what files and people see instead of MessagePack arrays.

A struct is an object of its fields (`type` first where it is a message: `bank.transfer`), 32-byte ids are bech32m where
the field's name says which kind, other bytes are hex, integers stay integers. Reading accepts what people write:
ids in bech32m or hex, amounts like `1.5OPEN`, shares like `12.5%`, names that a `Resolver` knows.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from abci_app.bech32 import IdError, decode_id, encode_id
from abci_app.chain.registry import MESSAGE_NAMES, MESSAGES_BY_TAG, TAG_OF
from abci_app.module import Message
from abci_app.state.codec import CodecError, decode, encode
from openledger.amounts import parse_amount, parse_share
from openledger.errors import UsageError
from openledger.words import number_of, words_of

# (id prefix, text) -> 32 bytes, or None when the text is no name that it knows.
Resolver = Callable[[str, str], bytes | None]

_WORDS_OF_PREFIX: dict[str, tuple[str, ...]] = {
    "open": (
        "account", "address", "contributor", "creator", "evaluator", "holder", "member", "operator", "owner", "payee",
        "payer", "recipient", "recorder", "registrar", "reviewer", "sender", "sponsor", "submitter",
    ),
    "oldata": ("datanet", "benchmark"),
    "olrun": ("ancestor", "child", "descendant", "entry", "entries", "head", "parent", "run", "supersedes"),
    "olmodel": ("model",),
    "olterms": ("terms",),
    "olcontrib": ("contribution",),
}  # fmt: skip
_PREFIX_OF_WORD = {word: prefix for prefix, words in _WORDS_OF_PREFIX.items() for word in words}
# Joined terms are computed, not registered: their id must not pass for that of terms.
_NOT_IDS = frozenset({"joined_terms"})
# The chain wants these lists sorted and without repetition.
_SORTED_FIELDS = frozenset({"reviewers", "message_types", "fields_of_use", "excluded_domains"})
# Id prefix -> the command that lists what there is.
_LISTED_BY = {
    "open": "keys list",
    "oldata": "query datanets list",
    "olrun": "query models entries",
    "olmodel": "query models list",
    "olterms": "query licences list",
    "olcontrib": "query datanets contributions",
}
_ID_BYTES = 32
NAME_OF_TAG: dict[int, str] = {tag: name for name, tag in MESSAGE_NAMES.items()}


def id_prefix(field: str, struct: str = "") -> str:
    """Which kind of id a field of this name holds, or empty: `benchmark_datanet_id` -> `oldata`."""
    stem = field.removesuffix("_ids").removesuffix("_id")
    if stem in ("id", "ids"):
        stem = struct.lower()
        for word in ("datanet", "contribution", "entry", "model", "terms"):
            if stem.startswith(word):
                return _PREFIX_OF_WORD[word]
        return ""
    if stem in _NOT_IDS:
        return ""
    last = stem.rsplit("_", 1)[-1]
    return _PREFIX_OF_WORD.get(last) or _PREFIX_OF_WORD.get(last.removesuffix("s"), "")


# --- Out


def to_document(value: Any, field: str = "", struct: str = "") -> Any:
    """JSON form of a message, record, result or anything made of them."""
    if isinstance(value, msgspec.Struct):
        document = {name: to_document(getattr(value, name), name, type(value).__name__) for name in _fields(value)}
        if isinstance(value, Message):
            return {"type": NAME_OF_TAG[TAG_OF[type(value)]], **document}
        return document
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value).__name__
        shown = [item.name for item in fields(value) if not item.name.startswith("_")]
        return {name: to_document(getattr(value, name), name, kind) for name in shown}
    if isinstance(value, bytes | bytearray):
        prefix = id_prefix(field, struct)
        return encode_id(prefix, bytes(value)) if prefix and len(value) == _ID_BYTES else value.hex()
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(key): to_document(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(item, field, struct) for item in value]
    return value


def _fields(value: msgspec.Struct) -> tuple[str, ...]:
    return value.__struct_fields__


# --- In


def message_from_document(document: Any, resolve: Resolver | None = None) -> Message:
    """A message from `{"type": "bank.transfer", ...}`; raises `UsageError` naming the field."""
    if not isinstance(document, dict) or not isinstance(document.get("type"), str):
        raise UsageError('a message is an object with a "type", such as {"type": "bank.transfer", ...}')
    values = dict(document)
    name = values.pop("type")
    message: Message = from_document(message_class(name), values, resolve, name)
    message.validate()
    return message


def message_class(name: str) -> type[Message]:
    """Message class of `module.message`; raises `UsageError`."""
    if name not in MESSAGE_NAMES:
        raise UsageError(f"no message {name!r}; known: {', '.join(sorted(MESSAGE_NAMES))}")
    return MESSAGES_BY_TAG[MESSAGE_NAMES[name]]


def from_document(struct: type[Any], document: Any, resolve: Resolver | None = None, place: str = "") -> Any:
    """A struct from its JSON form, checked as the chain would check it; raises `UsageError` naming the field."""
    value = _read_struct(type_info(struct), document, resolve, place or struct.__name__)
    try:
        return decode(struct, encode(value))
    except CodecError as error:
        raise UsageError(f"{place or struct.__name__}: {_name_fields(str(error), struct)}") from None


def _name_fields(text: str, struct: type[Any]) -> str:
    """Array positions in a codec's text as field names: `$[3]` -> `name` (element 0 is the type tag)."""
    names = [field.name for field in type_info(struct).fields]
    first = 0 if struct.__struct_config__.tag is None else 1

    def name(found: re.Match[str]) -> str:
        place = int(found.group(1)) - first
        return names[place] if 0 <= place < len(names) else found.group(0)

    return re.sub(r"\$\[([0-9]+)\]", name, text)


_type_info = cache(inspect.type_info)


def type_info(struct: Any) -> Any:
    """msgspec's description of a struct type."""
    return _type_info(struct)


def _read_struct(info: Any, document: Any, resolve: Resolver | None, place: str) -> Any:
    if not isinstance(document, dict):
        raise UsageError(f"{place}: give an object with {', '.join([field.name for field in info.fields])}")
    names = [field.name for field in info.fields]
    unknown = [name for name in document if name not in names]
    if unknown:
        raise UsageError(f"{place}: no field {unknown[0]!r}; fields: {', '.join(names) or 'none'}")
    missing = [field.name for field in info.fields if field.required and field.name not in document]
    if missing:
        raise UsageError(f"{place}: field {missing[0]!r} is missing ({describe_type(info, missing[0])})")
    values = {
        field.name: read_value(field.type, document[field.name], resolve, field.name, f"{place}.{field.name}")
        for field in info.fields
        if field.name in document
    }
    return info.cls(**values)


def read_value(info: Any, value: Any, resolve: Resolver | None, field: str, place: str) -> Any:
    """One value of any type that messages use, from JSON or from text on a command line."""
    try:
        if isinstance(info, inspect.BytesType):
            return _read_bytes(info, value, resolve, field)
        if isinstance(info, inspect.IntType):
            return _read_integer(value, field)
        if isinstance(info, inspect.StrType):
            return str(value)
        if isinstance(info, inspect.VarTupleType | inspect.ListType):
            return _read_list(info.item_type, value, resolve, field, place)
        if isinstance(info, inspect.TupleType):
            items = _items(info.item_types[0], value)
            if len(items) != len(info.item_types):
                raise UsageError(f"needs {len(info.item_types)} values, got {len(items)}")
            return tuple(
                [
                    read_value(kind, item, resolve, field, place)
                    for kind, item in zip(info.item_types, items, strict=True)
                ]
            )
        if isinstance(info, inspect.StructType):
            return _read_struct(info, _parsed(value), resolve, place)
        if isinstance(info, inspect.UnionType):
            return _read_union(info, _parsed(value), resolve, field, place)
    except IdError as error:
        raise UsageError(f"{place}: {error}") from None
    except UsageError as error:
        text = str(error)
        raise UsageError(text if text.startswith(place) else f"{place}: {text}") from None
    raise UsageError(f"{place}: values of type {type(info).__name__} cannot be written here")


def _read_list(item_type: Any, value: Any, resolve: Resolver | None, field: str, place: str) -> tuple[Any, ...]:
    items = [
        read_value(item_type, item, resolve, field, f"{place}[{number}]")
        for number, item in enumerate(_items(item_type, value))
    ]
    return tuple(sorted(set(items)) if field in _SORTED_FIELDS else items)


def _read_bytes(info: Any, value: Any, resolve: Resolver | None, field: str) -> bytes:
    text = str(value).strip()
    prefix = id_prefix(field)
    if not text:
        return b""
    if text.startswith("@"):
        return _read_file(text[1:])
    if prefix and text.lower().startswith(f"{prefix}1"):
        return decode_id(text, prefix)[1]
    wanted = info.max_length if info.min_length == info.max_length else None
    if prefix:
        # Shorter hex digits are a name that somebody may well have given.
        wanted = _ID_BYTES
    if _is_hex(text) and (wanted is None or len(text) == 2 * wanted):
        return bytes.fromhex(text)
    found = resolve(prefix, text) if resolve is not None and prefix else None
    if found is not None:
        return found
    if "1" in text and not _is_hex(text):
        return decode_id(text, prefix or None)[1]
    if prefix:
        raise UsageError(
            f"{text!r} is neither an id ({prefix}1...), nor 64 hex digits, nor a name that is known here: "
            f"see `openledger {_LISTED_BY.get(prefix, 'query --help')}`"
        )
    raise UsageError(f"{text!r} is neither hex digits of the right number nor @FILE")


def _read_integer(value: Any, field: str) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    text = str(value).strip()
    if field.endswith("_nopen"):
        return parse_amount(text)
    if field.endswith(("_ppb", "share")):
        return parse_share(text)
    if field == "roles":
        return _read_roles(text)
    if field in ("message_type", "message_types") and text in MESSAGE_NAMES:
        return MESSAGE_NAMES[text]
    number = number_of(field, text)
    if number is not None:
        return number
    if text.lower() in ("yes", "true", "no", "false"):
        return int(text.lower() in ("yes", "true"))
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise UsageError(f"{text!r} is not a whole number") from None


def _read_roles(text: str) -> int:
    from abci_app.modules.members import Role

    if text.isdecimal():
        return int(text)
    bits = 0
    for name in [part.strip() for part in text.split(",") if part.strip()]:
        if name.upper() not in Role.__members__:
            known = ", ".join([role.name.lower() for role in Role])
            raise UsageError(f"no role {name!r}; known: {known}")
        bits |= Role[name.upper()]
    return bits


def _read_union(info: Any, value: Any, resolve: Resolver | None, field: str, place: str) -> Any:
    error: UsageError | None = None
    for kind in info.types:
        try:
            return read_value(kind, value, resolve, field, place)
        except UsageError as failure:
            error = failure
    raise error or UsageError(f"{place}: no form fits")


def _items(item_type: Any, value: Any) -> list[Any]:
    """A list from JSON, from JSON text, or from `a,b,c`."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith(("[", "@")) or isinstance(item_type, inspect.StructType | inspect.TupleType):
            value = _parsed(text)
        else:
            return [part.strip() for part in text.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise UsageError("give a list")
    return list(value)


def _parsed(value: Any) -> Any:
    """JSON text, or `@FILE` with JSON, as a value; anything else as it is."""
    if not isinstance(value, str):
        return value
    text = _read_file(value[1:]).decode("utf-8", "replace") if value.startswith("@") else value
    try:
        return msgspec.json.decode(text.encode("utf-8"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"not JSON: {error}") from None


def _read_file(path: str) -> bytes:
    from pathlib import Path

    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"file {path!r} cannot be read: {error.strerror}") from None


def _is_hex(text: str) -> bool:
    return len(text) % 2 == 0 and set(text) <= set("0123456789abcdefABCDEF")


def describe_type(info: Any, field: str = "") -> str:
    """Type and limits of a value in words, for help texts: `32-byte id open1..., its name or hex`."""
    if isinstance(info, inspect.StructType) and field in [item.name for item in info.fields]:
        info = next(item.type for item in info.fields if item.name == field)
    if isinstance(info, inspect.BytesType):
        prefix = id_prefix(field)
        if prefix:
            return f"{prefix}1... or name" + (", may be empty" if not info.min_length else "")
        size = f"{info.max_length}" if info.min_length == info.max_length else f"up to {info.max_length}"
        return f"hex of {size} bytes" if info.max_length else "hex"
    if isinstance(info, inspect.IntType):
        return _describe_integer(info, field)
    if isinstance(info, inspect.StrType):
        return f"text of at most {info.max_length} characters" if info.max_length else "text"
    if isinstance(info, inspect.VarTupleType | inspect.ListType):
        most = f"up to {info.max_length} " if info.max_length else ""
        return f"list of {most}[{describe_type(info.item_type, field)}]"
    if isinstance(info, inspect.TupleType):
        return "[" + ", ".join([describe_type(item, field) for item in info.item_types]) + "]"
    if isinstance(info, inspect.StructType):
        return "JSON {" + ", ".join([item.name for item in info.fields]) + "}"
    if isinstance(info, inspect.UnionType):
        return " or ".join([describe_type(item, field) for item in info.types])
    return type(info).__name__


def _describe_integer(info: Any, field: str) -> str:
    if field.endswith("_nopen"):
        return "amount such as 1.5OPEN or nopen"
    if field.endswith("_ppb"):
        return "share such as 12.5% or parts per billion"
    if field == "roles":
        return "role names, comma-separated"
    if words_of(field):
        return " or ".join(words_of(field))
    if (info.ge, info.le) == (0, 1):
        return "yes or no"
    if info.le is None or info.le >= 2**63 - 1:
        return "whole number"
    return f"whole number {info.ge or 0} to {info.le}"
