"""What a running node says about itself."""

from __future__ import annotations

from dataclasses import dataclass

from node import rpc


@dataclass(frozen=True, slots=True)
class Status:
    """The answers of /status, /net_info and /abci_info in one."""

    chain_id: str
    moniker: str
    node_id: str
    cometbft_version: str
    rpc_url: str
    height: int
    block_time: str
    app_hash: str
    application_height: int
    catching_up: bool
    peers: int
    validator_address: str
    voting_power: int


def status(rpc_url: str) -> Status:
    """Ask the node at this address. Raises NoAnswer or RpcError."""
    state = rpc.call(rpc_url, "status")
    network = rpc.call(rpc_url, "net_info")
    application = rpc.call(rpc_url, "abci_info")["response"]
    node, chain, validator = state["node_info"], state["sync_info"], state["validator_info"]
    return Status(
        chain_id=node["network"],
        moniker=node["moniker"],
        node_id=node["id"],
        cometbft_version=node["version"],
        rpc_url=rpc_url,
        height=int(chain["latest_block_height"]),
        block_time=chain["latest_block_time"],
        app_hash=chain["latest_app_hash"],
        application_height=int(application.get("last_block_height", 0)),
        catching_up=chain["catching_up"],
        peers=int(network["n_peers"]),
        validator_address=validator["address"],
        voting_power=int(validator["voting_power"]),
    )
