"""Placeholders of a template step: a field by its name in braces, or a value inside of a list or object.

    {question}  {user question}  {Antwort-Text}  {问题}          names as the rows have them
    {conversations[0][value]}  {messages[-1][content]}          a place of a list, counted from 0 or from the end

A name that a row has is that field, with any signs in it. `{{` and `}}` are braces.
"""

import re
import string
from collections.abc import Mapping
from typing import Any

from trainer.row_values import Fields, NotText, Value, value_of

MAX_PLACEHOLDER_LENGTH = 256
_PLACE = re.compile(r"(?P<head>[^\[\]]+)(?P<rest>(\[[^\[\]]+\])+)")
_STEP = re.compile(r"\[([^\[\]]+)\]")
_INDEX = re.compile(r"-?[0-9]{1,6}")


class MissingField(ValueError):
    """A row has no such field; the text says which fields it has."""


def check_template(text: str) -> None:
    """Refuse what is no template; raises `ValueError`."""
    for name in _names(text):
        # Fields of objects are no fields of a row, though nothing here would follow them.
        inner = any(part.startswith("_") for part in name.split(".")[1:])
        if not name.strip() or inner or len(name) > MAX_PLACEHOLDER_LENGTH:
            raise ValueError(f"template {text!r}: a placeholder is a field name in braces, like {{text}}")
        if ("[" in name or "]" in name) and not _PLACE.fullmatch(name):
            raise ValueError(
                f"template {text!r}: placeholder {name!r} has brackets that do not close; write {{list[0][name]}}"
            )


def filled(text: str, fields: Fields) -> Value:
    """The template filled in; no text when one of its values is none. Raises `MissingField`."""
    parts: list[str] = []
    for literal, name in _pieces(text):
        parts.append(literal)
        if name is None:
            continue
        value = _value(name, fields)
        if not isinstance(value, str):
            return value
        parts.append(value)
    return "".join(parts)


def _pieces(text: str) -> list[tuple[str, str | None]]:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"template {text!r}: {error}; write {{{{ and }}}} for braces") from error
    for _, name, spec, kind in parts:
        if name is not None and (spec or kind):
            raise ValueError(
                f"template {text!r}: a placeholder is a field name in braces, like {{text}}, without : or !"
            )
    return [(literal, name) for literal, name, _, _ in parts]


def _names(text: str) -> list[str]:
    return [name for _, name in _pieces(text) if name is not None]


def _value(name: str, fields: Fields) -> Value:
    if name in fields:
        return fields[name]
    match = _PLACE.fullmatch(name)
    head = match["head"] if match else name
    if match is None or head not in fields:
        raise MissingField(
            f"template: rows have no field {head!r}; they have {', '.join(sorted(fields))}; correct the template, "
            "or give such rows one with fill_null"
        )
    found: Any = fields[head]
    found, place = (found.value if isinstance(found, NotText) else found), head
    for key in _STEP.findall(match["rest"]):
        found, place = _inside(found, key, place), f"{place}[{key}]"
    return value_of(place, found)


def _inside(value: Any, key: str, place: str) -> Any:
    if isinstance(value, list) and _INDEX.fullmatch(key):
        if not -len(value) <= int(key) < len(value):
            raise MissingField(
                f"template: {place} has {len(value)} items, no [{key}]; drop such rows or name another one"
            )
        return value[int(key)]
    if isinstance(value, Mapping) and key in value:
        return value[key]
    has = f"has {', '.join(sorted(value))}" if isinstance(value, Mapping) else "is no list or object with that"
    raise MissingField(f"template: {place} has no [{key}]; it {has}")
