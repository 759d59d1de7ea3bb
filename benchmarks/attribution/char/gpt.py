"""LDS of LGA-1 and of other methods on a character GPT with LoRA, real text, 24 contributors x 20 sequences.

python -m benchmarks.attribution.char.gpt                    main table: 320 retrains, about 5 minutes the first time
python -m benchmarks.attribution.char.gpt --more             also a second corpus, adapter and start, untuned: 480 more
python -m benchmarks.attribution.char.gpt --removal          also: remove what a method names, retrain
python -m benchmarks.attribution.char.gpt --chart FILE.svg   also: a chart of the main table

Retrains are kept in the user's cache and found again by digest, so a stopped measurement goes on. Truth: 100 random
halves of the examples and 60 of the contributors, each trained with two orders of the examples; output of a query is
its mean loss. Intervals: 95 %, bootstrap over queries and subsets.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abci_app.types import PPB
from attribution.lga.features import FeatureSettings, Gradients
from attribution.measure.baselines import (
    CheckpointGradients,
    adam_dot,
    datainf,
    gradient_cosine,
    gradient_dot,
    less,
    tracin,
    whitened,
)
from attribution.measure.brittleness import drawn_rows, loss_increase, top_rows
from attribution.measure.certificate import Certificate, certify
from attribution.measure.lds import Floats
from attribution.measure.lexical import bm25, tf_idf
from attribution.measure.measurement import Protocol, Truth, ceiling, ground_truth, quality
from attribution.measure.plot import chart
from benchmarks.attribution.adapter_gradients import checkpoint_gradients
from benchmarks.attribution.char.model import AdapterRecipe, restore
from benchmarks.attribution.char.task import CharTask
from benchmarks.attribution.corpora import help_topics, standard_library
from benchmarks.attribution.lga import Attributed, adapter_gradients, attribute
from benchmarks.attribution.progress import progress_of
from benchmarks.report import print_table

RELEASE = Protocol(example_subsets=100, contributor_subsets=60)
SHORT = Protocol(example_subsets=50, contributor_subsets=30)
MODEL_SEED = 1
"""Attribution looks at the run with the first order, on everything."""

CHECKPOINTS = 4
REMOVED_ROWS = 24
"""One in twenty."""

SMALL, WHOLE = FeatureSettings(2_048), FeatureSettings(0)
"""The number of codes of the design's table, and nothing left out; recipes get 4,096 at every checkpoint."""


