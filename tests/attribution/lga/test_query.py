"""Codes of queries and audited leaves over the checkpoints of a peft adapter."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attribution.errors import AttributionError
from attribution.lga.codes import Codes
from attribution.lga.features import FeatureSettings
from attribution.lga.index.build import build_index
from attribution.lga.index.plan import IndexSettings, TrainingExample, checkpoint_digest
from attribution.lga.index.reader import GradientIndex
from attribution.lga.index.sharding import Shard
from attribution.lga.query import (
    Deviation,
    at_checkpoints,
    deviation,
    leaf_codes,
    load_adapter,
    query_codes,
    query_tokens,
    single_features,
)
from attribution.loss import Tokens
from tests.kit.attribution.tiny import VOCABULARY, tiny_examples, tiny_lora

pytestmark = pytest.mark.ml
SETTINGS = IndexSettings(FeatureSettings(32), batch_examples=4)


def save_adapter(model: Any, folder: Path) -> Path:
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder.mkdir()
    save_file(get_peft_model_state_dict(model), folder / "adapter_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters of one base."""
    folder = tmp_path_factory.mktemp("adapters")
    model = tiny_lora()
    first = save_adapter(model, folder / "first")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.mul_(1.5)
    return [first, save_adapter(model, folder / "last")]


@pytest.fixture(scope="module")
def index(adapters: list[Path], tmp_path_factory: pytest.TempPathFactory) -> GradientIndex:
    model = tiny_lora()
    examples = [
        TrainingExample(tokens, bytes([number]) * 32, b"c" * 32, bytes([number % 2]) * 32, (0, number))
        for number, tokens in enumerate(tiny_examples(8))
    ]
    folder = tmp_path_factory.mktemp("built") / "index"
    return build_index(examples, adapters, lambda path: load_adapter(model, path), SETTINGS, folder, shard=Shard())


def digests(index: GradientIndex) -> list[bytes]:
    return [index.commitment.checkpoint(at) for at in (0, 1)]


def test_a_row_that_was_trained_on_is_found_by_its_own_codes(index: GradientIndex, adapters: list[Path]) -> None:
    tokens = tiny_examples(8)[3]
    model = tiny_lora(seed=0)
    assert digests(index) == [checkpoint_digest(path) for path in adapters]
    query = query_codes(at_checkpoints(model, adapters, digests(index)), index.feature_map, tokens)
    scores = index.codes.astype(np.int64) @ query.values.astype(np.int64)
    assert index.leaves[int(scores.argmax())].row_leaf == bytes([3]) * 32
    found = leaf_codes(at_checkpoints(model, adapters), index.feature_map, tokens)
    exponent = index.parameters.exponent
    assert deviation(Codes(found, exponent), Codes(index.codes[3], exponent)).largest <= 1


def test_every_checkpoint_is_taken_with_its_own_adapter(index: GradientIndex, adapters: list[Path]) -> None:
    tokens = query_tokens([2, 3, 4], [5, 6, 7])
    right = single_features(at_checkpoints(tiny_lora(), adapters), index.feature_map, tokens)
    swapped = single_features(at_checkpoints(tiny_lora(), adapters[::-1]), index.feature_map, tokens)
    half = index.parameters.codes // 2
    assert np.linalg.norm(right - swapped) > 0.01 * np.linalg.norm(right)
    with pytest.raises(AttributionError, match="checkpoint/0000: last is not the adapter of this index"):
        single_features(at_checkpoints(tiny_lora(), adapters[::-1], digests(index)), index.feature_map, tokens)
    assert right.shape == (2 * half,)


