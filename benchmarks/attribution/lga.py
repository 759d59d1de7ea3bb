"""LGA-1 on tasks that fit into memory: float features, integer codes and the scores of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from attribution.lga.features import FeatureSettings, Gradients, MemoryIndex, fit_in_memory
from attribution.lga.gradients import GradientCollector
from attribution.loss import token_losses
from attribution.measure.lds import Floats
from benchmarks.attribution.char.model import CharCheckpoint, restore


@dataclass(frozen=True)
class Attributed:
    """An index, and what it says: scores [rows, queries] of floats, and of codes alone; codes of queries [q, k]."""

    index: MemoryIndex
    float_scores: Floats
    integer_scores: npt.NDArray[np.int64]
    query_codes: npt.NDArray[np.int16]


def attribute(
    training: Sequence[Gradients], queries: Sequence[Gradients], settings: FeatureSettings | None = None
) -> Attributed:
    """From the gradients of every checkpoint, [examples, out, in] by module."""
    index = fit_in_memory(training, settings)
    asked = index.map.features(queries)
    codes = np.stack([index.map.query_codes(line).values for line in asked])
    # Below 2^53 for 2^18 codes of 15 bits on either side, so float64 products of integers are exact.
    integers = index.codes.astype(np.float64) @ codes.astype(np.float64).T
    return Attributed(index, index.features @ asked.T, integers.astype(np.int64), codes)


def adapter_gradients(model: Any, checkpoints: Sequence[CharCheckpoint], ids: torch.Tensor) -> list[Gradients]:
    """B gradients of every sequence at every checkpoint; leaves the model at the last."""
    collected: list[Gradients] = []
    for checkpoint in checkpoints:
        restore(model, checkpoint)
        collected.append(GradientCollector(model).collect(lambda: canonical_losses(model, ids)))
    return collected


def canonical_losses(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The canonical loss (attribution.loss) of sequences of one length, float64 [sequences]."""
    logits = model(ids[:, :-1])
    losses = token_losses()(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))
    return losses.reshape(len(ids), -1).mean(dim=1)  # type: ignore[no-any-return]
