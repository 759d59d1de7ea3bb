"""Queries about models, entries and events; `ledger.ask` proves every answer and runs it again on the proof."""

import pytest
from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.errors import Code
from abci_app.modules.models.queries import (
    EntryEventsQuery,
    EntryListQuery,
    EntryPage,
    EntryQuery,
    EntryView,
    EvaluationsPage,
    ModelListQuery,
    ModelPage,
    ModelQuery,
    ModelVersionItem,
    ModelVersionsPage,
    ModelVersionsQuery,
    ModelView,
    NumberedEvaluation,
    NumberedReproduction,
    NumberedRun,
    ReproductionsPage,
    RunsPage,
)
from abci_app.modules.models.records import (
    EVALUATIONS,
    MODELS,
    REPRODUCTIONS,
    RUNS,
    CreateModel,
    EvaluationDraft,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    SupersedeEntry,
    Supersession,
    entry_id_of,
)
from abci_app.modules.models.terms import show_entry
from tests.kit.modules.drafts import RUN, digest, entry, new_id, run_of
from tests.kit.modules.ledger import BOB, CARL, EVE, Ledger
from tests.kit.modules.provenance import MODEL, TICKETS, start_with_data, stored_entry

UNKNOWN = digest("nothing has this id")
DRAFTS = [entry(name, data=[(TICKETS, 1)]) for name in ("one", "two", "three")]
IDS = ONE, TWO, THREE = [entry_id_of(each) for each in DRAFTS]
OTHER_MODEL = new_id("model", EVE.address, 0)


@pytest.fixture
def ledger() -> Ledger:
    """Three versions of Bob's model, the first superseded; three events of each kind about the second."""
    ledger = start_with_data()
    runs = [run_of(each, model_id=MODEL, label=f"v{number}") for number, each in enumerate(DRAFTS, 1)]
    ledger.accept(BOB, RecordRuns(tuple(runs)), SupersedeEntry(ONE, THREE, "wrong data"))
    ledger.accept(EVE, CreateModel("other-bot", ""))
    for number in range(3):
        run = structs.replace(RUN, machine=f"machine {number}")
        ledger.accept(
            CARL,
            RecordRuns((run_of(DRAFTS[1], run=run),)),
            RecordReproduction(TWO, 3, digest(f"{number}"), digest("t"), run),
            RecordEvaluations((EvaluationDraft(TWO, TICKETS, 2, "accuracy", number, 10, 1),)),
        )
    return ledger


def model_view(ledger: Ledger, model_id: bytes, latest: bytes) -> ModelView:
    model = MODELS.get(ledger.store, model_id)
    assert model is not None
    return ModelView(model_id, model, latest)


def entry_view(ledger: Ledger, entry_id: bytes) -> EntryView:
    supersession = Supersession(THREE, "wrong data", BOB.address, 6) if entry_id == ONE else None
    return EntryView(entry_id, stored_entry(ledger, entry_id), supersession)


def test_a_model_is_found_by_id_and_by_name(ledger: Ledger) -> None:
    bobs = model_view(ledger, MODEL, THREE)
    answers = [ledger.ask("models", "model", args) for args in (ModelQuery(MODEL, ""), ModelQuery(b"", "support-bot"))]
    assert answers == [bobs, bobs]
    assert ledger.ask("models", "model", ModelQuery(b"", "other-bot")) == model_view(ledger, OTHER_MODEL, b"")


def test_models_come_in_pages(ledger: Ledger) -> None:
    latest = {MODEL: THREE, OTHER_MODEL: b""}
    first, second = [model_view(ledger, each, latest[each]) for each in sorted(latest)]
    pages = [ledger.ask("models", "list", ModelListQuery(after, 1)) for after in (b"", first.model_id)]
    assert pages == [ModelPage((first,), first.model_id), ModelPage((second,), b"")]
    assert ledger.ask("models", "list", ModelListQuery(b"", 200)) == ModelPage((first, second), b"")


def test_versions_of_a_model_come_in_pages(ledger: Ledger) -> None:
    items = [ModelVersionItem(number, entry_id, f"v{number}", 6) for number, entry_id in enumerate(IDS, 1)]
    pages = [ledger.ask("models", "versions", ModelVersionsQuery(MODEL, "", after, 2)) for after in (0, 2)]
    assert pages == [
        ModelVersionsPage(MODEL, "support-bot", tuple(items[:2]), 2),
        ModelVersionsPage(MODEL, "support-bot", tuple(items[2:]), 0),
    ]


