"""Lineage, clean and impact on a small graph that one can draw; on random ones: test_models_graph.py.

base (import)      tickets v1      tickets v2
    \\              /      \\          /
     adapter (1, 2)         other (3)
           \\               /
            merged (4), latest version of support-bot
"""

import pytest

from abci_app.bech32 import encode_id
from abci_app.errors import Code
from abci_app.modules.datanets.queries import NumberedContribution
from abci_app.modules.datanets.records import ACCEPTED, VERSIONS, RevokeContribution
from abci_app.modules.licences import JoinedTermsView, TermsView
from abci_app.modules.licences.join import lift
from abci_app.modules.licences.view import joined_id_of
from abci_app.modules.models.impact import ImpactEntry, ImpactPage, ImpactQuery
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.lineage import (
    MAX_EVENTS_SHOWN,
    CleanAnswer,
    CleanHit,
    CleanQuery,
    CleanUnknown,
    CleanView,
    LineageDatanet,
    LineageEntry,
    LineagePage,
    LineageQuery,
    ModelName,
)
from abci_app.modules.models.records import (
    EVALUATIONS,
    REPRODUCTIONS,
    EvaluationDraft,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    SupersedeEntry,
    entry_id_of,
)
from abci_app.modules.models.terms import show_entry
from abci_app.types import PPB
from tests.kit.modules.drafts import FREE, RUN, digest, entry, run_of
from tests.kit.modules.ledger import BOB, DORA, EVE, Ledger
from tests.kit.modules.provenance import BATCH_IDS, FREE_ID, MODEL, TICKETS, start_with_data, stored_entry

UNKNOWN = digest("nothing has this id")
NAME, NET = "support-bot", "support/tickets"
BASE = entry("base", kind=EntryKind.IMPORT, terms_id=FREE_ID)
ADAPTER = entry("adapter", data=[(TICKETS, 1)], made_from=[entry_id_of(BASE)])
OTHER = entry("other", data=[(TICKETS, 1), (TICKETS, 2)])
MERGED = entry("merged", kind=EntryKind.MERGE, made_from=[entry_id_of(OTHER), entry_id_of(ADAPTER)])
BASE_ID, ADAPTER_ID, OTHER_ID, MERGED_ID = [entry_id_of(each) for each in (BASE, ADAPTER, OTHER, MERGED)]

IMPORTED = CleanUnknown(BASE_ID, EntryKind.IMPORT, Undeclared.NOTHING)
NO_BASE = CleanUnknown(OTHER_ID, EntryKind.LORA, Undeclared.PARENTS)


@pytest.fixture
def ledger() -> Ledger:
    ledger = start_with_data()
    runs = (run_of(BASE), run_of(ADAPTER), run_of(OTHER), run_of(MERGED, model_id=MODEL, label="v1"))
    ledger.accept(BOB, RecordRuns(runs))
    ledger.accept(EVE, RecordReproduction(MERGED_ID, 3, digest("x"), digest("y"), RUN))
    ledger.accept(EVE, RecordEvaluations((EvaluationDraft(MERGED_ID, TICKETS, 1, "accuracy", 7, 8, 9),)))
    return ledger


def ask_lineage(ledger: Ledger, entry_id: bytes = b"", name: str = "", version: int = 0, **more: object) -> LineagePage:
    given = {"frontier": (), "limit": 100, "contributions_each": 10, **more}
    answer = ledger.ask("models", "lineage", LineageQuery(entry_id, name, version, **given))  # type: ignore[arg-type]
    assert isinstance(answer, LineagePage), answer
    return answer


def lineage_entries(ledger: Ledger, *ids: bytes) -> tuple[LineageEntry, ...]:
    return tuple([LineageEntry(each, stored_entry(ledger, each)) for each in ids])


def lineage_datanet(ledger: Ledger, version: int, *numbers: int, usable: int = 1, after: int = 0) -> LineageDatanet:
    record = VERSIONS.get(ledger.store, TICKETS, version)
    assert record is not None
    held = [(number, ACCEPTED.get(ledger.store, TICKETS, number)) for number in numbers]
    items = tuple([NumberedContribution(number, each) for number, each in held if each is not None])
    return LineageDatanet(TICKETS, version, NET, record, usable, items, after)


