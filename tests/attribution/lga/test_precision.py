"""float64 gives equal codes for any order of sums; float32 stays within the band; TF32 and bfloat16 do not."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from attribution.errors import AttributionError
from attribution.lga.features import FeatureMap, FeatureSettings, fit_in_memory
from attribution.lga.gradients import GradientCollector
from attribution.lga.precision import BAND, Precision, canonical, torch_threads
from attribution.loss import Tokens, example_losses, make_batch
from tests.kit.attribution.tiny import VOCABULARY, tiny_examples, tiny_lora

pytestmark = pytest.mark.ml
EXAMPLES = tiny_examples(12)


@pytest.fixture(scope="module")
def feature_map() -> FeatureMap:
    model = tiny_lora()
    with canonical(model, "float32"):
        gradients = GradientCollector(model).collect_tokens(EXAMPLES)
    return fit_in_memory([gradients], FeatureSettings(0, directions=8)).map


def features(model: Any, precision: Precision, feature_map: FeatureMap, examples: Sequence[Tokens], batch: int) -> Any:
    with canonical(model, precision):
        collector = GradientCollector(model)
        parts = [
            feature_map.features([collector.collect_tokens(examples[start : start + batch])])
            for start in range(0, len(examples), batch)
        ]
    return np.concatenate(parts)


def permuted(model: Any) -> Any:
    """Copy a model, with the inner dimension of every MLP, and the rank of every adapter, in another order."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for layer in model.get_base_model().model.layers:
            mlp = layer.mlp
            order = torch.randperm(mlp.down_proj.in_features, generator=generator)
            mlp.gate_proj.weight.copy_(mlp.gate_proj.weight[order])
            mlp.up_proj.weight.copy_(mlp.up_proj.weight[order])
            mlp.down_proj.weight.copy_(mlp.down_proj.weight[:, order])
    return model


def distances(one: Any, other: Any) -> Any:
    return np.linalg.norm(one - other, axis=1) / np.linalg.norm(other, axis=1)


def sdpa(model: Any) -> Any:
    model = copy.deepcopy(model)
    model.get_base_model().set_attn_implementation("sdpa")
    return model


def test_float64_codes_are_equal_under_every_order_of_sums(feature_map: FeatureMap) -> None:
    model = tiny_lora()
    reference = features(model, "float64", feature_map, EXAMPLES, 1)
    variants = {
        "permuted": features(permuted(model), "float64", feature_map, EXAMPLES, 1),
        "batches of 8": features(model, "float64", feature_map, EXAMPLES, 8),
        "one batch": features(model, "float64", feature_map, EXAMPLES, 12),
        "fused attention asked for": features(sdpa(model), "float64", feature_map, EXAMPLES, 1),
    }
    with torch_threads(2):
        variants["two threads"] = features(model, "float64", feature_map, EXAMPLES, 1)
    for name, found in variants.items():
        assert distances(found, reference).max() < 1e-12, name
        assert np.array_equal(feature_map.codes(found), feature_map.codes(reference)), name


def test_casting_the_weights_alone_is_not_enough(feature_map: FeatureMap) -> None:
    """Islands of float32 in a float64 model round what reaches them: now and then two orders of sums come out apart."""
    collector = GradientCollector(tiny_lora().double())
    plain = feature_map.features([collector.collect_tokens(EXAMPLES)])
    assert distances(plain, features(tiny_lora(), "float64", feature_map, EXAMPLES, 1)).max() > 1e-8


def test_float32_stays_within_the_band_of_float64(feature_map: FeatureMap) -> None:
    model = tiny_lora()
    exact = features(model, "float64", feature_map, EXAMPLES, 1)
    single = features(model, "float32", feature_map, EXAMPLES, 1)
    variants = [
        single,
        features(permuted(model), "float32", feature_map, EXAMPLES, 1),
        features(model, "float32", feature_map, EXAMPLES, 8),
        features(sdpa(model), "float32", feature_map, EXAMPLES, 1),
    ]
    with torch_threads(2):
        variants.append(features(model, "float32", feature_map, EXAMPLES, 1))
    for found in variants:
        assert distances(found, exact).max() < BAND
        assert distances(found, single).max() < BAND
        assert np.abs(feature_map.codes(found).astype(int) - feature_map.codes(exact)).max() <= 1


