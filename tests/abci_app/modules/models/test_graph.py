"""Lineage, clean and impact on random graphs: in pages of any size, proven, and equal to a naive closure."""

from dataclasses import dataclass
from functools import cache

import msgpack  # type: ignore[import-untyped]  # an independent codec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.modules.datanets.records import CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.models import impact as models_impact
from abci_app.modules.models import invariants as models_invariants
from abci_app.modules.models.impact import ImpactPage, ImpactQuery
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.lineage import CleanAnswer, CleanQuery, CleanUnknown, LineagePage, LineageQuery
from abci_app.modules.models.records import Entry, RecordRuns, entry_id_of
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from tests.kit.modules.drafts import FREE, contribute, contribution_id, entry, independent_hash, new_id, run_of
from tests.kit.modules.ledger import ALICE, BOB, DORA, ask, execute
from tests.kit.modules.provenance import FREE_ID

NETS = [new_id("datanet", ALICE.address, number) for number in (1, 2)]
VERSIONS = [(net, version) for net in NETS for version in (1, 2)]
MAX_ENTRIES = 9


@cache
def state_with_versions() -> Overlay:
    """Two DataNets with two versions each."""
    state = Overlay(EmptyView())
    execute(state, ALICE, RegisterTerms(FREE), 1)
    for sequence, net in enumerate(NETS, 1):
        execute(state, ALICE, CreateDatanet(f"net/{sequence}", "", FREE_ID, (), 1), 1, sequence)
        for version in (1, 2):
            batch = contribute(net, f"{sequence} {version}")
            execute(state, DORA, batch, 1)
            accepted = ReviewContribution(contribution_id(batch, DORA.address, FREE_ID), Decision.ACCEPT, 0)
            execute(state, ALICE, accepted, 1)
            execute(state, ALICE, CreateVersion(net, ""), version + 1)
    return state


