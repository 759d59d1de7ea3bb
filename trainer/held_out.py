"""Held out means other text: a model is not measured on what it was trained on, in another form or another place.

The split of every input decides by the normal form of an example's text. Here the inputs meet: an example whose text is
held out in any input of the mix is trained on in none. Neither is one whose word 5-grams overlap by 80 % with those of
a held-out one (the measure of `attribution.payout.clusters`), nor one that holds a held-out text, stands in one, or
shares a long stretch with one (trainer.stretches; ADR 30). Inputs may make different examples of one row (by another
template or cut): a row of which one input holds an example out is trained on in no form. All are counted, by input.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from abci_app.modules.datanets import Form
from attribution.payout.clusters import (
    BAND_ROWS,
    BANDS,
    ClusterPolicy,
    minhash,
    overlap_reaches,
    shingles_of_tokens,
)
from openledger.data.forms import form_of
from openledger.data.normalised import letters_of, normalised_text
from trainer.copies import word_numbers
from trainer.partition import Example, Partition, PartitionError
from trainer.row_values import NotText, Value
from trainer.stretches import (
    LEAST_LETTERS,
    Fingerprints,
    StretchIndex,
    fingerprints_of,
    shared_by_many,
    stands_in,
    without,
)
from trainer.turns import UnreadableRow, conversation_turns

# Examples of a mix up to which near copies are looked for: some minutes of one core.
MAX_COMPARED_EXAMPLES = 2**20
# Characters of held-out text up to which texts inside others are looked for: their fingerprints take half a GiB.
MAX_COMPARED_CHARACTERS = 2**28


def leave_out_held_out(
    partitions: Sequence[Partition],
    limit: int = MAX_COMPARED_EXAMPLES,
    most_characters: int = MAX_COMPARED_CHARACTERS,
) -> tuple[Partition, ...]:
    """The partitions without training rows that say what a held-out row says; raises `PartitionError`."""
    held_out = [example for partition in partitions for example in partition.held_out]
    if not held_out:
        return tuple(partitions)
    compared = len(held_out) + sum(len(partition.training) for partition in partitions) <= limit
    short = sum(len(each.plain) for each in held_out) <= most_characters
    known = _Known(held_out)
    near = _Near(partitions) if compared else None
    inside = _Inside(partitions) if compared and short else None
    return tuple([_without(index, partition, known, near, inside) for index, partition in enumerate(partitions)])


def _without(
    index: int, partition: Partition, known: "_Known", near: "_Near | None", inside: "_Inside | None"
) -> Partition:
    other = [example for example in partition.training if not known.has(example)]
    apart = [example for example in other if near is None or not near.has(index, example)]
    kept = [example for example in apart if inside is None or not inside.has(index, example)]
    if partition.training and not kept:
        raise PartitionError(
            f"datasets[{index}]: all {len(partition.training)} rows for training say what rows that are held out say, "
            "or share a long stretch with one; lower split.held_out_ppb or leave this dataset out"
        )
    return replace(
        partition,
        training=tuple(kept),
        exact_held_out_copies=len(partition.training) - len(other),
        near_held_out_copies=None if near is None else len(other) - len(apart),
        held_out_inside=None if inside is None else len(apart) - len(kept),
    )


class _Known:
    """Texts of the held-out examples, the letters of the longer ones, and what their rows hold."""

    def __init__(self, held_out: Sequence[Example]) -> None:
        texts = [each.text for each in held_out]
        self._texts = frozenset(texts)
        self._letters = frozenset([letters for letters in map(letters_of, texts) if len(letters) >= LEAST_LETTERS])
        self._rows = frozenset([row_values(each) for each in held_out])

    def has(self, example: Example) -> bool:
        """Whether one of them has this one's text, its letters where they are many, or a row of its values."""
        text = example.text
        return text in self._texts or letters_of(text) in self._letters or row_values(example) in self._rows


