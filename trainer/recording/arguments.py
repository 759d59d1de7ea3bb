"""Training arguments of transformers (TRL's have more) as the facts that a record keeps.

Values come from an object in memory, from JSON, out of a saved file, or as text from an MLflow run; names are those of
`transformers.TrainingArguments`. Arguments that name places, machines or secrets are left out of the recipe.
"""

import re
from collections.abc import Mapping
from typing import Any

from openledger.data.manifest import to_json
from trainer.recording.facts import plain_number, whole_number

# Arguments that name places, machines, people or secrets, not the training.
_LEFT_OUT = (
    "output_dir", "logging_dir", "run_name", "report_to", "push_to_hub", "hub_model_id", "hub_token",
    "hub_strategy", "hub_private_repo", "hub_revision", "push_to_hub_token", "push_to_hub_model_id",
    "push_to_hub_organization", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "project",
)  # fmt: skip
# Parts of names whose values are secrets; `pad_token` and `max_new_tokens` are none.
_SECRET_NAMES = re.compile(
    r"password|passphrase|secret|credential|api_?key|private_?key|((access|auth|hub|hf|bearer|wandb)_?token)\b",
    re.IGNORECASE,
)
# Names under which TRL's configurations of several versions keep the longest sequence.
_SEQUENCE_NAMES = ("max_length", "max_seq_length")


def recipe_of_arguments(arguments: Mapping[str, Any]) -> bytes:
    """Training arguments as canonical JSON: numbers with a fraction as text, no places, no secrets."""
    kept = {
        str(key): _plain(value)
        for key, value in arguments.items()
        if key not in _LEFT_OUT and value is not None and not _is_secret(str(key))
    }
    return to_json(kept)


def training_of_arguments(
    arguments: Mapping[str, Any], *, steps: int | None = None, planned_steps: int | None = None, epochs: object = None
) -> dict[str, int | str]:
    """The part `training` of a manifest: what is known, under stable names; unknown things are absent."""
    found: dict[str, int | str | None] = {
        "steps": steps,
        "planned_steps": planned_steps or _positive(arguments.get("max_steps")),
        "epochs": plain_number(_rounded(epochs)),
        "planned_epochs": plain_number(arguments.get("num_train_epochs")) if not _given_steps(arguments) else "",
        "batch_rows_per_device": _positive(arguments.get("per_device_train_batch_size")),
        "accumulation": _positive(arguments.get("gradient_accumulation_steps")),
        "optimizer": _word(arguments.get("optim")),
        "learning_rate": plain_number(arguments.get("learning_rate")),
        "schedule": _word(arguments.get("lr_scheduler_type")),
        "weight_decay": plain_number(arguments.get("weight_decay")),
        "precision": _precision(arguments),
        "seed": whole_number(arguments.get("seed")),
        "sequence_tokens": next(
            (size for name in _SEQUENCE_NAMES if (size := _positive(arguments.get(name))) is not None), None
        ),
        "packing": {True: "on", False: "off"}.get(_flag(arguments.get("packing"))),  # type: ignore[arg-type]
        **_warmup(arguments),
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _given_steps(arguments: Mapping[str, Any]) -> bool:
    return _positive(arguments.get("max_steps")) is not None


def _warmup(arguments: Mapping[str, Any]) -> dict[str, int | str | None]:
    """Steps of warm-up, or their share of all steps: newer versions write both into one argument."""
    steps = whole_number(arguments.get("warmup_steps"))
    share = plain_number(arguments.get("warmup_ratio"))
    if not steps and share not in ("", "0"):
        return {"warmup_share": share}
    if steps is None:
        return {"warmup_share": plain_number(arguments.get("warmup_steps"))}
    return {"warmup_steps": steps}


def _precision(arguments: Mapping[str, Any]) -> str:
    if _flag(arguments.get("bf16")):
        return "bf16 mixed"
    if _flag(arguments.get("fp16")):
        return "fp16 mixed"
    return ""


def _positive(value: object) -> int | None:
    return whole_number(value) or None


def _flag(value: object) -> bool | None:
    """A switch, given as one or as its text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(str(value).lower()) if isinstance(value, str) else None


def _word(value: object) -> str:
    """A name of an optimizer or schedule; enumerations are shown by their value."""
    text = str(getattr(value, "value", value) or "")
    return text if text.isascii() and text.isprintable() and 0 < len(text) <= 64 else ""


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def _is_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def holds_secrets(value: object) -> bool:
    """Whether a configuration has a field, at any depth, whose name speaks of a secret and that is set to a text."""
    pending: list[object] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Mapping):
            if any(_is_secret(str(key)) and isinstance(inner, str) and inner for key, inner in item.items()):
                return True
            pending += item.values()
        elif isinstance(item, list | tuple):
            pending += item
    return False


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None and not _is_secret(str(key))}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value if item is not None]
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return plain_number(value) or str(value)
    return str(getattr(value, "value", value))