def shortened(model: Any, convert: Callable[[torch.Tensor], torch.Tensor]) -> list[Any]:
    """Every linear layer takes its inputs and weights in a shorter form."""

    def shorten(module: torch.nn.Linear, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (convert(inputs[0]),)

    handles = []
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data = convert(module.weight.data)
            handles.append(module.register_forward_pre_hook(shorten))
    return handles


def ten_bits(values: torch.Tensor) -> torch.Tensor:
    """TF32 keeps 10 bits of the mantissa."""
    rounded = ((values.detach().view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)
    return values + (rounded - values).detach()


def bfloat16(values: torch.Tensor) -> torch.Tensor:
    return values + (values.detach().bfloat16().float() - values).detach()


@pytest.mark.parametrize("convert", [ten_bits, bfloat16])
def test_the_band_refuses_shorter_products(
    feature_map: FeatureMap, convert: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    exact = features(tiny_lora(), "float64", feature_map, EXAMPLES, 1)
    model = tiny_lora()
    shortened(model, convert)
    found = features(model, "float32", feature_map, EXAMPLES, 1)
    assert distances(found, exact).min() > 10 * BAND


def test_the_number_of_threads_comes_back_as_it_was() -> None:
    with torch_threads(1):
        with pytest.raises(RuntimeError, match="stopped"), torch_threads(3):
            assert torch.get_num_threads() == 3
            raise RuntimeError("stopped")
        assert torch.get_num_threads() == 1


def test_the_model_comes_back_as_it_was() -> None:
    model = sdpa(tiny_lora())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frequencies = model.get_base_model().model.rotary_emb.inv_freq.clone()
    pointers = {name: value.data_ptr() for name, value in model.named_parameters()}
    with canonical(model, "float64"):
        assert {value.dtype for value in model.parameters()} == {torch.float64}
        assert model.get_base_model().config._attn_implementation == "eager"
    with pytest.raises(RuntimeError, match="stopped"), canonical(model, "float64"):
        raise RuntimeError("stopped")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.get_base_model().model.rotary_emb.inv_freq, frequencies)
    assert pointers == {name: value.data_ptr() for name, value in model.named_parameters()}
    assert model.get_base_model().config._attn_implementation == "sdpa"
    assert torch.get_default_dtype() == torch.float32


def test_a_model_that_holds_gradients_of_its_training_can_be_collected_in_float64() -> None:
    model = tiny_lora()
    (example,) = tiny_examples(1)
    example_losses(model, make_batch([example], 0)).sum().backward()  # type: ignore[no-untyped-call]
    held = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    with canonical(model, "float64"):
        found = GradientCollector(model).collect_tokens([example])
    assert {value.dtype for value in found.values()} == {torch.float64}
    after = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert {name: id(value) for name, value in after.items()} == {name: id(value) for name, value in held.items()}


def test_rotary_frequencies_are_those_of_float64_rounded_once() -> None:
    model = tiny_lora()
    rotary = model.get_base_model().model.rotary_emb
    expected = (1.0 / 10_000.0 ** (torch.arange(0, 8, 2, dtype=torch.float64) / 8)).float()
    rotary.inv_freq += 1e-6  # what another device's power function might give, exaggerated
    for precision, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        with canonical(model, precision):  # type: ignore[arg-type]
            assert torch.equal(rotary.inv_freq, expected.to(dtype))


def test_blocks_may_stand_inside_each_other(feature_map: FeatureMap) -> None:
    model = tiny_lora()
    alone = features(model, "float64", feature_map, EXAMPLES[:2], 1)
    with canonical(model, "float64"):
        assert np.array_equal(features(model, "float64", feature_map, EXAMPLES[:2], 1), alone)
    with canonical(model, "float32"):
        assert np.array_equal(features(model, "float64", feature_map, EXAMPLES[:2], 1), alone)
    assert {value.dtype for value in model.parameters()} == {torch.float32}


class Short(torch.nn.Module):
    """A model with a cast that cannot be seen from outside: it reads the bytes of a number."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2, bias=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.layer(values)
        return (
            torch.frombuffer(bytearray(16), dtype=torch.int32).view(torch.short).type("torch.FloatTensor").sum()
            + hidden
        )


def test_an_operation_that_cannot_be_lifted_is_refused_by_name() -> None:
    model = Short()
    with pytest.raises(AttributionError, match=r"model: aten.* gives torch.float32"), canonical(model, "float64"):
        model(torch.ones(1, 2))


def test_only_known_precisions_of_float32_models() -> None:
    with pytest.raises(AttributionError, match="precision: 'bfloat16' is unknown"), canonical(tiny_lora(), "bfloat16"):  # type: ignore[arg-type]
        pass
    model = tiny_lora().bfloat16()
    with pytest.raises(AttributionError, match=r"is torch.bfloat16; cast the model"), canonical(model, "float32"):
        pass
    with canonical(model, "float64"):
        found = GradientCollector(model).collect_tokens([Tokens((2, 3, VOCABULARY - 1), 0)])
    assert {value.dtype for value in found.values()} == {torch.float64}
