"""The canonical loss: what training minimises is, number by number, what attribution takes gradients of.

The loss of an example is the mean cross-entropy over its learned tokens in nats, teacher-forced: prompts (in a
conversation all turns but the assistant's) and padding do not count. Log-softmax and mean are taken in float64 on
float32 logits, over the last dimension: cross-entropy in float32 over a transposed layout has a systematic error of
8e-5, seen as 1e-3 in the codes; this has 5e-6.

One example at a time: an example's loss and gradient depend on its own tokens alone. Computed beside others (a batch,
padded on the right, or packed) the value is the same function evaluated with matrix products of other shapes, so it
moves in the last bits, within `attribution.lga.precision.BAND`. Where equality matters, for queries and audited leaves,
the example is computed singly: a batch of one, without padding. That is the reference; batches are a faster way to
nearly the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

IGNORED_LABEL = -100
# 64 tokens of a vocabulary of 50,000 are 25 MB in float64: fresh memory of that size costs little.
TOKENS_AT_A_TIME = 64


@dataclass(frozen=True, slots=True)
class Tokens:
    """One example as token ids; the first `prompt_length` of them carry no loss.

    `passed` are stretches [start, end) behind them which carry no loss either: turns of a conversation that are not the
    assistant's. They stand in order, do not touch, and end before the last token.
    """

    ids: tuple[int, ...]
    prompt_length: int
    passed: tuple[tuple[int, int], ...] = ()

    @property
    def learned(self) -> tuple[tuple[int, int], ...]:
        """Stretches [start, end) of tokens that carry loss, in order."""
        starts = (self.prompt_length, *[end for _, end in self.passed])
        ends = (*[start for start, _ in self.passed], len(self.ids))
        return tuple([(start, end) for start, end in zip(starts, ends, strict=True) if start < end])

    @property
    def targets(self) -> int:
        """How many tokens the loss counts on; the first token of a sequence is not predicted."""
        return sum(end - max(1, start) for start, end in self.learned if end > 1)


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Several examples a row, one behind another: tensors [rows, longest]; positions begin again with each of them.

    `numbers` say whose target a token is, counted through the batch; `labels` are ignored where nothing is learned.
    """

    ids: "torch.Tensor"
    positions: "torch.Tensor"
    labels: "torch.Tensor"
    numbers: "torch.Tensor"
    examples: int


def make_batch(
    tokens: Sequence[Tokens], padding_id: int, device: "torch.device | None" = None
) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
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
        for start, end in item.learned:
            labels[row, start:end] = ids[row, start:end]
    return ids.to(device), mask.to(device), labels.to(device)


def make_packed_batch(
    rows: Sequence[Sequence[Tokens]], padding_id: int, device: "torch.device | None" = None
) -> PackedBatch:
    """Pack the examples of every row one behind another; padding at the end stands for an example of its own.

    Where no mask is given and positions begin again, the models of transformers keep what stands before out of
    attention (`masking_utils.find_packed_sequence_indices`); `trainer.step_loss.check_packing` tries it on the base.
    """
    import torch

    shape = len(rows), max(sum(len(item.ids) for item in row) for row in rows)
    ids = torch.full(shape, padding_id, dtype=torch.long)
    positions = torch.arange(shape[1]).repeat(len(rows), 1)
    labels = torch.full(shape, IGNORED_LABEL, dtype=torch.long)
    numbers = torch.zeros(shape, dtype=torch.long)
    number = 0
    for row, items in enumerate(rows):
        at = 0
        for item in items:
            length = len(item.ids)
            ids[row, at : at + length] = torch.tensor(item.ids)
            positions[row, at:] = torch.arange(shape[1] - at)
            # The first token of an example is not predicted from the example before it.
            for start, end in item.learned:
                start = max(1, start)
                labels[row, at + start : at + end] = ids[row, at + start : at + end]
            numbers[row, at : at + length] = number
            at, number = at + length, number + 1
        positions[row, at:] = torch.arange(shape[1] - at)
    return PackedBatch(
        ids=ids.to(device),
        positions=positions.to(device),
        labels=labels.to(device),
        numbers=numbers.to(device),
        examples=number,
    )


def example_losses(model: Any, batch: "tuple[torch.Tensor, torch.Tensor, torch.Tensor]") -> "torch.Tensor":
    """Loss of every example in nats, float64 [batch]; an example without a target token has loss 0."""
    import torch

    ids, mask, labels = batch
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    rows = torch.arange(len(ids), device=ids.device).unsqueeze(1).expand_as(ids)
    return _mean_losses(logits, labels, rows, len(ids))


def packed_losses(model: Any, batch: PackedBatch) -> "torch.Tensor":
    """Loss of every example of a packed batch in nats, float64 [examples], in the order in which they are packed."""
    logits = model(input_ids=batch.ids, position_ids=batch.positions, use_cache=False).logits
    return _mean_losses(logits, batch.labels, batch.numbers, batch.examples)


def _mean_losses(
    logits: "torch.Tensor", labels: "torch.Tensor", numbers: "torch.Tensor", examples: int
) -> "torch.Tensor":
    """Mean over the targets of each example; `numbers` say whose a token is."""
    import torch

    targets = labels[:, 1:]
    counted = targets != IGNORED_LABEL
    losses: torch.Tensor = token_losses()(logits[:, :-1][counted], targets[counted])
    # A one-hot product instead of index_add: sums in a fixed order with deterministic algorithms on any device.
    membership = torch.nn.functional.one_hot(numbers[:, 1:][counted], examples).to(losses.dtype)
    return (losses @ membership) / membership.sum(dim=0).clamp(min=1)


@cache
def token_losses() -> Any:
    """Function (float32 logits [tokens, vocabulary], targets [tokens]) -> float64 losses [tokens], differentiable.

    Value and gradient are worked out together in float64, some tokens at a time: automatic differentiation of the
    same expression keeps four float64 copies of all logits, which costs a third of a step on a small model.
    """
    import torch

    class TokenLosses(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, logits: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
            losses = torch.empty(len(logits), dtype=torch.float64, device=logits.device)
            needed = context.needs_input_grad[0]
            gradient = torch.empty_like(logits) if needed else None
            for start in range(0, len(logits), TOKENS_AT_A_TIME):
                part = slice(start, start + TOKENS_AT_A_TIME)
                target = targets[part].unsqueeze(1)
                log_probabilities = torch.log_softmax(logits[part].double(), dim=-1)
                losses[part] = -log_probabilities.gather(1, target).squeeze(1)
                if gradient is not None:
                    probabilities = log_probabilities.exp_()
                    probabilities.scatter_add_(1, target, probabilities.new_full(target.shape, -1.0))
                    gradient[part] = probabilities
            if gradient is not None:
                context.save_for_backward(gradient)
            return losses

        @staticmethod
        def backward(context: Any, outer: "torch.Tensor") -> "tuple[torch.Tensor, None]":
            (gradient,) = context.saved_tensors
            # Weights are 1 / (tokens x batch): their rounding to float32 is that of the gradient itself.
            return gradient * outer.to(gradient.dtype).unsqueeze(1), None

    return TokenLosses.apply
