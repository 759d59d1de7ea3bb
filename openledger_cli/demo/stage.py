"""The stage that all parts of the demo share: the network, clients, keys, content store, and running real commands."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import OpenLedgerError, UsageError
from openledger_cli.demo.cast import CHAIN_ID, MESSAGE_ROLES, PEOPLE, ROLES, Pace
from openledger_cli.demo.report import Report

if TYPE_CHECKING:
    from abci_app.chain.genesis import GenesisState
    from abci_app.module import Message
    from node.devnet import Devnet
    from openledger.client.client import Client
    from openledger.client.light_client import LightClient
    from openledger.client.results import Committed
    from openledger.content.store import ContentStore
    from openledger.keys.signer import Signer
    from openledger.keys.wallet import Wallet

MARK = "demo.json"
KEPT_PID = "kept.pid"
BUNDLE_FILE = "lineage.bundle.json"
BALANCE_NOPEN = 1_000 * 10**9
# Training on a machine that is busy with other things; it ends the demo, not the machine.
_COMMAND_SECONDS = 1_800


class CommandFailed(OpenLedgerError):
    """A command of the demo ended otherwise than it must."""


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    output: str
    errors: str

    def document(self) -> dict[str, Any]:
        """Its JSON output."""
        value: dict[str, Any] = json.loads(self.output)
        return value


@dataclass(slots=True)
class Stage:
    """One run of the demo; `open_stage` makes it. `entries` and `datanets` fill up as the story goes on."""

    report: Report
    folder: Path
    net: Devnet
    wallet: Wallet
    client: Client
    store: ContentStore
    pace: Pace
    # Name -> id.
    datanets: dict[str, bytes] = field(default_factory=dict)
    # "base", "first", "second" -> id.
    entries: dict[str, bytes] = field(default_factory=dict)
    # Contributor -> contribution id, for what was accepted; and the one that was not.
    contributions: dict[str, bytes] = field(default_factory=dict)

    @property
    def genesis_file(self) -> Path:
        """The genesis file, from which the light client starts to trust."""
        return self.net.nodes[0].home.genesis_file

    @property
    def content_folder(self) -> Path:
        """The content store."""
        return self.folder / "content"

    @property
    def bundle_file(self) -> Path:
        """Where the proof bundle of the last model goes."""
        return self.folder / BUNDLE_FILE

    def signer(self, name: str) -> Signer:
        """Somebody's key."""
        return self.wallet.signer(name)

    def address(self, name: str) -> bytes:
        """Somebody's address."""
        return self.wallet.get(name).address_bytes

    def light_client(self, url: str = "") -> LightClient:
        """A light client of node 0, or of another address, that starts from the genesis document."""
        from openledger.client.light_client import LightClient
        from openledger.light.anchors import parse_genesis
        from openledger.light.results import LightSettings

        witnesses = [node.rpc_url for node in self.net.nodes[1:]]
        return LightClient(
            url or self.net.nodes[0].rpc_url,
            witnesses,
            anchor=parse_genesis(self.genesis_file.read_bytes()),
            settings=LightSettings(chain_id=CHAIN_ID, without_witness=not witnesses),
        )

    def send(self, batch: Sequence[tuple[str, Sequence[Message]]]) -> list[Committed]:
        """One transaction each, side by side; returns when all are in blocks and their effects can be proven."""
        sent = [self.client.send(self.signer(name), *messages).sent for name, messages in batch]
        committed = self.client.wait_all(sent, 60.0)
        self.settle(max(one.height for one in committed))
        return committed

    def settle(self, height: int) -> None:
        """Wait until the state after `height` is what a proven query speaks of: its hash is two headers further."""
        self.net.wait_for_height(height + 2)

    def query(self, module: str, name: str, args: Any) -> Any:
        """A verified answer's value."""
        return self.client.query(module, name, args).value

    def environment(self, **changes: str) -> dict[str, str]:
        """Settings for the command, so that it needs no options."""
        witnesses = ",".join(node.rpc_url for node in self.net.nodes[1:]) or "none"
        return {
            "OPENLEDGER_HOME": str(self.folder / "home"),
            "OPENLEDGER_NODE": self.net.nodes[0].rpc_url,
            "OPENLEDGER_CHAIN_ID": CHAIN_ID,
            "OPENLEDGER_KEYS": "test",
            "OPENLEDGER_WITNESSES": witnesses,
            "OPENLEDGER_GENESIS": str(self.genesis_file),
            "OPENLEDGER_CONTENT": str(self.content_folder),
            **changes,
        }

    def command(self, *words: str, watch: bool = False, show: bool = True, **changes: str) -> Said:
        """Run `openledger WORDS` in a process of its own. `watch` lets what it says to people pass to the terminal."""
        if show:
            shown = [str(Path(word).relative_to(self.folder)) if self._is_ours(word) else word for word in words]
            self.report.say(f"  $ openledger {shlex.join(shown)}")
        return run_module("openledger_cli.main", words, self.environment(**changes), watch=watch)

    def _is_ours(self, word: str) -> bool:
        return word.startswith(f"{self.folder}{os.sep}")


