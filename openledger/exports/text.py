"""Text of strangers in documents of all kinds: it stays text, whichever marks of that kind it holds.

Names are short and plain, notes and descriptions any printable ASCII, and parts of a manifest anything at all. So
everything is written through these functions, and nothing is ever pasted.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

MAX_SHOWN_LENGTH = 400
PROOF_SCHEME = "openledger-proof:"
# Letters that begin or end something in Markdown, wherever they stand; < and & are entities. Bare addresses become
# links in some readers, and at the beginning of a line more letters mean something.
_MARKS = re.compile(r"([\\`*_{}\[\]|~$^>]|:(?=//)|(?<=www)\.)")
_FIRST = re.compile(r"\A(\s*(?:[0-9]+(?=[.)](?:\s|\Z)))?)([#+\-=:!.)])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
# Of Unicode's classes: controls, formats (which turn text round), surrogates, private letters, line ends.
_YEAR_10000 = 253_402_300_800
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def clean(text: object) -> str:
    """One line of visible characters: what cannot be seen is written as its number, and a long text is cut."""
    # A stranger's text must not lead a verifier to another proof.
    shown = str(text).replace(PROOF_SCHEME, PROOF_SCHEME.replace(":", ";"))
    shown = shown if len(shown) <= MAX_SHOWN_LENGTH else f"{shown[:MAX_SHOWN_LENGTH]} (cut, {len(shown)} characters)"
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(
        [
            " "
            if letter in "\t\r\n"
            else f"\\u{ord(letter):04x}"
            if unicodedata.category(letter) in _UNSEEN
            else letter
            for letter in shown
        ]
    )


def html(text: object) -> str:
    """Text for an HTML document or attribute."""
    return "".join([_HTML.get(letter, letter) for letter in clean(text)])


def markdown(text: object) -> str:
    """Text for a Markdown document: no mark, link, entity or tag of it means anything."""
    escaped = _FIRST.sub(r"\1\\\2", _MARKS.sub(r"\\\1", clean(text)))
    return "".join([{"&": "&amp;", "<": "&lt;"}.get(letter, letter) for letter in escaped])


def json_document(value: Any) -> bytes:
    """A JSON document: keys as they come, letters that would end a script element by number."""
    text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode() + b"\n"


def yaml_lines(document: Mapping[str, Any]) -> list[str]:
    """Front matter: plain keys, every text in double quotes, nothing that could be another thing."""
    return [line for name, value in document.items() for line in _yaml(name, value, "")]


def _yaml(name: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, Mapping):
        inner = [line for each, item in value.items() for line in _yaml(each, item, f"{indent}  ")]
        return [f"{indent}{name}:", *inner]
    if isinstance(value, list):
        return [f"{indent}{name}:", *[line for item in value for line in _yaml_item(item, indent)]]
    return [f"{indent}{name}: {_scalar(value)}"]


def _yaml_item(item: Any, indent: str) -> list[str]:
    if not isinstance(item, Mapping):
        return [f"{indent}- {_scalar(item)}"]
    lines = [line for each, value in item.items() for line in _yaml(each, value, f"{indent}  ")]
    return [f"{indent}- {lines[0].lstrip()}", *lines[1:]]


def _scalar(value: Any) -> str:
    if isinstance(value, PlainNumber):
        return value.text
    if isinstance(value, bool | int):
        return json.dumps(value)
    return json.dumps(clean(value), ensure_ascii=False)


class PlainNumber:
    """A decimal number as its text, since floats round."""

    def __init__(self, text: str) -> None:
        self.text = text


def decimal(value: int, scale: int) -> str:
    """An integer of millionths and the like as a decimal number: `3.4874`."""
    whole, rest = divmod(abs(value), 10**scale)
    digits = str(rest).rjust(scale, "0").rstrip("0") if scale else ""
    return f"{'-' if value < 0 else ''}{whole}{'.' if digits else ''}{digits}"


def utc(seconds: int) -> str:
    """A time as every format takes it: `2026-11-28T21:08:45Z`; empty for a number that is no time of these ages."""
    if not 0 < seconds < _YEAR_10000:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
