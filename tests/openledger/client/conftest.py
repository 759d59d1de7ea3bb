"""The story of models, and its state under headers that simulated validators signed."""

import pytest

from tests.kit.openledger.story import Story
from tests.kit.simulated_chain import SimulatedChain


@pytest.fixture(scope="module")
def story() -> Story:
    return Story.tell()


@pytest.fixture(scope="module")
def signed(story: Story) -> SimulatedChain:
    return SimulatedChain.holding(story.ledger.chain.state())
