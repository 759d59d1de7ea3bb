"""Governing four real nodes by the command: a fee from proposal to effect, then an upgrade at a height."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.chain.genesis import GenesisState
from node import cometbft
from node.devnet import Devnet
from node.release import lock_digest
from node.run import EXIT_HALTED
from openledger.exit_codes import ExitCode
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet
from openledger_cli.main import main

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "50ms", ("consensus", "timeout_propose"): "500ms"}
VOTING, TIMELOCK = 60, 10
PARAMETERS = {
    "governance": {
        "voting_blocks": VOTING,
        "timelock_blocks": TIMELOCK,
        "unlock_blocks": 100,
        "deposit_nopen": 10**9,
        "electorate_floor_nopen": 0,
    },
    "epochs": {"epoch_blocks": 20},
}
FEE = """
title: Half the fee for each byte
actions:
  - set-parameters: {fees.fee_per_byte_nopen: 500nopen}
  - note: Blocks are far from full
"""


class Chamber:
    """The command at a desk beside four nodes."""

    def __init__(self, net: Devnet, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.net = net
        self.folder = folder
        self._capsys = capsys

    def run(self, line: str, expect: ExitCode = ExitCode.OK) -> str:
        """What a command line prints; its error where it fails."""
        self._capsys.readouterr()
        code = main(["gov", *line.split()])
        said = self._capsys.readouterr()
        assert code == expect, said.err
        return said.out if code == ExitCode.OK else said.err

    def document(self, line: str) -> dict[str, Any]:
        """Run a command with JSON output, and give the document."""
        found: dict[str, Any] = json.loads(self.run(f"{line} --output json"))
        return found

    def propose(self, name: str, text: str) -> int:
        """Submit a proposal written to a file, and vote for it; its number."""
        (self.folder / name).write_text(text)
        number = int(self.document(f"propose {name} --from alice")["number"])
        for who in ("alice", "bob"):
            self.run(f"vote {number} yes --from {who}")
        return number

    def wait_until_it_takes_effect(self, number: int) -> int:
        """Wait for the end of the voting and of the timelock; the height at which it took effect."""
        ends = int(self.document(f"show {number}")["proposal"]["ends_height"])
        self.net.wait_for_height(ends + 2)
        executes = int(self.document(f"show {number}")["proposal"]["executes_height"])
        self.net.wait_for_height(executes + 2)
        return executes


@pytest.fixture
def chamber(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Chamber]:
    wallet, balances = Wallet.open(tmp_path / "home", "test", "dev-1"), []
    for number, name in enumerate(("alice", "bob"), 1):
        wallet.import_seed(name, bytes([number]) * 32)
        balances.append((encode_id("open", Signer.from_seed(bytes([number]) * 32).address), 1_000 * 10**9))
    state = GenesisState(balances=tuple(balances), parameters=PARAMETERS)
    with Devnet.create(tmp_path / "net", validators=4, app_state=state, comet=QUICK) as net:
        net.wait_for_height(3)
        settings = {
            "OPENLEDGER_HOME": tmp_path / "home", "OPENLEDGER_KEYS": "test", "OPENLEDGER_WITNESSES": "none",
            "OPENLEDGER_NODE": net.nodes[0].rpc_url, "OPENLEDGER_GENESIS": net.nodes[0].home.genesis_file,
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.chdir(tmp_path)
        yield Chamber(net, tmp_path, capsys)


def test_a_fee_and_then_the_rules_change_on_four_nodes(chamber: Chamber) -> None:
    net = chamber.net
    for who in ("alice", "bob"):
        chamber.run(f"lock 100OPEN --from {who}")
    net.wait_for_height(net.height() + 25)
    assert "votes with 100 OPEN, its own and what is delegated to it; of this 100 OPEN counts" in chamber.run(
        "power bob"
    )

    # A proposal that breaks a limit is refused before anything is sent, and the limit is named.
    (chamber.folder / "dear.yaml").write_text(FEE.replace("500nopen", "1OPEN"))
    limit = "fees.fee_per_byte_nopen is 1000000000, must be 0 to "
    assert limit in chamber.run("propose dear.yaml --from alice", ExitCode.REFUSED)
    assert limit in chamber.run("dry-run dear.yaml", ExitCode.REFUSED)

    fee = chamber.propose("fee.yaml", FEE)
    shown = chamber.run(f"show {fee}")
    assert "fees.fee_per_byte_nopen becomes 500 nopen (now 1,000 nopen)" in shown
    assert "yes 200 OPEN; 100.0 % of 200 OPEN voted" in shown
    early = net.height() + VOTING + VOTING // 4 + TIMELOCK + 100
    upgrade = chamber.propose(
        "upgrade.yaml",
        f"title: The next rules\nactions:\n"
        f"  - upgrade: {{release: two, rules: 3, height: {early}, lock-digest: {lock_digest().hex()}}}\n",
    )
    chamber.wait_until_it_takes_effect(fee)
    assert "fees.fee_per_byte_nopen is 500 nopen" in chamber.run("parameters fees")
    chamber.run("delegate bob --from alice")
    chamber.run("unlock 40OPEN --from alice")
    assert "alice has 60 OPEN locked as gOPEN\n├── bob votes with it" in chamber.run("power alice")
    chamber.wait_until_it_takes_effect(upgrade)
    assert "took effect at height" in chamber.run("list")
    assert net.height() < early - 1, "the machine was too slow for this test's heights"

    assert f"from height {early} on, version 3 holds: this program stops there" in chamber.run("upgrade")

    # One operator installs the next release early, which changes nothing.
    net.nodes[3].stop()
    net.nodes[3].module = "tests.kit.integration.next_program"
    net.nodes[3].start()
    for node in net.nodes[:3]:
        assert node.wait(60.0) == EXIT_HALTED
        line = f"install release two, lock digest {lock_digest().hex()}, which takes over at {early}"
        assert line in (node.home.log_folder / "console.log").read_text()
        node.start()
        assert node.wait(60.0) == 1, "a program that cannot go on refuses to start"
    assert net.nodes[3].running
    for node in net.nodes[:3]:
        node.module = "tests.kit.integration.next_program"
        node.start()
    net.wait_for_height(early + 3, 60.0)
    headers = [net.nodes[0].call("block", height=str(height))["block"]["header"] for height in (early - 1, early)]
    assert [header["version"].get("app") for header in headers] == ["2", "3"]
    assert len({node.app_hash_at(early + 2) for node in net.nodes}) == 1
