"""A whole model's files against its own configuration: every tensor that this describes is there, in its shape.

A loader fills what is missing with random numbers and drops what it does not know; neither is this model. The question
is put to transformers' loader itself, without any number (torch's meta device). Models that it does not know (code of
their own, quantised by another library) are compared by the numbers in their configuration.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openledger.errors import UsageError

MODEL_CONFIG_FILE = "config.json"
_FINDINGS = {
    "missing_keys": "is missing",
    "unexpected_keys": "is not described by it",
    "mismatched_keys": "has another shape than it says",
}
_EMBEDDING = re.compile(r"(\A|\.)(embed_tokens|wte|word_embeddings|embed_in|tok_embeddings)\.weight\Z")
# Constants that older versions of transformers saved with a model.
_BUFFER = re.compile(r"\.(masked_bias|inv_freq|position_ids)\Z")
_LAYER = re.compile(r"\.(?:layers|h|blocks|layer)\.([0-9]+)\.")


class ModelRefused(UsageError):
    """Files that are not the model that their configuration describes."""


def check_whole_model(folder: Path, names: Sequence[str]) -> None:
    """Compare the safetensors files of a folder with its configuration; raises `ModelRefused`."""
    if not (folder / MODEL_CONFIG_FILE).is_file() or not any("/" not in name for name in names):
        return
    config = _read_config(folder)
    loaders = [] if config.get("quantization_config") else _loaders_of(folder, config)
    if not loaders:
        _check_by_numbers(folder, names, config)
        return
    problems = [_problem(_loading(folder, loader)) for loader in loaders]
    if all(problems):
        raise ModelRefused(problems[0])


def _problem(said: Mapping[str, Any]) -> str:
    """The first thing that a loader found; empty where it found nothing."""
    for what, words in _FINDINGS.items():
        found = sorted([each for each in said.get(what) or () if not _BUFFER.search(str(each))], key=str)
        if found:
            return _text(found[0], words, len(found))
    errors = said.get("error_msgs")
    return f"the model cannot be loaded: {' '.join(str(errors[0]).split())}" if errors else ""


def _text(found: Any, words: str, count: int) -> str:
    more = f" (and {count - 1} more)" if count > 1 else ""
    if isinstance(found, tuple):
        name, here, wanted = found
        return (
            f"tensor {name} is {_shape(here)} in the file, {MODEL_CONFIG_FILE} says {_shape(wanted)}{more}: these "
            "files do not belong together"
        )
    return f"tensor {found} {words}, by {MODEL_CONFIG_FILE}{more}: fetch or save the model whole"


def _shape(shape: Any) -> str:
    return " x ".join(str(each) for each in shape)


def _read_config(folder: Path) -> Mapping[str, Any]:
    try:
        config = json.loads((folder / MODEL_CONFIG_FILE).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"{MODEL_CONFIG_FILE} is not JSON ({error}): fetch or save the model whole") from error
    if not isinstance(config, dict):
        raise ModelRefused(f"{MODEL_CONFIG_FILE} is no JSON object: fetch or save the model whole")
    return config


def _loaders_of(folder: Path, config: Mapping[str, Any]) -> list[Any]:
    """The class of transformers that the configuration names; without a name those for texts and for states."""
    import transformers

    try:
        transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises a dozen kinds for configurations that it cannot read
        if str(config.get("model_type")) in transformers.CONFIG_MAPPING:
            text = " ".join(str(error).split())[:200]
            raise ModelRefused(f"{MODEL_CONFIG_FILE} describes no model: {text}") from error
        return []
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""
    found = getattr(transformers, first, None) if first.isidentifier() else None
    return [found] if hasattr(found, "from_pretrained") else [transformers.AutoModelForCausalLM, transformers.AutoModel]


def _loading(folder: Path, loader: Any) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    # The loader's own report is for people who mean to train what is missing.
    logging.set_verbosity_error()
    try:
        _, said = loader.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        return {"error_msgs": [str(error)[:200]]}
    finally:
        logging.set_verbosity(before)
    return dict(said)


def _check_by_numbers(folder: Path, names: Sequence[str], config: Mapping[str, Any]) -> None:
    """Hidden size, vocabulary and layers, for models that transformers cannot build here."""
    from safetensors import safe_open

    layers: set[int] = set()
    width, words, depth = (config.get(key) for key in ("hidden_size", "vocab_size", "num_hidden_layers"))
    for name in names:
        with safe_open(folder / name, framework="pt") as opened:
            for tensor in opened.keys():  # noqa: SIM118 (not a dictionary)
                layers |= {int(match[1]) for match in [_LAYER.search(tensor)] if match}
                shape = list(opened.get_slice(tensor).get_shape()) if _EMBEDDING.search(tensor) else []
                if shape and None not in (words, width) and shape != [words, width]:
                    raise ModelRefused(_text((tensor, shape, (words, width)), "", 1))
    missing = sorted(set(range(depth)) - layers) if isinstance(depth, int) and layers else []
    if missing:
        raise ModelRefused(
            f"layer {missing[0]} of {depth} is missing, by {MODEL_CONFIG_FILE}: fetch or save the model whole"
        )
