"""The indexes of a run: built right after training, stored (`BuiltIndexes.put`), and committed to by the entry.

Rows are those that the run consumed; copies were left out before training (trainer.copies), and rows that only their
codes show to be copies are credited through the first of them (attribution.lga.code_copies). The gradient index speaks
of the adapters after the steps that the recipe names; they are stored beside it, because queries need them.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from abci_app.bech32 import decode_id
from abci_app.integers.shares import PayoutPolicy
from abci_app.module import TREASURY_ACCOUNT
from attribution.adapted_model import AdaptedModel
from attribution.entry import GRADIENTS, SPANS, EntryCommitment
from attribution.lga.code_copies import MAX_CODE_ROWS, OFF, TOO_MANY
from attribution.lga.features import FeatureSettings
from attribution.lga.index.adapters import adapter_folder
from attribution.lga.index.build import build_index
from attribution.lga.index.plan import IndexSettings, TrainingExample
from attribution.lga.index.reader import GradientIndex
from attribution.spans.build import SpanDocument, build_span_index
from attribution.spans.commitment import SpanSettings
from attribution.stored import put_index
from attribution.text_tokens import open_tokenizer
from openledger.content.artefact import describe_artefact
from openledger.content.store import ContentStore
from openledger.data.manifest import to_json
from openledger.errors import UsageError
from trainer.base_check import open_skeleton
from trainer.copies import CopiedRow, chain_places
from trainer.environment import code_description, code_digest, make_deterministic
from trainer.indexed_rows import IndexedRow, indexed_rows
from trainer.recipe import AttributionSection, Payout
from trainer.train import TrainedRun

# Below the index's folder in the content store.
# Of folders below a run's work folder, one for each set of inputs: the same recipe may run on another chain's rows.
FOLDER_PREFIX = "indexes-"
# what, done, all
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class BuiltIndexes:
    """The commitment of an entry, the folder of every index by its method's name, and the indexed rows."""

    commitment: EntryCommitment
    folders: Mapping[str, Path]
    rows: Sequence[IndexedRow]

    def put(self, store: ContentStore) -> None:
        """Store all files, and the commitment."""
        for name, folder in self.folders.items():
            put_index(store, folder, self.commitment.roots[name])
        self.commitment.put(store)


