"""Ways to compute codes of a query that honest machines may take, and controls that a band has to reject.

A way changes how the model computes, not what: other threads, batches, kernels, orders of sums, another device.
Controls are linear layers on TF32 or bfloat16 numbers, and cross-entropy in float32 over a transposed layout.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from attribution.errors import AttributionError
from attribution.lga.precision import Precision, torch_threads
from attribution.loss import IGNORED_LABEL, example_losses

if TYPE_CHECKING:
    import torch

PERMUTATION_SEED = 20_261_121

Change = Callable[[Any, Sequence[str]], AbstractContextManager[None]]
"""(model, names of the collected modules) -> a context in which the model computes in another way."""

Loss = Callable[[Any, "tuple[torch.Tensor, torch.Tensor, torch.Tensor]"], "torch.Tensor"]


@dataclass(frozen=True)
class Way:
    """One way to compute the codes of a query; a control is one that the band should reject.

    `device` as torch names it; empty: where the model is.
    """

    name: str
    precision: Precision = "float32"
    batch: int = 1
    change: Change | None = None
    loss: Loss = example_losses
    control: bool = False
    device: str = ""

    @property
    def plain(self) -> bool:
        """Float32 one by one, where the model is."""
        return (self.precision, self.batch, self.change, self.control, self.device) == ("float32", 1, None, False, "")

    def possible(self, model: Any) -> bool:
        """Whether this model has a choice of kernels, if the way needs one."""
        return not isinstance(self.change, _Attention) or self.change.possible(model)


def default_ways(threads: Sequence[int] = (1, 2), batches: Sequence[int] = (8, 32)) -> tuple[Way, ...]:
    """Every way that works on any model; other attention kernels are left out where a model has only one."""
    ways = [Way(f"float32, {count} thread(s)", change=_threads(count)) for count in threads]
    ways += [Way(f"float32, batches of {size}", batch=size) for size in batches]
    ways += [
        Way("float32, sums in another order", change=_permuted),
        Way("float32, sdpa attention", change=_attention("sdpa")),
        Way("float32, eager attention", change=_attention("eager")),
        Way("float64, sums in another order", "float64", change=_permuted),
        Way(f"float64, {threads[-1]} thread(s)", "float64", change=_threads(threads[-1])),
        Way(f"float64, batches of {batches[0]}", "float64", batch=batches[0]),
        Way("TF32 in linear layers", change=_rounded(10), control=True),
        Way("bfloat16 in linear layers", change=_rounded(7), control=True),
        Way("float32 loss over a transposed layout", loss=transposed_loss, control=True),
    ]
    return tuple(ways)


def device_ways(device: str, batches: Sequence[int] = (8, 32)) -> tuple[Way, ...]:
    """Float32 on the CPU, then what another device may do; controls there take its own short numbers, too.

    Raises `AttributionError` for a device that torch cannot use here.
    """
    _check_device(device)
    on = f"on {device}"
    return (
        Way("float32 on the CPU"),
        Way(f"float32 {on}", device=device),
        *[Way(f"float32 {on}, batches of {size}", batch=size, device=device) for size in batches],
        Way(f"float32 {on}, sums in another order", change=_permuted, device=device),
        Way(f"float64 {on}", "float64", device=device),
        Way(name=f"float64 {on}, batches of {batches[0]}", precision="float64", batch=batches[0], device=device),
        Way(name=f"short products of the hardware {on}", change=_short_products, control=True, device=device),
        Way(name=f"TF32 in linear layers {on}", change=_rounded(10), control=True, device=device),
        Way(name=f"bfloat16 in linear layers {on}", change=_rounded(7), control=True, device=device),
    )


def transposed_loss(model: Any, batch: "tuple[torch.Tensor, torch.Tensor, torch.Tensor]") -> "torch.Tensor":
    """The loss in the form that most libraries compute: float32, classes in the middle. A control, never to be used."""
    import torch

    ids, mask, labels = batch
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    targets = labels[:, 1:]
    losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), targets, reduction="none", ignore_index=IGNORED_LABEL
    )
    return losses.sum(dim=1) / (targets != IGNORED_LABEL).sum(dim=1).clamp(min=1)


def _check_device(device: str) -> None:
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        text = str(error).splitlines()[0]
        raise AttributionError("device", f"torch cannot use {device!r} here ({text}); leave it out") from error


@contextmanager
def on_device(model: Any, device: str) -> Iterator[None]:
    """The model there for a while; then where it was."""
    before = next(model.parameters()).device
    if not device:
        yield
        return
    model.to(device)
    try:
        yield
    finally:
        model.to(before)


@contextmanager
def _short_products(model: Any, names: Sequence[str]) -> Iterator[None]:
    """Let a GPU compute float32 products in TF32, on its tensor cores; a machine without them computes nothing."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _threads(count: int) -> Change:
    return lambda _, __: torch_threads(count)


@dataclass(frozen=True)
class _Attention:
    """Another attention kernel of a transformers model."""

    kernel: str

    def possible(self, model: Any) -> bool:
        """Whether the model has a choice of kernels."""
        return hasattr(_base(model), "set_attn_implementation")

    @contextmanager
    def __call__(self, model: Any, names: Sequence[str]) -> Iterator[None]:
        base = _base(model)
        before = base.config._attn_implementation
        base.set_attn_implementation(self.kernel)
        try:
            yield
        finally:
            base.set_attn_implementation(before)


def _attention(kernel: str) -> Change:
    return _Attention(kernel)


def _base(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def _permuted(model: Any, names: Sequence[str]) -> Iterator[None]:
    """Every linear layer but the collected ones adds its products in another order: the same function elsewhere."""
    import torch

    generator = torch.Generator().manual_seed(PERMUTATION_SEED)

    def linear(module: Any, given: "torch.Tensor") -> "torch.Tensor":
        order = torch.randperm(module.in_features, generator=generator).to(given.device)
        return torch.nn.functional.linear(given[..., order], module.weight[:, order], module.bias)

    with _replaced_linears(model, names, linear):
        yield


def _rounded(bits: int) -> Change:
    """Inputs and weights of linear layers with `bits` bits of mantissa; sums stay as they are."""

    @contextmanager
    def change(model: Any, names: Sequence[str]) -> Iterator[None]:
        import torch

        def short(value: "torch.Tensor") -> "torch.Tensor":
            dropped = 23 - bits
            integers = value.detach().contiguous().view(torch.int32)
            half = (1 << (dropped - 1)) - 1 + ((integers >> dropped) & 1)
            near = ((integers + half) & ~((1 << dropped) - 1)).view(torch.float32)
            return value + (near - value.detach())  # its derivative is 1, as on hardware that rounds

        def linear(module: Any, given: "torch.Tensor") -> "torch.Tensor":
            return torch.nn.functional.linear(short(given), short(module.weight), module.bias)

        with _replaced_linears(model, (), linear):
            yield

    return change


@contextmanager
def _replaced_linears(model: Any, kept: Sequence[str], linear: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Linear layers compute by `linear(layer, input)`; those named in `kept` stay."""
    import torch

    replaced = [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name not in set(kept)
    ]
    try:
        for module in replaced:
            vars(module)["forward"] = partial(linear, module)
        yield
    finally:
        for module in replaced:
            vars(module).pop("forward", None)
