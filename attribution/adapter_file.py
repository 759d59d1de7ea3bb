"""An adapter's tensors against its configuration and its base: each one has a place, and no place stays empty.

peft is asked which tensors a configuration makes on a base; a loader that asks nobody leaves out what it does not know
and starts at random what it does not find.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.adapter_config import AdapterConfig, AdapterRefused, read_adapter_config
from attribution.weights import WeightsRefused, check_tensor, read_tensors

if TYPE_CHECKING:
    import torch

ADAPTER_FILE = "adapter_model.safetensors"
# Adapters of the largest models with the highest ranks.
MAX_ADAPTER_BYTES = 2 * 2**30
_FLOATS = ("float16", "bfloat16", "float32")


def read_adapter(folder: Path) -> "tuple[AdapterConfig, dict[str, torch.Tensor]]":
    """Configuration and tensors of an adapter's folder, sound by themselves; raises `AdapterRefused`."""
    config = read_adapter_config(folder)
    return config, read_adapter_tensors(folder / ADAPTER_FILE, config.rank)


def read_adapter_tensors(path: Path, rank: int) -> "dict[str, torch.Tensor]":
    """Tensors of an adapter's file: pairs of A [rank, in] and B [out, rank] of floats, finite, not all of B zero."""
    if not path.is_file():
        raise AdapterRefused(f"{path.name} is missing in {path.parent}: adapters are read as safetensors only")
    if path.stat().st_size > MAX_ADAPTER_BYTES:
        raise AdapterRefused(f"{path.name} has more than {MAX_ADAPTER_BYTES} bytes")
    tensors = read_tensors(path)
    if not tensors:
        raise AdapterRefused(f"{path.name} holds no tensor")
    for name, tensor in sorted(tensors.items()):
        _check_one(path.name, name, tensor, rank, tensors)
    if not any(bool(tensor.any()) for name, tensor in tensors.items() if ".lora_B." in name):
        raise AdapterRefused(f"{path.name}: every B matrix is zero: the adapter changes nothing, was it trained?")
    return tensors


def _check_one(file_name: str, name: str, tensor: Any, rank: int, tensors: "Mapping[str, torch.Tensor]") -> None:
    place = f"{file_name}: tensor {name}"
    is_a, is_b = name.endswith(".lora_A.weight"), name.endswith(".lora_B.weight")
    if not (is_a or is_b):
        raise AdapterRefused(f"{place} is no A or B matrix of a linear layer: only those are computed with here")
    other = name.replace(".lora_A.weight", ".lora_B.weight") if is_a else name.replace(".lora_B.", ".lora_A.")
    if other not in tensors:
        raise AdapterRefused(f"{place} is there, {other} is not: the file was cut or put together")
    if str(tensor.dtype).removeprefix("torch.") not in _FLOATS:
        raise AdapterRefused(f"{place} is of {tensor.dtype}; known are {', '.join(_FLOATS)}")
    if tensor.ndim != 2 or tensor.shape[0 if is_a else 1] != rank:
        raise AdapterRefused(f"{place} has the shape {list(tensor.shape)}, which is not of rank {rank}")
    try:
        check_tensor(file_name, name, tensor)
    except WeightsRefused as error:
        raise AdapterRefused(str(error)) from error


def check_fits(model: Any, tensors: "Mapping[str, torch.Tensor]", adapter: str = "default") -> None:
    """The tensors are exactly those that a peft model has places for, in their shapes; raises `AdapterRefused`."""
    places = adapter_state(model, adapter)
    for name in sorted(places.keys() | tensors.keys()):
        if name not in tensors:
            raise AdapterRefused(f"the adapter does not fit the model: {name} is missing in its file")
        if name not in places:
            raise AdapterRefused(f"the adapter does not fit the model: {name} has no place in the base")
        if places[name].shape != tensors[name].shape:
            raise AdapterRefused(
                f"the adapter does not fit the model: {name} has the shape {list(tensors[name].shape)}, the base needs "
                f"{list(places[name].shape)}"
            )


def adapter_state(model: Any, adapter: str = "default") -> "dict[str, torch.Tensor]":
    """The adapter's tensors in a peft model by the names that files have, without any tensor of the base."""
    from peft import get_peft_model_state_dict

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft on embeddings of the base, which it would save, too
        return dict(get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False))


def read_adapter_of_base(adapter_folder: Path, base_config_folder: Path) -> AdapterConfig:
    """Whether an adapter's file fits a base, of which the configuration alone is there; raises `AdapterRefused`."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    config, tensors = read_adapter(adapter_folder)
    try:
        described = AutoConfig.from_pretrained(str(base_config_folder), local_files_only=True)
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            base = AutoModelForCausalLM.from_config(described)
            model = get_peft_model(base, LoraConfig.from_pretrained(str(adapter_folder)))
    except (ValueError, OSError, KeyError, TypeError, RuntimeError) as error:
        raise AdapterRefused(f"the adapter does not fit the model: {' '.join(str(error).split())}") from error
    check_fits(model, tensors)
    return config
