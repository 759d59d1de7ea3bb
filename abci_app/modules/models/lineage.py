"""Questions that walk the provenance graph upwards: lineage (what was it made from?), clean (is this in there?).

Parents have smaller numbers than their children. So lineage visits entries by falling number, each exactly once, and a
page that stops anywhere leaves a frontier that lies wholly beyond it: the next page starts from that frontier, asked at
the same height. Only the union of all pages is complete. A light client runs these functions again on proven state, so
the caller recomputes the closure.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from heapq import heappop, heappush
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from abci_app.errors import Code, InvariantBroken, Rejected
from abci_app.module import Query
from abci_app.modules import datanets, licences
from abci_app.modules.datanets import DatanetVersion, NumberedContribution, contributions_of_version, resolve_datanet
from abci_app.modules.licences import JoinedTermsView, TermsView
from abci_app.modules.models.kinds import EntryKind, Undeclared, is_unknown_below
from abci_app.modules.models.records import (
    EVALUATIONS,
    MODELS,
    REPRODUCTIONS,
    Evaluation,
    Reproduction,
    StoredEntry,
    entry_id_of,
)
from abci_app.modules.models.resolve import read_entry, resolve_entry
from abci_app.state.codec import Record, encode
from abci_app.state.store import StateView
from abci_app.types import U32, Bytes32, Flag, OptionalBytes32, OptionalName, words

# One page; a frontier is handed back as the next page's argument, so it is bounded likewise.
MAX_PAGE = 4_096
# Entries of one page, encoded; with DataNets, terms and proof an answer stays far below a response's bound.
MAX_PAGE_BYTES = 2 * 1024 * 1024
# Contributions listed with each DataNet version; the query datanets/version pages through the rest.
MAX_CONTRIBUTIONS_EACH = 1_000
# Latest measurements and repetitions shown with the entry that was asked about.
MAX_EVENTS_SHOWN = 32

T = TypeVar("T")


class LineageQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Ask what an entry was made from, by entry id, or by model name and version (0 = the latest).

    Further pages leave both empty and give the `frontier` of the page before.
    """

    entry_id: OptionalBytes32
    model_name: OptionalName
    model_version: U32
    frontier: Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_PAGE)]
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]
    contributions_each: Annotated[int, Meta(ge=0, le=MAX_CONTRIBUTIONS_EACH)]


class LineageEntry(Struct, frozen=True):
    """One entry: the one asked about or an ancestor of it."""

    entry_id: bytes
    stored: StoredEntry


class LineageDatanet(Struct, frozen=True):
    """A DataNet version that an entry of this page was trained on.

    `usable` 0: a contribution was revoked since. `next_number` is 0 once all contributions are listed.
    """

    datanet_id: bytes
    version: int
    name: str
    record: DatanetVersion
    usable: Flag
    contributions: tuple[NumberedContribution, ...]
    next_number: int


class ModelName(Struct, frozen=True):
    """Name behind a model id."""

    model_id: bytes
    name: str


class LineagePage(Struct, frozen=True):
    """Entries by falling number, with everything that they refer to; complete once `frontier` is empty.

    `joined`: joined terms of the entry asked about and of the DataNet versions; `terms`: every terms record that
    joined terms and imports name. Evaluations and reproductions (latest first) are those of the entry asked about.
    """

    entry_id: bytes
    entries: tuple[LineageEntry, ...]
    datanets: tuple[LineageDatanet, ...]
    models: tuple[ModelName, ...]
    joined: tuple[JoinedTermsView, ...]
    terms: tuple[TermsView, ...]
    evaluations: tuple[Evaluation, ...]
    reproductions: tuple[Reproduction, ...]
    frontier: tuple[bytes, ...]


class CleanQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Is a DataNet (version 0 = any of its versions) among what this was made from? Each by id or name."""

    entry_id: OptionalBytes32
    model_name: OptionalName
    model_version: U32
    datanet_id: OptionalBytes32
    datanet_name: OptionalName
    datanet_version: U32


class CleanAnswer(IntEnum):
    """The statement that is proven. It speaks of declared DataNet versions, not of content."""

    PRESENT = 1
    # Not among the declared inputs of the entry and all its ancestors, and nothing below is unknown.
    NOT_DECLARED = 2
    # Not among the declared inputs; what some of the ancestors were made from is not on this chain.
    UNKNOWN_BELOW = 3


class CleanHit(Struct, frozen=True):
    """An entry that was trained on the DataNet."""

    entry_id: bytes
    version: int
    weight_ppb: int


class CleanUnknown(Struct, frozen=True):
    """An entry of which something is not on this chain: an import, or parents and inputs that it does not declare."""

    entry_id: bytes
    kind: Annotated[int, words(EntryKind)]
    undeclared: Annotated[int, words(Undeclared)]


class CleanView(Struct, frozen=True):
    """The answer; `unknown_below` names the entries below which something is unknown."""

    entry_id: bytes
    datanet_id: bytes
    datanet_name: str
    answer: Annotated[int, words(CleanAnswer)]
    found: tuple[CleanHit, ...]
    unknown_below: tuple[CleanUnknown, ...]
    # Entries that were looked at: the whole closure.
    entry_count: int


# --- Lineage


class _Climb:
    """Entries above some, by falling number; `waiting` holds (-number, id) of those found but not visited."""

    def __init__(self, view: StateView, roots: Iterable[bytes]) -> None:
        self._view = view
        self._found: dict[bytes, StoredEntry] = {}
        self.waiting: list[tuple[int, bytes]] = []
        for entry_id in roots:
            self._meet(entry_id)

    def _meet(self, entry_id: bytes) -> None:
        if entry_id in self._found:
            return
        stored = read_entry(self._view, entry_id)
        if entry_id_of(stored.entry) != entry_id:
            raise InvariantBroken(f"entry {entry_id.hex()} hashes otherwise")
        self._found[entry_id] = stored
        heappush(self.waiting, (-stored.admission.number, entry_id))

    def __iter__(self) -> Iterator[LineageEntry]:
        """One entry after the other, each after its parents were met."""
        while self.waiting:
            _, entry_id = heappop(self.waiting)
            stored = self._found[entry_id]
            for parent in stored.entry.parents:
                self._meet(parent.entry_id)
            yield LineageEntry(entry_id, stored)


def query_lineage(view: StateView, args: LineageQuery) -> LineagePage:
    """A page of the closure above an entry, and everything that its entries refer to."""
    root = b""
    if not args.frontier:
        root = resolve_entry(view, args.entry_id, args.model_name, args.model_version)
    elif args.entry_id or args.model_name:
        raise Rejected(Code.BAD_QUERY, "give an entry (or model name) for the first page, a frontier for a further one")
    climb = _Climb(view, args.frontier or (root,))
    entries: list[LineageEntry] = []
    size_bytes = 0
    for item in climb:
        entries.append(item)
        size_bytes += len(encode(item.stored))
        if len(entries) == args.limit or size_bytes >= MAX_PAGE_BYTES:
            break
    frontier = tuple([entry_id for _, entry_id in sorted(climb.waiting)])
    if len(frontier) > MAX_PAGE:
        raise Rejected(Code.BAD_QUERY, f"more than {MAX_PAGE} parents wait beyond this page: ask with another limit")
    datanets = _lineage_datanets(view, entries, args.contributions_each)
    number = entries[0].stored.admission.number
    joined, terms = _terms_named(view, entries, datanets, bool(root))
    return LineagePage(
        entry_id=root,
        entries=tuple(entries),
        datanets=tuple(datanets),
        models=_model_names(view, [item.stored.model_id for item in entries]),
        joined=joined,
        terms=terms,
        evaluations=_latest(EVALUATIONS.iterate(view, number, reverse=True)) if root else (),
        reproductions=_latest(REPRODUCTIONS.iterate(view, number, reverse=True)) if root else (),
        frontier=frontier,
    )


def _latest(events: Iterator[tuple[tuple[int, ...], T]]) -> tuple[T, ...]:
    """The first few of an iteration."""
    shown: list[T] = []
    for _, record in events:
        shown.append(record)
        if len(shown) == MAX_EVENTS_SHOWN:
            break
    return tuple(shown)


def _lineage_datanets(view: StateView, entries: list[LineageEntry], contributions_each: int) -> list[LineageDatanet]:
    """Every DataNet version among the inputs once, by id and version."""
    used = {(item.datanet_id, item.version): None for entry in entries for item in entry.stored.entry.inputs}
    return [_lineage_datanet(view, datanet_id, version, contributions_each) for datanet_id, version in sorted(used)]


def _lineage_datanet(view: StateView, datanet_id: bytes, version: int, contributions_each: int) -> LineageDatanet:
    datanet = datanets.find_datanet(view, datanet_id)
    record = datanets.find_version(view, datanet_id, version)
    if datanet is None or record is None:
        raise InvariantBroken(f"DataNet {datanet_id.hex()} version {version} is an input but not stored")
    items: tuple[NumberedContribution, ...] = ()
    next_number = 0
    if contributions_each:
        items, next_number = contributions_of_version(view, datanet_id, version, record, 0, contributions_each)
    usable = int(datanets.is_usable(view, datanet_id, version))
    return LineageDatanet(
        datanet_id=datanet_id,
        version=version,
        name=datanet.name,
        record=record,
        usable=usable,
        contributions=items,
        next_number=next_number,
    )


def _model_names(view: StateView, model_ids: Iterable[bytes]) -> tuple[ModelName, ...]:
    names = []
    for model_id in sorted(frozenset(model_ids)):
        model = MODELS.get(view, model_id) if model_id else None
        if model is not None:
            names.append(ModelName(model_id, model.name))
    return tuple(names)


def _terms_named(
    view: StateView, entries: list[LineageEntry], versions: list[LineageDatanet], with_root: bool
) -> tuple[tuple[JoinedTermsView, ...], tuple[TermsView, ...]]:
    """Joined terms of root and DataNet versions, and every terms record that they or an entry itself name."""
    joined_ids = {item.record.joined_terms_id: None for item in versions}
    if with_root:
        joined_ids[entries[0].stored.admission.joined_terms_id] = None
    joined = [JoinedTermsView(key, licences.joined_terms(view, key)) for key in sorted(joined_ids)]
    terms_ids = {source.terms_id: None for item in joined for source in item.joined.sources}
    terms_ids |= {item.stored.entry.terms_id: None for item in entries if item.stored.entry.terms_id}
    return tuple(joined), licences.stored_terms(view, sorted(terms_ids))


# --- Clean


def query_clean(view: StateView, args: CleanQuery) -> CleanView:
    """Walk the whole closure and say whether the DataNet is a declared input anywhere in it."""
    root = resolve_entry(view, args.entry_id, args.model_name, args.model_version)
    datanet_id = resolve_datanet(view, args.datanet_id, args.datanet_name)
    datanet = datanets.require_datanet_version(view, datanet_id, args.datanet_version)
    found: list[CleanHit] = []
    unknown: list[CleanUnknown] = []
    entry_count = 0
    for item in _Climb(view, (root,)):
        entry_count += 1
        kind, undeclared = item.stored.entry.kind, item.stored.entry.undeclared
        if is_unknown_below(kind, undeclared):
            unknown.append(CleanUnknown(item.entry_id, kind, undeclared))
        found += [
            CleanHit(item.entry_id, used.version, used.weight_ppb)
            for used in item.stored.entry.inputs
            if used.datanet_id == datanet_id and args.datanet_version in (0, used.version)
        ]
    answer = CleanAnswer.UNKNOWN_BELOW if unknown else CleanAnswer.NOT_DECLARED
    if found:
        answer = CleanAnswer.PRESENT
    return CleanView(
        entry_id=root,
        datanet_id=datanet_id,
        datanet_name=datanet.name,
        answer=int(answer),
        found=tuple(found),
        unknown_below=tuple(unknown),
        entry_count=entry_count,
    )


QUERIES = (
    Query("lineage", LineageQuery, LineagePage, query_lineage, "everything that an entry or model was made from"),
    Query("clean", CleanQuery, CleanView, query_clean, "whether a DataNet is among what an entry was made from"),
)
