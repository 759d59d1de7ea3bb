"""Per module: the directions in which gradients vary, and how strongly, in integers that every machine uses alike.

For gradients G_i [out, in] of examples i (for LoRA B matrices in = rank):

    U  = leading m eigenvectors of mean_i G_i G_i^T     [out, m]     `output`
    R  = eigenvectors of mean_i G_i^T G_i               [in, r]      `rank`
    c_i = U^T G_i R                                     [m, r]       coordinates
    v  = mean_i c_i^2 (elementwise)                     [m, r]       second moment
    u  = mean_i |G_i|^2 / (out x in)                                 what v would be everywhere without structure
    s  = 1 / sqrt(v + damping x u), 0 where not kept    [m, r]       scale

U and R are stored as int16, s as int32, each with one power-of-two exponent (value = integer x 2^-exponent). So the
only floats that depend on the machine are the gradients themselves. The scale is the diagonal of a damped whitening:
K-FAC's eigenbasis (Martens & Grosse 2015) with corrected eigenvalues (George et al. 2018). Of all modules together
the coordinates with the largest v / u are kept: whitened, they vary most, and the rest hardly changes a product.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.lga.codes import CODE_LIMIT, choose_exponent

if TYPE_CHECKING:
    import torch

Int16Array = npt.NDArray[np.int16]
Int32Array = npt.NDArray[np.int32]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Output directions of a module among which coordinates are chosen unless asked otherwise.
DEFAULT_DIRECTIONS = 256
# 1.0 x the mean second moment of all entries: near the best on every task that was measured (docs/attribution.md).
DEFAULT_DAMPING_PPB = PPB
# Largest magnitude of a scale integer: a 32-bit number with room for its sign.
SCALE_LIMIT = 2**31 - 1
# Second moments lie between 2^-1074, the smallest float64, and this, so s between 2^-506 and 2^537.
LARGEST_SECOND_MOMENT = 2.0**1000
SCALE_EXPONENT_LIMIT = 600
# An eigenvalue this far below the largest is rounding noise; its direction is left out (all zeros).
_NOISE = 2.0**-40


@dataclass(frozen=True, eq=False)
class ModuleBasis:
    """U and R of one module; value = integer x 2^-exponent. A direction without energy is all zeros."""

    output: Int16Array
    output_exponent: int
    rank: Int16Array
    rank_exponent: int

    @property
    def gradient_shape(self) -> tuple[int, int]:
        """(out, in) of the gradients that it takes."""
        return self.output.shape[0], self.rank.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(m, r) of the coordinates."""
        return self.output.shape[1], self.rank.shape[1]

    def coordinates(self, gradients: "torch.Tensor") -> "torch.Tensor":
        """c = U^T G R, float64 [batch, m, r], for gradients [batch, out, in] on any device."""
        import torch

        if gradients.ndim != 3 or tuple(gradients.shape[1:]) != self.gradient_shape:
            expected = list(self.gradient_shape)
            raise AttributionError(
                "gradient", f"has shape {list(gradients.shape)}, the basis takes batches of {expected}"
            )
        device = gradients.device
        output = torch.from_numpy(np.ldexp(self.output.astype(np.float64), -self.output_exponent)).to(device)
        rank = torch.from_numpy(np.ldexp(self.rank.astype(np.float64), -self.rank_exponent)).to(device)
        return output.T @ gradients.double() @ rank


@dataclass(frozen=True, eq=False)
class ModuleScale:
    """s of one module, int32 [m, r]; value = integer x 2^-exponent. Zero for coordinates that give no code."""

    values: Int32Array
    exponent: int

    def floats(self) -> Float64Array:
        """The scale itself, float64 [m, r]."""
        return np.ldexp(self.values.astype(np.float64), -self.exponent)


class Moments:
    """Sums over examples of G G^T and G^T G of one module, float64 on the CPU, added in the order of the calls."""

    def __init__(self, out_features: int, in_features: int) -> None:
        import torch

        self.row = torch.zeros((out_features, out_features), dtype=torch.float64)
        self.column = torch.zeros((in_features, in_features), dtype=torch.float64)
        self.count = 0

    def add(self, gradients: "torch.Tensor") -> None:
        """Take in gradients [batch, out, in]."""
        gradients = gradients.detach().cpu().double()
        flat = gradients.transpose(0, 1).reshape(gradients.shape[1], -1)
        self.row += flat @ flat.T
        flat = gradients.reshape(-1, gradients.shape[2])
        self.column += flat.T @ flat
        self.count += len(gradients)

    @property
    def entry_mean(self) -> float:
        """u: mean square of all entries of the gradients."""
        return float(self.row.trace()) / (max(1, self.count) * self.row.shape[0] * self.column.shape[0])

    def basis(self, directions: int = DEFAULT_DIRECTIONS, rank_directions: int | None = None) -> ModuleBasis:
        """Eigenbasis of the means."""
        count = max(1, self.count)
        return fit_basis(self.row / count, self.column / count, directions, rank_directions)


