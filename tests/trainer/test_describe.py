"""Manifests in words: every step says what it does; what cannot be read is said, never guessed."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from abci_app.types import PPB
from openledger.data.manifest import Manifest, to_json
from trainer.describe import describe, describe_input, loss, share
from trainer.recipe import parse_recipe
from trainer.steps import FilterStep, PreprocessStep

RECIPE = r"""
version: 1
name: words
model: {base: base}
datasets:
  - datanet: facts
    version: 3
    weight_ppb: 1000000000
    preprocess:
      - strip
      - collapse_space
      - {truncate: 2000}
      - {as_text: answer}
      - {fill_null: {field: question, text: "?"}}
      - {template: {prompt: "Q: {question} ", completion: "{answer}"}}
    filters:
      [{has_text: answer}, {min_chars: 40}, {max_chars: 1500}, {contains: "a"},
       {regex_exclude: "(?i)deprecated"}, takes_turns, deduplicate]
    split: {held_out_ppb: 125000000}
    sampling: {max_rows: 500}
train: {steps: 25, batch_size: 4, warmup_steps: 5, schedule: linear, seed: 7}
output: {model: words}
"""


TAKES_TURNS = "keep conversations in which user and assistant take turns, the user first, the assistant last"
COPIES = (
    "  copies of held-out rows: 17 rows left out (11 of equal text, 4 of nearly equal text, 2 with such a text inside, "
    "inside one, or of a long stretch of one), held out in this or another input"
)
CUT = (
    "  cut: of 100 rows used, 3 lost the beginning of their prompt and 2 the end of their completion, 1,234 tokens "
    "in all"
)


def cut(examples: int, prompts: int, completions: int, tokens: int, without_target: int = 0) -> dict[str, int]:
    return {
        "examples": examples, "prompts_cut": prompts, "completions_cut": completions, "tokens_cut": tokens,
        "without_target": without_target,
    }  # fmt: skip


def input_part(**changes: Any) -> dict[str, Any]:
    described = msgspec.to_builtins(parse_recipe(RECIPE).datasets[0])
    return {
        "datanet": "ab" * 32, "version": 3, "weight_ppb": PPB, "rows": 12_345, "rows_used": 100,
        "rows_used_root": "00" * 32, "version_root": "11" * 32, "rows_held_out": 600,
        "kept_by_filter": [9500, 9000, 8000, 7000, 6000, 5500, 5000],
        "rows_for_training": 4400, "changed_by_step": [1, 20, 3, 0, 5, 12_000], "rows_empty": 7,
        "passed_by_step": [0, 0, 345, 0, 0, 0], "rows_by_form": {"text": 345, "other": 12_000},
        "held_out_copies": {"exact": 11, "near": 4, "inside": 2}, "rows_over_limit": 1200,
        "cut": {"trained": cut(100, 3, 2, 1234), "measured": cut(32, 0, 0, 0)},
        **{key: described[key] for key in ("preprocess", "filters", "split", "sampling")},
    } | changes  # fmt: skip


def manifest(**changes: bytes) -> Manifest:
    parts = {
        "about": to_json({"kind": "lora", "framework": "openledger trainer", "data_checked": True}),
        "code": to_json({"digest": "cd" * 32, "libraries": {"torch": "2.1", "peft": "0.9"}}),
        "input/0000": to_json(input_part()),
        "loss-trace": to_json({"losses": [3_210_987, 2_000_049]}),
        "recipe": parse_recipe(RECIPE).canonical(),
    }
    return Manifest(parts | changes)


def test_a_run_is_told_in_words() -> None:
    assert describe(manifest()) == [
        "lora by openledger trainer",
        "LoRA rank 8, alpha 16, dropout 0 on q_proj, v_proj",
        "25 steps of 4 rows, at most 128 tokens each; AdamW, learning rate 0.0005 (linear, 5 steps warm-up), seed 7",
        "code cdcdcdcdcdcdcdcd…; peft 0.9, torch 2.1",
        "training loss 3.2109 at the first, 2.0000 at the last of 2 steps",
        "input abababababababab… version 3, 100 % of the mix",
        "  12,345 rows in the version: 12,000 other, 345 text",
        "  prepare: remove white space at both ends of text (1 changed)",
        "  prepare: replace every run of white space in text by one space (20 changed)",
        "  prepare: cut text after 2,000 characters (3 changed, 345 of a form without that field left as they are)",
        "  prepare: write numbers, lists and objects in answer as JSON text (0 changed)",
        "  prepare: where question is null or missing, put '?' (5 changed)",
        "  prepare: build prompt 'Q: {question} ' and completion '{answer}' from the row's fields (12,000 changed)",
        "  filter: keep rows whose answer is text and not blank (9,500 left)",
        "  filter: keep rows whose completion has at least 40 characters (9,000 left)",
        "  filter: keep rows whose completion has at most 1,500 characters (8,000 left)",
        "  filter: keep rows whose completion contains 'a' (7,000 left)",
        "  filter: drop rows whose completion matches the pattern '(?i)deprecated' (6,000 left)",
        f"  filter: {TAKES_TURNS} (5,500 left)",
        "  filter: of rows that say the same in completion keep the first (5,000 left)",
        "  empty: 7 rows without a completion left out",
        "  split: 12.5 % held out by hash of the text under 'held-out' (600 held out, 4,400 for training)",
        COPIES,
        "  sampling: shuffled by the seed, at most 500 rows (1,200 left out)",
        "  used: 100 different rows",
        CUT,
    ]


def test_the_words_cover_the_whole_vocabulary() -> None:
    (dataset,) = parse_recipe(RECIPE).datasets
    assert {type(step) for step in dataset.preprocess} == set(PreprocessStep.__args__)
    assert {type(step) for step in dataset.filters} == set(FilterStep.__args__)


def test_plain_inputs_say_that_nothing_was_done() -> None:
    part = input_part(
        preprocess=[], filters=[], kept_by_filter=[], changed_by_step=[], passed_by_step=[],
        rows_by_form={}, rows_empty=0, rows_over_limit=0,
        held_out_copies={"exact": 0, "near": 0, "inside": 0},
        cut={"trained": cut(9, 0, 0, 0), "measured": cut(0, 0, 0, 0)},
        split={"held_out_ppb": 0, "name": "x"},
        sampling={"order": "in_order", "max_rows": 0},
    )  # fmt: skip
    assert describe_input(part) == [
        "12,345 rows in the version",
        "split: nothing held out",
        "sampling: in the order of the version",
        "used: 100 different rows",
    ]


def test_what_was_not_looked_for_and_what_predicts_nothing_is_said() -> None:
    part = input_part(
        held_out_copies={"exact": 0, "near": None, "inside": None},
        cut={"trained": cut(9, 0, 0, 0), "measured": cut(5, 0, 0, 0, without_target=2)},
    )
    lines = describe_input(part)
    assert "copies of held-out rows: only equal texts were looked for, there are too many rows for more" in lines
    assert lines[-1] == (
        "cut: of 5 held-out rows measured on, 0 lost the beginning of their prompt and 0 the end of their completion, "
        "0 tokens in all; 2 have no token to predict"
    )


def test_an_import_says_where_it_came_from_and_that_its_data_are_unknown() -> None:
    source = {
        "source": "a wheel", "licence": "Apache-2.0", "conversion": "to float32",
        "training_data": "unknown: not declared on this chain",
    }  # fmt: skip
    about = to_json({"kind": "import", "framework": "openledger trainer", "data_checked": False})
    assert describe(Manifest({"about": about, "source": to_json(source)})) == [
        "import by openledger trainer",
        "imported from a wheel (Apache-2.0); to float32",
        "training data: unknown: not declared on this chain",
    ]


def test_steps_of_a_later_vocabulary_are_shown_as_they_are_written() -> None:
    part = input_part(filters=[{"step": "language", "keep": "en"}], kept_by_filter=[3])
    assert "filter: keep en, step language (3 left)" in describe_input(part)


def test_what_the_recorder_only_declared_is_said_to_be_declared() -> None:
    assert describe_input({"declared_steps": ["lower-cased"]}) == ["declared by the recorder: lower-cased"]
    assert describe_input({"declared_steps": []}) == ["steps: none declared"]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("about", b"{}"),
        ("about", b"[]"),
        ("about", b"not json"),
        ("about", b"[" * 100_000),
        ("code", b'{"digest": "x", "libraries": ["torch"]}'),
        ("input/0000", b'{"datanet": "x"}'),
        ("input/0000", to_json(input_part(filters=[7], kept_by_filter=[7]))),
        ("input/0000", to_json(input_part(split=7))),
        ("input/0000", to_json(input_part(kept_by_filter=[1]))),
        ("loss-trace", b'{"losses": []}'),
        ("loss-trace", b'{"losses": ["x"]}'),
        ("recipe", b"{}"),
    ],
)
def test_parts_of_an_unknown_form_are_named_and_nothing_is_guessed(part: str, value: bytes) -> None:
    found = manifest(**{part: value})
    (line,) = describe(found)
    assert line.startswith(f"manifest {found.root.hex()[:16]}… has parts of an unknown form: ")


def test_shares_and_losses_are_exact() -> None:
    assert [share(ppb) for ppb in (0, 1, 10**7, 125_000_000, 333_333_333, PPB)] == [
        "0 %", "0.0000001 %", "1 %", "12.5 %", "33.3333333 %", "100 %",
    ]  # fmt: skip
    assert [loss(value) for value in (0, 49, 2_345_678)] == ["0.0000", "0.0000", "2.3456"]


def test_describing_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, trainer.describe; print(sorted({'torch', 'transformers', 'regex', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
