"""CometBFT v0.38.25: where its binary is, how its files are made, and with which settings it runs.

Every setting that differs from CometBFT's default stands in `SETTINGS` with its reason.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from node.errors import NodeError
from node.home import Home
from node.progress import while_waiting
from openledger.content.files import write_whole

VERSION = "0.38.25"
_BUILD_SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "build-cometbft"
ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - recognised in an operator's file, never chosen by us
_COMMAND_SECONDS = 60.0
# CometBFT's ABCI client re-arms a timer of 20 ns until its sending goroutine takes notice (flushThrottleMS is used as
# nanoseconds; libs/timer/throttle_timer.go). The timer's goroutines go ahead of the sender on the same processor, so
# the sender runs once another one steals it: with two processors each CheckTx waits for that. Measured on two cores,
# one `broadcast_tx_sync` a request on 8 connections: 93 transactions/s with one, 2,720 with two, 3,350 with four.
MIN_GO_PROCESSORS = 4
# A first build downloads the modules and compiles them.
_BUILD_SECONDS = 1200.0

Value = str | int | bool
# (section, key) -> value; section "" is the top of the file.
Changes = Mapping[tuple[str, str], Value]

SETTINGS: Changes = {
    # Loopback unless the operator chooses otherwise: the RPC has no authentication.
    ("rpc", "laddr"): "tcp://127.0.0.1:26657",
    ("p2p", "laddr"): "tcp://127.0.0.1:26656",
    # Clients send transactions in JSON-RPC batches; a batch saves two thirds of the cost of each.
    ("rpc", "max_request_batch_size"): 1000,
    ("rpc", "max_body_bytes"): 16 * 1024 * 1024,
    ("rpc", "max_subscriptions_per_client"): 20,
    # The validators are known by name; addresses of strangers are not gossiped.
    ("p2p", "pex"): False,
    # Several validators may stand behind one address; who may connect is the application's decision.
    ("p2p", "allow_duplicate_ip"): True,
    # Ask the application which peers may connect (members module; an empty list admits everybody).
    ("", "filter_peers"): True,
    # Both wait this long before they send: with the defaults most of a block's time is spent there.
    ("p2p", "flush_throttle_timeout"): "10ms",
    ("consensus", "peer_gossip_sleep_duration"): "10ms",
    # The only timeout that is always waited for.
    ("consensus", "timeout_commit"): "500ms",
    # Must be the same on all validators: a smaller value on one starves the others' proposals.
    ("consensus", "timeout_propose"): "3s",
    # A value becomes provable in the block after it, so a new chain must not stand still.
    ("consensus", "create_empty_blocks"): True,
    # Several blocks' worth; what is left over is checked again after every block.
    ("mempool", "size"): 50_000,
    ("mempool", "cache_size"): 100_000,
    # After every commit the application is told what is held, and forgets the rest (ADR 22).
    ("mempool", "recheck"): True,
    # The largest transaction (abci_app.chain.transaction), and a bound on all of them together.
    ("mempool", "max_tx_bytes"): 64 * 1024,
    ("mempool", "max_txs_bytes"): 64 * 1024 * 1024,
}

# Several nodes on one machine need no address book.
LOCAL_NETWORK: Changes = {
    ("p2p", "addr_book_strict"): False,
    ("p2p", "send_rate"): 50 * 1024 * 1024,
    ("p2p", "recv_rate"): 50 * 1024 * 1024,
}


def binary_path(binary: str = "") -> Path:
    """The CometBFT binary: `binary` if given, else $OPENLEDGER_COMETBFT, else what scripts/build-cometbft prints.

    Raises NodeError when there is none or when its version is not VERSION.
    """
    given = binary or os.environ.get("OPENLEDGER_COMETBFT", "")
    path = Path(given) if given else _build()
    if not path.is_file():
        raise NodeError(f"no CometBFT binary at {path}; run scripts/build-cometbft, or correct cometbft_binary")
    found = _output([str(path), "version"]).strip()
    if found.removeprefix("v") != VERSION:
        raise NodeError(f"{path} is CometBFT {found}; this node needs {VERSION}: run scripts/build-cometbft")
    return path


def _build() -> Path:
    """Path of the cached binary, built now if it is missing (minutes)."""
    if not _BUILD_SCRIPT.is_file():
        raise NodeError("no CometBFT binary is set; give its path in $OPENLEDGER_COMETBFT or in config/node.toml")
    with while_waiting(f"looking for CometBFT {VERSION}; where it is not there yet, it is fetched and compiled now"):
        lines = _output([str(_BUILD_SCRIPT)], _BUILD_SECONDS).strip().splitlines()
    if not lines:
        raise NodeError("scripts/build-cometbft printed no path; run it by hand to see why")
    return Path(lines[-1])


def _output(command: list[str], seconds: float = _COMMAND_SECONDS) -> str:
    """Standard output of a command; raises NodeError with the end of what it said otherwise."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=seconds, env=environment())
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeError(f"cannot run {command[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NodeError(f"{Path(command[0]).name} {' '.join(command[1:])} failed: {said[-1] if said else 'no output'}")
    return done.stdout


def environment() -> dict[str, str]:
    """The environment for CometBFT: ours, without variables that would override its configuration file.

    Go gets at least `MIN_GO_PROCESSORS` processors unless the operator set $GOMAXPROCS.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CMT", "TM_", "TMHOME"))}
    ours.setdefault("GOMAXPROCS", str(max(MIN_GO_PROCESSORS, os.cpu_count() or 1)))
    return ours


def command(binary: Path, home: Home, *arguments: str) -> str:
    """Run a CometBFT subcommand on this home; its standard output. Raises NodeError."""
    return _output([str(binary), *arguments, "--home", str(home.folder)])


def require_known_settings(binary: Path, home: Home) -> None:
    """Raises NodeError for a setting that this CometBFT does not know: it would ignore a misspelt one silently."""
    with tempfile.TemporaryDirectory(prefix="openledger-") as folder:
        fresh = Home(Path(folder))
        command(binary, fresh, "init", "validator")
        known = read_config(fresh)
    for section, settings in read_config(home).items():
        for name in settings:
            if section in known and name in known[section]:
                continue
            if isinstance(settings[name], dict) or section not in known:
                name = section or name
            near = difflib.get_close_matches(name, [*known, *known.get(section, ())], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise NodeError(f"{home.comet_config_file}: CometBFT {VERSION} has no setting [{section}] {name}{hint}")


def make_files(binary: Path, home: Home, changes: Changes) -> None:
    """New keys and a configuration file with `SETTINGS` and `changes`. An existing home is left as it is."""
    command(binary, home, "init", "validator")
    text = home.comet_config_file.read_text()
    write_whole(home.comet_config_file, edit(text, {**SETTINGS, **changes}))


def change_config(home: Home, changes: Changes) -> None:
    """Change settings in an existing config.toml."""
    write_whole(home.comet_config_file, edit(home.comet_config_file.read_text(), changes))


def edit(text: str, changes: Changes) -> str:
    """`text`, a TOML file, with values replaced; comments and order stay. Raises NodeError for an unknown key."""
    section, left, lines = "", dict(changes), []
    for line in text.splitlines():
        if heading := re.fullmatch(r"\[([\w.]+)\]\s*", line):
            section = heading[1]
        elif assignment := re.match(r"([\w-]+)\s*=", line):
            key = (section, assignment[1])
            if key in left:
                line = f"{assignment[1]} = {_toml(left.pop(key))}"
        lines.append(line)
    if left:
        names = ", ".join(f"[{section}] {key}" for section, key in left)
        raise NodeError(f"config.toml has no {names}; was it written by another version of CometBFT?")
    return "\n".join(lines) + "\n"


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, str) else str(value)


def read_config(home: Home) -> dict[str, dict[str, Value]]:
    """config.toml by section. Raises NodeError when it is not TOML."""
    try:
        document = tomllib.loads(home.comet_config_file.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NodeError(f"{home.comet_config_file}: {error}") from error
    top = {key: value for key, value in document.items() if not isinstance(value, dict)}
    return {"": top, **{key: value for key, value in document.items() if isinstance(value, dict)}}


def listen_addresses(home: Home) -> dict[str, tuple[str, int]]:
    """The RPC's and the peer-to-peer listener's (host, port). Raises NodeError for what cannot be read."""
    config, found = read_config(home), {}
    for section in ("rpc", "p2p"):
        address = str(config.get(section, {}).get("laddr", ""))
        match = re.fullmatch(r"(?:tcp://)?([^:]*|\[[0-9a-f:]+\]):(\d+)", address)
        if not match:
            raise NodeError(f"{home.comet_config_file}: [{section}] laddr is {address!r}; give tcp://HOST:PORT")
        found[section] = (match[1].strip("[]") or ALL_INTERFACES, int(match[2]))
    return found


def signer_address(home: Home) -> str:
    """Where CometBFT waits for a remote signer; empty where it signs with the home's own key."""
    return str(read_config(home)[""].get("priv_validator_laddr", ""))


def signer_socket(home: Home) -> Path | None:
    """The unix socket at which CometBFT waits for a remote signer; None where there is none."""
    scheme, mark, path = signer_address(home).partition("://")
    return Path(path) if mark and scheme == "unix" and path else None


def rpc_url(home: Home) -> str:
    """Where this node's RPC is reached from this machine."""
    host, port = listen_addresses(home)["rpc"]
    return f"http://{'127.0.0.1' if host in (ALL_INTERFACES, '::') else host}:{port}"


def node_id(home: Home) -> str:
    """The node's peer-to-peer identity: 40 hex digits."""
    secret = base64.b64decode(json.loads(home.node_key_file.read_text())["priv_key"]["value"])
    return hashlib.sha256(secret[32:]).hexdigest()[:40]