def whole_lineage(ledger: Ledger, root: bytes = MERGED_ID) -> LineagePage:
    joined = lift(FREE_ID, FREE)
    return LineagePage(
        root,
        lineage_entries(ledger, MERGED_ID, OTHER_ID, ADAPTER_ID, BASE_ID),
        (lineage_datanet(ledger, 1, 1), lineage_datanet(ledger, 2, 1, 2)),
        (ModelName(MODEL, NAME),),
        (JoinedTermsView(joined_id_of(joined), joined),),
        (TermsView(FREE_ID, FREE),),
        tuple([item for _, item in EVALUATIONS.iterate(ledger.store, 4)]),
        tuple([item for _, item in REPRODUCTIONS.iterate(ledger.store, 4)]),
        (),
    )


# --- Lineage


def test_one_answer_holds_everything_that_a_model_was_made_from(ledger: Ledger) -> None:
    expected = whole_lineage(ledger)
    assert (len(expected.evaluations), len(expected.reproductions)) == (1, 1)
    assert [
        ask_lineage(ledger, MERGED_ID),
        ask_lineage(ledger, name=NAME),
        ask_lineage(ledger, name=NAME, version=1),
    ] == [expected] * 3


def test_pages_go_on_from_their_frontier_until_it_is_empty(ledger: Ledger) -> None:
    first = ask_lineage(ledger, MERGED_ID, limit=2)
    assert (first.entries, first.frontier) == (lineage_entries(ledger, MERGED_ID, OTHER_ID), (ADAPTER_ID,))
    assert first.datanets == (lineage_datanet(ledger, 1, 1), lineage_datanet(ledger, 2, 1, 2))
    second = ask_lineage(ledger, frontier=first.frontier, limit=2)
    joined = lift(FREE_ID, FREE)
    assert second == LineagePage(
        b"",
        lineage_entries(ledger, ADAPTER_ID, BASE_ID),
        (lineage_datanet(ledger, 1, 1),),
        (),
        (JoinedTermsView(joined_id_of(joined), joined),),
        (TermsView(FREE_ID, FREE),),
        (),
        (),
        (),
    )


def test_contributions_of_each_datanet_are_listed_up_to_a_number(ledger: Ledger) -> None:
    one, none = [ask_lineage(ledger, OTHER_ID, contributions_each=each).datanets for each in (1, 0)]
    assert one == (lineage_datanet(ledger, 1, 1), lineage_datanet(ledger, 2, 1, after=1))
    assert none == (lineage_datanet(ledger, 1), lineage_datanet(ledger, 2))


def test_a_revocation_shows_in_the_lineage_of_what_was_trained_before(ledger: Ledger) -> None:
    ledger.accept(DORA, RevokeContribution(BATCH_IDS[1], 1))
    datanets = ask_lineage(ledger, MERGED_ID).datanets
    assert datanets == (lineage_datanet(ledger, 1, 1, usable=0), lineage_datanet(ledger, 2, 1, 2, usable=0))
    assert [item.accepted.absent_from_version for item in datanets[1].contributions] == [0, 3]


def test_only_the_latest_events_are_shown(ledger: Ledger) -> None:
    drafts = [EvaluationDraft(BASE_ID, TICKETS, 1, "accuracy", value, 1, 0) for value in range(MAX_EVENTS_SHOWN + 1)]
    ledger.accept(EVE, RecordEvaluations(tuple(drafts)))
    shown = [item.value for item in ask_lineage(ledger, BASE_ID).evaluations]
    assert shown == list(range(MAX_EVENTS_SHOWN, 0, -1))


NO_ENTRY = f"there is no entry {show_entry(UNKNOWN)}"
GIVE_ENTRY = "give an entry id (32 bytes), or a model's name and a version (0 = the latest)"


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (LineageQuery(UNKNOWN, "", 0, (), 1, 0), Code.NOT_FOUND, NO_ENTRY),
        (LineageQuery(b"", "", 0, (UNKNOWN,), 1, 0), Code.NOT_FOUND, NO_ENTRY),
        (LineageQuery(b"", "", 0, (), 1, 0), Code.BAD_QUERY, GIVE_ENTRY),
        (LineageQuery(MERGED_ID, NAME, 0, (), 1, 0), Code.BAD_QUERY, GIVE_ENTRY),
        (LineageQuery(MERGED_ID, "", 1, (), 1, 0), Code.BAD_QUERY, GIVE_ENTRY),
        (
            LineageQuery(MERGED_ID, "", 0, (BASE_ID,), 1, 0),
            Code.BAD_QUERY,
            "give an entry (or model name) for the first page, a frontier for a further one",
        ),
        (
            LineageQuery(b"", NAME, 2, (), 1, 0),
            Code.NOT_FOUND,
            "model 'support-bot' has no version 2; its latest is 1",
        ),
    ],
)
def test_a_lineage_that_cannot_be_given_has_a_code(ledger: Ledger, args: LineageQuery, code: int, text: str) -> None:
    assert ledger.ask("models", "lineage", args) == (code, text)