@dataclass(frozen=True)
class MeasuredMethod:
    """One trained model: gradients at all kept steps, and the truth about its task."""

    task: CharTask
    truth: Truth
    model: Any
    steps: dict[str, list[int]]
    training: dict[int, Gradients]
    queries: dict[int, Gradients]
    references: dict[int, CheckpointGradients]

    @classmethod
    def of(cls, task: CharTask, protocol: Protocol) -> "MeasuredMethod":
        """Retrain what is not in the cache, train the model, take all gradients."""
        name = task.corpus.name
        truth = ground_truth(task.cache(), task.corpus.owners, protocol, lambda part: progress_of(f"{name}: {part}"))
        rows = range(len(task.corpus.training))
        all_steps = task.adapter.steps(len(rows))
        steps = {
            "final": [all_steps],
            "1": mass_steps(all_steps, 1),
            "4": mass_steps(all_steps, CHECKPOINTS),
            "4 epochs": [all_steps * (epoch + 1) // CHECKPOINTS for epoch in range(CHECKPOINTS)],
        }
        kept = sorted({step for chosen in steps.values() for step in chosen})
        model, checkpoints = task.train(rows, MODEL_SEED, kept)
        training = adapter_gradients(model, checkpoints, task.training_ids)
        queries = adapter_gradients(model, checkpoints, task.query_ids)
        referred = {*steps["final"], *steps["1"], *steps["4"]}
        references = {
            at.steps: checkpoint_gradients(model, at, task.training_ids, task.query_ids)
            for at in checkpoints
            if at.steps in referred
        }
        restore(model, checkpoints[-1])
        by_step = dict(zip(kept, training, strict=True)), dict(zip(kept, queries, strict=True))
        return cls(task, truth, model, steps, *by_step, references)

    def lga(self, where: str, settings: FeatureSettings | None = None) -> Attributed:
        """LGA-1 with the checkpoints `where`."""
        chosen = self.steps[where]
        return attribute([self.training[step] for step in chosen], [self.queries[step] for step in chosen], settings)

    def referred(self, where: str) -> list[CheckpointGradients]:
        """Whole gradients at the checkpoints `where`."""
        return [self.references[step] for step in self.steps[where]]


def mass_steps(all_steps: int, count: int) -> list[int]:
    """Middles of `count` equal shares of the summed step sizes, which fall linearly to zero.

    What training does is a sum over steps of step size times gradient product (TracIn); with few points it is taken at
    the middle of equal parts of that sum.
    """
    return [round(all_steps * (1 - math.sqrt(1 - (2 * part + 1) / (2 * count)))) for part in range(count)]


def other_methods(measured: MeasuredMethod, *, complete: bool) -> dict[str, Floats]:
    """Scores of everything that is compared with LGA-1, best positions of checkpoints included."""
    final, middle, four = (measured.referred(where) for where in ("final", "1", "4"))
    corpus = measured.task.corpus
    scores = {
        "gradient dot, final": gradient_dot(final[0]),
        "gradient dot, 1 checkpoint": gradient_dot(middle[0]),
        "gradient cosine, 1 checkpoint": gradient_cosine(middle[0]),
        "TF-IDF, 3 to 5 characters": tf_idf(corpus.training, corpus.queries),
        "BM25, 3 to 5 characters": bm25(corpus.training, corpus.queries),
        "DataInf, final": datainf(final[0]),
        "DataInf, 1 checkpoint": datainf(middle[0]),
        "LESS, final": less(final),
        "LESS, 1 checkpoint": less(middle),
        "LESS, 4 checkpoints": less(four),
    }
    if complete:
        scores |= {
            "TracIn, 4 checkpoints": tracin(four),
            "Adam-preconditioned dot, 1 checkpoint": adam_dot(middle[0]),
            "whole inverse per tensor, A and B, 1 checkpoint": whitened(middle[0]),
            "whole inverse per tensor, A and B, 4 checkpoints": np.sum([whitened(at) for at in four], axis=0),
        }
    return scores


def lga_variants(measured: MeasuredMethod, *, complete: bool) -> dict[str, Attributed]:
    """LGA-1 by name of the variant."""
    found = {
        "LGA-1, 1 checkpoint, 2,048 codes": measured.lga("1", SMALL),
        "LGA-1, 1 checkpoint": measured.lga("1"),
        "LGA-1, 4 checkpoints, 2,048 codes each": measured.lga("4", SMALL),
        "LGA-1, 4 checkpoints": measured.lga("4"),
        "LGA-1, final adapter, 2,048 codes": measured.lga("final", SMALL),
    }
    if complete:
        found["LGA-1, ends of 4 epochs"] = measured.lga("4 epochs")
        found["LGA-1, 1 checkpoint, all codes"] = measured.lga("1", WHOLE)
        found["LGA-1, 4 checkpoints, all codes"] = measured.lga("4", WHOLE)
        for damping in (0.1, 0.3, 3.0):
            settings = FeatureSettings(damping_ppb=round(damping * PPB))
            found[f"LGA-1, 4 checkpoints, damping {damping}"] = measured.lga("4", settings)
    return found


def print_quality(measured: MeasuredMethod, title: str, *, complete: bool) -> dict[str, Attributed]:
    """The table of LDS; returns the variants of LGA-1."""
    variants = lga_variants(measured, complete=complete)
    best = ceiling(measured.truth)
    rows: list[Sequence[object]] = [["seed-to-seed agreement of the truth", "", best.examples, best.contributors]]
    for name, scores in other_methods(measured, complete=complete).items():
        found = quality(scores, measured.truth)
        rows.append([name, "", found.examples, found.contributors])
    for name, variant in variants.items():
        found = quality(variant.integer_scores.astype(np.float64), measured.truth)
        rows.append([name, variant.index.map.code_count, found.examples, found.contributors])
    print_table(title, ["method", "codes", "LDS, examples", "LDS, contributors"], rows)
    return variants


def print_lead(measured: MeasuredMethod, variants: dict[str, Attributed]) -> None:
    """By how much LGA-1 is ahead of each other method, over the same resamples."""
    ours = quality(variants["LGA-1, 1 checkpoint, 2,048 codes"].integer_scores.astype(np.float64), measured.truth)
    rows = []
    for name, scores in other_methods(measured, complete=False).items():
        theirs = quality(scores, measured.truth)
        rows.append([name, ours.examples.minus(theirs.examples), ours.contributors.minus(theirs.contributors)])
    print_table(
        "LGA-1 with 1 checkpoint and 2,048 codes minus other methods, LDS", ["method", "examples", "contributors"], rows
    )


def print_quantisation(measured: MeasuredMethod, variants: dict[str, Attributed]) -> None:
    """Print the effect of integers: LDS, and shares of contributors."""
    owners = np.array(measured.task.corpus.owners)
    rows = []
    for name in ("LGA-1, 1 checkpoint, 2,048 codes", "LGA-1, 1 checkpoint", "LGA-1, 4 checkpoints"):
        variant = variants[name]
        exact = quality(variant.integer_scores.astype(np.float64), measured.truth)
        floats = quality(variant.float_scores, measured.truth)
        apart = np.abs(
            _shares(variant.integer_scores.astype(np.float64), owners) - _shares(variant.float_scores, owners)
        )
        rows.append([
            name,
            f"{exact.examples.value - floats.examples.value:+.5f}",
            f"{exact.contributors.value - floats.contributors.value:+.5f}",
            f"{apart.sum(axis=0).mean():.6f}",
            f"{apart.sum(axis=0).max():.6f}",
        ])  # fmt: skip
    columns = ["method", "LDS, examples", "LDS, contributors", "shares, L1, mean", "shares, L1, largest"]
    print_table("int16 codes minus floats", columns, rows)


def _shares(scores: Floats, owners: Any) -> Floats:
    """Parts of the positive scores by owner [owners, queries]: scores are summed by owner first."""
    by_owner = np.stack([scores[owners == owner].sum(axis=0) for owner in sorted(set(owners.tolist()))])
    positive = np.maximum(by_owner, 0)
    shares: Floats = positive / np.maximum(positive.sum(axis=0), np.finfo(np.float64).tiny)
    return shares


def certificate_of(measured: MeasuredMethod, variants: dict[str, Attributed]) -> Certificate:
    """Certificate that a recorded run would carry: LGA-1 first, then the methods that it is compared with."""
    scores = {name: found.integer_scores.astype(np.float64) for name, found in variants.items()}
    scores |= other_methods(measured, complete=False)
    corpus = measured.task.corpus
    return certify(corpus.name, measured.task, len(corpus.contributors), RELEASE, measured.truth, scores)


def print_removal(measured: MeasuredMethod, variants: dict[str, Attributed]) -> None:
    """Remove the 24 rows that a method names for a query, retrain with both orders."""
    total = len(measured.task.corpus.training)
    queries = list(range(0, len(measured.task.corpus.queries), 3))
    others = other_methods(measured, complete=False)
    chosen = {name: top_rows(others[name], REMOVED_ROWS) for name in ("gradient dot, 1 checkpoint",)}
    chosen |= {
        name: top_rows(others[name], REMOVED_ROWS) for name in ("BM25, 3 to 5 characters", "LESS, 4 checkpoints")
    }
    for name in ("LGA-1, 1 checkpoint, 2,048 codes", "LGA-1, 4 checkpoints"):
        chosen[name] = top_rows(variants[name].integer_scores.astype(np.float64), REMOVED_ROWS)
    chosen["drawn at random"] = drawn_rows(total, REMOVED_ROWS)
    rows = []
    for name, removed in chosen.items():
        progress = progress_of(f"without what {name} names")
        found = loss_increase(measured.task.cache(), total, removed, queries, RELEASE.seeds, progress)
        rows.append([name, f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"])
    title = f"Brittleness: loss of a query after removing {REMOVED_ROWS} of {total} rows, {len(queries)} queries"
    print_table(title, ["rows named by", "increase, nats"], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--more", action="store_true", help="second corpus, second adapter, start drawn anew")
    parser.add_argument("--removal", action="store_true", help="remove what a method names and retrain")
    parser.add_argument("--chart", type=Path, help="write the main table as a chart into this SVG file")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measured = MeasuredMethod.of(CharTask.open(standard_library(), AdapterRecipe()), RELEASE)
    print(f"1 checkpoint: step {measured.steps['1']}; 4: {measured.steps['4']}; of {measured.steps['final'][0]}")
    title = "Standard library, 24 modules; LoRA rank 4 on qkv, proj, fc1, fc2; 100 + 60 halves x 2 orders"
    variants = print_quality(measured, title, complete=True)
    print_lead(measured, variants)
    print_quantisation(measured, variants)
    if options.chart:
        options.chart.write_text(chart(certificate_of(measured, variants)), encoding="utf-8")
    if options.removal:
        print_removal(measured, variants)
    if options.more:
        other = MeasuredMethod.of(CharTask.open(help_topics(), AdapterRecipe()), RELEASE)
        print_quality(
            other, "Help topics, 24 topics; same adapter, untuned; 100 + 60 halves x 2 orders", complete=False
        )
        small = AdapterRecipe(rank=8, alpha=16, modules=("fc1", "qkv"))
        other = MeasuredMethod.of(CharTask.open(standard_library(), small), SHORT)
        print_quality(other, "Standard library; LoRA rank 8 on qkv, fc1; 50 + 30 halves x 2 orders", complete=False)
        other = MeasuredMethod.of(CharTask.open(standard_library(), AdapterRecipe(start=None)), SHORT)
        print_quality(other, "Standard library; each retrain from another start; 50 + 30 halves x 2", complete=False)


if __name__ == "__main__":
    main()
