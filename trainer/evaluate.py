"""Loss on held-out rows as integers: mean in millionths of a nat, sample size, 95 % interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from attribution.loss import Tokens, example_losses, make_batch
from trainer.micronats import to_micronats

# Mean over rows of the mean loss of a completion token, in millionths of a nat.
METRIC = "held-out-loss-micronats"
BATCH_ROWS = 4


@dataclass(frozen=True, slots=True)
class Measurement:
    """Mean loss over `sample_size` rows and half the width of its 95 % interval, both in micronats."""

    loss_micronats: int
    sample_size: int
    interval_micronats: int


def summarise(losses_micronats: Sequence[int]) -> Measurement:
    """Mean and 1.96 standard errors, in integers; one row has no interval (0)."""
    count = len(losses_micronats)
    if count == 0:
        raise ValueError("nothing was measured: there are no held-out rows")
    mean = sum(losses_micronats) // count
    if count == 1:
        return Measurement(mean, 1, 0)
    variance = sum((loss - mean) ** 2 for loss in losses_micronats) // (count - 1)
    return Measurement(mean, count, 196 * isqrt(variance * 10_000 // count) // 10_000)


@dataclass(frozen=True, slots=True)
class HeldOutLoss:
    """One model on the held-out rows: over all of them, and by input of the recipe (None: none held out there)."""

    overall: Measurement
    by_input: tuple[Measurement | None, ...]


def evaluate(model: Any, rows: Sequence[tuple[int, Tokens]], input_count: int, padding_id: int) -> HeldOutLoss:
    """Measure a model on (input index, tokens) pairs; its training mode is restored afterwards."""
    import torch

    was_training = model.training
    model.eval()
    losses: list[int] = []
    with torch.no_grad():
        for start in range(0, len(rows), BATCH_ROWS):
            batch = make_batch([tokens for _, tokens in rows[start : start + BATCH_ROWS]], padding_id, model.device)
            losses += [to_micronats(loss) for loss in example_losses(model, batch).tolist()]
    model.train(was_training)
    by_input: list[list[int]] = [[] for _ in range(input_count)]
    for (input_index, _), loss in zip(rows, losses, strict=True):
        by_input[input_index].append(loss)
    return HeldOutLoss(summarise(losses), tuple(summarise(group) if group else None for group in by_input))
