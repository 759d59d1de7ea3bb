"""SmolLM2-135M with a LoRA adapter (rank 8 on q_proj and v_proj) and real English, for what needs a real model."""

from collections.abc import Iterator, Sequence
from pydoc_data.topics import topics
from typing import Any

import torch

from attribution.loss import Tokens, example_losses, make_batch
from trainer.base_model import import_base_model

SEQUENCE_TOKENS, PROMPT_TOKENS = 96, 24
BATCH, STEP_SIZE, SEED = 4, 5e-4, 7


def language_model(device: str = "cpu") -> tuple[Any, Iterator[Tokens]]:
    """A peft model with a fresh adapter in float32, and sequences of 96 tokens whose first 24 are the prompt."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(SEED)
    folder = import_base_model().folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return get_peft_model(base, config).to(device).eval(), _sequences(tokenizer)


def train_epoch(model: Any, examples: Sequence[Tokens], device: str = "cpu") -> None:
    """One pass over the examples in batches of four, as the trainer makes its steps."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=STEP_SIZE, weight_decay=0.0, foreach=False)
    model.train()
    for start in range(0, len(examples), BATCH):
        batch = make_batch(examples[start : start + BATCH], 0, torch.device(device))
        example_losses(model, batch).mean().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=False)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()


def _sequences(tokenizer: Any) -> Iterator[Tokens]:
    """The beginning of every help topic that is long enough, by name, then what follows it, and so on."""
    encoded = [tokenizer(topics[name], add_special_tokens=False)["input_ids"] for name in sorted(topics)]
    for start in range(0, max(len(ids) for ids in encoded), SEQUENCE_TOKENS):
        for ids in encoded:
            piece = tuple(ids[start : start + SEQUENCE_TOKENS])
            if len(piece) == SEQUENCE_TOKENS:
                yield Tokens(piece, PROMPT_TOKENS)
