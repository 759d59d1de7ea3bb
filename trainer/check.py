"""`openledger train RECIPE --check`: everything that can be known before compute is spent, all of it at once.

The base and its tokenizer are opened, target layers resolved, all rows read, prepared and tokenised as training does,
terms judged by the chain. All problems are collected; one look is enough to mend a recipe.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from abci_app.bech32 import IdError
from attribution.entry import GRADIENTS
from attribution.text_tokens import open_tokenizer
from openledger.content.files import cache_home
from openledger.content.store import ContentStore, calling_content
from openledger.errors import OpenLedgerError, UsageError
from openledger.exit_codes import ExitCode
from trainer.ancestry import KnownEntry, check_adapter_stands_on
from trainer.base_check import examine_base, needs_of, needs_problems, open_skeleton
from trainer.describe import describe_cuts, describe_forms, describe_writing, share
from trainer.devices import device_of
from trainer.examples import Cuts, read_run
from trainer.indexes import policy_of
from trainer.pace import length_line
from trainer.partition import Partition, PartitionError, rows_used
from trainer.recipe import AttributionSection, Dataset, Recipe
from trainer.shown import ending_notes, example_lines
from trainer.steps import Truncate
from trainer.train import PreparedRun, check_vocabulary, prepare_run
from trainer.workflow import ChainReader, LicenceVerdict, artefact_folder, parents_of

T = TypeVar("T")
# Hears in words which part of the work begins.
Stage = Callable[[str], None]


_HEAVIEST = (ExitCode.NOT_VERIFIED, ExitCode.REFUSED, ExitCode.NOT_FOUND)


class CheckFailed(UsageError):
    """Several things are wrong, a line for each."""

    def __init__(self, errors: list[OpenLedgerError]) -> None:
        super().__init__("\n  ".join([f"{len(errors)} things are wrong", *map(str, errors)]))
        self.problems = tuple(map(str, errors))
        codes = {error.exit_code for error in errors}
        # Data or files that are not what the chain records outweigh everything; a rule that says no outweighs what is
        # missing (the rows of a revoked version may be gone, too) and a recipe that needs mending.
        self.exit_code = next((code for code in _HEAVIEST if code in codes), UsageError.exit_code)


@dataclass
class _Findings:
    """Everything that is found about a recipe; `errors` forbid the run."""

    errors: list[OpenLedgerError] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    # Hears at which part of the check it is.
    stage: Stage = field(default=lambda _: None)

    def tried(self, attempt: Callable[[], T]) -> T | None:
        """The result of an attempt, or None and its errors."""
        try:
            return attempt()
        except PartitionError as error:
            self.errors.extend([PartitionError(problem) for problem in error.problems])
        except OpenLedgerError as error:
            self.errors.append(error)
        except IdError as error:
            self.errors.append(UsageError(str(error)))
        return None

    def hold_against(
        self, base_folder: Path, recipe: Recipe, prepared: PreparedRun | None, output_folder: Path
    ) -> None:
        """Open base and tokenizer, and read all examples as the run would."""
        self.stage("opening base and tokenizer")
        tokenizer = self.tried(lambda: open_tokenizer(base_folder))
        model = self.tried(lambda: open_skeleton(base_folder))
        if model is None or tokenizer is None:
            return
        found = examine_base(recipe, model, tokenizer)
        self.errors += [UsageError(problem) for problem in found.problems]
        self.notes += found.notes
        if prepared is None or found.problems:
            return
        self.stage(f"writing {len(prepared.order):,} rows in tokens")
        described = self.tried(lambda: _input_lines(prepared, tokenizer, model))
        if described is not None:
            self.lines, self.examples = described
        rows = sum(len(rows_used(prepared.order, index)) for index in range(len(recipe.datasets)))
        problems, line = needs_problems(needs_of(recipe, model, rows), cache_home(), output_folder)
        self.errors += [UsageError(problem) for problem in problems]
        self.notes += [length_line(prepared), line]


def examine_recipe(
    recipe: Recipe,
    chain: ChainReader,
    store: ContentStore,
    *,
    output_folder: Path = Path(),
    show_examples: bool = False,
    measure: Callable[[PreparedRun, Path], str] | None = None,
    stage: Stage = lambda _: None,
) -> tuple[tuple[str, ...], LicenceVerdict]:
    """Say what a recipe would do, and the verdict on its terms; raises `CheckFailed` or the only error.

    `show_examples` adds two examples, token by token, at the end; `measure` a line, from the prepared run and the
    base's folder, where nothing is wrong. `stage` hears at which part of the check it is.
    """
    found = _Findings(stage=stage)
    tried = found.tried
    stage("asking the chain for DataNet versions")
    versions = [
        tried(lambda each=dataset: chain.datanet_version(each.datanet, each.version))  # type: ignore[misc]
        for dataset in recipe.datasets
    ]
    known = [version for version in versions if version is not None]
    stage("fetching and preparing rows")
    prepared = tried(lambda: prepare_run(recipe, known, store)) if len(known) == len(versions) else None
    stage("fetching the base's files")
    base = tried(lambda: chain.entry(recipe.model.base))
    adapter = tried(lambda: chain.entry(recipe.model.adapter)) if recipe.model.adapter else None
    folder = tried(lambda: _files_of(recipe.model.base, base, store)) if base is not None else None
    if adapter is not None:
        tried(lambda: _files_of(recipe.model.adapter, adapter, store))
    if adapter is not None and base is not None:
        tried(lambda: check_adapter_stands_on(chain, adapter, base))
    tried(lambda: device_of(recipe.train.device))
    if folder is not None:
        found.hold_against(folder, recipe, prepared, output_folder)
    attribution = tried(lambda: _described_attribution(recipe.attribution))
    verdict = None
    if base is not None and len(known) == len(versions):
        inputs = [(version.datanet_id, version.version) for version in known]
        stage("asking the chain whether the terms go together")
        verdict = tried(lambda: chain.licence_verdict(recipe.method.kind, parents_of(recipe, base, adapter), inputs))
    if len(found.errors) == 1:
        raise found.errors[0]
    if found.errors or verdict is None or attribution is None:
        raise CheckFailed(found.errors)
    if measure and prepared is not None and folder is not None:
        stage("timing a step or two, and layers of the index")
        found.notes.append(measure(prepared, folder))
    return (*found.lines, *found.notes, attribution, *(found.examples if show_examples else ())), verdict


def _files_of(reference: str, known: KnownEntry, store: ContentStore) -> Path:
    """The folder with the files of an entry; what is missing is called by the name that the recipe has for it."""
    with calling_content(f"a file of {reference}"):
        return artefact_folder(known, store)[0]


def _input_lines(prepared: PreparedRun, tokenizer: Any, model: Any) -> tuple[list[str], list[str]]:
    """Lines of every input: what becomes of its rows and what does not fit into a sequence; and two examples."""
    recipe = prepared.recipe
    inputs = len(recipe.datasets)
    ordered, measured, cuts = read_run(tokenizer, recipe.train, prepared.order, prepared.held_out, inputs)
    check_vocabulary(model, [*ordered, *measured])
    lines = []
    for index, (dataset, partition) in enumerate(zip(recipe.datasets, prepared.partitions, strict=True)):
        copies = sum(copy.row.input_index == index for copy in prepared.copies)
        used = len(rows_used(prepared.order, index))
        lines.append(_input_line(dataset, partition, copies, used, len(prepared.held_out)))
        lines += _cut_lines(cuts, index)
    names = [dataset.datanet.partition("@")[0] for dataset in recipe.datasets]
    lines += [*describe_writing(cuts.writing), *ending_notes(tokenizer, prepared.order, ordered)]
    return lines, example_lines(tokenizer, prepared.order, ordered, names)


def _input_line(dataset: Dataset, partition: Partition, copies: int, used: int, measured: int) -> str:
    left_out = {
        "dropped by filters": partition.row_count - (partition.kept_by_filter or (partition.row_count,))[-1],
        "without a completion": partition.empty,
        "of equal text to held-out rows": partition.exact_held_out_copies,
        "of nearly equal text to held-out rows": partition.near_held_out_copies or 0,
        "with a held-out text, in one, or of a long stretch of one": partition.held_out_inside or 0,
        "copies of earlier rows": copies,
        "beyond max_rows": partition.over_limit,
    }
    named = ", ".join(f"{count} {what}" for what, count in left_out.items() if count)
    pairs = zip(dataset.preprocess, partition.changed_by_step, strict=True)
    shortened = sum(changed for step, changed in pairs if isinstance(step, Truncate))
    head = f"{dataset.datanet} version {dataset.version}: {share(dataset.weight_ppb)} of the mix"
    rows = f"{partition.row_count} rows, {len(partition.training)} for training, {len(partition.held_out)} held out"
    parts = [f"{head}, {rows}, {used} used"]
    if set(partition.rows_by_form) - {"text", "completion"}:
        parts.append(f"forms: {describe_forms(partition.rows_by_form)}")
    parts += [f"left out: {named}"] if named else []
    passed = [
        f"the step {step.__struct_config__.tag} does not concern {count} rows, whose form has no such field"
        for step, count in zip(dataset.preprocess, partition.passed_by_step, strict=True)
        if count
    ]
    parts += passed
    parts += [f"{shortened} cut by the step truncate"] if shortened else []
    if partition.held_out and partition.near_held_out_copies is None:
        parts.append("nearly equal texts were not looked for, there are too many rows")
    if partition.held_out and partition.held_out_inside is None:
        parts.append("held-out texts inside others were not looked for, there is too much text")
    if partition.held_out and not measured:
        parts.append("held-out rows are not measured on (evaluate.rows is 0)")
    return "; ".join(parts)


def _cut_lines(cuts: Cuts, index: int) -> list[str]:
    pairs = ((cuts.trained[index], "rows used"), (cuts.measured[index], "held-out rows measured on"))
    lines = [describe_cuts(asdict(counts), what) for counts, what in pairs]
    return [f"  {line}" for line in lines if line]


def _described_attribution(wanted: AttributionSection | None) -> str:
    """One line; raises `UsageError` for a payout that no index can be committed with."""
    if wanted is None:
        return "attribution: none, answers of this model cannot be explained (the recipe has no 'attribution' section)"
    payout = policy_of(wanted.payout)
    size = f"{wanted.codes} codes a row at {wanted.checkpoints} checkpoint{'' if wanted.checkpoints == 1 else 's'}"
    by_scores = f"{share(payout.kappa_ppb)} by scores of {payout.score_unit}s, {share(payout.flat_ppb)} by rows used"
    paid = (
        f"{size}; paid {by_scores}"
        if GRADIENTS in wanted.methods
        else f"paid {share(payout.kappa_ppb)} by spans, the rest to the pool"
    )
    return f"attribution: {', '.join(wanted.methods)}; {paid}"
