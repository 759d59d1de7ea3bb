"""The checkpoint from which an interrupted run goes on: one file, which belongs to one run only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKPOINT_FILE = "checkpoint.safetensors"


@dataclass(slots=True)
class Checkpoint:
    """One safetensors file: adapter, optimizer moments, random state, loss trace, and when the run started.

    Its metadata name the run that it belongs to.
    """

    path: Path
    identity: str
    started_seconds: int

    @classmethod
    def of(cls, folder: Path | None, identity: str, started_seconds: int) -> "Checkpoint | None":
        """The checkpoint of a run in a folder, which is made; None where nothing is kept."""
        if folder is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / CHECKPOINT_FILE, identity, started_seconds)

    def save(self, model: Any, optimizer: Any, trace: Sequence[int]) -> None:
        """Write all that the next step depends on, in the place of what is there."""
        import torch
        from safetensors.torch import save_file

        tensors = {
            "random": torch.get_rng_state(),
            "trace": torch.tensor(trace, dtype=torch.int64),
            "started": torch.tensor([self.started_seconds], dtype=torch.int64),
        }
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            tensors["random_cuda"] = torch.cuda.get_rng_state()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                tensors[f"parameter/{name}"] = parameter.detach().contiguous()
                for key, value in optimizer.state[parameter].items():
                    tensors[f"{key}/{name}"] = value.contiguous()
        incoming = self.path.with_suffix(".incoming")
        save_file(tensors, incoming, metadata={"run": self.identity})
        incoming.replace(self.path)

    def restore(self, model: Any, optimizer: Any) -> list[int]:
        """Load the state if it belongs to this run; returns the losses of the steps done."""
        if not self.path.is_file():
            return []
        from safetensors import SafetensorError

        try:
            return self._restore(model, optimizer)
        except SafetensorError:  # cut short, by a full disk or a power failure: the run starts again
            return []

    def _restore(self, model: Any, optimizer: Any) -> list[int]:
        import torch
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as stored:
            if (stored.metadata() or {}).get("run") != self.identity:
                return []
            keys = set(stored.keys())
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if parameter.requires_grad:
                        parameter.copy_(stored.get_tensor(f"parameter/{name}"))
                        optimizer.state[parameter] = {
                            # AdamW counts its steps on the CPU, and keeps moments beside their numbers.
                            key: stored.get_tensor(f"{key}/{name}").to("cpu" if key == "step" else parameter.device)
                            for key in ("step", "exp_avg", "exp_avg_sq")
                            if f"{key}/{name}" in keys
                        }
            torch.set_rng_state(stored.get_tensor("random"))
            if "random_cuda" in keys:
                torch.cuda.set_rng_state(stored.get_tensor("random_cuda"))
            self.started_seconds = int(stored.get_tensor("started")[0])
            return [int(loss) for loss in stored.get_tensor("trace").tolist()]
