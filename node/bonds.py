"""Operators and bonds of a genesis document's validators: the application's section out of declarations, checked."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from abci_app.chain.genesis import GenesisState, chain_parameters
from abci_app.errors import GenesisError
from abci_app.modules.bank import genesis_balances
from abci_app.modules.validators import GenesisValidator, GenesisValidators, check_bonds
from node.declarations import Declaration
from node.errors import NodeError


def section_of(declarations: Iterable[Declaration]) -> GenesisValidators:
    """The application's section of validators: empty where none of them has an operator."""
    declared = list(declarations)
    if not any(each.operator for each in declared):
        return ()
    return tuple(
        [
            GenesisValidator(
                public_key=base64.b64decode(each.public_key).hex(),
                power=each.power,
                operator=each.operator,
                bond_nopen=each.bond_nopen,
                onion=each.onion,
            )
            for each in declared
        ]
    )


def check_operators(document: Mapping[str, Any], state: GenesisState) -> None:
    """Raises NodeError unless the section of validators names CometBFT's, each with a bond that its operator has."""
    if not state.validators:
        return
    comet = sorted([(_key_hex(each), int(each["power"])) for each in document["validators"]])
    if sorted([(each.public_key, each.power) for each in state.validators]) != comet:
        raise NodeError(
            "app_state.validators and validators name different keys or powers: collect the declarations again"
        )
    try:
        check_bonds(state.validators, genesis_balances(state.balances), chain_parameters(state.parameters))
    except GenesisError as error:
        raise NodeError(str(error)) from error


def _key_hex(validator: Mapping[str, Any]) -> str:
    return base64.b64decode(validator["pub_key"]["value"]).hex()
