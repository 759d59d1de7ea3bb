"""Gradients of all adapter tensors, one example after the other: what the methods compared with LGA-1 need."""

from typing import Any

import numpy as np
import torch

from attribution.measure.baselines import CheckpointGradients, Gradients
from attribution.measure.lds import Floats
from benchmarks.attribution.char.model import CharCheckpoint, adapter_parameters, batch_loss, restore


def checkpoint_gradients(
    model: Any, checkpoint: CharCheckpoint, training: torch.Tensor, queries: torch.Tensor
) -> CheckpointGradients:
    """At this checkpoint; leaves the model there. `training` and `queries` are ids [sequences, characters]."""
    restore(model, checkpoint)
    return CheckpointGradients(
        example_gradients(model, training),
        example_gradients(model, queries),
        {name: _line(value) for name, value in checkpoint.first_moments.items()},
        {name: _line(value) for name, value in checkpoint.second_moments.items()},
        checkpoint.steps,
        checkpoint.step_size,
    )


def example_gradients(model: Any, ids: torch.Tensor) -> Gradients:
    """Tensor name -> [sequences, entries], by one backward pass for every sequence."""
    parameters = adapter_parameters(model)
    collected: dict[str, list[Floats]] = {name: [] for name in parameters}
    for row in range(len(ids)):
        gradients = torch.autograd.grad(batch_loss(model, ids[row : row + 1]), list(parameters.values()))
        for name, gradient in zip(parameters, gradients, strict=True):
            collected[name].append(_line(gradient)[0])
    return {name: np.stack(rows) for name, rows in collected.items()}


def _line(tensor: torch.Tensor) -> Floats:
    return tensor.detach().double().reshape(1, -1).numpy()
