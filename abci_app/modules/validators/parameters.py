"""Parameters of the validators: bonds, what is slashed for what, how long jails and exits last."""

from abci_app.mechanisms.beacon import SILENT_PENALTY
from abci_app.parameters import Amount, Parameter, Parameters, PartUnit, Section, Unit
from abci_app.types import NOPEN_PER_OPEN, PPB

NAME = "validators"
# CometBFT takes evidence until it is older than both; every genesis document has these (node/genesis.py).
EVIDENCE_BLOCKS = 100_000
EVIDENCE_SECONDS = 48 * 3600
# Evidence is of the last height that a key signs, two after its power is gone, and takes its time into a block.
MIN_UNBOND_BLOCKS = EVIDENCE_BLOCKS + EVIDENCE_BLOCKS // 4
MIN_UNBOND_SECONDS = EVIDENCE_SECONDS + 12 * 3600
PERCENT = PPB // 100
# A validator that restarts must not lose its bond for a handful of blocks.
SILENCES_A_BOND = 20

_BLOCKS = Unit("blocks")
_PART = PartUnit()

VALIDATOR_BOND = Parameter(
    section=NAME,
    index=0,
    name="validator_bond_nopen",
    unit=Amount(),
    default=100_000 * NOPEN_PER_OPEN,
    minimum=NOPEN_PER_OPEN,
    maximum=10**7 * NOPEN_PER_OPEN,
    meaning="The bond of who applies or comes back from jail; whose bond falls below half of it is jailed.",
)
DOUBLE_SIGN_SLASH = Parameter(
    section=NAME,
    index=1,
    name="double_sign_slash_ppb",
    unit=_PART,
    default=10 * PERCENT,
    minimum=PERCENT,
    maximum=100 * PERCENT,
    meaning="The part of bond and leaving bond that is lost by signing two blocks of one height.",
)
DOWNTIME_SLASH = Parameter(
    section=NAME,
    index=2,
    name="downtime_slash_ppb",
    unit=_PART,
    default=PERCENT // 100,
    minimum=0,
    maximum=PERCENT,
    meaning="The part of bond and leaving bond that is lost by missing blocks or reveals.",
)
MAX_MISSED = Parameter(
    section=NAME,
    index=3,
    name="max_missed_ppb",
    unit=_PART,
    default=50 * PERCENT,
    minimum=10 * PERCENT,
    maximum=95 * PERCENT,
    meaning="The part of an epoch's blocks that a validator may miss to sign; who misses more is jailed.",
)
JAIL_BLOCKS = Parameter(
    section=NAME,
    index=4,
    name="jail_blocks",
    unit=_BLOCKS,
    default=3_000,
    minimum=10,
    maximum=10**6,
    meaning="How long a jailed validator must wait before it may come back.",
)
JAIL_LIMIT = Parameter(
    section=NAME,
    index=5,
    name="jail_limit_blocks",
    unit=_BLOCKS,
    default=10**6,
    minimum=10**4,
    maximum=10**8,
    meaning="How long a validator may stay jailed before it is removed and its bond leaves.",
)
UNBOND_BLOCKS = Parameter(
    section=NAME,
    index=6,
    name="unbond_blocks",
    unit=_BLOCKS,
    default=400_000,
    minimum=MIN_UNBOND_BLOCKS,
    maximum=10**8,
    meaning="How many blocks a leaving bond stays, since evidence of its time can still come.",
)
UNBOND_SECONDS = Parameter(
    section=NAME,
    index=7,
    name="unbond_seconds",
    unit=Unit("s"),
    default=MIN_UNBOND_SECONDS,
    minimum=MIN_UNBOND_SECONDS,
    maximum=10**8,
    meaning="How many seconds a leaving bond stays at least, beside its blocks.",
)


def _jail_ends_before_its_limit(parameters: Parameters) -> str | None:
    if parameters[JAIL_LIMIT] > parameters[JAIL_BLOCKS]:
        return None
    return (
        f"{JAIL_LIMIT.full_name} is {parameters[JAIL_LIMIT]} and must be above {JAIL_BLOCKS.full_name} "
        f"({parameters[JAIL_BLOCKS]}): else nobody could come back"
    )


def _silence_costs_a_small_part_of_a_bond(parameters: Parameters) -> str | None:
    penalty_nopen, bond_nopen = parameters[SILENT_PENALTY], parameters[VALIDATOR_BOND]
    if SILENCES_A_BOND * penalty_nopen <= bond_nopen:
        return None
    return (
        f"{SILENT_PENALTY.full_name} is {penalty_nopen}, must be at most {VALIDATOR_BOND.full_name} / "
        f"{SILENCES_A_BOND}, which is {bond_nopen // SILENCES_A_BOND}"
    )


PARAMETERS = Section(
    NAME,
    (
        VALIDATOR_BOND,
        DOUBLE_SIGN_SLASH,
        DOWNTIME_SLASH,
        MAX_MISSED,
        JAIL_BLOCKS,
        JAIL_LIMIT,
        UNBOND_BLOCKS,
        UNBOND_SECONDS,
    ),
    (_jail_ends_before_its_limit, _silence_costs_a_small_part_of_a_bond),
)
