"""The commands `train` and `record`, on a tiny model and a chain in a dictionary."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from abci_app.types import PPB
from openledger.cli.main import main
from openledger.cli.record import divide
from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from openledger.manifest import get_manifest
from tests.trainer.tiny import RECIPE, TinyChain, tiny_chain, tiny_model
from trainer.record import ParentRecord, RunRecord
from trainer.workflow import LicenceVerdict

pytestmark = pytest.mark.ml


@dataclass
class Published:
    entry: str
    height: int


class FakeLedger:
    """What the commands see of the chain."""

    def __init__(self, chain: TinyChain) -> None:
        self.chain = chain
        self.records: list[RunRecord] = []
        self.verdict = LicenceVerdict(("terms: compatible",), conflict=False)
        self.datanet_version = chain.datanet_version
        self.entry = chain.entry

    def licence_verdict(self, kind: str, parents: object, inputs: object) -> LicenceVerdict:
        return self.verdict

    def publish(self, record: RunRecord) -> Published:
        self.records.append(record)
        self.chain.add_entry("published", record.entry)
        return Published("published", 7)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    fake = FakeLedger(tiny_chain(tmp_path))

    @contextmanager
    def open_fake(args: argparse.Namespace) -> Iterator[FakeLedger]:
        yield fake

    monkeypatch.setattr("openledger.cli.train.open_ledger", open_fake)
    return fake


def test_train_checks_trains_records_and_sums_up(ledger: FakeLedger, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "recipe.yaml", "--from", "alice", "--content", "content", "--output", "json"]
    assert main(words) == ExitCode.OK
    (record,) = ledger.records
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert (summary["entry"], summary["height"], summary["model"]) == ("published", 7, "tiny")
    assert summary["tensors"] == record.entry.tensor_digest.hex()
    assert summary["held_out_loss"].endswith("6 rows)")
    assert "facts version 1: 75 % of the mix, 40 rows" in printed.err
    assert "terms: compatible" in printed.err
    assert "step 6/6 [########################]" in printed.err
    assert Path("tiny-run-adapter/adapter_model.safetensors").is_file()


def test_check_and_a_licence_conflict_train_nothing(ledger: FakeLedger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "recipe.yaml", "--check", "--content", "content"]) == ExitCode.OK
    ledger.verdict = LicenceVerdict(("conflict: facts and questions",), conflict=True)
    assert main(["train", "recipe.yaml", "--from", "alice", "--content", "content"]) == ExitCode.REFUSED
    assert "conflict: facts and questions" in capsys.readouterr().err
    assert ledger.records == []
    assert not Path("tiny-run-adapter").exists()


def test_local_trains_without_recording(ledger: FakeLedger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "recipe.yaml", "--local", "--content", "content", "--output", "json"]) == ExitCode.OK
    root = bytes.fromhex(json.loads(capsys.readouterr().out)["manifest_root"])
    assert get_manifest(ledger.chain.store, root).json("about")["kind"] == "lora"
    assert ledger.records == []


def test_verify_retrains_and_grades(ledger: FakeLedger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "recipe.yaml", "--from", "alice", "--content", "content"]) == ExitCode.OK
    capsys.readouterr()
    words = ["train", "--verify", "published", "--content", "content", "--output", "json"]
    assert main(words) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {
        "grade": "bit-exact",
        "findings": ["output files and tensors are equal byte for byte"],
    }
    known = ledger.chain.entries["published"]
    forged = replace(known.record, tensor_digest=bytes(32), artefact_digest=bytes(32))
    ledger.chain.entries["published"] = replace(known, record=forged)
    assert main(words) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["grade"] == "trace match"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["recipe.yaml"], ExitCode.USAGE, "which key records the run? pass --from KEY, or --local"),
        (["absent.yaml", "--check"], ExitCode.USAGE, "absent.yaml: no such file; give the path of a recipe"),
        (["recipe.yaml", "--check", "--content", "elsewhere"], ExitCode.NOT_FOUND, "is not in the store"),
    ],
)
def test_mistakes_give_one_line(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str], words: list[str], code: ExitCode, text: str
) -> None:
    assert main(["train", *words]) == code
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_record_takes_a_run_of_any_framework(ledger: FakeLedger, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "record", "--model", "mine", "--kind", "lora", "--files", str(tiny_model()), "--recipe", "recipe.yaml",
        "--framework", "axolotl 0.9", "--parent", "base", "--input", "facts@1:25%", "--input", "questions@1",
        "--step", "removed addresses", "--started", "100", "--finished", "200", "--environment", "eight GPUs",
        "--from", "alice", "--content", "content", "--output", "json",
    ]  # fmt: skip
    assert main(words) == ExitCode.OK
    (record,) = ledger.records
    assert json.loads(capsys.readouterr().out)["manifest_root"] == record.entry.manifest_root.hex()
    assert record.entry.parents == (ParentRecord(ledger.chain.entries["base"].entry_id, "base", PPB),)
    assert [(item.version, item.weight_ppb) for item in record.entry.inputs] == [(1, PPB // 4), (1, PPB // 4 * 3)]
    assert [item.rows_used for item in record.entry.inputs] == [0, 0]
    assert (record.event.started_seconds, record.event.finished_seconds, record.event.environment) == (
        100, 200, "eight GPUs",
    )  # fmt: skip
    assert record.manifest.inputs[0]["declared_steps"] == ["removed addresses"]
    assert main([*words[:1], *words[1:], "--input", "facts"]) == ExitCode.USAGE
    assert "write DATANET@VERSION" in capsys.readouterr().err


def test_shares_that_are_left_out_divide_the_rest() -> None:
    assert divide([], "--input") == []
    assert divide([""], "--input") == [PPB]
    assert divide(["60%", "", ""], "--input") == [600_000_000, 200_000_000, 200_000_000]
    assert divide(["", "", ""], "--input") == [333_333_334, 333_333_333, 333_333_333]
    for wrong in (["60%", "50%"], ["60%"], ["60%", "60%", ""]):
        with pytest.raises(UsageError, match="shares of --input sum to"):
            divide(wrong, "--input")
