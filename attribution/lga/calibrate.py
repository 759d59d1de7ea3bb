"""How far query codes move between ways to compute them here, and the band that a model should carry.

The same queries are computed one by one in float64 (the reference) and then in every way that an honest machine may
take: float32 singly, with other numbers of threads, in batches, with another attention kernel, with the sums of every
linear layer in another order. Controls are what a band has to reject (`attribution.lga.calibration_ways`).

    deviation of a query = |phi' - phi| / |phi|        phi: features, before they are rounded to codes
    band                 = 8 x the largest deviation of an honest float32 way, within 1e-5 and 3e-4

Another device, a GPU, is measured the same way (`device_ways`): against float64 on the CPU, and against float32 there.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from attribution.errors import AttributionError
from attribution.lga.basis import Float64Array
from attribution.lga.calibration_ways import Way, default_ways, on_device
from attribution.lga.codes import choose_exponent, quantise
from attribution.lga.features import FeatureMap, cap_norms, whiten
from attribution.lga.gradients import GradientCollector
from attribution.lga.precision import Precision, canonical
from attribution.loss import Tokens, make_batch

BAND_FACTOR = 8
SMALLEST_BAND_PPB, LARGEST_BAND_PPB = 10_000, 300_000
MAX_QUERIES = 10_000


@dataclass(frozen=True)
class Deviations:
    """Deviations of one way, over all queries: relative L2 in parts per billion, and codes under the reference's
    exponent."""

    way: str
    precision: Precision
    control: bool
    median_ppb: int
    largest_ppb: int
    changed_codes: int
    all_codes: int
    largest_code_difference: int


@dataclass(frozen=True)
class Calibration:
    """Deviations measured over `queries` queries, and the band for this model in parts per billion.

    Of the queries `padded_queries` are filled up in the largest batches. `against_float32`: the ways on another device
    against float32 one by one on the CPU instead of float64; empty without such ways.
    """

    queries: int
    shortest_tokens: int
    longest_tokens: int
    padded_queries: int
    deviations: tuple[Deviations, ...]
    against_float32: tuple[Deviations, ...]
    band_ppb: int
    advice: str


def calibrate(
    models: Iterable[Any],
    feature_map: FeatureMap,
    queries: Sequence[Tokens],
    ways: Sequence[Way] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Measure all ways on `queries`; `models` gives the model at each checkpoint
    (`attribution.lga.query.at_checkpoints`).

    `progress` counts queries over all ways and checkpoints. Memory: codes x queries x ways x 8 bytes, and one batch.
    Raises `AttributionError`.
    """
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise AttributionError("queries", f"1 to {MAX_QUERIES} of them, not {len(queries)}")
    measured = [Way("float64, one by one", "float64"), *(default_ways() if ways is None else ways)]
    parts: list[list[Float64Array]] = [[] for _ in measured]
    tally = _Tally(len(measured) * len(feature_map.checkpoints) * len(queries), progress)
    for number, model in enumerate(models):
        if number == len(feature_map.checkpoints):
            raise AttributionError("models", f"the index has {number} checkpoints, more models were given")
        for place, way in enumerate(measured):
            if way.possible(model):
                parts[place].append(_whitened(model, feature_map, number, queries, way, tally))
            else:
                tally.add(len(queries))
    if len(parts[0]) != len(feature_map.checkpoints):
        raise AttributionError("models", f"{len(parts[0])} for {len(feature_map.checkpoints)} checkpoints of the index")
    found = [
        (way, cap_norms(np.concatenate(part, axis=1), feature_map.norm_cap_millionths))
        for way, part in zip(measured, parts, strict=True)
        if part  # empty where the model has no such kernel
    ]
    deviations = tuple([_deviations(way, values, found[0][1]) for way, values in found[1:]])
    plain = [values for way, values in found[1:] if way.plain]
    elsewhere = [(way, values) for way, values in found if way.device]
    lengths = [len(query.ids) for query in queries]
    padded = _padded(lengths, max(way.batch for way in measured))
    return Calibration(
        len(queries),
        min(lengths),
        max(lengths),
        padded,
        deviations,
        tuple([_deviations(way, values, plain[0]) for way, values in elsewhere]) if plain else (),
        *_band(deviations, padding=padded > 0 or all(way.batch == 1 for way in measured)),
    )


