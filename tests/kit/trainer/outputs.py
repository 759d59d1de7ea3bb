"""Output folders of a Trainer as it leaves them: a saved adapter, checkpoints, states, arguments. No torch."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file


class SavedArguments:
    """Stands for the class of arguments that a Trainer pickles."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def save_adapter(folder: Path, number: float, base: str = "tiny-llama") -> None:
    """The files of a LoRA adapter whose numbers are all `number`."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 1, "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file({"lora_A.weight": np.full((1, 2), number, np.float32)}, folder / "adapter_model.safetensors")


def save_arguments(folder: Path, **fields: Any) -> None:
    """`training_args.bin` as torch writes it."""
    with zipfile.ZipFile(folder / "training_args.bin", "w") as archive:
        archive.writestr("training_args/data.pkl", pickle.dumps(SavedArguments(**fields), protocol=2))


def save_state(folder: Path, step: int, *, planned: int, losses: dict[int, float]) -> None:
    """`trainer_state.json` at a step."""
    history: list[dict[str, Any]] = [{"step": at, "loss": loss, "epoch": at / 4} for at, loss in losses.items()]
    state = {"global_step": step, "max_steps": planned, "epoch": step / 4, "log_history": history}
    (folder / "trainer_state.json").write_text(json.dumps(state))


def finished_output(folder: Path) -> Path:
    """A run of ten steps with checkpoints at five and ten, saved at its end."""
    losses = {2: 2.5, 4: 2.4, 6: 2.25, 8: 2.125, 10: 2.0}
    for step, number in ((5, 0.5), (10, 1.0)):
        checkpoint = folder / f"checkpoint-{step}"
        save_adapter(checkpoint, number)
        save_state(checkpoint, step, planned=10, losses={at: loss for at, loss in losses.items() if at <= step})
        (checkpoint / "optimizer.pt").write_bytes(b"moments")
    save_adapter(folder, 1.0)
    save_arguments(folder, max_steps=10, per_device_train_batch_size=2, optim="adamw_torch", seed=7)
    (folder / "runs").mkdir()
    (folder / "runs" / "events.out.tfevents.1").write_bytes(b"log")
    return folder
