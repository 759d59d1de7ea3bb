"""How long an index takes: every layer at every checkpoint counts, and larger layers are scaled up."""

import pytest

from trainer.index_pace import LayerSeconds, fitting_seconds, time_layer

SECONDS = {64: LayerSeconds(0.001, 0.5, 0.0001), 256: LayerSeconds(0.01, 20.0, 0.001)}


def test_every_layer_at_every_checkpoint_is_counted() -> None:
    one = 100 * 0.001 + 0.5 + 100 * 0.0001
    assert fitting_seconds([64], SECONDS, rows=100, checkpoints=1) == pytest.approx(one)
    assert fitting_seconds([64] * 30, SECONDS, rows=100, checkpoints=4) == pytest.approx(120 * one)
    both = one + 100 * 0.01 + 20 + 100 * 0.001
    assert fitting_seconds([64, 256], SECONDS, rows=100, checkpoints=1) == pytest.approx(both)


def test_only_the_rows_of_the_basis_are_fitted_on() -> None:
    many = fitting_seconds([64], SECONDS, rows=10_000, checkpoints=1)
    assert many == pytest.approx(2_048 * 0.001 + 0.5 + 10_000 * 0.0001)


@pytest.mark.ml
def test_a_layer_that_is_larger_than_what_is_timed_is_scaled_up() -> None:
    found = time_layer(8, 2, 1)
    assert min(found.basis_row, found.eigenbasis, found.features_row) > 0
    assert time_layer(4_096, 2, 1).eigenbasis > 0
