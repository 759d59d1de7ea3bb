"""Methods that LGA-1 is compared with: scores from per-example gradients, and from words alone.

Gradients come as one matrix per tensor, [examples, entries of the tensor]; all functions return scores [training
rows, queries], above 0 where training on the row lowers the loss of the query. They keep whole gradients in memory and
compare every pair: references for a benchmark, not for an index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attribution.measure.lds import Floats

Gradients = Mapping[str, Floats]
"""Tensor name -> [examples, entries]."""

ADAM_BETA1, ADAM_BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class CheckpointGradients:
    """Gradients of training rows and queries at one checkpoint, and the state of Adam there, by tensor name."""

    training: Gradients
    queries: Gradients
    first_moments: Gradients
    second_moments: Gradients
    steps: int
    step_size: float


def flat(gradients: Gradients) -> Floats:
    """[examples, all entries], tensors in the order of their names."""
    return np.concatenate([gradients[name] for name in sorted(gradients)], axis=1)


def gradient_dot(at: CheckpointGradients) -> Floats:
    """Plain inner products."""
    return flat(at.training) @ flat(at.queries).T


def gradient_cosine(at: CheckpointGradients) -> Floats:
    """Inner products of gradients of length one."""
    return _unit(flat(at.training)) @ _unit(flat(at.queries)).T


def tracin(checkpoints: Sequence[CheckpointGradients]) -> Floats:
    """Inner products summed over checkpoints, each times its step size (Pruthi et al. 2020)."""
    return np.sum([at.step_size * gradient_dot(at) for at in checkpoints], axis=0)  # type: ignore[no-any-return]


def datainf(at: CheckpointGradients, damping: float = 0.1) -> Floats:
    """Kwon et al. 2024, formula 5: inverses of rank-one matrices averaged, tensor by tensor.

    The damping of a tensor is `damping` times the mean square of its gradient's entries, as in the paper.
    """
    total: Floats = np.zeros((_rows(at.training), _rows(at.queries)))
    for name, training in at.training.items():
        strength = damping * float((training**2).mean())
        among = training @ training.T
        towards = at.queries[name] @ training.T
        reduced = towards / (strength + np.diag(among))
        total += ((towards - reduced @ among / len(training)) / strength).T
    return total


def adam_dot(at: CheckpointGradients) -> Floats:
    """Training gradients divided by the root of Adam's second moments, times plain query gradients."""
    return _adam_scaled(at) @ flat(at.queries).T


def less(checkpoints: Sequence[CheckpointGradients]) -> Floats:
    """Xia et al. 2024: cosine of the update that Adam would make with a row and of the query's gradient.

    Summed over checkpoints times the step size. Without the random projection, which only costs quality.
    """
    parts = [at.step_size * (_unit(_adam_update(at)) @ _unit(flat(at.queries)).T) for at in checkpoints]
    return np.sum(parts, axis=0)  # type: ignore[no-any-return]


def whitened(at: CheckpointGradients, damping: float = 1.0, names: Sequence[str] | None = None) -> Floats:
    """Inverse of each tensor's damped second moments, whole: what LGA-1 approaches with a few numbers per module.

    `damping` is in units of the mean eigenvalue; `names` restricts it to some tensors.
    """
    total: Floats = np.zeros((_rows(at.training), _rows(at.queries)))
    for name in sorted(names or at.training):
        total += _whitened_product(at.training[name], at.queries[name], damping)
    return total


def whitened_at_once(at: CheckpointGradients, damping: float = 1.0) -> Floats:
    """Scores whitened over all tensors together: by the empirical Fisher matrix of the whole adapter."""
    return _whitened_product(flat(at.training), flat(at.queries), damping)


def _whitened_product(training: Floats, queries: Floats, damping: float) -> Floats:
    """`training (M + d mean(eigenvalues) 1)^-1 queries^T` by the smaller of the two Gram matrices."""
    rows, entries = training.shape
    strength = damping * float((training**2).sum()) / rows / entries
    if strength == 0:
        return np.zeros((rows, len(queries)))
    if entries <= rows:
        moments = training.T @ training / rows + strength * np.eye(entries)
        return training @ np.linalg.solve(moments, queries.T)
    # Woodbury: M has at most `rows` directions, all others are only damped.
    among = training @ training.T
    towards = training @ queries.T
    solved = np.linalg.solve(among + rows * strength * np.eye(rows), towards)
    scores: Floats = (towards - among @ solved) / strength
    return scores


def _adam_scaled(at: CheckpointGradients) -> Floats:
    seen = flat(at.second_moments) / (1 - ADAM_BETA2**at.steps)
    return flat(at.training) / (np.sqrt(seen) + ADAM_EPSILON)


def _adam_update(at: CheckpointGradients) -> Floats:
    """Adam's step, were the row the next batch: both moments take it in."""
    gradient, steps = flat(at.training), at.steps + 1
    first = ADAM_BETA1 * flat(at.first_moments) + (1 - ADAM_BETA1) * gradient
    second = ADAM_BETA2 * flat(at.second_moments) + (1 - ADAM_BETA2) * gradient**2
    return (first / (1 - ADAM_BETA1**steps)) / (np.sqrt(second / (1 - ADAM_BETA2**steps)) + ADAM_EPSILON)


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit


def _rows(gradients: Gradients) -> int:
    return len(next(iter(gradients.values())))
