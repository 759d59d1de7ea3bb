"""Fixtures that tests of attribution share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread of torch: small matrices are slower with more, far slower on a busy machine."""
    from attribution.lga.precision import torch_threads

    with torch_threads(1):
        yield
