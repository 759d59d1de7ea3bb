"""From examples to token ids, and what had to be cut; their loss is `attribution.loss`.

An example is the tokenizer's own beginning, the prompt, the completion and the end-of-text token. When all of it is
longer than a sequence, the prompt is cut first, from its left, so that the completion stays whole. A completion that is
too long even without a prompt is cut at its end, beside the last tokens of the prompt (a quarter of the sequence); it
then has no end-of-text token, because the text does not end there. The end alone is never cut: a whole text that is not
said to be over would teach a model not to stop.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from attribution.loss import Tokens
from attribution.text_tokens import TokenizerError, begin_ids, end_id, text_ids
from trainer.partition import Example
from trainer.recipe import Train

# Part of a sequence that a prompt keeps where the completion does not fit in any case.
_PROMPT_PART = 4


@dataclass(frozen=True, slots=True)
class ReadExample:
    """An example as the model sees it, and how many tokens of its prompt and completion (end included) were cut."""

    tokens: Tokens
    prompt_cut: int
    completion_cut: int

    @property
    def targets(self) -> int:
        """Tokens that the loss counts on; the first token of a sequence is not predicted."""
        return len(self.tokens.ids) - max(1, self.tokens.prompt_length)


@dataclass(frozen=True, slots=True)
class CutCounts:
    """Counts of some examples: how many lost a part of the prompt or completion, and how many predict nothing."""

    examples: int = 0
    prompts_cut: int = 0
    completions_cut: int = 0
    tokens_cut: int = 0
    without_target: int = 0

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
        )


@dataclass(frozen=True, slots=True)
class Cuts:
    """Counts of the different examples of a run by input of the recipe: those trained on and those measured on."""

    trained: tuple[CutCounts, ...]
    measured: tuple[CutCounts, ...]


def read_run(
    tokenizer: Any, settings: Train, order: Sequence[Example], held_out: Sequence[Example], inputs: int
) -> tuple[tuple[Tokens, ...], tuple[Tokens, ...], Cuts]:
    """Tokens of every example in order, those of the held-out ones, and what had to be cut; each is read once."""
    known: dict[tuple[int, bytes, int], ReadExample] = {}

    def read(example: Example) -> ReadExample:
        place = example.input_index, example.row.contribution_id, example.row.index
        if place not in known:
            known[place] = read_example(tokenizer, example, settings.sequence_tokens, with_end=settings.with_end)
        return known[place]

    measured = [(example.input_index, read(example)) for example in held_out]
    known.clear()
    ordered = [read(example) for example in order]
    trained = [(place[0], item) for place, item in known.items()]
    by_input = [
        tuple([CutCounts.of([item for number, item in items if number == index]) for index in range(inputs)])
        for items in (trained, measured)
    ]
    return tuple([item.tokens for item in ordered]), tuple([item.tokens for _, item in measured]), Cuts(*by_input)


def tokenise_for(tokenizer: Any, settings: Train, example: Example) -> Tokens:
    """An example as a run with these settings reads it: in training, measuring, indexing and repeating."""
    return tokenise(tokenizer, example, settings.sequence_tokens, with_end=settings.with_end)


def tokenise(tokenizer: Any, example: Example, sequence_tokens: int, *, with_end: bool = True) -> Tokens:
    """Prompt, completion and end-of-text token, at most `sequence_tokens` long; raises `TokenizerError`."""
    return read_example(tokenizer, example, sequence_tokens, with_end=with_end).tokens


def read_example(tokenizer: Any, example: Example, sequence_tokens: int, *, with_end: bool = True) -> ReadExample:
    """Tokenise an example as `tokenise` does, and tell which parts of it were cut."""
    begin, prompt = begin_ids(tokenizer), text_ids(tokenizer, example.prompt)
    completion, end = text_ids(tokenizer, example.completion), _end(tokenizer) if with_end else ()
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


def _end(tokenizer: Any) -> tuple[int, ...]:
    number = end_id(tokenizer)
    if number is None:
        raise TokenizerError(
            "the base's tokenizer names no end-of-text token, so no model learns from it to stop: add eos_token to its "
            "tokenizer_config.json, or write `end_of_text: none` into the recipe's train section"
        )
    return (number,)
