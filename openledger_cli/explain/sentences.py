"""Sentences on an explanation: how shares are made, and of how much of the output they speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attribution.explanation.document import Explanation, GradientPart, LayerPart, SpanPart


def rules(document: Explanation) -> list[str]:
    """Explain the parts of a share: a sentence on every rule of payout, with the layers that have it."""
    from abci_app.integers.shares import OWNER
    from attribution.explanation.document import PolicyPart
    from attribution.explanation.page import show_share

    layers: dict[str, list[str]] = {}
    for number, layer in enumerate(document.layers, start=1):
        policy = layer.policy
        if not isinstance(policy, PolicyPart) or not layer.own_ppb:
            continue
        parts = f"{show_share(policy.kappa_ppb)} by gradients, {show_share(policy.flat_ppb)} by the number of rows used"
        if gradients_of(layer) is None:
            parts = f"{show_share(policy.kappa_ppb)} by spans, the rest to the pool"
        elif not layer.attribution_used:
            parts = "by the number of rows used alone, the scores say too little"
        elif policy.score_unit == OWNER:
            parts += "; scores of an owner are summed before those below zero are cut off, so the part of one of "
            parts += "its rows may exceed its own"
        layers.setdefault(parts, []).append(str(number))
    return [
        f"share, layer{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}: {parts}"
        for parts, numbers in layers.items()
    ]


def span_earnings(document: Explanation) -> list[str]:
    """A sentence on every layer with spans: what part of a share they bring to those who are credited."""
    from attribution.explanation.document import PolicyPart
    from attribution.explanation.page import show_share

    lines = []
    for number, layer in enumerate(document.layers, start=1):
        if spans_of(layer) is None or not isinstance(layer.policy, PolicyPart) or not layer.own_ppb:
            continue
        if gradients_of(layer) is not None:
            lines.append(
                f"spans earn nothing in layer {number}: it is paid by gradients and by the number of rows used"
            )
        else:
            part = show_share(layer.policy.kappa_ppb)
            lines.append(f"spans earn {part} of the part of layer {number}, divided by the tokens that they cover")
    return lines


def coverage(document: Explanation) -> list[str]:
    """A sentence on every layer with spans: of how much of the output its shares by spans speak."""
    parts = [(number, spans_of(layer)) for number, layer in enumerate(document.layers, start=1)]
    return [
        f"by spans, layer {number}: {part.covered_tokens} of {part.output_tokens} tokens of the output stand word "
        "for word in training text"
        for number, part in parts
        if part is not None
    ]


def gradients_of(layer: LayerPart) -> GradientPart | None:
    from attribution.explanation.document import GradientPart

    return layer.gradients if isinstance(layer.gradients, GradientPart) else None


def spans_of(layer: LayerPart) -> SpanPart | None:
    from attribution.explanation.document import SpanPart

    return layer.spans if isinstance(layer.spans, SpanPart) else None
