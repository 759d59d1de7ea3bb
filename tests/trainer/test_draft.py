"""Recipes that `--init` writes: they pass the check, and say what the base and the data give."""

import json
from pathlib import Path
from typing import Any

import pytest

from abci_app.modules.datanets import Form
from openledger.data.rows import RowBatch, put_batch
from openledger.data.versions import ContributionRecord, VersionRecord
from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.openledger.fake_ledger import FakeLedger, use_fake_ledger
from tests.kit.trainer.tiny import TinyChain, add_base, byte_base, byte_tokenizer, sentence, tiny_chain
from trainer.check import examine_recipe
from trainer.claiming import Claim
from trainer.draft import draft_recipe
from trainer.pace import time_line, words_of_seconds
from trainer.recipe import parse_recipe
from trainer.workflow import train_recipe

pytestmark = pytest.mark.ml


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyChain:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_chain(tmp_path)


def add_rows(chain: TinyChain, name: str, form: Form, rows: list[dict[str, Any]]) -> None:
    """A version of one contribution of this form."""
    salts = [(len(name) * 100_000 + index).to_bytes(16, "big") for index in range(len(rows))]
    commitment = put_batch(chain.store, RowBatch.from_objects(rows, salts))
    record = ContributionRecord(commitment.content_digest, b"\1" * 32, commitment, form=form)
    version = VersionRecord.of(name.encode().ljust(32, b"."), 1, (record,))
    chain.versions[name, 1] = chain.versions[version.datanet_id.hex(), 1] = version


CHATS: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "user", "content": f"{sentence(number, 5)} {number}?"},
            {"role": "assistant", "content": f"{sentence(number + 3, 6)} {number}."},
        ]
    }
    for number in range(40)
]
INSTRUCTIONS: list[dict[str, Any]] = [
    {"instruction": f"Say {number} in words", "input": "", "output": f"{sentence(number)} {number}"}
    for number in range(40)
]
COMPLETIONS: list[dict[str, Any]] = [
    {"prompt": f"{sentence(number, 4)} ", "completion": f"{sentence(number + 5, 7)} {number}"} for number in range(40)
]
ODD: list[dict[str, Any]] = [
    {"the question": f'{sentence(number, 4)} "{number}"?', "answer": f"{sentence(number + 5, 7)} {number}", "stars": 3}
    for number in range(40)
]
FORMS = {
    "chats": (Form.MESSAGES, CHATS),
    "instructions": (Form.INSTRUCTION, INSTRUCTIONS),
    "completions": (Form.COMPLETION, COMPLETIONS),
    "odd": (Form.OTHER, ODD),
}


@pytest.mark.parametrize("name", list(FORMS))
def test_a_drafted_recipe_passes_the_check_and_trains(chain: TinyChain, tmp_path: Path, name: str) -> None:
    add_rows(chain, name, *FORMS[name])
    add_base(chain, "bytes", byte_base(tmp_path / "base", byte_tokenizer()))
    text = draft_recipe("My Chat", "bytes", [f"{name}@1"], chain, chain.store)
    recipe = parse_recipe(text)
    assert (recipe.name, recipe.output.model, recipe.datasets[0].datanet) == ("my-chat", "my-chat", name)
    assert f"- datanet: {name}@1  # 40 rows: 40 {FORMS[name][0].name.lower()}" in text
    assert "# the base reads 512; half of the rows have at most" in text
    assert text.count("#") > 15
    lines, verdict = examine_recipe(recipe, chain, chain.store)
    assert not verdict.conflict
    assert any(line.startswith("length: 3 epochs are ") for line in lines)
    short = parse_recipe(text.replace("epochs: 3", "steps: 1"))
    assert train_recipe(short, chain, chain.store, tmp_path / "out")[1].entry.kind == "lora"


def test_several_inputs_are_mixed_by_their_rows_and_a_full_fine_tune_has_spans_alone(
    chain: TinyChain, tmp_path: Path
) -> None:
    add_rows(chain, "chats", *FORMS["chats"])
    add_rows(chain, "completions", Form.COMPLETION, COMPLETIONS[:20])
    add_base(chain, "bytes", byte_base(tmp_path / "base", byte_tokenizer(eos_token=None)))
    text = draft_recipe("mix", "bytes", ["chats@1", "completions@1"], chain, chain.store, model="mixed", full=True)
    recipe = parse_recipe(text)
    assert [dataset.weight_ppb for dataset in recipe.datasets] == [666_700_000, 333_300_000]
    assert (recipe.output.model, recipe.method.kind) == ("mixed", "full")
    assert recipe.attribution is not None
    assert recipe.attribution.methods == ["tsa-1"]
    assert recipe.train.end_of_text == "none"
    assert recipe.train.sequence_tokens in (128, 192)
    examine_recipe(recipe, chain, chain.store)


