"""`openledger node doctor`: one page of checks of a node's home and of the node that runs on it, each with what to do.

Nothing is changed. A check fails where the node cannot run or endangers itself, and warns where somebody should look.
"""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from abci_app import versions
from node import cometbft, disk, genesis, onions, rpc
from node.backup import signed_until
from node.errors import NoAnswer, NodeError, NodeRpcError
from node.home import Home
from node.release import LOCKED_FILES, REQUIREMENTS_FOLDER, compare_release, lock_digest, planned_upgrade
from node.snapshots.folder import SnapshotFolder
from node.status import BAD_STATES, NodeStatus, State, block_seconds, status_of

# A validator's votes carry its clock; CometBFT refuses blocks from further ahead than its own tolerance.
_CLOCK_SECONDS: Final = 5
_BEHIND_BLOCKS: Final = 20
_ROOM_BYTES: Final = 2 * 2**30
_LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)(?:\s*;\s*(.*?))?\s*\\?$")


class Mark(StrEnum):
    """The result of a check; the words are stable."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One line of the page: what was looked at, how it is, and what to do where something is to be done."""

    name: str
    mark: Mark
    found: str
    remedy: str = ""


def _ok(name: str, found: str) -> HealthCheck:
    return HealthCheck(name=name, mark=Mark.OK, found=found)


def _warn(name: str, found: str, remedy: str) -> HealthCheck:
    return HealthCheck(name=name, mark=Mark.WARN, found=found, remedy=remedy)


def _fail(name: str, found: str, remedy: str) -> HealthCheck:
    return HealthCheck(name=name, mark=Mark.FAIL, found=found, remedy=remedy)


def examine(home: Home, now_seconds: Callable[[], float] = time.time) -> list[HealthCheck]:
    """All checks of a home. Raises NodeError where there is no home."""
    home.require_initialised()
    status = status_of(home)
    parts: list[tuple[str, Callable[[], Iterator[HealthCheck]]]] = [
        ("home", lambda: _home(home)),
        ("settings", lambda: _settings(home)),
        ("keys", lambda: _keys(home)),
        ("beacon", lambda: _beacon(home, status)),
        ("disk", lambda: _disk(home)),
        ("versions", lambda: _versions(home)),
        ("upgrade", lambda: _upgrade(status)),
        ("snapshots", lambda: _snapshots(home, status, now_seconds())),
        ("node", lambda: _running(status)),
        ("clock", lambda: _clock(status, now_seconds())),
        ("peers", lambda: _peers(home, status)),
    ]
    found: list[HealthCheck] = []
    for name, look in parts:
        try:
            found += look()
        except (NodeError, OSError, ValueError, KeyError, TypeError) as error:
            found.append(_fail(name, f"cannot be checked: {error}", "correct what the message names"))
    return found


def _home(home: Home) -> Iterator[HealthCheck]:
    if home.unfinished_restore_file.exists():
        yield _fail("home", "a backup was not put back to the end", "run `openledger node restore` again")
    else:
        yield _ok("home", f"{home.folder}, chain {genesis.chain_id(home.genesis_file)}")


def _settings(home: Home) -> Iterator[HealthCheck]:
    settings = home.settings()
    cometbft.require_known_settings(cometbft.binary_path(settings.cometbft_binary), home)
    host, port = cometbft.listen_addresses(home)["rpc"]
    if host not in ("127.0.0.1", "localhost", "::1"):
        yield _warn(
            "settings",
            f"the RPC listens on {host}:{port}, and it has no authentication",
            "put something that has before it, or set [rpc] laddr to loopback",
        )
    elif settings.keep_blocks and not settings.snapshot_interval_heights:
        yield _warn(
            "settings",
            f"keep_blocks is {settings.keep_blocks}, but without snapshots no block is removed",
            "set snapshot_interval_heights in config/node.toml",
        )
    else:
        yield _ok("settings", "config.toml and node.toml have known settings only")


