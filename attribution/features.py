"""From gradients to features and codes: one map, fixed by integers, for training examples and queries alike.

For every checkpoint e and module j (names sorted) the coordinates c [m, r] (attribution.basis) are multiplied by the
module's scale s [m, r]; all of them in C order, one after the other, are the features phi of an example:

    phi = concat_e concat_j (c x s);     |phi| > cap:  phi = phi x cap / |phi|;     codes = round(phi x 2^exponent)

Features of checkpoints are concatenated, so an inner product of two examples is the sum over checkpoints of their
whitened gradient products. The cap keeps an outlier from weighing more than a few ordinary examples; it is 4 x the
median norm of the training examples, in millionths, and the same for queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attribution.basis import (
    DEFAULT_DAMPING_PPB,
    DEFAULT_DIRECTIONS,
    Float64Array,
    ModuleBasis,
    ModuleScale,
    Moments,
    fit_scale,
)
from attribution.codes import MAX_CODES, Codes, choose_exponent, quantise
from attribution.errors import AttributionError
from attribution.parameters import MAX_CHECKPOINTS

if TYPE_CHECKING:
    import torch

CAP_UNITS = 1_000_000
DEFAULT_CAP_MEDIANS = 4

# Gradients [batch, out, in] of one checkpoint by module name.
Gradients = Mapping[str, "torch.Tensor"]


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """What is chosen before any gradient is seen. `rank_directions` None keeps all input directions.

    `norm_cap_medians` is the cap in medians of the training examples' norms, 0 for none.
    """

    directions: int = DEFAULT_DIRECTIONS
    rank_directions: int | None = None
    damping_ppb: int = DEFAULT_DAMPING_PPB
    norm_cap_medians: int = DEFAULT_CAP_MEDIANS


@dataclass(frozen=True, eq=False)
class ModuleMap:
    """Basis and scale of one module at one checkpoint."""

    name: str
    basis: ModuleBasis
    scale: ModuleScale

    def __post_init__(self) -> None:
        """Basis and scale must fit each other; raises `AttributionError`."""
        if self.scale.values.shape != self.basis.shape:
            text = f"has shape {list(self.scale.values.shape)}, its basis gives {list(self.basis.shape)}"
            raise AttributionError(f"scales.{self.name}", text)


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """The whole map: sorted modules of every checkpoint, cap in millionths (0: none), exponent of the index."""

    checkpoints: tuple[tuple[ModuleMap, ...], ...]
    norm_cap_millionths: int = 0
    exponent: int = 0

    def __post_init__(self) -> None:
        """Raises `AttributionError` for what has no defined order or too many codes."""
        if not 0 < len(self.checkpoints) <= MAX_CHECKPOINTS:
            raise AttributionError("checkpoints", f"1 to {MAX_CHECKPOINTS}, not {len(self.checkpoints)}")
        for number, modules in enumerate(self.checkpoints):
            names = [module.name for module in modules]
            if not names or names != sorted(set(names)):
                raise AttributionError(f"basis/{number:04d}", "modules must be there, sorted by name, each once")
        if self.code_count > MAX_CODES:
            raise AttributionError("directions", f"give {self.code_count} codes an example, at most {MAX_CODES}")

    @property
    def code_count(self) -> int:
        """k, the number of codes of one example."""
        return sum(codes_of(modules) for modules in self.checkpoints)

    def coordinates(self, checkpoint: int, gradients: Gradients) -> Float64Array:
        """c of one checkpoint, float64 [batch, codes of the checkpoint]; raises `AttributionError`."""
        return coordinates([(module.name, module.basis) for module in self.checkpoints[checkpoint]], gradients)

    def whiten(self, checkpoint: int, coordinates: Float64Array) -> Float64Array:
        """c x s of one checkpoint."""
        scale = np.concatenate([module.scale.floats().ravel() for module in self.checkpoints[checkpoint]])
        whitened: Float64Array = coordinates * scale
        return whitened

    def features(self, gradients: Sequence[Gradients]) -> Float64Array:
        """phi, float64 [batch, k], from the gradients of every checkpoint in order."""
        if len(gradients) != len(self.checkpoints):
            raise AttributionError("gradients", f"of {len(gradients)} checkpoints, the map has {len(self.checkpoints)}")
        parts = [self.whiten(number, self.coordinates(number, item)) for number, item in enumerate(gradients)]
        return cap_norms(np.concatenate(parts, axis=1), self.norm_cap_millionths)

    def codes(self, features: Float64Array) -> npt.NDArray[np.int16]:
        """Codes of training examples under the exponent of the index."""
        return quantise(features, self.exponent)

    def query_codes(self, features: Float64Array) -> Codes:
        """Codes of one query, features [k], under an exponent of its own: a query may be smaller or larger."""
        exponent = choose_exponent(float(np.abs(features).max()))
        return Codes(quantise(features, exponent), exponent)


@dataclass(frozen=True, eq=False)
class MemoryIndex:
    """Map, features [n, k] and codes [n, k] of examples held in memory."""

    map: FeatureMap
    features: Float64Array
    codes: npt.NDArray[np.int16]


def features(gradients: Sequence[Gradients], feature_map: FeatureMap) -> Float64Array:
    """phi of a batch, float64 [batch, k]; `gradients` holds one mapping a checkpoint."""
    return feature_map.features(gradients)


def coordinates(bases: Sequence[tuple[str, ModuleBasis]], gradients: Gradients) -> Float64Array:
    """c of one checkpoint, float64 [batch, sum of m x r]."""
    missing = sorted({name for name, _ in bases} ^ gradients.keys())
    if missing:
        raise AttributionError("gradients", f"and basis differ in module {missing[0]}; use the index of this model")
    parts = [basis.coordinates(gradients[name]).flatten(start_dim=1).cpu().numpy() for name, basis in bases]
    return np.concatenate(parts, axis=1)


def codes_of(modules: Sequence[ModuleMap]) -> int:
    """Codes of one example at one checkpoint."""
    return sum(module.scale.values.size for module in modules)


def split_modules(bases: Sequence[tuple[str, ModuleBasis]], row: Float64Array) -> list[Float64Array]:
    """A vector over the codes of one checkpoint, cut into [m, r] blocks in order."""
    blocks, at = [], 0
    for _, basis in bases:
        size = basis.shape[0] * basis.shape[1]
        blocks.append(row[at : at + size].reshape(basis.shape))
        at += size
    return blocks


def norms(values: Float64Array) -> Float64Array:
    """Euclidean norm of every row."""
    lengths: Float64Array = np.sqrt((values * values).sum(axis=1))
    return lengths


def cap_norms(values: Float64Array, cap_millionths: int) -> Float64Array:
    """Rows longer than the cap are shortened to it; cap 0 leaves all as they are."""
    if cap_millionths == 0:
        return values
    cap = cap_millionths / CAP_UNITS
    lengths = norms(values)
    over = lengths > cap
    factor = np.where(over, cap / np.where(over, lengths, 1.0), 1.0)
    shortened: Float64Array = values * factor[:, None]
    return shortened


def norm_cap_millionths(lengths: Float64Array, medians: int) -> int:
    """The cap for training examples of these norms: `medians` x their lower median, rounded down."""
    if medians == 0 or len(lengths) == 0:
        return 0
    median = float(np.sort(lengths)[(len(lengths) - 1) // 2])
    return int(medians * median * CAP_UNITS)


def fit_in_memory(gradients: Sequence[Gradients], settings: FeatureSettings | None = None) -> MemoryIndex:
    """Fit basis, scales, cap and exponent on gradients held in memory (one mapping a checkpoint) and make the codes.

    The same steps as `attribution.index_build`, which does them from disk.
    """
    chosen = settings or FeatureSettings()
    checkpoints, parts = [], []
    for by_name in gradients:
        bases: list[tuple[str, ModuleBasis]] = []
        for name in sorted(by_name):
            moments = Moments(*by_name[name].shape[1:])
            moments.add(by_name[name])
            bases.append((name, moments.basis(chosen.directions, chosen.rank_directions)))
        rows = coordinates(bases, by_name)
        modules = scale_modules(bases, (rows * rows).sum(axis=0) / len(rows), chosen.damping_ppb)
        checkpoints.append(modules)
        parts.append(rows)
    feature_map = FeatureMap(tuple(checkpoints))
    whole = np.concatenate([feature_map.whiten(number, rows) for number, rows in enumerate(parts)], axis=1)
    cap = norm_cap_millionths(norms(whole), chosen.norm_cap_medians)
    whole = cap_norms(whole, cap)
    feature_map = replace(
        feature_map, norm_cap_millionths=cap, exponent=choose_exponent(float(np.abs(whole).max(initial=0.0)))
    )
    return MemoryIndex(feature_map, whole, feature_map.codes(whole))


def scale_modules(
    bases: Sequence[tuple[str, ModuleBasis]], second_moments: Float64Array, damping_ppb: int
) -> tuple[ModuleMap, ...]:
    """Modules of one checkpoint with the scales for these mean squares of coordinates [codes of the checkpoint]."""
    blocks = split_modules(bases, second_moments)
    return tuple(
        ModuleMap(name, basis, fit_scale(block, damping_ppb))
        for (name, basis), block in zip(bases, blocks, strict=True)
    )
