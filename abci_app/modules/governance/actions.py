"""Actions: what a proposal does when it is executed, and who may propose which.

Each action is a record with a released tag. A proposal has up to eight, in at most 4 KiB together; they take effect in
their order, all or none.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from abci_app.mechanisms.freezes import FreezableNumber
from abci_app.state.codec import Record
from abci_app.types import (
    PRINTABLE,
    U32,
    Bytes32,
    Height,
    Integer,
    Name,
    Nopen,
    OptionalBytes32,
    Text,
    words,
)

MAX_ACTIONS = 8
MAX_ACTIONS_BYTES = 4_096
MAX_PARAMETER_CHANGES = 64
MAX_POWER = 10**12

SectionName = Annotated[str, Meta(min_length=1, max_length=32, pattern=PRINTABLE)]


class Scope(IntEnum):
    """Who decides: holders of gOPEN, the live validators, or the contributors of one DataNet."""

    CHAIN = 1
    COMMITTEE = 2
    DATANET = 3


class ParameterChange(Record, frozen=True, array_like=True, gc=False):
    """A new value for a parameter, by its index."""

    index: U32
    value: Integer


class SetParameters(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Give parameters of one section other values; they act from the next block on."""

    section: SectionName
    changes: Annotated[tuple[ParameterChange, ...], Meta(min_length=1, max_length=MAX_PARAMETER_CHANGES)]


class AppointMember(Record, frozen=True, array_like=True, tag=2, gc=False):
    """Give a member exactly these roles, the chain also that of a registrar; 0 removes the membership."""

    member: Bytes32
    roles: U32
    name: Text
    organisation: U32


class SetValidator(Record, frozen=True, array_like=True, tag=3, gc=False):
    """Admit a candidate with a power, or change a validator's; 0 removes it."""

    operator: Bytes32
    power: Annotated[int, Meta(ge=0, le=MAX_POWER)]


class FreezeObject(Record, frozen=True, array_like=True, tag=4, gc=False):
    """Freeze an object until a height; 0 lifts its freeze, 2^63-1 is for good."""

    object_kind: FreezableNumber
    object_id: Bytes32
    until_height: Height


class Spend(Record, frozen=True, array_like=True, tag=5, gc=False):
    """Pay an amount out of the treasury."""

    recipient: Bytes32
    amount_nopen: Nopen


class Upgrade(Record, frozen=True, array_like=True, tag=6, gc=False):
    """Let a version of the rules begin at a height, and name the release that knows it."""

    height: Height
    name: Name
    app_version: U32
    lock_digest: Bytes32


class CancelUpgrade(Record, frozen=True, array_like=True, tag=7, gc=False):
    """Take back the upgrade that is planned."""


class RetryStuck(Record, frozen=True, array_like=True, tag=8, gc=False):
    """Do again what met a bug and was put aside (`openledger query deadlines stuck`)."""

    number: Integer


class AmendDatanet(Record, frozen=True, array_like=True, tag=9, gc=False):
    """Give a DataNet another constitution, by its digest: none has one yet, so this is refused."""

    constitution_digest: Bytes32


class SetOwner(Record, frozen=True, array_like=True, tag=10, gc=False):
    """Give a DataNet another owner: none is changed by its contributors yet, so this is refused."""

    owner: Bytes32


class NoteDown(Record, frozen=True, array_like=True, tag=11, gc=False):
    """Record an opinion; nothing else happens."""

    text: Text
    digest: OptionalBytes32


Action = (
    SetParameters
    | AppointMember
    | SetValidator
    | FreezeObject
    | Spend
    | Upgrade
    | CancelUpgrade
    | RetryStuck
    | AmendDatanet
    | SetOwner
    | NoteDown
)
Actions = Annotated[tuple[Action, ...], Meta(min_length=1, max_length=MAX_ACTIONS)]

# Of the chain these need two thirds and can be objected to; what takes the chain from its validators is among them.
CRITICAL: tuple[type[Record], ...] = (SetParameters, AppointMember, SetValidator, Spend, Upgrade, RetryStuck)
# The committee acts fast, so it has only what can be taken back.
SCOPES_OF: Mapping[type[Record], tuple[Scope, ...]] = {
    SetParameters: (Scope.CHAIN,),
    AppointMember: (Scope.CHAIN, Scope.COMMITTEE),
    SetValidator: (Scope.CHAIN, Scope.COMMITTEE),
    FreezeObject: (Scope.CHAIN, Scope.COMMITTEE),
    Spend: (Scope.CHAIN,),
    Upgrade: (Scope.CHAIN,),
    CancelUpgrade: (Scope.CHAIN, Scope.COMMITTEE),
    RetryStuck: (Scope.CHAIN,),
    AmendDatanet: (Scope.DATANET,),
    SetOwner: (Scope.DATANET,),
    NoteDown: (Scope.CHAIN, Scope.DATANET),
}

ScopeNumber = Annotated[int, words(Scope)]


def is_binding(actions: tuple[Action, ...]) -> bool:
    """Whether one of the actions changes anything: a note does not."""
    return not all(isinstance(action, NoteDown) for action in actions)


def is_critical(actions: tuple[Action, ...]) -> bool:
    """Whether one of the actions is critical."""
    return any(isinstance(action, CRITICAL) for action in actions)
