"""The recorder's journey against a real node: TRL's trainer with one added line, and a finished MLflow run."""

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
from openledger.client.client import Client
from openledger.content.store import ContentStore
from openledger.exit_codes import ExitCode
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet
from openledger_cli.main import main
from tests.kit.trainer.on_chain import fill_chain, publish_base
from tests.kit.trainer.tiny import sentence, tiny_model
from trainer.publish import ClientLedger

# MLflow and TRL call libraries in ways that these call old.
pytestmark = [
    pytest.mark.integration, pytest.mark.ml,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]  # fmt: skip
ALICE, BOB = [Signer.from_seed(bytes([number]) * 32) for number in (1, 2)]
QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "100ms", ("consensus", "timeout_propose"): "500ms"}


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Devnet]:
    """A chain with data and a base, and the settings of somebody who trains."""
    state = GenesisState(balances=tuple([(encode_id("open", one.address), 10**12) for one in (ALICE, BOB)]))
    Wallet.open(tmp_path / "home", "test", "dev-1").import_seed("alice", bytes([1]) * 32)
    with Devnet.create(tmp_path / "net", app_state=state, comet=QUICK) as net, Client(net.nodes[0].rpc_url) as client:
        settings = {
            "OPENLEDGER_HOME": tmp_path / "home", "OPENLEDGER_KEYS": "test", "OPENLEDGER_WITNESSES": "none",
            "OPENLEDGER_NODE": net.nodes[0].rpc_url, "OPENLEDGER_GENESIS": net.nodes[0].home.genesis_file,
            "OPENLEDGER_CONTENT": tmp_path / "content", "XDG_CACHE_HOME": tmp_path / "cache",
            "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "MLFLOW_EXPERIMENT_NAME": "garden",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))
        store = ContentStore.open(tmp_path / "content")
        fill_chain(client, ALICE, BOB, store)
        published = publish_base(ClientLedger(client, ALICE, prove=False), store)
        net.wait_for_height(published.height + 2)
        yield net


def fine_tune(output: Path, *, report_to: str, callbacks: list[Any]) -> None:
    """Four steps of TRL's SFTTrainer on a LoRA adapter."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    settings = SFTConfig(
        output_dir=str(output), max_steps=4, per_device_train_batch_size=2, logging_steps=2, report_to=report_to,
        max_length=64, use_cpu=True, bf16=False, save_steps=4, disable_tqdm=True,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=str(tiny_model()),
        args=settings,
        train_dataset=Dataset.from_list([{"text": sentence(number)} for number in range(8)]),
        peft_config=LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    )
    for callback in callbacks:
        trainer.add_callback(callback)
    trainer.train()
    trainer.save_model()


def test_a_recorder_needs_one_line_while_training_and_one_command_afterwards(
    net: Devnet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer import OpenLedgerCallback

    callback = OpenLedgerCallback("gardener", base="base", data=["facts@1", "questions@1"])
    fine_tune(tmp_path / "one", report_to="none", callbacks=[callback])
    assert (callback.failure, callback.entry.startswith("olrun1")) == (None, True)
    fine_tune(tmp_path / "two", report_to="mlflow", callbacks=[])
    words = [
        "record", "--mlflow-experiment", "garden", "--model", "later", "--base", "base", "--data", "facts@1",
        "--from", "alice", "--output", "json",
    ]  # fmt: skip
    capsys.readouterr()
    assert main(words) == ExitCode.OK, capsys.readouterr().err
    (row,) = json.loads(capsys.readouterr().out)
    assert row["state"] == "recorded"
    net.wait_for_height(net.nodes[0].height() + 2)

    for model, when, inputs in (("gardener", "during the run", 2), ("later", "afterwards", 1)):
        assert main(["query", "lineage", model, "--output", "json"]) == ExitCode.OK
        found = json.loads(capsys.readouterr().out)
        assert found["verified"] is True
        told = json.dumps(found)
        assert (f"recorded {when}" in told, "4 steps" in told) == (True, True)
        stored = [item["stored"]["entry"] for item in found["result"]["entries"]]
        assert [len(entry["inputs"]) for entry in stored if entry["kind"] == "lora"] == [inputs]
