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
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from openledger.errors import UsageError

# A training example of the longest contexts in use, some 250,000 tokens; a longer document is several rows.
MAX_ROW_BYTES = 2**20
# Levels of lists and objects: messages with parts and tool calls have six; recursive readers stand a hundred.
MAX_DEPTH = 32
# Characters of a number: the longest double written out in full has 767 digits, programs stop at 4,300.
MAX_NUMBER_CHARACTERS = 1_000
# What is told about other encodings; who knows the file says how.
CONVERT_IT = "convert the file to UTF-8"
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_SHOWN_PROBLEMS = 5
_SURROGATE = re.compile("[\ud800-\udfff]")


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
        raise RowError(f"byte {error.start + 1} is not UTF-8; {CONVERT_IT}") from error
    except RecursionError as error:
        raise RowError(f"is nested more than {MAX_DEPTH} levels deep; flatten it") from error
    except json.JSONDecodeError as error:
        # Its own text names line 1, which a reader of a file would look up.
        raise RowError(
            f"is not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}; write one JSON object a line"
        ) from error
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


def write_row(row: Mapping[str, Any]) -> bytes:
    """The bytes of a row as `read_row` gives it: numbers as they were written, fields in their order, no spaces."""
    return _written(row).encode()


def _written(value: object) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join([f"{_written(str(key))}:{_written(inner)}" for key, inner in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([_written(inner) for inner in value]) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def texts_of(value: object) -> Iterator[str]:
    """Every text in a value of a row, in order; keys and numbers are none."""
    if isinstance(value, str):
        if not isinstance(value, Number):
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)


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
        twice = next(key for key, times in Counter([key for key, _ in pairs]).items() if times > 1)
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
    """Keys and values at every depth; no deeper than `MAX_DEPTH`, so that this may call itself."""
    _check_dictionary(item, None, 1)


# Where a value stands: the place of what holds it, and its key or number there. Put into words only for a refusal: a
# row may hold half a million values.
_Place = tuple["_Place | None", "str | int"] | None


def _check_dictionary(item: dict[Any, Any], place: _Place, depth: int) -> None:
    for key, inner in item.items():
        if type(key) is not str:
            _check_key(key, place)
        if _SURROGATE.search(key):
            _refuse_surrogate(key, "a key")
        kind = type(inner)
        if kind is str or kind is Number:
            if _SURROGATE.search(inner):
                _refuse_surrogate(inner, _in_words((place, key)))
        else:
            _check_value(inner, (place, key), depth + 1)


def _check_value(value: object, place: _Place, depth: int) -> None:
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise RowError(f"is nested more than {MAX_DEPTH} levels deep; flatten it")
        if isinstance(value, dict):
            _check_dictionary(value, place, depth)
        else:
            for at, inner in enumerate(value):
                _check_value(inner, (place, at), depth + 1)
    elif isinstance(value, str):
        if _SURROGATE.search(value):
            _refuse_surrogate(value, _in_words(place))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise RowError(f"{_shown(_in_words(place))} is {value}, which is not JSON; write None or leave it out")
    elif value is not None and not isinstance(value, int):
        raise RowError(f"{_shown(_in_words(place))} is a {type(value).__name__}, which JSON has not; write it as text")


def _check_key(key: object, place: _Place) -> None:
    if not isinstance(key, str):
        where = _in_words(place) or "the row"
        raise RowError(f"{where} has the key {key!r}, a {type(key).__name__}; write it as text")


def _in_words(place: _Place) -> str:
    """A place as people write it: `messages[2].content`."""
    parts: list[str] = []
    while place is not None:
        place, part = place
        parts.append(f"[{part}]" if isinstance(part, int) else f".{part[:40]}")
    return "".join(reversed(parts)).removeprefix(".")


def _refuse_surrogate(text: str, place: str) -> None:
    found = next(character for character in text if "\ud800" <= character <= "\udfff")
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
