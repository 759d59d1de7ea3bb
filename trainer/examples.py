"""From examples to token ids, and what had to be cut; their loss is `attribution.loss`.

Text, and a prompt with its completion, are the tokenizer's own beginning, the prompt, the completion and the
end-of-text token. Conversations and instructions are written by the base's chat template where it has one, else in
plain words (`trainer.chat.writer`, `INSTRUCTION_WORDS`); the recipe's `train.chat_template` decides.

When all of it is longer than a sequence, whole rounds of a conversation go first, the oldest ones, never its system
turn; then the text of prompts is cut, from its left, so that the completion stays whole. A completion that is too long
even without a prompt is cut at its end, beside the last tokens of the prompt (a quarter of the sequence); it then has
no token that ends it, because the text does not end there. The end alone is never cut: a whole text that is not said to
be over would teach a model not to stop.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from abci_app.modules.datanets import Form
from attribution.loss import Tokens
from attribution.text_tokens import TokenizerError, begin_ids, end_id, text_ids
from openledger.errors import UsageError
from trainer.chat.alignment import ConversationFault
from trainer.chat.renderer import Renderer
from trainer.chat.writer import Encoded, PlainWriter, TemplateWriter, Writer, rounds, template_digest
from trainer.partition import Example, place_of
from trainer.recipe import Train
from trainer.turns import Turn, merged_system

# Part of a sequence that a prompt keeps where the completion does not fit in any case.
_PROMPT_PART = 4
# How an instruction is written where no chat template is.
INSTRUCTION_WORDS = "### Instruction:\n{}\n\n### Response:\n"
_SHOWN_PROBLEMS = 3
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
PLAIN_RULE = "the assistant's turns and the end of text behind each"
MARKED_RULE = "what the template marks as generated of the assistant's turns"
PREFIX_RULE = "the assistant's turns, from where the template asks for one to the token with which it ends one"


class ExampleError(UsageError, ValueError):
    """Rows cannot be written for this base; the text says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class ReadExample:
    """An example as the model sees it, and what is not in it.

    `prompt_cut` and `completion_cut` are tokens (end included), `turns_cut` turns that had no room, `unanswered` turns
    behind the last answer, `answers_passed` answers that are read and not learned since the template rewrites them.
    """

    tokens: Tokens
    prompt_cut: int
    completion_cut: int
    turns_cut: int = 0
    unanswered: int = 0
    answers_passed: int = 0

    @property
    def targets(self) -> int:
        """Tokens that the loss counts on."""
        return self.tokens.targets


@dataclass(frozen=True, slots=True)
class CutCounts:
    """Counts of some examples: how many lost a part of the prompt or completion, and how many predict nothing."""

    examples: int = 0
    prompts_cut: int = 0
    completions_cut: int = 0
    tokens_cut: int = 0
    without_target: int = 0
    turns_cut: int = 0
    unanswered_turns: int = 0
    answers_passed: int = 0

    @classmethod
    def of(cls, read: Iterable[ReadExample]) -> "CutCounts":
        """Count them."""
        items = tuple(read)
        return cls(
            examples=len(items),
            prompts_cut=sum(item.prompt_cut > 0 for item in items),
            completions_cut=sum(item.completion_cut > 0 for item in items),
            tokens_cut=sum(item.prompt_cut + item.completion_cut for item in items),
            without_target=sum(item.targets < 1 for item in items),
            turns_cut=sum(item.turns_cut for item in items),
            unanswered_turns=sum(item.unanswered for item in items),
            answers_passed=sum(item.answers_passed for item in items),
        )


@dataclass(frozen=True, slots=True)
class Cuts:
    """Counts of the different examples of a run by input of the recipe: those trained on and those measured on."""

    trained: tuple[CutCounts, ...]
    measured: tuple[CutCounts, ...]
    # How conversations were written, and what of them was learned (`ExampleReader.writing`).
    writing: Mapping[str, str] = field(default_factory=dict)


def read_run(
    tokenizer: Any, settings: Train, order: Sequence[Example], held_out: Sequence[Example], inputs: int
) -> tuple[tuple[Tokens, ...], tuple[Tokens, ...], Cuts]:
    """Tokens of every example in order, those of the held-out ones, and what had to be cut; each is read once.

    Raises `ExampleError` with the rows that cannot be written.
    """
    known: dict[tuple[int, bytes, int], ReadExample] = {}
    with opened_reader(tokenizer, settings) as reader:
        found = reader.read_all(_different([*held_out, *order]))
        writing = reader.writing([example for example, _ in found])
    known = {_key(example): read for example, read in found}
    measured = [(example.input_index, known[_key(example)]) for example in held_out]
    trained = [(example.input_index, known[_key(example)]) for example in _different(order)]
    by_input = [
        tuple([CutCounts.of([item for number, item in items if number == index]) for index in range(inputs)])
        for items in (trained, measured)
    ]
    ordered = tuple([known[_key(example)].tokens for example in order])
    return ordered, tuple([item.tokens for _, item in measured]), Cuts(by_input[0], by_input[1], writing)


