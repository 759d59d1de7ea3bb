"""Configuration files of axolotl and LLaMA-Factory, as their documentation shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.recording.axolotl.configuration import is_axolotl, read_axolotl
from trainer.recording.facts import MAX_CONFIGURATION_BYTES, FactsError, read_yaml
from trainer.recording.llama_factory import is_llama_factory, main, read_llama_factory

AXOLOTL = """\
base_model: HuggingFaceTB/SmolLM2-135M
datasets:
  - path: garden.jsonl
    type: chat_template
  - path: org/faq
output_dir: ./out
adapter: qlora
sequence_len: 2048
sample_packing: true
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 1.5
optimizer: adamw_8bit
lr_scheduler: cosine
learning_rate: 2e-5
warmup_ratio: 0.1
bf16: auto
"""
LLAMA_FACTORY = """\
stage: sft
model_name_or_path: HuggingFaceTB/SmolLM2-135M
finetuning_type: lora
dataset: garden,faq
cutoff_len: 1024
output_dir: saves/gardener
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
num_train_epochs: 3.0
lr_scheduler_type: cosine
learning_rate: 1.0e-4
bf16: true
hf_hub_token: hf_abc
"""


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_an_axolotl_configuration_is_read(tmp_path: Path) -> None:
    facts = read_axolotl(_written(tmp_path, AXOLOTL))
    assert (facts.framework, facts.kind, facts.base) == ("axolotl", "lora", "HuggingFaceTB/SmolLM2-135M")
    assert (facts.datasets, facts.output_folder) == (("garden.jsonl", "org/faq"), tmp_path / "out")
    assert facts.recipe == AXOLOTL.encode()
    assert facts.training == {
        "planned_epochs": "1.5", "batch_rows_per_device": 2, "accumulation": 4, "optimizer": "adamw_8bit",
        "learning_rate": "0.00002", "schedule": "cosine", "warmup_share": "0.1", "sequence_tokens": 2048,
        "packing": "on",
    }  # fmt: skip


def test_a_llama_factory_configuration_is_read_and_its_secrets_are_not(tmp_path: Path) -> None:
    facts = read_llama_factory(_written(tmp_path, LLAMA_FACTORY))
    assert (facts.framework, facts.kind, facts.datasets) == ("LLaMA-Factory", "lora", ("garden", "faq"))
    assert "hf_abc" not in facts.recipe.decode()
    assert json.loads(facts.recipe)["dataset"] == "garden,faq"
    assert facts.training == {
        "planned_epochs": "3", "batch_rows_per_device": 1, "accumulation": 8, "learning_rate": "0.0001",
        "schedule": "cosine", "precision": "bf16 mixed", "sequence_tokens": 1024,
    }  # fmt: skip


def test_the_output_folder_is_looked_for_where_the_tool_was_started(tmp_path: Path) -> None:
    (tmp_path / "saves" / "gardener").mkdir(parents=True)
    (tmp_path / "configs").mkdir()
    facts = read_llama_factory(_written(tmp_path / "configs", LLAMA_FACTORY))
    assert facts.output_folder == tmp_path / "saves" / "gardener"


def test_the_tools_are_told_apart(tmp_path: Path) -> None:
    fields = [read_yaml(_written(tmp_path, text), "a configuration")[1] for text in (AXOLOTL, LLAMA_FACTORY)]
    assert [(is_axolotl(each), is_llama_factory(each)) for each in fields] == [(True, False), (False, True)]


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "just words", "x" * (MAX_CONFIGURATION_BYTES + 1)])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FactsError, match=r"config\.yaml"):
        read_axolotl(_written(tmp_path, text))


def test_the_launcher_refuses_what_is_no_configuration_of_its_tool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([str(_written(tmp_path, AXOLOTL)), "--model", "gardener"])
    assert (code, capsys.readouterr().err) == (
        2,
        f"error: {tmp_path}/config.yaml is no LLaMA-Factory configuration: it needs model_name_or_path, stage\n",
    )


def test_the_launcher_says_when_its_tool_is_not_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(_written(tmp_path, LLAMA_FACTORY)), "--model", "gardener"])
    assert code == 2
    assert "LLaMA-Factory is not in this environment" in capsys.readouterr().err
