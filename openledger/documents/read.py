"""Messages and records from their documents, or from text on a command line."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

from abci_app.bech32 import IdError, decode_id
from abci_app.chain.registry import MESSAGE_NAMES, MESSAGES_BY_TAG
from abci_app.module import Message
from abci_app.modules.licences import Terms
from abci_app.state.codec import CodecError, decode, encode
from openledger.amounts import parse_amount, parse_share
from openledger.documents.describe import describe_type
from openledger.documents.fields import ID_BYTES, KEY_FIELDS, MESSAGE_TYPE_FIELDS, id_prefix, type_info
from openledger.documents.versioned import with_versions
from openledger.errors import KeyFailure, NotKnown, UsageError
from openledger.licences import completed, normal_form
from openledger.words import is_flag, number_of_word, words, words_of_type

# (id prefix, text) -> 32 bytes, or None when the text is no name that it knows.
Resolver = Callable[[str, str], bytes | None]

# The chain wants these lists sorted and without repetition.
_SORTED_FIELDS = frozenset({"reviewers", "message_types", "fields_of_use", "excluded_domains"})
# Id prefix -> the command that lists what there is.
_LISTED_BY = {
    "open": "keys list",
    "oldata": "data list",
    "olrun": "query models entries",
    "olmodel": "model list",
    "olterms": "terms list",
    "olcontrib": "query datanets contributions",
}


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


def _read_struct(info: Any, document: Any, resolve: Resolver | None, place: str) -> Any:
    if not isinstance(document, dict):
        raise UsageError(f"{place}: give an object with {', '.join([field.name for field in info.fields])}")
    if info.cls is Terms and "spdx" in document:
        document = completed(document)
    names = [field.name for field in info.fields]
    document = with_versions(document, names)
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
    bare = info.type if isinstance(info, inspect.Metadata) else info
    try:
        if isinstance(bare, inspect.BytesType):
            return _read_bytes(bare, value, resolve, field)
        if isinstance(bare, inspect.IntType):
            return _read_integer(value, info, field)
        info = bare
        if isinstance(info, inspect.StrType):
            return normal_form(str(value)) if field == "spdx" else str(value)
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
    except (UsageError, KeyFailure) as error:
        text = str(error)
        raise type(error)(text if text.startswith(place) else f"{place}: {text}") from None
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
    if field in KEY_FIELDS and resolve is not None:
        found = resolve(KEY_FIELDS[field], text)
        if found is not None:
            return found
    wanted = info.max_length if info.min_length == info.max_length else None
    if prefix:
        # Shorter hex digits are a name that somebody may well have given.
        wanted = ID_BYTES
    if _is_hex(text) and (wanted is None or len(text) == 2 * wanted):
        return bytes.fromhex(text)
    found = resolve(prefix, text) if resolve is not None and prefix else None
    if found is not None:
        return found
    if "1" in text and not _is_hex(text):
        return decode_id(text, prefix or None)[1]
    if prefix:
        # One kind of refusal, one exit code: a key that is not here, or an object that nobody knows by that name.
        kind = KeyFailure if prefix == "open" else NotKnown
        raise kind(
            f"{text!r} is neither an id ({prefix}1...), nor 64 hex digits, nor a name that is known here: "
            f"see `openledger {_LISTED_BY.get(prefix, 'query --help')}`"
        )
    if field in KEY_FIELDS and resolve is not None:
        raise KeyFailure(
            f"{text!r} is neither a key that is known here nor hex digits of the right number: "
            "see `openledger keys list`"
        )
    raise UsageError(f"{text!r} is neither hex digits of the right number nor @FILE")


def _read_integer(value: Any, info: Any, field: str) -> int:
    kind = words_of_type(info)
    if kind is not None:
        if isinstance(value, bool):
            raise UsageError(f"{value} says nothing here: use one of {', '.join(words(kind))}")
        return value if isinstance(value, int) else number_of_word(kind, str(value))
    if is_flag(info):
        return _read_flag(value)
    if isinstance(value, bool):
        raise UsageError(f"{value} is no number")
    if isinstance(value, int):
        return value
    if field == "roles":
        return _read_roles(value)
    text = str(value).strip()
    if field.endswith("_nopen"):
        return parse_amount(text)
    if field.endswith(("_ppb", "share")):
        return parse_share(text)
    if field in MESSAGE_TYPE_FIELDS and not text.isdecimal():
        return _message_type(text)
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise UsageError(f"{text!r} is not a whole number") from None


def _message_type(text: str) -> int:
    name = text.replace("-", "_").replace(" ", ".")
    if name not in MESSAGE_NAMES:
        near = get_close_matches(name, MESSAGE_NAMES, 3, 0.5)
        raise UsageError(f"no message {text!r}; {'perhaps ' if near else ''}{', '.join(near or sorted(MESSAGE_NAMES))}")
    return MESSAGE_NAMES[name]


def _read_flag(value: Any) -> int:
    text = str(value).strip().lower()
    if text in ("yes", "true", "1"):
        return 1
    if text in ("no", "false", "0"):
        return 0
    raise UsageError(f"{text!r} is neither yes nor no")


def _read_roles(value: Any) -> int:
    """Bits of role names: a list, or text with commas."""
    from abci_app.modules.members import Role

    names = value if isinstance(value, list | tuple) else str(value).split(",")
    names = [str(name).strip() for name in names if str(name).strip()]
    if len(names) == 1 and names[0].isdecimal():
        return int(names[0])
    bits = 0
    for name in names:
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
