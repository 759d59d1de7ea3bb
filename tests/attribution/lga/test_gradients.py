"""Per-example gradients by hooks against one backward pass an example, and a model left as it was."""

from collections.abc import Callable

import pytest
import torch
import torch.utils.checkpoint

from attribution.errors import AttributionError
from attribution.lga.gradients import GradientCollector, adapter_modules
from attribution.lga.precision import BAND
from attribution.loss import example_losses, make_batch
from tests.kit.attribution.tiny import tiny_examples, tiny_lora

pytestmark = pytest.mark.ml


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def test_gradients_of_lora_layers_are_those_of_every_example_alone() -> None:
    model = tiny_lora(dropout=0.0).double()
    collector = GradientCollector(model)
    examples = tiny_examples(5)
    together = collector.collect_tokens(examples)
    model.eval()
    for row, example in enumerate(examples):
        model.zero_grad()
        example_losses(model, make_batch([example], 0)).sum().backward()  # type: ignore[no-untyped-call]
        for name in collector.module_names:
            plain = model.get_submodule(name).weight.grad
            assert relative(together[name][row], plain) < 1e-12


def test_any_linear_layer_can_be_collected_and_one_that_runs_twice_counts_twice() -> None:
    torch.manual_seed(0)
    layer, head = torch.nn.Linear(3, 3).double(), torch.nn.Linear(3, 2).double()
    model = torch.nn.ModuleDict({"layer": layer, "head": head})
    inputs = torch.randn(4, 3, dtype=torch.float64)

    def losses() -> torch.Tensor:
        outputs: torch.Tensor = head(torch.tanh(layer(torch.tanh(layer(inputs)))))
        return outputs.square().sum(dim=1)

    found = GradientCollector(model, ["head", "layer"]).collect(losses)
    assert {name: tuple(value.shape) for name, value in found.items()} == {"head": (4, 2, 3), "layer": (4, 3, 3)}
    for row in range(4):
        expected = torch.autograd.grad(losses()[row], [head.weight, layer.weight])
        assert torch.allclose(found["head"][row], expected[0], atol=1e-14)
        assert torch.allclose(found["layer"][row], expected[1], atol=1e-14)


def test_layers_that_are_computed_again_in_the_backward_pass_count_once() -> None:
    """Gradient checkpointing, which saves memory on large models."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    inputs = torch.randn(5, 3)

    def again() -> torch.Tensor:
        outputs: torch.Tensor = torch.utils.checkpoint.checkpoint(model, inputs, use_reentrant=False)
        return outputs.square().sum(dim=1)

    collector = GradientCollector(model, ["0", "2"])
    found, plain = collector.collect(again), collector.collect(lambda: model(inputs).square().sum(dim=1))
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_collecting_leaves_modes_gradients_and_flags_as_they_were() -> None:
    model = tiny_lora()
    model.train()
    parameter = next(value for name, value in model.named_parameters() if "lora_A" in name)
    parameter.grad = torch.ones_like(parameter)
    flags = [value.requires_grad for value in model.parameters()]
    modes = [module.training for module in model.modules()]
    one = GradientCollector(model).collect_tokens(tiny_examples(2))
    two = GradientCollector(model).collect_tokens(tiny_examples(2))
    assert all(torch.equal(one[name], two[name]) for name in one)  # dropout would differ
    assert flags == [value.requires_grad for value in model.parameters()]
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(parameter.grad, torch.ones_like(parameter))
    others = [value.grad for value in model.parameters() if value is not parameter]
    assert others == [None] * len(others)


def test_a_frozen_adapter_gives_the_same_gradients() -> None:
    model = tiny_lora()
    trained = GradientCollector(model).collect_tokens(tiny_examples(2))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    frozen = GradientCollector(model).collect_tokens(tiny_examples(2))
    assert all(torch.equal(trained[name], frozen[name]) for name in trained)


def test_padding_and_neighbours_move_gradients_within_the_band_only() -> None:
    """One example at a time is the reference; a batch is nearly the same (attribution.loss)."""
    collector = GradientCollector(tiny_lora())
    examples = tiny_examples(8)
    alone = [collector.collect_tokens([example]) for example in examples]
    together = collector.collect_tokens(examples)
    other_padding = collector.collect_tokens(examples, padding_id=7)
    for row, single in enumerate(alone):
        for name, gradient in single.items():
            assert relative(together[name][row], gradient[0]) < BAND
            # What stands in the padding is masked out of all that counts.
            assert relative(other_padding[name][row], gradient[0]) < BAND
    neighbours = collector.collect_tokens([examples[0], *tiny_examples(3, seed=9)])
    assert all(relative(neighbours[name][0], alone[0][name][0]) < BAND for name in alone[0])


def _unused() -> GradientCollector:
    model = tiny_lora()
    model.disable_adapter_layers()
    return GradientCollector(model)


@pytest.mark.parametrize(
    ("make", "field", "words"),
    [
        (lambda: GradientCollector(torch.nn.Linear(2, 2)), "model", "no LoRA layer of an adapter 'default'"),
        (lambda: GradientCollector(tiny_lora(), ["lm_head"]), "module_names", "lm_head is not there"),
        (lambda: GradientCollector(tiny_lora(), []), "module_names", "1 to 4096 different names, not 0"),
        (lambda: GradientCollector(tiny_lora(), ["base_model"]), "module_names", "base_model is a LoraModel"),
        (lambda: GradientCollector(tiny_lora().bfloat16()).collect_tokens(tiny_examples(1)), "model", "bfloat16"),
        (lambda: _unused().collect_tokens(tiny_examples(1)), "module_names", "took no part in the loss"),
    ],
)
def test_what_cannot_be_collected_is_named(make: Callable[[], object], field: str, words: str) -> None:
    with pytest.raises(AttributionError, match=words) as refused:
        make()
    assert refused.value.field == field


def test_a_damaged_model_gives_no_gradients() -> None:
    model = tiny_lora()
    name = adapter_modules(model)[0]
    with torch.no_grad():
        model.get_submodule(name).weight[0, 0] = float("nan")
    with pytest.raises(AttributionError, match="is not finite"):
        GradientCollector(model).collect_tokens(tiny_examples(1))


def test_the_loss_must_be_one_number_an_example() -> None:
    collector = GradientCollector(tiny_lora())
    batch = make_batch(tiny_examples(2), 0)
    with pytest.raises(AttributionError, match="one number an example"):
        collector.collect(lambda: example_losses(collector.model, batch).mean())
    with pytest.raises(AttributionError, match="saw 2 examples, the loss has 1"):
        collector.collect(lambda: example_losses(collector.model, batch).mean().unsqueeze(0))
