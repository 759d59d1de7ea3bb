"""Whether a file says what its bundles prove: the export is written again and compared, field by field.

A JSON document must hold the same values, in any layout. In a document for people the proven parts must be there word
for word, each once and in order, and metadata as they were written; own words around them are allowed, and told.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from openledger.exports.card import FORM as CARD
from openledger.exports.card import METADATA
from openledger.exports.facts import Facts
from openledger.exports.forms import make_export
from openledger.exports.oms import signed_statement
from openledger.exports.proof_reference import ProofReference, find_proof
from openledger.exports.text import clean
from openledger.exports.training_summary import FORM as SUMMARY

_SIGNATURE = ("its signature is not looked at here: `model_signing verify key` checks it",)
_MAX_TOLD = 5
_SHOWN_LENGTH = 80
_MAX_FRONT_LENGTH = 2**18
_MARK = re.compile(r"<!-- (/?)openledger:proven ([0-9]{1,4}) -->")
_HTML_START = re.compile(rb"\A\s*<!doctype html", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences (none: the file says what is proven), and words that stand beside it unproven."""

    differs: tuple[str, ...]
    beside: tuple[str, ...] = ()


def read_reference(data: bytes) -> ProofReference | None:
    """The line about its proof in a file of any form, also inside of a signature; None for a file that is no export."""
    try:
        return find_proof(signed_statement(data).decode())
    except (UnicodeDecodeError, ValueError):
        return None


class _DoubleKeyError(ValueError):
    """A key stands twice in one object: readers differ in which one they take."""


def differences(form: str, data: bytes, facts: Facts) -> Comparison:
    """Compare a file with what its facts give."""
    if form in (CARD, SUMMARY):
        page = _HTML_START.match(data) is not None
        return _compare_text(data, make_export(form, facts, page=page))
    statement = signed_statement(data) if form == "oms" else data
    found = _compare_json(statement, make_export(form, facts))
    return found if statement == data or found.differs else Comparison((), _SIGNATURE)


# --- JSON


def _compare_json(data: bytes, expected: bytes) -> Comparison:
    try:
        said = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return Comparison((f"the file is no JSON document that has one reading: {clean(error)}",))
    found = list(_json_differences("", json.loads(expected), said))
    return Comparison(tuple(_told(found)))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _DoubleKeyError("a key stands twice in one object")
    return document


def _json_differences(place: str, proven: Any, said: Any) -> Iterator[str]:
    where = clean(place) or "the document"
    if isinstance(proven, dict) and isinstance(said, dict):
        for name in dict.fromkeys([*proven, *said]):
            below = f"{place}.{name}" if place else str(name)
            if name not in said:
                yield f"{clean(below)} is missing"
            elif name not in proven:
                yield f"{clean(below)} is not proven"
            else:
                yield from _json_differences(below, proven[name], said[name])
    elif isinstance(proven, list) and isinstance(said, list):
        if len(proven) != len(said):
            yield f"{where} has {len(said)} items, {len(proven)} are proven"
        for number, (one, other) in enumerate(zip(proven, said, strict=False)):
            yield from _json_differences(f"{place}[{number}]", one, other)
    elif type(proven) is not type(said) or proven != said:
        yield f"{where} says {_short(said)}, proven is {_short(proven)}"


def _short(value: Any) -> str:
    # A list or object is not written out: it may hold itself many times over.
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    text = clean(value)
    return repr(text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}...")


def _told(found: list[str]) -> list[str]:
    more = [f"and {len(found) - _MAX_TOLD} more"] if len(found) > _MAX_TOLD else []
    return [*found[:_MAX_TOLD], *more]


# --- Documents for people


def _compare_text(data: bytes, expected: bytes) -> Comparison:
    try:
        # A checkout of another system ends its lines otherwise.
        said = data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        return Comparison(("the file is no text in UTF-8",))
    proven = expected.decode()
    front, body = _split(said)
    proven_front, proven_body = _split(proven)
    found = _front_differences(proven_front, front)
    parts, fault = _parts(body)
    if fault:
        return Comparison((*found, fault))
    proven_parts, _ = _parts(proven_body)
    if len(parts) != len(proven_parts):
        found.append(f"the file has {len(parts)} proven parts, {len(proven_parts)} belong to it")
    for number, (one, other) in enumerate(zip(proven_parts, parts, strict=False), 1):
        found += _part_differences(number, one, other)
    beside = () if body == proven_body and front == proven_front else ("words of somebody's own stand beside it",)
    return Comparison(tuple(_told(found)), beside if not found else ())


def _split(text: str) -> tuple[str, str]:
    """Front matter and body."""
    if not text.startswith("---\n"):
        return "", text
    end = text.find("\n---\n", 3)
    return (text[4 : end + 1], text[end + 5 :]) if end >= 0 else ("", text)


def _front_differences(proven: str, said: str) -> list[str]:
    """Metadata that were written must begin the front matter; other keys may follow."""
    if proven == said:
        return []
    if not said.startswith(proven):
        before, after = _yaml_of(proven), _yaml_of(said)
        if not isinstance(after, dict):
            return ["the metadata have no one reading"]
        if before == after:
            return ["the metadata are written in another way than they were exported"]
        return list(_json_differences("metadata", before, after))
    added = _yaml_of(said[len(proven) :])
    if not isinstance(added, dict):
        return ["what was added to the metadata has no one reading"]
    twice = [f"metadata.{name} stands twice" for name in added if name in METADATA]
    # Lines that are further keys by themselves may still continue the last value in their place.
    if not twice and _yaml_of(said) != {**_yaml_of(proven), **added}:
        return ["what was added to the metadata changes what was exported"]
    return twice


class _PlainLoader(yaml.SafeLoader):
    """A reader of YAML without aliases: with them a few lines hold more than can be compared."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias where a value is."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def _yaml_of(text: str) -> Any:
    """The value of a YAML text; None where it has none that is short and plain."""
    if len(text) > _MAX_FRONT_LENGTH:
        return None
    try:
        # The loader is PyYAML's safe one, and takes less.
        return yaml.load(text, _PlainLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _parts(body: str) -> tuple[list[str], str]:
    """Text between the marks, in order; a fault where marks do not open and close one after the other."""
    parts: list[str] = []
    begun = -1
    for mark in _MARK.finditer(body):
        closes, number = bool(mark.group(1)), int(mark.group(2))
        if closes != (begun >= 0) or number != len(parts) + 1:
            return parts, "the marks around the proven parts are not as they were written"
        if closes:
            parts.append(body[begun : mark.start()])
            begun = -1
        else:
            begun = mark.end()
    return parts, "" if begun < 0 else "the last proven part does not end"


def _part_differences(number: int, proven: str, said: str) -> list[str]:
    if proven == said:
        return []
    one, other = proven.splitlines(), said.splitlines()
    for line, (first, second) in enumerate(zip(one, other, strict=False), 1):
        if first != second:
            return [f"part {number}, line {line} says {_short(second)}, proven is {_short(first)}"]
    return [f"part {number} has {len(other)} lines, {len(one)} are proven"]
