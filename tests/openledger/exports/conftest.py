"""The gallery of lineages, told once."""

import pytest

from tests.kit.openledger.gallery import Gallery


@pytest.fixture(scope="package")
def gallery() -> Gallery:
    return Gallery()
