"""chain: what belongs to no module alone, fees, who may send which message, and the query of all parameters.

State:
    chain/info/value -> ChainInfo(chain_id, initial_height, genesis_time_seconds)
    chain/version/value -> AppVersion(current, next, from_height)          versions.py
    upgrade/value -> Plan(height, name, app_version, lock_digest)          versions.py
    chain/validators/value -> ValidatorPowers([(public_key, power)])      validator_set.py
    parameters/<section>/value -> ParameterRecord([(index, value)])        one record a section

Made from the other modules, because surcharges and roles have one parameter a message type.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from abci_app.chain.validator_set import (
    VALIDATORS,
    ValidatorPowers,
    ValidatorsQuery,
    ValidatorUpdatesRefused,
    cometbft_knows_the_live_powers,
    query_validators,
)
from abci_app.errors import Code, Rejected
from abci_app.module import (
    Message,
    Module,
    Query,
    snake_case,
)
from abci_app.modules.members import ALL_ROLES, Role
from abci_app.parameters import (
    CHAIN,
    ROLES,
    SURCHARGES,
    Amount,
    Bits,
    Parameter,
    ParameterError,
    Section,
    check_all,
    read_parameters,
)
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import NOPEN_PER_OPEN, PRINTABLE
from abci_app.versions import APP_VERSION, PLAN, AppVersion, app_version_of

FEES = "fees"
AMOUNT = Amount()
# A transfer of 220 bytes and 9 units of weight costs 229,000 nopen, 0.000229 OPEN, and what fills 1 GB costs some
# 1,000 OPEN (ADR 17). At most: a block of 4 MiB and all of its weight for 4,200 OPEN.
FEE_PER_BYTE = Parameter(
    section=FEES,
    index=0,
    name="fee_per_byte_nopen",
    unit=AMOUNT,
    default=1_000,
    minimum=0,
    maximum=10**6,
    meaning="What a transaction pays for each of its bytes.",
)
FEE_PER_WEIGHT = Parameter(
    section=FEES,
    index=1,
    name="fee_per_weight_nopen",
    unit=AMOUNT,
    default=1_000,
    minimum=0,
    maximum=10**6,
    meaning="What a transaction pays for each unit of its weight, which stands for 10 us of a validator's time.",
)
FEE_PARAMETERS = (FEE_PER_BYTE, FEE_PER_WEIGHT)

MAX_SURCHARGE_NOPEN = 10 * NOPEN_PER_OPEN
# What everybody needs to keep an account, its keys and its money, to get back what was locked and to have a say: never
# dear, never for members alone.
BASIC_MODULES = ("accounts", "bank", "locks", "governance")
MAX_BASIC_SURCHARGE_NOPEN = NOPEN_PER_OPEN
ROLE_UNIT = Bits("roles", tuple([role.name.lower() for role in Role]), "everybody")


class ChainCode(IntEnum):
    """Codes of the chain's own module."""

    UNKNOWN_SECTION = 70


class ParametersQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One section by name; empty: all."""

    section: Annotated[str, Meta(max_length=32, pattern=PRINTABLE)]


class VersionOfRulesQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


class ParameterView(Struct, frozen=True):
    """One parameter: its value, the same in words, what it may be, and what it means."""

    name: str
    index: int
    value: int
    words: str
    default: str
    allowed: str
    meaning: str


class ParametersView(Struct, frozen=True):
    """Parameters in the order of their sections and indices."""

    parameters: tuple[ParameterView, ...]


def describe(parameter: Parameter, value: int) -> ParameterView:
    """A parameter with a value as people read it."""
    return ParameterView(
        name=parameter.full_name,
        index=parameter.index,
        value=value,
        words=parameter.unit.words(value),
        default=parameter.unit.words(parameter.default),
        allowed=parameter.unit.range_words(parameter.minimum, parameter.maximum),
        meaning=parameter.meaning,
    )


def make_sections(modules: Sequence[Module]) -> tuple[Section, ...]:
    """Fees, surcharges and roles, then what the modules declare."""
    surcharges, roles = [], []
    for module in modules:
        for message in module.messages:
            surcharges.append(_surcharge(module.name, message))
            roles.append(_roles(module.name, message))
    own = (Section(FEES, FEE_PARAMETERS), Section(SURCHARGES, surcharges), Section(ROLES, roles))
    return (*own, *[section for module in modules for section in module.parameters])


def _surcharge(module: str, message: type[Message]) -> Parameter:
    return Parameter(
        section=SURCHARGES,
        index=int(message.__struct_config__.tag),  # type: ignore[arg-type]
        name=f"{module}.{snake_case(message.__name__)}",
        unit=AMOUNT,
        default=0,
        minimum=0,
        maximum=MAX_BASIC_SURCHARGE_NOPEN if module in BASIC_MODULES else MAX_SURCHARGE_NOPEN,
        meaning=f"What a message {message.__name__} of {module} costs on top, for each of its items.",
    )


def _roles(module: str, message: type[Message]) -> Parameter:
    return Parameter(
        section=ROLES,
        index=int(message.__struct_config__.tag),  # type: ignore[arg-type]
        name=f"{module}.{snake_case(message.__name__)}",
        unit=ROLE_UNIT,
        default=0,
        minimum=0,
        maximum=0 if module in BASIC_MODULES else ALL_ROLES,
        meaning=f"Roles of which the sender of {message.__name__} of {module} needs one.",
    )


def query_version(view: StateView, args: VersionOfRulesQuery) -> AppVersion:
    """The version of the rules of this height, and the one that is scheduled to follow."""
    record = APP_VERSION.get(view)
    if record is None:
        raise Rejected(Code.HEIGHT_UNAVAILABLE, "the chain has not started yet")
    return record


def make_chain_module(sections: Sequence[Section]) -> Module:
    """The module of the chain itself, over the parameters of all."""

    def query_parameters(view: StateView, args: ParametersQuery) -> ParametersView:
        """Parameters as they are, what they may be, and what they mean."""
        chosen = [section for section in sections if args.section in ("", section.name)]
        if not chosen:
            known = ", ".join([section.name for section in sections])
            raise Rejected(ChainCode.UNKNOWN_SECTION, f"no parameters of {args.section!r}; known: {known}")
        version, parameters = app_version_of(view), read_parameters(view, chosen)
        if parameters is None:
            raise Rejected(Code.HEIGHT_UNAVAILABLE, "the chain has not started yet")
        return ParametersView(
            tuple(
                [
                    describe(parameter, parameters[parameter])
                    for section in chosen
                    for parameter in section.parameters
                    if parameter.since <= version
                ]
            )
        )

    def parameters_are_in_their_limits(view: StateView) -> list[str]:
        """Every value is in its limits, and what depends on each other fits together."""
        parameters = read_parameters(view, sections)
        if parameters is None:
            return ["no parameters are written"]
        try:
            check_all(sections, parameters)
        except ParameterError as error:
            return [str(error)]
        return []

    return Module(
        name="chain",
        tables=(CHAIN, APP_VERSION, PLAN, VALIDATORS, *[section.table for section in sections]),
        errors=ChainCode,
        events=(ValidatorUpdatesRefused,),
        queries=(
            Query("parameters", ParametersQuery, ParametersView, query_parameters, "live values of all parameters"),
            Query("validators", ValidatorsQuery, ValidatorPowers, query_validators, "keys and powers of validators"),
            Query("version", VersionOfRulesQuery, AppVersion, query_version, "which rules hold, and which follow"),
        ),
        invariants=(parameters_are_in_their_limits, cometbft_knows_the_live_powers),
    )
