"""The one rule for the bytes of a row, at contribution and again whenever it is read.

A row is one JSON object (RFC 8259) in UTF-8 on one line that every reader understands in one way:

- nothing stands before or after the object: no byte order mark, no white space, no carriage return;
- no key stands twice in one object, at any depth, since readers keep the first, the last or both;
- no `NaN`, `Infinity`, or number beyond the range of a double, which are not JSON or become infinite;
- no half of a surrogate pair (`\\ud83d` alone), which is no character and cannot be stored as UTF-8;
- at most `MAX_DEPTH` levels, and numbers of at most `MAX_NUMBER_CHARACTERS` characters.

Values need not be text: null, numbers, lists and objects are kept, and a recipe says what becomes of them.
"""

import json
import math
from collections.abc import Iterable
from typing import Any

from openledger.errors import UsageError

# A training example of the longest contexts in use; larger documents are split by their contributor.
MAX_ROW_BYTES = 64 * 2**10
# Levels of lists and objects: messages with parts and tool calls have six; recursive readers stand a hundred.
MAX_DEPTH = 32
# Characters of a number: the longest double written out in full has 767 digits, programs stop at 4,300.
MAX_NUMBER_CHARACTERS = 1_000
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_SHOWN_PROBLEMS = 5


class RowError(UsageError, ValueError):
    """Rows cannot be committed or a batch file is malformed; says which file and line, as far as they are known."""


class Number(str):
    """A number of a row as it is written there: nothing is rounded on the way from a row to a text."""

    __slots__ = ()


def read_row(data: bytes) -> dict[str, Any]:
    """The object of a row, numbers as they are written; raises `RowError` with the first reason why it is none."""
    if len(data) > MAX_ROW_BYTES:
        raise RowError(f"has {len(data)} bytes, more than {MAX_ROW_BYTES}; split the document")
    _check_edges(data)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
            parse_int=_number,
        )
    except RowError:
        raise
    except UnicodeDecodeError as error:
        raise RowError(f"byte {error.start + 1} is not UTF-8; convert the file to UTF-8") from error
    except RecursionError as error:
        raise RowError(f"is nested more than {MAX_DEPTH} levels deep; flatten it") from error
    except ValueError as error:
        raise RowError(f"is not JSON: {error}; write one JSON object a line") from error
    if not isinstance(value, dict):
        raise RowError('is not a JSON object; write {"text": …}')
    _check_values(value)
    return value


def check_object(item: object) -> None:
    """Refuse what cannot be written as a row without change; raises `RowError` naming the key.

    `json.dumps` alone would write keys that are numbers as text, tuples as lists, and NaN.
    """
    if not isinstance(item, dict):
        raise RowError(f"is a {type(item).__name__}, not a dictionary")
    _check_values(item)


def _check_edges(data: bytes) -> None:
    if data.startswith(_BYTE_ORDER_MARKS):
        raise RowError("begins with a byte order mark; save the file as UTF-8 without BOM")
    if b"\n" in data:
        raise RowError("contains a line feed; write its JSON on one line")
    if not data.strip(b" \t\r"):
        raise RowError("is empty; leave empty lines out")
    if data.endswith(b"\r"):
        raise RowError("ends with a carriage return; write lines that end with a line feed alone")
    if data != data.strip(b" \t\r"):
        raise RowError("has white space before or after its object; remove it")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RowError(f"has the key {_shown(twice)} twice in one object; readers differ on which counts, keep one")
    return made


def _constant(word: str) -> None:
    raise RowError(f"holds {word}, which is not JSON; write null or leave the key out")


def _number(text: str) -> Number:
    if len(text) > MAX_NUMBER_CHARACTERS:
        raise RowError(f"holds a number of {len(text)} characters, more than {MAX_NUMBER_CHARACTERS}; write it as text")
    # Also integers: many readers know only doubles.
    if math.isinf(float(text)):
        raise RowError(f"holds the number {text[:20]}, which is infinite for most readers; write it as text")
    return Number(text)


def _check_values(item: dict[Any, Any]) -> None:
    """Keys and values at every depth, without recursion."""
    pending: list[tuple[object, str, int]] = [(item, "", 1)]
    while pending:
        value, place, depth = pending.pop()
        if depth > MAX_DEPTH and isinstance(value, dict | list):
            raise RowError(f"is nested more than {MAX_DEPTH} levels deep; flatten it")
        if isinstance(value, dict):
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise RowError(
                        f"{place or 'the row'} has the key {key!r}, a {type(key).__name__}; write it as text"
                    )
                _check_text(key, "a key")
                pending.append((inner, f"{place}.{key[:40]}" if place else key[:40], depth + 1))
        elif isinstance(value, list):
            pending += [(inner, f"{place}[{at}]", depth + 1) for at, inner in enumerate(value)]
        elif isinstance(value, str):
            _check_text(value, place)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise RowError(f"{_shown(place)} is {value}, which is not JSON; write None or leave it out")
        elif value is not None and not isinstance(value, int):
            raise RowError(f"{_shown(place)} is a {type(value).__name__}, which JSON has not; write it as text")


def _check_text(text: str, place: str) -> None:
    found = next((character for character in text if "\ud800" <= character <= "\udfff"), None)
    if found is not None:
        raise RowError(
            f"{_shown(place)} holds half of a surrogate pair (\\u{ord(found):04x}), which is no character; the text "
            "was cut inside a character, mend or leave it out"
        )


def _shown(text: str) -> str:
    """A key or place that may hold anything, in one line of ASCII."""
    return ascii(text[:80])


def joined(problems: Iterable[str]) -> str:
    """Several refusals in one line; the first few, and how many more there are."""
    found = tuple(problems)
    more = f"; and {len(found) - _SHOWN_PROBLEMS} more" if len(found) > _SHOWN_PROBLEMS else ""
    return "; ".join(found[:_SHOWN_PROBLEMS]) + more
