"""Measuring how good the attribution of a recorded run is: the run trained again on halves of its rows.

The task: everything that decides the run stays (recipe, base, adapter to continue, passes over the rows), but only some
of its credited rows take part, so a retrain on half of them has about half of the steps. The order of the rows and a
fresh adapter come from the retrain's seed. Queries are held-out rows of the recipe; their losses are what the scores
have to foretell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from abci_app.module import Message
from abci_app.modules.models.records import EvaluationDraft, RecordEvaluations
from attribution.adapted_model import open_base
from attribution.explanation.explainer import Explainer
from attribution.explanation.facts import KnownEntries
from attribution.lga.gradients import GradientCollector
from attribution.lga.index.reader import GradientIndex
from attribution.lga.query import query_codes
from attribution.lga.scores import row_scores
from attribution.loss import Tokens, example_losses, make_batch
from attribution.measure import baselines, lexical
from attribution.measure.baselines import CheckpointGradients
from attribution.measure.certificate import Certificate
from attribution.text_tokens import padding_id
from openledger.content.artefact import describe_artefact
from openledger.content.store import ContentStore
from openledger.errors import UsageError
from trainer.environment import code_digest, library_versions, make_deterministic
from trainer.examples import read_tokens
from trainer.indexed_rows import IndexedRow, indexed_rows
from trainer.optimise import optimise
from trainer.recipe import Recipe
from trainer.train import PreparedRun
from trainer.trainee import make_trainee

Floats = npt.NDArray[np.float64]
METHOD = "LGA-1"
# Gradients of all rows and queries in memory, for the methods to compare with.
MAX_GRADIENT_BYTES = 4 * 2**30
_BATCH_ROWS = 8


@dataclass(frozen=True)
class MeasuredRun:
    """A recorded run as a task: its rows in the order of the index, queries, and where its models come from."""

    prepared: PreparedRun
    base_folder: Path
    adapter_folder: Path | None
    tokenizer: Any
    rows: tuple[IndexedRow, ...]
    queries: tuple[Tokens, ...]
    query_texts: tuple[str, ...]

    @classmethod
    def of(
        cls, prepared: PreparedRun, base_folder: Path, adapter_folder: Path | None, tokenizer: Any, queries: int
    ) -> "MeasuredRun":
        """Rows of the index and at most `queries` held-out rows; raises `UsageError` when there are too few."""
        rows = indexed_rows(prepared, tokenizer)
        asked = prepared.held_out[:queries]
        held_out = list(zip(asked, read_tokens(tokenizer, prepared.recipe.train, asked), strict=True))
        usable = [(example, tokens) for example, tokens in held_out if tokens.targets]
        owners = {row.contribution.contributor for row in rows}
        if len(rows) < 2 or len(owners) < 2 or not usable:
            raise UsageError(
                f"{len(rows)} rows of {len(owners)} contributors and {len(usable)} held-out rows: measuring needs two, "
                "two and one at least; train on more data with evaluate.rows above 0"
            )
        return cls(
            prepared,
            base_folder,
            adapter_folder,
            tokenizer,
            rows,
            tuple([tokens for _, tokens in usable]),
            tuple([example.plain for example, _ in usable]),
        )

    @property
    def owners(self) -> list[int]:
        """Number of the contributor of every row."""
        names = sorted({row.contribution.contributor for row in self.rows})
        return [names.index(row.contribution.contributor) for row in self.rows]

    @property
    def row_texts(self) -> list[str]:
        """The text of every row that the model saw."""
        return [row.example.plain for row in self.rows]


def calibration_queries(prepared: PreparedRun, tokenizer: Any, count: int) -> tuple[Tokens, ...]:
    """At most `count` rows as queries: held-out ones, then, where these are too few, rows that were trained on."""
    candidates = list(read_tokens(tokenizer, prepared.recipe.train, prepared.held_out[:count]))
    if len(candidates) < count:
        candidates += [row.tokens for row in indexed_rows(prepared, tokenizer)]
    queries = [tokens for tokens in candidates if tokens.targets]
    if not queries:
        raise UsageError("no row of the recipe predicts a token: there is nothing to ask with")
    return tuple(queries[:count])


class RetrainRun:
    """`attribution.measure.retrain.RetrainTask` over a recorded run; one base model serves all retrains."""

    def __init__(self, run: MeasuredRun) -> None:
        self.run = run
        make_deterministic(0, run.prepared.recipe.train.threads)
        self.model = make_trainee(open_base(run.base_folder), run.prepared.recipe, run.adapter_folder)
        self._continued = {name: value.clone() for name, value in self._trained()} if run.adapter_folder else None
        numbers = {row.key: number for number, row in enumerate(run.rows)}
        keys = [(example.row.contribution_id, example.row.leaf) for example in run.prepared.order]
        self._order = [numbers[key] for key in keys if key in numbers]

    def recipe(self) -> Mapping[str, object]:
        """Everything that decides a result."""
        run = self.run
        tokens = [
            [list(item.ids), item.prompt_length, item.passed]
            for item in (*[row.tokens for row in run.rows], *run.queries)
        ]
        return {
            "recipe": run.prepared.recipe.digest().hex(),
            "base": describe_artefact(run.base_folder).tensor_digest.hex(),
            "adapter": describe_artefact(run.adapter_folder).tensor_digest.hex() if run.adapter_folder else "",
            "order": self._order,
            "tokens": sha256(repr(tokens).encode()).hexdigest(),
            "code": code_digest(),
            "libraries": library_versions(),
        }

    def train_and_measure(self, rows: Sequence[int], seed: int) -> Floats:
        """Losses of the queries, nats, float64 [queries]."""
        self.train(rows, seed)
        return self.losses()

    def train(self, rows: Sequence[int], seed: int) -> Any:
        """Train on these rows alone; returns the optimizer."""
        run = self.run
        make_deterministic(seed, run.prepared.recipe.train.threads)
        self._begin_again()
        kept = set(rows)
        order = _shuffled([number for number in self._order if number in kept], seed)
        recipe = _shortened(run.prepared.recipe, len(order))
        ordered = [run.rows[number].tokens for number in order]
        return optimise(self.model, recipe, ordered, self._padding_id).optimizer

    def losses(self) -> Floats:
        """Loss of every query under the model in its present state."""
        import torch

        self.model.eval()
        found: list[float] = []
        with torch.no_grad():
            for start in range(0, len(self.run.queries), _BATCH_ROWS):
                batch = make_batch(self.run.queries[start : start + _BATCH_ROWS], self._padding_id)
                found += example_losses(self.model, batch).tolist()
        return np.array(found, dtype=np.float64)

    def _begin_again(self) -> None:
        """A fresh adapter from torch's random state, or the one that the run continued."""
        import torch

        if self._continued is not None:
            with torch.no_grad():
                for name, value in self._trained():
                    value.copy_(self._continued[name])
            return
        for module in self.model.modules():
            if hasattr(module, "reset_lora_parameters"):
                module.reset_lora_parameters("default", True)

    def _trained(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.model.named_parameters() if value.requires_grad]

    @property
    def _padding_id(self) -> int:
        return padding_id(self.run.tokenizer)


