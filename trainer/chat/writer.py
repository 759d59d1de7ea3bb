"""Conversations in token ids, by the base's chat template or in plain words, with what of them is learned.

Learned is what the assistant says, from where the template asks for an answer to the token with which it ends one.
Where the template marks what is generated (`{% generation %}`), its marks say that. Elsewhere the conversation up to an
answer, asked for, must be the beginning of the whole, and so must the conversation that ends with the answer: an answer
that the template writes in another way once the conversation goes on is read and not learned, since no model would
ever be asked for it. Such answers are counted; a row without any other is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from attribution.text_tokens import begin_ids, end_id, text_ids
from trainer.chat.alignment import ConversationFault, Marked, Place, marked, places, written_place
from trainer.chat.encoding import Span, Token, encoded
from trainer.chat.renderer import Message, Renderer, TemplateFault, Written
from trainer.turns import Turn

# Names of the speakers where no template says them.
_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids; which of them are learned, and which are the text of a turn that is only read.

    `round_starts` are the tokens at which the text of each round's first turn begins; `passed` answers are only read.
    """

    ids: tuple[int, ...]
    learned: tuple[bool, ...]
    read_text: tuple[bool, ...]
    round_starts: tuple[int, ...]
    passed: int = 0


class Writer(Protocol):
    """Writes conversations whose last turn is an answer."""

    def write(self, turns: Sequence[Turn]) -> Encoded:
        """Raises `ConversationFault` for a conversation that cannot be trained on."""


def rounds(turns: Sequence[Turn]) -> list[int]:
    """Numbers of the turns that begin a round: a user's, after somebody else's that is not the system's."""
    first = 1 if turns and turns[0].role == "system" else 0
    later = [at for at in range(first + 1, len(turns)) if turns[at].role == "user" and turns[at - 1].role != "user"]
    return [first, *later]


class PlainWriter:
    """`User: …`, `Assistant: …`, an empty line between the turns, every answer with the end of text behind it."""

    def __init__(self, tokenizer: Any, *, with_end: bool) -> None:
        """For the base's tokenizer; without an end where the recipe wants none."""
        self._tokenizer = tokenizer
        number = end_id(tokenizer) if with_end else None
        self._end = () if number is None else (number,)

    def write(self, turns: Sequence[Turn]) -> Encoded:
        """See `Writer`."""
        ids: list[int] = list(begin_ids(self._tokenizer))
        kinds: list[str] = ["structure"] * len(ids)

        def add(numbers: Sequence[int], kind: str) -> None:
            ids.extend(numbers)
            kinds.extend([kind] * len(numbers))

        starts = rounds(turns)
        begun = []
        for at, turn in enumerate(turns):
            gap = "\n\n" if at else ""
            add(text_ids(self._tokenizer, f"{gap}{_SPEAKERS[turn.role]}:"), "structure")
            if at in starts:
                begun.append(len(ids))
            learned = turn.learned and bool(turn.text.strip())
            add(text_ids(self._tokenizer, f" {turn.text.strip()}"), "learned" if learned else "text")
            if turn.role == "assistant":
                add(self._end, "learned" if learned else "structure")
        return _encoded(ids, kinds, begun, 0)