def test_an_entry_shows_by_what_it_was_superseded(ledger: Ledger) -> None:
    assert [ledger.ask("models", "entry", EntryQuery(each)) for each in (ONE, TWO)] == [
        entry_view(ledger, ONE),
        entry_view(ledger, TWO),
    ]


def test_all_entries_come_in_pages_in_both_directions(ledger: Ledger) -> None:
    one, two, three = [entry_view(ledger, each) for each in IDS]
    rising = [ledger.ask("models", "entries", EntryListQuery(after, 0, 2)) for after in (0, 2)]
    falling = [ledger.ask("models", "entries", EntryListQuery(after, 1, 2)) for after in (0, 2)]
    assert rising == [EntryPage((one, two), 2), EntryPage((three,), 0)]
    assert falling == [EntryPage((three, two), 2), EntryPage((one,), 0)]
    assert ledger.ask("models", "entries", EntryListQuery(0, 0, 3)) == EntryPage((one, two, three), 0)


def test_what_was_said_about_an_entry_comes_in_pages(ledger: Ledger) -> None:
    runs = [NumberedRun(event, item) for (_, event), item in RUNS.iterate(ledger.store, 2)]
    repeats = [NumberedReproduction(event, item) for (_, event), item in REPRODUCTIONS.iterate(ledger.store, 2)]
    measured = [NumberedEvaluation(event, item) for (_, event), item in EVALUATIONS.iterate(ledger.store, 2)]
    assert [[item.event for item in items] for items in (runs, repeats, measured)] == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]
    answers = {
        name: [ledger.ask("models", name, EntryEventsQuery(TWO, after, 2)) for after in (0, last)]
        for name, last in (("runs", 4), ("reproductions", 5), ("evaluations", 6))
    }
    assert answers == {
        "runs": [RunsPage(TWO, tuple(runs[:2]), 4), RunsPage(TWO, tuple(runs[2:]), 0)],
        "reproductions": [ReproductionsPage(TWO, tuple(repeats[:2]), 5), ReproductionsPage(TWO, tuple(repeats[2:]), 0)],
        "evaluations": [EvaluationsPage(TWO, tuple(measured[:2]), 6), EvaluationsPage(TWO, tuple(measured[2:]), 0)],
    }
    assert ledger.ask("models", "runs", EntryEventsQuery(ONE, 0, 2)) == RunsPage(ONE, (), 0)


GIVE_ONE = "give the model's id (32 bytes) or its name, and leave the other empty"
NO_ENTRY = f"there is no entry {show_entry(UNKNOWN)}"


@pytest.mark.parametrize(
    ("name", "args", "code", "text"),
    [
        ("model", ModelQuery(b"", ""), Code.BAD_QUERY, GIVE_ONE),
        ("model", ModelQuery(MODEL, "support-bot"), Code.BAD_QUERY, GIVE_ONE),
        ("versions", ModelVersionsQuery(b"short", "", 0, 1), Code.BAD_QUERY, GIVE_ONE),
        ("model", ModelQuery(UNKNOWN, ""), Code.NOT_FOUND, f"there is no model {encode_id('olmodel', UNKNOWN)}"),
        ("list", ModelListQuery(b"short", 1), Code.BAD_QUERY, "after_model_id must be empty or 32 bytes"),
        ("entry", EntryQuery(UNKNOWN), Code.NOT_FOUND, NO_ENTRY),
        ("runs", EntryEventsQuery(UNKNOWN, 0, 1), Code.NOT_FOUND, NO_ENTRY),
        ("reproductions", EntryEventsQuery(UNKNOWN, 0, 1), Code.NOT_FOUND, NO_ENTRY),
        ("evaluations", EntryEventsQuery(UNKNOWN, 0, 1), Code.NOT_FOUND, NO_ENTRY),
    ],
)
def test_what_cannot_be_answered_has_a_code_and_a_proof(
    ledger: Ledger, name: str, args: object, code: int, text: str
) -> None:
    assert ledger.ask("models", name, args) == (code, text)


def test_a_name_that_nobody_took_is_proven_absent(ledger: Ledger) -> None:
    code, text = ledger.ask("models", "model", ModelQuery(b"", "nobody's-bot"))
    assert (code, text.startswith('there is no model named "nobody\'s-bot"')) == (Code.NOT_FOUND, True)
