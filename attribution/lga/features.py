"""From gradients to features and codes: one map, fixed by integers, for training examples and queries alike.

For every checkpoint e and module j (names sorted) the coordinates c [m, r] (attribution.lga.basis) are multiplied by
the module's scale s [m, r]; those whose scale is not zero, in C order, one module after the other, are the features phi
of an example:

    phi = concat_e concat_j (c x s)[s > 0];    |phi| > cap:  phi = phi x cap / |phi|;    codes = round(phi x 2^exponent)

Features of checkpoints are concatenated, so an inner product of two examples is the sum over checkpoints of their
whitened gradient products. The cap keeps an outlier from weighing more than some ordinary examples; it is 8 x the
median norm of the training examples, in millionths, and the same for queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attribution.errors import AttributionError
from attribution.lga.basis import (
    DEFAULT_DAMPING_PPB,
    DEFAULT_DIRECTIONS,
    BoolArray,
    Float64Array,
    ModuleBasis,
    ModuleScale,
    Moments,
    choose_coordinates,
    fit_scale,
)
from attribution.lga.codes import MAX_CODES, Codes, choose_exponent, quantise
from attribution.lga.parameters import MAX_CHECKPOINTS

if TYPE_CHECKING:
    import torch

CAP_UNITS = 1_000_000
DEFAULT_CAP_MEDIANS = 8
DEFAULT_CHECKPOINT_CODES = 4_096

# Gradients [batch, out, in] of one checkpoint by module name.
Gradients = Mapping[str, "torch.Tensor"]


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """Settings that are chosen before any gradient is seen.

    `checkpoint_codes` of all modules together are kept at every checkpoint, 0 for all; they are chosen among
    `directions` output directions and `rank_directions` (None: all) input directions of every module.
    `norm_cap_medians` is the cap in medians of the training examples' norms, 0 for none.
    """

    checkpoint_codes: int = DEFAULT_CHECKPOINT_CODES
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

    @property
    def kept(self) -> BoolArray:
        """Which coordinates give codes, bool [m, r]."""
        kept: BoolArray = self.scale.values > 0
        return kept

    def whiten(self, gradients: "torch.Tensor") -> Float64Array:
        """c x s of the coordinates kept, float64 [batch, codes of the module], for gradients [batch, out, in]."""
        coordinates = self.basis.coordinates(gradients).cpu().numpy()
        whitened: Float64Array = (coordinates * self.scale.floats())[:, self.kept]
        return whitened


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

    def features(self, gradients: Sequence[Gradients]) -> Float64Array:
        """phi, float64 [batch, k], from the gradients of every checkpoint in order."""
        if len(gradients) != len(self.checkpoints):
            raise AttributionError("gradients", f"of {len(gradients)} checkpoints, the map has {len(self.checkpoints)}")
        parts = [whiten(modules, item) for modules, item in zip(self.checkpoints, gradients, strict=True)]
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


def whiten(modules: Sequence[ModuleMap], gradients: Gradients) -> Float64Array:
    """Features of one checkpoint before the cap, float64 [batch, codes of the checkpoint]."""
    missing = sorted({module.name for module in modules} ^ gradients.keys())
    if missing:
        raise AttributionError("gradients", f"and basis differ in module {missing[0]}; use the index of this model")
    return np.concatenate([module.whiten(gradients[module.name]) for module in modules], axis=1)


def codes_of(modules: Sequence[ModuleMap]) -> int:
    """Codes of one example at one checkpoint."""
    return sum(int(module.kept.sum()) for module in modules)


def norms(values: Float64Array) -> Float64Array:
    """Euclidean norm of every row; raises `AttributionError` where it is not finite."""
    with np.errstate(over="ignore"):
        lengths: Float64Array = np.sqrt((values * values).sum(axis=1))
    if not np.isfinite(lengths).all():
        raise AttributionError("features", "are too large to have a norm: the scales, or a gradient, are damaged")
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

    The same steps as `attribution.lga.index.build`, which does them from disk.
    """
    chosen = settings or FeatureSettings()
    feature_map = FeatureMap(tuple(_fit_modules(by_name, chosen) for by_name in gradients))
    whole = feature_map.features(gradients)
    cap = norm_cap_millionths(norms(whole), chosen.norm_cap_medians)
    whole = cap_norms(whole, cap)
    feature_map = replace(
        feature_map, norm_cap_millionths=cap, exponent=choose_exponent(float(np.abs(whole).max(initial=0.0)))
    )
    return MemoryIndex(feature_map, whole, feature_map.codes(whole))


def _fit_modules(gradients: Gradients, settings: FeatureSettings) -> tuple[ModuleMap, ...]:
    fitted = []
    for name in sorted(gradients):
        moments = Moments(*gradients[name].shape[1:])
        moments.add(gradients[name])
        basis = moments.basis(settings.directions, settings.rank_directions)
        squares = sum_of_squares(basis, gradients[name])
        fitted.append(
            FittedBasis(name=name, basis=basis, second_moment=squares / moments.count, entry_mean=moments.entry_mean)
        )
    return choose_modules(fitted, settings)


def sum_of_squares(basis: ModuleBasis, gradients: "torch.Tensor") -> Float64Array:
    """Sum over a batch of c^2, float64 [m, r]."""
    coordinates = basis.coordinates(gradients).cpu().numpy()
    total: Float64Array = (coordinates * coordinates).sum(axis=0)
    return total


@dataclass(frozen=True, eq=False)
class FittedBasis:
    """Basis of a module, with v [m, r] and u of attribution.lga.basis."""

    name: str
    basis: ModuleBasis
    second_moment: Float64Array
    entry_mean: float


def choose_modules(fitted: Sequence[FittedBasis], settings: FeatureSettings) -> tuple[ModuleMap, ...]:
    """The map of one checkpoint: which coordinates are kept, and their scales."""
    kept = choose_coordinates([(one.second_moment, one.entry_mean) for one in fitted], settings.checkpoint_codes)
    return tuple(
        ModuleMap(one.name, one.basis, fit_scale(one.second_moment, one.entry_mean, chosen, settings.damping_ppb))
        for one, chosen in zip(fitted, kept, strict=True)
    )


def without_unused_directions(checkpoints: Sequence[tuple[ModuleMap, ...]]) -> tuple[tuple[ModuleMap, ...], ...]:
    """Cut the bases of a map after the last output direction of a module that any checkpoint uses."""
    used = [max(_directions_used(module) for module in of_module) for of_module in zip(*checkpoints, strict=True)]
    return tuple(
        tuple(_cut(module, count) for module, count in zip(modules, used, strict=True)) for modules in checkpoints
    )


def _directions_used(module: ModuleMap) -> int:
    rows = np.flatnonzero(module.kept.any(axis=1))
    return int(rows[-1]) + 1 if len(rows) else 1


def _cut(module: ModuleMap, count: int) -> ModuleMap:
    basis = replace(module.basis, output=np.ascontiguousarray(module.basis.output[:, :count]))
    return replace(module, basis=basis, scale=replace(module.scale, values=module.scale.values[:count].copy()))
