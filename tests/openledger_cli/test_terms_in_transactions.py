"""Licences by name in transactions: registered with what needs them, also offline, where nothing else has a name."""

import json
from pathlib import Path

import pytest

from abci_app.modules.licences import RegisterTerms, terms_id_of
from abci_app.modules.licences.facts import plain_terms
from openledger.client.transactions import read_draft
from openledger.exit_codes import ExitCode
from openledger.keys.wallet import Wallet
from openledger_cli.main import main

MESSAGE = {"type": "datanets.create_datanet", "name": "garden", "description": "", "reviewers": [], "quorum": 1}


def build(folder: Path, terms: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Build a transaction on a machine without network."""
    Wallet.open(folder / "home", "test", "dev-1").import_seed("olga", bytes([1]) * 32)
    for name, value in {"HOME": folder / "home", "KEYS": "test", "CHAIN_ID": "dev-1"}.items():
        monkeypatch.setenv(f"OPENLEDGER_{name}", str(value))
    (folder / "messages.json").write_text(json.dumps([{**MESSAGE, "default_terms_id": terms}]))
    words = ("--sequence", "0", "--fee-limit", "1OPEN", "--file", str(folder / "draft.json"), "--from", "olga")
    return main(["tx", "build", "--offline", "--messages", str(folder / "messages.json"), *words])


def test_offline_a_licence_is_known_by_its_content_and_registered_to_be_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build(tmp_path, "cc by 4.0", monkeypatch) == ExitCode.OK
    first, second = read_draft(tmp_path / "draft.json").body.messages
    plain = plain_terms("CC-BY-4.0")
    assert first == RegisterTerms(plain)
    assert getattr(second, "default_terms_id", b"") == terms_id_of(plain)


def test_offline_nothing_else_goes_by_name_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path, "garden terms", monkeypatch) == ExitCode.NOT_FOUND
    assert "'garden terms' is neither an id (olterms1...)" in capsys.readouterr().err
