"""Measurements that are recorded of an entry, taken again: the recorded output on the rows that its recipe holds out.

Only measurements of this trainer's metric on the entry's own inputs can be taken again from what is recorded; each
other one is named as not checked. Anybody may record a measurement: a wrong one speaks against its
evaluator, and against the entry only where its recorder took it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attribution.adapted_model import AdaptedModel, open_base
from attribution.text_tokens import open_tokenizer, padding_id
from trainer.evaluate import METRIC, HeldOutLoss, Measurement, evaluate
from trainer.examples import read_tokens
from trainer.run_records import InputRecord
from trainer.train import PreparedRun

# Sums of float32 in another order move the mean loss of the same tensors by some 1e-6 nats. Nobody decides anything by
# a thousandth of a nat, and a liar who makes a number up to look better changes more.
MEASUREMENT_TOLERANCE_MICRONATS = 1_000


@dataclass(frozen=True, slots=True)
class RecordedMeasurement:
    """One measurement on the chain; without a DataNet it is the quality that a run event declares.

    `source` says whose it is, in words; `by_recorder`: the account that recorded the entry took it.
    """

    source: str
    by_recorder: bool
    metric: str
    value: int
    datanet_id: bytes = b""
    version: int = 0
    sample_size: int = 0
    interval: int = 0
    # Whose it is, and in which block it was recorded; nothing for what a run event declares.
    evaluator: bytes = b""
    height: int = 0


@dataclass(frozen=True, slots=True)
class CheckedMeasurements:
    """Lines: what was found right, what contradicts the entry, what is wrong but not its recorder's, what is open."""

    right: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def measure(base_folder: Path, output_folder: Path, prepared: PreparedRun) -> HeldOutLoss | None:
    """The recorded output on the held-out rows of its recipe; None where the recipe holds none out."""
    if not prepared.held_out:
        return None
    tokenizer, settings = open_tokenizer(base_folder), prepared.recipe.train
    if prepared.recipe.method.kind == "full":
        model = open_base(output_folder)
    else:
        model = AdaptedModel.open(base_folder, output_folder).model
    places = [example.input_index for example in prepared.held_out]
    rows = list(zip(places, read_tokens(tokenizer, settings, prepared.held_out), strict=True))
    return evaluate(model, rows, len(prepared.recipe.datasets), padding_id(tokenizer))


def examine_measurements(
    recorded: Sequence[RecordedMeasurement], measured: HeldOutLoss | None, inputs: Sequence[InputRecord]
) -> CheckedMeasurements:
    """Compare every recorded measurement with the same one taken again."""
    places = {(item.datanet_id, item.version): place for place, item in enumerate(inputs)}
    right, contradictions, notes, unchecked = [], [], [], []
    for item in recorded:
        place = places.get((item.datanet_id, item.version))
        where = f" on {item.datanet_id.hex()[:16]}… version {item.version}" if item.datanet_id else ""
        line = f"{item.metric} {item.value}{where}, {item.source}"
        if item.metric != METRIC or (item.datanet_id and place is None):
            unchecked.append(f"{line} (another metric or benchmark than the recipe's)")
            continue
        if measured is None:
            found = None
        else:
            found = measured.overall if place is None else measured.by_input[place]
        fault = _fault(item, found)
        if not fault:
            right.append(line)
        elif item.by_recorder:
            contradictions.append(f"{line}: {fault}")
        else:
            notes.append(f"{line}: {fault}")
    return CheckedMeasurements(
        right=tuple(right), contradictions=tuple(contradictions), notes=tuple(notes), unchecked=tuple(unchecked)
    )


def recorded_with(
    own: Sequence[RecordedMeasurement], of_parent: Sequence[RecordedMeasurement]
) -> tuple[RecordedMeasurement, ...]:
    """Measurements of a parent that an entry's recorder put into the block of the entry's own."""
    places = {(item.evaluator, item.height) for item in own if item.by_recorder and item.height}
    return tuple([replace(item, by_recorder=True) for item in of_parent if (item.evaluator, item.height) in places])


def examine_parent(
    recorded: Sequence[RecordedMeasurement], measured: HeldOutLoss | None, inputs: Sequence[InputRecord]
) -> CheckedMeasurements:
    """Compare the measurements of the model that training started from with the same ones taken again.

    Several runs of one recorder may stand in a block, each with rows of its own to measure on: a measurement that holds
    is that of this run, and then the others on the same DataNet version are not.
    """
    each = [(item, examine_measurements([item], measured, inputs)) for item in recorded]
    held = {(item.datanet_id, item.version) for item, checked in each if checked.right}
    ours = [checked for item, checked in each if checked.right or (item.datanet_id, item.version) not in held]
    return CheckedMeasurements(
        right=tuple([line for checked in ours for line in checked.right]),
        contradictions=tuple([line for checked in ours for line in checked.contradictions]),
        notes=tuple([line for checked in ours for line in checked.notes]),
        unchecked=tuple([line for checked in ours for line in checked.unchecked]),
    )


def _fault(item: RecordedMeasurement, found: Measurement | None) -> str:
    """How a measurement differs from the same one taken again; empty when it does not."""
    if found is None:
        return "MADE UP: the recipe holds out no row to measure it on"
    if abs(item.value - found.loss_micronats) > MEASUREMENT_TOLERANCE_MICRONATS:
        return (
            f"MADE UP: the recorded tensors give {found.loss_micronats} "
            f"(allowed difference {MEASUREMENT_TOLERANCE_MICRONATS})"
        )
    if item.datanet_id and item.sample_size != found.sample_size:
        return f"MADE UP: over {item.sample_size} rows, where the recipe holds out {found.sample_size}"
    if item.datanet_id and abs(item.interval - found.interval_micronats) > MEASUREMENT_TOLERANCE_MICRONATS:
        return f"MADE UP: its interval is {item.interval}, the recorded tensors give {found.interval_micronats}"
    return ""
