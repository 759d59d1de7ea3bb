"""Before compute is spent: the passes over each input that a recipe comes to, and how long it takes on this machine.

Time is measured, not guessed: a step or two of the run itself, on its first rows, whose results are thrown away, and
of the index one layer of each size (`trainer.index_pace`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from attribution.adapted_model import open_base
from attribution.text_tokens import open_tokenizer, padding_id
from trainer.base_check import open_skeleton, target_layers
from trainer.devices import Devices
from trainer.environment import make_deterministic
from trainer.examples import read_tokens
from trainer.index_pace import fitting_seconds, time_layer
from trainer.method import Lora
from trainer.optimise import optimise
from trainer.partition import rows_used
from trainer.train import PreparedRun
from trainer.trainee import make_trainee
from trainer.watch import StepFacts, Watch

# Batches of a step that are measured; more take as long each.
_MEASURED_BATCHES = 2
# Measuring a held-out row has no backward pass, and rows of an index are computed once and a little more.
_FORWARD_PART, _INDEX_PASSES = 1 / 3, 1.2
_MINUTE, _HOUR, _TENS = 60, 3_600, 10


def length_line(prepared: PreparedRun) -> str:
    """How many steps the run has, and how often it passes over the rows of each input."""
    settings = prepared.recipe.train
    size = f"{settings.batch_size}"
    if settings.accumulation > 1:
        size = f"{settings.batch_size} x {settings.accumulation}"
    passes = []
    for index, (dataset, partition) in enumerate(zip(prepared.recipe.datasets, prepared.partitions, strict=True)):
        consumed = sum(example.input_index == index for example in prepared.order)
        epochs = consumed / len(partition.training)
        passes.append(f"{epochs:.2f} epochs of {dataset.datanet}" + _unused(prepared, index, len(partition.training)))
    asked = f"{settings.epochs} epochs are " if settings.steps is None else ""
    return f"length: {asked}{prepared.steps:,} steps of {size} rows: {'; '.join(passes)}"


def _unused(prepared: PreparedRun, index: int, rows: int) -> str:
    left = rows - len(rows_used(prepared.order, index))
    return f" ({left:,} of {rows:,} rows for training are never reached)" if left else ""


@dataclass
class _Clock(Watch):
    """Notes when each step is done."""

    began: float = 0.0
    seconds: list[float] = field(default_factory=list)

    def step(self, facts: StepFacts) -> None:
        """See base."""
        now = time.monotonic()
        self.seconds.append(now - self.began)
        self.began = now


def time_line(prepared: PreparedRun, base_folder: Path, devices: Devices, processes: int = 1) -> str:
    """Say how long the run takes, from a step or two of it that are computed now."""
    settings = prepared.recipe.train
    step_seconds, measured = _measure_step(prepared, base_folder, devices)
    step_seconds /= processes
    row_seconds = step_seconds / settings.step_rows
    training = step_seconds * prepared.steps
    parts = [f"{prepared.steps:,} steps {words_of_seconds(training)} ({step_seconds:.2g} s a step)"]
    if prepared.held_out:
        parts.append(
            f"{len(prepared.held_out)} held-out rows, before and after, "
            f"{words_of_seconds(2 * len(prepared.held_out) * row_seconds * _FORWARD_PART)}"
        )
    wanted = prepared.recipe.attribution
    if wanted is not None and "lga-1" in wanted.methods:
        # It is built by one process on the CPU, in float32, however training went.
        is_same = devices.kind == "cpu" and settings.precision == "float32"
        indexed_row_seconds = row_seconds * processes if is_same else _measure_cpu_row(prepared, base_folder)
        parts.append(_index_words(prepared, base_folder, wanted.checkpoints, indexed_row_seconds))
    share = "" if processes == 1 else f", divided by {processes} processes"
    return f"time, about: {'; '.join(parts)}; estimated from {measured} measured on {devices.words}{share}"


def _index_words(prepared: PreparedRun, base_folder: Path, checkpoints: int, row_seconds: float) -> str:
    """How long the index takes: a pass over the rows, and what is fitted for every layer at every checkpoint."""
    rows = sum(len(rows_used(prepared.order, index)) for index in range(len(prepared.recipe.datasets)))
    method = prepared.recipe.method
    assert isinstance(method, Lora), "a full fine-tune has no such index"
    layers = target_layers(open_skeleton(base_folder), method.target_modules)
    outputs = [out for out, _ in layers.values()]
    timed = {size: time_layer(size, method.rank, prepared.recipe.train.threads) for size in sorted(set(outputs))}
    passes = rows * checkpoints * row_seconds * _INDEX_PASSES
    fitting = fitting_seconds(outputs, timed, rows=rows, checkpoints=checkpoints)
    points = f"{checkpoints} checkpoint{'' if checkpoints == 1 else 's'}"
    return (
        f"index of {rows:,} rows {words_of_seconds(passes + fitting)} ({words_of_seconds(fitting)} of it for "
        f"{len(outputs)} layers at {points})"
    )


def _measure_cpu_row(prepared: PreparedRun, base_folder: Path) -> float:
    """Seconds of one row in float32 on the CPU."""
    settings = msgspec.structs.replace(
        prepared.recipe.train, batch_size=1, accumulation=1, precision="float32", device="cpu"
    )
    recipe = msgspec.structs.replace(prepared.recipe, train=settings)
    return _measure_step(replace(prepared, recipe=recipe), base_folder, Devices())[0]


def _measure_step(prepared: PreparedRun, base_folder: Path, devices: Devices) -> tuple[float, str]:
    """Seconds of one step of the run, and what was measured, in words."""
    recipe = prepared.recipe
    batches = min(_MEASURED_BATCHES, recipe.train.accumulation)
    part = batches / recipe.train.accumulation
    steps = min(2, prepared.steps)
    settings = msgspec.structs.replace(
        recipe.train, steps=steps, epochs=None, accumulation=batches, warmup_steps=0, warmup_ppb=0
    )
    short = msgspec.structs.replace(recipe, train=settings)
    rows = prepared.order[: steps * settings.step_rows]
    make_deterministic(settings.seed, settings.threads)
    tokenizer = open_tokenizer(base_folder)
    # Without the adapter that is continued: its numbers do not change how long a step takes.
    model = make_trainee(open_base(base_folder), short, None).to(devices.name)
    clock = _Clock(began=time.monotonic())
    optimise(model, short, read_tokens(tokenizer, settings, rows), padding_id(tokenizer), devices=devices, watch=clock)
    what = f"{steps} step{'s' if steps > 1 else ''}" + ("" if part == 1 else f" of {batches} batches each")
    # The first one also fills caches.
    return _last(clock.seconds) / part, what


def _last(seconds: Sequence[float]) -> float:
    return max(seconds[-1], 1e-6)


def words_of_seconds(seconds: float) -> str:
    """A rough time in words."""
    if seconds < _TENS:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"
