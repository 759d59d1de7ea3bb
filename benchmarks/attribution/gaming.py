"""Gain from cheating: garbage, copies under a second name, one's data over ten names; on real gradients.

    python -m benchmarks.attribution.gaming [--threads N]      about five minutes on one core

The task of `char_gpt`: 24 contributors x 20 sequences, 72 queries. Payout: positive scores alone (kappa 1, no cap), the
policy under which cheating pays best; shares by integer codes, means over all queries and over three orders of
training. Rows are clipped unless owners are named as the unit. Gradient dot is the reference: raw gradients, owners
clipped.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from abci_app.integers.shares import OWNER, PayoutPolicy, credits_of, payout_shares
from abci_app.types import PPB
from attribution.measure.baselines import gradient_dot
from attribution.measure.lds import Floats
from attribution.measure.measurement import ground_truth, quality
from attribution.payout.clusters import (
    ClusterPolicy,
    ClusterRow,
    Clusters,
    cluster_rows,
    credited_scores,
    flat_weights,
)
from benchmarks.attribution.adapter_gradients import checkpoint_gradients
from benchmarks.attribution.char.gpt import RELEASE, mass_steps
from benchmarks.attribution.char.model import AdapterRecipe, encode, train_adapter
from benchmarks.attribution.char.task import CharTask
from benchmarks.attribution.corpora import ALPHABET, SEQUENCE_CHARACTERS, standard_library
from benchmarks.attribution.lga import adapter_gradients, attribute
from benchmarks.attribution.progress import progress_of
from benchmarks.report import print_table

ORDERS = (1, 2, 3)
ROWS = 20
# Contributors whose data is copied or split, one at a time.
VICTIMS = (0, 7, 14, 21)
POOL = bytes(32)
ATTRIBUTION_ONLY = PayoutPolicy(PPB, 0, PPB, 0, POOL)
HALF_FLAT = PayoutPolicy(PPB // 2, PPB // 2, PPB, 0, POOL)
OWNERS_CLIPPED = replace(ATTRIBUTION_ONLY, score_unit=OWNER)


def name(number: int) -> bytes:
    """A contributor's address."""
    return (number + 1).to_bytes(32, "big")


@dataclass(frozen=True)
class GamingRun:
    """Rows with owners, trained on together: integer scores and gradient dot products [rows, queries], codes."""

    texts: Sequence[str]
    owners: list[bytes]
    integers: "np.ndarray[tuple[int, int], np.dtype[np.int64]]"
    dots: Floats
    codes: "np.ndarray[tuple[int, int], np.dtype[np.int16]]"

    @classmethod
    def of(cls, task: CharTask, texts: Sequence[str], owners: list[bytes], order: int, count: int = 1) -> "GamingRun":
        """Fine-tune on the texts in this order, and attribute all queries at `count` checkpoints."""
        ids = encode(texts)
        steps = mass_steps(task.adapter.steps(len(ids)), count)
        model, checkpoints = train_adapter(task.base, ids, task.adapter, order, steps)
        found = attribute(
            adapter_gradients(model, checkpoints, ids), adapter_gradients(model, checkpoints, task.query_ids)
        )
        reference = checkpoint_gradients(model, checkpoints[0], ids, task.query_ids)
        return cls(texts, owners, found.integer_scores, gradient_dot(reference), found.index.codes)

    def clusters(self, *, by_codes: bool) -> Clusters:
        """Copies among the rows, characters taken as tokens."""
        rows = [
            ClusterRow((number, 0), text.encode(), tuple(map(ord, text)), owner)
            for number, (text, owner) in enumerate(zip(self.texts, self.owners, strict=True))
        ]
        return cluster_rows(rows, ClusterPolicy(), self.codes if by_codes else None)

    def shares(
        self, whose: Sequence[bytes], clusters: Clusters, *, dot: bool = False, policy: PayoutPolicy = ATTRIBUTION_ONLY
    ) -> Floats:
        """Part of some owners together, of every query."""
        scores = np.rint(self.dots * 2**40).astype(np.int64) if dot else self.integers
        weights = flat_weights(self.owners, clusters)
        policy = OWNERS_CLIPPED if dot else policy
        paid = (
            payout_shares(
                credits_of(credited_scores(line.tolist(), self.owners, clusters), policy.score_unit), weights, policy
            )
            for line in scores.T
        )
        return np.array([sum(shares.of(owner) for owner in whose) / PPB for shares in paid])

    @property
    def apart(self) -> Clusters:
        """Every row credited, copies too."""
        return Clusters(len(self.owners), ())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    torch.set_num_threads(parser.parse_args().threads)
    task = CharTask.open(standard_library(), AdapterRecipe())
    owners = [name(owner) for owner in task.corpus.owners]
    honest = {order: GamingRun.of(task, task.corpus.training, owners, order) for order in ORDERS}
    garbage(task, owners)
    copies(task, owners, honest)
    split(task, honest)
    fidelity(task, honest)
    cosines(task, owners, honest)