def row_values(example: Example) -> tuple[str, ...]:
    """Give what an example's row holds in normal form: the turns of a conversation, the values of any other row.

    Names of fields, blank values and the place of registration do not count.
    """
    values = example.row.fields()
    texts = [_text(value) for value in values.values()]
    form = example.row.form or form_of(values)
    if form in (Form.MESSAGES, Form.SHAREGPT):
        with suppress(UnreadableRow):  # a template step reads what no conversation is
            plain = {name: value.value if isinstance(value, NotText) else value for name, value in values.items()}
            texts = [turn.text for turn in conversation_turns(form, plain)]
    return tuple(sorted(filter(None, map(normalised_text, texts))))


def _text(value: Value) -> str:
    """A value as text; null is none."""
    if isinstance(value, NotText):
        return "" if value.is_null else value.json
    return value if isinstance(value, str) else ""


class _Near:
    """Held-out examples by the bands of their shingles, but for what each input's examples share anyway."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        self._minimum_ppb = ClusterPolicy().minimum_jaccard_ppb
        self._shingles: list[frozenset[int]] = []
        self._by_band: dict[tuple[int, bytes], list[int]] = {}
        self._templates: list[frozenset[int]] = []
        for partition in partitions:
            held_out = [_shingles(each) for each in {each.text: each for each in partition.held_out}.values()]
            shared = shared_by_many(
                [_sorted(each) for each in held_out], (_sorted(_shingles(each)) for each in partition.training)
            )
            self._templates.append(frozenset(shared.tolist()))
            for shingles in held_out:
                own = shingles - self._templates[-1]
                for band in _bands(own):
                    self._by_band.setdefault(band, []).append(len(self._shingles))
                self._shingles.append(own)
        # A dataset made of what another one holds out is no template of it.
        held = frozenset[int]().union(*self._shingles)
        self._templates = [each - held for each in self._templates]

    def has(self, index: int, example: Example) -> bool:
        """Whether a held-out example has nearly all words of this one of input `index` in nearly the same order."""
        shingles = _shingles(example) - self._templates[index]
        candidates = {number for band in _bands(shingles) for number in self._by_band.get(band, ())}
        return any(overlap_reaches(shingles, self._shingles[number], self._minimum_ppb) for number in candidates)


def _shingles(example: Example) -> frozenset[int]:
    return shingles_of_tokens(word_numbers(example.text))


def _sorted(shingles: frozenset[int]) -> Fingerprints:
    return np.array(sorted(shingles), np.uint64)


def _bands(shingles: frozenset[int]) -> list[tuple[int, bytes]]:
    if not shingles:
        return []
    return [(number, band.tobytes()) for number, band in enumerate(minhash(shingles).reshape(BANDS, BAND_ROWS))]


class _Inside:
    """Held-out examples by fingerprints of their letters, but for what each input's examples share anyway."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        self._held_out: list[Example] = []
        self._with_template: set[int] = set()
        self._templates: list[Fingerprints] = []
        indexed: list[Fingerprints] = []
        for partition in partitions:
            # Of held-out copies one speaks for all, so that copies alone make nothing a template.
            different = list({letters_of(each.text): each for each in partition.held_out}.values())
            fingerprints = [fingerprints_of(each.text) for each in different]
            shared = shared_by_many(fingerprints, (fingerprints_of(each.text) for each in partition.training))
            self._templates.append(shared)
            for example, each in zip(different, fingerprints, strict=True):
                own = without(each, shared)
                if len(own) < len(each):
                    self._with_template.add(len(indexed))
                self._held_out.append(example)
                indexed.append(own)
        self._index = StretchIndex.of(indexed)
        self._templates = [without(each, self._index.fingerprints) for each in self._templates]

    def has(self, index: int, example: Example) -> bool:
        """Whether a held-out example stands in this one of input `index`, holds it, or shares a long stretch."""
        text = example.text
        fingerprints = fingerprints_of(text)
        own = without(fingerprints, self._templates[index])
        possible, sure, shares_stretch = self._index.find(own)
        if shares_stretch or not possible:
            return shares_stretch
        if len(own) < len(fingerprints):
            # Letters are no measure where most of them are a template's.
            return bool(sure)
        letters = letters_of(text)
        return any(
            number in sure if number in self._with_template else stands_in(letters, self._letters(number))
            for number in possible
        )

    def _letters(self, number: int) -> str:
        return letters_of(self._held_out[number].text)