def read_tokens(tokenizer: Any, settings: Train, examples: Sequence[Example]) -> tuple[Tokens, ...]:
    """Examples as a run with these settings reads them: in training, measuring, indexing and repeating."""
    with opened_reader(tokenizer, settings) as reader:
        return tuple([read.tokens for _, read in reader.read_all(examples)])


@contextmanager
def opened_reader(tokenizer: Any, settings: Train) -> "Iterator[ExampleReader]":
    """A reader whose chat template, if it runs one, ends with the block."""
    reader = ExampleReader(tokenizer, settings)
    try:
        yield reader
    finally:
        reader.close()


def template_of(tokenizer: Any) -> str | None:
    """The base's chat template, or None; of several that have names the one called default."""
    found = tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get("default")
    return found or None


class ExampleReader:
    """Reads examples for one base and recipe; the chat template runs from the first conversation until `close`."""

    def __init__(self, tokenizer: Any, settings: Train) -> None:
        """Nothing is started yet."""
        self._tokenizer = tokenizer
        self._settings = settings
        self._template = template_of(tokenizer) if settings.chat_template != "never" else None
        self._writer: Writer | None = None
        self._renderer: Renderer | None = None

    def close(self) -> None:
        """End the template's process."""
        if self._renderer is not None:
            self._renderer.close()
        self._renderer = self._writer = None

    def read_all(self, examples: Sequence[Example]) -> list[tuple[Example, ReadExample]]:
        """Read examples; raises `ExampleError` that names the first rows which cannot be written, and counts them."""
        found, problems = [], list[str]()
        for example in examples:
            try:
                found.append((example, self.read(example)))
            except ConversationFault as fault:
                place = f"datasets[{example.input_index}]: {place_of(example.row)}"
                problems.append(f"{place}: the base's chat template {fault}")
        if problems:
            more = len(problems) - _SHOWN_PROBLEMS
            remedy = (
                "leave such rows out (filter takes_turns), or write system_turns: merge or chat_template: never into "
                "the recipe's train section"
            )
            shown = [*problems[:_SHOWN_PROBLEMS], *([f"and {more} more rows"] if more > 0 else []), remedy]
            raise ExampleError("\n  ".join(shown))
        return found

    def read(self, example: Example) -> ReadExample:
        """Read one; raises `ConversationFault`, or `TokenizerError` and `TemplateFault` for the base."""
        turns = merged_system(example.turns) if self._settings.system_turns == "merge" else example.turns
        if self.is_conversation(example):
            answered = max(at for at, turn in enumerate(turns) if turn.role == "assistant") + 1
            return self._conversation(turns[:answered], len(turns) - answered)
        prompt = "".join([turn.text for turn in turns[:-1]])
        if example.form == Form.INSTRUCTION:
            prompt = INSTRUCTION_WORDS.format(prompt)
        return read_pair(
            self._tokenizer, prompt, turns[-1].text, self._settings.sequence_tokens, with_end=self._settings.with_end
        )

    def is_conversation(self, example: Example) -> bool:
        """Whether an example is written turn by turn: conversations always, pairs and instructions by the recipe."""
        if example.form in (Form.MESSAGES, Form.SHAREGPT):
            return True
        if example.form == Form.TEXT or example.turns[0].role != "user" or self._template is None:
            return False
        return example.form == Form.INSTRUCTION or self._settings.chat_template == "always"

    def writing(self, examples: Iterable[Example]) -> dict[str, str]:
        """How conversations and instructions among some examples are written: words for the record, by name."""
        turned, words = False, dict[str, str]()
        for example in examples:
            if self.is_conversation(example):
                turned = True
            elif example.form == Form.INSTRUCTION:
                words = {"instructions": INSTRUCTION_WORDS}
        if not turned:
            return {"conversations": "none"} | words
        if self._template is None:
            return {"conversations": "plain words", "learned": PLAIN_RULE} | words
        marked = _GENERATION.search(self._template) is not None
        date = {"date": self._settings.chat_date} if self._settings.chat_date else {}
        return {
            "conversations": "the base's chat template",
            "template_sha256": template_digest(self._template),
            "learned": MARKED_RULE if marked else PREFIX_RULE,
            **words,
            **date,
        }

    def _conversation(self, turns: Sequence[Turn], unanswered: int) -> ReadExample:
        limit = self._settings.sequence_tokens
        whole = kept = self._opened().write(turns)
        left = list(turns)
        while len(kept.ids) > limit and len(rounds(left)) > 1:
            left = _without_oldest(left, kept, limit)
            kept = self._opened().write(left)
        fitted, prompt_cut, completion_cut = _fitted(kept, limit)
        return ReadExample(
            tokens=_tokens(fitted),
            prompt_cut=prompt_cut + len(whole.ids) - len(kept.ids),
            completion_cut=completion_cut,
            turns_cut=len(turns) - len(left),
            unanswered=unanswered,
            answers_passed=kept.passed,
        )

    def _opened(self) -> Writer:
        if self._writer is not None:
            return self._writer
        settings = self._settings
        if self._template is None:
            if settings.chat_template == "always":
                raise TokenizerError(
                    "the base has no chat template, which `chat_template: always` needs: write auto (plain words "
                    "where there is none), or record a base with its chat_template.jinja"
                )
            if settings.with_end:
                _end(self._tokenizer)
            self._writer = PlainWriter(self._tokenizer, with_end=settings.with_end)
            return self._writer
        variables = {name: str(value) for name, value in self._tokenizer.special_tokens_map.items()}
        self._renderer = Renderer(self._template, variables, settings.chat_date)
        self._writer = TemplateWriter(self._tokenizer, self._renderer, with_end=settings.with_end)
        return self._writer


