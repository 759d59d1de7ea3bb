"""From examples to tensors, and the canonical loss.

The loss of an example is the mean cross-entropy over its completion tokens, teacher-forced: prompt and padding do not
count, so neither batch nor padding changes it. Log-softmax and mean are taken in float64 on float32 logits, over the
last dimension: any other way has errors that attribution could not tolerate later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.partition import Example

if TYPE_CHECKING:
    import torch

IGNORED_LABEL = -100


@dataclass(frozen=True, slots=True)
class Tokens:
    """One example as token ids; the first `prompt_length` of them carry no loss."""

    ids: tuple[int, ...]
    prompt_length: int


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


def make_batch(tokens: Sequence[Tokens], padding_id: int) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """(ids, attention mask, labels), each [batch, longest], padded on the right."""
    import torch

    longest = max(len(item.ids) for item in tokens)
    ids = torch.full((len(tokens), longest), padding_id, dtype=torch.long)
    mask = torch.zeros((len(tokens), longest), dtype=torch.long)
    labels = torch.full((len(tokens), longest), IGNORED_LABEL, dtype=torch.long)
    for row, item in enumerate(tokens):
        length = len(item.ids)
        ids[row, :length] = torch.tensor(item.ids)
        mask[row, :length] = 1
        labels[row, item.prompt_length : length] = ids[row, item.prompt_length : length]
    return ids, mask, labels


def example_losses(model: Any, batch: "tuple[torch.Tensor, torch.Tensor, torch.Tensor]") -> "torch.Tensor":
    """Loss of every example in nats, float64 [batch]; an example without a target token has loss 0."""
    import torch

    ids, mask, labels = batch
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    targets = labels[:, 1:]
    counted = targets != IGNORED_LABEL
    log_probabilities = torch.log_softmax(logits[counted].double(), dim=-1)
    token_losses = -log_probabilities.gather(1, targets[counted].unsqueeze(1)).squeeze(1)
    rows = torch.arange(len(ids)).unsqueeze(1).expand_as(targets)[counted]
    # A one-hot product instead of index_add: sums in a fixed order with deterministic algorithms on any device.
    membership = torch.nn.functional.one_hot(rows, len(ids)).to(token_losses.dtype)
    return (token_losses @ membership) / counted.sum(dim=1).clamp(min=1)
