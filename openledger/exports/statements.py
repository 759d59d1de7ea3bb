"""Statements of all formats about a model: how it was made, how good it is, what is not known or not well."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from abci_app.modules.models.lineage import MAX_EVENTS_SHOWN, LineageEntry
from abci_app.modules.models.records import Evaluation
from openledger.exports.facts import DatanetFacts, ModelFacts
from openledger.exports.identifiers import encode_id
from openledger.exports.licence import joined_expression
from openledger.exports.text import clean, decimal, utc
from openledger.words import word_of

_MICRONATS = "-micronats"
_MAX_PARAMETERS = 400
# Parts of a manifest whose values steer a run.
_STEERING = ("recipe", "training", "seed", "devices", "writing")
PROMISE = "It speaks of what was declared and recorded, never of content; it is no legal advice."


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredValue:
    """One recorded evaluation in decimal numbers; `half_width` is empty where no interval is known."""

    metric: str
    # `nats`, or empty where the record is an integer in the metric's own scale.
    unit: str
    value: str
    half_width: str
    lower: str
    upper: str
    rows: int
    benchmark: str
    evaluator: str
    height: int
    record: Evaluation

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return f"{self.value} {self.unit}" if self.unit else self.value

    @property
    def doubt(self) -> str:
        """The interval in words."""
        return f"± {self.half_width} (95 %)" if self.half_width else "interval unknown"


def measured(facts: ModelFacts) -> tuple[MeasuredValue, ...]:
    """Evaluations of the model, latest first."""
    return tuple([_measured(facts, item) for item in facts.page.evaluations])


def _measured(facts: ModelFacts, item: Evaluation) -> MeasuredValue:
    nats = item.metric.endswith(_MICRONATS)
    scale = 6 if nats else 0
    # No width is recorded as 0, and so is one that nobody knows: nothing is claimed then.
    known = item.interval > 0
    return MeasuredValue(
        metric=item.metric.removesuffix(_MICRONATS) if nats else item.metric,
        unit="nats" if nats else "",
        value=decimal(item.value, scale),
        half_width=decimal(item.interval, scale) if known else "",
        lower=decimal(item.value - item.interval, scale) if known else "",
        upper=decimal(item.value + item.interval, scale) if known else "",
        rows=item.sample_size,
        benchmark=facts.datanet_name(item.benchmark_datanet_id, item.benchmark_version),
        evaluator=encode_id("open", item.evaluator),
        height=item.height,
        record=item,
    )


def unknowns(facts: ModelFacts) -> tuple[str, ...]:
    """Where the lineage ends, in words."""
    return tuple([f"{each.reference}: {each.why}" for each in facts.lineage.unknown])


def warnings(facts: ModelFacts) -> tuple[str, ...]:
    """Everything about the lineage that is not well: revoked data, clashes, records that were replaced."""
    lines = [
        f"{each.reference}: a contribution to it was revoked after this version was made; no new training may use it"
        for each in facts.lineage.datanets
        if not each.usable
    ]
    for each in facts.lineage.entries:
        if each.superseded_by:
            lines.append(f"{each.reference}: its record was superseded by {each.superseded_by}")
        if each.outcome != "compatible":
            lines.append(
                f"{each.reference}: the licence check of consensus said '{each.outcome.replace('-', ' ')}' when it was "
                "recorded"
            )
    return tuple(lines)


def not_shown(facts: ModelFacts) -> tuple[str, ...]:
    """Records that the proof does not carry, so that the export is silent about them."""
    lines = [
        f"{facts.reference(item.entry_id)}: how it was made is not shown, since its manifest was not at hand"
        for item in facts.page.entries
        if facts.manifest(item) is None
    ]
    if len(facts.page.evaluations) == MAX_EVENTS_SHOWN:
        lines.append(f"evaluations: the latest {MAX_EVENTS_SHOWN} are shown, there may be earlier ones")
    return tuple(lines)


def remarks(facts: ModelFacts) -> tuple[str, ...]:
    """Unknown things first, then what is not well, then what is not shown."""
    return (*[f"unknown: {each}" for each in unknowns(facts)], *warnings(facts), *not_shown(facts))


def sheet_remarks(facts: DatanetFacts) -> tuple[str, ...]:
    """Remarks on a DataNet version."""
    if facts.usable:
        return ()
    return (f"{facts.name}: a contribution to it was revoked after this version was made; no new training may use it",)


def parameters_of(facts: ModelFacts, item: LineageEntry) -> dict[str, str]:
    """Values that steered a run, by their path in its manifest; a recipe that is no JSON by its size and digest."""
    from hashlib import sha256

    manifest = facts.manifest(item)
    found: dict[str, str] = {}
    for part in _STEERING:
        value = facts.part(item, part)
        if value is not None:
            found |= _bounded(value, part)
        elif manifest is not None and part in manifest.parts:
            data = manifest.parts[part]
            found[part] = f"a text of {len(data)} bytes, SHA-256 {sha256(data).hexdigest()}"
    return dict(list(found.items())[:_MAX_PARAMETERS])


def _bounded(value: Any, path: str) -> dict[str, str]:
    try:
        return {clean(place): clean(text) for place, text in _leaves(value, path)}
    except RecursionError:
        return {path: "nested too deep to be shown"}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in sorted(value.items()):
            yield from _leaves(item, f"{path}.{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}.{number}")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def framework_of(facts: ModelFacts, item: LineageEntry) -> str:
    """The tool that made a run, as its manifest says; empty where that is not known."""
    about = facts.part(item, "about")
    return clean(about["framework"]) if isinstance(about, Mapping) and "framework" in about else ""


def source_of(facts: ModelFacts, item: LineageEntry) -> dict[str, str]:
    """Where an import came from, as its importer says; empty where that is not known."""
    source = facts.part(item, "source")
    if not isinstance(source, Mapping):
        return {}
    return {clean(name): clean(value) for name, value in sorted(source.items()) if isinstance(value, str | int)}


def kind_of(item: LineageEntry) -> str:
    """The kind of an entry: `lora`, `import`, ..."""
    return word_of("kind", item.stored.entry.kind)


def model_licence(facts: ModelFacts) -> str:
    """The terms of everything that the model was made from together, as an SPDX expression."""
    joined_id = facts.stored.admission.joined_terms_id
    for each in facts.page.joined:
        if each.joined_terms_id == joined_id:
            return joined_expression([source.terms_id for source in each.joined.sources], facts.terms)
    return joined_expression([], facts.terms)


def own_licence(item: LineageEntry, facts: ModelFacts) -> str:
    """Terms that an entry brings in itself (imports, undeclared parts), as an SPDX expression."""
    terms_id = item.stored.entry.terms_id
    return joined_expression([terms_id] if terms_id else [], facts.terms)


def run_times(item: LineageEntry) -> tuple[str, str]:
    """Start and end of the first run as its sender declared them; empty where they are no times."""
    run = item.stored.first_run
    return (utc(run.started_seconds), utc(run.finished_seconds)) if run.started_seconds else ("", "")
