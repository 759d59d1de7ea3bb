"""Refusals of what was read from outside: an index, an explanation, a proof."""

from abci_app.integers import NumbersRefused
from openledger.errors import UsageError


class AttributionError(UsageError, NumbersRefused):
    """One line: which field of what was read is wrong, why, and what to do; `field` and `reason` for programs."""
