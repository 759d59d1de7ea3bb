"""The question that walks the provenance graph downwards: what was made from a DataNet version?

Children have larger numbers than their parents. So entries are visited by rising number, each exactly once; further
pages start from the frontier of the page before, asked at the same height. Only the union of all pages is complete.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Annotated

from msgspec import Meta, Struct

from abci_app.errors import Code, InvariantBroken, Rejected
from abci_app.module import Query
from abci_app.modules import datanets
from abci_app.modules.datanets import resolve_datanet
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.records import BY_INPUT, BY_PARENT, COUNTERS, ENTRIES, MODELS, StoredEntry
from abci_app.modules.models.resolve import entry_of_number
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import U32, Flag, Integer, OptionalBytes32, OptionalName, words

# One page; a frontier is handed back as the next page's argument, so it is bounded likewise.
MAX_PAGE = 4_096


class ImpactQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Ask what was made from a DataNet version (0 = any version), named by id or name.

    `direct_only` 1: entries trained on it, else also everything that stands on those. Further pages give the
    `frontier` and `after_number` of the page before.
    """

    datanet_id: OptionalBytes32
    name: OptionalName
    version: U32
    direct_only: Flag
    after_number: Integer
    frontier: Annotated[tuple[Integer, ...], Meta(max_length=MAX_PAGE)]
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class ImpactEntry(Struct, frozen=True):
    """One entry below the DataNet; `direct` 1: trained on it, 0: by way of a parent; `undeclared` as in the entry."""

    number: int
    entry_id: bytes
    direct: Flag
    kind: Annotated[int, words(EntryKind)]
    undeclared: Annotated[int, words(Undeclared)]
    recorder: bytes
    owner: bytes
    height: int
    model_id: bytes
    model_name: str
    model_version: int
    superseded_by_entry_id: bytes


class ImpactPage(Struct, frozen=True):
    """Entries by rising number; complete once `more` is 0. `frontier`: entries so far with children on later pages.

    `undeclared_entries`: imports and entries with undeclared parents or inputs on the whole chain. They may stand on
    the DataNet without saying so; no answer can tell.
    """

    datanet_id: bytes
    name: str
    version: int
    entries: tuple[ImpactEntry, ...]
    after_number: int
    frontier: tuple[int, ...]
    more: Flag
    undeclared_entries: int


def query_impact(view: StateView, args: ImpactQuery) -> ImpactPage:
    """A page of what was trained on a DataNet version, and of what stands on that."""
    datanet_id = resolve_datanet(view, args.datanet_id, args.name)
    datanet = datanets.require_datanet_version(view, datanet_id, args.version)
    descent = _Descent(view, datanet_id, args)
    entries: list[ImpactEntry] = []
    for number in descent:
        entries.append(descent.describe(number))
        if len(entries) == args.limit:
            break
    after_number = entries[-1].number if entries else args.after_number
    frontier = descent.frontier()
    if len(frontier) > MAX_PAGE:
        raise Rejected(
            Code.BAD_QUERY,
            f"more than {MAX_PAGE} entries have children beyond this page: ask for one version, or direct_only",
        )
    more = int(bool(frontier) or descent.direct_left())
    counters = COUNTERS.get(view)
    return ImpactPage(
        datanet_id=datanet_id,
        name=datanet.name,
        version=args.version,
        entries=tuple(entries),
        after_number=after_number,
        frontier=frontier,
        more=more,
        undeclared_entries=counters.undeclared if counters else 0,
    )


class _Descent:
    """Entries below a DataNet version by rising number.

    `_ahead` holds (next child, parent) for every visited entry with children that were not visited: one place for an
    entry, however many children it has, since anybody can record children of anything.
    """

    def __init__(self, view: StateView, datanet_id: bytes, args: ImpactQuery) -> None:
        self._view = view
        self._datanet_id = datanet_id
        self._args = args
        self._last = args.after_number
        self._ahead: list[tuple[int, int]] = []
        if any(not 0 < number <= args.after_number or args.direct_only for number in args.frontier):
            raise Rejected(Code.BAD_QUERY, "the frontier is not the one that the page before gave")
        for number in sorted(frozenset(args.frontier)):
            self._meet_next_child(number)
        self._direct = self._direct_numbers()
        self._next_direct = next(self._direct, 0)

    def _direct_numbers(self) -> Iterator[int]:
        """Entries trained on the DataNet beyond the page before, by rising number."""
        if self._args.version:
            # In number order already: read only as far as this page reaches.
            after = (self._datanet_id, self._args.version, self._args.after_number)
            found = BY_INPUT.iterate(self._view, self._datanet_id, self._args.version, after=after)
            return (number for _, _, number in found)
        numbers = frozenset([number for _, _, number in BY_INPUT.iterate(self._view, self._datanet_id)])
        return iter(sorted([number for number in numbers if number > self._args.after_number]))

    def _meet_next_child(self, parent: int) -> None:
        """Its first child that was not visited, if there is one; a child has a larger number than its parents."""
        found = next(BY_PARENT.iterate(self._view, parent, after=(parent, self._last)), None)
        if found is not None:
            heappush(self._ahead, (found[1], parent))

    def __iter__(self) -> Iterator[int]:
        """One number after the other; its first child is met before it is handed out."""
        while self._ahead or self._next_direct:
            number = self._ahead[0][0] if self._ahead else self._next_direct
            if 0 < self._next_direct <= number:
                number = self._next_direct
                self._next_direct = next(self._direct, 0)
            self._last = number
            while self._ahead and self._ahead[0][0] == number:
                self._meet_next_child(heappop(self._ahead)[1])
            if not self._args.direct_only:
                self._meet_next_child(number)
            yield number

    def frontier(self) -> tuple[int, ...]:
        """Visited entries that have children which were not visited."""
        return tuple(sorted([parent for _, parent in self._ahead]))

    def direct_left(self) -> bool:
        """Whether entries trained on the DataNet itself follow."""
        return bool(self._next_direct)

    def describe(self, number: int) -> ImpactEntry:
        """Give the part of an answer that speaks about one entry."""
        entry_id = entry_of_number(self._view, number)
        stored = ENTRIES.get(self._view, entry_id)
        if stored is None:
            raise InvariantBroken(f"entry {entry_id.hex()} has a number but is not stored")
        model = MODELS.get(self._view, stored.model_id) if stored.model_id else None
        return ImpactEntry(
            number=number,
            entry_id=entry_id,
            direct=int(self._is_direct(stored)),
            kind=stored.entry.kind,
            undeclared=stored.entry.undeclared,
            recorder=stored.admission.recorder,
            owner=stored.owner,
            height=stored.admission.height,
            model_id=stored.model_id,
            model_name=model.name if model else "",
            model_version=stored.model_version,
            superseded_by_entry_id=stored.superseded_by_entry_id,
        )

    def _is_direct(self, stored: StoredEntry) -> bool:
        wanted = self._args.version
        versions = [item.version for item in stored.entry.inputs if item.datanet_id == self._datanet_id]
        return bool(versions) if not wanted else wanted in versions


QUERIES = (Query("impact", ImpactQuery, ImpactPage, query_impact, "everything that was made from a DataNet version"),)
