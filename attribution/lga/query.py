"""Codes of a query, and of a leaf that is audited: computed singly, in canonical form, checkpoint by checkpoint.

A query is a prompt and an output; the output's tokens carry the loss, as a completion does in training. One example at
a time, a batch of one without padding, is what codes of queries and audited leaves are defined by. Codes in the index
may have been computed in batches: they agree with the single ones within the band, not always in the last integer.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from attribution.adapter_file import check_fits, read_adapter_tensors
from attribution.errors import AttributionError
from attribution.lga.basis import Float64Array
from attribution.lga.codes import Codes
from attribution.lga.features import FeatureMap
from attribution.lga.gradients import ADAPTER_NAME, GradientCollector
from attribution.lga.index.plan import check_tokens, checkpoint_digest
from attribution.lga.precision import Precision, canonical
from attribution.loss import Tokens
from openledger.errors import UsageError

# Codes of honest float32 machines: the floats lie within 1e-5, rounding moves a code in a hundred by one more. TF32 and
# bfloat16 are a decade outside.
REPEATED_BAND = 1e-4
MAX_CODE_DIFFERENCE = 8


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far codes are from others: relative L2, and the largest difference in units of the others' codes."""

    relative: float
    largest: float


def query_tokens(prompt_ids: Sequence[int], output_ids: Sequence[int]) -> Tokens:
    """The query as an example; raises `AttributionError` unless at least one output token is predicted."""
    tokens = Tokens((*prompt_ids, *output_ids), len(prompt_ids))
    check_tokens(tokens, "query.tokens")
    if not output_ids or len(tokens.ids) < 2:
        raise AttributionError("query.tokens", "have no output token after another token; generate or give one")
    return tokens


def query_codes(
    models: Iterable[Any], feature_map: FeatureMap, tokens: Tokens, precision: Precision = "float32"
) -> Codes:
    """Codes of one query. `models` gives the model at every checkpoint in turn (`at_checkpoints` does)."""
    return feature_map.query_codes(single_features(models, feature_map, tokens, precision))


def leaf_codes(
    models: Iterable[Any], feature_map: FeatureMap, tokens: Tokens, precision: Precision = "float32", weight: int = 1
) -> npt.NDArray[np.int16]:
    """Codes of one training example as an auditor computes them, int16 [k] in the exponent of the index.

    `weight` is the example's in training (`attribution.lga.index.plan.TrainingExample`).
    """
    return feature_map.codes(single_features(models, feature_map, tokens, precision, weight))


def single_features(
    models: Iterable[Any], feature_map: FeatureMap, tokens: Tokens, precision: Precision = "float32", weight: int = 1
) -> Float64Array:
    """Features float64 [k] of one example; raises `AttributionError` for a model or tokens that do not fit."""
    check_tokens(tokens, "query.tokens")
    names = [[module.name for module in modules] for modules in feature_map.checkpoints]
    gradients = []
    for number, model in enumerate(models):
        if number == len(names):
            raise AttributionError("models", f"the index has {len(names)} checkpoints, more models were given")
        _check_vocabulary(model, tokens)
        with canonical(model, precision):
            found = GradientCollector(model, names[number]).collect_tokens([tokens])
            gradients.append({name: value * weight for name, value in found.items()})
    features: Float64Array = feature_map.features(gradients)[0]
    return features


def at_checkpoints(
    model: Any, adapters: Sequence[Path], digests: Sequence[bytes] | None = None, adapter: str = ADAPTER_NAME
) -> Iterator[Any]:
    """One peft model with each checkpoint's adapter in turn; the last one stays.

    `digests` are the tensor digests that the index commits to; another adapter is refused by name.
    """
    for number, path in enumerate(adapters):
        if digests is not None and (number >= len(digests) or checkpoint_digest(path) != digests[number]):
            raise AttributionError(f"checkpoint/{number:04d}", f"{path.name} is not the adapter of this index")
        load_adapter(model, path, adapter)
        yield model


def load_adapter(model: Any, path: Path, adapter: str = ADAPTER_NAME) -> Any:
    """Put the adapter of a safetensors file, or a folder with one, into a peft model; returns the model."""
    from peft import set_peft_model_state_dict

    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if len(files) != 1 or not files[0].is_file():
        raise AttributionError("checkpoint", f"{path.name} must hold one safetensors file, not {len(files)}")
    try:
        tensors = read_adapter_tensors(files[0], model.peft_config[adapter].r)
        check_fits(model, tensors, adapter)
        set_peft_model_state_dict(model, tensors, adapter_name=adapter)
    except (UsageError, RuntimeError) as error:
        raise AttributionError("checkpoint", f"{files[0].name} cannot be used: {error}") from error
    return model


def deviation(found: Codes, reference: Codes) -> Deviation:
    """Distance of codes from `reference`, with any exponents; infinite for another number of codes."""
    if len(found.values) != len(reference.values):
        return Deviation(math.inf, math.inf)
    expected = reference.values.astype(np.float64)
    with np.errstate(over="ignore"):  # an exponent far from the other makes codes infinitely far
        difference = np.ldexp(found.values.astype(np.float64), reference.exponent - found.exponent) - expected
        length, distance = float(np.linalg.norm(expected)), float(np.linalg.norm(difference))
    # Codes of an example without any gradient are all zero: nothing to be relative to.
    relative = distance / length if length else (0.0 if distance == 0 else math.inf)
    return Deviation(relative, float(np.abs(difference).max(initial=0.0)))


def _check_vocabulary(model: Any, tokens: Tokens) -> None:
    embeddings = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    size = getattr(embeddings, "num_embeddings", None)
    if size is not None and max(tokens.ids) >= size:
        raise AttributionError("query.tokens", f"id {max(tokens.ids)} of a vocabulary of {size}: another tokenizer")
