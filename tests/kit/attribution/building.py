"""A small language model without transformers, and examples for it: builds take a tenth of a second.

Run as a program (arguments: folder, plans as JSON), it builds in forked processes that are killed, or that work
together, and prints the roots: see `test_index_build`.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from attribution.lga.features import FeatureSettings
from attribution.lga.index.build import build_index
from attribution.lga.index.plan import IndexSettings, TrainingExample
from attribution.lga.index.reader import GradientIndex
from attribution.lga.index.sharding import Shard
from attribution.loss import Tokens

VOCABULARY = 12
MODULES = ["first", "second"]
# Enough codes to tell copies from chance.
ALL_CODES = FeatureSettings(0, directions=VOCABULARY)
SETTINGS = IndexSettings(FeatureSettings(12, directions=3), piece_examples=4, batch_examples=3, basis_examples=8)
KILLED = 137
# Of another owner and registered later.
ORIGINAL, COPY = 4, 17


class SmallModel(torch.nn.Module):
    """Predicts the next token from the mean of the tokens so far, through two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, 6)
        self.first = torch.nn.Linear(6, 5, bias=False)
        self.second = torch.nn.Linear(5, VOCABULARY, bias=False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        hidden = self.embedding(input_ids) * attention_mask.unsqueeze(-1)
        places = torch.arange(1, input_ids.shape[1] + 1).reshape(1, -1, 1)
        means = hidden.cumsum(dim=1) / places
        return SimpleNamespace(logits=self.second(torch.tanh(self.first(means))))


def checkpoints(folder: Path, count: int = 2) -> list[Path]:
    """Random weights, one file a checkpoint."""
    paths = []
    for number in range(count):
        torch.manual_seed(number)
        path = folder / f"weights-{number}.safetensors"
        save_file(SmallModel().state_dict(), path)
        paths.append(path)
    return paths


def model_of(path: Path) -> SmallModel:
    """The model with the weights of a checkpoint."""
    model = SmallModel()
    model.load_state_dict(load_file(path))
    return model


def examples(count: int = 18, owners: int = 3) -> list[TrainingExample]:
    """Examples in no particular order, of a few owners; number COPY says what ORIGINAL said."""
    generator = torch.Generator().manual_seed(3)
    made: list[TrainingExample] = []
    for number in range(count):
        length = int(torch.randint(3, 9, (1,), generator=generator))
        ids = torch.randint(0, VOCABULARY, (length,), generator=generator).tolist()
        names = [sha256(f"{kind} {number}".encode()).digest() for kind in ("leaf", "contribution")]
        owner = sha256(f"owner {number % owners}".encode()).digest()
        tokens = Tokens(tuple(ids), number % 2) if number != COPY else made[ORIGINAL].tokens
        made.append(TrainingExample(tokens, names[0], names[1], owner, (number, 0)))
    return made


def build(folder: Path, count: int = 18, **changes: Any) -> GradientIndex:
    """The index of the examples in `folder`/index; changes are fields of the settings, or `shard` and `progress`."""
    others: dict[str, Any] = {"shard": Shard()}
    others |= {name: changes.pop(name) for name in ("shard", "progress", "source", "say") if name in changes}
    settings = replace(SETTINGS, **changes)
    paths = sorted(folder.glob("weights-*.safetensors")) or checkpoints(folder)
    return build_index(examples(count), paths, model_of, settings, folder / "index", module_names=MODULES, **others)


def in_child(work: Callable[[], object]) -> int:
    """Run in a forked process; returns the id of the process."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - the exit status is all that leaves a child
        print(f"child: {error!r}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def status_of(child: int) -> int:
    """128 + signal, or the exit status."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 128 - code if code < 0 else code


def die_at(step: int, *, after: bool) -> None:
    """Kill this process before or after the file number `step` (from 0) takes its place."""
    place = Path.replace
    count = iter(range(10**9))

    def counted(self: Path, target: Path) -> Path:
        number = next(count)
        if number == step and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = place(self, target)
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Path.replace = counted  # type: ignore[method-assign,assignment]


def killed_build(folder: Path, step: int, after: bool) -> None:
    """Go on with a build, and die on the way."""
    die_at(step, after=after)
    build(folder)


def worker(folder: Path, rank: int, plan: dict[str, Any]) -> None:
    """One of several processes that build together; the others begin once the one to be killed is at its first task."""
    killed = plan.get("killed_worker")
    if rank == killed:
        die_at(0, after=False)
    while killed not in (None, rank) and not any(folder.glob("index-work/**/*.lock")):
        time.sleep(0.01)
    build(folder, shard=Shard(rank, plan["workers"]))


def outcome(folder: Path, plan: dict[str, Any]) -> dict[str, object]:
    """Carry out one plan in a folder of its own."""
    folder.mkdir()
    checkpoints(folder)
    kills = [partial(killed_build, folder, step, after) for step, after in plan.get("kills", [])]
    statuses = [status_of(in_child(kill)) for kill in kills]
    children = [in_child(partial(worker, folder, rank, plan)) for rank in range(plan.get("workers", 0))]
    statuses += [status_of(child) for child in children]
    root = build(folder).root.hex()
    return {"statuses": statuses, "root": root, "left": sorted(path.name for path in folder.iterdir())}


def main() -> None:
    """Plans by name: {"kills": [[step, after]...], "workers": n, "killed_worker": rank}."""
    torch.set_num_threads(1)
    folder, plans = Path(sys.argv[1]), json.loads(sys.argv[2])
    (folder / "first").mkdir()
    build(folder / "first")  # what torch loads late is then there in every child
    print(json.dumps({name: outcome(folder / name, plan) for name, plan in plans.items()}))


if __name__ == "__main__":
    main()