def _keys(home: Home) -> Iterator[HealthCheck]:
    open_files = [path.name for path in (home.validator_key_file, home.node_key_file) if path.stat().st_mode & 0o077]
    signed = signed_until(home)
    if open_files:
        yield _warn(
            "keys", f"others may read {' and '.join(open_files)}", "chmod 600 them; make new ones if others did"
        )
    elif signer := cometbft.signer_address(home):
        yield _ok("keys", f"a remote signer at {signer} signs; the home's own validator key is not used")
    else:
        yield _ok("keys", f"validator {signed.address}, signed until height {signed.height}")


def _beacon(home: Home, status: NodeStatus) -> Iterator[HealthCheck]:
    """A validator whose reveals the chain expects and this home cannot give is silent, which costs."""
    if not home.beacon_secret_file.exists():
        found = f"no {home.beacon_secret_file.name}: this validator is silent where the chain has an onion of it"
        yield _warn("beacon", found, "put it back from its backup, or make one with `openledger node onion`")
        return
    known = onions.read_secret(home)
    if onions.readable_by_others(home.beacon_secret_file):
        found = f"others may read {home.beacon_secret_file.name}"
        yield _warn("beacon", found, "chmod 600 it; if others did, make a new one and tell the chain its onion")
        return
    onion = onions.of_chain(status.rpc_url, status.validator_operator, status.height)
    if onion is None:
        yield _ok("beacon", "the chain has no onion of this validator, or does not tell")
        return
    left = onions.find_left(known, *onion)
    if left is None:
        found = f"no chain in {home.beacon_secret_file.name} leads to this validator's onion: it is silent"
        yield _fail("beacon", found, "put the right file back, or `openledger node onion --renew`")
    elif left < known.chains[0].length // 4:
        yield _warn("beacon", f"{left} reveals are left", "openledger node onion --renew")
    else:
        yield _ok("beacon", f"{left} reveals are left")


