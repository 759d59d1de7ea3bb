"""The steps of a training run: batches, losses, gradients and AdamW, on one device or several.

What a step minimises is the mean over everything that it takes, however it is divided into batches and processes: what
each example weighs is known before the first batch (trainer.step_loss), and each batch brings its part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from attribution.loss import Tokens
from openledger.errors import OpenLedgerError
from trainer.checkpoint import Checkpoint
from trainer.devices import Devices
from trainer.micronats import to_micronats
from trainer.recipe import Recipe, Train
from trainer.schedule import learning_rate
from trainer.step_loss import check_packing, step_weights, weighed_loss
from trainer.watch import StepFacts, Watch

# step (1-based), steps, loss in nats
Progress = Callable[[int, int, float], None]


class TrainingError(OpenLedgerError):
    """A run cannot start or go on; the text says why and what to do."""


class KeptAdapters(Protocol):
    """Where adapters of indexed steps go."""

    def check(self, steps_done: int) -> None:
        """Adapters of steps that are not run again must be there."""

    def save(self, model: Any, step: int) -> None:
        """Keep the adapter after a step, if it is indexed."""


@dataclass(frozen=True, slots=True)
class Optimised:
    """Loss of every step, and the optimizer with its moments."""

    losses_micronats: list[int]
    optimizer: Any


def optimise(
    model: Any,
    recipe: Recipe,
    ordered: Sequence[Tokens],
    padding_id: int,
    *,
    devices: Devices | None = None,
    checkpoint: Checkpoint | None = None,
    adapters: KeptAdapters | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Optimised:
    """Run all steps on `ordered`, `batch_size` x `accumulation` rows each; one step at least."""
    import torch

    settings, devices = recipe.train, devices or Devices()
    steps = max(1, len(ordered) // settings.step_rows)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(recipe, parameters)
    if settings.packing:
        check_packing(model, ordered, padding_id, torch.device(devices.name))
    model.train()
    trace = checkpoint.restore(model, optimizer) if checkpoint else []
    first, watch = devices.rank == 0, watch or Watch()
    if trace:
        watch.saved(len(trace))
    if adapters and first:
        adapters.check(len(trace))
    for step in range(len(trace), steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step, steps)
        devices.seed_step(settings.seed, step)
        rows = ordered[step * settings.step_rows : (step + 1) * settings.step_rows]
        value = float(_backward(model, settings, rows, padding_id, devices, parameters))
        if value != value or value in (float("inf"), float("-inf")):
            raise TrainingError(f"the loss of step {step + 1} is {value}; lower train.learning_rate")
        torch.nn.utils.clip_grad_norm_(parameters, float(settings.max_gradient_norm), foreach=False)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        trace.append(to_micronats(value))
        if not first:
            continue
        watch.step(
            StepFacts(
                step=step + 1,
                steps=steps,
                loss_nats=value,
                learning_rate=learning_rate(settings, step, steps),
                tokens=sum(len(row.ids) for row in rows),
            )
        )
        if progress:
            progress(step + 1, steps, value)
        if adapters:
            adapters.save(model, step + 1)
        every = settings.checkpoint_steps
        if checkpoint and ((every and (step + 1) % every == 0) or step + 1 == steps):
            checkpoint.save(model, optimizer, trace)
            watch.saved(step + 1)
    return Optimised(trace, optimizer)


def make_optimizer(recipe: Recipe, parameters: Sequence[Any]) -> Any:
    """AdamW over the trained numbers; biases and norms, which are no matrices, never decay."""
    import torch

    settings = recipe.train
    decay = float(settings.weight_decay)
    flat = [parameter for parameter in parameters if parameter.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": [each for each in parameters if each.ndim > 1], "weight_decay": decay}]
    groups += [{"params": flat, "weight_decay": 0.0}] if flat else []
    return torch.optim.AdamW(groups, lr=float(settings.learning_rate), weight_decay=decay, foreach=False)


def _backward(
    model: Any,
    settings: Train,
    rows: Sequence[Tokens],
    padding_id: int,
    devices: Devices,
    parameters: Sequence[Any],
) -> Any:
    """Gradients of one step's loss, added up over its batches and all processes; returns that loss, float64."""
    import torch

    device = torch.device(devices.name)
    weights = step_weights(settings, rows)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for start in range(0, len(rows), settings.batch_size):
        part = slice(start, start + settings.batch_size)
        examples, weighed = devices.share(rows[part]), devices.share(weights[part])
        if examples:
            with devices.autocast(settings):
                part_loss = weighed_loss(model, settings, examples, weighed, padding_id, device)
            part_loss.backward()  # type: ignore[no-untyped-call]
            loss += part_loss.detach()
    return devices.add_up(parameters, loss)
