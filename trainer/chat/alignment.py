"""Where in a written conversation the turns stand, found without trusting the template.

A conversation is written twice: with its texts, and with a mark in place of each text. What stands between the marks is
the template's own, what takes their place must be the texts: as they are, or without white space at their ends. A
template that writes a text otherwise, leaves a turn out, or writes other things around it because of what it says, is
found by that, and the row is refused. Reasoning at the beginning of an answer (`<think>…</think>`) has a mark of its
own: templates leave it out of earlier turns.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import NamedTuple

from trainer.turns import Turn

_OPEN, _CLOSE = "<think>", "</think>"
_MARK = re.compile(r"(q[0-9a-f]{16}x)([0-9]+)q")


class Reasoning(NamedTuple):
    """A turn in four: up to the reasoning, the reasoning, what ends it, and the answer; white space is in no text."""

    opening: str
    reasoning: str
    closing: str
    answer: str


def split_reasoning(text: str) -> Reasoning | None:
    """A turn that begins with reasoning; None for every other. It takes one pass over any white space."""
    begun = text.lstrip()
    end = text.find(_CLOSE, len(text) - len(begun) + len(_OPEN)) if begun.startswith(_OPEN) else -1
    if end < 0:
        return None
    inside = text[len(text) - len(begun) + len(_OPEN) : end].lstrip()
    reasoning, answer = inside.rstrip(), text[end + len(_CLOSE) :].lstrip()
    start = end - len(inside)
    return Reasoning(
        opening=text[:start],
        reasoning=reasoning,
        closing=text[start + len(reasoning) : len(text) - len(answer)],
        answer=answer,
    )


class ConversationFault(ValueError):
    """A template does not write a conversation in a way that can be trained on; the text says why."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A text of a turn that has its own mark."""

    turn: int
    text: str
    is_reasoning: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment stands: its number, [start, end) among the marks and among the texts."""

    segment: int
    marked: tuple[int, int]
    written: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Marked:
    """A conversation with marks: content of every turn, the segments, and how its marks begin."""

    contents: tuple[str, ...]
    segments: tuple[Segment, ...]
    beginning: str


def marked(turns: Sequence[Turn]) -> Marked:
    """Put a mark in place of every text that is more than white space; the same turns get the same marks."""
    texts = "\0".join([turn.text for turn in turns])
    names = (f"q{sha256(f'{number} {texts}'.encode()).hexdigest()[:16]}x" for number in count())
    name = next(name for name in names if name not in texts)
    segments: list[Segment] = []

    def mark(turn: int, text: str, *, is_reasoning: bool = False) -> str:
        if not text.strip():
            return text
        segments.append(Segment(turn, text, is_reasoning))
        return f"{name}{len(segments) - 1}q"

    contents = []
    for at, turn in enumerate(turns):
        found = split_reasoning(turn.text) if turn.role == "assistant" else None
        if found is None or not found.answer:
            contents.append(mark(at, turn.text))
        else:
            reasoning = mark(at, found.reasoning, is_reasoning=True)
            contents.append(f"{found.opening}{reasoning}{found.closing}{mark(at, found.answer)}")
    return Marked(tuple(contents), tuple(segments), name)


def places(conversation: Marked, turns: Sequence[Turn], with_marks: str, with_texts: str) -> tuple[Place, ...]:
    """Find all segments in both writings; raises `ConversationFault` naming the turn that is not where its mark is."""
    matches = [match for match in _MARK.finditer(with_marks) if match[1] == conversation.beginning]
    shown = {int(match[2]) for match in matches}
    for number, segment in enumerate(conversation.segments):
        if number not in shown and not segment.is_reasoning:
            raise ConversationFault(
                f"leaves out turn {segment.turn + 1} ({turns[segment.turn].role}), or writes it in other letters"
            )
    ends = [0, *[match.end() for match in matches]]
    starts = [*[match.start() for match in matches], len(with_marks)]
    literals = [with_marks[end:start] for end, start in zip(ends, starts, strict=True)]
    texts = [conversation.segments[int(match[2])].text for match in matches]
    found, reached = _aligned(with_texts, literals, texts)
    if found is None:
        if reached < len(matches):
            turn = conversation.segments[int(matches[reached][2])].turn
            raise ConversationFault(
                f"does not write turn {turn + 1} ({turns[turn].role}), or what follows it, as it stands in the row"
            )
        raise ConversationFault("writes other things around these texts because of what they say")
    return tuple(
        [
            Place(segment=int(match[2]), marked=match.span(), written=span)
            for match, span in zip(matches, found, strict=True)
        ]
    )


_Way = tuple["_Way", tuple[int, int]] | None


def _spans_of(way: _Way) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    while way is not None:
        way, span = way
        spans.append(span)
    return spans[::-1]


def _aligned(text: str, literals: Sequence[str], segments: Sequence[str]) -> tuple[list[tuple[int, int]] | None, int]:
    """Spans of the segments in a text that is literals and segments in turn; else how many segments were found."""
    if not text.startswith(literals[0]):
        return None, len(segments)
    reached, refused = 0, set[tuple[int, int]]()
    # Depth first: a segment, how much of its white space the template kept, and where it begins. A conversation may
    # have thousands of turns, so that a way is its last span and the way before it.
    pending: list[tuple[int, int, _Way]] = [(0, len(literals[0]), None)]
    while pending:
        number, at, way = pending.pop()
        reached = max(reached, number)
        if number == len(segments):
            if at == len(text):
                return _spans_of(way), reached
            continue
        if (number, at) in refused:
            continue
        refused.add((number, at))
        segment = segments[number]
        # Popped in the reverse order: the text as it is comes first.
        for choice in dict.fromkeys((segment.strip(), segment.lstrip(), segment.rstrip(), segment)):
            end = at + len(choice)
            if text.startswith(choice, at) and text.startswith(literals[number + 1], end):
                pending.append((number + 1, end + len(literals[number + 1]), (way, (at, end))))
    return None, reached


def written_place(at: int, found: Sequence[Place]) -> int:
    """The place among the texts that a place between the marks has."""
    before = [place for place in found if place.marked[1] <= at]
    return before[-1].written[1] + at - before[-1].marked[1] if before else at
