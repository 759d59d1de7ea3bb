"""Train, record, repeat against a real node, through the command: what it says is proven by signed headers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.chain.genesis import GenesisState
from abci_app.modules.models.queries import EntryEventsQuery, EntryQuery
from abci_app.modules.models.records import Grade
from abci_app.types import PPB
from node import cometbft
from node.devnet import Devnet
from openledger.client.client import Client
from openledger.content.artefact import describe_artefact
from openledger.content.store import ContentStore
from openledger.exit_codes import ExitCode
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet
from openledger_cli.main import main
from tests.kit.trainer.on_chain import fill_chain, publish_base
from tests.kit.trainer.tiny import RECIPE
from trainer.publish import ClientLedger

pytestmark = [pytest.mark.integration, pytest.mark.ml]

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

    def document(self, *words: str) -> dict[str, Any]:
        """Run a command with JSON output, and give the document."""
        document: dict[str, Any] = json.loads(self.run(*words, "--output", "json"))
        if "height" in document:
            self.net.wait_for_height(int(document["height"]) + 2)
        return document

    def recipe(self, name: str, *replacements: tuple[str, str]) -> str:
        """A recipe file."""
        text = RECIPE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        (self.folder / name).write_text(text)
        return str(self.folder / name)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Office]:
    state = GenesisState(balances=tuple([(encode_id("open", one.address), 1_000 * OPEN) for one in (ALICE, BOB)]))
    wallet = Wallet.open(tmp_path / "home", "test", "dev-1")
    wallet.import_seed("alice", bytes([1]) * 32)
    wallet.import_seed("bob", bytes([2]) * 32)
    with Devnet.create(tmp_path / "net", app_state=state, comet=QUICK) as net, Client(net.nodes[0].rpc_url) as client:
        settings = {
            "OPENLEDGER_HOME": tmp_path / "home", "OPENLEDGER_KEYS": "test", "OPENLEDGER_WITNESSES": "none",
            "OPENLEDGER_NODE": net.nodes[0].rpc_url, "OPENLEDGER_GENESIS": net.nodes[0].home.genesis_file,
            "OPENLEDGER_CONTENT": tmp_path / "content", "XDG_CACHE_HOME": tmp_path / "cache",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.chdir(tmp_path)
        store = ContentStore.open(None)
        fill_chain(client, ALICE, BOB, store)
        base = publish_base(ClientLedger(client, ALICE, prove=False), store)
        net.wait_for_height(base.height + 2)
        yield Office(net, client, tmp_path, capsys)


def test_two_fine_tunes_are_trained_recorded_repeated_and_told_in_words(office: Office) -> None:
    recipe = office.recipe("first.yaml")
    assert office.run("train", recipe, "--check") == ""
    first = office.document("train", recipe, "--from", "alice", "--folder", "first")
    assert first["tensors"] == describe_artefact(office.folder / "first").tensor_digest.hex()
    again = office.recipe("second.yaml", ("{base: base}", f"{{base: base, adapter: {first['entry']}}}"))
    second = office.document("train", again, "--from", "alice", "--folder", "second")
    assert (first["model"], second["model"]) == ("tiny", "tiny")

    repeated = office.document("train", "--verify", "tiny", "--from", "bob")
    assert (repeated["grade"], repeated["findings"]) == (
        "bit-exact",
        [
            "output files and tensors are equal byte for byte",
            "measurements taken again on the recorded tensors: 3 hold",
        ],
    )  # fmt: skip
    events = EntryEventsQuery(_entry_id(office, "tiny"), 0, 10)
    (known,) = office.client.query("models", "reproductions", events, prove=False).value.reproductions
    assert (known.reproduction.reproducer, known.reproduction.grade) == (BOB.address, Grade.BIT_EXACT)

    told = office.run("query", "lineage", "tiny")
    for words in (
        "filter: keep rows whose completion has at least 10 characters (40 left)",
        "prepare: build prompt '{question} ' and completion '{answer}' from the row's fields",
        "split: 20 % held out by hash of the text under 'held-out'",
        "reproduced: bit exact",
    ):
        assert words in told


def test_a_run_of_another_framework_is_recorded_with_what_it_was_made_from(office: Office) -> None:
    office.document("train", office.recipe("first.yaml"), "--from", "alice", "--folder", "first")
    (office.folder / "merged").mkdir()
    (office.folder / "merged" / "weights.npz").write_bytes(b"weights")
    recorded = office.document(
        "record", "--model", "merged", "--kind", "merge", "--files", "merged", "--recipe", "first.yaml",
        "--framework", "mergekit 0.1", "--parent", "base:left:60%", "--parent", "tiny@1:right", "--input", "facts@1",
        "--step", "rows with numbers removed", "--from", "bob",
    )  # fmt: skip
    entry_id = _entry_id(office, recorded["entry"])
    entry = office.client.query("models", "entry", EntryQuery(entry_id), prove=False).value.stored.entry
    assert [(item.role, item.share_ppb) for item in entry.parents] == [
        ("left", PPB * 6 // 10),
        ("right", PPB * 4 // 10),
    ]
    assert [(item.version, item.weight_ppb) for item in entry.inputs] == [(1, PPB)]
    assert "declared by the recorder: rows with numbers removed" in office.run("query", "lineage", "merged")
    said = office.run("train", "--verify", recorded["entry"], expect=ExitCode.USAGE)
    assert "recorded from mergekit 0.1; its recipe cannot run here" in said


def test_a_changed_row_stops_training_before_anything_is_recorded(office: Office) -> None:
    version = ClientLedger(office.client, prove=False).datanet_version("facts", 1)
    path = Path(ContentStore.open(None).path_of(version.contributions[0].commitment.content_digest))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"chain", b"chaim", 1))
    said = office.run("train", office.recipe("first.yaml"), "--from", "alice", expect=ExitCode.NOT_VERIFIED)
    assert "was changed after it was registered" in said
    assert said.count("\n") <= 2
    assert "there is no model named 'tiny'" in office.run("query", "lineage", "tiny", expect=ExitCode.NOT_FOUND)


def _entry_id(office: Office, reference: str) -> bytes:
    return ClientLedger(office.client, prove=False).entry(reference).entry_id