def test_rows_that_need_a_decision_give_a_recipe_that_says_so(chain: TinyChain) -> None:
    rows = [*COMPLETIONS[:30], {"prompt": "?", "completion": None}]
    add_rows(chain, "holes", Form.OTHER, rows)
    text = draft_recipe("holes", "base", ["holes@1"], chain, chain.store)
    assert text.splitlines()[1].startswith("# Rows need a step or a filter first: datasets[0]: contribution ")
    assert parse_recipe(text).datasets[0].datanet == "holes"


def test_a_version_must_be_named(chain: TinyChain) -> None:
    with pytest.raises(UsageError, match=r"--data facts: which version\? write facts@VERSION"):
        draft_recipe("x", "base", ["facts"], chain, chain.store)


def test_the_command_writes_a_new_file_and_never_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger: FakeLedger = use_fake_ledger(tmp_path, monkeypatch)
    words = ["train", "--init", "sft.yaml", "--base", "base", "--data", "facts@1", "--content", "content"]
    assert main(words) == ExitCode.OK
    assert "wrote sft.yaml; look through it, then: openledger train sft.yaml --check" in capsys.readouterr().err
    made = Path("sft.yaml").read_text()
    assert main(["train", "sft.yaml", "--check", "--content", "content"]) == ExitCode.OK
    said = capsys.readouterr().err
    assert "length: 3 epochs are " in said
    assert "time, about: " in said
    assert "estimated from 2 steps" in said
    assert said.endswith("next: openledger train sft.yaml --from KEY\n")
    assert main(words) == ExitCode.USAGE
    assert "sft.yaml is there already" in capsys.readouterr().err
    assert Path("sft.yaml").read_text() == made
    assert ledger.records == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--init", "x.yaml", "--base", "base"], "--init needs --base MODEL and --data DATANET@VERSION"),
        (["recipe.yaml", "--base", "base"], "--base goes with --init: leave it out"),
        (["--verify", "x", "--events", "f"], "--events goes with a recipe that is trained: leave it out"),
        (["recipe.yaml", "--check", "--events", "f"], "--events goes with a recipe that is trained: leave it out"),
        (["--verify", "x", "--again"], "--again goes with a recipe: leave it out"),
    ],
)
def test_options_of_another_way_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    use_fake_ledger(tmp_path, monkeypatch)
    assert main(["train", *words, "--content", "content"]) == ExitCode.USAGE
    assert capsys.readouterr().err == f"error: {text}\n"


def test_a_recipe_that_has_run_already_says_which_version_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = use_fake_ledger(tmp_path, monkeypatch)
    ledger.remembers = True
    words = ["train", "recipe.yaml", "--from", "alice", "--content", "content"]
    assert main(words) == ExitCode.OK
    capsys.readouterr()
    assert main(words) == ExitCode.OK
    printed = capsys.readouterr()
    assert (
        "this recipe has run already: it made tiny@1; nothing was trained (--again trains it once more)" in printed.err
    )
    assert "olrun1" in printed.out
    assert "had recorded this run first" not in printed.err
    # The command that recorded it ended before it could claim what somebody else had recorded first.
    ledger.needed_claim = Claim(9, b"\6" * 32)
    assert main([*words, "--output", "json"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["claimed_height"], "had recorded this run first" in printed.err) == (9, True)
    assert len(ledger.records) == 1
    assert main(["train", "recipe.yaml", "--check", "--content", "content", "--folder", "new"]) == ExitCode.OK
    assert "this recipe has run already: it made tiny@1, olrun1" in capsys.readouterr().err
    assert main([*words, "--again", "--folder", "new"]) == ExitCode.OK
    assert ledger.records[1].entry == ledger.records[0].entry


def test_time_is_estimated_from_steps_that_leave_nothing_behind(chain: TinyChain, tmp_path: Path) -> None:
    from tests.kit.trainer.tiny import RECIPE, tiny_model
    from trainer.devices import Devices
    from trainer.train import prepare_run

    text = RECIPE.replace("batch_size: 2", "batch_size: 2, accumulation: 4") + "attribution: {codes: 32}\n"
    prepared = prepare_run(
        parse_recipe(text), [chain.versions[name, 1] for name in ("facts", "questions")], chain.store
    )
    line = time_line(prepared, tiny_model(), Devices(), 2)
    assert line.startswith("time, about: 6 steps ")
    assert "6 held-out rows, before and after, " in line
    assert "; index of " in line
    assert line.endswith("estimated from 2 steps of 2 batches each measured on the CPU, divided by 2 processes")
    assert [words_of_seconds(each) for each in (0, 5, 119, 600, 9000)] == ["0.1 s", "5.0 s", "119 s", "10 min", "2.5 h"]
