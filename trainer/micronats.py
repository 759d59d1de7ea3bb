"""Losses as integers: millionths of a nat, as they are recorded."""

import math

MICRONATS_PER_NAT = 1_000_000
# Micronats that the chain's integers hold with room to spare.
_MAX_LOSS_NATS = 1_000_000.0


def to_micronats(loss_nats: float) -> int:
    """Round a loss to an integer number of micronats."""
    return round(loss_nats * MICRONATS_PER_NAT)


def read_micronats(value: object) -> int | None:
    """A loss in nats out of another tool's file; None for what cannot be recorded as one (NaN, infinite, text)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return to_micronats(value) if abs(value) <= _MAX_LOSS_NATS else None