@st.composite
def graphs(draw: st.DrawFn) -> list[Entry]:
    """Entries in an order in which they can be recorded."""
    drafted: list[Entry] = []
    for number in range(draw(st.integers(1, MAX_ENTRIES))):
        name = f"entry {number}"
        if draw(st.integers(0, 7)) == 0:
            drafted.append(entry(name, kind=EntryKind.IMPORT, terms_id=FREE_ID))
            continue
        earlier = [entry_id_of(each) for each in drafted]
        made_from = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        data = draw(st.lists(st.sampled_from(VERSIONS), max_size=2, unique=True))
        drafted.append(entry(name, data=data, made_from=made_from))
    return drafted


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph of entries that answers by brute force."""

    entries: list[Entry]

    @property
    def ids(self) -> list[bytes]:
        return [entry_id_of(each) for each in self.entries]

    def ancestors(self, position: int) -> list[int]:
        """Positions of an entry and all that it was made from, falling."""
        found, ids = {position}, self.ids
        for candidate in range(position, -1, -1):
            if candidate in found:
                found |= {ids.index(parent.entry_id) for parent in self.entries[candidate].parents}
        return sorted(found, reverse=True)

    def direct(self, net: bytes, version: int) -> list[int]:
        """Positions of entries trained on it."""
        return [
            position
            for position, each in enumerate(self.entries)
            if any(item.datanet_id == net and version in (0, item.version) for item in each.inputs)
        ]

    def below(self, net: bytes, version: int) -> list[int]:
        """Positions of entries that have it anywhere among their ancestors, rising."""
        direct = set(self.direct(net, version))
        return [position for position in range(len(self.entries)) if direct & set(self.ancestors(position))]


def recorded(graph: Graph) -> MemoryStore:
    """A store with one committed height."""
    state = Overlay(EmptyView())
    state.writes.update(state_with_versions().writes)
    execute(state, BOB, RecordRuns(tuple([run_of(each) for each in graph.entries])), 4)
    assert [line for check in models_invariants.INVARIANTS for line in check(state)] == []
    store = MemoryStore()
    store.stage_genesis(1, state.changes())
    store.commit(store.stage(1, []))
    return store


def lineage_pages(store: MemoryStore, root: bytes, limit: int) -> list[LineagePage]:
    pages: list[LineagePage] = []
    while not pages or pages[-1].frontier:
        frontier = pages[-1].frontier if pages else ()
        pages.append(
            ask(store.latest(), "models", "lineage", LineageQuery(b"" if pages else root, "", 0, frontier, limit, 5))
        )
    return pages


@settings(max_examples=40)
@given(graphs().map(Graph), st.integers(1, MAX_ENTRIES), st.data())
def test_a_lineage_is_the_whole_closure_whatever_the_size_of_its_pages(
    graph: Graph, limit: int, data: st.DataObject
) -> None:
    store, root = recorded(graph), data.draw(st.integers(0, len(graph.entries) - 1))
    pages = lineage_pages(store, graph.ids[root], limit)
    closure = graph.ancestors(root)
    assert [item.entry_id for page in pages for item in page.entries] == [graph.ids[each] for each in closure]
    used = {(item.datanet_id, item.version) for each in closure for item in graph.entries[each].inputs}
    assert {(item.datanet_id, item.version) for page in pages for item in page.datanets} == used
    assert [len(page.entries) for page in pages[:-1]] == [limit] * (len(pages) - 1)


@settings(max_examples=40)
@given(graphs().map(Graph), st.sampled_from(NETS), st.integers(0, 2), st.data())
def test_clean_says_what_the_closure_says(graph: Graph, net: bytes, version: int, data: st.DataObject) -> None:
    store, root = recorded(graph), data.draw(st.integers(0, len(graph.entries) - 1))
    view = ask(store.latest(), "models", "clean", CleanQuery(graph.ids[root], "", 0, net, "", version))
    closure, ids = graph.ancestors(root), graph.ids
    direct = set(graph.direct(net, version))
    unknown = [
        CleanUnknown(ids[each], graph.entries[each].kind, graph.entries[each].undeclared)
        for each in closure
        if graph.entries[each].kind == EntryKind.IMPORT or graph.entries[each].undeclared
    ]
    answer = CleanAnswer.UNKNOWN_BELOW if unknown else CleanAnswer.NOT_DECLARED
    found = [ids[each] for each in closure if each in direct]
    assert sorted({hit.entry_id for hit in view.found}) == sorted(found)
    assert (view.answer, list(view.unknown_below), view.entry_count) == (
        CleanAnswer.PRESENT if found else answer,
        unknown,
        len(closure),
    )


def impact_pages(store: MemoryStore, net: bytes, version: int, direct_only: int, limit: int) -> list[ImpactPage]:
    pages: list[ImpactPage] = []
    while not pages or pages[-1].more:
        after, frontier = (pages[-1].after_number, pages[-1].frontier) if pages else (0, ())
        args = ImpactQuery(net, "", version, direct_only, after, frontier, limit)
        page = ask(store.latest(), "models", "impact", args)
        assert isinstance(page, ImpactPage), page
        pages.append(page)
    return pages


def check_impact(graph: Graph, net: bytes, version: int, direct_only: int) -> None:
    """In pages of every size."""
    store, direct = recorded(graph), graph.direct(net, version)
    expected = direct if direct_only else graph.below(net, version)
    for limit in range(1, len(graph.entries) + 1):
        pages = impact_pages(store, net, version, direct_only, limit)
        found = [(item.number, item.entry_id, item.direct) for page in pages for item in page.entries]
        assert found == [(each + 1, graph.ids[each], int(each in direct)) for each in expected]
        assert [len(page.entries) for page in pages[:-1]] == [limit] * (len(pages) - 1)


@settings(max_examples=50)
@given(graphs().map(Graph), st.sampled_from(NETS), st.integers(0, 2), st.integers(0, 1))
def test_an_impact_is_everything_below_whatever_the_size_of_its_pages(
    graph: Graph, net: bytes, version: int, direct_only: int
) -> None:
    check_impact(graph, net, version, direct_only)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_an_entry_that_is_reached_in_several_ways_is_listed_once(version: int) -> None:
    """Two parents, trained on the DataNet itself, and something below: at the end of a page as well as inside one."""
    net = NETS[0]
    top = entry("top", data=[(net, 1)])
    sides = [entry(name, made_from=[entry_id_of(top)], data=[(net, 2)]) for name in ("left", "right")]
    joint = entry("joint", made_from=[entry_id_of(side) for side in sides], data=[(net, 1)])
    below = entry("below", made_from=[entry_id_of(joint), entry_id_of(top)])
    check_impact(Graph([top, *sides, joint, below]), net, version, 0)


def test_entries_with_many_children_keep_nobody_from_following_an_impact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can record children of anything: a frontier of children could be made too long for any answer."""
    monkeypatch.setattr(models_impact, "MAX_PAGE", 2)
    net = NETS[0]
    top, other = entry("top", data=[(net, 1)]), entry("other", data=[(net, 2)])
    children = [entry(f"child {number}", made_from=[entry_id_of(top)]) for number in range(5)]
    for version in (0, 1, 2):
        check_impact(Graph([top, other, *children]), net, version, 0)


def test_an_entry_id_follows_from_the_documented_bytes_and_never_changes() -> None:
    drafted = entry("golden", data=[VERSIONS[0], VERSIONS[2]], made_from=[bytes(32)], terms_id=FREE_ID)
    out = drafted.output
    plain = [
        1,
        2,
        [[bytes(32), "base", 10**9]],
        [[item.datanet_id, item.version, 5 * 10**8, 3, item.rows_used_root] for item in drafted.inputs],
        0,
        FREE_ID,
        drafted.manifest_root,
        [out.artefact_digest, out.tensor_digest, 1_000, "safetensors"],
        [0, b""],
    ]
    assert (
        independent_hash("openledger/entry/v1", plain)
        == entry_id_of(drafted).hex()
        == "e3c1a23268af08e8e7df0b5a60699403f459f57cb19f75b54e635b28f088e97c"
    )
    assert len(msgpack.packb(plain)) <= 600
