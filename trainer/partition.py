"""From rows to training examples: steps, filters, split, and the recorded order in which a run consumes them.

Everything here depends on recipe and row bytes alone, in integers and hashes, so that it gives the same examples on
every machine. Salts play no part: the same text registered twice with other salts trains the same model.

Every row of a version has one place: dropped by a filter, empty, held out, left out (its text is held out; a copy of an
earlier row; beyond `sampling.max_rows`), or for training. The counts add up to the rows of the version.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from abci_app.hashing import TAGS, list_root, tagged_hash, uvarint
from abci_app.modules.datanets import Form
from abci_app.types import PPB
from openledger.data.normalised import normalised_text
from openledger.errors import UsageError
from trainer.dataset import Row
from trainer.preparation import Preparation
from trainer.recipe import Dataset, Recipe, Split
from trainer.schedule import steps_of
from trainer.steps import StepError
from trainer.turns import Turn


class PartitionError(UsageError, ValueError):
    """A recipe leaves nothing to train on, or a step does not fit the rows; a problem for every input that is wrong."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n  ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Example:
    """One training example: the row that it comes from, its turns, and the form by which they are written.

    Loss counts on the learned turns only. Rows that a template step writes have the form `COMPLETION`.
    """

    input_index: int
    row: Row
    turns: tuple[Turn, ...]
    form: Form = Form.COMPLETION

    @property
    def prompt(self) -> str:
        """All that stands before the last turn of the assistant."""
        return "".join([turn.text for turn in self.turns[: self._last_answer]])

    @property
    def completion(self) -> str:
        """The last turn of the assistant, or the text."""
        return self.turns[self._last_answer].text

    @property
    def plain(self) -> str:
        """The texts of all turns, one behind another."""
        return "".join([turn.text for turn in self.turns])

    @property
    def text(self) -> str:
        """All turns in normal form (openledger.data.normalised): equal for examples that say the same."""
        return normalised_text(self.plain)

    @property
    def _last_answer(self) -> int:
        return max(at for at, turn in enumerate(self.turns) if turn.role in ("assistant", "text"))


@dataclass(frozen=True, slots=True)
class Partition:
    """The fate of the rows of one input; counts follow the order of the steps.

    `changed_by_step`: rows that each preprocessing step changed. `empty`: rows without a completion. Of the rows left
    out since their text is held out, `exact_held_out_copies` have equal text in normal form, or are from a row that
    holds the same; `near_held_out_copies` share nearly all words with one; `held_out_inside` hold one, stand in one or
    share a long stretch with one. None where there are too many rows to look.
    """

    row_count: int
    kept_by_filter: tuple[int, ...]
    training: tuple[Example, ...]
    held_out: tuple[Example, ...]
    changed_by_step: tuple[int, ...] = ()
    empty: int = 0
    exact_held_out_copies: int = 0
    near_held_out_copies: int | None = 0
    held_out_inside: int | None = 0
    over_limit: int = 0
    # Rows that each preprocessing step left alone, since their form has no such field.
    passed_by_step: tuple[int, ...] = ()
    # Rows by their form after the steps, in words.
    rows_by_form: Mapping[str, int] = field(default_factory=dict)


def make_partition(dataset: Dataset, input_index: int, rows: Iterable[Row]) -> Partition:
    """Apply preprocessing, filters and split of one input, in the order of the recipe."""
    kept, preparation = [0] * len(dataset.filters), Preparation(dataset)
    seen: list[set[bytes]] = [set() for _ in dataset.filters]
    training: list[Example] = []
    held_out: list[Example] = []
    forms: Counter[Form] = Counter()
    row_count, empty, problems = 0, 0, list[str]()
    place = f"datasets[{input_index}]"
    for row in rows:
        row_count += 1
        try:
            prepared = preparation.prepare(row)
            forms[prepared.form] += 1
            passed = True
            for at, step in enumerate(dataset.filters):
                passed = step.keeps(prepared.fields, seen[at])
                if not passed:
                    break
                kept[at] += 1
            turns = prepared.turns() if passed else ()
        except StepError as error:
            problems.append(f"{place_of(row)}: {error}")
            continue
        if passed and not any(turn.learned and normalised_text(turn.text) for turn in turns):
            empty += 1
        elif passed:
            example = Example(input_index=input_index, row=row, turns=turns, form=prepared.form)
            (held_out if is_held_out(dataset.split, example.text) else training).append(example)
    for row, reason, rows_of_it in preparation.problems():
        problems += [f"{place_of(row)}: {reason}"] * rows_of_it
    if problems:
        more = f"; the same or another problem in {len(problems) - 1} more rows" if problems[1:] else ""
        raise PartitionError(f"{place}: {problems[0]}{more}")
    if not training:
        raise PartitionError(
            f"{place}: no row of {row_count} is left to train on after filters "
            f"{', '.join(step.words for step in dataset.filters) or '(none)'} and the split; loosen them"
        )
    return Partition(
        row_count=row_count,
        kept_by_filter=tuple(kept),
        training=tuple(training),
        held_out=tuple(held_out),
        changed_by_step=tuple(preparation.changed),
        empty=empty,
        passed_by_step=preparation.passed,
        rows_by_form={form.name.lower(): forms[form] for form in sorted(forms)},
    )


