"""An auditor's way, with docs/verifying.md in hand: a light install, a stranger's chain, online and from a bundle."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from abci_app.chain.genesis import GenesisState
from abci_app.modules.datanets.records import CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.records import CreateModel, RecordRuns, entry_id_of
from node import cometbft
from node.devnet import Devnet
from openledger import Client, Wallet
from openledger.exit_codes import ExitCode
from tests.kit.modules import drafts
from tests.kit.repository import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CHAIN_ID = "dev-audit"
QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "200ms", ("consensus", "timeout_propose"): "500ms"}
# What a light install has not, whatever this test's own environment has.
MISSING = {"torch", "plyvel", "numpy", "transformers", "safetensors", "pyarrow", "peft"}
_LIGHT = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {MISSING!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""
DOCUMENT = (ROOT / "docs" / "verifying.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL) for line in block.splitlines()]


@dataclass
class Audit:
    """A chain of somebody else, and the auditor's empty folder with its genesis document."""

    net: Devnet
    folder: Path

    def python(self, program: str) -> subprocess.CompletedProcess[str]:
        """A program in the light install."""
        return subprocess.run(
            [sys.executable, "-c", _LIGHT + program],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def command(self, line: str) -> subprocess.CompletedProcess[str]:
        """A line of the document, with this chain's node in place of the example's."""
        line = line.replace("https://node.example", self.net.nodes[0].rpc_url)
        line = line.replace("--witness https://other.example", f"--witness {self.net.nodes[1].rpc_url}")
        words = shlex.split(line)
        assert words[0] == "openledger"
        return self.python(f"from openledger_cli.main import main\nsys.exit(main({words[1:]!r}))")


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audit]:
    folder = tmp_path_factory.mktemp("auditor")
    wallet = Wallet.open(tmp_path_factory.mktemp("others"), "test", CHAIN_ID)
    people = {name: wallet.create(name)[0] for name in ("olga", "dana")}
    state = GenesisState(balances=tuple([(info.address, 1_000 * 10**9) for info in people.values()]))
    with Devnet.create(
        tmp_path_factory.mktemp("net") / "net", validators=2, chain_id=CHAIN_ID, app_state=state, comet=QUICK
    ) as net:
        with Client(net.nodes[0].rpc_url, chain_id=CHAIN_ID) as client:
            _tell(client, wallet, net)
        (folder / "genesis.json").write_bytes(net.nodes[0].home.genesis_file.read_bytes())
        yield Audit(net, folder)


def _tell(client: Client, wallet: Wallet, net: Devnet) -> None:
    """A garden of one contribution, a base from outside, and a gardener that was made from both."""
    olga, dana = wallet.signer("olga"), wallet.signer("dana")
    terms = drafts.terms()
    sent = client.send(olga, RegisterTerms(terms), CreateDatanet("garden", "", terms_id_of(terms), (), 1))
    datanet_id = sent.sent.object_id("datanet", 1)
    sent.wait()
    contribution = drafts.contribute(datanet_id, "rows", terms_id=terms_id_of(terms))
    client.send(dana, contribution).wait()
    contribution_id = drafts.contribution_id(contribution, dana.address, b"")
    client.send(
        olga, ReviewContribution(contribution_id, Decision.ACCEPT, 0), CreateVersion(datanet_id, "first")
    ).wait()
    base = drafts.entry("base", kind=EntryKind.IMPORT, terms_id=terms_id_of(terms))
    tuned = drafts.entry("tuned", data=[(datanet_id, 1)], made_from=[entry_id_of(base)])
    models = client.send(olga, CreateModel("tiny", ""), CreateModel("gardener", ""))
    model_ids = [models.sent.object_id("model", number) for number in range(2)]
    models.wait()
    runs = [
        drafts.run_of(entry, model_id=model_id, label="")
        for entry, model_id in zip((base, tuned), model_ids, strict=True)
    ]
    committed = client.send(olga, RecordRuns(tuple(runs))).wait()
    net.wait_for_height(committed.height + 2)


def test_an_auditor_verifies_online_and_offline_with_the_documents_own_words(audit: Audit) -> None:
    first = audit.command("openledger query lineage gardener")
    assert first.returncode == ExitCode.NOT_ANCHORED
    assert "`openledger trust add --node" in first.stderr
    said = {}
    for line in COMMANDS:
        if line.startswith("openledger") and not line.startswith("openledger verify"):
            said[line] = audit.command(line)
            assert said[line].returncode == 0, said[line].stderr
    tree = said["openledger query lineage gardener"]
    assert tree.stdout.startswith("gardener version 1, lora, olrun1")
    assert "verified: state after block" in tree.stderr
    attributes, concurrent, by_hand, offline = PROGRAMS
    shown = audit.python(attributes)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("True True ")
    assert re.fullmatch(r"open1\w+ \d+ \('[^']+',\) \('garden@1',\)", lines[1])
    assert lines[2].startswith("unknown below tiny@1 it came from outside")
    assert lines[3].startswith(("Yes", "Ask", "No"))
    together = audit.python(concurrent)
    assert (together.returncode, together.stderr) == (0, "")
    assert together.stdout.startswith("<Lineage of gardener@1: 2 entries, DataNets garden@1, 1 contributors")
    alone = audit.python(by_hand.replace("http://127.0.0.1:26657", audit.net.nodes[0].rpc_url))
    assert (alone.returncode, alone.stderr) == (0, "")
    audit.net.stop()
    verified = audit.command("openledger verify gardener.json --genesis genesis.json")
    assert verified.returncode == 0
    assert "the complete lineage of olrun1" in verified.stdout
    unplugged = audit.python(offline)
    assert (unplugged.returncode, unplugged.stderr) == (0, "")
    assert unplugged.stdout.startswith("<Lineage of gardener@1: 2 entries")
    assert "verified offline: state after block" in unplugged.stdout
