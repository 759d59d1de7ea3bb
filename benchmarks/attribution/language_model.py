"""SmolLM2-135M with a LoRA adapter (rank 8 on q_proj and v_proj) and real English, for what needs a real model."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch

from attribution.loss import Tokens
from trainer.base_model import import_base_model
from trainer.optimise import optimise
from trainer.recipe import Recipe, parse_recipe
from trainer.schedule import indexed_steps

SEQUENCE_TOKENS, PROMPT_TOKENS = 96, 24
LEAST_PASSAGE_TOKENS, MOST_PASSAGE_TOKENS = 16, 256
# Topics, by name, whose beginnings are trained on; passages are of those that follow.
TRAINED_TOPICS = 48
BATCH, SEED = 4, 7
_RECIPE = """
version: 1
name: benchmark
model: {{base: smollm2}}
datasets: [{{datanet: help-topics, version: 1, weight_ppb: 1000000000}}]
train: {{steps: {steps}, batch_size: {batch}, sequence_tokens: {tokens}, learning_rate: 0.0005,
  loss: rows}}
output: {{model: benchmark}}
attribution: {{checkpoints: {checkpoints}}}
"""


def language_model() -> tuple[Any, Any]:
    """A peft model with a fresh adapter in float32 on the CPU, and its tokenizer."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(SEED)
    folder = import_base_model().folder
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return get_peft_model(base, config).eval(), AutoTokenizer.from_pretrained(folder)


def recipe_of(examples: int, checkpoints: int = 1) -> Recipe:
    """One epoch over so many examples."""
    text = _RECIPE.format(
        steps=max(1, examples // BATCH), batch=BATCH, tokens=SEQUENCE_TOKENS, checkpoints=checkpoints
    )  # fmt: skip
    return parse_recipe(text)


def train_epoch(model: Any, examples: Sequence[Tokens], folder: Path | None = None, checkpoints: int = 1) -> list[Path]:
    """One pass over the examples by the trainer's own steps.

    Returns the adapters, saved in `folder`, of the steps that the trainer's rule keeps for attribution.
    """
    recipe = recipe_of(len(examples), checkpoints)
    kept = indexed_steps(recipe, recipe.train.steps or 0)
    saved: list[Path] = []

    def save(step: int, steps: int, loss_nats: float) -> None:
        if folder is not None and step in kept:
            saved.append(folder / f"adapter-after-{step}")
            model.save_pretrained(saved[-1])

    optimise(model, recipe, list(examples), 0, progress=save)
    model.eval()
    return saved


def sequences(tokenizer: Any) -> Iterator[Tokens]:
    """96 tokens, 24 of them the prompt: the beginning of every topic by name, then what follows it, and so on."""
    encoded = [_ids(tokenizer, topics[name]) for name in sorted(topics)]
    for start in range(0, max(len(ids) for ids in encoded), SEQUENCE_TOKENS):
        for ids in encoded:
            piece = tuple(ids[start : start + SEQUENCE_TOKENS])
            if len(piece) == SEQUENCE_TOKENS:
                yield Tokens(piece, PROMPT_TOKENS)


def passages(tokenizer: Any) -> Iterator[Tokens]:
    """Paragraphs of topics that are not trained on, 16 to 256 tokens, a quarter of each the prompt; topics in turn."""
    lists = [topics[name].split("\n\n") for name in sorted(topics)[TRAINED_TOPICS:]]
    for row in zip_longest(*lists, fillvalue=""):
        for text in row:
            ids = _ids(tokenizer, " ".join(text.split()))
            if LEAST_PASSAGE_TOKENS <= len(ids) <= MOST_PASSAGE_TOKENS:
                yield Tokens(tuple(ids), len(ids) // 4)


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
