"""Hypothesis chooses what happens around the blocks of one world, and shrinks what breaks an invariant."""

from contextlib import ExitStack

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.kit.chain import replay
from tests.simulation import incidents
from tests.simulation.hostile import mischief
from tests.simulation.incidents import INCIDENTS, return_where_needed
from tests.simulation.life import a_reveal, begun, people
from tests.simulation.world import Phase, World

EXAMPLES, STEPS = 12, 25


class Life(RuleBasedStateMachine):
    """One world; every block is checked against the book."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()

    @initialize(seed=st.integers(1, 2**16))
    def begin(self, seed: int) -> None:
        """People act by a seed; what happens to them is drawn."""
        self.world = self.stack.enter_context(begun(seed))
        self.world.block([], [])

    @rule(chosen=st.lists(st.sampled_from(list(INCIDENTS)), max_size=4), restart=st.sampled_from([None, *Phase]))
    def honest_block(self, chosen: list[incidents.Incident], restart: Phase | None) -> None:
        """Incidents, then a block as honest validators make it, perhaps with a restart within."""
        for incident in chosen:
            incident(self.world)
        return_where_needed(self.world)
        self.world.block(people(self.world), mischief(self.world, 2), restart)

    @rule()
    def careless_block(self) -> None:
        """A block with anything in it."""
        return_where_needed(self.world)
        operations = people(self.world)
        self.world.careless_block(operations, mischief(self.world, 2), a_reveal(self.world))

    @rule(blocks=st.integers(1, 12))
    def empty_blocks(self, blocks: int) -> None:
        """Nobody sends anything for a while."""
        for _ in range(blocks):
            return_where_needed(self.world)
            self.world.block([], [])

    @rule()
    def restart(self) -> None:
        """The node stops and starts between blocks."""
        self.world.restart()

    @precondition(lambda self: self.world.chain.height < 60)
    @rule()
    def replay(self) -> None:
        """Another node executes the whole chain."""
        assert replay(self.world.chain) == self.world.chain.hashes

    def teardown(self) -> None:
        """Check the modules' invariants once more."""
        try:
            if self.world.chain.height:
                self.world.check()
        finally:
            self.stack.close()


Life.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestLife = Life.TestCase