def garbage(task: CharTask, owners: list[bytes]) -> None:
    """A contributor of random characters beside 24 honest ones."""
    drawn = random.Random(20_261_121)
    noise = ["".join(drawn.choices(ALPHABET, k=SEQUENCE_CHARACTERS)) for _ in range(ROWS)]
    rows = []
    for count in (1, 4):
        texts, all_owners = [*task.corpus.training, *noise], owners + [name(99)] * ROWS
        runs = [GamingRun.of(task, texts, all_owners, order, count) for order in ORDERS]
        cases = [("LGA-1, attribution alone", False, ATTRIBUTION_ONLY), ("LGA-1, half of it flat", False, HALF_FLAT)]
        cases += [("LGA-1, attribution alone, owners clipped", False, OWNERS_CLIPPED)]
        cases += [("gradient dot, attribution alone", True, ATTRIBUTION_ONLY)] if count == 1 else []
        for what, dot, policy in cases:
            got = np.concatenate([run.shares([name(99)], run.apart, dot=dot, policy=policy) for run in runs])
            rows.append([what, count, f"{got.mean():.2%}", f"{got.std() / len(got) ** 0.5:.2%}", f"{got.max():.2%}"])
    title = f"Garbage: share of 20 random rows; flat share {1 / 25:.2%}"
    print_table(title, ["payout", "checkpoints", "mean", "standard error", "worst query"], rows)


def copies(task: CharTask, owners: list[bytes], honest: dict[int, GamingRun]) -> None:
    """A second name with the rows of another, registered later: verbatim, and with characters replaced."""
    cases: dict[str, list[float]] = {}
    found: dict[str, list[int]] = {}
    for order, victim in ((order, victim) for order in ORDERS for victim in VICTIMS):
        mine = [text for text, owner in zip(task.corpus.training, owners, strict=True) if owner == name(victim)]
        pair = [name(victim), name(99)]
        own = [index for index, owner in enumerate(task.corpus.query_owners) if owner == victim]
        alone = honest[order].shares(pair, honest[order].apart)
        dot_alone = honest[order].shares(pair, honest[order].apart, dot=True)
        for what, replaced in (("verbatim", 0), ("2 of 49 characters replaced", 2), ("6 of 49 replaced", 6)):
            copied = [changed(text, replaced, number) for number, text in enumerate(mine)]
            run = GamingRun.of(task, [*task.corpus.training, *copied], owners + [name(99)] * ROWS, order)
            before, after = run.clusters(by_codes=False), run.clusters(by_codes=True)
            first = len(owners)
            found.setdefault(f"{what}: found before training", []).append(_copies_from(before, first))
            found.setdefault(f"{what}: found by codes as well", []).append(_copies_from(after, first))
            honest_copies = len(after.copies) - _copies_from(after, first)
            found.setdefault("honest rows that codes take for copies, of 480", []).append(honest_copies)
            kept = run.shares(pair, after)
            for label, got, base in (
                ("nothing done, gradient dot", run.shares(pair, run.apart, dot=True), dot_alone),
                ("nothing done", run.shares(pair, run.apart), alone),
                ("trained on, found afterwards, credited once", kept, alone),
            ):
                cases.setdefault(f"{what}: {label}", []).append(got.mean() / base.mean())
                cases.setdefault(f"{what}: {label}, own queries", []).append(got[own].mean() / base[own].mean())
            if _copies_from(before, first) == ROWS:
                # All found before training: they are not trained on, so the run is the one without them.
                again = honest[order].shares(pair, honest[order].apart)
                cases.setdefault(f"{what}: found before training", []).append(again.mean() / alone.mean())
    rows = [[what, f"x {np.mean(values):.3f}", f"x {max(values):.3f}"] for what, values in cases.items()]
    print_table("Copies: share of the pair / share of the first without the copy", ["case", "mean", "worst"], rows)
    rows = [[what, f"{np.mean(values):.1f}", f"{min(values)}", f"{max(values)}"] for what, values in found.items()]
    print_table(f"Copied rows found, of {ROWS}", ["case", "mean", "least", "most"], rows)


