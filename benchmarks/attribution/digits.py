"""LDS and mislabel AUC of LGA-1 and other methods on handwritten digits: logistic regression and a small network.

python -m benchmarks.attribution.digits

600 training rows, 200 queries, 60 random halves x 2 orders of the rows; output of a query is its cross-entropy. For
the AUC a tenth of the training classes is wrong, and a row's score is its influence on itself. Three strengths of
weight decay for logistic regression: with 0.01 the optimum is reached, with 0.001 training stops on the way there.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from attribution.lga.features import Gradients
from attribution.measure.baselines import (
    CheckpointGradients,
    datainf,
    flat,
    gradient_cosine,
    gradient_dot,
    whitened,
)
from attribution.measure.lds import Floats, area_under_curve, linear_datamodelling_score, seed_ceiling
from attribution.measure.retrain import RetrainCache
from attribution.measure.subsets import half_subsets
from benchmarks.attribution.char.gpt import mass_steps
from benchmarks.attribution.digits_task import LOGISTIC, NETWORK, QUERIES, TRAINING, DigitsRecipe, DigitsTask
from benchmarks.attribution.lga import attribute
from benchmarks.attribution.progress import progress_of
from benchmarks.attribution.storage import cache_folder
from benchmarks.report import print_table

SUBSETS, SEEDS = 60, (1, 2)
FLIPPED_SHARE = 0.1
RECIPES = (replace(LOGISTIC, weight_decay=0.01), replace(LOGISTIC, weight_decay=0.003), LOGISTIC, NETWORK)


def main() -> None:
    """Print both tables."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    lds_rows, auc_rows = [], []
    for recipe in RECIPES:
        title = f"{recipe.name}, weight decay {recipe.weight_decay:g}"
        lds_rows += [[title, *row] for row in lds_of(recipe)]
        auc_rows += [[title, name, f"{value:.4f}"] for name, value in mislabel_auc(recipe).items()]
    print_table(f"LDS, {SUBSETS} halves x {len(SEEDS)} orders", ["task", "method", "codes", "LDS"], lds_rows)
    print_table("Mislabel AUC, 10 % of the classes wrong", ["task", "method", "AUC"], auc_rows)


def lds_of(recipe: DigitsRecipe) -> list[list[object]]:
    """Rows (method, codes, LDS)."""
    task = DigitsTask.open(recipe)
    subsets = half_subsets(TRAINING, SUBSETS)
    cache = RetrainCache(task, cache_folder() / "retrains", QUERIES)
    losses = cache.outputs(subsets, SEEDS, progress_of(recipe.name))
    rows: list[list[object]] = [["seed-to-seed agreement of the truth", "", seed_ceiling(losses)]]
    positions = _positions(task)
    gradients = _gradients(task, {step for chosen in positions.values() for step in chosen})
    for where in ("final", "1 checkpoint(s)"):
        training, queries = gradients[positions[where][0]]
        at = CheckpointGradients(_lines(training), _lines(queries), {}, {}, 0, 1.0)
        scores = {"gradient dot": gradient_dot(at), "gradient cosine": gradient_cosine(at), "DataInf": datainf(at)}
        scores["whole inverse per tensor"] = whitened(at)
        rows += [[f"{name}, {where}", "", _lds(value, subsets, losses)] for name, value in scores.items()]
    for where, steps in positions.items():
        found = attribute([gradients[step][0] for step in steps], [gradients[step][1] for step in steps])
        value = _lds(found.integer_scores.astype(np.float64), subsets, losses)
        rows.append([f"LGA-1, {where}", found.index.map.code_count, value])
    return rows


def mislabel_auc(recipe: DigitsRecipe) -> dict[str, float]:
    """How surely wrong classes stand out by a row's influence on itself, by method."""
    task = DigitsTask.open(recipe, FLIPPED_SHARE)
    wrong = task.flipped.numpy()
    positions = _positions(task)
    gradients = _gradients(task, {step for chosen in positions.values() for step in chosen})
    found: dict[str, float] = {}
    for where, steps in positions.items():
        training = [gradients[step][0] for step in steps]
        codes = attribute(training, [gradients[step][1] for step in steps]).index.codes
        scores = {"gradient dot": sum((flat(_lines(at)) ** 2).sum(axis=1) for at in training)}
        scores["LGA-1"] = (codes.astype(np.float64) ** 2).sum(axis=1)
        found |= {f"{name}, {where}": area_under_curve(value, wrong) for name, value in scores.items()}
    return found


def _positions(task: DigitsTask) -> dict[str, list[int]]:
    """Steps of training at which gradients are taken."""
    every = task.steps(TRAINING)
    return {"final": [every]} | {f"{count} checkpoint(s)": mass_steps(every, count) for count in (1, 4)}


def _gradients(task: DigitsTask, steps: set[int]) -> dict[int, tuple[Gradients, Gradients]]:
    model, states = task.train(range(TRAINING), SEEDS[0], sorted(steps))
    return {step: task.gradients(model, state) for step, state in zip(sorted(steps), states, strict=True)}


def _lines(gradients: Mapping[str, torch.Tensor]) -> dict[str, Floats]:
    return {name: value.reshape(len(value), -1).double().numpy() for name, value in gradients.items()}


def _lds(scores: Floats, subsets: Any, losses: Floats) -> object:
    return linear_datamodelling_score(scores, subsets, losses)


if __name__ == "__main__":
    main()
