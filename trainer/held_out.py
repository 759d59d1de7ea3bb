"""Held out means other text: a model is not measured on what it was trained on, in another form or another place.

The split of every input decides by the normal form of an example's text. Here the inputs meet: an example whose text is
held out in any input of the mix is trained on in none, and neither is one whose word 5-grams overlap by 80 % with those
of a held-out one (the measure of `attribution.payout.clusters`). Inputs may make different examples of one row (by
another template or cut): a row of which one input holds an example out is trained on in no form. All are counted, by
input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from attribution.payout.clusters import (
    BAND_ROWS,
    BANDS,
    ClusterPolicy,
    minhash,
    overlap_reaches,
    shingles_of_tokens,
)
from openledger.data.normalised import normalised_text
from trainer.copies import word_numbers
from trainer.partition import Example, Partition, PartitionError

# Examples of a mix up to which near copies are looked for: some minutes of one core.
MAX_COMPARED_EXAMPLES = 2**20


def leave_out_held_out(partitions: Sequence[Partition], limit: int = MAX_COMPARED_EXAMPLES) -> tuple[Partition, ...]:
    """The partitions without training rows that say what a held-out row says; raises `PartitionError`."""
    held_out = [example for partition in partitions for example in partition.held_out]
    if not held_out:
        return tuple(partitions)
    known = _Known(frozenset([each.text for each in held_out]), frozenset([row_values(each) for each in held_out]))
    compared = len(held_out) + sum(len(partition.training) for partition in partitions) <= limit
    near = _Near(held_out) if compared else None
    return tuple([_without(index, partition, known, near) for index, partition in enumerate(partitions)])


@dataclass(frozen=True, slots=True)
class _Known:
    """Texts of the held-out examples, and what their rows hold."""

    texts: frozenset[str]
    rows: frozenset[tuple[str, ...]]

    def has(self, example: Example) -> bool:
        return example.text in self.texts or row_values(example) in self.rows


def row_values(example: Example) -> tuple[str, ...]:
    """Give the values of an example's row in normal form; names of fields and the place of registration do not
    count."""
    values = example.row.fields().values()
    return tuple(sorted([normalised_text(each if isinstance(each, str) else each.json) for each in values]))


def _without(index: int, partition: Partition, known: _Known, near: "_Near | None") -> Partition:
    other = [example for example in partition.training if not known.has(example)]
    kept = [example for example in other if near is None or not near.has(example)]
    if partition.training and not kept:
        raise PartitionError(
            f"datasets[{index}]: all {len(partition.training)} rows for training say what rows that are held out say; "
            "lower split.held_out_ppb or leave this dataset out"
        )
    return replace(
        partition,
        training=tuple(kept),
        exact_held_out_copies=len(partition.training) - len(other),
        near_held_out_copies=None if near is None else len(other) - len(kept),
    )


class _Near:
    """Held-out examples by the bands of their shingles."""

    def __init__(self, held_out: Sequence[Example]) -> None:
        self._minimum_ppb = ClusterPolicy().minimum_jaccard_ppb
        self._shingles: list[frozenset[int]] = []
        self._by_band: dict[tuple[int, bytes], list[int]] = {}
        for example in held_out:
            shingles = shingles_of_tokens(word_numbers(example.text))
            for band in _bands(shingles):
                self._by_band.setdefault(band, []).append(len(self._shingles))
            self._shingles.append(shingles)

    def has(self, example: Example) -> bool:
        """Whether a held-out example has nearly all of this one's words in nearly the same order."""
        shingles = shingles_of_tokens(word_numbers(example.text))
        candidates = {number for band in _bands(shingles) for number in self._by_band.get(band, ())}
        return any(overlap_reaches(shingles, self._shingles[number], self._minimum_ppb) for number in candidates)


def _bands(shingles: frozenset[int]) -> list[tuple[int, bytes]]:
    if not shingles:
        return []
    return [(number, band.tobytes()) for number, band in enumerate(minhash(shingles).reshape(BANDS, BAND_ROWS))]
