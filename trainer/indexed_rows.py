"""Which rows of a run its indexes have: every different row that it consumed, once. Copies were left out before."""

from dataclasses import dataclass
from typing import Any

from attribution.loss import Tokens
from openledger.data.versions import ContributionRecord
from trainer.examples import read_tokens
from trainer.partition import Example
from trainer.train import PreparedRun


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A row that the run trained on: as the model saw it, its contribution, and its weight beside other rows."""

    example: Example
    tokens: Tokens
    contribution: ContributionRecord
    weight: int = 1

    @property
    def key(self) -> tuple[bytes, bytes]:
        """(contribution id, row leaf): the order of a gradient index."""
        return self.contribution.contribution_id, self.example.row.leaf


def indexed_rows(prepared: PreparedRun, tokenizer: Any) -> tuple[IndexedRow, ...]:
    """In the order of the index; a row that two inputs used stands for the first of them."""
    records = [{record.contribution_id: record for record in each.contributions} for each in prepared.versions]
    examples: dict[tuple[bytes, bytes], Example] = {}
    for example in sorted(prepared.order, key=lambda example: example.input_index):
        examples.setdefault((example.row.contribution_id, example.row.leaf), example)
    different, settings = list(examples.values()), prepared.recipe.train
    rows = []
    for example, tokens in zip(different, read_tokens(tokenizer, settings, different), strict=True):
        rows.append(
            IndexedRow(
                example=example,
                tokens=tokens,
                contribution=records[example.input_index][example.row.contribution_id],
                # In a step whose learned tokens count alike, a row counts as often as it has some.
                weight=tokens.targets if settings.loss == "tokens" else 1,
            )
        )
    return tuple(sorted(rows, key=lambda row: row.key))
