"""Questions about validators: one, all of them, and how much power an epoch may still move."""

from typing import Annotated

from msgspec import Meta, Struct

from abci_app.errors import Code, Rejected
from abci_app.mechanisms import locks
from abci_app.module import Query
from abci_app.modules.validators.duties import Deeds, deeds_by_operator
from abci_app.modules.validators.powers import limit_of, live_count, turnover_of
from abci_app.modules.validators.records import (
    BY_KEY,
    CONSENSUS_ADDRESS_BYTES,
    OWN_PEERS,
    VALIDATORS,
    JailReason,
    ValidatorRecord,
    ValidatorStatus,
    all_listed,
    bond_key,
    consensus_address,
    listed,
)
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import OptionalBytes32, words


class ValidatorQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which validator: by its operator, or by CometBFT's 20-byte address of a key that it has or had."""

    operator: OptionalBytes32
    consensus_address: Annotated[bytes, Meta(max_length=CONSENSUS_ADDRESS_BYTES)]


class ValidatorListQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


class TurnoverQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


class ValidatorView(Struct, frozen=True):
    """One validator as it stands; missed, proposed and silent blocks are those of this epoch under all its keys."""

    operator: bytes
    status: Annotated[int, words(ValidatorStatus)]
    consensus_key: bytes
    consensus_address: bytes
    power: int
    admitted: int
    bond_nopen: int
    leaving: tuple[locks.Leaving, ...]
    missed: int
    proposed: int
    silent: int
    rotated_height: int
    jailed_for: Annotated[int, words(JailReason)]
    jailed_height: int
    removal_height: int
    worker_key: bytes
    box_key: bytes
    capabilities: int
    own_peers: tuple[str, ...]


class ValidatorRow(Struct, frozen=True):
    """One validator of the list."""

    operator: bytes
    status: Annotated[int, words(ValidatorStatus)]
    consensus_key: bytes
    power: int
    admitted: int
    bond_nopen: int
    missed: int
    silent: int


class ValidatorListView(Struct, frozen=True):
    """All validators that have not left, complete, in the order in which they came."""

    validators: tuple[ValidatorRow, ...]


class TurnoverView(Struct, frozen=True):
    """The power that the epoch began with, what was lost and gained since, and the most of each (none below four)."""

    epoch: int
    power_total: int
    lost: int
    gained: int
    limit: int
    live: int


def query_validator(view: StateView, args: ValidatorQuery) -> ValidatorView:
    """One validator."""
    operator = args.operator
    if bool(operator) == bool(args.consensus_address):
        raise Rejected(Code.BAD_QUERY, "name a validator by its operator or by its consensus address, not by both")
    if not operator:
        owner = BY_KEY.get(view, args.consensus_address)
        if owner is None:
            raise Rejected(Code.NOT_FOUND, f"no validator ever had consensus address {args.consensus_address.hex()}")
        operator = owner.operator
    validator = VALIDATORS.get(view, operator)
    if validator is None:
        raise Rejected(Code.NOT_FOUND, f"no validator {operator.hex()}: see `openledger validator list`")
    return _view(view, validator, deeds_by_operator(view).get(operator, Deeds()))


def _view(view: StateView, validator: ValidatorRecord, deeds: Deeds) -> ValidatorView:
    lock = locks.find(view, bond_key(validator.operator))
    peers = OWN_PEERS.get(view, validator.operator)
    return ValidatorView(
        operator=validator.operator,
        status=validator.status,
        consensus_key=validator.consensus_key,
        consensus_address=consensus_address(validator.consensus_key),
        power=validator.live,
        admitted=validator.admitted,
        bond_nopen=lock.amount_nopen if lock else 0,
        leaving=lock.leaving if lock else (),
        missed=deeds.missed,
        proposed=deeds.proposed,
        silent=deeds.silent,
        rotated_height=validator.rotated_height,
        jailed_for=validator.jailed_for,
        jailed_height=validator.jailed_height,
        removal_height=validator.removal_height,
        worker_key=validator.worker_key,
        box_key=validator.box_key,
        capabilities=validator.capabilities,
        own_peers=peers.node_ids if peers else (),
    )


def query_list(view: StateView, args: ValidatorListQuery) -> ValidatorListView:
    """All validators that have not left."""
    deeds = deeds_by_operator(view)
    rows = []
    for operator in listed(view):
        validator = VALIDATORS.get(view, operator)
        if validator is not None:
            rows.append(_row(view, validator, deeds.get(operator, Deeds())))
    return ValidatorListView(tuple(rows))


def _row(view: StateView, validator: ValidatorRecord, deeds: Deeds) -> ValidatorRow:
    return ValidatorRow(
        operator=validator.operator,
        status=validator.status,
        consensus_key=validator.consensus_key,
        power=validator.live,
        admitted=validator.admitted,
        bond_nopen=locks.amount_of(view, bond_key(validator.operator)),
        missed=deeds.missed,
        silent=deeds.silent,
    )


def query_turnover(view: StateView, args: TurnoverQuery) -> TurnoverView:
    """How much power this epoch moved, and may move."""
    validators = all_listed(view)
    turnover = turnover_of(view, validators)
    return TurnoverView(
        epoch=turnover.epoch,
        power_total=turnover.power_total,
        lost=turnover.lost,
        gained=turnover.gained,
        limit=limit_of(turnover.power_total),
        live=live_count(validators),
    )


QUERIES = (
    Query("validator", ValidatorQuery, ValidatorView, query_validator, "one validator: power, bond, duties, jail"),
    Query("list", ValidatorListQuery, ValidatorListView, query_list, "all validators that have not left"),
    Query("turnover", TurnoverQuery, TurnoverView, query_turnover, "how much power this epoch moved, and may move"),
)
