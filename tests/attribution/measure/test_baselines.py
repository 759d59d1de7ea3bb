"""Each method against its formula, pair by pair."""

from collections.abc import Callable

import numpy as np
import pytest

from attribution.measure.baselines import (
    CheckpointGradients,
    adam_dot,
    datainf,
    gradient_cosine,
    gradient_dot,
    less,
    tracin,
    whitened,
    whitened_at_once,
)
from attribution.measure.lds import Floats

pytestmark = pytest.mark.ml


TENSORS = {"a": 3, "b": 12}
"""One tensor with fewer entries than rows, one with more: both ways to invert."""


def _gradients(rows: int, seed: int) -> dict[str, Floats]:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=(rows, entries)) for name, entries in TENSORS.items()}


def _checkpoint(seed: int = 0, step_size: float = 0.5) -> CheckpointGradients:
    squares = {name: value**2 for name, value in _gradients(1, seed + 3).items()}
    return CheckpointGradients(
        _gradients(7, seed), _gradients(4, seed + 1), _gradients(1, seed + 2), squares, 9, step_size
    )


def _pairs(at: CheckpointGradients, score: Callable[[Floats, Floats], object]) -> Floats:
    """Score of every (row, query) by a function of whole gradients: the slow way."""
    rows = np.concatenate([at.training["a"], at.training["b"]], axis=1)
    queries = np.concatenate([at.queries["a"], at.queries["b"]], axis=1)
    return np.array([[score(row, query) for query in queries] for row in rows])


def test_dot_and_cosine_are_what_they_say() -> None:
    at = _checkpoint()

    assert gradient_dot(at) == pytest.approx(_pairs(at, np.dot))
    lengths = np.linalg.norm
    assert gradient_cosine(at) == pytest.approx(_pairs(at, lambda r, q: r @ q / lengths(r) / lengths(q)))


def test_tracin_adds_checkpoints_by_step_size() -> None:
    first, second = _checkpoint(0, 0.5), _checkpoint(50, 0.25)

    assert tracin([first, second]) == pytest.approx(0.5 * gradient_dot(first) + 0.25 * gradient_dot(second))


def test_datainf_averages_the_inverses_of_rank_one_matrices() -> None:
    at = _checkpoint()
    expected = np.zeros((7, 4))
    for name, training in at.training.items():
        strength = 0.1 * np.mean([gradient @ gradient for gradient in training]) / training.shape[1]
        inverses = [
            np.linalg.inv(np.outer(gradient, gradient) + strength * np.eye(len(gradient))) for gradient in training
        ]
        expected += training @ np.mean(inverses, axis=0) @ at.queries[name].T

    assert datainf(at) == pytest.approx(expected)


def test_whitening_is_the_inverse_of_damped_second_moments_by_tensor() -> None:
    at = _checkpoint()
    expected = {}
    for name, training in at.training.items():
        moments = training.T @ training / len(training)
        damped = moments + 2.0 * np.trace(moments) / len(moments) * np.eye(len(moments))
        expected[name] = training @ np.linalg.inv(damped) @ at.queries[name].T

    assert whitened(at, 2.0) == pytest.approx(expected["a"] + expected["b"])
    assert whitened(at, 2.0, ["b"]) == pytest.approx(expected["b"])


def test_whitening_at_once_sees_correlations_between_tensors() -> None:
    at = _checkpoint()
    training = np.concatenate([at.training["a"], at.training["b"]], axis=1)
    queries = np.concatenate([at.queries["a"], at.queries["b"]], axis=1)
    moments = training.T @ training / len(training)
    damped = moments + np.trace(moments) / len(moments) * np.eye(len(moments))

    assert whitened_at_once(at) == pytest.approx(training @ np.linalg.inv(damped) @ queries.T)


def test_tensors_without_any_gradient_count_nothing() -> None:
    at = _checkpoint()
    empty = {name: np.zeros_like(value) for name, value in at.training.items()}
    nothing = CheckpointGradients(empty, at.queries, at.first_moments, at.second_moments, 9, 0.5)

    assert np.array_equal(whitened(nothing), np.zeros((7, 4)))
    assert np.array_equal(gradient_cosine(nothing), np.zeros((7, 4)))


def test_adam_scaling_divides_by_the_root_of_corrected_moments() -> None:
    at = _checkpoint()
    second = np.concatenate([at.second_moments["a"], at.second_moments["b"]], axis=1)[0] / (1 - 0.999**9)

    assert adam_dot(at) == pytest.approx(_pairs(at, lambda r, q: (r / (np.sqrt(second) + 1e-8)) @ q))


def test_less_is_the_cosine_with_the_step_that_adam_would_make() -> None:
    import torch

    first, second = _checkpoint(0, 0.5), _checkpoint(50, 0.25)

    def cosine_with_step(at: CheckpointGradients) -> Floats:
        def step(gradient: Floats) -> Floats:
            value = torch.zeros(15, dtype=torch.float64, requires_grad=True)
            optimizer = torch.optim.Adam([value], lr=1.0)
            value.grad = torch.tensor(gradient)
            moments = [
                torch.tensor(np.concatenate([part["a"], part["b"]], axis=1)[0])
                for part in (at.first_moments, at.second_moments)
            ]
            optimizer.state[value] = {"step": torch.tensor(9.0), "exp_avg": moments[0], "exp_avg_sq": moments[1]}
            optimizer.step()
            return -value.detach().numpy()

        return _pairs(at, lambda r, q: step(r) @ q / np.linalg.norm(step(r)) / np.linalg.norm(q))

    assert less([first]) == pytest.approx(0.5 * cosine_with_step(first))
    assert less([first, second]) == pytest.approx(0.5 * cosine_with_step(first) + 0.25 * cosine_with_step(second))
