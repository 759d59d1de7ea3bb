"""A story of explanations, told once for each file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kit.attribution.explained import Story


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    from tests.kit.attribution.explained import tell

    return tell(tmp_path_factory.mktemp("spans"))
