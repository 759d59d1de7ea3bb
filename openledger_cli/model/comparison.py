"""Two versions of a model side by side: what changed, how they were measured, and what the measurements support. Pure.

Only evaluations on the same rows with intervals that do not overlap tell two versions apart, and only where one thing
changed alone can it have helped. Intervals speak of the rows that were measured on, not of other seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abci_app.modules.licences.records import Point
from openledger.amounts import show_share
from openledger.data.manifest import Manifest, ManifestError
from openledger.licences import terms_title
from openledger.words import word_of
from openledger_cli.query.lineage_tree import measured_words

if TYPE_CHECKING:
    from abci_app.modules.models.lineage import LineagePage
    from abci_app.modules.models.records import Evaluation, StoredEntry

_LOWER_IS_BETTER = ("loss", "perplexity", "error", "micronats")
_HIGHER_IS_BETTER = ("accuracy", "exact", "match", "f1", "bleu", "rouge", "pass", "score")
# Parts of a recipe that other groups speak of, or that decide nothing.
_OF_OTHER_GROUPS = ("datasets", "evaluate", "model", "name", "output", "version")
_SHOWN_LENGTH = 60
# What can have made a version better or worse; terms cannot.
_CAUSES = ("made from", "tool", "data", "filters", "hyperparameters", "code")


@dataclass(frozen=True, slots=True)
class ModelSide:
    """One of the two: its name as asked, its lineage, manifest (or why it cannot be shown) and all evaluations."""

    name: str
    page: LineagePage
    manifest: Manifest | str
    evaluations: tuple[Evaluation, ...]

    @property
    def stored(self) -> StoredEntry:
        """Its own entry."""
        return self.page.entries[0].stored


@dataclass(frozen=True, slots=True)
class VersionChange:
    """One thing that is not the same in both."""

    group: str
    text: str


@dataclass(frozen=True, slots=True)
class MeasuredBoth:
    """One measurement of both on the same rows: whether it tells them apart, and for whom it speaks ("" = nobody)."""

    text: str
    told_apart: bool
    better: str


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Everything that can be said of two versions, and the conclusion in a sentence."""

    changes: tuple[VersionChange, ...]
    measured: tuple[MeasuredBoth, ...]
    not_compared: tuple[str, ...]
    conclusion: str


