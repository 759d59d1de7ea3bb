"""Tell what the validator of a node is, owes and risks, as the node's own state has it."""

from __future__ import annotations

from dataclasses import dataclass

from abci_app.bech32 import encode_id
from abci_app.chain.chain_module import ParametersQuery, ParametersView
from abci_app.module import is_module_account
from abci_app.modules.validators import ValidatorView
from abci_app.modules.validators.queries import ValidatorQuery
from node.application_query import ask
from node.errors import NodeRpcError
from openledger.validators import BondRules, owed, risks, standing


@dataclass(frozen=True, slots=True)
class OwnValidator:
    """Sentences about this node's validator; the first says that it is none where the chain knows its key not."""

    standing: str
    operator: str = ""
    bond_nopen: int = 0
    owes: str = ""
    risks: tuple[str, ...] = ()


NO_VALIDATOR = OwnValidator("no validator: its key never applied (`openledger validator apply`)")


def own_validator(rpc_url: str, address: str) -> OwnValidator:
    """The validator that a consensus address in hex belongs to; raises NoAnswer where none answers at all."""
    try:
        query = ValidatorQuery(operator=b"", consensus_address=bytes.fromhex(address))
        view: ValidatorView | None = ask(rpc_url, "validators", "validator", query, ValidatorView)
        parameters: ParametersView | None = ask(rpc_url, "chain", "parameters", ParametersQuery(""), ParametersView)
    except (NodeRpcError, ValueError) as error:
        return OwnValidator(f"the node does not tell ({error})")
    if view is None or parameters is None:
        return NO_VALIDATOR
    if is_module_account(view.operator):
        return OwnValidator(f"{standing(view)}, without an operator: nobody answers for it, and it has no bond")
    rules = BondRules.of({parameter.name: parameter.value for parameter in parameters.parameters})
    rotated = view.consensus_address != query.consensus_address
    said = f"{standing(view)}; its key was rotated away: start with the new one" if rotated else standing(view)
    return OwnValidator(
        standing=said,
        operator=encode_id("open", view.operator),
        bond_nopen=view.bond_nopen,
        owes=owed(view, rules),
        risks=risks(view, rules),
    )
