"""How long a run is and how fast it learns: steps of its epochs, learning rate of each step, steps that are indexed.

All in whole numbers and fractions, so that every machine comes to the same steps.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

from abci_app.types import PPB
from trainer.recipe import MAX_STEPS, Recipe, Train

# The order of all rows of a run is held in memory, 8 bytes each and more.
MAX_EXAMPLES = 50_000_000


def steps_of(settings: Train, rows: int) -> int:
    """Steps of a run with so many rows for training, those of all inputs together; more than `MAX_STEPS` may come out.

    An epoch is as many rows as there are for training; the last step of a run is filled up from the next pass.
    """
    if settings.steps is not None:
        return settings.steps
    wanted = Fraction(settings.epochs or 0) * rows
    return max(1, math.ceil(wanted / settings.step_rows))


def fault_of_steps(recipe: Recipe, steps: int) -> str:
    """Why a run of so many steps is none, in words; empty when all is well."""
    if steps > MAX_STEPS:
        return f"train.epochs: {recipe.train.epochs} epochs are {steps} steps, more than {MAX_STEPS}; write fewer"
    if steps * recipe.train.step_rows > MAX_EXAMPLES:
        return (
            f"train: {steps} steps of {recipe.train.step_rows} rows are more than the {MAX_EXAMPLES} rows that this "
            "trainer keeps the order of; lower steps, epochs, batch_size or accumulation"
        )
    wanted = recipe.attribution.checkpoints if recipe.attribution else 0
    if wanted > steps:
        return f"attribution: {wanted} checkpoints of {steps} steps; write fewer"
    return ""


def learning_rate(settings: Train, step: int, steps: int) -> float:
    """Learning rate of a step (0-based)."""
    relative = relative_rate(settings, step, steps)
    # The order of operations decides the last bit.
    return float(settings.learning_rate) * relative.numerator / relative.denominator


def relative_rate(settings: Train, step: int, steps: int) -> Fraction:
    """Linear warm-up, then constant, or falling to zero after the last step; 1 is the full rate."""
    warmup = warmup_steps(settings, steps)
    if step < warmup:
        return Fraction(step + 1, warmup)
    if settings.schedule == "constant":
        return Fraction(1)
    left = Fraction(steps - step, max(1, steps - warmup))
    if settings.schedule == "linear":
        return left
    # In parts per billion: libraries of mathematics differ in the last bit of a cosine.
    return Fraction(round((1 - math.cos(math.pi * left)) / 2 * PPB), PPB)


def warmup_steps(settings: Train, steps: int) -> int:
    """Steps of the warm-up."""
    return settings.warmup_steps or -(-steps * settings.warmup_ppb // PPB)


def indexed_steps(recipe: Recipe, steps: int) -> tuple[int, ...]:
    """After which steps (1-based, increasing) the adapter is kept for attribution.

    What training does to a loss is, to first order, a sum over steps of step size times gradient product (TracIn,
    Pruthi et al. 2020); few points of it are best taken at the middles of equal shares of the summed step sizes.
    """
    if recipe.attribution is None or recipe.method.kind == "full":
        return ()
    count = recipe.attribution.checkpoints
    spent = list(accumulate([relative_rate(recipe.train, step, steps) for step in range(steps)]))
    chosen: list[int] = []
    for part in range(count):
        middle = spent[-1] * (2 * part + 1) / (2 * count)
        found = 1 + _first(spent, middle)
        # Few steps may have several middles in one of them.
        chosen.append(max(min(found, steps - (count - 1 - part)), chosen[-1] + 1 if chosen else 1))
    return tuple(chosen)


def _first(spent: Sequence[Fraction], middle: Fraction) -> int:
    return next(step for step, total in enumerate(spent) if total >= middle)
