"""Refusals of what was read from outside: an index, an explanation, a proof."""

from openledger.errors import UsageError


class AttributionError(UsageError, ValueError):
    """One line: which field of what was read is wrong, why, and what to do; `field` and `reason` for programs."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
