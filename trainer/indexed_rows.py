"""Which rows of a run attribution credits: every different row once, copies through the row that was registered first.

The order of the chain decides who was first: height of the block, then the DataNet, then the number among its
submissions, then the row's place in its contribution. Copies stay out of the indexes, so that they earn nothing, and
are listed beside them, so that everybody sees why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attribution.clusters import ClusterPolicy, ClusterRow, cluster_rows
from attribution.loss import Tokens
from trainer.dataset import ContributionRecord, DatanetVersion
from trainer.examples import tokenise
from trainer.partition import Example
from trainer.train import PreparedRun


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A row that the run trained on: as the model saw it, and its contribution."""

    example: Example
    tokens: Tokens
    contribution: ContributionRecord

    @property
    def key(self) -> tuple[bytes, bytes]:
        """(contribution id, row leaf): the order of a gradient index."""
        return self.contribution.contribution_id, self.example.row.leaf


@dataclass(frozen=True, slots=True)
class CopiedRow:
    """A row that is credited through another one, and why: its bytes are equal (exact) or nearly all its words
    (text)."""

    row: IndexedRow
    leader: IndexedRow
    reason: str


@dataclass(frozen=True, slots=True)
class IndexedRows:
    """Credited rows in the order in which they were registered, and copies."""

    credited: tuple[IndexedRow, ...]
    copies: tuple[CopiedRow, ...]


def indexed_rows(prepared: PreparedRun, tokenizer: Any, policy: ClusterPolicy | None = None) -> IndexedRows:
    """The different rows that a run consumed. A row that two inputs used stands for the first of them."""
    rows = _different_rows(prepared, tokenizer)
    places = _places(prepared.versions)
    rows.sort(key=lambda row: (places[row.key[0]], row.example.row.index))
    clusters = cluster_rows(
        [
            ClusterRow(
                (places[row.key[0]], row.example.row.index),
                row.example.row.data,
                row.tokens.ids,
                row.contribution.contributor,
            )
            for row in rows
        ],
        policy or ClusterPolicy(),
    )
    copies = tuple([CopiedRow(rows[copy.row], rows[copy.leader], copy.reason) for copy in clusters.copies])
    credited = tuple([row for row, kept in zip(rows, clusters.credited, strict=True) if kept])
    return IndexedRows(credited, copies)


def _different_rows(prepared: PreparedRun, tokenizer: Any) -> list[IndexedRow]:
    limit = prepared.recipe.train.sequence_tokens
    records = [{record.contribution_id: record for record in each.contributions} for each in prepared.versions]
    examples: dict[tuple[bytes, bytes], Example] = {}
    for example in sorted(prepared.order, key=lambda example: example.input_index):
        examples.setdefault((example.row.contribution_id, example.row.leaf), example)
    rows = []
    for example in examples.values():
        contribution = records[example.input_index][example.row.contribution_id]
        rows.append(IndexedRow(example, tokenise(tokenizer, example, limit), contribution))
    return rows


def _places(versions: Sequence[DatanetVersion]) -> dict[bytes, int]:
    """Place of every contribution in the order of the chain."""
    registered = {
        record.contribution_id: (record.registered_height, version.datanet_id, record.registered_number)
        for version in versions
        for record in version.contributions
    }
    ordered = sorted(registered, key=lambda contribution_id: (registered[contribution_id], contribution_id))
    return {contribution_id: place for place, contribution_id in enumerate(ordered)}
