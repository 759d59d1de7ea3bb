"""Fixtures that tests of commands on recorded runs share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kit.trainer.explained import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A tiny chain with runs that committed to attribution."""
    from tests.kit.trainer.explained import explained_world

    with explained_world(tmp_path_factory.mktemp("recorded")) as made:
        yield made
