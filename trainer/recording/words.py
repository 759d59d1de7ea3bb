"""The part `training` of a manifest in words. Pure: no torch, no I/O."""

from typing import Any

_MORE_SETTINGS = {"weight_decay": "weight decay", "precision": "precision", "seed": "seed"}


def describe_training(training: Any) -> list[str]:
    """Lines on what another tool's files show of a run; what they do not show is left out."""
    known = {str(key): str(value) for key, value in training.items()}
    size = [_steps(known), _epochs(known)]
    if "batch_rows_per_device" in known:
        size.append(f"{known['batch_rows_per_device']} rows a device")
    if known.get("accumulation", "1") != "1":
        size.append(f"gradients of {known['accumulation']} batches a step")
    if "sequence_tokens" in known:
        size.append(f"at most {known['sequence_tokens']} tokens")
    if "packing" in known:
        size.append(f"packing {known['packing']}")
    method = [known.get("optimizer", "")]
    if "learning_rate" in known:
        details = [text for text in (known.get("schedule", ""), _warmup(known)) if text]
        method.append(f"learning rate {known['learning_rate']}" + (f" ({', '.join(details)})" if details else ""))
    method += [f"{word} {known[key]}" for key, word in _MORE_SETTINGS.items() if key in known]
    lines = [", ".join(text for text in part if text) for part in (size, method)]
    return [line for line in lines if line]


def _steps(known: dict[str, str]) -> str:
    steps, planned = known.get("steps"), known.get("planned_steps")
    if steps is None:
        return f"{planned} steps planned, not known how many were done" if planned else ""
    return f"{steps} steps" if planned in (None, steps) else f"{steps} of {planned} planned steps"


def _epochs(known: dict[str, str]) -> str:
    if "epochs" in known:
        return f"{known['epochs']} epochs"
    return f"{known['planned_epochs']} epochs planned" if "planned_epochs" in known else ""


def _warmup(known: dict[str, str]) -> str:
    if "warmup_steps" in known:
        return f"{known['warmup_steps']} steps warm-up"
    return f"warm-up for {known['warmup_share']} of all steps" if "warmup_share" in known else ""
