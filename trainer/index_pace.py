"""How long fitting an index takes beside its gradients: timed for each size of layer, and multiplied by how many.

Of n rows, E of which the bases are fitted on (`IndexSettings.basis_examples`), at every checkpoint and for every layer:

    E x (moments + squares) + one eigenbasis + n x features

Each is timed with the functions that the index uses, on random gradients of the layer's shape. Layers with more than
`TIMED_OUTPUTS` outputs are timed at that size; moments grow with the square of the outputs, the eigenbasis with the
cube, the others in proportion.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from attribution.lga.index.plan import IndexSettings

TIMED_OUTPUTS = 1024
_TIMED_ROWS = 16
# Of so many times the shortest counts, since other work on the machine only makes them longer; the eigenbasis, which
# takes as long as all of them, is timed once.
_TIMES = 3


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
        added = _shortest(lambda: moments.add(gradients))
        began = time.perf_counter()
        basis = moments.basis(DEFAULT_DIRECTIONS)
        fitted = time.perf_counter() - began
        squared = _shortest(lambda: sum_of_squares(basis, gradients))
    growth = outputs / size
    features_row = squared / _TIMED_ROWS * growth
    return LayerSeconds(
        basis_row=added / _TIMED_ROWS * growth**2 + features_row,
        eigenbasis=fitted * growth**3,
        features_row=features_row,
    )


def _shortest(work: Callable[[], object]) -> float:
    """Seconds that a piece of work takes when nothing else is in its way."""
    found = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)
