"""Per-example gradients of linear layers, by hooks: one forward, one backward, one einsum a module.

The gradient of a weight W [out, in] of y = W x is, for each example alone, the sum over its tokens of (gradient of y)
(x transposed). With LoRA the layers are the B matrices [out, rank], whose inputs A x have only `rank` numbers. Losses
of a batch are summed, so that every example's gradient is that of its own loss (attribution.loss) in any batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attribution.errors import AttributionError
from attribution.lga.parameters import MAX_MODULES
from attribution.loss import Tokens, example_losses, make_batch

if TYPE_CHECKING:
    import torch

ADAPTER_NAME = "default"


def adapter_modules(model: Any, adapter: str = ADAPTER_NAME) -> tuple[str, ...]:
    """Names of all LoRA B layers of a peft model, sorted; raises `AttributionError` when there is none."""
    import torch

    ending = f".lora_B.{adapter}"
    found = {name: module for name, module in model.named_modules() if name.endswith(ending)}
    if not found:
        raise AttributionError("model", f"has no LoRA layer of an adapter {adapter!r}; wrap it with peft first")
    for name, module in found.items():
        if not isinstance(module, torch.nn.Linear):
            raise AttributionError("model", f"{name} is a {type(module).__name__}; only linear layers are attributed")
    return tuple(sorted(found))


class GradientCollector:
    """Takes per-example gradients of the weights of some `torch.nn.Linear` of a model.

    The model stays as it is: dropout is off, and gradients are wanted of these weights alone, only while collecting.
    Weights are float32 or float64 (`attribution.lga.precision` makes the latter); gradients come in the same type.
    """

    def __init__(self, model: Any, module_names: Sequence[str] | None = None) -> None:
        """Names as in `model.named_modules()`; without names the LoRA B layers. Raises `AttributionError`."""
        import torch

        self.model = model
        self.module_names = adapter_modules(model) if module_names is None else tuple(sorted(module_names))
        if not 0 < len(self.module_names) <= MAX_MODULES or len(set(self.module_names)) != len(self.module_names):
            raise AttributionError("module_names", f"1 to {MAX_MODULES} different names, not {len(self.module_names)}")
        modules = dict(model.named_modules())
        self._modules: dict[str, torch.nn.Linear] = {}
        for name in self.module_names:
            module = modules.get(name)
            if not isinstance(module, torch.nn.Linear):
                found = "not there" if module is None else f"a {type(module).__name__}"
                raise AttributionError("module_names", f"{name} is {found}; name linear layers of the model")
            self._modules[name] = module
        self._found: dict[str, torch.Tensor] = {}

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(out, in) of every module, in the order of `module_names`."""
        return {name: (module.out_features, module.in_features) for name, module in self._modules.items()}

    @property
    def device(self) -> "torch.device":
        """Where the model's inputs belong."""
        return next(iter(self._modules.values())).weight.device

    def collect(self, loss_of_batch: "Callable[[], torch.Tensor]") -> "dict[str, torch.Tensor]":
        """Gradients [batch, out, in] by module name, on the model's device.

        `loss_of_batch` runs the model on a batch and returns the loss of every example, [batch]; in the model the
        examples of the batch stand along dimension 0. Raises `AttributionError` for a module that did not run or a
        gradient that is not finite.
        """
        import torch

        self._check_types()
        with self._hooked(), torch.enable_grad():
            losses = loss_of_batch()
            if losses.ndim != 1:
                raise AttributionError("loss", f"must be one number an example, [batch], not {list(losses.shape)}")
            weights = [module.weight for module in self._modules.values()]
            if losses.requires_grad:
                losses.sum().backward(inputs=weights)  # type: ignore[no-untyped-call]
            found = self._found
        for name in self.module_names:
            if name not in found:
                raise AttributionError("module_names", f"{name} took no part in the loss; is its adapter active?")
            if found[name].shape[0] != len(losses):
                text = f"{name} saw {found[name].shape[0]} examples, the loss has {len(losses)}"
                raise AttributionError("loss", f"{text}; keep the batch in dimension 0")
            if not bool(torch.isfinite(found[name]).all()):
                raise AttributionError("gradient", f"of {name} is not finite; the model or an example is damaged")
        return {name: found[name] for name in self.module_names}

    def collect_tokens(self, batch: Sequence[Tokens], padding_id: int = 0) -> "dict[str, torch.Tensor]":
        """`collect` for a causal language model and the canonical loss; a batch of one has no padding."""
        return self.collect(lambda: example_losses(self.model, make_batch(batch, padding_id, self.device)))

    def _check_types(self) -> None:
        import torch

        for name, module in self._modules.items():
            if module.weight.dtype not in (torch.float32, torch.float64):
                reason = f"{name} is {module.weight.dtype}; codes are defined for float32 and float64: load it so"
                raise AttributionError("model", reason)

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        """Hooks in place, dropout off, gradients wanted of these weights only; everything undone at the end."""
        self._found = {}
        training = [module for module in self.model.modules() if module.training]
        wanted = [(parameter, parameter.requires_grad, parameter.grad) for parameter in self.model.parameters()]
        handles = [module.register_forward_hook(self._hook(name)) for name, module in self._modules.items()]
        try:
            self.model.eval()
            for parameter, _, _ in wanted:
                parameter.requires_grad_(False)
            for module in self._modules.values():
                module.weight.requires_grad_(True)
                module.weight.grad = None
            yield
        finally:
            for handle in handles:
                handle.remove()
            for parameter, requires_gradient, gradient in wanted:
                parameter.requires_grad_(requires_gradient)
                parameter.grad = gradient
            for module in training:
                module.training = True
            self._found = {}

    def _hook(self, name: str) -> Callable[..., None]:
        import torch

        def forward(_: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            if not output.requires_grad:  # a run beside the loss, as in generation
                return
            given = inputs[0].detach()
            tokens = given.reshape(given.shape[0], -1, given.shape[-1])

            def backward(outer: torch.Tensor) -> None:
                outer = outer.reshape(tokens.shape[0], -1, outer.shape[-1])
                # Products of two float32 numbers are exact in float64, so only the result is rounded.
                gradient = torch.einsum("bto,bti->boi", outer.double(), tokens.double()).to(tokens.dtype)
                before = self._found.get(name)
                self._found[name] = gradient if before is None else before + gradient

            output.register_hook(backward)  # type: ignore[no-untyped-call]

        return forward