def committed_scores(
    explainer: Explainer, index: GradientIndex, run: MeasuredRun, progress: Callable[[int, int], None]
) -> Floats:
    """Scores of the index on the chain, [rows, queries]: exact integers, as floats for ranking only."""
    keys = [(leaf.contribution_id, leaf.row_leaf) for leaf in index.leaves]
    if keys != [row.key for row in run.rows]:
        raise UsageError("the rows of the recipe are not those of the index; was it built by another version?")
    columns = []
    entry_id = explainer.entries.facts.entry_id
    for number, tokens in enumerate(run.queries, 1):
        query = query_codes(explainer.models(entry_id), index.feature_map, tokens, index.precision)
        # Queries have exponents of their own; ranks within a query do not depend on them.
        columns.append(np.ldexp(row_scores(index.codes, query.values).astype(np.float64), -query.exponent))
        progress(number, len(run.queries))
    return np.stack(columns, axis=1)


def compared_scores(task: RetrainRun, progress: Callable[[int, int], None]) -> dict[str, Floats]:
    """Scores of the other methods, [rows, queries], by name, at the end of one training on all rows."""
    run = task.run
    texts, queries = run.row_texts, list(run.query_texts)
    found = {"TF-IDF": lexical.tf_idf(texts, queries), "BM25": lexical.bm25(texts, queries)}
    entries = sum(value.numel() for _, value in task._trained())
    if 8 * entries * (len(run.rows) + len(run.queries)) > MAX_GRADIENT_BYTES:
        return found
    optimizer = task.train(range(len(run.rows)), run.prepared.recipe.train.seed)
    at = _gradients(task, optimizer, progress)
    return found | {
        "gradient dot": baselines.gradient_dot(at),
        "gradient cosine": baselines.gradient_cosine(at),
        "DataInf": baselines.datainf(at),
        "LESS": baselines.less([at]),
    }


