"""Parameters of the beacon."""

from abci_app.parameters import Amount, Parameter, Section, Unit
from abci_app.types import NOPEN_PER_OPEN

BEACON = "beacon"
BLOCKS = Unit("blocks")
DRAW_DELAY = Parameter(
    section=BEACON,
    index=0,
    name="draw_delay_blocks",
    unit=BLOCKS,
    default=40,
    minimum=4,
    maximum=10**4,
    meaning="How long a draw waits at least after it was asked for.",
)
DRAW_LIMIT = Parameter(
    section=BEACON,
    index=1,
    name="draw_limit_blocks",
    unit=BLOCKS,
    default=1_000,
    minimum=10,
    maximum=10**5,
    meaning="How much longer a draw waits for reveals before it is made without them, and marked weak.",
)
SILENT_PENALTY = Parameter(
    section=BEACON,
    index=2,
    name="silent_penalty_nopen",
    unit=Amount(),
    default=100 * NOPEN_PER_OPEN,
    minimum=0,
    maximum=10**4 * NOPEN_PER_OPEN,
    meaning="What a block without its proposer's reveal costs the proposer at least while a draw waits.",
)
PARAMETERS = Section(BEACON, (DRAW_DELAY, DRAW_LIMIT, SILENT_PENALTY))
