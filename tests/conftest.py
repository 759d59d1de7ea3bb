"""Settings that all tests share: property tests without deadlines, as machines drift; names of cases with bytes."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("openledger", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("openledger")

# A name of a case is read by people; longer bytes are nothing to read.
_NAMED_BYTES = 16


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name cases of long bytes by their length: two processes that make them anew still collect the same tests.

    Salts, keys and the time in a gzip file differ from process to process, and tests side by side are compared by name.
    """
    if isinstance(val, bytes) and len(val) > _NAMED_BYTES:
        return f"{argname} of {len(val)} bytes"
    return None