def _gradients(task: RetrainRun, optimizer: Any, progress: Callable[[int, int], None]) -> CheckpointGradients:
    """Gradients of all adapter matrices, with Adam's moments."""
    modules = {
        name: module
        for name, module in task.model.named_modules()
        if name.endswith((".lora_A.default", ".lora_B.default"))
    }
    collector = GradientCollector(task.model, tuple(modules))
    items = (*[row.tokens for row in task.run.rows], *task.run.queries)
    collected: dict[str, list[Floats]] = {name: [] for name in modules}
    for number, tokens in enumerate(items, 1):
        for name, value in collector.collect_tokens([tokens], task._padding_id).items():
            collected[name].append(value.double().flatten(start_dim=1).cpu().numpy())
        progress(number, len(items))
    rows = len(task.run.rows)
    training, queries = (
        {name: np.concatenate(values[part]) for name, values in collected.items()}
        for part in (slice(0, rows), slice(rows, None))
    )
    state = {name: optimizer.state[module.weight] for name, module in modules.items()}
    first, second = (
        {name: item[key].double().flatten()[None].cpu().numpy() for name, item in state.items()}
        for key in ("exp_avg", "exp_avg_sq")
    )
    settings = task.run.prepared.recipe.train
    return CheckpointGradients(
        training=training,
        queries=queries,
        first_moments=first,
        second_moments=second,
        steps=task.run.prepared.steps,
        step_size=float(settings.learning_rate),
    )


class QualitySink(Protocol):
    """Where a measurement is recorded; `trainer.publish.ClientLedger` fulfils it."""

    def send(self, message: Message, memo_digest: bytes = b"") -> int:
        """One message in a transaction that binds a document by its digest; returns the height."""


def publish_quality(sink: QualitySink, entries: KnownEntries, certificate: Certificate, store: ContentStore) -> int:
    """Record the certificate's measures as evaluations of the entry, on its largest input; returns the height.

    The certificate lies in the content store under its digest, which the transaction carries as its memo.
    """
    entry_id = entries.facts.entry_id
    largest = max(entries.stored[entry_id].entry.inputs, key=lambda item: item.weight_ppb)
    digest = store.put(certificate.encode())
    drafts = [
        EvaluationDraft(
            entry_id=entry_id,
            benchmark_datanet_id=largest.datanet_id,
            benchmark_version=largest.version,
            metric=metric,
            value=value,
            sample_size=sample_size,
            interval=interval,
        )
        for metric, value, sample_size, interval in certificate.evaluations()
    ]
    return sink.send(RecordEvaluations(tuple(drafts)), digest)


def _shuffled(order: list[int], seed: int) -> list[int]:
    """Order rows by the seed; every row comes as often as before."""
    return [
        number
        for _, number in sorted(
            (sha256(f"openledger/measure/order/{seed}/{place}".encode()).digest(), number)
            for place, number in enumerate(order)
        )
    ]


def _shortened(recipe: Recipe, examples: int) -> Recipe:
    """Steps for so many examples; at least one."""
    steps = max(1, examples // recipe.train.step_rows)
    warmup = min(recipe.train.warmup_steps, steps - 1)
    train = msgspec.structs.replace(recipe.train, steps=steps, epochs=None, warmup_steps=warmup)
    return msgspec.structs.replace(recipe, train=train, attribution=None)
