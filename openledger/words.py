"""Numbers of enumerated fields as words, and back: `--decision accept`, `kind lora`.

A field says by its type which words its numbers stand for (`abci_app.types.words`), and whether it is a flag. Documents
go by that. Where only the name of a field is known, `enumerations` lists what the types of all records say.
"""

from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from typing import Any

from msgspec import inspect

from openledger.errors import UsageError


def words_of_type(info: Any) -> type[IntEnum] | None:
    """The words that a field's numbers stand for, by its type or by the type of its items."""
    kind = _marked(info, "words")
    return kind if isinstance(kind, type) else None


def is_flag(info: Any) -> bool:
    """Whether a field, or each of its items, is 0 for no and 1 for yes."""
    return bool(_marked(info, "flag"))


def _marked(info: Any, mark: str) -> Any:
    """The value of a mark on a type, also inside of a list."""
    while True:
        if isinstance(info, inspect.Metadata):
            if info.extra and mark in info.extra:
                return info.extra[mark]
            info = info.type
        elif isinstance(info, inspect.VarTupleType | inspect.ListType):
            info = info.item_type
        else:
            return None


@cache
def enumerations() -> dict[str, type[IntEnum]]:
    """Field name -> the words of its numbers, out of the types of all messages, records, questions and results."""
    return {name: kind for name, info in all_fields() if (kind := words_of_type(info)) is not None}


def all_fields() -> Iterator[tuple[str, Any]]:
    """Name and type of every field of all messages, records, questions and results."""
    from abci_app.chain.registry import MESSAGE_TYPES, TABLES, all_queries
    from abci_app.state.table import Item, Map

    roots: list[Any] = [*MESSAGE_TYPES]
    roots += [table.value_type for table in TABLES if isinstance(table, Map | Item)]
    for query in all_queries().values():
        roots += [query.args_type, query.result_type]
    return fields_below(roots)


def fields_below(roots: list[Any]) -> Iterator[tuple[str, Any]]:
    """Name and type of every field of these types, and of the types in their fields."""
    todo = [inspect.type_info(root) for root in roots]
    done: set[type[Any]] = set()
    while todo:
        info = todo.pop()
        if isinstance(info, inspect.Metadata):
            todo.append(info.type)
        elif isinstance(info, inspect.VarTupleType | inspect.ListType):
            todo.append(info.item_type)
        elif isinstance(info, inspect.TupleType):
            todo += info.item_types
        elif isinstance(info, inspect.UnionType):
            todo += info.types
        elif isinstance(info, inspect.StructType) and info.cls not in done:
            done.add(info.cls)
            for field in info.fields:
                yield field.name, field.type
                todo.append(field.type)


def number_of_word(kind: type[IntEnum], text: str) -> int:
    """The number that a word (or the number itself, as text) stands for. Raises `UsageError`."""
    if text.lstrip("-").isdecimal():
        return int(text)
    name = text.strip().upper().replace("-", "_").replace(" ", "_")
    if name not in kind.__members__:
        raise UsageError(f"{text!r} is not one of {', '.join(words(kind))}")
    return int(kind[name])


def word_of_number(kind: type[IntEnum], number: int) -> str:
    """The word for a number, or the number where it has none."""
    return _word(kind(number)) if number in list(kind) else str(number)


def words(kind: type[IntEnum]) -> list[str]:
    """All words, in the order of their numbers."""
    return [_word(member) for member in kind]


def _word(member: IntEnum) -> str:
    return member.name.lower().replace("_", "-")


def number_of(field: str, text: str) -> int | None:
    """The number that a word stands for in a field; None when the field has no words. Raises `UsageError`."""
    kind = enumerations().get(field)
    return None if kind is None or text.lstrip("-").isdecimal() else number_of_word(kind, text)


def word_of(field: str, number: int) -> str:
    """The word for a number of a field, or the number."""
    kind = enumerations().get(field)
    return str(number) if kind is None else word_of_number(kind, number)


def words_of(field: str) -> list[str]:
    """All words of a field; empty when it has none."""
    kind = enumerations().get(field)
    return words(kind) if kind is not None else []
