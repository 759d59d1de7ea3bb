"""Handlers of validators' messages, and what governance calls: admission and removal."""

from msgspec import structs

from abci_app.accounts import show_address
from abci_app.errors import Rejected
from abci_app.mechanisms import beacon, epochs, locks
from abci_app.module import MAX_VALIDATOR_POWER, Context, HookContext
from abci_app.modules import members
from abci_app.modules.validators.parameters import JAIL_BLOCKS, VALIDATOR_BOND
from abci_app.modules.validators.powers import book_rotation
from abci_app.modules.validators.records import (
    BY_KEY,
    DUTIES,
    LIST,
    MAX_LISTED,
    OWN_PEERS,
    SIGNS_AFTER_BLOCKS,
    VALIDATORS,
    AddBond,
    Apply,
    Duties,
    JailReason,
    KeyOwner,
    KeyRotated,
    Leave,
    OwnPeers,
    RotateKey,
    SetOnion,
    SetOwnPeers,
    SetWorker,
    Unjail,
    ValidatorChanged,
    ValidatorList,
    ValidatorRecord,
    ValidatorsCode,
    ValidatorStatus,
    bond_key,
    consensus_address,
    listed,
    out_of_jail,
)
from abci_app.state.table import MutableState

# Of them nothing can be asked any more.
_OUT = (ValidatorStatus.LEFT, ValidatorStatus.TOMBSTONED)


def execute_apply(context: Context, message: Apply) -> None:
    """Members only, once at a time, with a key that was never used and a whole bond."""
    state, operator = context.state, context.sender
    if not members.roles_of(state, operator):
        raise Rejected(
            ValidatorsCode.NOT_A_MEMBER,
            f"{show_address(operator)} is not a member of this chain: ask a registrar first",
        )
    known = VALIDATORS.get(state, operator)
    if known is not None and known.status != ValidatorStatus.LEFT:
        _require_not_tombstoned(known)
        raise Rejected(
            ValidatorsCode.ALREADY_VALIDATOR, f"{show_address(operator)} is a validator already: it applies once"
        )
    _require_bond(context, message.bond_nopen, "applies with")
    lock = locks.find(state, bond_key(operator))
    if lock is not None and len(lock.leaving) >= locks.MAX_LEAVING:
        raise Rejected(
            ValidatorsCode.EXITS_PENDING,
            f"{len(lock.leaving)} earlier bonds are leaving, the next one could not: withdraw one first",
        )
    operators = listed(state)
    if len(operators) >= MAX_LISTED:
        raise Rejected(ValidatorsCode.LIST_FULL, f"the list holds {MAX_LISTED} validators: wait until one has left")
    take_key(state, operator, message.consensus_key)
    locks.take(state, bond_key(operator), message.bond_nopen)
    beacon.set_onion(state, context.block, operator, message.onion)
    LIST.set(state, ValidatorList((*operators, operator)))
    VALIDATORS.set(state, operator, new_validator(operator, message.consensus_key))
    context.emit(ValidatorChanged(operator, "candidate", "applied"))


def new_validator(operator: bytes, consensus_key: bytes) -> ValidatorRecord:
    """A candidate's record."""
    return ValidatorRecord(
        operator=operator,
        status=int(ValidatorStatus.CANDIDATE),
        consensus_key=consensus_key,
        admitted=0,
        live=0,
        retiring_key=b"",
        rotated_height=0,
        jailed_height=0,
        jailed_for=int(JailReason.NONE),
        removal_height=0,
        worker_key=b"",
        box_key=b"",
        capabilities=0,
    )


def take_key(state: MutableState, operator: bytes, consensus_key: bytes) -> None:
    """Note for ever whose key it is; raises `Rejected` for one that was ever in use: evidence must find one owner."""
    address = consensus_address(consensus_key)
    owner = BY_KEY.get(state, address)
    if owner is not None:
        whose = "yours" if owner.operator == operator else "another validator's"
        raise Rejected(
            ValidatorsCode.KEY_IN_USE,
            f"consensus key {consensus_key.hex()} is or was {whose}, and no key is used twice: make a new one",
        )
    BY_KEY.set(state, address, KeyOwner(operator))


def execute_add_bond(context: Context, message: AddBond) -> None:
    """Any validator that has not left."""
    _require_validator(context)
    locks.take(context.state, bond_key(context.sender), message.amount_nopen)


def execute_leave(context: Context, message: Leave) -> None:
    """The end hook takes the power away as the limits permit, then the bond leaves."""
    begin_leaving(context.state, context, _require_validator(context), "asked to leave")


def execute_unjail(context: Context, message: Unjail) -> None:
    """After the time in jail, with a whole bond; earlier absences no longer count."""
    validator = _require_validator(context)
    if validator.status != ValidatorStatus.JAILED:
        raise Rejected(ValidatorsCode.NOT_JAILED, f"{show_address(validator.operator)} is not jailed")
    until = validator.jailed_height + context.block.parameters[JAIL_BLOCKS]
    if context.height < until:
        raise Rejected(
            ValidatorsCode.STILL_JAILED, f"jailed until height {until}, this is {context.height}: try again then"
        )
    _require_bond(context, locks.amount_of(context.state, bond_key(validator.operator)), "comes back with")
    duties = DUTIES.get(context.state)
    if duties is not None:
        address = consensus_address(validator.consensus_key)
        DUTIES.set(context.state, Duties(tuple([each for each in duties.duties if each.address != address])))
    status = ValidatorStatus.ACTIVE if validator.admitted else ValidatorStatus.CANDIDATE
    free = out_of_jail(validator, status, admitted=validator.admitted)
    VALIDATORS.set(context.state, validator.operator, free)
    context.emit(ValidatorChanged(validator.operator, status.name.lower(), "came back from jail"))


