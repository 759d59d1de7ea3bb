"""Comparing the indexes of a repeated run with those that its entry committed to.

Where the repetition has the recorded tensors byte for byte, everything that is built from them is the same, too: then
the commitment roots are equal, or the record is wrong. Where its floats are only near, so are its gradients, and codes
need not be equal; then everything that does not come from floats is compared: payout rules, spans, rows and owners,
copies, settings, shapes of the modules; and the recorded gradient index is audited by itself (trainer.audit).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from abci_app.integers import NumbersRefused
from attribution.entry import GRADIENTS, METHOD_BITS, SPANS, EntryCommitment, get_commitment
from attribution.errors import AttributionError
from attribution.lga.commitment import IndexCommitment
from attribution.lga.index.reader import COMMITMENT_FILE, GradientIndex
from attribution.spans.commitment import MAX_COMMITMENT_BYTES, SpanCommitment
from attribution.spans.index import COMMITMENT_FILE as SPAN_COMMITMENT_FILE
from attribution.stored import fetch_index, get_index_file
from openledger.content.store import ContentError, ContentStore
from openledger.data.manifest import MAX_MANIFEST_BYTES
from openledger.errors import NotVerified
from trainer.audit import Audit, audit_index
from trainer.indexes import BuiltIndexes
from trainer.recipe import Recipe
from trainer.run_records import EntryRecord
from trainer.train import TrainedRun
from trainer.verify import BANDS, AttributionGrade, RunGrade, RunVerdict

# A grade and the finding in words.
_Graded = tuple[AttributionGrade, str]
# Parts in the order in which one follows from another: the first that differs is nearest to the cause.
_ORDER = (
    "payout", "about", "source/", "dataset", "documents", "tokens", "unigrams", "suffixes", "checkpoint/", "parameters",
    "basis/", "scales/", "leaves", "copies", "owners", "build",
)  # fmt: skip
# Of a gradient index; everything else in it comes from floats.
_WITHOUT_FLOATS = ("about", "source/", "dataset", "parameters", "copies")
# Which coordinates are kept, and so how many and after which direction a basis ends, comes from second moments.
_FLOATS_OF_PARAMETERS = ("exponent", "norm_cap_millionths", "codes")
# Which rows are copies follows from their codes; who was first and from which cosine on does not.
_FLOATS_OF_COPIES = ("found",)


class _Unreadable(Exception):
    """The recorded commitment cannot be read; the text says why."""


def check_methods(entry: EntryRecord, recipe: Recipe) -> None:
    """Entry and recipe name the same methods; raises `NotVerified`."""
    wanted = recipe.attribution.methods if recipe.attribution else []
    if sum(METHOD_BITS[name] for name in wanted) != entry.attribution_method:
        recorded = [name for name, bit in METHOD_BITS.items() if entry.attribution_method & bit]
        raise NotVerified(
            f"the entry commits to attribution by {_names(recorded)}, its recipe asks for {_names(wanted)}; "
            "do not rely on this entry"
        )


def with_indexes(
    verdict: RunVerdict,
    entry: EntryRecord,
    run: TrainedRun,
    built: BuiltIndexes | None,
    store: ContentStore,
    base_folder: Path,
) -> RunVerdict:
    """The verdict on a repetition with what its indexes say; None: they were not built.

    The recorded index may be fetched, to stand beside the built ones.
    """
    if not entry.attribution_method:
        return verdict
    if built is None:
        reason = "the adapter differs already" if verdict.grade == RunGrade.DIFFERS else "it was not built again"
        grade, finding = AttributionGrade.NOT_COMPARED, f"attribution not compared: {reason}"
    elif built.commitment.root == entry.attribution_root:
        grade = AttributionGrade.EQUAL
        finding = f"attribution built again ({_names(built.folders)}): the commitment root is equal"
    elif run.artefact.tensor_digest == entry.tensor_digest:
        grade, finding = _compare_equal_tensors(entry, built, store)
    else:
        grade, finding = _compare_near_tensors(entry, run, built, store, base_folder)
    return replace(verdict, attribution=grade, findings=(*verdict.findings, finding))


def _compare_equal_tensors(entry: EntryRecord, built: BuiltIndexes, store: ContentStore) -> _Graded:
    """Grade roots that differ although they must not, and say where they differ."""
    try:
        differences = _differences(entry, built, store)
        where = f"the first part that differs is {differences[0]}"
        where += f" (of {len(differences)})" if len(differences) > 1 else ""
    except _Unreadable as reason:
        where = f"where cannot be said ({reason})"
    recorded, found = entry.attribution_root.hex()[:16], built.commitment.root.hex()[:16]
    finding = (
        f"attribution differs: the entry commits to root {recorded}…, the same tensors give {found}…; {where}. "
        "Unless an openledger that builds indexes in another way recorded it, do not rely on this entry's explanations"
    )
    return AttributionGrade.DIFFERS, finding


def _compare_near_tensors(
    entry: EntryRecord, run: TrainedRun, built: BuiltIndexes, store: ContentStore, base_folder: Path
) -> _Graded:
    """Compare the parts that floats have no part in, and check the recorded index by itself."""
    try:
        differences = _differences(entry, built, store, _without_floats)
    except _Unreadable as reason:
        return AttributionGrade.NOT_COMPARED, f"attribution not compared: {reason}"
    if differences:
        finding = f"attribution differs where floats have no part: {differences[0]}; do not rely on its explanations"
        return AttributionGrade.DIFFERS, finding
    # Roots of payout rules and spans alone would have been equal: there is a gradient index.
    spans = "the whole span index; " if SPANS in built.folders else ""
    finding = (
        f"attribution consistent: payout rules; {spans}rows, owners, recipe, settings and module shapes of the "
        "gradient index are equal"
    )
    try:
        audit = _audit(entry, run, built, store, base_folder)
    except ContentError as error:
        return AttributionGrade.NOT_COMPARED, f"{finding}; the recorded index cannot be read: {error}"
    except NumbersRefused as error:
        finding = f"attribution differs: the recorded index does not hold ({error}); do not rely on its explanations"
        return AttributionGrade.DIFFERS, finding
    return AttributionGrade.CONSISTENT, f"{finding}; of the recorded index {audit.words}; its bases are not compared"


def _audit(entry: EntryRecord, run: TrainedRun, built: BuiltIndexes, store: ContentStore, base_folder: Path) -> Audit:
    root = get_commitment(store, entry.attribution_method, entry.attribution_root).roots[GRADIENTS]
    folder = built.folders[GRADIENTS].with_name("recorded")
    index = GradientIndex.open(fetch_index(store, root, folder), root)
    allowed = BANDS[run.prepared.recipe.train.precision].distance
    return audit_index(index, base_folder, run.adapters, built.rows, allowed=allowed)


def _differences(
    entry: EntryRecord,
    built: BuiltIndexes,
    store: ContentStore,
    comparable: Callable[[str, Mapping[str, bytes]], Mapping[str, bytes]] = lambda _, parts: parts,
) -> list[str]:
    """Parts that differ, nearest to the cause first; `comparable` takes from an index's parts what has to be equal."""
    try:
        recorded = get_commitment(store, entry.attribution_method, entry.attribution_root)
        found = _changed("", _policy(recorded), _policy(built.commitment))
        for name, folder in built.folders.items():
            theirs = comparable(name, _recorded_parts(name, recorded.roots[name], store))
            ours = comparable(name, _commitment(name, (folder / _FILES[name]).read_bytes()).manifest.parts)
            found += _changed(f"{name}/", theirs, ours)
    except (ContentError, NumbersRefused) as error:
        raise _Unreadable(f"the recorded commitment cannot be read: {error}") from error
    return found


