"""The command `train`, on a tiny model and a chain in a dictionary."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from openledger.content.artefact import describe_artefact
from openledger.data.manifest import Manifest, get_manifest, put_manifest, to_json
from openledger.data.ownership import find_owner
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from openledger_cli.train.progress import RunWatch
from tests.kit.openledger.fake_ledger import FakeLedger, use_fake_ledger
from tests.kit.trainer.tiny import RECIPE
from trainer.verify import RunGrade
from trainer.watch import StepFacts
from trainer.workflow import LicenceVerdict

pytestmark = pytest.mark.ml
LEFT_OPEN = [
    "times, machine and environment of the recorded run, which are declared",
    "measurements of the model that training started from, which stand at that model's entry",
]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    return use_fake_ledger(tmp_path, monkeypatch)


def test_train_checks_trains_records_and_sums_up(ledger: FakeLedger, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "recipe.yaml", "--from", "alice", "--content", "content", "--output", "json"]
    assert main(words) == ExitCode.OK
    (record,) = ledger.records
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert (summary["entry"], summary["height"], summary["model"]) == ("published", 7, "tiny")
    assert "claimed_height" not in summary
    assert find_owner(record.manifest) == ledger.signer_address
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


def test_who_interrupts_a_run_hears_how_to_go_on(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.workflow.build_indexes", interrupt)
    words = ["train", "recipe.yaml", "--from", "alice", "--content", "content"]
    assert main(words) == ExitCode.INTERRUPTED
    assert (
        "the same command goes on from step 6: openledger train recipe.yaml --from alice --content content\nstopped"
        in capsys.readouterr().err
    )
    assert ledger.records == []


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
        "attribution": "none",
        "findings": ["output files and tensors are equal byte for byte"],
        "contradictions": [],
        "not_checked": LEFT_OPEN,
    }
    known = ledger.chain.entries["published"]
    forged = replace(known.record, tensor_digest=bytes(32), artefact_digest=bytes(32))
    ledger.chain.entries["published"] = replace(known, record=forged)
    assert main(words) == ExitCode.NOT_VERIFIED
    assert "lists other files than the entry records" in capsys.readouterr().err


def test_a_run_that_could_not_be_recorded_is_not_trained_again(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "recipe.yaml", "--from", "alice", "--content", "content"]
    ledger.refusal = "no money"
    assert main(words) == ExitCode.USAGE
    assert "step 6/6" in capsys.readouterr().err
    ledger.refusal = ""
    assert main(words) == ExitCode.OK
    assert "step" not in capsys.readouterr().err.replace("steps", "")
    (record,) = ledger.records
    assert record.entry.tensor_digest == describe_artefact(Path("tiny-run-adapter")).tensor_digest
    # Recorded, so forgotten: its folder is somebody's, and only another one can be trained into.
    assert main(words) == ExitCode.USAGE
    assert capsys.readouterr().err == (
        "error: tiny-run-adapter holds the output of a run that is recorded as published: name another folder with "
        "--folder DIR, or put this one aside: mv tiny-run-adapter tiny-run-adapter.old\n"
    )
    assert main([*words, "--folder", "again"]) == ExitCode.OK
    assert "step 6/6" in capsys.readouterr().err
    assert ledger.records[1].entry == record.entry


@pytest.mark.parametrize("way", [["--check"], ["--from", "alice"]])
def test_a_folder_with_somebodys_files_is_refused_before_the_chain_is_asked(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, way: list[str]
) -> None:
    Path("tiny-run-adapter").mkdir()
    Path("tiny-run-adapter/thesis.txt").write_text("years of work")
    monkeypatch.setattr("openledger_cli.train.commands.open_ledger", None)
    assert main(["train", "recipe.yaml", *way, "--content", "content"]) == ExitCode.USAGE
    assert capsys.readouterr().err == (
        "error: tiny-run-adapter is not empty, and no run of this machine has left there what it holds: name another "
        "folder with --folder DIR, or put this one aside: mv tiny-run-adapter tiny-run-adapter.old\n"
    )


def test_who_changes_a_recipe_after_a_run_that_was_not_recorded_hears_how_to_record_that_one(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "recipe.yaml", "--from", "alice", "--content", "content"]
    ledger.refusal = "no money"
    assert main(words) == ExitCode.USAGE
    ledger.refusal = ""
    Path("recipe.yaml").write_text(RECIPE.replace("seed: 3", "seed: 4"))
    said = ""
    for way in (words, ["train", "recipe.yaml", "--check", "--content", "content"]):
        capsys.readouterr()
        assert main(way) == ExitCode.USAGE
        said = capsys.readouterr().err
        assert "tiny-run-adapter holds the output of another run, which is not recorded yet" in said
        assert "for this one name another folder with --folder DIR" in said
    command = said.partition("without training again: openledger ")[2].partition(" --from KEY")[0].split()
    assert main([*command, "--from", "alice", "--content", "content"]) == ExitCode.OK
    assert "step" not in capsys.readouterr().err.replace("steps", "")
    (record,) = ledger.records
    assert record.entry.tensor_digest == describe_artefact(Path("tiny-run-adapter")).tensor_digest
    assert json.loads(record.manifest.parts["recipe"])["train"]["seed"] == 3


def test_a_run_with_local_is_recorded_later_without_training_again(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "recipe.yaml", "--content", "content"]
    assert main([*words, "--local"]) == ExitCode.OK
    said = capsys.readouterr().err
    assert "nothing is recorded; the same command with --from KEY for --local does it, without training again" in said
    assert main([*words, "--from", "alice"]) == ExitCode.OK
    said = capsys.readouterr().err
    assert "step" not in said.replace("steps", "")
    assert said.endswith("next: openledger model show tiny\n")
    (record,) = ledger.records
    assert record.entry.tensor_digest == describe_artefact(Path("tiny-run-adapter")).tensor_digest


def test_somebody_elses_model_is_refused_before_training(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.yaml").write_text(RECIPE.replace("model: tiny", "model: taken"))
    assert main(["train", "other.yaml", "--from", "alice", "--content", "content"]) == ExitCode.USAGE
    assert capsys.readouterr().err == "error: model 'taken' belongs to somebody else\n"


def test_a_repetition_is_recorded_when_a_key_is_named_and_keeps_its_adapter_when_a_folder_is(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "recipe.yaml", "--from", "alice", "--content", "content"]) == ExitCode.OK
    capsys.readouterr()
    words = ["train", "--verify", "published", "--from", "bob", "--folder", "again", "--content", "content"]
    assert main([*words, "--output", "json"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert json.loads(printed.out)["height"] == 9
    known = ledger.chain.entries["published"]
    assert ledger.repetitions == [(known.entry_id, RunGrade.BIT_EXACT, known.record.tensor_digest)]
    assert describe_artefact(Path("again")).tensor_digest == known.record.tensor_digest
    assert "training 6 steps again" in printed.err


def test_a_record_that_contradicts_itself_has_its_own_exit_code_and_gets_no_grade(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "recipe.yaml", "--from", "alice", "--content", "content"]) == ExitCode.OK
    known = ledger.chain.entries["published"]
    manifest = get_manifest(ledger.chain.store, known.record.manifest_root)
    losses = [loss + 100_000 for loss in manifest.json("loss-trace")["losses"]]
    told = Manifest({**manifest.parts, "loss-trace": to_json({"unit": "micronats", "losses": losses})})
    lied = replace(known.record, manifest_root=put_manifest(ledger.chain.store, told))
    ledger.chain.entries["published"] = replace(known, record=lied)
    capsys.readouterr()
    words = ["train", "--verify", "published", "--content", "content", "--output", "json"]
    assert main(words) == ExitCode.NOT_VERIFIED
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "grade": "bit-exact",
        "attribution": "none",
        "findings": ["output files and tensors are equal byte for byte"],
        "contradictions": [
            (
                "the recorded losses are not those of this run: largest difference of a step's loss: 100000 micronats, "
                "allowed 5000"
            )
        ],
        "not_checked": LEFT_OPEN,
    }
    assert main([*words, "--from", "bob"]) == ExitCode.NOT_VERIFIED
    assert "nothing is recorded, because the record contradicts itself" in capsys.readouterr().err
    assert ledger.repetitions == []


def test_a_bit_exact_adapter_with_another_index_is_a_failed_verification_and_is_not_recorded(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("recipe.yaml").write_text(RECIPE + "attribution: {}\n")
    assert main(["train", "recipe.yaml", "--from", "alice", "--content", "content"]) == ExitCode.OK
    known = ledger.chain.entries["published"]
    capsys.readouterr()
    words = ["train", "--verify", "published", "--from", "bob", "--content", "content", "--output", "json"]
    assert main(words) == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["grade"], said["attribution"], said["height"]) == ("bit-exact", "equal", 9)
    assert said["findings"][-1] == "attribution built again (lga-1, tsa-1): the commitment root is equal"

    ledger.chain.entries["published"] = replace(known, record=replace(known.record, attribution_root=b"\7" * 32))
    assert main(words) == ExitCode.NOT_VERIFIED
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert (said["grade"], said["attribution"]) == ("bit-exact", "differs")
    assert "attribution differs: the entry commits to root 0707070707070707" in said["findings"][-1]
    assert "height" not in said
    assert "nothing is recorded, because the attribution differs" in printed.err
    assert len(ledger.repetitions) == 1

    assert main([*words, "--without-attribution"]) == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["grade"], said["attribution"], said["height"]) == ("bit-exact", "not compared", 9)


def test_an_interrupted_run_goes_on_with_the_same_command(
    ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "recipe.yaml", "--from", "alice", "--content", "content"]
    assert main([*words, "--folder", "whole"]) == ExitCode.OK

    def stop(self: RunWatch, facts: StepFacts) -> None:
        if facts.step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunWatch, "step", stop)
        assert main([*words, "--folder", "part"]) == ExitCode.INTERRUPTED
    assert len(ledger.records) == 1
    capsys.readouterr()
    assert main([*words, "--folder", "part"]) == ExitCode.OK
    assert "step 1/6" not in capsys.readouterr().err
    assert ledger.records[1].entry == ledger.records[0].entry
    assert describe_artefact(Path("part")) == describe_artefact(Path("whole"))


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--verify", "x", "--check"], ExitCode.USAGE, "--check and --local go with a recipe"),
        (["recipe.yaml", "--without-attribution"], ExitCode.USAGE, "--without-attribution goes with --verify"),
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
    assert error.count("\n") == (3 if "2 things are wrong" in error else 1)