def limited(dataset: Dataset, partition: Partition) -> Partition:
    """The partition with at most `sampling.max_rows` rows to train on: the first ones that are left of the version."""
    limit = dataset.sampling.max_rows or len(partition.training)
    kept = partition.training[:limit]
    return replace(partition, training=kept, over_limit=len(partition.training) - len(kept))


def place_of(row: Row) -> str:
    """Where a row stands, for people; line 1 of a batch file is its header."""
    name = f"submission #{row.submission}" if row.submission else f"contribution {row.contribution_id.hex()[:16]}…"
    return f"{name} line {row.index + 2} of its file, row {row.index}"


def is_held_out(split: Split, text: str) -> bool:
    """Whether an example is kept for evaluation: first 8 bytes of H(row-split tag, name || 0 || text) of 2^64.

    `text` is the example's in normal form, so rows that say the same fall together wherever they stand.
    """
    digest = tagged_hash(TAGS["row_split"], split.name.encode() + b"\0" + text.encode())
    return int.from_bytes(digest[:8], "big") * PPB < split.held_out_ppb << 64


def data_order(recipe: Recipe, partitions: Sequence[Partition]) -> tuple[Example, ...]:
    """The examples of all steps in the order in which the run consumes them.

    Position n goes to the input that is furthest behind its share (weight x (n + 1) - 10^9 x already taken, ties to
    the first), so after every batch the mix is as close to the weights as whole rows allow.
    """
    rows = sum(len(partition.training) for partition in partitions)
    total = steps_of(recipe.train, rows) * recipe.train.step_rows
    streams = [_Stream(recipe, index, partition.training) for index, partition in enumerate(partitions)]
    order: list[Example] = []
    for position in range(total):
        stream = max(
            streams,
            key=lambda item: recipe.datasets[item.index].weight_ppb * (position + 1) - PPB * item.taken,
        )
        order.append(stream.next())
    return tuple(order)


def check_inputs_used(recipe: Recipe, order: Sequence[Example]) -> None:
    """An input of which no row is used is none, and the chain records no such: raises `PartitionError`."""
    used = {example.input_index for example in order}
    for index, dataset in enumerate(recipe.datasets):
        if index not in used:
            raise PartitionError(
                f"datasets[{index}]: none of the {len(order)} rows of this run comes from {dataset.datanet}: raise its "
                "weight or train.steps, or leave it out"
            )


class _Stream:
    """One input's examples, pass after pass; each pass in its own order when shuffled."""

    def __init__(self, recipe: Recipe, index: int, examples: Sequence[Example]) -> None:
        self.index = index
        self.taken = 0
        self._examples = list(examples)
        self._shuffled = recipe.datasets[index].sampling.order == "shuffled"
        self._seed = recipe.train.seed
        self._passes = count()
        self._current: Iterator[Example] = iter(())

    def next(self) -> Example:
        self.taken += 1
        example = next(self._current, None)
        if example is None:
            self._current = iter(self._pass(next(self._passes)))
            example = next(self._current)
        return example

    def _pass(self, number: int) -> list[Example]:
        if not self._shuffled:
            return self._examples
        place = self._seed.to_bytes(4, "big") + number.to_bytes(4, "big")
        return sorted(self._examples, key=lambda item: tagged_hash(TAGS["row_order"], place + item.row.data))


def data_order_root(order: Sequence[Example]) -> bytes:
    """List root over uvarint(input index) || row leaf, one item an example in order."""
    return list_root("data-order", [uvarint(example.input_index) + example.row.leaf for example in order])


def rows_used(order: Sequence[Example], input_index: int) -> tuple[bytes, ...]:
    """Leaves of the different rows of one input that a run consumed, in the order of the version."""
    places = {
        (example.row.contribution_id, example.row.index): example.row.leaf
        for example in order
        if example.input_index == input_index
    }
    return tuple(places[place] for place in sorted(places))


def held_out_rows(partitions: Sequence[Partition], limit: int) -> tuple[Example, ...]:
    """At most `limit` held-out examples, taken from the inputs in turn, each input in hash order."""
    queues = [
        sorted(partition.held_out, key=lambda item: tagged_hash(TAGS["row_order"], b"held-out" + item.row.data))
        for partition in partitions
    ]
    chosen: list[Example] = []
    for turn in range(max(map(len, queues), default=0)):
        chosen += [queue[turn] for queue in queues if turn < len(queue)]
    return tuple(chosen[:limit])