def _disk(home: Home) -> Iterator[HealthCheck]:
    free = disk.free_bytes(home.folder)
    used = disk.size_of_files(home.data_folder)
    found = f"{free // 2**20} MiB free, the node's data take {used // 2**20} MiB"
    if free < disk.RESUME_ABOVE_BYTES:
        yield _fail("disk", found, "free space now: the node pauses")
    elif free < max(_ROOM_BYTES, used // 4):
        yield _warn("disk", found, "make room; `keep_blocks` in config/node.toml lets old blocks go")
    else:
        yield _ok("disk", found)


def _versions(home: Home) -> Iterator[HealthCheck]:
    binary = cometbft.binary_path(home.settings().cometbft_binary)
    wrong = [text for layer in LOCKED_FILES for text in _not_as_locked(REQUIREMENTS_FOLDER / layer)]
    digest = lock_digest().hex()
    found = f"Python {platform.python_version()}, CometBFT {cometbft.VERSION} ({binary.name}), lock digest {digest}"
    if wrong:
        yield _fail("versions", f"{found}; not as locked: {', '.join(wrong)}", "run scripts/setup node")
    else:
        yield _ok("versions", f"{found}; all packages as locked")


def _not_as_locked(path: Path) -> Iterator[str]:
    """Installed packages that have another version than the lock file says; one for other machines is passed over."""
    for line in path.read_text().splitlines():
        match = _LOCKED.match(line)
        if match is None or match[3]:
            continue
        try:
            installed = version(match[1])
        except PackageNotFoundError:
            installed = "missing"
        if installed != match[2]:
            yield f"{match[1]} {installed} (locked {match[2]})"


def _upgrade(status: NodeStatus) -> Iterator[HealthCheck]:
    """Compare this installation with the upgrade that the chain has planned, as the running node says it."""
    if status.state in (State.NOT_RUNNING, State.STARTING):
        return
    try:
        view = planned_upgrade(status.rpc_url)
    except (NoAnswer, NodeRpcError) as error:
        yield _warn("upgrade", f"whether one is planned is not known: {error}", "try again")
        return
    if not view.version.next or view.plan is None:
        yield _ok("upgrade", "none is planned")
        return
    check, remedy = compare_release(view.plan), f"install release {view.plan.name} before height {view.plan.height}"
    if not versions.RULES.knows(view.version.next):
        yield _warn("upgrade", f"this program stops before height {view.plan.height}; {check}", remedy)
    elif not check.is_of_plan:
        yield _warn("upgrade", f"this program knows the next rules, with other packages: {check}", remedy)
    else:
        yield _ok("upgrade", f"ready; {check}")


def _snapshots(home: Home, status: NodeStatus, now_seconds: float) -> Iterator[HealthCheck]:
    interval = home.settings().snapshot_interval_heights
    folder = SnapshotFolder(home.snapshot_folder)
    folder.look()
    if not interval:
        yield _ok("snapshots", "none are made (snapshot_interval_heights is 0)")
        return
    if not folder.kept:
        young = status.height < 2 * interval
        found = f"none yet; one is made at each multiple of {interval}"
        yield (
            _ok("snapshots", found)
            if young
            else _warn("snapshots", found, "see logs/node.log; `openledger node snapshot make` makes one now")
        )
        return
    newest = folder.kept[0]
    age_hours = (now_seconds - newest.folder.stat().st_mtime) / 3600
    found = f"{len(folder.kept)}, the newest of height {newest.height}, {age_hours:.1f} hours old"
    if status.height - newest.height > 3 * interval:
        yield _warn("snapshots", found, "see logs/node.log; `openledger node snapshot make` makes one now")
    else:
        yield _ok("snapshots", found)


def _running(status: NodeStatus) -> Iterator[HealthCheck]:
    words = f"{status.state.value.replace('_', ' ')}{', height ' + str(status.height) if status.height else ''}"
    if status.state is State.NOT_RUNNING:
        yield _warn("node", f"{words}: {status.why}", "openledger node start")
    elif status.state in BAD_STATES:
        yield _fail("node", f"{words}: {status.why}", "see logs/cometbft.log and `openledger node status`")
    elif status.alarm:
        yield _warn("node", f"{words}; {status.alarm}", "see logs/node.log and docs/operators.md")
    else:
        yield _ok("node", words)


def _clock(status: NodeStatus, now_seconds: float) -> Iterator[HealthCheck]:
    """A block's time is the median of the validators' clocks, so a clock that lags sees blocks from the future."""
    if status.state is not State.MAKING_BLOCKS:
        yield _ok("clock", "cannot be judged while no blocks come")
        return
    ahead = block_seconds(status.block_time) - now_seconds
    if ahead > _CLOCK_SECONDS:
        yield _fail("clock", f"the last block is from {ahead:.0f} s in the future: this clock is late", "set up NTP")
    else:
        yield _ok("clock", f"the last block is {max(-ahead, 0):.1f} s old")


def _peers(home: Home, status: NodeStatus) -> Iterator[HealthCheck]:
    wanted = [peer for peer in str(cometbft.read_config(home)["p2p"].get("persistent_peers", "")).split(",") if peer]
    if status.state in (State.NOT_RUNNING, State.STARTING):
        return
    if wanted and not status.peers:
        yield _fail("peers", f"none of {len(wanted)} is connected", "see `openledger node status`, and firewalls")
        return
    try:
        heights = _heights_of_peers(rpc.call(status.rpc_url, "dump_consensus_state"))
    except (NoAnswer, NodeRpcError) as error:
        yield _warn("peers", f"{status.peers} connected; their heights are not known: {error}", "try again")
        return
    behind = max(heights, default=0) - 1 - status.height
    if behind > _BEHIND_BLOCKS:
        yield _warn("peers", f"{status.peers} connected, {behind} blocks ahead of this node", "wait: it catches up")
    else:
        yield _ok("peers", f"{status.peers} connected of {len(wanted)} configured, none far ahead")


def _heights_of_peers(dump: dict[str, Any]) -> list[int]:
    """The height that each peer votes on; CometBFT gives some of this as JSON within JSON."""
    found: list[int] = []
    for peer in dump.get("peers") or ():
        state = peer.get("peer_state") or {}
        state = json.loads(state) if isinstance(state, str) else state
        found.append(int((state.get("round_state") or {}).get("height", 0)))
    return found
