"""Prometheus' text exposition format 0.0.4, written by a pure function.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text-based format).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One name of the catalogue: what is measured, in which kind, with which labels."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram's state: how many values lay at or below each bound, how many there were, and their sum."""

    below: Mapping[float, int]
    count: int
    total: float


# By the values of a metric's labels, in their order.
Values = Mapping[tuple[str, ...], float | Distribution]


@dataclass(frozen=True, slots=True)
class Reading:
    """The values of one metric now."""

    metric: Metric
    values: Values = field(default_factory=dict)


def exposition(readings: Iterable[Reading]) -> str:
    """The page that a Prometheus server reads; a metric without values is left out."""
    return "".join([line + "\n" for reading in readings if reading.values for line in _lines(reading)])


def _lines(reading: Reading) -> Iterable[str]:
    metric = reading.metric
    yield f"# HELP {metric.name} {_escaped(metric.help)}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for values, found in reading.values.items():
        labels = dict(zip(metric.labels, values, strict=True))
        if not isinstance(found, Distribution):
            yield _sample(metric.name, labels, found)
            continue
        for bound, below in found.below.items():
            yield _sample(f"{metric.name}_bucket", {**labels, "le": _number(bound)}, below)
        yield _sample(f"{metric.name}_bucket", {**labels, "le": "+Inf"}, found.count)
        yield _sample(f"{metric.name}_sum", labels, found.total)
        yield _sample(f"{metric.name}_count", labels, found.count)


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join([f'{label}="{_escaped(text, quoted=True)}"' for label, text in labels.items()])
    return f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


def _escaped(text: str, *, quoted: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quoted else escaped


def _number(value: float) -> str:
    """Whole numbers stay whole: a float's notation of a large one would lose its last digits."""
    return str(value) if isinstance(value, int) else repr(float(value))
