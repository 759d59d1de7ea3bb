"""Reading for other modules: who has power, and whose node it is."""

from abci_app.modules.validators.records import OWN_PEERS, VALIDATORS, ValidatorRecord, all_listed, listed
from abci_app.state.store import StateView


def live_powers(view: StateView) -> tuple[tuple[bytes, int], ...]:
    """(operator, power) of every validator that has power, at most 64, in the order in which they came."""
    return tuple([(each.operator, each.live) for each in all_listed(view) if each.live])


def live_keys(view: StateView) -> dict[bytes, int]:
    """Consensus key -> power of every validator that has power, by key: what CometBFT should know."""
    found = sorted(all_listed(view), key=lambda each: each.consensus_key)
    return {each.consensus_key: each.live for each in found if each.live}


def live_validator_of(view: StateView, operator: bytes) -> ValidatorRecord | None:
    """The validator of an operator while it has power."""
    validator = VALIDATORS.get(view, operator)
    return validator if validator is not None and validator.live else None


def is_own_peer(view: StateView, node_id: str) -> bool:
    """Whether a CometBFT node is the own one of a validator that has power now."""
    for operator in listed(view):
        peers = OWN_PEERS.get(view, operator)
        if peers is not None and node_id in peers.node_ids and live_validator_of(view, operator) is not None:
            return True
    return False
