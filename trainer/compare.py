"""Two outputs compared tensor by tensor: how far is a recorded one from one that was trained again?

Float sums in another order differ by 1e-7 and training carries that on: what was learnt (B, which begins at zero) then
differs by thousandths of its length. Another seed, other data or random numbers differ by all of it. So a tenth tells
them apart with a decade on either side, for all matrices of a kind together and for each one alone. A matrix that
learnt next to nothing is mostly noise, so a tenth of the usual length of its kind is the least it is measured by.

Of a whole model what is compared is its way from the base: the numbers themselves hardly move in a fine-tune, so that
any two fine-tunes of one base are near each other. Biases and norms count in the sum alone: some of them have no
gradient but noise (a bias of keys), which Adam makes as long as any other step.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.adapter_file import ADAPTER_FILE
from attribution.weights import WeightsRefused, read_tensors

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
    allowed: float = MAX_ADAPTER_DISTANCE

    @property
    def is_near(self) -> bool:
        """Whether float noise explains it."""
        return self.overall <= self.allowed and self.worst <= self.allowed

    @property
    def words(self) -> str:
        """One line: how far, and how far is allowed and why."""
        return (
            f"final tensors: {self.overall:.1e} from the repeated ones over all, {self.worst:.1e} at most in one "
            f"({self.worst_name}); {self.allowed} is allowed: float noise moves them by thousandths, another "
            "training by their whole length"
        )


def adapter_distance(recorded: Path, repeated: Path, allowed: float = MAX_ADAPTER_DISTANCE) -> AdapterDistance:
    """The distance between the adapters of two folders; raises `UsageError` for a file that cannot be read."""
    one, other = read_tensors(recorded / ADAPTER_FILE), read_tensors(repeated / ADAPTER_FILE)
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other or one[name].shape != other[name].shape:
            return _infinite(name, allowed)
    parts = [_distance_of_kind({name: (one[name], other[name]) for name in one if kind in name}) for kind in _KINDS]
    rest = sorted(name for name in one if not any(kind in name for kind in _KINDS))
    parts += [_distance_of_kind({name: (one[name], other[name])}) for name in rest]
    overall = max(part.overall for part in parts)
    farthest = max(parts, key=lambda part: part.worst)
    return AdapterDistance(overall=overall, worst=farthest.worst, worst_name=farthest.worst_name, allowed=allowed)


def model_distance(
    recorded: Path, repeated: Path, base: Path, allowed: float = MAX_ADAPTER_DISTANCE
) -> AdapterDistance:
    """How far two whole models went apart on their way from one base; raises `UsageError` for what cannot be read."""
    one, other, start = _Tensors(recorded), _Tensors(repeated), _Tensors(base)
    for name in sorted(one.places.keys() | other.places.keys()):
        if name not in one.places or name not in other.places:
            return _infinite(name, allowed)
    apart_of, way_of, sizes, flat = dict[str, float](), dict[str, float](), dict[str, int](), set[str]()
    for name in sorted(other.places):
        first, second = one.read(name), other.read(name)
        if first.shape != second.shape:
            return _infinite(name, allowed)
        begin = start.read(name) if name in start.places else second.new_zeros(second.shape)
        apart_of[name] = float((first.double() - second.double()).square().sum())
        way_of[name] = float((second.double() - begin.double()).square().sum())
        sizes[name] = max(1, second.numel())
        if second.ndim < 2:
            flat.add(name)
    overall = _ratio(math.sqrt(sum(apart_of.values())), math.sqrt(sum(way_of.values())))
    usual = math.sqrt(sum(way_of.values()) / sum(sizes.values()))
    each = {
        name: _ratio(
            math.sqrt(apart_of[name]),
            max(math.sqrt(way_of[name]), usual * _LEAST_PART_OF_USUAL * math.sqrt(sizes[name])),
        )
        for name in apart_of.keys() - flat
    }
    worst_name = max(sorted(each), key=each.__getitem__, default="none")
    return AdapterDistance(overall=overall, worst=each.get(worst_name, 0.0), worst_name=worst_name, allowed=allowed)


def _infinite(name: str, allowed: float) -> AdapterDistance:
    return AdapterDistance(overall=math.inf, worst=math.inf, worst_name=name, allowed=allowed)


class _Tensors:
    """The tensors of a model's folder, one in memory at a time."""

    def __init__(self, folder: Path) -> None:
        self.places: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with _opened(path) as tensors:
                self.places |= dict.fromkeys(tensors.keys(), path)

    def read(self, name: str) -> "torch.Tensor":
        """One of them."""
        with _opened(self.places[name]) as tensors:
            found: torch.Tensor = tensors.get_tensor(name)
            return found


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as tensors:
            yield tensors
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsRefused(f"{path.name} is not a safetensors file that can be read: {error}") from error


def _distance_of_kind(pairs: "Mapping[str, tuple[torch.Tensor, torch.Tensor]]") -> AdapterDistance:
    if not pairs:
        return AdapterDistance(overall=0.0, worst=0.0, worst_name="none")
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
    return AdapterDistance(overall=overall, worst=each[worst_name], worst_name=worst_name)


def _ratio(apart: float, length: float) -> float:
    """Infinite for numbers that are not finite, and for any distance from nothing."""
    if not math.isfinite(apart):
        return math.inf
    return apart / length if length else (math.inf if apart else 0.0)