def fit_basis(row_moment: Any, column_moment: Any, directions: int, rank_directions: int | None = None) -> ModuleBasis:
    """Basis of the `directions` leading output directions and of `rank_directions` (all) input directions.

    Moments are symmetric float64 [out, out] and [in, in], torch or numpy. Raises `AttributionError` unless finite.
    """
    if directions < 1 or (rank_directions is not None and rank_directions < 1):
        raise AttributionError("directions", "at least one is needed")
    output, output_exponent = _leading(row_moment, directions)
    rank, rank_exponent = _leading(column_moment, rank_directions)
    return ModuleBasis(output=output, output_exponent=output_exponent, rank=rank, rank_exponent=rank_exponent)


def _leading(moment: Any, count: int | None) -> tuple[Int16Array, int]:
    """Leading eigenvectors as columns, int16, and their exponent.

    Largest eigenvalue first, equal ones by the place of their largest entry; the largest entry of a column (the first
    among equals) is positive.
    """
    import torch

    matrix = torch.as_tensor(moment, dtype=torch.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not bool(torch.isfinite(matrix).all()):
        raise AttributionError("moment", f"must be a finite square matrix, not {list(matrix.shape)}")
    values, vectors = (part.numpy() for part in torch.linalg.eigh((matrix + matrix.T) / 2))
    places = np.argmax(np.abs(vectors), axis=0)
    order = sorted(range(len(values)), key=lambda at: (-values[at], places[at]))[:count]
    chosen = vectors[:, order] * np.where(vectors[places[order], order] < 0, -1.0, 1.0)
    chosen[:, values[order] <= max(0.0, float(values.max(initial=0.0))) * _NOISE] = 0.0
    exponent = choose_exponent(float(np.abs(chosen).max(initial=0.0)))
    integers = np.rint(np.ldexp(chosen, exponent))
    return np.clip(integers, -CODE_LIMIT, CODE_LIMIT).astype(np.int16), exponent


def fit_scale(
    second_moment: Float64Array, entry_mean: float, kept: BoolArray, damping_ppb: int = DEFAULT_DAMPING_PPB
) -> ModuleScale:
    """s = 1 / sqrt(v + damping x u) in 30 bits where `kept`, else 0; v = `second_moment` [m, r] > 0, u = `entry_mean`.

    Raises `AttributionError` for what is negative, not finite or above `LARGEST_SECOND_MOMENT`.
    """
    check_moments(second_moment, entry_mean)
    if not kept.any():
        return ModuleScale(np.zeros(second_moment.shape, np.int32), 0)
    with np.errstate(divide="ignore"):
        scale = 1.0 / np.sqrt(second_moment + entry_mean * (damping_ppb / PPB))
    scale[~kept] = 0.0
    exponent = 30 - math.frexp(float(scale.max()))[1]
    integers = np.rint(np.ldexp(scale, exponent)).astype(np.int32)
    # One that rounds to zero beside a scale 2^30 times as large would silently lose its code.
    integers[kept & (integers == 0)] = 1
    return ModuleScale(integers, exponent)


def choose_coordinates(moments: Sequence[tuple[Float64Array, float]], count: int) -> list[BoolArray]:
    """Which coordinates of all modules give codes: the `count` largest v / u (0: all), those never seen left out.

    `moments` holds (v [m, r], u) by module; the answer is bool [m, r] by module. Ties go to the earlier module, then
    to the earlier coordinate. Raises `AttributionError` like `fit_scale`.
    """
    for second_moment, entry_mean in moments:
        check_moments(second_moment, entry_mean)
    parts = [np.zeros(v.size) if u == 0.0 else (v / u).ravel() for v, u in moments]
    ratios = np.concatenate(parts)
    order = np.argsort(-ratios, kind="stable")[: count or None]
    chosen = np.zeros(len(ratios), dtype=np.bool_)
    chosen[order] = ratios[order] > 0.0
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return [part.reshape(v.shape) for part, (v, _) in zip(np.split(chosen, ends), moments, strict=True)]


def check_moments(second_moment: Float64Array, entry_mean: float) -> None:
    """Second moments are finite, in bounds and not negative; raises `AttributionError`."""
    with np.errstate(over="ignore"):
        largest = max(float(second_moment.max(initial=0.0)), entry_mean)
    if not (largest <= LARGEST_SECOND_MOMENT and entry_mean >= 0.0 and bool((second_moment >= 0).all())):
        raise AttributionError("second moment", "is negative, too large or not finite; a gradient overflowed")
