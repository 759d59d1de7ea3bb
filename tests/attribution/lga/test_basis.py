"""Eigenbases and scales in integers: right up to their rounding, with fixed signs and order."""

import numpy as np
import pytest
import torch

from attribution.errors import AttributionError
from attribution.lga.basis import (
    LARGEST_SECOND_MOMENT,
    SCALE_EXPONENT_LIMIT,
    SCALE_LIMIT,
    ModuleBasis,
    ModuleScale,
    Moments,
    choose_coordinates,
    fit_basis,
    fit_scale,
)
from attribution.lga.codes import CODE_LIMIT

pytestmark = pytest.mark.ml


def some_gradients(count: int = 50, out: int = 6, rank: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(out, out, generator=generator, dtype=torch.float64)
    return mix @ torch.randn(count, out, rank, generator=generator, dtype=torch.float64)


def test_moments_are_those_of_all_batches_together() -> None:
    gradients = some_gradients()
    moments = Moments(6, 3)
    for batch in torch.split(gradients, 7):
        moments.add(batch)
    assert torch.allclose(moments.row, torch.einsum("boi,bpi->op", gradients, gradients), rtol=1e-12)
    assert torch.allclose(moments.column, torch.einsum("boi,boj->ij", gradients, gradients), rtol=1e-12)
    assert moments.count == 50


def test_a_basis_holds_the_leading_eigenvectors_up_to_the_rounding_of_int16() -> None:
    gradients = some_gradients()
    moments = Moments(6, 3)
    moments.add(gradients)
    basis = moments.basis(2)
    vectors = np.linalg.eigh(moments.row.numpy() / 50).eigenvectors
    expected = vectors[:, ::-1][:, :2]
    found = np.ldexp(basis.output.astype(float), -basis.output_exponent)
    assert (basis.gradient_shape, basis.shape) == ((6, 3), (2, 3))
    assert np.allclose(np.abs(found), np.abs(expected), atol=2.0**-16)
    assert np.allclose(found.T @ found, np.eye(2), atol=1e-4)
    largest = np.abs(basis.output).argmax(axis=0)
    assert (basis.output[largest, [0, 1]] > 0).all()
    assert CODE_LIMIT // 2 < np.abs(basis.output).max() <= CODE_LIMIT


def test_equal_eigenvalues_stand_in_the_order_of_their_largest_entries() -> None:
    basis = fit_basis(torch.eye(4, dtype=torch.float64), np.diag([1.0, 3.0, 1.0]), 3)
    assert basis.output.tolist() == [[16384, 0, 0], [0, 16384, 0], [0, 0, 16384], [0, 0, 0]]
    assert basis.rank.tolist() == [[0, 16384, 0], [16384, 0, 0], [0, 0, 16384]]
    assert (basis.output_exponent, basis.rank_exponent) == (14, 14)


def test_a_direction_without_energy_is_left_out() -> None:
    row = np.outer([3.0, 4.0, 0.0], [3.0, 4.0, 0.0])
    basis = fit_basis(row, np.zeros((2, 2)), 3)
    assert basis.output[:, 1:].tolist() == [[0, 0]] * 3
    assert basis.rank.tolist() == [[0, 0], [0, 0]]


def test_coordinates_are_taken_with_the_integers() -> None:
    gradients = some_gradients(4).float()
    basis = ModuleBasis(np.arange(12, dtype=np.int16).reshape(6, 2), 3, np.eye(3, dtype=np.int16)[:, :2], 0)
    expected = torch.einsum(
        "boi,om,ir->bmr", gradients.double(), torch.from_numpy(basis.output / 8.0), torch.eye(3).double()[:, :2]
    )
    assert torch.allclose(basis.coordinates(gradients), expected, rtol=1e-14)
    with pytest.raises(AttributionError, match=r"gradient: has shape \[2, 2\], the basis takes batches of \[6, 3\]"):
        basis.coordinates(torch.zeros(2, 2))


def test_the_entry_mean_is_the_mean_square_of_all_entries() -> None:
    gradients = some_gradients()
    moments = Moments(6, 3)
    moments.add(gradients)
    assert moments.entry_mean == pytest.approx(float((gradients**2).mean()), rel=1e-12)
    assert Moments(6, 3).entry_mean == 0.0


def everything(second: np.ndarray) -> np.ndarray:
    return np.ones(second.shape, dtype=np.bool_)


def test_a_scale_is_the_damped_inverse_root_in_thirty_bits() -> None:
    second = np.array([[4.0, 0.0], [1.0, 3.0]])
    scale = fit_scale(second, 2.0, everything(second), 10**8)
    assert np.allclose(scale.floats(), 1 / np.sqrt(second + 0.2), rtol=2.0**-28)
    assert 2**29 <= scale.values.max() <= 2**30 <= SCALE_LIMIT
    # Gradients a thousand times larger move the exponent only as far as they must, never out of 32 bits.
    for power in (-900, -300, 300, 900):
        again = fit_scale(np.ldexp(second, power), 2.0 * 2.0**power, everything(second), 10**8)
        assert 2**29 <= again.values.max() <= 2**30
        assert np.allclose(again.floats() * 2.0 ** (power // 2), scale.floats(), rtol=2.0**-28)


def test_the_exponent_of_a_scale_stays_within_its_limit_for_every_second_moment() -> None:
    for value in (5e-324, 2.0**-1022, 1.0, LARGEST_SECOND_MOMENT):
        scale = fit_scale(np.array([[value]]), value, np.array([[True]]))
        assert abs(scale.exponent) <= SCALE_EXPONENT_LIMIT
        assert 2**29 <= scale.values[0, 0] <= 2**30


def test_what_is_not_kept_has_scale_zero_and_what_is_kept_never() -> None:
    assert fit_scale(np.zeros((2, 2)), 0.0, np.zeros((2, 2), np.bool_)).values.tolist() == [[0, 0], [0, 0]]
    only = np.array([[True, False]])
    assert fit_scale(np.array([[1.0, 0.0]]), 0.5, only, damping_ppb=0).values.tolist() == [[2**29, 0]]
    far_apart = np.array([[1e-300, 1e300]])
    assert fit_scale(far_apart, 1.0, everything(far_apart), damping_ppb=0).values[0, 1] == 1


def test_the_coordinates_kept_are_those_that_vary_most_for_their_module() -> None:
    # As parts of their module's mean: 8, 2, 1, 1 and 4, 1, 0, 0.
    moments = [(np.array([[8.0, 2.0], [1.0, 1.0]]), 1.0), (np.array([[40.0, 10.0], [0.0, 0.0]]), 10.0)]
    kept = [choose_coordinates(moments, count) for count in (1, 3, 4, 0)]
    assert [[part.astype(int).ravel().tolist() for part in both] for both in kept] == [
        [[1, 0, 0, 0], [0, 0, 0, 0]],
        [[1, 1, 0, 0], [1, 0, 0, 0]],
        [[1, 1, 1, 0], [1, 0, 0, 0]],
        [[1, 1, 1, 1], [1, 1, 0, 0]],
    ]


def test_a_module_without_any_gradient_gives_no_coordinate() -> None:
    kept = choose_coordinates([(np.zeros((2, 1)), 0.0), (np.ones((1, 1)), 1.0)], 3)
    assert [part.tolist() for part in kept] == [[[False], [False]], [[True]]]


@pytest.mark.parametrize("second", [[[np.nan]], [[np.inf]], [[-1.0]], [[1e308, 1e308]], [[2.0**1001]]])
def test_second_moments_that_no_scale_fits_are_refused(second: list[list[float]]) -> None:
    values = np.array(second)
    for entry_mean in (1.0, float("nan")):
        with pytest.raises(AttributionError) as refused:
            fit_scale(values, entry_mean, everything(values))
        assert refused.value.field == "second moment"
        with pytest.raises(AttributionError, match="second moment"):
            choose_coordinates([(values, entry_mean)], 1)


def test_moments_that_are_no_moments_are_refused() -> None:
    for matrix in (np.zeros((2, 3)), np.full((2, 2), np.nan)):
        with pytest.raises(AttributionError, match="moment: must be a finite square matrix"):
            fit_basis(matrix, np.eye(2), 1)
    with pytest.raises(AttributionError, match="directions: at least one"):
        fit_basis(np.eye(2), np.eye(2), 0)


def test_scales_and_bases_compare_by_identity_only() -> None:
    """Arrays have no single truth value: equality of indexes is equality of their roots."""
    assert ModuleScale(np.zeros((1, 1), np.int32), 0) != ModuleScale(np.zeros((1, 1), np.int32), 0)
