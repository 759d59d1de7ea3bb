"""`train --check`: all that is wrong at once, and nothing that training itself would refuse later."""

from pathlib import Path

import pytest

from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from tests.kit.trainer.tiny import RECIPE, TinyChain, add_base, byte_base, byte_tokenizer, tiny_chain
from trainer.check import CheckFailed, examine_recipe
from trainer.optimise import TrainingError
from trainer.recipe import parse_recipe
from trainer.workflow import train_recipe

pytestmark = pytest.mark.ml


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyChain:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_chain(tmp_path)


def test_problems_of_rows_base_and_attribution_are_named_at_once(chain: TinyChain, tmp_path: Path) -> None:
    add_base(chain, "endless", byte_base(tmp_path / "base", byte_tokenizer(eos_token=None)))
    text = RECIPE.replace("{base: base}", "{base: endless}").replace("q_proj, v_proj", "q_proj, qproj")
    text = text.replace("min_chars: 10", "min_chars: 10000").replace("{answer}", "{anser}")
    with pytest.raises(CheckFailed) as caught:
        examine_recipe(parse_recipe(text + "attribution: {payout: {pool: nobody}}\n"), chain, chain.store)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "datasets[0]", "datasets[1]", "method.target_modules", "model.base", "attribution.payout.pool",
    ]  # fmt: skip
    assert str(caught.value).splitlines() == ["5 things are wrong", *[f"  {each}" for each in caught.value.problems]]
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_check_says_at_what_it_is(chain: TinyChain) -> None:
    said: list[str] = []
    examine_recipe(parse_recipe(RECIPE), chain, chain.store, stage=said.append, measure=lambda *_: "time, about: 1 s")
    assert said == [
        "asking the chain for DataNet versions",
        "fetching and preparing rows",
        "fetching the base's files",
        "opening base and tokenizer",
        "writing 12 rows in tokens",
        "asking the chain whether the terms go together",
        "timing a step or two, and layers of the index",
    ]


def test_one_problem_is_said_in_one_line(chain: TinyChain) -> None:
    with pytest.raises(UsageError, match=r"\Amethod.target_modules: 'qproj' matches no layer .* [^\n]*\Z"):
        examine_recipe(parse_recipe(RECIPE.replace("q_proj, v_proj", "q_proj, qproj")), chain, chain.store)


def test_training_refuses_a_target_that_peft_would_leave_out_silently(chain: TinyChain, tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE.replace("q_proj, v_proj", "q_proj, qproj"))
    with pytest.raises(TrainingError, match="'qproj' matches no layer of the base; did you mean 'q_proj'"):
        train_recipe(recipe, chain, chain.store, tmp_path / "out")


def test_check_run_and_manifest_give_the_same_counts_of_what_was_cut(chain: TinyChain, tmp_path: Path) -> None:
    rows = [{"text": f"{'C' * 120}{number:02}?"} for number in range(10)]
    chain.add_version("facts", [[*rows, {"text": "short enough"}, {"text": " \u200b"}]])
    add_base(chain, "bytes", byte_base(tmp_path / "base", byte_tokenizer()))
    text = RECIPE.replace("{base: base}", "{base: bytes}").replace("filters: [{min_chars: 10}]", "filters: []")
    text = text.replace("sequence_tokens: 16", "sequence_tokens: 64").replace("steps: 6", "steps: 20")
    text = text.replace("    split: {held_out_ppb: 200000000}\n", "    split: {held_out_ppb: 0}\n")
    recipe = parse_recipe(text)
    lines, _ = examine_recipe(recipe, chain, chain.store)
    assert lines[0].startswith(
        "facts version 1: 75 % of the mix, 12 rows, 11 for training, 0 held out, 11 used; left out: 1 w"
    )
    cut = "cut: of 11 rows used, 0 lost the beginning of their prompt and 10 the end of their completion, 600 tokens"
    assert lines[1] == f"  {cut} in all"
    run, record = train_recipe(recipe, chain, chain.store, tmp_path / "out")
    assert (run.cuts.trained[0].completions_cut, run.cuts.trained[0].tokens_cut) == (10, 600)
    part = record.manifest.inputs[0]
    assert (part["rows_empty"], part["cut"]["trained"]["tokens_cut"]) == (1, 600)


def test_one_version_under_its_name_and_its_id_is_listed_twice(chain: TinyChain) -> None:
    """The chain would refuse the entry after all the training."""
    recipe = parse_recipe(
        RECIPE.replace("datanet: questions", f"datanet: {chain.versions['facts', 1].datanet_id.hex()}").replace(
            '    preprocess: [{template: {prompt: "{question} ", completion: "{answer}"}}]\n', ""
        )
    )
    with pytest.raises(UsageError, match=r"datasets\[1\]: is datasets\[0\] by another name; list it once"):
        examine_recipe(recipe, chain, chain.store)


def test_what_one_input_holds_out_is_trained_on_in_no_other(chain: TinyChain, tmp_path: Path) -> None:
    texts = [f"{word} has a name that begins with {word[0]} and a tail of {len(word)} feet" for word in WORDS]
    chain.add_version("facts", [[{"text": text} for text in texts]])
    chain.add_version("questions", [[{"question": text[:12], "answer": text[12:].upper()} for text in texts]])
    recipe = parse_recipe(
        RECIPE.replace('prompt: "{question} "', 'prompt: "{question}"').replace(
            "    filters: [deduplicate]\n", "    split: {held_out_ppb: 0}\n"
        )
    )
    run, record = train_recipe(recipe, chain, chain.store, tmp_path / "out")
    held_out = {example.text for partition in run.prepared.partitions for example in partition.held_out}
    assert held_out
    assert not held_out & {example.text for example in run.prepared.order}
    copies = [part["held_out_copies"]["exact"] for part in record.manifest.inputs]
    assert copies == [0, record.manifest.inputs[0]["rows_held_out"]]


WORDS = ("otter", "badger", "weasel", "stoat", "marten", "polecat", "mink", "ferret", "wolverine", "fisher", "grison")
