"""Where a run computes: the CPU or CUDA GPUs, in one process or in several that torchrun or accelerate start.

Several processes share each batch: process r of n takes its rows r, r + n, r + 2n …, and gradients are added up in the
order of processes. What a step trains on is the same for any number of them, so the record of a run does not depend on
how it was spread, but for the last bits of its floats. Process 0 prepares, measures, saves and records; the others
compute what it tells them.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

from attribution.numerics import prepare
from openledger.errors import UsageError
from trainer.recipe import Train

T = TypeVar("T")

# The other processes wait while the first one measures and fetches.
_WAIT = timedelta(hours=24)
_SEED_STEP = 1_000_003


@dataclass(frozen=True, slots=True)
class Devices:
    """The device of this process, its number among all of them, and how many there are."""

    name: str = "cpu"
    rank: int = 0
    processes: int = 1

    @property
    def kind(self) -> Literal["cpu", "cuda"]:
        """The kind of all devices of a run."""
        return "cuda" if self.name.startswith("cuda") else "cpu"

    @property
    def words(self) -> str:
        """One phrase for people."""
        device = "the CPU" if self.kind == "cpu" else f"a CUDA GPU ({_gpu_name()})"
        return device if self.processes == 1 else f"{self.processes} processes, each on {device}"

    def autocast(self, settings: Train) -> AbstractContextManager[Any]:
        """A context in which products are computed in the recipe's precision."""
        import torch

        if settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.kind, dtype=torch.bfloat16)

    def share(self, rows: Sequence[T]) -> Sequence[T]:
        """The part of a batch that this process computes."""
        return rows[self.rank :: self.processes]

    def seed_step(self, seed: int, step: int) -> None:
        """Give every process its own random numbers for a step; one process goes on with those that it has."""
        if self.processes > 1:
            import torch

            torch.manual_seed((seed * _SEED_STEP + step) * self.processes + self.rank)

    def add_up(self, parameters: Sequence[Any], loss: Any) -> Any:
        """Add up gradients and loss of all processes in place; returns the loss."""
        if self.processes == 1:
            return loss
        import torch
        from torch import distributed

        with torch.no_grad():
            for parameter in parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)
            total = loss.detach().clone()
            distributed.all_reduce(total)
        return total

    def tell(self, value: Any = None) -> Any:
        """Give what process 0 says to all processes."""
        if self.processes == 1:
            return value
        from torch import distributed

        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]


def rank_and_processes() -> tuple[int, int]:
    """Number of this process and of all, from what torchrun and accelerate set; raises `UsageError` for half of it."""
    try:
        rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    except ValueError as error:
        raise UsageError(f"RANK and WORLD_SIZE in the environment must be numbers ({error}): use torchrun") from error
    if not 0 <= rank < processes:
        raise UsageError(f"RANK {rank} and WORLD_SIZE {processes} contradict each other: use torchrun")
    return rank, processes


def device_of(wanted: str) -> str:
    """Name the device of this process; raises `UsageError` where there is no CUDA GPU and the recipe wants one."""
    prepare()
    import torch

    if wanted == "cpu":
        return "cpu"
    found = torch.cuda.is_available()
    if not found:
        if wanted == "cuda":
            built = "this torch is built for the CPU" if torch.version.cuda is None else "torch sees no CUDA GPU"
            raise UsageError(f"train.device: cuda, but {built}; write auto or cpu, or install torch for CUDA")
        return "cpu"
    number, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= gpus:
        raise UsageError(f"there are {gpus} CUDA GPUs and more processes than that: start one process a GPU")
    return f"cuda:{number}"


@contextmanager
def open_devices(settings: Train) -> Iterator[Devices]:
    """The devices of a run; with several processes, connected until the end of the block."""
    rank, processes = rank_and_processes()
    if processes > settings.batch_size:
        raise UsageError(
            f"train.batch_size: {settings.batch_size} rows for {processes} processes leave some without any; raise it, "
            "or start fewer processes"
        )
    name = device_of(settings.device)
    if processes == 1:
        yield Devices(name)
        return
    import torch
    from torch import distributed

    if name != "cpu":
        torch.cuda.set_device(name)
    try:
        distributed.init_process_group("gloo" if name == "cpu" else "nccl", timeout=_WAIT)
    except (ValueError, RuntimeError) as error:
        text = " ".join(str(error).split())[:200]
        raise UsageError(
            f"the processes of this run do not find each other ({text}): start them by torchrun"
        ) from error
    try:
        yield Devices(name, rank, processes)
        # All end together: who leaves first takes connections away that others still listen to.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _gpu_name() -> str:
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "absent"