def execute_rotate_key(context: Context, message: RotateKey) -> None:
    """Once an epoch, and only where the epoch has room: old and new key change in this block, whole or not at all."""
    state, validator = context.state, _require_validator(context)
    _require_not_leaving(validator)
    epoch = epochs.current(state)
    if validator.rotated_height and validator.rotated_height >= epoch.start_height:
        raise Rejected(
            ValidatorsCode.ROTATED_ALREADY,
            f"the key was rotated at height {validator.rotated_height}, in this epoch: once is possible, wait for the "
            "next one",
        )
    take_key(state, validator.operator, message.consensus_key)
    book_rotation(context, validator)
    rotated = structs.replace(
        validator,
        consensus_key=message.consensus_key,
        retiring_key=validator.consensus_key if validator.live else b"",
        rotated_height=context.height,
    )
    VALIDATORS.set(state, validator.operator, rotated)
    context.emit(KeyRotated(validator.operator, message.consensus_key, context.height + SIGNS_AFTER_BLOCKS))


def execute_set_onion(context: Context, message: SetOnion) -> None:
    """A first one is in force at once, another one two epochs later."""
    operator = _require_validator(context).operator
    beacon.set_onion(context.state, context.block, operator, message.onion)


def execute_set_worker(context: Context, message: SetWorker) -> None:
    """Keys and capabilities as given."""
    validator = _require_validator(context)
    changed = structs.replace(
        validator, worker_key=message.worker_key, box_key=message.box_key, capabilities=message.capabilities
    )
    VALIDATORS.set(context.state, validator.operator, changed)


def execute_set_own_peers(context: Context, message: SetOwnPeers) -> None:
    """Exactly these nodes."""
    operator = _require_validator(context).operator
    if message.node_ids:
        OWN_PEERS.set(context.state, operator, OwnPeers(operator, message.node_ids))
    else:
        OWN_PEERS.delete(context.state, operator)


# --- For governance


def set_admitted(state: MutableState, context: Context | HookContext, operator: bytes, power: int) -> None:
    """Admit a candidate with a power, or change a validator's; the end hook moves its power there within the limits.

    A jailed one gets it when it comes back. Raises `Rejected` for who is none, has left, leaves, or signed twice.
    """
    if not 1 <= power <= MAX_VALIDATOR_POWER:
        raise Rejected(
            ValidatorsCode.POWER_OUT_OF_RANGE, f"power is {power}, must be 1 to {MAX_VALIDATOR_POWER}; 0 removes"
        )
    validator = _require_known(state, operator)
    _require_not_leaving(validator)
    jailed = validator.status == ValidatorStatus.JAILED
    status = ValidatorStatus.JAILED if jailed else ValidatorStatus.ACTIVE
    VALIDATORS.set(state, operator, structs.replace(validator, admitted=power, status=int(status)))
    context.emit(ValidatorChanged(operator, status.name.lower(), f"admitted with power {power}"))


def remove(state: MutableState, context: Context | HookContext, operator: bytes) -> None:
    """Take a validator's power away as if it had asked to leave; raises `Rejected` as `set_admitted` does."""
    begin_leaving(state, context, _require_known(state, operator), "removed by a proposal")


def begin_leaving(state: MutableState, context: Context | HookContext, validator: ValidatorRecord, why: str) -> None:
    """Let the end hook take its power away, then its bond leaves; raises `Rejected` for who is leaving already."""
    _require_not_leaving(validator)
    leaving = out_of_jail(validator, ValidatorStatus.LEAVING, admitted=0)
    VALIDATORS.set(state, validator.operator, leaving)
    context.emit(ValidatorChanged(validator.operator, "leaving", why))


# --- Inside


def _require_validator(context: Context) -> ValidatorRecord:
    return _require_known(context.state, context.sender)


def _require_known(state: MutableState, operator: bytes) -> ValidatorRecord:
    validator = VALIDATORS.get(state, operator)
    if validator is None or validator.status == ValidatorStatus.LEFT:
        raise Rejected(
            ValidatorsCode.NOT_A_VALIDATOR, f"{show_address(operator)} is not a validator: it must apply first"
        )
    _require_not_tombstoned(validator)
    return validator


def _require_not_tombstoned(validator: ValidatorRecord) -> None:
    if validator.status == ValidatorStatus.TOMBSTONED:
        raise Rejected(
            ValidatorsCode.TOMBSTONED,
            f"{show_address(validator.operator)} signed twice and can never validate again: use another account",
        )


def _require_not_leaving(validator: ValidatorRecord) -> None:
    if validator.status == ValidatorStatus.LEAVING:
        raise Rejected(
            ValidatorsCode.LEAVING,
            f"{show_address(validator.operator)} is leaving: it can apply again when it has left",
        )


def _require_bond(context: Context, bond_nopen: int, what: str) -> None:
    needed_nopen = context.block.parameters[VALIDATOR_BOND]
    if bond_nopen < needed_nopen:
        raise Rejected(
            ValidatorsCode.BOND_TOO_LOW,
            f"a validator {what} at least {needed_nopen} nopen, not {bond_nopen}: add {needed_nopen - bond_nopen}",
        )
