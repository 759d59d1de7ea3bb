"""Mistakes that people make with DataNets, terms and models: one line each, with what to do.

Wrong chain id, stale sequence, no funds, node down and wrong passphrase: test_commands.py. Port in use:
test_node_commands.py.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from abci_app.bech32 import encode_id
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.models.records import Entry
from openledger.client import client as client_module
from openledger.client.rpc import RpcClient
from openledger.documents import to_document
from openledger.exit_codes import ExitCode
from openledger.keys.key_file import Cost
from openledger.keys.wallet import Wallet
from openledger_cli.main import main
from tests.kit.modules import drafts
from tests.kit.modules.ledger import ALICE
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.openledger.story import Story

Run = Callable[..., tuple[int, str, str]]
# Expired long before the story's first block.
TRIAL = drafts.terms(name="Trial", spdx="LicenseRef-trial", expiry_seconds=1_600_000_000)


@pytest.fixture(scope="module")
def story() -> Story:
    story = Story.tell()
    story.ledger.accept(ALICE, RegisterTerms(TRIAL))
    return story


@pytest.fixture
def run(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    node = FakeNode(story.ledger.chain, make_blocks_after=3)
    transport = httpx.MockTransport(node.answer)
    monkeypatch.setattr(client_module, "_rpc", lambda url: RpcClient(url, transport=transport))
    monkeypatch.setenv("OPENLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("OPENLEDGER_PASSPHRASE", "correct horse")
    cheap = Wallet.open(tmp_path, cost=Cost(32, 1, 1))
    cheap.import_seed("alice", hashlib.sha256(b"alice").digest(), "correct horse")

    def run(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def _refused(result: tuple[int, str, str], code: int, *texts: str) -> None:
    """The last line says everything; what stands before it is the transaction's own report."""
    found, _, error = result
    assert found == code, result
    last = error.splitlines()[-1]
    assert last.startswith("error: ")
    for text in texts:
        assert text in last


def test_an_unknown_datanet(run: Run) -> None:
    words = ("tx", "datanets", "create-version", "--from", "alice", "--note", "")
    _refused(
        run(*words, "--datanet-id", "nothing"),
        ExitCode.NOT_FOUND,
        "'nothing' is neither an id (oldata1...)",
        "see `openledger data list`",
    )
    _refused(
        run(*words, "--datanet-id", encode_id("oldata", b"\x01" * 32)),
        ExitCode.NOT_FOUND,
        "there is no DataNet oldata1",
        "datanets code 501",
        "see `openledger data list`",
    )


def test_a_run_on_a_version_that_does_not_exist(run: Run, story: Story, tmp_path: Path) -> None:
    entry = drafts.entry("late", data=((story.datanets["reference"], 9),))
    _refused(_record(run, entry, tmp_path), ExitCode.NOT_FOUND, "has no version 9: see `openledger data list`")


def test_terms_that_have_expired(run: Run, story: Story, tmp_path: Path) -> None:
    entry = drafts.entry("late", data=((story.datanets["reference"], 1),), terms_id=terms_id_of(TRIAL))
    expected = ("the entry's own terms (Trial): terms expired at", "`openledger query verdict` checks a mix")
    _refused(_record(run, entry, tmp_path), ExitCode.REFUSED, *expected)
    path = tmp_path / "entry.json"
    path.write_bytes(msgspec.json.encode(to_document(entry)))
    code, out, _ = run("query", "verdict", "--draft", str(path), "--unverified")
    assert (code, out.splitlines()[0]) == (ExitCode.REFUSED, "CONFLICT under the chain's conservative policy")
    assert "terms expired at" in out
    code, out, _ = run("query", "verdict", "--draft", str(path), "--unverified", "--at", "1")
    assert (code, out.splitlines()[0]) == (ExitCode.OK, "COMPATIBLE under the chain's conservative policy")


def test_terms_that_clash_name_both_parents(run: Run, story: Story, tmp_path: Path) -> None:
    entry = drafts.entry("mix", data=((story.datanets["questions"], 1), (story.datanets["exam"], 1)))
    _refused(_record(run, entry, tmp_path), ExitCode.REFUSED, "questions", "exam", "models code 609")


def test_a_name_that_is_taken(run: Run) -> None:
    words = ("tx", "models", "create-model", "--from", "alice", "--name", "tutor", "--description", "again")
    _refused(run(*words), ExitCode.REFUSED, "a model named 'tutor' exists: choose another name")


def _record(run: Run, entry: Entry, folder: Path) -> tuple[int, str, str]:
    document = [{"type": "models.record_runs", "runs": [to_document(drafts.run_of(entry))]}]
    path = folder / "messages.json"
    path.write_bytes(msgspec.json.encode(document))
    return run("tx", "send", "--from", "alice", "--messages", str(path))