def test_the_fields_of_bad_queries_are_named(index: GradientIndex, adapters: list[Path]) -> None:
    model = tiny_lora()

    def ask(tokens: Tokens, given: list[Path]) -> object:
        return query_codes(at_checkpoints(model, given), index.feature_map, tokens)

    good = Tokens((2, 3, 4), 1)
    wrong: list[tuple[Callable[[], object], str, str]] = [
        (lambda: query_tokens([2], []), "query.tokens", "have no output token"),
        (lambda: query_tokens([], [2]), "query.tokens", "have no output token after another"),
        (lambda: query_tokens([], []), "query.tokens", "has 0 tokens"),
        (lambda: ask(Tokens((2, VOCABULARY), 0), adapters), "query.tokens", "of a vocabulary of 20"),
        (lambda: ask(Tokens((2, True), 0), adapters), "query.tokens", "must be integers"),
        (lambda: ask(good, adapters[:1]), "gradients", "of 1 checkpoints, the map has 2"),
        (lambda: ask(good, [*adapters, adapters[0]]), "models", "the index has 2 checkpoints"),
        (lambda: ask(good, [adapters[0] / "absent"]), "checkpoint", "must hold one safetensors file"),
    ]
    for act, field, words in wrong:
        with pytest.raises(AttributionError, match=words) as refused:
            act()
        assert refused.value.field == field


def test_adapters_that_do_not_fit_are_refused(adapters: list[Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(adapters[0] / "adapter_model.safetensors")
    name = min(tensors)
    pair, other = name.removesuffix("A.weight"), "base_model.model.other."
    variants = {
        "half": ({key: value for key, value in tensors.items() if key != name}, "the file was cut or put together"),
        "fewer": ({key: value for key, value in tensors.items() if pair not in key}, f"{pair}A.weight is missing in"),
        "more": (
            tensors | {f"{other}lora_{each}.weight": torch.ones(2, 2) for each in "AB"},
            "has no place in the base",
        ),
        "wider": (tensors | {name: torch.ones(3, 16)}, "which is not of rank 2"),
        "deeper": (tensors | {name: torch.ones(2, 17)}, "the base needs"),
        "zero": (tensors | {name: torch.zeros(2, 16)}, "is zero everywhere"),
        "astray": (tensors | {name: torch.full((2, 16), float("nan"))}, "not finite"),
        "odd": (tensors | {name: torch.ones(2, 16, dtype=torch.float64)}, "is of torch.float64"),
        "bias": (tensors | {f"{other}bias": torch.ones(2)}, "is no A or B matrix of a linear layer"),
    }
    for kind, (changed, text) in variants.items():
        save_file(changed, tmp_path / f"{kind}.safetensors")
        with pytest.raises(AttributionError, match=text) as refused:
            load_adapter(tiny_lora(), tmp_path / f"{kind}.safetensors")
        assert refused.value.field == "checkpoint"
    (tmp_path / "cut.safetensors").write_bytes((adapters[0] / "adapter_model.safetensors").read_bytes()[:-5])
    with pytest.raises(AttributionError, match=r"cut.safetensors is not a safetensors file that can be read"):
        load_adapter(tiny_lora(), tmp_path / "cut.safetensors")


def codes(*values: int, exponent: int = 0) -> Codes:
    return Codes(np.array(values, dtype=np.int16), exponent)


def test_deviation_is_relative_to_the_reference_and_counts_in_its_codes() -> None:
    reference = codes(3, 4, 0)
    assert deviation(reference, reference) == Deviation(0, 0)
    assert deviation(codes(3, 4, -1), reference) == Deviation(0.2, 1)
    assert deviation(codes(6, 8, -1, exponent=1), reference) == Deviation(0.1, 0.5)
    assert deviation(reference, codes(6, 8, -2, exponent=1)) == Deviation(2 / 104**0.5, 2)
    extreme = codes(*[32_767] * 4)
    assert deviation(codes(*[-32_767] * 4), extreme) == Deviation(2, 65_534)


def test_deviation_from_nothing_and_between_indexes_is_infinite() -> None:
    assert deviation(codes(0, 0), codes(0, 0)) == Deviation(0, 0)
    assert deviation(codes(1, 1), codes(0, 0)) == Deviation(math.inf, 1)
    assert deviation(codes(1, 1), codes(1, 1, 1)) == Deviation(math.inf, math.inf)
    assert deviation(codes(1, exponent=-1_000), codes(1, exponent=1_000)) == Deviation(math.inf, math.inf)
