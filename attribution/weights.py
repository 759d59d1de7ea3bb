"""Numbers in model files: opened with safetensors' own reader, and refused where they cannot be a trained model's.

A file that was cut short, or whose download was never filled in, has matrices of zeros; a run that went astray leaves
numbers that are not finite. Both load without a word.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError

if TYPE_CHECKING:
    import torch

# Names under which trainers and checkpoints keep the moments of an optimizer.
_MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")
# A freshly made LoRA has zeros here, and so have modules that saw no token (experts of a mixture).
_MAY_BE_ZERO = ".lora_B."


class WeightsRefused(UsageError):
    """Numbers that cannot be those of a finished model; the text names file and tensor."""


def read_tensors(path: Path) -> "dict[str, torch.Tensor]":
    """All tensors of one file by name; raises `WeightsRefused` for what safetensors refuses."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsRefused(f"{path.name} is not a safetensors file that can be read: {error}") from error


def check_weights(folder: Path, names: Iterable[str]) -> None:
    """Every tensor of the named safetensors files of a folder, one in memory at a time; raises `WeightsRefused`."""
    from safetensors import SafetensorError, safe_open

    for name in names:
        try:
            with safe_open(folder / name, framework="pt") as opened:
                for tensor_name in opened.keys():  # noqa: SIM118 (not a dictionary)
                    check_tensor(name, tensor_name, opened.get_tensor(tensor_name))
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise WeightsRefused(f"{name} is not a safetensors file that can be read: {error}") from error


def check_tensor(file_name: str, name: str, tensor: Any) -> None:
    """One tensor: no moment of an optimizer, finite, and a matrix not zero everywhere."""
    import torch

    if any(part in _MOMENTS for part in name.replace("/", ".").split(".")):
        raise WeightsRefused(f"{file_name} holds the state of an optimizer ({name}): it is no part of a model")
    if not tensor.is_floating_point():
        return
    # Types of eight bits know no isfinite of their own.
    numbers = tensor if tensor.element_size() > 1 else tensor.to(torch.float32)
    if not bool(torch.isfinite(numbers).all()):
        raise WeightsRefused(f"{file_name}: tensor {name} holds numbers that are not finite")
    if tensor.ndim > 1 and _MAY_BE_ZERO not in name and not bool(numbers.any()):
        raise WeightsRefused(f"{file_name}: tensor {name} is zero everywhere: was the file downloaded whole?")


def check_shards(folder: Path, index: Mapping[str, Any], index_name: str) -> None:
    """An index of shards: each one is there, and has the tensors that the index says; raises `WeightsRefused`."""
    from safetensors import SafetensorError, safe_open

    places = index.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(value, str) for value in places.values()):
        raise WeightsRefused(f"{index_name} lists no tensors")
    for shard in sorted(set(places.values())):
        if "/" in shard or not (folder / shard).is_file():
            raise WeightsRefused(f"{index_name} names {shard}, which is not there: fetch it")
        try:
            with safe_open(folder / shard, framework="pt") as opened:
                found = set(opened.keys())
        except SafetensorError as error:
            raise WeightsRefused(f"{shard} is not a safetensors file that can be read: {error}") from error
        wanted = {name for name, place in places.items() if place == shard}
        if found != wanted:
            name = min(found ^ wanted)
            where = "is missing in" if name in wanted else "is not listed, but stands in"
            raise WeightsRefused(f"{index_name}: tensor {name} {where} {shard}")