def read_pair(
    tokenizer: Any, prompt_text: str, completion_text: str, sequence_tokens: int, *, with_end: bool = True
) -> ReadExample:
    """Prompt, completion and end-of-text token, at most `sequence_tokens` long; raises `TokenizerError`."""
    begin, prompt = begin_ids(tokenizer), text_ids(tokenizer, prompt_text)
    completion, end = text_ids(tokenizer, completion_text), _end(tokenizer) if with_end else ()
    room = sequence_tokens - len(begin)
    if len(completion) + len(end) <= room:
        kept_prompt = prompt[max(0, len(prompt) + len(completion) + len(end) - room) :]
        kept_completion = (*completion, *end)
    else:
        kept_prompt = prompt[max(0, len(prompt) - sequence_tokens // _PROMPT_PART) :]
        # One token less at least: the end is never cut alone.
        kept_completion = completion[: min(room - len(kept_prompt), len(completion) - 1)]
    return ReadExample(
        Tokens((*begin, *kept_prompt, *kept_completion), len(begin) + len(kept_prompt)),
        len(prompt) - len(kept_prompt),
        len(completion) + len(end) - len(kept_completion),
    )


def _without_oldest(turns: Sequence[Turn], written: Encoded, limit: int) -> list[Turn]:
    """Turns without the oldest rounds, as many as by their tokens must go, one at least, never the last."""
    starts = rounds(turns)
    first = starts[0]
    gone = next(
        (
            number
            for number in range(1, len(starts))
            if len(written.ids) - (written.round_starts[number] - written.round_starts[0]) <= limit
        ),
        len(starts) - 1,
    )
    return [*turns[:first], *turns[starts[gone] :]]


def _fitted(written: Encoded, limit: int) -> tuple[Encoded, int, int]:
    """A conversation of one round in a sequence: what is only read is cut first, then the answer, from its end."""
    over = len(written.ids) - limit
    if over <= 0:
        return written, 0, 0
    readable = [at for at, text in enumerate(written.read_text) if text]
    fits = over <= len(readable)
    cut = set(readable[: over if fits else max(0, len(readable) - limit // _PROMPT_PART)])
    kept = [at for at in range(len(written.ids)) if at not in cut]
    # One token less at least: the end is never cut alone.
    length = len(kept) if fits else min(limit, len(kept) - 2)
    kept = kept[: max(1, length)]
    while len(kept) > 1 and any(written.learned[at] for at in kept) and not written.learned[kept[-1]]:
        kept.pop()
    fitted = Encoded(
        ids=tuple([written.ids[at] for at in kept]),
        learned=tuple([written.learned[at] for at in kept]),
        read_text=tuple([written.read_text[at] for at in kept]),
        round_starts=(),
        passed=written.passed,
    )
    return fitted, len(cut), sum(written.learned) - sum(fitted.learned)


def _tokens(written: Encoded) -> Tokens:
    """Give the form that the loss takes; without a learned token all is prompt."""
    if True not in written.learned:
        return Tokens(written.ids, len(written.ids))
    first = written.learned.index(True)
    passed, start = list[tuple[int, int]](), None
    for at in range(first, len(written.ids)):
        if written.learned[at] and start is not None:
            passed.append((start, at))
            start = None
        elif not written.learned[at] and start is None:
            start = at
    return Tokens(written.ids, first, tuple(passed))


def _key(example: Example) -> tuple[int, bytes, int]:
    return example.input_index, example.row.contribution_id, example.row.index


def _different(examples: Iterable[Example]) -> list[Example]:
    return list({_key(example): example for example in examples}.values())


def _end(tokenizer: Any) -> tuple[int, ...]:
    number = end_id(tokenizer)
    if number is None:
        raise TokenizerError(
            "the base's tokenizer names no end-of-text token, so no model learns from it to stop: add eos_token to its "
            "tokenizer_config.json, or write `end_of_text: none` into the recipe's train section"
        )
    return (number,)