def _policy(commitment: EntryCommitment) -> dict[str, bytes]:
    return {name: value for name, value in commitment.manifest.parts.items() if name not in commitment.roots}


_FILES = {GRADIENTS: COMMITMENT_FILE, SPANS: SPAN_COMMITMENT_FILE}
_LIMITS = {GRADIENTS: MAX_MANIFEST_BYTES, SPANS: MAX_COMMITMENT_BYTES}


def _recorded_parts(name: str, root: bytes, store: ContentStore) -> Mapping[str, bytes]:
    """Parts of a recorded index, shown to be those of its root."""
    commitment = _commitment(name, get_index_file(store, root, _FILES[name], _LIMITS[name]))
    if commitment.root != root:
        raise AttributionError(name, f"what is stored for root {root.hex()[:16]}… has another root")
    return commitment.manifest.parts


def _commitment(name: str, data: bytes) -> IndexCommitment | SpanCommitment:
    return IndexCommitment.decode(data) if name == GRADIENTS else SpanCommitment.decode(data)


def _without_floats(name: str, parts: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The parts of an index that floats have no part in."""
    if name != GRADIENTS:
        return parts
    kept = {part: value for part, value in parts.items() if part.startswith(_WITHOUT_FLOATS)}
    for part, fields in (("parameters", _FLOATS_OF_PARAMETERS), ("copies", _FLOATS_OF_COPIES)):
        values = {field: value for field, value in json.loads(kept[part]).items() if field not in fields}
        if "modules" in values:
            values["modules"] = [[name, out, in_, rank] for name, out, in_, _, rank in values["modules"]]
        kept[part] = json.dumps(values).encode()
    return kept


def _changed(prefix: str, recorded: Mapping[str, bytes], repeated: Mapping[str, bytes]) -> list[str]:
    """Names of parts that differ, in the order of `_ORDER`, with what differs in them."""
    names = [part for part in recorded.keys() | repeated.keys() if recorded.get(part) != repeated.get(part)]
    return [
        f"{prefix}{part}{_detail(recorded.get(part), repeated.get(part))}"
        for part in sorted(names, key=lambda part: (_place(part), part))
    ]


def _place(part: str) -> int:
    return next((number for number, start in enumerate(_ORDER) if part.startswith(start)), len(_ORDER))


def _detail(recorded: bytes | None, repeated: bytes | None) -> str:
    """The first field that differs in a part that is a JSON object, with its values if they are short."""
    if recorded is None or repeated is None:
        return " (not recorded)" if recorded is None else " (not in the repetition)"
    one, other = _object(recorded), _object(repeated)
    for field in sorted(one.keys() & other.keys()):
        if one[field] != other[field]:
            known = type(one[field]) is type(other[field]) is int
            return f" ({field}: {one[field]} recorded, {other[field]} here)" if known else f" ({field})"
    return ""


def _object(part: bytes) -> dict[str, Any]:
    try:
        value = json.loads(part)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _names(methods: Iterable[str]) -> str:
    return ", ".join(methods) or "nothing"
