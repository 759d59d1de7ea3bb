"""How far query codes move between ways to compute them on this device, and the band that a model should carry.

The same queries are computed one by one in float64 (the reference) and then in every way that an honest machine may
take: float32 singly, with other numbers of threads, in batches, with another attention kernel, with the sums of every
linear layer in another order. Controls are what a band has to reject: linear layers on TF32 or bfloat16 numbers, and
cross-entropy in float32 over a transposed layout.

    deviation of a query = |phi' - phi| / |phi|        phi: features, before they are rounded to codes
    band                 = 8 x the largest deviation of an honest float32 way, within 1e-5 and 3e-4
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.basis import Float64Array
from attribution.codes import choose_exponent, quantise
from attribution.errors import AttributionError
from attribution.features import FeatureMap, cap_norms
from attribution.gradients import GradientCollector
from attribution.loss import IGNORED_LABEL, Tokens, example_losses, make_batch
from attribution.precision import Precision, canonical, torch_threads

if TYPE_CHECKING:
    import torch

BAND_FACTOR = 8
SMALLEST_BAND_PPB, LARGEST_BAND_PPB = 10_000, 300_000
MAX_QUERIES = 10_000
PERMUTATION_SEED = 20_261_121

Change = Callable[[Any, Sequence[str]], AbstractContextManager[None]]
"""(model, names of the collected modules) -> a context in which the model computes in another way."""

Loss = Callable[[Any, "tuple[torch.Tensor, torch.Tensor, torch.Tensor]"], "torch.Tensor"]


@dataclass(frozen=True)
class Way:
    """One way to compute the codes of a query; a control is one that the band should reject."""

    name: str
    precision: Precision = "float32"
    batch: int = 1
    change: Change | None = None
    loss: Loss = example_losses
    control: bool = False


@dataclass(frozen=True)
class Deviations:
    """Of one way, over all queries: relative L2 in parts per billion, and codes under the reference's exponent."""

    way: str
    precision: Precision
    control: bool
    median_ppb: int
    largest_ppb: int
    changed_codes: int
    all_codes: int
    largest_code_difference: int


@dataclass(frozen=True)
class Calibration:
    """What was measured over `queries` queries, and the band for this model in parts per billion."""

    queries: int
    deviations: tuple[Deviations, ...]
    band_ppb: int
    advice: str


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


def calibrate(
    models: Iterable[Any],
    feature_map: FeatureMap,
    queries: Sequence[Tokens],
    ways: Sequence[Way] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Measure all ways on `queries`; `models` gives the model at each checkpoint (`attribution.query.at_checkpoints`).

    Memory: codes x queries x ways x 8 bytes, and one batch. Raises `AttributionError`.
    """
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise AttributionError("queries", f"1 to {MAX_QUERIES} of them, not {len(queries)}")
    measured = [Way("float64, one by one", "float64"), *(default_ways() if ways is None else ways)]
    parts: list[list[Float64Array]] = [[] for _ in measured]
    done, total = 0, len(measured) * len(feature_map.checkpoints)
    for number, model in enumerate(models):
        if number == len(feature_map.checkpoints):
            raise AttributionError("models", f"the index has {number} checkpoints, more models were given")
        for place, way in enumerate(measured):
            if way.change is None or not isinstance(way.change, _Attention) or way.change.possible(model):
                parts[place].append(_whitened(model, feature_map, number, queries, way))
            done += 1
            if progress is not None:
                progress(done, total)
    if len(parts[0]) != len(feature_map.checkpoints):
        raise AttributionError("models", f"{len(parts[0])} for {len(feature_map.checkpoints)} checkpoints of the index")
    cap = feature_map.norm_cap_millionths
    reference = cap_norms(np.concatenate(parts[0], axis=1), cap)
    deviations = tuple(
        _deviations(way, cap_norms(np.concatenate(part, axis=1), cap), reference)
        for way, part in zip(measured[1:], parts[1:], strict=True)
        if part  # empty where the model has no such kernel
    )
    return Calibration(len(queries), deviations, *_band(deviations))


def transposed_loss(model: Any, batch: "tuple[torch.Tensor, torch.Tensor, torch.Tensor]") -> "torch.Tensor":
    """The same loss as most libraries compute it: float32, classes in the middle. A control, never to be used."""
    import torch

    ids, mask, labels = batch
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    targets = labels[:, 1:]
    losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), targets, reduction="none", ignore_index=IGNORED_LABEL
    )
    return losses.sum(dim=1) / (targets != IGNORED_LABEL).sum(dim=1).clamp(min=1)


def _whitened(model: Any, feature_map: FeatureMap, number: int, queries: Sequence[Tokens], way: Way) -> Float64Array:
    """Features of one checkpoint before the cap, float64 [queries, codes of the checkpoint]."""
    names = [module.name for module in feature_map.checkpoints[number]]
    rows = []
    with ExitStack() as stack:
        stack.enter_context(canonical(model, way.precision))
        stack.enter_context(way.change(model, names) if way.change else nullcontext())
        collector = GradientCollector(model, names)
        for start in range(0, len(queries), way.batch):
            batch = make_batch(queries[start : start + way.batch], 0, collector.device)
            gradients = collector.collect(lambda batch=batch: way.loss(model, batch))  # type: ignore[misc]
            rows.append(feature_map.whiten(number, feature_map.coordinates(number, gradients)))
    return np.concatenate(rows)


def _deviations(way: Way, found: Float64Array, reference: Float64Array) -> Deviations:
    lengths = np.linalg.norm(reference, axis=1)
    distances = np.linalg.norm(found - reference, axis=1)
    relative = np.divide(distances, lengths, out=(distances > 0).astype(np.float64), where=lengths > 0)
    changed, largest = 0, 0
    for ours, theirs in zip(reference, found, strict=True):
        # One exponent for both: the verifier codes with the one that the claim names.
        exponent = choose_exponent(float(np.abs(ours).max(initial=0.0)))
        difference = quantise(theirs, exponent).astype(np.int64) - quantise(ours, exponent).astype(np.int64)
        changed += int((difference != 0).sum())
        largest = max(largest, int(np.abs(difference).max(initial=0)))
    median_ppb, largest_ppb = round(float(np.median(relative)) * 1e9), math.ceil(float(relative.max()) * 1e9)
    return Deviations(
        way.name, way.precision, way.control, median_ppb, largest_ppb, changed, reference.size, largest
    )  # fmt: skip


def _band(deviations: Sequence[Deviations]) -> tuple[int, str]:
    """Band in parts per billion, and what to think of it in one line."""
    honest = [item.largest_ppb for item in deviations if not item.control and item.precision == "float32"]
    if not honest:
        raise AttributionError("ways", "need at least one honest float32 way")
    wanted_ppb = max(SMALLEST_BAND_PPB, BAND_FACTOR * max(honest))
    band_ppb = min(LARGEST_BAND_PPB, wanted_ppb)
    if wanted_ppb > LARGEST_BAND_PPB:
        reason = f"float32 deviates by {max(honest) / 1e9:.1e}: too much for a band; settle claims in float64"
        return band_ppb, reason
    accepted = [item.way for item in deviations if item.control and item.largest_ppb <= band_ppb]
    if accepted:
        return band_ppb, f"does not tell from honest work on these queries: {', '.join(accepted)}"
    return band_ppb, "all honest ways are inside, all controls outside"


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
