"""Types and limits of fields in words, for help texts."""

from typing import Any

from msgspec import inspect

from abci_app.modules.licences import Terms
from openledger.documents.fields import KEY_FIELDS, MESSAGE_TYPE_FIELDS, id_prefix
from openledger.words import is_flag, words, words_of_type


def describe_type(info: Any, field: str = "") -> str:
    """Type and limits of a value in words, for help texts: `32-byte id open1..., its name or hex`."""
    if isinstance(info, inspect.StructType) and field in [item.name for item in info.fields]:
        info = next(item.type for item in info.fields if item.name == field)
    marked, info = info, info.type if isinstance(info, inspect.Metadata) else info
    if isinstance(info, inspect.BytesType):
        prefix = id_prefix(field)
        if prefix:
            return f"{prefix}1... or name" + (", may be empty" if not info.min_length else "")
        if field in KEY_FIELDS:
            return "name of a key, or hex"
        size = f"{info.max_length}" if info.min_length == info.max_length else f"up to {info.max_length}"
        return f"hex of {size} bytes" if info.max_length else "hex"
    if isinstance(info, inspect.IntType):
        return _describe_integer(marked, info, field)
    if isinstance(info, inspect.StrType):
        return f"text of at most {info.max_length} characters" if info.max_length else "text"
    if isinstance(info, inspect.VarTupleType | inspect.ListType):
        most = f"up to {info.max_length} " if info.max_length else ""
        return f"list of {most}[{describe_type(info.item_type, field)}]"
    if isinstance(info, inspect.TupleType):
        return "[" + ", ".join([describe_type(item, field) for item in info.item_types]) + "]"
    if isinstance(info, inspect.StructType):
        left_out = "; with spdx, what the licence says may be left out" if info.cls is Terms else ""
        return "JSON {" + ", ".join([item.name for item in info.fields]) + "}" + left_out
    if isinstance(info, inspect.UnionType):
        return " or ".join([describe_type(item, field) for item in info.types])
    return type(info).__name__


def _describe_integer(marked: Any, info: Any, field: str) -> str:
    if field.endswith("_nopen"):
        return "amount such as 1.5OPEN or nopen"
    if field.endswith("_ppb"):
        return "share such as 12.5% or parts per billion"
    if field in MESSAGE_TYPE_FIELDS:
        return "type of message, such as bank.transfer"
    if field == "roles":
        return "role names, comma-separated"
    kind = words_of_type(marked)
    if kind is not None:
        return " or ".join(words(kind))
    if is_flag(marked):
        return "yes or no"
    if info.le is None or info.le >= 2**63 - 1:
        return "whole number"
    return f"whole number {info.ge or 0} to {info.le}"