def build_indexes(
    run: TrainedRun,
    base_folder: Path,
    work_folder: Path,
    *,
    code: bytes | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> BuiltIndexes | None:
    """Build what the recipe asks for; None when it asks for nothing. Goes on where it was interrupted.

    `code` is the description of the training code that the commitment binds (canonical JSON): a repetition of a
    recorded run gives what the record says, because only its own results are to be compared. Default: the code here.
    """
    recipe = run.prepared.recipe
    wanted = recipe.attribution
    if wanted is None:
        return None
    make_deterministic(recipe.train.seed, recipe.train.threads)
    tokenizer = open_tokenizer(base_folder)
    rows = indexed_rows(run.prepared, tokenizer)
    say(f"indexing {len(rows)} rows ({len(run.prepared.copies)} copies of earlier rows were not trained on)")
    numbers = chain_places(run.prepared.versions)
    places = [(numbers[row.key[0]], row.example.row.index) for row in rows]
    folder = work_folder / f"{FOLDER_PREFIX}{_inputs_digest(run, rows, places)[:16]}"
    roots: dict[str, bytes] = {}
    if GRADIENTS in wanted.methods:
        bound = to_json(code_description()) if code is None else code
        examples = [
            TrainingExample(
                tokens=row.tokens,
                row_leaf=row.key[1],
                contribution_id=row.key[0],
                owner=row.contribution.contributor,
                place=place,
                weight=row.weight,
            )
            for row, place in zip(rows, places, strict=True)
        ]
        adapted = AdaptedModel.open(base_folder, run.adapters[-1])
        index = _gradient_index(run, adapted, examples, bound, folder / GRADIENTS, progress, say)
        say(_found_copies(index))
        roots[GRADIENTS] = index.root
    if SPANS in wanted.methods:
        by_chain = [row for _, row in sorted(zip(places, rows, strict=True), key=lambda item: item[0])]
        roots[SPANS] = _span_index(by_chain, _vocabulary(base_folder, tokenizer), folder / SPANS)
    commitment = EntryCommitment(roots, policy_of(wanted.payout))
    return BuiltIndexes(commitment, {name: folder / name for name in roots}, rows)


def _found_copies(index: GradientIndex) -> str:
    """One line on the rows that are copies by their codes."""
    rows = index.parameters.examples
    if index.copies.outcome == TOO_MANY:
        return f"copies by codes: not looked for, {rows} rows are more than {MAX_CODE_ROWS}"
    if index.copies.outcome == OFF:
        return "copies by codes: not looked for, the recipe switches it off"
    owners = {index.leaves[leaf].owner for leaf, _ in index.copies.found}
    found = f"{len(index.copies.found)} of {rows} rows, of {len(owners)} contributor{'' if len(owners) == 1 else 's'}"
    return f"copies by codes: {found}; of rows that are alike the one that was registered first is credited"


def _inputs_digest(run: TrainedRun, rows: Sequence[IndexedRow], places: Sequence[tuple[int, int]]) -> str:
    """Digest of everything that decides the indexes, in hex."""
    hasher = sha256(run.prepared.recipe.digest() + code_digest().encode())
    for adapter in run.adapters or (run.folder,):
        hasher.update(describe_artefact(adapter).tensor_digest)
    for row, place in zip(rows, places, strict=True):
        hasher.update(b"".join((*row.key, row.contribution.contributor)))
        hasher.update(repr((row.tokens, place)).encode())
    return hasher.hexdigest()


def policy_of(payout: Payout) -> PayoutPolicy:
    """The recipe's rules; without a pool, what nobody explains goes to the chain's treasury. Raises `UsageError`."""
    pool: bytes = TREASURY_ACCOUNT
    if payout.pool:
        try:
            pool = decode_id(payout.pool, "open")[1]
        except ValueError as error:
            raise UsageError(f"attribution.payout.pool: {error}; write an account (open1...)") from error
    return PayoutPolicy(
        kappa_ppb=payout.kappa_ppb,
        flat_ppb=payout.flat_ppb,
        cap_ppb=payout.cap_ppb,
        minimum_positive_ppb=payout.minimum_positive_ppb,
        pool=pool,
        score_unit=payout.score_unit,
    )


def _gradient_index(
    run: TrainedRun,
    adapted: AdaptedModel,
    examples: Sequence[TrainingExample],
    code: bytes,
    folder: Path,
    progress: Progress | None,
    say: Callable[[str], None],
) -> GradientIndex:
    recipe = run.prepared.recipe
    wanted = recipe.attribution or AttributionSection()
    settings = IndexSettings(
        features=FeatureSettings(wanted.codes),
        padding_id=adapted.padding_id,
        threads=recipe.train.threads,
        copy_cosine_ppb=wanted.copy_cosine_ppb,
    )
    source = {
        "code": code,
        "copies": _copies(run.prepared.copies),
        "recipe": recipe.canonical(),
    }
    index = build_index(
        examples, run.adapters, adapted.load, settings, folder, source=source, progress=progress, say=say
    )
    for number, adapter in enumerate(run.adapters):
        shutil.copytree(adapter, adapter_folder(folder, number), dirs_exist_ok=True)
    return index


def _span_index(rows: Sequence[IndexedRow], vocabulary: int, folder: Path) -> bytes:
    """Over what the loss counted on, a document for every stretch of it; `rows` in the order of the chain."""
    documents = [
        SpanDocument(
            owner=row.contribution.contributor,
            contribution_id=row.key[0],
            row_leaf=row.key[1],
            token_ids=row.tokens.ids[start:end],
        )
        for row in rows
        for start, end in row.tokens.learned
    ]
    settings = SpanSettings(vocabulary_size=vocabulary)
    with build_span_index(documents, folder, settings) as index:
        return index.commitment.root


def _vocabulary(base_folder: Path, tokenizer: Any) -> int:
    return max(len(tokenizer), int(open_skeleton(base_folder).config.vocab_size))


def _copies(copies: Sequence[CopiedRow]) -> bytes:
    """Which rows were left out, and because of which."""
    return to_json(
        [
            {
                "contribution": copy.row.row.contribution_id.hex(),
                "row": copy.row.row.leaf.hex(),
                "first_contribution": copy.leader.row.contribution_id.hex(),
                "first_row": copy.leader.row.leaf.hex(),
                "reason": copy.reason,
            }
            for copy in copies
        ]
    )
