"""The command `record`: runs of any framework, from files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from abci_app.bech32 import encode_id
from abci_app.errors import Code
from abci_app.hashing import list_root
from abci_app.types import PPB
from openledger.data.ownership import find_owner
from openledger.errors import Denied, UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from openledger_cli.record.declared import divide
from openledger_cli.record.one_run import is_recorded
from tests.kit.openledger.fake_ledger import FakeLedger, use_fake_ledger
from tests.kit.trainer.adapters import made_adapter
from tests.kit.trainer.tiny import tiny_model
from trainer.claiming import Claim
from trainer.dataset import load_rows
from trainer.run_records import ParentRecord

if TYPE_CHECKING:
    from trainer.publish import ClientLedger

pytestmark = pytest.mark.ml


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    return use_fake_ledger(tmp_path, monkeypatch)


def test_record_takes_a_run_of_any_framework(ledger: FakeLedger, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "record", "--model", "mine", "--kind", "lora", str(made_adapter(Path("adapter"))),
        "--recipe", "recipe.yaml",
        "--framework", "axolotl 0.9", "--parent", "base", "--input", "facts@1:25%", "--input", "questions@1",
        "--step", "removed addresses", "--started", "100", "--finished", "200", "--environment", "eight GPUs",
        "--from", "alice", "--content", "content", "--output", "json",
    ]  # fmt: skip
    assert main(words) == ExitCode.OK
    (record,) = ledger.records
    shown = json.loads(capsys.readouterr().out)
    assert (shown["manifest_root"], "claimed_height" in shown) == (record.entry.manifest_root.hex(), False)
    assert find_owner(record.manifest) == ledger.signer_address
    assert record.entry.parents == (ParentRecord(ledger.chain.entries["base"].entry_id, "base", PPB),)
    assert [(item.version, item.weight_ppb) for item in record.entry.inputs] == [(1, PPB // 4), (1, PPB // 4 * 3)]
    assert [(item.rows_used, item.rows_used_root) for item in record.entry.inputs] == [(0, b""), (0, b"")]
    assert (record.event.started_seconds, record.event.finished_seconds, record.event.environment) == (
        100, 200, "eight GPUs",
    )  # fmt: skip
    assert record.manifest.inputs[0]["declared_steps"] == ["removed addresses"]
    assert main([*words, "--input", "facts"]) == ExitCode.USAGE
    assert "write DATANET@VERSION" in capsys.readouterr().err


def test_record_says_when_it_had_to_claim_what_somebody_else_recorded_first(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.needed_claim = Claim(9, b"\6" * 32)
    words = [
        "record", "--model", "mine", "--kind", "full", str(tiny_model()), "--recipe", "recipe.yaml",
        "--framework", "axolotl", "--parent", "base", "--input", "questions@1",
        "--from", "alice", "--content", "content",
    ]  # fmt: skip
    assert main([*words, "--output", "json"]) == ExitCode.OK
    said = capsys.readouterr()
    first = encode_id("open", b"\6" * 32)
    assert [json.loads(said.out)[name] for name in ("recorded_first_by", "claimed_height")] == [first, 9]
    assert (
        f"{first} had recorded this run first; its manifest names you as its owner, so you claimed it: it is yours "
        "since height 9\n"
    ) in said.err


def test_a_run_that_is_recorded_already_is_named_and_recorded_again_only_when_asked(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.remembers = True
    words = [
        "record", "--model", "mine", "--kind", "full", str(tiny_model()), "--recipe", "recipe.yaml",
        "--framework", "axolotl", "--parent", "base", "--input", "questions@1",
        "--from", "alice", "--content", "content",
    ]  # fmt: skip
    assert main(words) == ExitCode.OK
    assert capsys.readouterr().err.endswith("next: openledger query lineage mine\n")
    # Described otherwise it is another entry, and still the same run.
    for again in (words, [*words, "--step", "removed addresses"]):
        assert main([*again, "--output", "json"]) == ExitCode.OK
        said = capsys.readouterr()
        shown = json.loads(said.out)
        assert (shown["model"], shown["recorded"]) == ("mine@1", "before")
        assert f"this run is recorded already, as mine@1, {shown['entry']}: nothing was recorded now" in said.err
    # The command that recorded it ended before it could claim what somebody else had recorded first.
    ledger.needed_claim = Claim(9, b"\6" * 32)
    assert main([*words, "--output", "json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["claimed_height"] == 9
    assert len(ledger.records) == 1
    assert main([*words, "--again"]) == ExitCode.OK
    assert len(ledger.records) == 2


def test_record_with_all_rows_names_the_rows_of_every_version(ledger: FakeLedger) -> None:
    words = [
        "record", "--model", "mine", "--kind", "full", str(tiny_model()), "--recipe", "recipe.yaml",
        "--framework", "axolotl", "--parent", "base", "--input", "facts@1:25%", "--input", "questions@1", "--all-rows",
        "--from", "alice", "--content", "content",
    ]  # fmt: skip
    assert main(words) == ExitCode.OK
    (record,) = ledger.records
    leaves = [row.leaf for row in load_rows(ledger.chain.store, ledger.chain.versions["facts", 1])]
    assert [item.rows_used for item in record.entry.inputs] == [40, 20]
    assert record.entry.inputs[0].rows_used_root == list_root("rows-used", leaves)


def test_record_says_what_is_undeclared_only_when_it_is_told_to(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["record", "--model", "mine", "--kind", "full", str(tiny_model()), "--recipe", "recipe.yaml",
             "--framework", "axolotl", "--parent", "base", "--from", "alice", "--content", "content"]  # fmt: skip
    assert main(words) == ExitCode.USAGE
    assert "a full needs an input" in capsys.readouterr().err
    assert main([*words, "--undeclared", "inputs"]) == ExitCode.USAGE
    assert "needs the terms under which those were received" in capsys.readouterr().err
    assert main([*words, "--undeclared", "some"]) == ExitCode.USAGE
    assert "'some' is not one of nothing, parents, inputs, parents-and-inputs" in capsys.readouterr().err
    assert main([*words, "--undeclared", "parents", "--terms", "cc"]) == ExitCode.USAGE
    assert (
        "--parent: give every one its share, and leave a part for those that are undeclared" in capsys.readouterr().err
    )
    assert main([*words, "--undeclared", "inputs", "--terms", "cc"]) == ExitCode.OK
    (record,) = ledger.records
    assert (record.entry.inputs, record.entry.undeclared, record.entry.terms_id) == ((), "inputs", b"\7" * 32)


def test_record_takes_an_import_with_its_terms_and_any_files(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("gguf").mkdir()
    Path("gguf/weights.npz").write_bytes(b"weights")
    words = ["record", "--model", "llama", "--kind", "import", "gguf", "--recipe", "recipe.yaml",
             "--framework", "llama.cpp", "--terms", "cc", "--from", "alice", "--content", "content"]  # fmt: skip
    assert main(words) == ExitCode.OK
    (record,) = ledger.records
    assert (record.entry.kind, record.entry.terms_id, record.entry.format) == ("import", b"\7" * 32, "files")
    assert (record.entry.parents, record.entry.inputs) == ((), ())
    file_seconds = int(Path("gguf/weights.npz").stat().st_mtime)
    recipe_seconds = int(Path("recipe.yaml").stat().st_mtime)
    assert (record.event.started_seconds, record.event.finished_seconds) == (recipe_seconds, file_seconds)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"": "absent"}, "absent is no folder and no configuration (.yaml): name the folder with the result"),
        ({"--recipe": "absent.toml"}, "absent.toml cannot be read: No such file or directory"),
        ({"--kind": "magic"}, "kind of run 'magic' is unknown; use one of pretrain, lora"),
        ({"--model": "My Model"}, "model name 'My Model': write lower-case letters, digits"),
        ({"--parent": "base:The Teacher"}, "role 'The Teacher': write lower-case letters"),
        ({"--started": "900", "--finished": "100"}, "the run started at 900 and finished at 100: pass --started"),
        ({"--finished": "99999999999"}, "pass --started and --finished"),
        ({"--parent": "base:base:30%"}, "the shares of --parent sum to 300000000 parts per billion; they must sum"),
        ({"--input": "facts@one"}, "--input facts@one: write DATANET@VERSION, for example oldata1...@3"),
        ({"": "empty"}, "empty holds 0 files; an artefact has 1 to"),
    ],
)
def test_mistakes_in_a_record_give_one_line(
    ledger: FakeLedger, capsys: pytest.CaptureFixture[str], changes: dict[str, str], text: str
) -> None:
    Path("empty").mkdir()
    options = {
        "--model": "mine", "--kind": "full", "": str(tiny_model()), "--recipe": "recipe.yaml",
        "--framework": "axolotl", "--from": "alice", "--content": "content", **changes,
    }  # fmt: skip
    assert main(["record", *[word for pair in options.items() for word in pair if word]]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
    assert ledger.records == []


def test_shares_that_are_left_out_divide_the_rest() -> None:
    assert divide([], "--input") == []
    assert divide([""], "--input") == [PPB]
    assert divide(["60%", "", ""], "--input") == [600_000_000, 200_000_000, 200_000_000]
    assert divide(["", "", ""], "--input") == [333_333_334, 333_333_333, 333_333_333]
    for wrong in (["60%", "50%"], ["60%"], ["60%", "60%", ""]):
        with pytest.raises(UsageError, match="shares of --input sum to"):
            divide(wrong, "--input")


def test_a_tag_of_another_chain_with_the_same_id_does_not_count() -> None:
    class Ledger:
        chain_id = "dev-1"

        def entry(self, reference: str) -> str:
            if reference != "here":
                raise Denied(Code.NOT_FOUND, "", "no such entry", "verified", None)
            return reference

    ledger = cast("ClientLedger", Ledger())
    found = [is_recorded(*tag, ledger) for tag in (("here", "dev-1"), ("gone", "dev-1"), ("here", "dev-2"), ("", ""))]
    assert found == [True, False, False, False]