def compare(first: ModelSide, second: ModelSide) -> VersionComparison:
    """Compare two entries; nothing is guessed about what a store does not show."""
    changes = [
        *[VersionChange("made from", text) for text in _differences(_origin(first), _origin(second))],
        *[VersionChange("data", text) for text in _differences(_inputs(first), _inputs(second))],
        *_of_manifests(first, second),
        *[VersionChange("terms", text) for text in _differences(_terms(first), _terms(second))],
    ]
    measured, apart = _measured(first, second)
    hidden = [f"{side.name}: {side.manifest}" for side in (first, second) if isinstance(side.manifest, str)]
    return VersionComparison(
        changes=tuple(changes),
        measured=tuple(measured),
        not_compared=(*hidden, *_untold(first, second), *apart),
        conclusion=_conclusion(first, second, changes, measured, hidden=bool(hidden)),
    )


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Lines for what came, went and changed."""
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            yield f"{name}: no longer ({before[name]})"
        elif name not in before:
            yield f"{name}: new ({after[name]})"
        elif before[name] != after[name]:
            yield f"{name}: {before[name]} before, {after[name]} now"


def _parents(side: ModelSide) -> dict[str, str]:
    """Role -> the models that it was made from in that role."""
    known = {item.entry_id: item.stored for item in side.page.entries}
    found: dict[str, list[str]] = {}
    for parent in side.stored.entry.parents:
        stored = known.get(parent.entry_id)
        name = parent.entry_id.hex()[:12]
        for model in side.page.models:
            if stored is not None and stored.model_id == model.model_id:
                name = f"{model.name}@{stored.model_version}"
        found.setdefault(parent.role, []).append(f"{name} ({show_share(parent.share_ppb)})")
    undeclared = side.stored.entry.undeclared
    lines = {role: ", ".join(names) for role, names in found.items()}
    return lines | ({"undeclared": word_of("undeclared", undeclared).replace("-", " ")} if undeclared else {})


def _origin(side: ModelSide) -> dict[str, str]:
    """Parents, and of a model from outside where it came from."""
    found = _parents(side)
    if isinstance(side.manifest, Manifest) and "source" in side.manifest.parts:
        found["outside"] = _short(side.manifest.parts["source"].decode("utf-8", "replace"))
        try:
            source = side.manifest.json("source")
            found["outside"] = _short(source["source"])
        except (ManifestError, KeyError, TypeError):
            pass
    return found


def _inputs(side: ModelSide) -> dict[str, str]:
    """DataNet -> version, weight, rows used, contributions."""
    known = {(item.datanet_id, item.version): item for item in side.page.datanets}
    found = {}
    for item in side.stored.entry.inputs:
        datanet = known.get((item.datanet_id, item.version))
        name = datanet.name if datanet else item.datanet_id.hex()[:12]
        rows = f"{item.rows_used:,} rows used" if item.rows_used_root else "rows not declared"
        held = f" of {datanet.record.row_count:,}" if datanet and item.rows_used_root else ""
        given = f", {datanet.record.contribution_count} contributions" if datanet else ""
        found[name] = f"version {item.version}, {show_share(item.weight_ppb)} of the mix, {rows}{held}{given}"
    return found


def _terms(side: ModelSide) -> dict[str, str]:
    """Sources of terms, and the duties of them together."""
    joined_id = side.stored.admission.joined_terms_id
    titles = {item.terms_id: terms_title(item.terms) for item in side.page.terms}
    found = {}
    for item in side.page.joined:
        if item.joined_terms_id == joined_id:
            duties = [point.name.lower().replace("_", " ") for point in Point if item.joined.demanded & point]
            found["use"] = word_of("use_class", item.joined.use_class).replace("-", " ")
            found["duties"] = ", ".join(duties) or "none"
            found["sources"] = ", ".join(sorted([titles.get(each.terms_id, "?") for each in item.joined.sources]))
    return found


# --- Out of the manifests


def _of_manifests(first: ModelSide, second: ModelSide) -> list[VersionChange]:
    if isinstance(first.manifest, str) or isinstance(second.manifest, str):
        return []
    found = [VersionChange("filters", text) for text in _differences(_steps(first), _steps(second))]
    before, after = _tool(first), _tool(second)
    if before != after:
        found.append(VersionChange("tool", f"{before} before, {after} now"))
    else:
        found += [VersionChange("hyperparameters", text) for text in _differences(_recipe(first), _recipe(second))]
    if "code" in first.manifest.parts and "code" in second.manifest.parts:
        found += [VersionChange("code", text) for text in _differences(_code(first), _code(second))]
    return found


def _untold(first: ModelSide, second: ModelSide) -> list[str]:
    """Why settings or code of two that can be read are not compared: other tools have other words for the same."""
    if isinstance(first.manifest, str) or isinstance(second.manifest, str):
        return []
    found = []
    if _tool(first) != _tool(second):
        found.append("settings: the two come from different tools, whose words for the same setting differ")
    manifests = ((first.name, first.manifest), (second.name, second.manifest))
    silent = [name for name, manifest in manifests if "code" not in manifest.parts]
    if len(silent) == 1:
        found.append(f"code and libraries: {silent[0]} does not record them")
    return found


def _tool(side: ModelSide) -> str:
    """The program that did the run, without its versions; what cannot be read is a program of its own."""
    assert isinstance(side.manifest, Manifest)
    if "about" not in side.manifest.parts:
        return "not named"
    try:
        about = side.manifest.json("about")
    except ManifestError:
        return "not readable"
    named = about.get("framework") if isinstance(about, dict) else None
    words = [word for word in str(named).split() if not any(letter.isdigit() for letter in word)]
    return _short(" ".join(words).removesuffix(","))


def _steps(side: ModelSide) -> dict[str, str]:
    """Steps, filters, split and sampling of each input."""
    assert isinstance(side.manifest, Manifest)
    names = {item.datanet_id.hex(): item.name for item in side.page.datanets}
    found = {}
    for part in _parts(side.manifest):
        name = names.get(str(part.get("datanet")), str(part.get("datanet"))[:12])
        for what in ("preprocess", "filters", "split", "sampling", "declared_steps"):
            if what in part:
                found[f"{name}, {what.replace('_', ' ')}"] = _short(part[what])
    return found


def _parts(manifest: Manifest) -> list[dict[str, Any]]:
    """The inputs' parts, as far as they can be read: anybody may have written them."""
    try:
        return [part for part in manifest.inputs if isinstance(part, dict)]
    except ManifestError:
        return []


def _recipe(side: ModelSide) -> dict[str, str]:
    """Every value of the recipe that no other group speaks of, by its path; of a text its length and beginning."""
    assert isinstance(side.manifest, Manifest)
    data = side.manifest.parts.get("recipe", b"")
    try:
        recipe = json.loads(data)
    except (ValueError, RecursionError):
        recipe = None
    try:
        leaves = dict(_leaves(recipe, "")) if isinstance(recipe, dict) else None
    except RecursionError:
        leaves = None
    if leaves is None:
        return {"recipe": f"a text of {len(data):,} bytes, {_short(data.decode('utf-8', 'replace'))}"} if data else {}
    return {path: text for path, text in leaves.items() if path.partition(".")[0] not in _OF_OTHER_GROUPS}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in sorted(value.items()):
            yield from _leaves(item, f"{path}.{name}" if path else str(name))
    else:
        yield path, _short(value)


def _code(side: ModelSide) -> dict[str, str]:
    assert isinstance(side.manifest, Manifest)
    try:
        code = side.manifest.json("code") if "code" in side.manifest.parts else {}
    except ManifestError:
        return {}
    code = code if isinstance(code, dict) else {}
    libraries = code.get("libraries")
    found = {str(name): _short(version) for name, version in libraries.items()} if isinstance(libraries, dict) else {}
    return found | ({"training code": str(code["digest"])[:16]} if "digest" in code else {})


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_LENGTH else f"{line[: _SHOWN_LENGTH - 1]}…"


