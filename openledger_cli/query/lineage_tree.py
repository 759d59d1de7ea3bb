"""A lineage as a tree that people can read. Pure: from the proven answer, and manifests that hash to what it names.

Entries nest below what was made from them; an entry that several paths lead to is shown in full once. DataNet versions
and terms follow, each once, since many entries share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abci_app.bech32 import encode_id
from abci_app.modules.models.kinds import EntryKind, is_unknown_below
from abci_app.modules.models.lineage import MAX_EVENTS_SHOWN
from openledger.amounts import show_share
from openledger.licences import terms_title
from openledger.words import word_of
from openledger_cli.lines import Line, count, show_size, show_time
from openledger_cli.terms.words import joined_words, terms_line

if TYPE_CHECKING:
    from abci_app.modules.models.lineage import LineageDatanet, LineagePage
    from abci_app.modules.models.records import Evaluation, Input, Parent, Reproduction, Run, StoredEntry
    from openledger.data.manifest import Manifest

# Beyond this the guides leave no room for text; deeper entries follow in a list of their own.
MAX_DEPTH = 12
# Contributors shown of a DataNet version unless all are asked for.
CONTRIBUTORS_SHOWN = 20

# Metrics that end so are losses in millionths of a nat.
_MICRONATS = "-micronats"


@dataclass(slots=True)
class Shown:
    """The data of a tree. `manifests`: by root, or why one cannot be shown. `people`: names of known keys."""

    page: LineagePage
    manifests: Mapping[bytes, Manifest | str]
    people: Mapping[bytes, str]
    all_contributors: bool = False

    def person(self, address: bytes) -> str:
        """`open1... (your key alice)`."""
        name = self.people.get(address)
        return encode_id("open", address) + (f" (key {name})" if name else "")

    def datanet(self, datanet_id: bytes, version: int) -> str:
        """Name and version of a DataNet."""
        for item in self.page.datanets:
            if (item.datanet_id, item.version) == (datanet_id, version):
                return f"{item.name} version {version}"
        return f"{encode_id('oldata', datanet_id)} version {version}"

    def terms(self, terms_id: bytes) -> str:
        """Terms as people call them."""
        return next(
            (terms_title(item.terms) for item in self.page.terms if item.terms_id == terms_id), ""
        ) or encode_id("olterms", terms_id)

    def model(self, stored: StoredEntry) -> str:
        """`my-model version 3`, or empty when the entry belongs to no model."""
        if not stored.model_id:
            return ""
        name = next((item.name for item in self.page.models if item.model_id == stored.model_id), "")
        return f"{name or encode_id('olmodel', stored.model_id)} version {stored.model_version}"


def lineage_tree(shown: Shown) -> list[Line]:
    """The tree of entries, the DataNet versions, the terms."""
    lines = _entries(shown)
    if shown.page.datanets:
        lines.append(Line("DataNet versions", [_datanet(shown, item) for item in shown.page.datanets]))
    if shown.page.terms:
        terms = [terms_line(item.terms_id, item.terms) for item in shown.page.terms]
        lines.append(Line("terms (advisory, not legal advice)", terms))
    return lines


def counts(page: LineagePage) -> str:
    """`3 entries, 2 DataNet versions, 9 contributions by 8 contributors, 4 terms`."""
    accepted = {item.accepted.contribution_id: item.accepted for each in page.datanets for item in each.contributions}
    people = {item.contributor for item in accepted.values()}
    parts = [
        count(len(page.entries), "entry", "entries"),
        count(len(page.datanets), "DataNet version"),
        f"{count(len(accepted), 'contribution')} by {count(len(people), 'contributor')}",
        count(len(page.terms), "terms record"),
    ]
    return ", ".join(parts)


# --- Entries


def _entries(shown: Shown) -> list[Line]:
    """Depth first without recursion: a chain of retrainings may be thousands long."""
    by_id = {item.entry_id: item.stored for item in shown.page.entries}
    root_id = shown.page.entries[0].entry_id
    lines = [Line("")]
    waiting: list[tuple[bytes, Parent | None, Line, int]] = [(root_id, None, lines[0], 0)]
    done: set[bytes] = set()
    while waiting:
        entry_id, link, line, depth = waiting.pop()
        stored = by_id.get(entry_id)
        line.text = _headline(shown, entry_id, stored, link)
        if stored is None:
            continue
        if entry_id in done:
            line.text += ", shown above"
            continue
        if depth > MAX_DEPTH:
            line.text += ", shown below"
            continue
        done.add(entry_id)
        _facts(shown, entry_id, stored, line)
        links = [(parent, line.add("")) for parent in stored.entry.parents]
        waiting += [(parent.entry_id, parent, below, depth + 1) for parent, below in reversed(links)]
    rest = [item for item in shown.page.entries if item.entry_id not in done]
    if rest:
        further = Line("further ancestors, newest first")
        lines.append(further)
        for item in rest:
            line = further.add(_headline(shown, item.entry_id, item.stored, None))
            _facts(shown, item.entry_id, item.stored, line)
            for parent in item.stored.entry.parents:
                line.add(_headline(shown, parent.entry_id, by_id.get(parent.entry_id), parent))
    return lines


def _headline(shown: Shown, entry_id: bytes, stored: StoredEntry | None, link: Parent | None) -> str:
    name = encode_id("olrun", entry_id)
    before = "" if link is None else f"made from, as {link.role} ({show_share(link.share_ppb)}): "
    if stored is None:
        return f"{before}{name} (on a further page)"
    model = shown.model(stored)
    superseded = ""
    if stored.superseded_by_entry_id:
        superseded = f", SUPERSEDED by {encode_id('olrun', stored.superseded_by_entry_id)}"
    return f"{before}{f'{model}, ' if model else ''}{_kind(stored.entry.kind)}, {name}{superseded}"


def _kind(kind: int) -> str:
    return f"base model, {word_of('kind', kind)}" if kind == EntryKind.IMPORT else word_of("kind", kind)


def _facts(shown: Shown, entry_id: bytes, stored: StoredEntry, line: Line) -> None:
    """Everything about one entry but its parents."""
    entry, admission = stored.entry, stored.admission
    manifest = shown.manifests.get(entry.manifest_root)
    line.add(_run(stored.first_run))
    line.add(
        f"recorded at height {admission.height}, {show_time(admission.time_seconds)}, as entry {admission.number} "
        f"by {shown.person(admission.recorder)}"
    )
    if stored.claimed_height:
        line.add(
            f"owned by {shown.person(stored.owner)}, whom its manifest names, since height {stored.claimed_height}"
        )
    elif manifest is not None and not isinstance(manifest, str):
        line.below += [Line(text) for text in _described(lambda: _describe_owner(shown, stored, manifest))]
    output = entry.output
    made = line.add(f"output: {output.format}, {show_size(output.byte_count)}")
    made.add(f"artefact digest {output.artefact_digest.hex()}")
    made.add(f"tensor digest {output.tensor_digest.hex()}")
    how = line.add(f"manifest {entry.manifest_root.hex()}")
    if isinstance(manifest, str):
        how.add(f"not shown: {manifest}")
    elif manifest is not None:
        for text in _described(lambda: _describe_run(manifest)):
            how.add(text)
    if entry.attribution.method:
        line.add(f"attribution method {entry.attribution.method}, commitment {entry.attribution.commitment_root.hex()}")
    if entry.terms_id:
        line.add(f"its own terms: {shown.terms(entry.terms_id)}")
    line.below += _verdict(shown, stored)
    if entry_id == shown.page.entry_id:
        line.below += [_evaluation(shown, item) for item in shown.page.evaluations]
        line.below += [_reproduction(shown, item) for item in shown.page.reproductions]
        for what, shown_ones in (("evaluations", shown.page.evaluations), ("reproductions", shown.page.reproductions)):
            if len(shown_ones) == MAX_EVENTS_SHOWN:
                line.add(f"the latest {MAX_EVENTS_SHOWN} {what}: for all see `openledger query models {what}`")
    if is_unknown_below(entry.kind, entry.undeclared):
        line.add(unknown_words(entry.kind, entry.undeclared))
    for place, item in enumerate(entry.inputs):
        line.below.append(_input(shown, item, place, manifest))


def unknown_words(kind: int, undeclared: int) -> str:
    """Say in words which facts are not known below an entry."""
    if kind == EntryKind.IMPORT:
        return "UNKNOWN BELOW: it came from outside, and what it was made from is not on this chain"
    what = word_of("undeclared", undeclared).replace("-", " ")
    return f"UNKNOWN BELOW: its {what} are not all declared, and what else it was made from is not on this chain"


def _input(shown: Shown, item: Input, place: int, manifest: Manifest | str | None) -> Line:
    name = shown.datanet(item.datanet_id, item.version)
    rows = f"{item.rows_used:,} rows used" if item.rows_used_root else "rows not declared"
    line = Line(f"trained on {name}, {show_share(item.weight_ppb)} of the mix, {rows}")
    if manifest is not None and not isinstance(manifest, str):
        for text in _described(lambda: _describe_input(manifest, place, item)):
            line.add(text)
    if item.rows_used_root:
        line.add(f"root of the rows used {item.rows_used_root.hex()}")
    return line


def _describe_owner(shown: Shown, stored: StoredEntry, manifest: Manifest) -> list[str]:
    """Whose an entry is that nobody claimed, where its manifest does not name who recorded it."""
    from openledger.data.ownership import find_owner

    named = find_owner(manifest)
    if named == stored.owner:
        return []
    if named is None:
        first = shown.person(stored.owner)
        return [
            f"owned by {first}, who recorded it first: its manifest names no owner, so that nobody else can claim it"
        ]
    return [f"its manifest names {shown.person(named)} as its owner, who has not claimed it"]


def _describe_run(manifest: Manifest) -> list[str]:
    from trainer.describe import describe_run

    return describe_run(manifest)


def _describe_input(manifest: Manifest, place: int, item: Input) -> list[str]:
    """The partition in words; said when the manifest speaks of another DataNet version than the entry does."""
    from trainer.describe import describe_input

    parts = manifest.inputs
    if place >= len(parts):
        return ["the manifest says nothing about this input"]
    named = (parts[place]["datanet"], parts[place]["version"])
    if named != (item.datanet_id.hex(), item.version):
        return [f"NOTE: the manifest speaks of DataNet {named[0]} version {named[1]} here"]
    return describe_input(parts[place])


def _described(describe: Callable[[], list[str]]) -> list[str]:
    """A manifest's own words; what cannot be read is said, never guessed: anybody may have written it."""
    try:
        return describe()
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        return [f"this part of the manifest has a form that is not known here ({type(error).__name__}: {error})"]


