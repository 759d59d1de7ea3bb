"""Conditions that hold in every committed state of the validators."""

from abci_app.mechanisms import locks
from abci_app.module import is_module_account
from abci_app.modules.validators.records import (
    BY_KEY,
    DUTIES,
    NO_DUTIES,
    OWN_PEERS,
    VALIDATORS,
    ValidatorRecord,
    ValidatorStatus,
    bond_key,
    consensus_address,
    listed,
)
from abci_app.state.store import StateView


def list_is_complete(view: StateView) -> list[str]:
    """Listed are exactly those that have not left, each once; who is not listed has no power and no own peers."""
    operators = listed(view)
    known = {validator.operator: validator for _, validator in VALIDATORS.iterate(view)}
    faults = [f"{operator.hex()} is listed and has no record" for operator in operators if operator not in known]
    if len(frozenset(operators)) != len(operators):
        faults.append("a validator is listed twice")
    for operator, validator in known.items():
        is_listed = operator in operators
        if is_listed and validator.status == ValidatorStatus.LEFT:
            faults.append(f"{operator.hex()} has left and is listed")
        if not is_listed and validator.status not in (ValidatorStatus.LEFT, ValidatorStatus.TOMBSTONED):
            faults.append(f"{operator.hex()} has status {validator.status} and is not listed")
        if not is_listed and validator.live:
            faults.append(f"{operator.hex()} is not listed and has power {validator.live}")
    for _, peers in OWN_PEERS.iterate(view):
        if peers.operator not in operators:
            faults.append(f"{peers.operator.hex()} is not listed and has peers of its own")
    return faults


def records_are_consistent(view: StateView) -> list[str]:
    """Each record fits its status, and nothing of a block is left behind."""
    return [
        f"{validator.operator.hex()}: {fault}"
        for _, validator in VALIDATORS.iterate(view)
        for fault in _faults(view, validator)
    ]


def _faults(view: StateView, validator: ValidatorRecord) -> list[str]:
    faults = []
    owner = BY_KEY.get(view, consensus_address(validator.consensus_key))
    if owner is None or owner.operator != validator.operator:
        faults.append("its consensus key is not listed as its own")
    if validator.retiring_key:
        faults.append("a rotated key was not told to CometBFT")
    jailed = validator.status == ValidatorStatus.JAILED
    if jailed != bool(validator.removal_height) or jailed != bool(validator.jailed_for):
        faults.append("it has a date of removal or a reason for jail that do not fit its status")
    has_power = validator.status in (ValidatorStatus.ACTIVE, ValidatorStatus.JAILED)
    if validator.admitted and not has_power:
        faults.append(f"status {validator.status} has an admitted power of {validator.admitted}")
    if validator.status == ValidatorStatus.ACTIVE and not validator.admitted:
        faults.append("it is active without an admitted power")
    return faults


def tombstoned_have_no_power(view: StateView) -> list[str]:
    """Who signed twice has no power, unless nobody else has any."""
    found = [validator for _, validator in VALIDATORS.iterate(view) if validator.live]
    return [
        f"{validator.operator.hex()} signed twice and has power"
        for validator in found
        if validator.status == ValidatorStatus.TOMBSTONED and len(found) > 1
    ]


def bonds_belong_to_validators(view: StateView) -> list[str]:
    """A bond that is not leaving belongs to a validator that is listed, or could not leave yet."""
    faults = []
    for _, validator in VALIDATORS.iterate(view):
        amount_nopen = locks.amount_of(view, bond_key(validator.operator))
        if amount_nopen and (validator.operator not in listed(view) or is_module_account(validator.operator)):
            faults.append(f"{validator.operator.hex()} has a bond of {amount_nopen} nopen and is not listed")
    return faults


def duties_are_of_known_keys(view: StateView) -> list[str]:
    """Rows are in the order of addresses, one each, and of keys that somebody has or had."""
    addresses = [duty.address for duty in (DUTIES.get(view) or NO_DUTIES).duties]
    faults = [f"duties of {address.hex()}, nobody's key" for address in addresses if not BY_KEY.has(view, address)]
    ordered = addresses == sorted(addresses) and len(frozenset(addresses)) == len(addresses)
    return faults if ordered else [*faults, "duties are not in order, or two rows are of one key"]


INVARIANTS = (
    list_is_complete,
    records_are_consistent,
    tombstoned_have_no_power,
    bonds_belong_to_validators,
    duties_are_of_known_keys,
)
