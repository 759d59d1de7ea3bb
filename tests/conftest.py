"""Settings that all tests share: property tests without deadlines, since the speed of a machine drifts."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("openledger", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("openledger")
