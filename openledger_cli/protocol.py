"""Reference of the protocol's bytes, from the types themselves: tables, records, messages, queries, codes, tags.

`scripts/help` writes docs/protocol/reference.md with it, for people who write another implementation. The pages
beside that file say in words how the bytes are used.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from msgspec import Struct, inspect

from abci_app.chain.registry import MESSAGE_NAMES, MODULES, TABLES, TAG_OF, all_queries
from abci_app.errors import Code
from abci_app.hashing import LIST_KINDS, TAGS
from abci_app.state.codec import Record
from abci_app.state.table import HASHED, Item, KeyPart, Map, Table
from openledger.documents import type_info
from openledger.words import word_of_number, words_of_type

_HEAD = """\
# Bytes of the protocol

Written by `scripts/help` from the types themselves; `scripts/check` refuses it when it is not current.
[README.md](README.md) says how these bytes are encoded, hashed and proven.

A record is one MessagePack array: its tag (an integer) first where it has one, then its fields in this order. A result
of a query is never sent in a proven answer: it is computed again from the proven state.
"""


def protocol_reference() -> str:
    """The whole document."""
    types = _Types()
    lines = [_HEAD, "## Tables of the state", ""]
    lines += ["| key | value |", "|---|---|", *[_table_line(table, types) for table in _ordered_tables()], ""]
    lines += ["## Messages", ""]
    for name, tag in sorted(MESSAGE_NAMES.items(), key=lambda item: item[1]):
        message = next(each for each, number in TAG_OF.items() if number == tag)
        lines += _record_lines(f"{name}, tag 0x{tag:04X}", message, types)
    lines += ["## Queries", ""]
    for (module, name), query in sorted(all_queries().items()):
        lines += [f"### `/query/{module}/{name}`", "", f"{query.help.capitalize()}.", ""]
        lines += _record_lines("arguments", query.args_type, types, level=4)
        lines += [f"Result: {types.link(query.result_type)}.", ""]
    lines += ["## Records and results", ""]
    for kind in types.ordered():
        lines += _record_lines(kind.__name__, kind, types)
    lines += ["## Codes", "", "| code | module | name |", "|---|---|---|", *_code_lines(), ""]
    lines += ["## Tags of hashes", "", "`H(tag, data) = SHA-256(SHA-256(tag) || SHA-256(tag) || data)`", ""]
    lines += ["| name | tag |", "|---|---|", *[f"| {name} | `{tag}` |" for name, tag in TAGS.items()]]
    lines += [f"| list of {kind} | `openledger/list/{kind}/v1` |" for kind in LIST_KINDS]
    return "\n".join(lines).rstrip() + "\n"


class _Types:
    """Record types met so far; each is described once."""

    def __init__(self) -> None:
        self._met: dict[type[Any], None] = {}

    def link(self, kind: Any) -> str:
        """Name of a type for people; records are remembered and linked."""
        return self._describe(type_info(kind))

    def field(self, info: Any) -> str:
        """Type of a field in words."""
        return self._describe(info)

    def ordered(self) -> list[type[Any]]:
        """All types met, and those in their fields, by name."""
        done: dict[type[Any], None] = {}
        while left := [kind for kind in self._met if kind not in done]:
            for kind in left:
                done[kind] = None
                for item in type_info(kind).fields:
                    self.field(item.type)
        return sorted(done, key=lambda kind: kind.__name__)

    def _describe(self, info: Any) -> str:
        if isinstance(info, inspect.StructType):
            self._met[info.cls] = None
            name = info.cls.__name__
            return f"[{name}](#{name.lower()})"
        if isinstance(info, inspect.Metadata):
            kind = words_of_type(info)
            return f"{_scalar(info.type)}: {_members(kind)}" if kind is not None else self._describe(info.type)
        if isinstance(info, inspect.VarTupleType | inspect.ListType):
            most = f" of at most {info.max_length}" if info.max_length is not None else ""
            least = f", at least {info.min_length}" if info.min_length else ""
            return f"list{most}{least} [{self._describe(info.item_type)}]"
        if isinstance(info, inspect.TupleType):
            return "[" + ", ".join(self._describe(item) for item in info.item_types) + "]"
        if isinstance(info, inspect.UnionType):
            return " or ".join(self._describe(item) for item in info.types)
        return _scalar(info)


def _scalar(info: Any) -> str:
    if isinstance(info, inspect.BytesType):
        if info.min_length is not None and info.min_length == info.max_length:
            return f"bin of {info.max_length}"
        return f"bin of at most {info.max_length}" if info.max_length is not None else "bin"
    if isinstance(info, inspect.IntType):
        low, high = info.ge, info.le
        names = {2**8 - 1: "2^8 - 1", 2**16 - 1: "2^16 - 1", 2**32 - 1: "2^32 - 1", 2**63 - 1: "2^63 - 1"}
        shown = str(high) if high is None else names.get(high, str(high))
        if low is not None and high is not None and low == -high:
            return f"integer -({shown}) to {shown}"
        return f"integer {low or 0} to {shown}" if high is not None else "integer"
    if isinstance(info, inspect.StrType):
        least = f"{info.min_length} to " if info.min_length else "at most "
        size = f" of {least}{info.max_length}" if info.max_length is not None else ""
        return f"str{size}" + (f" matching `{info.pattern}`" if info.pattern else "")
    return type(info).__name__.removesuffix("Type").lower()


def _record_lines(title: str, kind: type[Any], types: _Types, level: int = 3) -> list[str]:
    info = type_info(kind)
    tag = kind.__struct_config__.tag if issubclass(kind, Struct) else None
    said = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    lines = [f"{'#' * level} {title}", "", said, ""] if said else [f"{'#' * level} {title}", ""]
    lines += ["| place | field | type |", "|---|---|---|"]
    place = 0
    if tag is not None and issubclass(kind, Record):
        lines.append(f"| 0 | | integer {tag} |")
        place = 1
    for number, field in enumerate(info.fields, place):
        lines.append(f"| {number} | `{field.name}` | {types.field(field.type)} |".replace("\\A", "").replace("\\Z", ""))
    return [*lines, ""]


def _ordered_tables() -> list[Table]:
    return sorted(TABLES, key=lambda table: table.prefix)


def _table_line(table: Table, types: _Types) -> str:
    prefix = table.prefix.decode("ascii")
    if isinstance(table, Item):
        return f"| `{prefix}value` | {types.link(table.value_type)} |"
    key = " \\|\\| ".join(_part(part) for part in table.parts)
    value = types.link(table.value_type) if isinstance(table, Map) else "`01`: present"

    return f"| `{prefix}` \\|\\| {key} | {value} |"


def _part(part: KeyPart) -> str:
    if part is HASHED:
        return "H(`openledger/key/v1`, address or name)"
    return "id of 32 bytes" if part.size == 32 else f"u{8 * part.size} big-endian"


def _members(kind: type[IntEnum]) -> str:
    return ", ".join(f"{int(member)} {word_of_number(kind, member)}" for member in kind)


def _code_lines() -> Iterator[str]:
    kinds: list[tuple[str, type[IntEnum]]] = [("openledger", Code)]
    kinds += [(module.name, module.errors) for module in MODULES]
    for name, kind in kinds:
        for code in kind:
            yield f"| {int(code)} | {name} | {code.name} |"
