"""A random Llama with a LoRA adapter whose B is not zero, and examples over its vocabulary; all in milliseconds."""

from typing import Any

import torch

from attribution.loss import Tokens

VOCABULARY = 20
MODULES = ["q_proj", "v_proj"]


def tiny_lora(seed: int = 0, dropout: float = 0.1, rank: int = 2) -> Any:
    """peft model over a two-layer Llama, float32, eager attention."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, bos_token_id=None, eos_token_id=1,
        attn_implementation="eager",
    )  # fmt: skip
    lora = LoraConfig(r=rank, lora_alpha=4, lora_dropout=dropout, target_modules=MODULES, task_type="CAUSAL_LM")
    model: Any = get_peft_model(LlamaForCausalLM(config), lora)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return model


def tiny_examples(count: int, seed: int = 1, longest: int = 14) -> list[Tokens]:
    """Examples of different lengths with prompts of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for _ in range(count):
        length = int(torch.randint(5, longest + 1, (1,), generator=generator))
        ids = torch.randint(2, VOCABULARY, (length,), generator=generator).tolist()
        examples.append(Tokens(tuple(ids), int(torch.randint(0, length - 2, (1,), generator=generator))))
    return examples
