"""A model and its data on a real chain, taken elsewhere in every form and verified there without a node."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openledger.exit_codes import ExitCode
from openledger.exports import ENDINGS, MODEL_FORMS
from tests.kit.integration.office import Office, open_office
from tests.kit.trainer.tiny import tiny_model

_RECORD = "record --model gardener --kind full tiny-llama --recipe train.toml --framework mine"
pytestmark = [pytest.mark.integration, pytest.mark.ml]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Office]:
    with open_office(tmp_path, monkeypatch, capsys) as made:
        shutil.copytree(tiny_model(), tmp_path / "tiny-llama")
        (tmp_path / "train.toml").write_text("steps = 3\n")
        rows = [json.dumps({"text": f"row {number} of a garden"}) for number in range(4)]
        (tmp_path / "rows.jsonl").write_text("\n".join(rows))
        yield made


def test_every_form_is_exported_and_verified_where_there_is_no_node(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in (
        "model add tiny-llama tiny-llama --terms apache-2.0 --from alice",
        "data new garden --terms CC-BY-4.0 --from alice",
        "data add garden rows.jsonl --from bob",
        "data review garden --accept 1 --from alice",
        "data freeze garden --from alice",
        f"{_RECORD} --parent tiny-llama --input garden@1 --from alice",
    ):
        office.run(*line.split())
    _write_keys(office.folder)
    exported = [f"gardener-1{ENDINGS[form]}" for form in MODEL_FORMS if form != "oms"]
    for form in MODEL_FORMS:
        signed = ["--key", "key.pem", "--to", "gardener.sig"] if form == "oms" else []
        said = office.told("export", "gardener@1", "--form", form, *signed)
        assert "unknown: tiny-llama@1: it came from outside" in said
    office.run("export", "garden", "--form", "croissant")
    exported += ["gardener.sig", "garden-1.croissant.json"]

    from model_signing import verifying

    config: Any = verifying.Config
    config().use_elliptic_key_verifier(public_key=office.folder / "key.pub").verify(
        office.folder / "tiny-llama", office.folder / "gardener.sig"
    )
    elsewhere = office.folder / "elsewhere"
    elsewhere.mkdir()
    for name in exported:
        for path in (name, f"{name}.bundle.json"):
            shutil.copy(path, elsewhere)
    shutil.copy(office.net.nodes[0].home.genesis_file, elsewhere / "genesis.json")
    monkeypatch.setenv("OPENLEDGER_NODE", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENLEDGER_HOME", str(elsewhere / "home"))
    monkeypatch.delenv("OPENLEDGER_GENESIS")
    monkeypatch.chdir(elsewhere)
    for name in exported:
        assert "what its proof proves" in office.run("verify", name, "--genesis", "genesis.json"), name
    card = Path("gardener-1.model-card.md")
    assert 'license: "other"' in card.read_text()
    card.write_text(card.read_text().replace("| 4 |", "| 5 |"))
    code = ExitCode.NOT_VERIFIED
    assert "do not rely on it" in office.told("verify", card.name, "--genesis", "genesis.json", expect=code)


def _write_keys(folder: Path) -> None:
    """A key of the user's own for model signing."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    encoding = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "key.pub").write_bytes(
        key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
