"""axolotl's configuration files. Read against axolotl 0.19."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.recording.arguments import holds_secrets, recipe_of_arguments, training_of_arguments
from trainer.recording.facts import RunFacts, read_yaml

FRAMEWORK = "axolotl"
_ADAPTERS = ("lora", "qlora")


def is_axolotl(fields: Mapping[str, Any]) -> bool:
    """Whether a configuration is axolotl's: it names a base model and datasets under axolotl's words."""
    return "base_model" in fields and "datasets" in fields


def read_axolotl(path: Path) -> RunFacts:
    """The facts of a configuration file; raises `FactsError`. What the run did is in the folder that it names."""
    data, fields = read_yaml(path, "an axolotl configuration")
    output = fields.get("output_dir")
    return RunFacts(
        framework=FRAMEWORK,
        recipe=recipe_of_arguments(fields) if holds_secrets(fields) else data,
        source=str(path),
        output_folder=path.parent / output if isinstance(output, str) and output else None,
        base=str(fields.get("base_model") or ""),
        datasets=_datasets(fields.get("datasets")),
        kind="lora" if fields.get("adapter") in _ADAPTERS else "full",
        training=training_of_arguments(
            {
                "max_steps": fields.get("max_steps"),
                "num_train_epochs": fields.get("num_epochs"),
                "per_device_train_batch_size": fields.get("micro_batch_size"),
                "gradient_accumulation_steps": fields.get("gradient_accumulation_steps"),
                "optim": fields.get("optimizer"),
                "learning_rate": fields.get("learning_rate"),
                "lr_scheduler_type": fields.get("lr_scheduler"),
                "warmup_steps": fields.get("warmup_steps"),
                "warmup_ratio": fields.get("warmup_ratio"),
                "weight_decay": fields.get("weight_decay"),
                "bf16": fields.get("bf16"),
                "fp16": fields.get("fp16"),
                "seed": fields.get("seed"),
                "max_length": fields.get("sequence_len"),
                "packing": fields.get("sample_packing"),
            }
        ),
    )


def _datasets(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else []
    return tuple([str(item["path"]) for item in items if isinstance(item, dict) and item.get("path")])
