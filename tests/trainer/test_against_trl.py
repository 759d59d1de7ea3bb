"""The trainer's losses are those of TRL's SFTTrainer on the same rows: its own template, tokens, mask and sums."""

import copy
from pathlib import Path
from typing import Any

import pytest

from abci_app.modules.datanets import Form
from attribution.numerics import prepare
from tests.kit.trainer.chat_templates import CHATML_TOKENS, MARKED
from tests.kit.trainer.chats import ROW, chat_tokenizer, turns
from tests.kit.trainer.tiny import byte_base, sentence
from trainer.examples import read_tokens
from trainer.optimise import optimise
from trainer.partition import Example
from trainer.recipe import Recipe, parse_recipe

pytestmark = pytest.mark.ml
STEPS = 20
RATE = 0.02
RECIPE = f"""
version: 1
name: equal
model: {{base: base}}
datasets: [{{datanet: rows, version: 1, weight_ppb: 1000000000}}]
train: {{steps: {STEPS}, batch_size: 2, sequence_tokens: 512, learning_rate: {RATE}, weight_decay: 0.1, threads: 1}}
output: {{model: equal}}
"""


def recipe(accumulation: int, packing: str) -> Recipe:
    text = f"batch_size: 2, accumulation: {accumulation}, packing: {packing}"
    return parse_recipe(RECIPE.replace("batch_size: 2", text))


def chats(count: int) -> list[Example]:
    """Conversations of one or two rounds, of very different lengths."""
    made = []
    for number in range(count):
        said = turns(
            ("user", sentence(number, 1 + number % 7)), ("assistant", sentence(number + 1, 1 + number * 5 % 11))
        )
        if number % 2:
            said = (
                *turns(("system", "Be terse.")),
                *said,
                *turns(("user", "and?"), ("assistant", sentence(number, 3))),
            )
        made.append(Example(0, ROW, said, Form.MESSAGES))
    return made


def pairs(count: int) -> list[Example]:
    """Prompts with completions of very different lengths."""
    return [
        Example(
            0,
            ROW,
            turns(("user", sentence(number, 1 + number % 5)), ("assistant", " " + sentence(number, 1 + number % 9))),
        )
        for number in range(count)
    ]


def trl_losses(
    model: Any, tokenizer: Any, rows: list[dict[str, Any]], accumulation: int, folder: Path, **more: Any
) -> list[float]:
    """Train with TRL as its users do; the loss of every step."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=2,
        gradient_accumulation_steps=accumulation, learning_rate=RATE, weight_decay=0.1, lr_scheduler_type="constant",
        max_length=512, logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, bf16=False,
        gradient_checkpointing=False, train_sampling_strategy="sequential", disable_tqdm=True, **more,
    )  # fmt: skip
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.train()
    return [item["loss"] for item in trainer.state.log_history if "loss" in item]


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("kind", ["chat", "completion"])
def test_every_step_has_the_loss_that_trl_has(kind: str, accumulation: int, tmp_path: Path) -> None:
    prepare()
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    tokenizer = chat_tokenizer(MARKED, CHATML_TOKENS, pad_token="<unk>")
    base = byte_base(tmp_path / "base", tokenizer, rows=len(tokenizer))
    count = STEPS * 2 * accumulation
    examples = chats(count) if kind == "chat" else pairs(count)
    rows: list[dict[str, Any]]
    if kind == "chat":
        rows = [{"messages": [{"role": turn.role, "content": turn.text} for turn in item.turns]} for item in examples]
        more = {"assistant_only_loss": True}
    else:
        rows = [{"prompt": item.prompt, "completion": item.completion} for item in examples]
        more = {"completion_only_loss": True}
    settings = recipe(accumulation, packing="off")
    ours_model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    theirs = trl_losses(copy.deepcopy(ours_model), tokenizer, rows, accumulation, tmp_path / "trl", **more)
    ordered = read_tokens(tokenizer, settings.train, examples)
    packed_model, packed = copy.deepcopy(ours_model), recipe(accumulation, packing="on")
    ours = [value / 1e6 for value in optimise(ours_model, settings, ordered, 0).losses_micronats]
    assert len(ours) == len(theirs) == STEPS
    assert max(abs(one - other) for one, other in zip(ours, theirs, strict=True)) < 1e-4
    # Packed rows have the losses that they have alone, and move the model alike.
    together = [value / 1e6 for value in optimise(packed_model, packed, ordered, 0).losses_micronats]
    assert max(abs(one - other) for one, other in zip(ours, together, strict=True)) < 1e-4
    # The run learns: equal losses of a model that stands still would say little.
    assert ours[-1] < ours[0] - 0.5