def _run(run: Run) -> str:
    parts = [f"run: {show_time(run.started_seconds)} to {show_time(run.finished_seconds)}"]
    if run.machine:
        parts.append(f"on {run.machine}")
    if run.quality_metric:
        metric, value, _ = measured_words(run.quality_metric, run.quality_value, 0)
        parts.append(f"{metric} {value}")
    return ", ".join(parts)


def _verdict(shown: Shown, stored: StoredEntry) -> list[Line]:
    admission = stored.admission
    outcome, profile = word_of("outcome", admission.outcome), word_of("profile", admission.profile)
    line = Line(f"licence check when recorded: {outcome.replace('-', ' ')} ({profile} policy)")
    if admission.unknown_below:
        line.add("UNKNOWN BELOW: this speaks of declared sources, and there are some that are not on this chain")
    joined = next(
        (item.joined for item in shown.page.joined if item.joined_terms_id == admission.joined_terms_id), None
    )
    if joined is not None:
        line.below += [Line(text) for text in joined_words(joined, shown.terms)]
    schedule = admission.schedule
    if stored.entry.parents and schedule.ancestors_ppb:
        line.add(
            f"ancestors keep {show_share(schedule.ancestors_ppb)} of the model's share, halving every "
            f"{count(schedule.half_life_versions, 'version')}, never below {show_share(schedule.floor_ppb)}"
        )
    return [line]


