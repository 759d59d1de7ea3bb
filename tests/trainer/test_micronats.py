"""Losses as integers: rounded, and refused where they are none."""

import pytest

from trainer.micronats import read_micronats, to_micronats


def test_losses_are_rounded_to_the_nearest() -> None:
    assert [to_micronats(value) for value in (0.0, 1.2345674, 1.2345676)] == [0, 1_234_567, 1_234_568]
    assert [read_micronats(value) for value in (0, 1.2345676, -1_000_000)] == [0, 1_234_568, -1_000_000_000_000]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1_000_001, True, "1.5", None])
def test_what_is_no_loss_of_another_tool_is_none(value: object) -> None:
    assert read_micronats(value) is None