def run_module(module: str, words: Sequence[str], environment: dict[str, str], *, watch: bool = False) -> Said:
    """`python -m MODULE WORDS` with bounded time; give its result for any exit code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENLEDGER_")}
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if watch else subprocess.PIPE,
        text=True,
        check=False,
        timeout=_COMMAND_SECONDS,
    )
    return Said(done.returncode, done.stdout, done.stderr or "")


def must(said: Said, what: str) -> Said:
    """The result of a command that has to succeed; raises `CommandFailed`."""
    if said.code:
        reason = (said.errors.strip() or said.output.strip() or "its message is above").splitlines()[-1]
        raise CommandFailed(f"{what} ended with exit code {said.code}: {reason}")
    return said


@contextmanager
def open_stage(report: Report, folder: Path, validators: int, pace: Pace) -> Iterator[Stage]:
    """Keys, genesis and running nodes in a folder from `make_folder`; the nodes end with the block."""
    from node.devnet import Devnet
    from openledger.client.client import Client
    from openledger.content.store import ContentStore
    from openledger.keys.wallet import Wallet

    wallet = Wallet.open(folder / "home", "test", CHAIN_ID)
    for name in PEOPLE:
        wallet.create(name)
    net = Devnet.create(folder / "net", validators=validators, chain_id=CHAIN_ID, app_state=_genesis_state(wallet))
    with net, Client(net.nodes[0].rpc_url, chain_id=CHAIN_ID) as client:
        stage = Stage(
            report=report,
            folder=folder,
            net=net,
            wallet=wallet,
            client=client,
            store=ContentStore.open(folder / "content"),
            pace=pace,
        )
        client.light = stage.light_client()
        yield stage


def make_folder(folder: Path) -> None:
    """An empty folder with our mark; an earlier demo's is replaced. Raises `UsageError` for anything else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise UsageError(f"{folder} is not empty and not a demo's: give another --folder")
        if still_runs(folder):
            raise UsageError(f"the demo kept in {folder} still runs: stop it with `kill $(cat {folder / KEPT_PID})`")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text('{"made_by": "openledger demo"}\n', encoding="utf-8")


def still_runs(folder: Path) -> bool:
    """Whether nodes that `--keep` left running hold this folder."""
    from node.errors import NodeError
    from node.home import Home

    home = folder / "net" / "node0"
    try:
        with Home(home).lock() if home.is_dir() else nullcontext():
            return False
    except NodeError:
        return True


def _genesis_state(wallet: Wallet) -> GenesisState:
    """Everybody has money and a role."""
    from abci_app.chain.genesis import GenesisState
    from abci_app.modules.members import GenesisMember

    addresses = {name: wallet.get(name).address for name in PEOPLE}
    return GenesisState(
        parameters={"roles": MESSAGE_ROLES},
        balances=tuple([(address, BALANCE_NOPEN) for address in addresses.values()]),
        members=tuple([GenesisMember(addresses[name], roles, name) for name, roles in ROLES.items()]),
    )
