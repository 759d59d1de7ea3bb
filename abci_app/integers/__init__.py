"""Integer rules of payouts that the chain and the workers apply alike: splits, shares of a layer, shares of all layers.

Nothing of the chain is known here: numbers in, numbers out, every rounding stated. Wrong numbers raise
`NumbersRefused`, which names the field.
"""

from typing import Any


class NumbersRefused(ValueError):
    """One line: which number is wrong and why; `field` and `reason` for programs."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def check_integer(field: str, value: Any, low: int, high: int) -> None:
    """Raise `NumbersRefused` unless the value is an integer (no boolean) from `low` to `high`."""
    if not is_integer(value, low, high):
        raise NumbersRefused(field, f"{value!r} is no integer from {low} to {high}")


def is_integer(value: Any, low: int, high: int) -> bool:
    """Whether the value is an integer (no boolean) from `low` to `high`."""
    return type(value) is int and low <= value <= high
