"""Recipes: one digest for one meaning, and errors that name the field and what to write."""

from pathlib import Path

import pytest

from tests.kit.trainer.tiny import RECIPE
from trainer.recipe import RecipeError, load_recipe, parse_recipe


def test_the_canonical_form_is_a_recipe_again_and_has_every_default() -> None:
    recipe = parse_recipe(RECIPE)
    canonical = recipe.canonical()
    assert parse_recipe(canonical) == recipe
    assert parse_recipe(canonical).canonical() == canonical
    assert b'"weight_decay":"0"' in canonical
    assert b'{"characters":10,"field":"completion","step":"min_chars"}' in canonical


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("learning_rate: 0.05", "learning_rate: 5e-2"),
        ("learning_rate: 0.05", "learning_rate: '0.0500'"),
        ("[strip]", "[{strip: {field: text}}]"),
        ("{min_chars: 10}", "{step: min_chars, characters: 10, field: completion}"),
        ("evaluate: {rows: 6}", "evaluate:\n  rows: 6  # a comment"),
        ("datanet: facts\n    version: 1", "datanet: facts@1"),
        ("datanet: facts", "datanet: facts@1"),
        ("weight_ppb: 750000000", "weight: 75 %"),
        ("held_out_ppb: 200000000", "held_out: 20.0%"),
        ("rank: 2,", "kind: lora, rank: 2,"),
    ],
)
def test_other_spellings_have_the_same_digest(old: str, new: str) -> None:
    assert old in RECIPE
    assert parse_recipe(RECIPE.replace(old, new)).digest() == parse_recipe(RECIPE).digest()


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("steps: 6", "steps: 0", "train.steps: Expected `int` >= 1; write number of optimizer steps, 1 to 1000000"),
        ("steps: 6", "stepz: 6", "train: unknown field 'stepz'; did you mean 'steps'?"),
        ("steps: 6, ", "", "train: steps or epochs is missing; write one of them: passes over the rows for training"),
        ("steps: 6, ", "steps: 6, epochs: 2, ", "train: steps and epochs both say how long the run is; leave one"),
        ("steps: 6, ", "epochs: 0, ", "train: epochs is 0; it must lie between 0.000001 and 10000"),
        ("seed: 3", "warmup_steps: 1, warmup: 10 %", "train: warmup and warmup_steps both say how long the warm-up is"),
        ("seed: 3", "schedule: cosin", "train.schedule: Invalid enum value 'cosin'; write constant, linear (falls to"),
        ("seed: 3", "precision: fp16", "train.precision: Invalid enum value 'fp16'; write float32, or bf16 ("),
        ("rank: 2,", "kind: dora, rank: 2,", "method.kind: 'dora' is unknown; write lora or full"),
        (
            "{rank: 2, alpha: 4, dropout: 0.1, target_modules: [q_proj, v_proj]}",
            "{kind: full, rank: 2}",
            "method: unknown",
        ),
        (
            "version: 1\n    weight_ppb: 750000000",
            "weight_ppb: 750000000",
            "datasets[0].version: is missing; write the",
        ),
        (
            "datanet: facts\n    version: 1",
            "datanet: facts@2\n    version: 1",
            "datasets[0]: datanet 'facts@2': write NAME@VERSION, without another version beside it",
        ),
        ("weight_ppb: 750000000", "weight: 75", "datasets[0].weight: 75 is no share; write one in per cent, for ex"),
        ("weight_ppb: 750000000", "weight: 74 %", "datasets: weights sum to 99 %, must be 100 % (missing 1 %)"),
        (
            "weight_ppb: 250000000",
            "weight_ppb: 250000001",
            "datasets: weights sum to 100.0000001 %, must be 100 % (missing -0.0000001 %)",
        ),
        ("datanet: questions", "datanet: facts", "one DataNet version is listed twice"),
        (
            "min_chars: 10",
            "min_char: 10",
            "datasets[0].filters[0].step: unknown step 'min_char' (did you mean 'min_chars'?)",
        ),
        ("[strip]", "[deduplicate]", "step 'deduplicate' belongs into the other list"),
        ("min_chars: 10", "min_chars: ten", "datasets[0].filters[0].characters: Expected `int`, got `str`"),
        ("deduplicate", "{regex_exclude: '('}", "pattern '(' is no regular expression"),
        ("{answer}", "{answer.__class__}", "a placeholder is a field name in braces"),
        ("learning_rate: 0.05", "learning_rate: 2", "learning_rate is 2; it must lie between 0.000000001 and 1"),
        ("learning_rate: 0.05", "learning_rate: fast", "train.learning_rate: Invalid decimal string; write a decimal"),
        ("learning_rate: 0.05", "learning_rate: .nan", "learning_rate"),
        ("model: {base: base}", "model: {}", "model.base: is missing; write the model that training starts"),
        ("name: tiny-run", "name: Tiny Run", "name: Expected `str` matching regex"),
        ("name: tiny-run", "name: a\nname: b", "'name' is given twice"),
        ("evaluate: {rows: 6}", "evaluate: &a {rows: 6}\nmethod: *a", "aliases are not allowed"),
        ("output: {model: tiny}", "output: [", "not valid YAML"),
        ("version: 1\nname", "version: 2\nname", "version: Invalid enum value 2; write the recipe format: 1"),
        ("[q_proj, v_proj]", "[q_proj, q_proj]", "target_modules names a layer twice"),
        (
            "output: {model: tiny}",
            "output: {model: tiny}\nattribution: {checkpoints: 7}",
            "attribution: 7 checkpoints of 6 steps; write fewer",
        ),
        (
            "output: {model: tiny}",
            "output: {model: tiny}\nattribution: {methods: [tsa-1, lga-1]}",
            "attribution: methods: name each method once, in this order: lga-1, tsa-1",
        ),
        (
            "output: {model: tiny}",
            "output: {model: tiny}\nattribution: {payout: {kappa_ppb: 600000000}}",
            "attribution.payout: kappa_ppb and flat_ppb together exceed 1000000000; lower one of them",
        ),
        (
            "output: {model: tiny}",
            "output: {model: tiny}\nattribution: {copy_cosine_ppb: 400000000}",
            "attribution.copy_cosine_ppb: Expected `int` >= 500000000; write cosine of codes from which on",
        ),
        (
            "output: {model: tiny}",
            "output: {model: tiny}\nattribution:",
            "attribution: write a mapping, {} for all defaults; leave it out, and no answer of the model can be",
        ),
        (
            "output: {model: tiny}",
            "output: {model: tiny}\nattribution: yes",
            "attribution: write a mapping, {} for all defaults",
        ),
        (
            "output: {model: tiny}",
            "output: {model: tiny}\nattribution: {methods: [shapley]}",
            "attribution.methods[0]: Invalid enum value 'shapley'; write a list of lga-1, tsa-1",
        ),
        (RECIPE, "- a list", "a recipe is a mapping with version, name"),
        (RECIPE, "x: " + "y" * 70_000, "a recipe holds no data"),
        (RECIPE, "!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_wrong_recipe_gives_one_line_with_field_and_remedy(old: str, new: str, text: str) -> None:
    assert old in RECIPE
    with pytest.raises(RecipeError) as caught:
        parse_recipe(RECIPE.replace(old, new), "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_without_attribution_keeps_the_digest_that_it_had_before_there_was_any() -> None:
    assert b"attribution" not in parse_recipe(RECIPE).canonical()
    with_index = parse_recipe(RECIPE + "attribution: {}\n")
    assert with_index.canonical().startswith(
        b'{"attribution":{"checkpoints":1,"codes":4096,"copy_cosine_ppb":600000000,"methods":["lga-1","tsa-1"],'
    )
    assert parse_recipe(with_index.canonical()) == with_index


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"missing\.yaml: no such file; give the path of a recipe"):
        load_recipe(tmp_path / "missing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "binary.yaml")
    (tmp_path / "good.yaml").write_text(RECIPE)
    assert load_recipe(tmp_path / "good.yaml") == parse_recipe(RECIPE)


MANY = """
version: 1
name: Tiny Run
model: {bse: base, rank: 8}
method: {rank: 0, dropout: 2, target_modules: [q_proj, q_proj], learning_rate: 0.1}
datasets:
  - {datanet: facts, version: 0, weight_ppb: 500000000, filters: [min_char, {min_chars: ten}], split: {held_out: 3}}
  - {version: 1, weight_ppb: many, preprocess: [deduplicate]}
train: {steps: 0, learning_rate: 2, weight_decay: 11, seed: -1}
evaluate: 5
attribution: {codes: 65536, checkpoints: 16, methods: [tsa-1, lga-1], payout: {kappa_ppb: 900000000, capp_ppb: 1}}
"""


def test_all_wrong_fields_are_named_at_once_each_with_what_to_write() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(MANY, "my.yaml")
    text = str(caught.value)
    assert text.splitlines()[0] == "my.yaml: 24 fields are wrong"
    assert text.splitlines()[1:] == [f"  {problem}" for problem in caught.value.problems]
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "name", "model", "model", "datasets[0].version", "datasets[0].filters[0].step",
        "datasets[0].filters[1].characters", "datasets[0].split.held_out", "datasets[1].datanet",
        "datasets[1].weight_ppb", "datasets[1].preprocess[0].step", "train.steps", "train.seed", "train", "train",
        "output", "method", "method.rank", "method", "method", "evaluate", "attribution.payout", "attribution.payout",
        "attribution", "attribution",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        # a field of another section is no suggestion: it would be wrong here, too
        ("rank: 2,", "rank: 2, warmup_step: 3,", "method: unknown field 'warmup_step'; remove it or correct its name"),
        (
            "rank: 2,",
            "rank: 2, learning_rate: 3,",
            "method: unknown field 'learning_rate'; remove it or correct its name",
        ),
        ("steps: 6,", "steps: 6, warmup_step: 3,", "train: unknown field 'warmup_step'; did you mean 'warmup_steps'?"),
        ("base: base", "bse: base", "model: unknown field 'bse'; did you mean 'base'?"),
        (
            "target_modules: [q_proj, v_proj]",
            "target_modules: all_linear",
            "method.target_modules: Invalid enum value 'all_linear'; write all-linear (every linear",
        ),
    ],
)
def test_suggestions_are_fields_of_the_section(old: str, new: str, text: str) -> None:
    assert old in RECIPE
    with pytest.raises(RecipeError) as caught:
        parse_recipe(RECIPE.replace(old, new))
    assert caught.value.problems[0].startswith(text)
    assert len(caught.value.problems) == 1
