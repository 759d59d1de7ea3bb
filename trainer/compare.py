"""Two adapters compared tensor by tensor: how far is a recorded one from one that was trained again?

Float sums in another order differ by 1e-7 and training carries that on: what was learnt (B, which begins at zero) then
differs by thousandths of its length. Another seed, other data or random numbers differ by all of it. So a tenth tells
them apart with a decade on either side, for all matrices of a kind together and for each one alone. A matrix that
learnt next to nothing is mostly noise, so a tenth of the usual length of its kind is the least it is measured by.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attribution.adapter_file import ADAPTER_FILE
from attribution.weights import read_tensors

if TYPE_CHECKING:
    import torch

# Relative L2; see above.
MAX_ADAPTER_DISTANCE = 0.1
_LEAST_PART_OF_USUAL = 0.1
_KINDS = ("lora_A", "lora_B")


@dataclass(frozen=True, slots=True)
class AdapterDistance:
    """Relative L2 of all A or all B together (the larger), and of the farthest tensor; infinite for other shapes."""

    overall: float
    worst: float
    worst_name: str

    @property
    def is_near(self) -> bool:
        """Whether float noise explains it."""
        return self.overall <= MAX_ADAPTER_DISTANCE and self.worst <= MAX_ADAPTER_DISTANCE

    @property
    def words(self) -> str:
        """One line: how far, and how far is allowed and why."""
        return (
            f"final tensors: {self.overall:.1e} from the repeated ones over all, {self.worst:.1e} at most in one "
            f"({self.worst_name}); {MAX_ADAPTER_DISTANCE} is allowed: float noise moves them by thousandths, another "
            "training by their whole length"
        )


def adapter_distance(recorded: Path, repeated: Path) -> AdapterDistance:
    """The distance between the adapters of two folders; raises `UsageError` for a file that cannot be read."""
    one, other = read_tensors(recorded / ADAPTER_FILE), read_tensors(repeated / ADAPTER_FILE)
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other or one[name].shape != other[name].shape:
            return AdapterDistance(math.inf, math.inf, name)
    parts = [_distance_of_kind({name: (one[name], other[name]) for name in one if kind in name}) for kind in _KINDS]
    rest = sorted(name for name in one if not any(kind in name for kind in _KINDS))
    parts += [_distance_of_kind({name: (one[name], other[name])}) for name in rest]
    overall = max(part.overall for part in parts)
    farthest = max(parts, key=lambda part: part.worst)
    return AdapterDistance(overall, farthest.worst, farthest.worst_name)


def _distance_of_kind(pairs: "Mapping[str, tuple[torch.Tensor, torch.Tensor]]") -> AdapterDistance:
    if not pairs:
        return AdapterDistance(0.0, 0.0, "none")
    squares = {
        name: (float((one.double() - other.double()).square().sum()), float(other.double().square().sum()))
        for name, (one, other) in pairs.items()
    }
    usual = math.sqrt(sum(length for _, length in squares.values()) / len(squares))
    each = {
        name: _ratio(math.sqrt(apart), max(math.sqrt(length), usual * _LEAST_PART_OF_USUAL))
        for name, (apart, length) in squares.items()
    }
    worst_name = max(sorted(each), key=each.__getitem__)
    apart = math.sqrt(sum(apart for apart, _ in squares.values()))
    overall = _ratio(apart, math.sqrt(sum(length for _, length in squares.values())))
    return AdapterDistance(overall, each[worst_name], worst_name)


def _ratio(apart: float, length: float) -> float:
    """Infinite for numbers that are not finite, and for any distance from nothing."""
    if not math.isfinite(apart):
        return math.inf
    return apart / length if length else (math.inf if apart else 0.0)
