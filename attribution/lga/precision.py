"""How gradients are computed so that machines agree: float32 within a band, float64 to the last code.

`canonical(model, "float32")` switches off what shortens float32 products (TF32, reduced-precision reductions). Honest
machines then differ by the order of their sums: relative L2 of codes about 4e-6 (`BAND` bounds it by 1e-5).

`canonical(model, "float64")` is the mode for disputes: weights in float64, and everything that a model casts to
float32 on its way (RMSNorm, the rotary tables, the softmax of eager attention) lifted to float64, by rewriting the
casts themselves. What remains differs by 1e-15 between orders of summation, far below one code, so codes are equal. An
operation that still gives anything shorter is refused by name rather than trusted.

Rotary frequencies are computed by the model in float32 when it is built, with a power function that differs between
devices. Both modes replace them by the float64 values rounded to float32: one table for every machine and mode.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Literal

import numpy as np

from attribution.errors import AttributionError

Precision = Literal["float32", "float64"]
PRECISIONS: tuple[Precision, ...] = ("float32", "float64")
# Relative L2 within which float32 gradients and codes of honest machines lie, for any batch, padding and threads.
BAND = 1e-5


@contextmanager
def canonical(model: Any, precision: Precision) -> Iterator[Any]:
    """The model in canonical form; when the block ends it is as it was. Raises `AttributionError`.

    float32 takes float32 models only: codes of a model that was trained in bfloat16 are defined by its weights cast
    to float32, so cast it first (`model.float()`). Takes as long as copying the weights.
    """
    import torch

    if precision not in PRECISIONS:
        raise AttributionError("precision", f"{precision!r} is unknown; use {' or '.join(PRECISIONS)}")
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    if precision == "float32":
        for name, tensor in floats.items():
            if tensor.dtype != torch.float32:
                raise AttributionError("model", f"{name} is {tensor.dtype}; cast the model with .float() first")
    before = {name: (tensor, tensor.data) for name, tensor in floats.items()}
    # Set aside: torch refuses a gradient of another type than its parameter's.
    gradients = {name: tensor.grad for name, tensor in floats.items() if tensor.is_leaf}
    with ExitStack() as stack:
        stack.enter_context(_strict_float32())
        stack.enter_context(_eager_attention(model, precision))
        try:
            tables = _rotary_tables(model)
            for name in gradients:
                floats[name].grad = None
            if precision == "float64":
                for tensor in floats.values():
                    tensor.data = tensor.data.double()
            for name, table in tables.items():
                tensor = floats[name]
                tensor.data = table.to(tensor.device, tensor.dtype)
            if precision == "float64":
                stack.enter_context(_lifted())
            yield model
        finally:
            for name in gradients:
                floats[name].grad = None
            for tensor, data in before.values():
                tensor.data = data
            for name, gradient in gradients.items():
                floats[name].grad = gradient


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """torch computes with `count` threads; when the block ends, with as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _strict_float32() -> Iterator[None]:
    """Full float32 products on any device, deterministic algorithms; what was set before comes back."""
    import torch

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    names = ("allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")
    before = torch.get_float32_matmul_precision(), [getattr(matmul, name) for name in names], cudnn.allow_tf32
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        torch.set_float32_matmul_precision("highest")
        for name in names:
            setattr(matmul, name, False)
        cudnn.allow_tf32 = False
        torch.use_deterministic_algorithms(True)
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        for name, value in zip(names, before[1], strict=True):
            setattr(matmul, name, value)
        cudnn.allow_tf32 = before[2]
        torch.use_deterministic_algorithms(deterministic)


@contextmanager
def _eager_attention(model: Any, precision: Precision) -> Iterator[None]:
    """Fused kernels may compute inside in float32 for any input: float64 takes eager attention."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    configuration = getattr(base, "config", None)
    chosen = getattr(configuration, "_attn_implementation", None)
    if precision == "float32" or chosen in (None, "eager"):
        yield
        return
    base.set_attn_implementation("eager")
    try:
        yield
    finally:
        base.set_attn_implementation(chosen)


def _rotary_tables(model: Any) -> dict[str, Any]:
    """Frequencies by buffer name, from a second instance of every rotary module made in float64: rounded to float32."""
    import torch

    tables: dict[str, Any] = {}
    for place, module in model.named_modules():
        names = [name for name, _ in module.named_buffers(recurse=False) if name.endswith("inv_freq")]
        configuration = getattr(module, "config", None)
        if not names or configuration is None:
            continue
        with suppress(TypeError), _lifted(), torch.device("cpu"):  # a module made from more keeps its own table
            again = type(module)(configuration)
            for name in names:
                table = getattr(again, name, None)
                if table is not None and table.shape == getattr(module, name).shape:
                    # Rounded by numpy: inside another block of this kind torch would not round.
                    rounded = table.numpy().astype(np.float32).astype(np.float64)
                    tables[f"{place}.{name}" if place else name] = torch.from_numpy(rounded)
    return tables


@contextmanager
def _lifted() -> Iterator[None]:
    """Code that asks torch for a shorter float gets float64; a result in a shorter float is refused."""
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    short = (torch.float32, torch.float16, torch.bfloat16)
    casts = (torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16)

    def lift(value: Any) -> Any:
        return torch.float64 if isinstance(value, torch.dtype) and value in short else value

    class Lift(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in casts:
                func = torch.Tensor.double
            named = {name: lift(value) for name, value in (kwargs or {}).items()}
            return func(*[lift(value) for value in args], **named)

    class Refuse(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for item in result if isinstance(result, tuple | list) else (result,):
                if isinstance(item, torch.Tensor) and item.dtype in short:
                    raise AttributionError("model", f"{func} gives {item.dtype}, which float64 cannot lift")
            return result

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with Lift(), Refuse():  # type: ignore[no-untyped-call]
            yield
    finally:
        torch.set_default_dtype(before)
