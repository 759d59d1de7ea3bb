"""Says how a node stands: each state of CometBFT told from the others, with its reason.

not running      no process holds the home; the last critical line of its log says why
starting         CometBFT does not answer yet
disk full        CometBFT is paused until there is space (node.supervisor)
syncing          blocks of others are fetched and executed
waiting          no block yet, or none any more, and too little of the power is seen
standing still   no block, although more than two thirds of the power are seen
making blocks    all is well
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from node import cometbft, disk, rpc
from node.errors import NoAnswer, NodeRpcError
from node.home import Home
from node.log_tail import CRITICAL, NODE_LOG, STARTED, STOPPED, last_lines
from node.own_validator import own_validator
from node.put_aside import log_alarm, put_aside

# Blocks come every second or so; a chain whose last block is older than this stands still.
STILL_SECONDS = 60
_BIT_ARRAY = re.compile(r"\} (\d+)/(\d+) = ")


class State(StrEnum):
    """How a node stands; the words are stable."""

    NOT_RUNNING = "not_running"
    STARTING = "starting"
    DISK_FULL = "disk_full"
    SYNCING = "syncing"
    WAITING = "waiting"
    STANDING_STILL = "standing_still"
    MAKING_BLOCKS = "making_blocks"


# States in which a caller must look: the exit code of `node status` says so.
BAD_STATES = (State.DISK_FULL, State.WAITING, State.STANDING_STILL)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The answers of /status, /net_info, /abci_info and /consensus_state in one, and what follows from them."""

    state: State
    why: str
    rpc_url: str
    chain_id: str = ""
    moniker: str = ""
    node_id: str = ""
    cometbft_version: str = ""
    height: int = 0
    block_time: str = ""
    app_hash: str = ""
    application_height: int = 0
    catching_up: bool = False
    peers: int = 0
    validator_address: str = ""
    voting_power: int = 0
    # What this node's validator is, what its operator should do, and what it can lose (own_validator.py).
    validator: str = ""
    validator_operator: str = ""
    validator_bond_nopen: int = 0
    validator_owes: str = ""
    validator_risks: tuple[str, ...] = ()
    # While blocks are made, of the last block; else of the height that is voted on.
    power_seen: int = 0
    power_total: int = 0
    # Hooks and scheduled work that met a bug; what they are, and critical lines of this run, in one line.
    put_aside: int = 0
    alarm: str = ""


def status(rpc_url: str, now_seconds: float | None = None) -> NodeStatus:
    """Ask the node at this address. Raises NoAnswer or NodeRpcError."""
    state = rpc.call(rpc_url, "status")
    network = rpc.call(rpc_url, "net_info")
    application = rpc.call(rpc_url, "abci_info")["response"]
    node, chain, validator = state["node_info"], state["sync_info"], state["validator_info"]
    seen, total = power_seen(rpc.call(rpc_url, "consensus_state"))
    found = NodeStatus(
        state=State.STARTING,
        why="",
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
        power_seen=seen,
        power_total=total,
    )
    count, alarm = put_aside(rpc_url)
    judged, why = judge(found, time.time() if now_seconds is None else now_seconds)
    own = own_validator(rpc_url, validator["address"])
    found = replace(
        found,
        state=judged,
        why=why,
        put_aside=count,
        alarm=alarm,
        validator=own.standing,
        validator_operator=own.operator,
        validator_bond_nopen=own.bond_nopen,
        validator_owes=own.owes,
        validator_risks=own.risks,
    )
    if judged is State.MAKING_BLOCKS:
        # Of the height that just began hardly a vote has arrived: the last block's say who is there.
        seen, total = power_of_last_block(rpc.call(rpc_url, "dump_consensus_state"))
        found = replace(found, power_seen=seen, power_total=total) if total else found
    return found


def power_of_last_block(consensus_dump: dict[str, Any]) -> tuple[int, int]:
    """(power whose precommits of the last block have arrived here, power of all), (0, 0) where it is not said."""
    last = consensus_dump.get("round_state", {}).get("last_commit") or {}
    counted = _BIT_ARRAY.search(str(last.get("votes_bit_array", "")))
    return (int(counted[1]), int(counted[2])) if counted else (0, 0)


def power_seen(consensus_state: dict[str, Any]) -> tuple[int, int]:
    """(power whose votes of this height have arrived here, power of all), (0, 0) where it is not said."""
    best = (0, 0)
    for votes in consensus_state.get("round_state", {}).get("height_vote_set") or ():
        for name in ("prevotes_bit_array", "precommits_bit_array"):
            if counted := _BIT_ARRAY.search(str(votes.get(name, ""))):
                best = max(best, (int(counted[1]), int(counted[2])))
    return best


def judge(found: NodeStatus, now_seconds: float) -> tuple[State, str]:
    """The state of a node that answers, and why; pure."""
    still_seconds = int(now_seconds - block_seconds(found.block_time)) if found.height else None
    if found.catching_up:
        behind = "" if still_seconds is None else f", {still_seconds} s behind"
        return State.SYNCING, f"at height {found.height}{behind}; {found.peers} peers"
    if still_seconds is not None and still_seconds <= STILL_SECONDS:
        return State.MAKING_BLOCKS, ""
    when = f"no block after height {found.height} since {found.block_time}" if found.height else "no block yet"
    power = f"{found.power_seen} of {found.power_total} power seen, {found.peers} peers"
    if 3 * found.power_seen > 2 * found.power_total > 0:
        return State.STANDING_STILL, f"{when}, although enough validators are there ({power}): see logs/cometbft.log"
    return State.WAITING, f"{when}: more than two thirds of the power must be running and reachable ({power})"


def block_seconds(text: str) -> float:
    """An RFC 3339 time of CometBFT, which may have nine digits below the second."""
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text)).timestamp()
    except ValueError:
        return 0.0


def status_of(home: Home) -> NodeStatus:
    """The state of the node of this home, whether or not it runs. Raises NodeError for a home that cannot be read."""
    url = cometbft.rpc_url(home)
    if not home.is_in_use():
        return NodeStatus(
            State.NOT_RUNNING, last_critical_line(home.log_folder / NODE_LOG) or "it was not started", url
        )
    try:
        found = status(url)
        said = log_alarm(home.log_folder / NODE_LOG)
        return replace(found, alarm="; ".join([text for text in (found.alarm, said) if text]))
    except (NoAnswer, NodeRpcError):
        if disk.free_bytes(home.folder) < disk.RESUME_ABOVE_BYTES:
            return NodeStatus(State.DISK_FULL, disk.full_in_words(home.folder), url)
        return NodeStatus(State.STARTING, "CometBFT does not answer yet; logs/node.log says what it does", url)


def last_critical_line(log_file: Path) -> str:
    """The last line in a node's log that said why it stopped; empty where the last run was asked to stop."""
    for line in reversed(last_lines(log_file)):
        if STARTED in line or line.endswith(STOPPED):
            return ""
        if f"{CRITICAL}.node: stopped: " in line:
            return line.partition(f"{CRITICAL}.node: ")[2]
    return ""
