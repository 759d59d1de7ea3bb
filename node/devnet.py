"""Several validators on one machine, started and stopped as a unit: for trying things out and for tests.

    with Devnet.create(folder, validators=4) as net:
        net.wait_for_height(3)
        net.nodes[1].kill_application()
        net.nodes[1].restart()

Each node is a process of its own (`python -m node.run`), so it can be killed at any point. Nodes end when the process
that started them does, however it ends.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from abci_app.chain.genesis import GenesisState
from node import cometbft, genesis, onions, rpc
from node.errors import NoAnswer, NodeError, NodeRpcError
from node.faults import VARIABLE
from node.home import Home, NodeSettings
from node.ports import free_ports, require_free
from node.progress import while_waiting

DEFAULT_CHAIN_ID = "dev-1"
# Links of the onions of a network that is soon gone: hashed in a thirtieth of a second each.
SHORT_ONION = 2**16
# Ports of node i are the base plus this many times i.
_PORTS_APART = 10
_LAST_PORT = 65_535
_POLL_SECONDS = 0.05
# A node that is asked to stop finishes its block and its CometBFT flushes its databases.
_STOP_SECONDS = 40.0
_OTHER_PORT = "another devnet may be running; stop it, or give another --base-port"
_REPOSITORY = Path(__file__).resolve().parent.parent


def _nothing() -> None:
    pass


class DevnetNode:
    """One validator: its home, its processes, and its RPC."""

    def __init__(self, home: Home, index: int, *, alone: bool = True) -> None:
        self.home = home
        self.index = index
        self._alone = alone
        self.rpc_url = cometbft.rpc_url(home)
        self.process: subprocess.Popen[bytes] | None = None
        # What `python -m` runs; tests put something around the node here.
        self.module = "node.run"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def comet_pid(self) -> int | None:
        """CometBFT's process id while the node supervises one."""
        try:
            return int(self.home.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def start(self, fault: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        """Start the node's process; `fault` as in `node.faults`. Does not wait for it."""
        if self.running:
            raise NodeError(f"node {self.index} already runs")
        variables = {name: value for name, value in os.environ.items() if name != VARIABLE}
        paths = [str(_REPOSITORY), *filter(None, [variables.get("PYTHONPATH")])]
        variables["PYTHONPATH"] = os.pathsep.join(paths)
        if not self._alone:
            # What `cometbft.environment` gives one node on a small machine is too much for several of them.
            variables.setdefault("GOMAXPROCS", str(os.cpu_count() or 1))
        variables.update(environment or {})
        if fault:
            variables[VARIABLE] = fault
        self.home.log_folder.mkdir(exist_ok=True)
        with (self.home.log_folder / "console.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "--home", str(self.home.folder), "--until-input-ends"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=variables,
                cwd=_REPOSITORY,
                start_new_session=True,
            )

    def stop(self, seconds: float = _STOP_SECONDS) -> int:
        """End the node in order; its exit code. Killed when it does not end in time."""
        if self.process is None:
            return 0
        if self.running:
            self.process.terminate()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None
        return code

    def wait(self, seconds: float) -> int:
        """Wait until the node has ended by itself (a fault, a halt); its exit code."""
        if self.process is None:
            raise NodeError(f"node {self.index} does not run")
        self.process.wait(seconds)
        return self.stop()

    def kill_application(self) -> None:
        """SIGKILL to the application; CometBFT ends by itself when it notices."""
        if self.process is not None:
            self.process.kill()
            self.stop()

    def kill_cometbft(self) -> None:
        """SIGKILL to CometBFT; the application stays and supervises a new one."""
        pid = self.comet_pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def kill_both(self) -> None:
        """SIGKILL to both, CometBFT first so that it cannot react to the other's end."""
        self.kill_cometbft()
        self.kill_application()

    def restart(self, fault: str | None = None) -> None:
        """Start again, ending what still runs."""
        self.stop()
        self.start(fault)

    def call(self, method: str, **parameters: str | bool) -> dict[str, Any]:
        """One RPC call. Raises NoAnswer or NodeRpcError."""
        return rpc.call(self.rpc_url, method, **parameters)

    def height(self) -> int:
        """The last block's height; 0 when there is none or the node does not answer."""
        try:
            return int(self.call("status")["sync_info"]["latest_block_height"])
        except (NoAnswer, NodeRpcError):
            return 0

    def app_hash_at(self, height: int) -> str:
        """The state's root after block `height`, from header `height` + 1, in upper-case hex."""
        header: str = self.call("header", height=str(height + 1))["header"]["app_hash"]
        return header

    def log_tail(self, lines: int = 15) -> str:
        """The end of the node's logs, for a message about what went wrong."""
        found = []
        for name in ("console.log", "cometbft.log"):
            path = self.home.log_folder / name
            if path.exists():
                found += [f"{name}: {line}" for line in path.read_text(errors="replace").splitlines()[-lines:]]
        return "\n".join(found)


class Devnet:
    """The nodes of one folder."""

    def __init__(self, folder: Path, nodes: list[DevnetNode]) -> None:
        self.folder = folder
        self.nodes = nodes
        # Called while waiting for the nodes; may raise.
        self.between: Callable[[], None] = _nothing

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        validators: int = 1,
        chain_id: str = DEFAULT_CHAIN_ID,
        app_state: GenesisState | None = None,
        settings: NodeSettings | None = None,
        comet: cometbft.Changes | None = None,
        base_port: int | None = None,
        onion_length: int = SHORT_ONION,
        beside: str = "",
        operators: Sequence[str] = (),
        between: Callable[[], None] = _nothing,
    ) -> Devnet:
        """Make the homes of a new network in an empty folder. Free ports unless `base_port` is given.

        `comet` changes config.toml on all nodes, `onion_length` is that of their onions; a folder named `beside` may be
        there already. `operators` are the accounts answerable for the validators, one each, whose balances hold the
        bonds. `between` is called between two steps and may raise. Raises NodeError.
        """
        if not 1 <= validators <= 50:
            raise NodeError(f"{validators} validators: give 1 to 50")
        if folder.exists() and any(path.name != beside for path in folder.iterdir()):
            raise NodeError(f"{folder} is not empty; delete it, or give another folder")
        settings = settings or NodeSettings()
        binary = cometbft.binary_path(settings.cometbft_binary)
        homes = [Home((folder / f"node{index}").resolve()) for index in range(validators)]
        document = genesis.skeleton(chain_id, app_state)
        ports = _ports(validators, base_port)
        if base_port is not None and not 1 <= base_port <= _LAST_PORT - _PORTS_APART * validators:
            raise NodeError(f"--base-port {base_port}: the ports of all nodes must lie between 1 and {_LAST_PORT}")
        for port in [port for pair in ports for port in pair]:
            require_free("127.0.0.1", port, _OTHER_PORT)
        for index, home in enumerate(homes):
            between()
            p2p_port, rpc_port = ports[index]
            changes: dict[tuple[str, str], cometbft.Value] = {
                **cometbft.LOCAL_NETWORK,
                ("", "moniker"): f"node{index}",
                ("p2p", "laddr"): f"tcp://127.0.0.1:{p2p_port}",
                ("rpc", "laddr"): f"tcp://127.0.0.1:{rpc_port}",
                **(comet or {}),
            }
            home.folder.mkdir(parents=True)
            cometbft.make_files(binary, home, changes)
            home.write_settings(dataclasses.replace(settings, cometbft_binary=str(binary)))
            onions.make_secret(home, onion_length)
            genesis.write(home.genesis_file, document)
        _declare_all(homes, operators, genesis.bond_of(document))
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Devnet:
        """The network that `create` made here. Raises NodeError when there is none."""
        homes = sorted(folder.resolve().glob("node*"), key=lambda path: int(path.name.removeprefix("node")))
        if not homes:
            raise NodeError(f"{folder} holds no devnet; create one with `openledger devnet --home {folder}`")
        alone = len(homes) == 1
        return cls(folder, [DevnetNode(Home(home), index, alone=alone) for index, home in enumerate(homes)])

    def start(self) -> None:
        """Start all nodes and wait until each has made a block; stops all if one fails."""
        for node in self.nodes:
            for host, port in cometbft.listen_addresses(node.home).values():
                require_free(host, port, _OTHER_PORT)
        try:
            for node in self.nodes:
                node.start()
            with while_waiting(f"waiting for the first block of {len(self.nodes)} nodes"):
                self.wait_for_height(1, 60.0)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all nodes, all at once, and wait for them."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            for _ in pool.map(DevnetNode.stop, self.nodes):
                pass

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_for_height(self, height: int, seconds: float = 60.0, nodes: list[DevnetNode] | None = None) -> None:
        """Wait until these nodes (default: all) have block `height`. Raises NodeError with the logs' ends."""
        waiting = list(nodes if nodes is not None else self.nodes)
        deadline = time.monotonic() + seconds
        while waiting := [node for node in waiting if node.height() < height]:
            self.between()
            dead = [node for node in waiting if not node.running]
            if dead or time.monotonic() > deadline:
                node = (dead or waiting)[0]
                what = "ended" if dead else f"is at height {node.height()} after {seconds:.0f} s"
                raise NodeError(f"node {node.index} {what}, waiting for {height}:\n{node.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def height(self) -> int:
        """The highest block that any node has."""
        return max(node.height() for node in self.nodes)


def _declare_all(homes: Sequence[Home], operators: Sequence[str], bond_nopen: int) -> None:
    """Let every home's document have every home's validator, each with its operator and bond where there are some."""
    declarations = [
        genesis.declare_validator(
            home,
            f"node{index}",
            10,
            operator=operators[index] if operators else "",
            bond_nopen=bond_nopen if operators else 0,
        )
        for index, home in enumerate(homes)
    ]
    for home in homes:
        genesis.collect(home, declarations)


def _ports(count: int, base_port: int | None) -> list[tuple[int, int]]:
    """(p2p, rpc) of each node: fixed from the base, or free ones."""
    if base_port is not None:
        return [(base_port + _PORTS_APART * index, base_port + _PORTS_APART * index + 1) for index in range(count)]
    free = free_ports()
    return [(next(free), next(free)) for _ in range(count)]


def run_until(ended: Callable[[], bool], net: Devnet) -> None:
    """Keep a started network until `ended`; raises NodeError when a node ends by itself."""
    while not ended():
        for node in net.nodes:
            if not node.running:
                raise NodeError(f"node {node.index} ended:\n{node.log_tail()}")
        time.sleep(0.2)
