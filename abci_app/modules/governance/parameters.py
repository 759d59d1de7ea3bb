"""Parameters of governance: how long and how many, what a proposal costs, what it may take."""

from abci_app.mechanisms.epochs import EPOCH_BLOCKS
from abci_app.parameters import Amount, Parameter, Parameters, PartUnit, Section, Unit
from abci_app.types import NOPEN_PER_OPEN, PPB

NAME = "governance"
# Epochs that electorates keep apart, less the running one and the one in which a vote ends.
MAX_VOTING_EPOCHS = 62

_BLOCKS = Unit("blocks")
_SHARE = PartUnit()
_AMOUNT = Amount()

VOTING_BLOCKS = Parameter(
    section=NAME,
    index=0,
    name="voting_blocks",
    unit=_BLOCKS,
    default=1_000_000,
    minimum=20,
    maximum=2_000_000,
    meaning="How long votes on a proposal are taken; a late vote that changes the outcome adds a quarter, once.",
)
TIMELOCK_BLOCKS = Parameter(
    section=NAME,
    index=1,
    name="timelock_blocks",
    unit=_BLOCKS,
    default=150_000,
    minimum=10,
    maximum=1_000_000,
    meaning="How long a proposal of the chain waits between passing and taking effect.",
)
UNLOCK_BLOCKS = Parameter(
    section=NAME,
    index=2,
    name="unlock_blocks",
    unit=_BLOCKS,
    default=1_500_000,
    minimum=40,
    maximum=10_000_000,
    meaning="How long unlocked gOPEN waits before it can be withdrawn: who votes stays until it has taken effect.",
)
QUORUM = Parameter(
    section=NAME,
    index=3,
    name="quorum_ppb",
    unit=_SHARE,
    default=PPB // 3,
    minimum=PPB // 5,
    maximum=2 * PPB // 3,
    meaning="The part of all gOPEN that must vote on a proposal of the chain.",
)
DEPOSIT = Parameter(
    section=NAME,
    index=4,
    name="deposit_nopen",
    unit=_AMOUNT,
    default=10_000 * NOPEN_PER_OPEN,
    minimum=NOPEN_PER_OPEN,
    maximum=10**6 * NOPEN_PER_OPEN,
    meaning="What a proposal of the chain deposits; it doubles with every eight open ones.",
)
FREEZE_BLOCKS = Parameter(
    section=NAME,
    index=5,
    name="freeze_blocks",
    unit=_BLOCKS,
    default=300_000,
    minimum=10,
    maximum=1_000_000,
    meaning="How long the committee can freeze something; it cannot again within four times that.",
)
ELECTORATE_FLOOR = Parameter(
    section=NAME,
    index=6,
    name="electorate_floor_nopen",
    unit=_AMOUNT,
    default=20 * 10**6 * NOPEN_PER_OPEN,
    minimum=0,
    maximum=200 * 10**6 * NOPEN_PER_OPEN,
    meaning="The gOPEN that must be locked in all before proposals of the chain can be made that do more than note.",
)
TREASURY_CAP = Parameter(
    section=NAME,
    index=7,
    name="treasury_cap_ppb",
    unit=_SHARE,
    default=PPB // 5_000,
    minimum=0,
    maximum=PPB // 200,
    meaning="The part of the treasury, as an epoch found it, that proposals can spend in that epoch.",
)


def _voters_stay(parameters: Parameters) -> str | None:
    """Voters stay locked until what they voted for has taken effect."""
    needed_quarters = 5 * parameters[VOTING_BLOCKS] + 4 * parameters[TIMELOCK_BLOCKS]
    if 4 * parameters[UNLOCK_BLOCKS] >= needed_quarters:
        return None
    return (
        f"{UNLOCK_BLOCKS.full_name} is {parameters[UNLOCK_BLOCKS]:,}, must be at least {-(-needed_quarters // 4):,}: "
        f"5/4 of {VOTING_BLOCKS.full_name} and {TIMELOCK_BLOCKS.full_name} together"
    )


def _votes_fit_into_epochs(parameters: Parameters) -> str | None:
    """Votes end while electorates keep their epochs apart."""
    if 5 * parameters[VOTING_BLOCKS] <= 4 * MAX_VOTING_EPOCHS * parameters[EPOCH_BLOCKS]:
        return None
    return (
        f"5/4 of {VOTING_BLOCKS.full_name} is more than {MAX_VOTING_EPOCHS} epochs: "
        f"{EPOCH_BLOCKS.full_name} is {parameters[EPOCH_BLOCKS]:,}, must be at least "
        f"{-(-5 * parameters[VOTING_BLOCKS] // (4 * MAX_VOTING_EPOCHS)):,}"
    )


PARAMETERS = Section(
    NAME,
    (
        VOTING_BLOCKS,
        TIMELOCK_BLOCKS,
        UNLOCK_BLOCKS,
        QUORUM,
        DEPOSIT,
        FREEZE_BLOCKS,
        ELECTORATE_FLOOR,
        TREASURY_CAP,
    ),
    (_voters_stay, _votes_fit_into_epochs),
)
