"""A desk with a node: the command, its home and keys, a devnet of its own and a content store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.chain.genesis import GenesisState
from node import cometbft
from node.devnet import Devnet
from openledger.client.client import Client
from openledger.content.store import ContentStore
from openledger.exit_codes import ExitCode
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet
from openledger_cli.main import main
from tests.kit.trainer.tiny import RECIPE

ALICE, BOB = [Signer.from_seed(bytes([number]) * 32) for number in (1, 2)]
OPEN = 10**9
QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "100ms", ("consensus", "timeout_propose"): "500ms"}


class Office:
    """The command at a desk: its home, its node, its content store."""

    def __init__(self, net: Devnet, client: Client, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.net = net
        self.client = client
        self.folder = folder
        self._capsys = capsys

    def run(self, *words: str, expect: ExitCode = ExitCode.OK) -> str:
        """Standard output of a command; what it wrote is settled, so that the next command can have it proven."""
        code = main([*words])
        said = self._capsys.readouterr()
        assert code == expect, said.err
        return said.out if code == ExitCode.OK else said.err

    def told(self, *words: str, expect: ExitCode = ExitCode.OK) -> str:
        """Everything that a command says, also on its way."""
        self._capsys.readouterr()
        code = main([*words])
        said = self._capsys.readouterr()
        assert code == expect, said.err
        return said.out + said.err

    def document(self, *words: str) -> dict[str, Any]:
        """Run a command with JSON output, and give the document."""
        document: dict[str, Any] = json.loads(self.run(*words, "--output", "json"))
        if "height" in document:
            self.settle(int(document["height"]))
        return document

    def settle(self, height: int) -> None:
        """Wait until what stands in a block can be proven."""
        self.net.wait_for_height(height + 2)

    @property
    def store(self) -> ContentStore:
        """The content store of the settings."""
        return ContentStore.open(None)

    def recipe(self, name: str, *replacements: tuple[str, str]) -> str:
        """A recipe file."""
        text = RECIPE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        (self.folder / name).write_text(text)
        return str(self.folder / name)


@contextmanager
def open_office(folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Office]:
    """A devnet in `folder` where the keys alice and bob have money, and the settings that the command needs."""
    state = GenesisState(balances=tuple([(encode_id("open", one.address), 1_000 * OPEN) for one in (ALICE, BOB)]))
    wallet = Wallet.open(folder / "home", "test", "dev-1")
    wallet.import_seed("alice", bytes([1]) * 32)
    wallet.import_seed("bob", bytes([2]) * 32)
    with Devnet.create(folder / "net", app_state=state, comet=QUICK) as net, Client(net.nodes[0].rpc_url) as client:
        # From here on every answer can be proven.
        net.wait_for_height(3)
        settings = {
            "OPENLEDGER_HOME": folder / "home", "OPENLEDGER_KEYS": "test", "OPENLEDGER_WITNESSES": "none",
            "OPENLEDGER_NODE": net.nodes[0].rpc_url, "OPENLEDGER_GENESIS": net.nodes[0].home.genesis_file,
            "OPENLEDGER_CONTENT": folder / "content", "XDG_CACHE_HOME": folder / "cache",
        }  # fmt: skip
        for name, value in settings.items():
            patch.setenv(name, str(value))
        patch.chdir(folder)
        yield Office(net, client, folder, capsys)