def _evaluation(shown: Shown, item: Evaluation) -> Line:
    benchmark = shown.datanet(item.benchmark_datanet_id, item.benchmark_version)
    metric, value, interval = measured_words(item.metric, item.value, item.interval)
    # One row has no interval: 0 would claim that there is nothing to doubt.
    doubt = f"± {interval}" if item.interval or item.sample_size > 1 else "(interval unknown)"
    return Line(
        f"evaluated on {benchmark}: {metric} {value} {doubt} over "
        f"{count(item.sample_size, 'row')}, by {shown.person(item.evaluator)} at height {item.height}"
    )


def measured_words(metric: str, value: int, interval: int) -> tuple[str, str, str]:
    """Metric, value and interval for people: losses are recorded in millionths of a nat and read in nats."""
    if not metric.endswith(_MICRONATS):
        return metric, f"{value:,}", f"{interval:,}"
    name = metric.removesuffix(_MICRONATS)
    return f"{name} in nats", f"{value / 10**6:,.4f}", f"{interval / 10**6:,.4f}"


def _reproduction(shown: Shown, item: Reproduction) -> Line:
    grade = word_of("grade", item.grade).replace("-", " ")
    return Line(f"reproduced: {grade}, by {shown.person(item.reproducer)}, {show_time(item.time_seconds)}")


# --- DataNet versions


def _datanet(shown: Shown, item: LineageDatanet) -> Line:
    record = item.record
    line = Line(
        f"{item.name} version {item.version}: {record.row_count:,} rows, {show_size(record.byte_count)}, "
        f"{count(record.contribution_count, 'contribution')}"
    )
    if not item.usable:
        line.text += ", REVOKED IN PART since: no new training on this version"
    line.add(f"id {encode_id('oldata', item.datanet_id)}")
    line.add(
        f"made at height {record.height}, {show_time(record.time_seconds)}{f': {record.note}' if record.note else ''}"
    )
    line.add(f"root of the contributions {record.contributions_root.hex()}")
    _contributors(shown, item, line)
    return line


def _contributors(shown: Shown, item: LineageDatanet, line: Line) -> None:
    """Who gave how many rows under which terms, most rows first."""
    rows: dict[tuple[bytes, bytes], tuple[int, int]] = {}
    for contribution in item.contributions:
        accepted = contribution.accepted
        key = (accepted.contributor, accepted.terms_id)
        known = rows.get(key, (0, 0))
        rows[key] = (known[0] + accepted.row_count, known[1] + 1)
    ordered = sorted(rows, key=lambda key: (-rows[key][0], key))
    limit = len(ordered) if shown.all_contributors else CONTRIBUTORS_SHOWN
    for key in ordered[:limit]:
        row_count, contributions = rows[key]
        several = f" in {contributions} contributions" if contributions > 1 else ""
        line.add(f"{row_count:,} rows{several} from {shown.person(key[0])}, {shown.terms(key[1])}")
    if len(ordered) > limit:
        line.add(f"and {len(ordered) - limit:,} more: see --all-contributors or --output json")
    missing = item.record.contribution_count - len(item.contributions)
    if missing:
        line.add(f"{missing:,} of {count(item.record.contribution_count, 'contribution')} are not listed here")
