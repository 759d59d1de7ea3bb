"""Adapters as other programs write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attribution.adapter_config import CONFIG_FILE
from attribution.adapter_file import ADAPTER_FILE
from tests.kit.trainer.tiny import tiny_model


def made_adapter(folder: Path, base: Path | None = None, **settings: Any) -> Path:
    """An adapter as peft saves it, of the tiny model, with numbers in it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    arguments = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"} | settings
    loaded = AutoModelForCausalLM.from_pretrained(str(base or tiny_model()), local_files_only=True)
    torch.manual_seed(7)
    model: Any = get_peft_model(loaded, LoraConfig(**arguments))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    model.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    return folder


def other_base(folder: Path) -> Path:
    """A model of another width."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=14, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def configured(folder: Path, **changes: Any) -> Path:
    """An adapter's folder with some keys of its configuration changed."""
    path = folder / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def with_tensors(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """An adapter's folder with other tensors."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / ADAPTER_FILE)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / ADAPTER_FILE)
    return folder
