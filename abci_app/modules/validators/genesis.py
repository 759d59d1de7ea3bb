"""Genesis: CometBFT's first validators become validators of the chain, each with its operator and its bond.

    "validators": [{"public_key": "<64 hex digits>", "power": 10, "operator": "open1...", "bond_nopen": 10^14,
                    "onion": "<64 hex digits>"}]

The section names exactly CometBFT's validators. An operator's bond is taken from its balance in the same document. A
validator without operator, and every validator of a document without this section, belongs to an account that nobody
can sign for: it validates as long as no proposal removes it, has no bond, and is paid nothing.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct, structs

from abci_app.errors import GenesisError, Rejected
from abci_app.genesis_fields import read_address
from abci_app.mechanisms import beacon, locks
from abci_app.module import (
    MAX_VALIDATOR_POWER,
    GenesisContext,
    GenesisSection,
    is_module_account,
    module_account,
)
from abci_app.modules.validators.handlers import new_validator, take_key
from abci_app.modules.validators.parameters import VALIDATOR_BOND
from abci_app.modules.validators.records import (
    LIST,
    MAX_LISTED,
    VALIDATORS,
    ValidatorList,
    ValidatorStatus,
    bond_key,
)
from abci_app.parameters import Parameters
from abci_app.state.table import MutableState
from abci_app.types import Nopen

_HEX32 = r"\A[0-9a-f]{64}\Z"


class GenesisValidator(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One validator of the genesis document; `operator` in bech32m or hex, empty for nobody's."""

    public_key: Annotated[str, Meta(pattern=_HEX32)]
    power: Annotated[int, Meta(ge=1, le=MAX_VALIDATOR_POWER)]
    operator: str = ""
    bond_nopen: Nopen = 0
    onion: Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")] = ""


GenesisValidators = tuple[GenesisValidator, ...]


def nobodys_operator(public_key: bytes) -> bytes:
    """The address that stands for the operator of a validator that has none."""
    return module_account(f"validator/{public_key.hex()}")


def _operator_of(index: int, validator: GenesisValidator) -> bytes:
    if not validator.operator:
        return nobodys_operator(bytes.fromhex(validator.public_key))
    return read_address(f"validators[{index}].operator", validator.operator)


def check_genesis_validators(validators: GenesisValidators) -> None:
    """Different keys and operators, not too many, and nothing that belongs to an operator without one."""
    if len(validators) > MAX_LISTED:
        raise GenesisError(f"app_state.validators: {len(validators)} validators, at most {MAX_LISTED} can be")
    keys = [validator.public_key for validator in validators]
    operators: list[bytes] = []
    for index, validator in enumerate(validators):
        field = f"app_state.validators[{index}]"
        if validator.public_key in keys[:index]:
            raise GenesisError(f"{field}: key {validator.public_key} is listed twice")
        operator = _operator_of(index, validator)
        if operator in operators:
            raise GenesisError(f"{field}: operator {validator.operator} is listed twice")
        operators.append(operator)
        if validator.operator and is_module_account(operator):
            raise GenesisError(f"{field}: operator {validator.operator} belongs to a module: name an account with keys")
        if not validator.operator and (validator.bond_nopen or validator.onion):
            raise GenesisError(f"{field}: a bond and an onion belong to an operator: name one, or leave them out")


def check_bonds(validators: GenesisValidators, balances: Iterable[tuple[bytes, int]], parameters: Parameters) -> None:
    """Raises `GenesisError` unless every operator's bond is whole and covered by its balance."""
    needed_nopen = parameters[VALIDATOR_BOND]
    operators = [_operator_of(index, validator) for index, validator in enumerate(validators)]
    held_nopen = {address: balance_nopen for address, balance_nopen in balances if address in operators}
    for index, validator in enumerate(validators):
        if not validator.operator:
            continue
        field = f"app_state.validators[{index}]"
        if validator.bond_nopen < needed_nopen:
            raise GenesisError(
                f"{field}.bond_nopen is {validator.bond_nopen}, must be at least {needed_nopen} "
                f"({VALIDATOR_BOND.full_name})"
            )
        balance_nopen = held_nopen.get(operators[index], 0)
        if balance_nopen < validator.bond_nopen:
            raise GenesisError(
                f"{field}: operator {validator.operator} starts with {balance_nopen} nopen, its bond is "
                f"{validator.bond_nopen}: give it that and more with `openledger genesis add-account`"
            )


def write_genesis_validators(state: MutableState, validators: GenesisValidators, context: GenesisContext) -> None:
    """Join the section with what InitChain names, and take the bonds."""
    written = tuple(sorted([(bytes.fromhex(validator.public_key), validator.power) for validator in validators]))
    if written and written != context.validators:
        raise GenesisError(
            "app_state.validators are not the validators of the genesis document: name the same keys with the same "
            "powers, or leave the section out"
        )
    if len(context.validators) > MAX_LISTED:
        raise GenesisError(f"validators: InitChain names {len(context.validators)}, at most {MAX_LISTED} can be")
    places = {bytes.fromhex(validator.public_key): index for index, validator in enumerate(validators)}
    operators: list[bytes] = []
    for public_key, power in context.validators:
        place = places.get(public_key)
        if place is None:
            operator = nobodys_operator(public_key)
        else:
            operator = _operator_of(place, validators[place])
            _take_bond(state, place, validators[place], operator, context)
            if validators[place].onion:
                beacon.set_onion(state, context.block, operator, bytes.fromhex(validators[place].onion))
        take_key(state, operator, public_key)
        started = structs.replace(
            new_validator(operator, public_key), status=int(ValidatorStatus.ACTIVE), admitted=power, live=power
        )
        VALIDATORS.set(state, operator, started)
        operators.append(operator)
    if operators:
        LIST.set(state, ValidatorList(tuple(operators)))


def _take_bond(
    state: MutableState, place: int, validator: GenesisValidator, operator: bytes, context: GenesisContext
) -> None:
    if not validator.operator:
        return
    field = f"app_state.validators[{place}].bond_nopen"
    needed_nopen = context.block.parameters[VALIDATOR_BOND]
    if validator.bond_nopen < needed_nopen:
        raise GenesisError(f"{field} is {validator.bond_nopen}, must be at least {needed_nopen}")
    try:
        locks.take(state, bond_key(operator), validator.bond_nopen)
    except Rejected as rejection:
        raise GenesisError(f"{field}: {rejection.text}") from None


SECTION = GenesisSection(
    name="validators",
    type=GenesisValidators,
    default=(),
    check=check_genesis_validators,
    write=write_genesis_validators,
)