def _copies_from(clusters: Clusters, first: int) -> int:
    """Copies among the rows from `first` on."""
    return sum(copy.row >= first for copy in clusters.copies)


def cosines(task: CharTask, owners: list[bytes], honest: dict[int, GamingRun]) -> None:
    """How alike codes of different rows are, and of a row and its changed copy."""
    apart = _cosines(honest[ORDERS[0]].codes)[np.triu_indices(len(owners), 1)]
    rows = [
        ["two rows of the corpus", f"{np.median(apart):.2f}", f"{np.quantile(apart, 0.999):.2f}", f"{apart.max():.2f}"]
    ]
    mine = task.corpus.training[:ROWS]
    for replaced in (0, 1, 2, 4, 6):
        copied = [changed(text, replaced, number) for number, text in enumerate(mine)]
        run = GamingRun.of(task, [*task.corpus.training, *copied], owners + [name(99)] * ROWS, ORDERS[0])
        alike = np.diagonal(_cosines(run.codes)[:ROWS, len(owners) :])
        rows.append(
            [
                f"a row, and {replaced} of 49 replaced",
                f"{np.median(alike):.2f}",
                f"{alike.min():.2f}",
                f"{alike.max():.2f}",
            ]
        )
    print_table("Cosine of codes", ["pair", "median", "99.9 %, or least", "largest"], rows)


def _cosines(codes: "np.ndarray[tuple[int, int], np.dtype[np.int16]]") -> Floats:
    lengths = np.linalg.norm(codes.astype(np.float64), axis=1, keepdims=True)
    unit: Floats = codes.astype(np.float64) / lengths
    return np.asarray(unit @ unit.T)


def changed(text: str, count: int, seed: int) -> str:
    """Some characters replaced."""
    drawn = random.Random(seed)
    letters = list(text)
    for place in drawn.sample(range(len(letters)), count):
        letters[place] = drawn.choice([letter for letter in ALPHABET if letter != letters[place]])
    return "".join(letters)


def split(task: CharTask, honest: dict[int, GamingRun]) -> None:
    """One contributor's rows over ten names; nobody knows that they are one."""
    cases: dict[str, list[float]] = {}
    for order, victim in ((order, victim) for order in ORDERS for victim in VICTIMS):
        run = honest[order]
        mine = [index for index, owner in enumerate(run.owners) if owner == name(victim)]
        owners = list(run.owners)
        for place, index in enumerate(mine):
            owners[index] = name(100 + place // 2)
        ten = GamingRun(run.texts, owners, run.integers, run.dots, run.codes)
        names = [name(100 + number) for number in range(10)]
        for what, policy in (("rows clipped", ATTRIBUTION_ONLY), ("owners clipped", OWNERS_CLIPPED)):
            one, split_up = (
                each.shares(whose, each.apart, policy=policy) for each, whose in ((run, [name(victim)]), (ten, names))
            )
            cases.setdefault(what, []).append(split_up.mean() / one.mean())
            cases.setdefault(f"{what}, best single query", []).append(float((split_up - one).max()))
    rows = [[what, f"{np.mean(values):.6f}", f"{max(values):.6f}"] for what, values in cases.items()]
    print_table(
        "Data over ten names: their share / that of one name; gain in the best query", ["case", "mean", "worst"], rows
    )


def fidelity(task: CharTask, honest: dict[int, GamingRun]) -> None:
    """Whether shares follow the truth: contributor-LDS of what owners are paid, against the retrains of `char_gpt`."""
    truth = ground_truth(task.cache(), task.corpus.owners, RELEASE, progress_of)
    rows: list[list[object]] = []
    owners = [name(owner) for owner in task.corpus.owners]
    for what, policy in (("rows clipped", ATTRIBUTION_ONLY), ("owners clipped", OWNERS_CLIPPED)):
        run = honest[ORDERS[0]]
        by_owner = {owner: run.shares([owner], run.apart, policy=policy) for owner in sorted(set(owners))}
        of_rows = np.stack([by_owner[owner] for owner in owners])
        rows.append([f"shares, {what}", quality(of_rows, truth).contributors])
    whole = quality(honest[ORDERS[0]].integers.astype(np.float64), truth)
    rows.append(["scores, negative ones too", whole.contributors])
    print_table("Contributor-LDS of payouts", ["what predicts the loss", "LDS"], rows)


if __name__ == "__main__":
    main()