def _whitened(
    model: Any, feature_map: FeatureMap, number: int, queries: Sequence[Tokens], way: Way, tally: "_Tally"
) -> Float64Array:
    """Features of one checkpoint before the cap, float64 [queries, codes of the checkpoint]."""
    names = [module.name for module in feature_map.checkpoints[number]]
    rows = []
    with ExitStack() as stack:
        stack.enter_context(on_device(model, way.device))
        stack.enter_context(canonical(model, way.precision))
        stack.enter_context(way.change(model, names) if way.change else nullcontext())
        collector = GradientCollector(model, names)
        for start in range(0, len(queries), way.batch):
            batch = make_batch(queries[start : start + way.batch], 0, collector.device)
            gradients = collector.collect(lambda batch=batch: way.loss(model, batch))  # type: ignore[misc]
            tally.add(len(batch[0]))
            rows.append(whiten(feature_map.checkpoints[number], gradients))
    return np.concatenate(rows)


def _deviations(way: Way, found: Float64Array, reference: Float64Array) -> Deviations:
    lengths = np.linalg.norm(reference, axis=1)
    distances = np.linalg.norm(found - reference, axis=1)
    relative = np.divide(distances, lengths, out=(distances > 0).astype(np.float64), where=lengths > 0)
    changed, largest = 0, 0
    for ours, theirs in zip(reference, found, strict=True):
        # One exponent for both: the verifier codes with the one that the claim names.
        exponent = choose_exponent(float(np.abs(ours).max(initial=0.0)))
        difference = quantise(theirs, exponent).astype(np.int64) - quantise(ours, exponent).astype(np.int64)
        changed += int((difference != 0).sum())
        largest = max(largest, int(np.abs(difference).max(initial=0)))
    median_ppb, largest_ppb = round(float(np.median(relative)) * 1e9), math.ceil(float(relative.max()) * 1e9)
    return Deviations(
        way=way.name,
        precision=way.precision,
        control=way.control,
        median_ppb=median_ppb,
        largest_ppb=largest_ppb,
        changed_codes=changed,
        all_codes=reference.size,
        largest_code_difference=largest,
    )


def _band(deviations: Sequence[Deviations], *, padding: bool) -> tuple[int, str]:
    """Band in parts per billion, and what to think of it in one line."""
    honest = [item.largest_ppb for item in deviations if not item.control and item.precision == "float32"]
    if not honest:
        raise AttributionError("ways", "need at least one honest float32 way")
    wanted_ppb = max(SMALLEST_BAND_PPB, BAND_FACTOR * max(honest))
    band_ppb = min(LARGEST_BAND_PPB, wanted_ppb)
    if wanted_ppb > LARGEST_BAND_PPB:
        reason = f"float32 deviates by {max(honest) / 1e9:.1e}: too much for a band; settle claims in float64"
        return band_ppb, reason
    accepted = [item.way for item in deviations if item.control and item.largest_ppb <= band_ppb]
    if accepted:
        return band_ppb, f"does not tell from honest work on these queries: {', '.join(accepted)}"
    advice = "all honest ways are inside, all controls outside"
    if not padding:
        advice += "; but all queries of a batch have one length: padding was not tried"
    return band_ppb, advice


def _padded(lengths: Sequence[int], size: int) -> int:
    """How many queries are shorter than the longest of their batch."""
    batches = [lengths[start : start + size] for start in range(0, len(lengths), size)]
    return sum(length < max(batch) for batch in batches for length in batch)


@dataclass
class _Tally:
    """Counts queries for `progress`."""

    total: int
    progress: Callable[[int, int], None] | None
    done: int = 0

    def add(self, queries: int) -> None:
        self.done += queries
        if self.progress is not None:
            self.progress(self.done, self.total)
