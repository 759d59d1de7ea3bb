"""chain: what belongs to no module alone, fees, who may send which message, and the query of all parameters.

State:
    chain/value -> ChainInfo(chain_id, initial_height, genesis_time_seconds)
    parameters/<section>/value -> ParameterRecord([(index, value)])        one record a section

Made from the other modules, because surcharges and roles have one parameter a message type.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from abci_app.errors import Code, Rejected
from abci_app.module import Message, Module, Query, snake_case
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

FEES = "fees"
AMOUNT = Amount()
# A transfer of 220 bytes costs 3,200 nopen, 0.0000032 OPEN. At most: a block of 4 MiB for 4,000 OPEN.
FEE_PER_BYTE = Parameter(
    section=FEES,
    index=0,
    name="fee_per_byte_nopen",
    unit=AMOUNT,
    default=10,
    minimum=0,
    maximum=10**6,
    meaning="What a transaction pays for each of its bytes.",
)
FEE_PER_MESSAGE = Parameter(
    section=FEES,
    index=1,
    name="fee_per_message_nopen",
    unit=AMOUNT,
    default=1_000,
    minimum=0,
    maximum=10**9,
    meaning="What a transaction pays for each of its messages, and for each item of a message that carries a list.",
)
FEE_PARAMETERS = (FEE_PER_BYTE, FEE_PER_MESSAGE)

MAX_SURCHARGE_NOPEN = 10 * NOPEN_PER_OPEN
# What everybody needs to keep an account, its keys and its money: never dear, never for members alone.
BASIC_MODULES = ("accounts", "bank")
MAX_BASIC_SURCHARGE_NOPEN = NOPEN_PER_OPEN
ROLE_UNIT = Bits("roles", tuple([role.name.lower() for role in Role]), "everybody")


class ChainCode(IntEnum):
    """Codes of the chain's own module."""

    UNKNOWN_SECTION = 70


class ParametersQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One section by name; empty: all."""

    section: Annotated[str, Meta(max_length=32, pattern=PRINTABLE)]


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


def make_chain_module(sections: Sequence[Section]) -> Module:
    """The module of the chain itself, over the parameters of all."""

    def query_parameters(view: StateView, args: ParametersQuery) -> ParametersView:
        """Parameters as they are, what they may be, and what they mean."""
        chosen = [section for section in sections if args.section in ("", section.name)]
        if not chosen:
            known = ", ".join([section.name for section in sections])
            raise Rejected(ChainCode.UNKNOWN_SECTION, f"no parameters of {args.section!r}; known: {known}")
        parameters = read_parameters(view, chosen)
        if parameters is None:
            raise Rejected(Code.HEIGHT_UNAVAILABLE, "the chain has not started yet")
        return ParametersView(
            tuple(
                [describe(parameter, parameters[parameter]) for section in chosen for parameter in section.parameters]
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
        tables=(CHAIN, *[section.table for section in sections]),
        errors=ChainCode,
        queries=(
            Query("parameters", ParametersQuery, ParametersView, query_parameters, "live values of all parameters"),
        ),
        invariants=(parameters_are_in_their_limits,),
    )