# --- Measurements


def _measured(first: ModelSide, second: ModelSide) -> tuple[list[MeasuredBoth], list[str]]:
    """Measurements of both on the same rows, and those of one alone or on other rows."""
    before, after = _latest(first), _latest(second)
    found, apart = [], []
    for key in dict.fromkeys([*before, *after]):
        place = f"{_benchmark(first, second, key[0])}@{key[1]}, {key[2]}"
        one, other = before.get(key), after.get(key)
        if one is None or other is None:
            apart.append(f"{place}: only {second.name if one is None else first.name} was measured")
        elif one.sample_size != other.sample_size or _splits_differ(first, second, key[0]):
            apart.append(f"{place}: measured on different rows ({one.sample_size} and {other.sample_size})")
        else:
            found.append(_one(first, second, place, one, other))
    return found, apart


def _latest(side: ModelSide) -> dict[tuple[bytes, int, str], Evaluation]:
    """The latest measurement of each benchmark and metric; the recorder's own where there is one."""
    recorder = side.stored.admission.recorder
    found: dict[tuple[bytes, int, str], Evaluation] = {}
    for item in sorted(side.evaluations, key=lambda each: (each.evaluator == recorder, each.height)):
        found[item.benchmark_datanet_id, item.benchmark_version, item.metric] = item
    return found


def _benchmark(first: ModelSide, second: ModelSide, datanet_id: bytes) -> str:
    for item in (*first.page.datanets, *second.page.datanets):
        if item.datanet_id == datanet_id:
            return item.name
    return datanet_id.hex()[:12]


def _splits_differ(first: ModelSide, second: ModelSide, datanet_id: bytes) -> bool:
    """Whether both held out rows of this DataNet by different rules, so that they were measured on different ones."""
    rules = []
    for side in (first, second):
        parts = [] if isinstance(side.manifest, str) else _parts(side.manifest)
        rules.append([part.get("split") for part in parts if part.get("datanet") == datanet_id.hex()])
    return bool(rules[0] and rules[1]) and rules[0] != rules[1]


def _one(first: ModelSide, second: ModelSide, place: str, one: Evaluation, other: Evaluation) -> MeasuredBoth:
    _, before, before_interval = measured_words(one.metric, one.value, one.interval)
    _, after, after_interval = measured_words(other.metric, other.value, other.interval)
    text = (
        f"{place}: {first.name} {before} ± {before_interval}, {second.name} {after} ± {after_interval} "
        f"({one.sample_size:,} rows)"
    )
    if min(one.sample_size, other.sample_size) < 2 or not (one.interval and other.interval):
        return MeasuredBoth(f"{text}: no interval is known, not told apart", False, "")
    if abs(one.value - other.value) <= one.interval + other.interval:
        return MeasuredBoth(f"{text}: the intervals overlap, not told apart", False, "")
    lower, higher = (first.name, second.name) if one.value < other.value else (second.name, first.name)
    metric = one.metric.lower()
    if any(word in metric for word in _LOWER_IS_BETTER):
        return MeasuredBoth(f"{text}: {lower} is better", True, lower)
    if any(word in metric for word in _HIGHER_IS_BETTER):
        return MeasuredBoth(f"{text}: {higher} is better", True, higher)
    return MeasuredBoth(f"{text}: {higher} is higher; whether that is better this metric does not say", True, "")


def _conclusion(
    first: ModelSide,
    second: ModelSide,
    changes: Sequence[VersionChange],
    measured: Sequence[MeasuredBoth],
    *,
    hidden: bool,
) -> str:
    """Say in a sentence or two what the measurements support."""
    if first.stored.entry.output.tensor_digest == second.stored.entry.output.tensor_digest:
        return "Both have the very same numbers in their tensors, so neither is better."
    if not measured:
        return "No evaluation of both on the same rows is recorded, so nothing says which is better."
    winners = [each.better for each in measured if each.better]
    if not winners:
        return "No evaluation tells them apart, so no change is shown to have helped or harmed."
    if len(set(winners)) > 1:
        return f"{second.name} is better in some evaluations and worse in others: no change helped throughout."
    causes = list(dict.fromkeys([each.group for each in changes if each.group in _CAUSES]))
    what = f"{winners[0]} is better"
    if hidden:
        return f"{what}; what changed cannot be compared in full, so nothing says which change made the difference."
    if not causes:
        return f"{what}, and nothing that is recorded changed: the same recipe gave both."
    if len(causes) > 1:
        return (
            f"{what}. Several things changed at once ({', '.join(causes)}), so nothing says which of them made the "
            "difference: train a version that changes one alone."
        )
    effect = "helped" if winners[0] == second.name else "harmed"
    return f"{what}, and only one thing changed: the change of {causes[0]} {effect}."
