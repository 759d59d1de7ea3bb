"""How long fitting an index takes beside its gradients: timed for each size of layer, and multiplied by how many.

Of n rows, E of which the bases are fitted on (`IndexSettings.basis_examples`), at every checkpoint and for every layer:

    E x (moments + squares) + one eigenbasis + n x features

Each is timed with the functions that the index uses, on random gradients of the layer's shape. Layers with more than
`TIMED_OUTPUTS` outputs are timed at that size; moments grow with the square of the outputs, the eigenbasis with the
cube, the others in proportion.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from attribution.lga.index.plan import IndexSettings

TIMED_OUTPUTS = 512
_TIMED_ROWS = 16


@dataclass(frozen=True, slots=True)
class LayerSeconds:
    """Seconds that one layer takes: for a row of the basis, for its eigenbasis, for the features of a row."""

    basis_row: float
    eigenbasis: float
    features_row: float


def fitting_seconds(
    outputs: Iterable[int], seconds_by_outputs: Mapping[int, LayerSeconds], *, rows: int, checkpoints: int
) -> float:
    """Seconds of an index of `rows` rows for layers with these numbers of outputs, gradients not counted."""
    basis_rows = min(rows, IndexSettings().basis_examples)
    total = 0.0
    for size, layers in Counter(outputs).items():
        each = seconds_by_outputs[size]
        total += layers * (basis_rows * each.basis_row + each.eigenbasis + rows * each.features_row)
    return total * checkpoints


def time_layer(outputs: int, rank: int, threads: int) -> LayerSeconds:
    """Time one layer of an adapter of this rank."""
    import torch

    from attribution.lga.basis import DEFAULT_DIRECTIONS, Moments
    from attribution.lga.features import sum_of_squares
    from attribution.lga.precision import torch_threads

    size = min(outputs, TIMED_OUTPUTS)
    random = torch.Generator().manual_seed(1)
    gradients = torch.randn((_TIMED_ROWS, size, rank), generator=random)
    with torch_threads(threads):
        moments = Moments(size, rank)
        moments.add(gradients)  # the first one also fills caches
        began = time.perf_counter()
        moments.add(gradients)
        added = time.perf_counter()
        basis = moments.basis(DEFAULT_DIRECTIONS)
        fitted = time.perf_counter()
        sum_of_squares(basis, gradients)
        ended = time.perf_counter()
    growth = outputs / size
    features_row = (ended - fitted) / _TIMED_ROWS * growth
    return LayerSeconds(
        basis_row=(added - began) / _TIMED_ROWS * growth**2 + features_row,
        eigenbasis=(fitted - added) * growth**3,
        features_row=features_row,
    )
