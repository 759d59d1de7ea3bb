"""A written conversation as token ids: read as one text, as the model will meet it, but no row writes a control token.

The tokenizer reads all of it at once, so that tokens are those that it has in use. Where a control token comes out of
the characters of a turn, the text is cut inside of them and read in pieces (`attribution.text_tokens`); where the
template wrote the control token, it stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from attribution.text_tokens import TokenizerError, control_ids

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Token:
    """One token and the characters that gave it."""

    number: int
    start: int
    end: int
    is_control: bool


def encoded(tokenizer: Any, text: str, contents: Sequence[Span]) -> list[Token]:
    """Read a text in which the characters of `contents` (in order) are not the template's."""
    control = control_ids(tokenizer)
    found: list[Token] = []
    pieces = [(0, len(text))] if text else []
    while pieces:
        first, last = pieces.pop()
        read = tokenizer(
            text[first:last], add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )
        tokens = [
            Token(number=number, start=first + start, end=first + end, is_control=number in control)
            for number, (start, end) in zip(read["input_ids"], read["offset_mapping"], strict=True)
        ]
        cuts = [_cut(text, token) for token in tokens if token.is_control and _is_typed(text, token, contents)]
        if not cuts:
            found += tokens
            continue
        places = [first, *cuts, last]
        pieces += [(start, end) for start, end in pairwise(places) if end > start][::-1]
    return found


def _is_typed(text: str, token: Token, contents: Sequence[Span]) -> bool:
    """Whether a turn's characters give a control token; white space that such a token takes in is not looked at."""
    start = token.end - len(text[token.start : token.end].lstrip())
    end = start + len(text[start : token.end].rstrip())
    return any(start < last and first < end for first, last in contents)


def _cut(text: str, token: Token) -> int:
    """Where to cut characters that gave a control token: after the first of them that is no white space."""
    inside = text[token.start : token.end]
    if len(inside) < 2:
        raise TokenizerError(
            f"the tokenizer reads the character {inside!r} as a control token: train from another base"
        )
    return min(token.start + len(inside) - len(inside.lstrip()) + 1, token.end - 1)