# --- Clean


def ask_clean(ledger: Ledger, entry_id: bytes, version: int = 0) -> CleanView:
    answer = ledger.ask("models", "clean", CleanQuery(entry_id, "", 0, TICKETS, "", version))
    assert isinstance(answer, CleanView), answer
    return answer


def test_a_declared_input_anywhere_below_is_present(ledger: Ledger) -> None:
    half = PPB // 2
    hits = (CleanHit(OTHER_ID, 1, half), CleanHit(OTHER_ID, 2, half), CleanHit(ADAPTER_ID, 1, PPB))
    present = CleanView(MERGED_ID, TICKETS, NET, CleanAnswer.PRESENT, hits, (NO_BASE, IMPORTED), 4)
    assert ask_clean(ledger, MERGED_ID) == present
    assert ledger.ask("models", "clean", CleanQuery(b"", NAME, 0, b"", NET, 0)) == present


def test_one_version_is_told_apart_from_another(ledger: Ledger) -> None:
    assert ask_clean(ledger, MERGED_ID, 2).found == (CleanHit(OTHER_ID, 2, PPB // 2),)
    unknown = CleanView(ADAPTER_ID, TICKETS, NET, CleanAnswer.UNKNOWN_BELOW, (), (IMPORTED,), 2)
    assert ask_clean(ledger, ADAPTER_ID, 2) == unknown


def test_where_all_is_declared_below_it_is_proven_not_to_be_declared(ledger: Ledger) -> None:
    alone = entry("alone", kind=EntryKind.PRETRAIN, data=[(TICKETS, 1)])
    child = entry("child", made_from=[entry_id_of(alone)], data=[(TICKETS, 1)])
    ledger.accept(BOB, RecordRuns((run_of(alone), run_of(child))))
    assert ask_clean(ledger, entry_id_of(child), 2) == CleanView(
        entry_id_of(child), TICKETS, NET, CleanAnswer.NOT_DECLARED, (), (), 2
    )


@pytest.mark.parametrize(
    ("kind", "undeclared"),
    [
        (EntryKind.PRETRAIN, Undeclared.INPUTS),
        (EntryKind.LORA, Undeclared.PARENTS_AND_INPUTS),
        (EntryKind.FULL, Undeclared.PARENTS_AND_INPUTS),
        (EntryKind.MERGE, Undeclared.PARENTS),
        (EntryKind.DISTIL, Undeclared.PARENTS_AND_INPUTS),
        (EntryKind.QUANTISE, Undeclared.PARENTS),
        (EntryKind.PROMPT, Undeclared.PARENTS),
        (EntryKind.RETRIEVAL, Undeclared.INPUTS),
    ],
)
def test_below_what_is_undeclared_nothing_is_known_for_every_descendant(
    ledger: Ledger, kind: EntryKind, undeclared: Undeclared
) -> None:
    bare = entry("bare", kind=kind)
    assert bare.undeclared == undeclared
    child = entry("child", data=[(TICKETS, 1)], made_from=[entry_id_of(bare)])
    ledger.accept(BOB, RecordRuns((run_of(bare), run_of(child))))
    unknown = (CleanUnknown(entry_id_of(bare), kind, undeclared),)
    assert ask_clean(ledger, entry_id_of(child), 2) == CleanView(
        entry_id_of(child), TICKETS, NET, CleanAnswer.UNKNOWN_BELOW, (), unknown, 2
    )
    assert [stored_entry(ledger, entry_id_of(each)).admission.unknown_below for each in (bare, child)] == [1, 1]
    assert ask_impact(ledger, 1).undeclared_entries == 3
    assert ledger.violations() == []


def test_clean_needs_an_entry_and_a_datanet(ledger: Ledger) -> None:
    assert ledger.ask("models", "clean", CleanQuery(UNKNOWN, "", 0, TICKETS, "", 0)) == (Code.NOT_FOUND, NO_ENTRY)
    code, text = ledger.ask("models", "clean", CleanQuery(MERGED_ID, "", 0, UNKNOWN, "", 0))
    assert (code, text.startswith("there is no DataNet")) == (Code.NOT_FOUND, True)


# --- Impact


def impact_entry(ledger: Ledger, entry_id: bytes, direct: int) -> ImpactEntry:
    stored = stored_entry(ledger, entry_id)
    name = NAME if stored.model_id else ""
    return ImpactEntry(
        number=stored.admission.number,
        entry_id=entry_id,
        direct=direct,
        kind=stored.entry.kind,
        undeclared=stored.entry.undeclared,
        recorder=BOB.address,
        owner=BOB.address,
        height=stored.admission.height,
        model_id=stored.model_id,
        model_name=name,
        model_version=stored.model_version,
        superseded_by_entry_id=stored.superseded_by_entry_id,
    )


def ask_impact(ledger: Ledger, version: int, **more: object) -> ImpactPage:
    given = {"direct_only": 0, "after_number": 0, "frontier": (), "limit": 100, **more}
    answer = ledger.ask("models", "impact", ImpactQuery(TICKETS, "", version, **given))  # type: ignore[arg-type]
    assert isinstance(answer, ImpactPage), answer
    return answer


def test_everything_that_stands_on_a_datanet_version_is_found(ledger: Ledger) -> None:
    ledger.accept(BOB, SupersedeEntry(OTHER_ID, ADAPTER_ID, ""))
    adapter, other, merged = [impact_entry(ledger, *each) for each in ((ADAPTER_ID, 1), (OTHER_ID, 1), (MERGED_ID, 0))]
    assert ask_impact(ledger, 1) == ImpactPage(TICKETS, NET, 1, (adapter, other, merged), 4, (), 0, 2)
    assert ask_impact(ledger, 2) == ImpactPage(TICKETS, NET, 2, (other, merged), 4, (), 0, 2)
    assert ask_impact(ledger, 0) == ImpactPage(TICKETS, NET, 0, (adapter, other, merged), 4, (), 0, 2)
    assert ask_impact(ledger, 1, direct_only=1) == ImpactPage(TICKETS, NET, 1, (adapter, other), 3, (), 0, 2)
    by_name = ImpactQuery(b"", NET, 2, 0, 0, (), 1)
    assert ledger.ask("models", "impact", by_name) == ImpactPage(TICKETS, NET, 2, (other,), 3, (3,), 1, 2)


def test_pages_of_an_impact_go_on_where_the_last_one_ended(ledger: Ledger) -> None:
    pages = [ask_impact(ledger, 1, limit=1)]
    while pages[-1].more:
        last = pages[-1]
        pages.append(ask_impact(ledger, 1, limit=1, after_number=last.after_number, frontier=last.frontier))
    assert [(page.entries[0].entry_id, page.frontier, page.more) for page in pages] == [
        (ADAPTER_ID, (2,), 1),
        (OTHER_ID, (2, 3), 1),
        (MERGED_ID, (), 0),
    ]


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (ImpactQuery(UNKNOWN, "", 0, 0, 0, (), 1), Code.NOT_FOUND),
        (ImpactQuery(TICKETS, "", 3, 0, 0, (), 1), Code.NOT_FOUND),
        (ImpactQuery(b"", "nobody's", 1, 0, 0, (), 1), Code.NOT_FOUND),
        (ImpactQuery(TICKETS, NET, 1, 0, 0, (), 1), Code.BAD_QUERY),
        (ImpactQuery(TICKETS, "", 1, 0, 2, (3,), 1), Code.BAD_QUERY),
        (ImpactQuery(TICKETS, "", 1, 0, 2, (0,), 1), Code.BAD_QUERY),
        (ImpactQuery(TICKETS, "", 1, 1, 2, (2,), 1), Code.BAD_QUERY),
    ],
)
def test_an_impact_that_cannot_be_given_has_a_code(ledger: Ledger, args: ImpactQuery, code: int) -> None:
    assert ledger.ask("models", "impact", args)[0] == code


def test_ids_are_shown_with_their_kind() -> None:
    assert show_entry(MERGED_ID) == encode_id("olrun", MERGED_ID)
