"""A real CometBFT validator under our supervisor and socket server."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Generic, TypeVar

from node import cometbft, rpc
from node.abci_server import AbciApplication, AbciServer, Address, Halt
from node.errors import NoAnswer, NodeRpcError
from node.home import Home
from node.ports import free_ports
from node.supervisor import BackOff, Supervisor
from tests.kit.node.fake_comet import wait_until

A = TypeVar("A", bound=AbciApplication)


class RealNode(Generic[A]):
    """One CometBFT validator with an application in this process."""

    def __init__(self, folder: Path, application: A, app_version: int = 1) -> None:
        ports = free_ports()
        self.home = Home(folder / "home")
        self.home.folder.mkdir()
        binary = cometbft.binary_path()
        changes: dict[tuple[str, str], cometbft.Value] = {
            ("rpc", "laddr"): f"tcp://127.0.0.1:{next(ports)}",
            ("p2p", "laddr"): f"tcp://127.0.0.1:{next(ports)}",
            ("consensus", "timeout_commit"): "100ms",
            ("", "filter_peers"): False,
        }
        cometbft.make_files(binary, self.home, changes)
        document = json.loads(self.home.genesis_file.read_text())
        document["consensus_params"]["version"]["app"] = str(app_version)
        self.home.genesis_file.write_text(json.dumps(document))
        self.url = cometbft.rpc_url(self.home)
        self.application = application
        self.halts: list[Halt] = []
        socket_path = folder / "abci.sock"
        self.server = AbciServer(self.application, Address(socket_path), on_halt=self.halts.append)
        command = [str(binary), "start", "--home", str(self.home.folder), "--proxy_app", f"unix://{socket_path}"]
        self.supervisor = Supervisor(
            command, log_file=folder / "cometbft.log", pid_file=self.home.pid_file,
            environment=cometbft.environment(), back_off=BackOff(first_seconds=0.1, longest_seconds=0.5),
        )  # fmt: skip

    def height(self) -> int:
        try:
            return int(rpc.call(self.url, "status")["sync_info"]["latest_block_height"])
        except (NoAnswer, NodeRpcError):
            return 0

    def wait_for_blocks(self, count: int) -> None:
        target = self.height() + count
        wait_until(lambda: self.height() >= target, 30.0)

    def broadcast(self, tx: bytes) -> dict[str, object]:
        return rpc.call(self.url, "broadcast_tx_sync", tx=base64.b64encode(tx).decode())
