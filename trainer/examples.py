"""From examples to token ids; their loss is `attribution.loss`."""

from typing import Any

from attribution.loss import Tokens
from trainer.partition import Example


def tokenise(tokenizer: Any, example: Example, sequence_tokens: int) -> Tokens:
    """Prompt, completion and end-of-sequence token, at most `sequence_tokens` long.

    When both do not fit, the prompt keeps its last tokens, at most half of the sequence, then the completion is cut.
    """
    prompt = tokenizer(example.prompt, add_special_tokens=False)["input_ids"] if example.prompt else []
    completion = tokenizer(example.completion, add_special_tokens=False)["input_ids"]
    if tokenizer.eos_token_id is not None:
        completion = [*completion, tokenizer.eos_token_id]
    if len(prompt) + len(completion) > sequence_tokens:
        prompt = prompt[max(0, len(prompt) - sequence_tokens // 2) :]
    ids = [*prompt, *completion][:sequence_tokens]
    return Tokens(tuple(ids), len(prompt))