class TemplateWriter:
    """The base's own template, running in a sandbox."""

    def __init__(self, tokenizer: Any, renderer: Renderer, *, with_end: bool) -> None:
        """`with_end`: an answer that the template ends with no token of its own, at the end, gets the end of text."""
        self._tokenizer = tokenizer
        self._renderer = renderer
        number = end_id(tokenizer) if with_end else None
        self._end = () if number is None else (number,)

    def write(self, turns: Sequence[Turn]) -> Encoded:
        """See `Writer`."""
        conversation = marked(turns)
        answers = [at for at, turn in enumerate(turns) if turn.learned and turn.text.strip()]
        texts = _messages(turns, [turn.text for turn in turns])
        marks = _messages(turns, conversation.contents)
        asked = [(marks[:at], True) for at in answers]
        ended = [(marks[: at + 1], False) for at in answers]
        whole, plain, *more = self._renderer.render([(marks, False), (texts, False), *asked, *ended])
        if not isinstance(whole, Written) or not isinstance(plain, Written):
            reason = plain if isinstance(plain, str) else str(whole)
            if "strftime_now" in reason:
                raise TemplateFault(
                    "the base's chat template inserts the date of today, so that nobody could repeat the run: write "
                    "chat_date: 2026-11-28, or another date, into the recipe's train section"
                )
            raise ConversationFault(f"refuses it: {reason}")
        found = places(conversation, turns, whole.text, plain.text)
        known = _Whole(conversation=conversation, found=found, marked=whole.text, plain=plain)
        tokens = encoded(self._tokenizer, plain.text, [place.written for place in found])
        stretches = []
        for number, at in enumerate(answers):
            stretch = (
                known.marked_answer(at)
                if plain.marks
                else known.answer(at, more[number], more[len(answers) + number], tokens)
            )
            if stretch is not None:
                stretches.append(stretch)
        if not stretches:
            raise ConversationFault(
                "writes no answer of it as it asks for one (it rewrites answers once they are given), so nothing can "
                "be learned from it"
            )
        return self._encoded(turns, known, tokens, stretches, len(answers))

    def _encoded(
        self, turns: Sequence[Turn], known: "_Whole", tokens: list[Token], stretches: list[Span], answers: int
    ) -> Encoded:
        read_only = [place.written for place in known.found if not turns[known.turn_of(place)].learned]
        texts = _beginning_in(tokens, read_only)
        kinds = [
            "learned" if learned else "text" if text else "structure"
            for learned, text in zip(_beginning_in(tokens, stretches), texts, strict=True)
        ]
        ids = [token.number for token in tokens]
        begun = []
        for at in rounds(turns):
            starts = [place.written[0] for place in known.found if known.turn_of(place) == at]
            begun.append(sum(token.start < min(starts) for token in tokens) if starts else 0)
        last = max((at for at, kind in enumerate(kinds) if kind == "learned"), default=-1)
        ends = any(token.is_control for token in tokens[max(0, last) : last + 2])
        if self._end and not ends and stretches[-1][1] >= known.answer_end(len(turns) - 1):
            ids, kinds = [*ids[: last + 1], *self._end], [*kinds[: last + 1], "learned"]
        return _encoded(ids, kinds, begun, answers - len(stretches))


@dataclass(frozen=True, slots=True)
class _Whole:
    """A conversation written with marks and with texts, aligned."""

    conversation: Marked
    found: tuple[Place, ...]
    marked: str
    plain: Written

    def turn_of(self, place: Place) -> int:
        return self.conversation.segments[place.segment].turn

    def answer_end(self, at: int) -> int:
        return max((place.written[1] for place in self.found if self.turn_of(place) == at), default=0)

    def _is_whole(self, at: int) -> bool:
        """Whether all texts of a turn are written, its reasoning, too, and there are some."""
        shown = {place.segment for place in self.found}
        own = [number for number, item in enumerate(self.conversation.segments) if item.turn == at]
        return bool(own) and all(number in shown for number in own)

    def marked_answer(self, at: int) -> Span | None:
        """The stretch that the template marks around an answer."""
        own = [place.written for place in self.found if self.turn_of(place) == at]
        for start, end in self.plain.marks:
            if self._is_whole(at) and all(start <= first and last <= end for first, last in own):
                return start, end
        return None

    def answer(self, at: int, asked: "Written | str", ended: "Written | str", tokens: Sequence[Token]) -> Span | None:
        """From where an answer is asked for to the token that ends it; None where the template writes it otherwise."""
        if not isinstance(asked, Written) or not isinstance(ended, Written) or not self._is_whole(at):
            return None
        if not (self.marked.startswith(asked.text) and self.marked.startswith(ended.text)):
            return None
        own = [place for place in self.found if self.turn_of(place) == at]
        if len(asked.text) > min(place.marked[0] for place in own):
            return None
        start, end = written_place(len(asked.text), self.found), self.answer_end(at)
        until = written_place(len(ended.text), self.found)
        closing = next((token for token in tokens if token.is_control and end <= token.start < until), None)
        return start, end if closing is None else closing.end


def _messages(turns: Sequence[Turn], contents: Sequence[str]) -> list[Message]:
    return [{"role": turn.role, "content": content} for turn, content in zip(turns, contents, strict=True)]


def _beginning_in(tokens: Sequence[Token], spans: Sequence[Span]) -> list[bool]:
    """For every token whether its first character is in one of the spans; both stand in order."""
    found, at = [], 0
    for token in tokens:
        while at < len(spans) and spans[at][1] <= token.start:
            at += 1
        found.append(at < len(spans) and spans[at][0] <= token.start)
    return found


def _encoded(ids: Sequence[int], kinds: Sequence[str], begun: Sequence[int], passed: int) -> Encoded:
    """Without what stands behind the last learned token: it changes nothing that is learned."""
    length = max((at + 1 for at, kind in enumerate(kinds) if kind == "learned"), default=len(ids))
    return Encoded(
        ids=tuple(ids[:length]),
        learned=tuple([kind == "learned" for kind in kinds[:length]]),
        read_text=tuple([kind == "text" for kind in kinds[:length]]),
        round_starts=tuple(begun),
        passed=passed,
    )


def template_digest(template: str) -> str:
    """SHA-256 of a template's text, in hex."""
    return sha256(template.encode()).hexdigest()
