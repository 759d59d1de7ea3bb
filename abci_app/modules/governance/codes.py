"""Codes and events of the governance module."""

from enum import IntEnum

from abci_app.module import Event


class GovernanceCode(IntEnum):
    """Codes of the governance module, one a precondition."""

    NOTHING_LOCKED = 900
    TOO_LITTLE_LOCKED = 901
    ALREADY_DELEGATED = 902
    BAD_ACTIONS = 903
    WRONG_SCOPE = 904
    NOT_YET = 905
    NO_ELECTORATE = 906
    ELECTORATE_TOO_SMALL = 907
    TOO_MANY_OPEN = 908
    TOO_MANY_OF_ONE = 909
    DEPOSIT_ABOVE_LIMIT = 910
    NOT_A_VALIDATOR = 911
    UNKNOWN_PROPOSAL = 912
    NOT_VOTING = 913
    NO_POWER = 914
    BAD_CHOICE = 915
    NOT_IN_TIMELOCK = 916
    NO_OBJECTION_POSSIBLE = 917
    ALREADY_OBJECTED = 918
    PARAMETER_REFUSED = 919
    REGISTRAR_PROTECTED = 920
    TREASURY_CAP = 921
    UNKNOWN_OBJECT = 922
    UPGRADE_TOO_SOON = 923
    UPGRADE_REFUSED = 924
    NO_UPGRADE = 925


class GopenChanged(Event, frozen=True, gc=False):
    """A holder locked, unlocked or delegated gOPEN."""

    holder: bytes
    delegate: bytes
    locked_nopen: int


class ProposalChanged(Event, frozen=True, gc=False):
    """A proposal was submitted, or moved on to another status."""

    proposal: int
    status: str
    why: str


class VoteTaken(Event, frozen=True, gc=False):
    """A vote counts, in place of an earlier one of the same voter."""

    voter: bytes
    proposal: int
    choice: int
    power: int


class ObjectionRaised(Event, frozen=True, gc=False):
    """A validator objected to a proposal in its timelock."""

    operator: bytes
    proposal: int
