"""Each way in which the provenance log can contradict itself is named by an invariant."""

import pytest
from msgspec import structs

from abci_app.modules.models.invariants import INVARIANTS
from abci_app.modules.models.records import (
    BY_INPUT,
    BY_PARENT,
    COUNTERS,
    ENTRIES,
    EVALUATIONS,
    MODELS,
    NAMES,
    NUMBERS,
    REPRODUCTIONS,
    RUNS,
    SUPERSESSIONS,
    VERSIONS,
    EntryReference,
    EvaluationDraft,
    ModelVersion,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    SupersedeEntry,
    Supersession,
    entry_id_of,
)
from abci_app.names import NameOwner
from abci_app.state.overlay import Overlay
from abci_app.state.table import hash_key_part
from abci_app.types import PPB
from tests.kit.modules.corruption import Corruption, add, delete, put, replace
from tests.kit.modules.drafts import RUN, digest, entry, run_of
from tests.kit.modules.ledger import BOB, EVE
from tests.kit.modules.provenance import MODEL, TICKETS, start_with_data

UNKNOWN = digest("nothing has this id")
ONE = entry("one", data=[(TICKETS, 1)])
TWO = entry("two", made_from=[entry_id_of(ONE)])
ONE_ID, TWO_ID = entry_id_of(ONE), entry_id_of(TWO)
ONE_SAYS, TWO_SAYS = f"entry {ONE_ID.hex()}", f"entry {TWO_ID.hex()}"
NO_NUMBERS = "entries are not numbered 1 to 2"


@pytest.fixture
def state() -> Overlay:
    """Entry 1 was trained on tickets; entry 2 stands on it and supersedes it; one event of each kind about entry 1."""
    ledger = start_with_data()
    ledger.accept(BOB, RecordRuns((run_of(ONE), run_of(TWO, model_id=MODEL))), SupersedeEntry(ONE_ID, TWO_ID, ""))
    ledger.accept(
        EVE,
        RecordRuns((run_of(ONE),)),
        RecordReproduction(ONE_ID, 3, UNKNOWN, UNKNOWN, RUN),
        RecordEvaluations((EvaluationDraft(ONE_ID, TICKETS, 1, "accuracy", 1, 1, 1),)),
    )
    return Overlay(ledger.store)


def faults(state: Overlay) -> list[str]:
    return [fault for invariant in INVARIANTS for fault in invariant(state)]


def no_model_of(name: str) -> str:
    return f"name {hash_key_part(name).hex()} leads to no model of that name"


@pytest.mark.parametrize(
    ("corrupt", "expected"),
    [
        (put(NUMBERS, 1, EntryReference(TWO_ID)), [
            f"{ONE_SAYS} is not found under its number 1",
            f"input index {TICKETS.hex()} version 1 leads to entry 1 wrongly",
            "parent index 1 leads to entry 2 wrongly",
            "supersession of entry 1 differs from the entry",
        ]),
        (put(NUMBERS, 3, EntryReference(TWO_ID)), [NO_NUMBERS]),
        (replace(COUNTERS, entries=3), ["entries are not numbered 1 to 3", "there are not 3 entries"]),
        (replace(COUNTERS, events=2), ["events are not numbered 1 to 2"]),
        (delete(RUNS, 1, 1), ["events are not numbered 1 to 3"]),
        (delete(REPRODUCTIONS, 1, 2), ["events are not numbered 1 to 3"]),
        (delete(EVALUATIONS, 1, 3), ["events are not numbered 1 to 3"]),
        (delete(BY_INPUT, TICKETS, 1, 1), [f"{ONE_SAYS} is not indexed by its input"]),
        (delete(BY_PARENT, 1, 2), [f"{TWO_SAYS} is not indexed by its parent"]),
        (add(BY_INPUT, TICKETS, 2, 1), [f"input index {TICKETS.hex()} version 2 leads to entry 1 wrongly"]),
        (add(BY_INPUT, TICKETS, 1, 7), [f"input index {TICKETS.hex()} version 1 leads to entry 7 wrongly"]),
        (add(BY_PARENT, 2, 1), ["parent index 2 leads to entry 1 wrongly"]),
        (add(BY_PARENT, 9, 2), ["parent index 9 leads to entry 2 wrongly"]),
        (delete(SUPERSESSIONS, 1), [f"{ONE_SAYS} and the supersessions disagree"]),
        (put(SUPERSESSIONS, 2, Supersession(ONE_ID, "", BOB.address, 1)), [
            f"{TWO_SAYS} and the supersessions disagree",
            "supersession of entry 2 differs from the entry",
        ]),
        (replace(SUPERSESSIONS, 1, superseded_by_entry_id=UNKNOWN), ["supersession of entry 1 differs from the entry"]),
        (delete(NAMES, "support-bot"), [f"model {MODEL.hex()} is not found under its name 'support-bot'"]),
        (put(NAMES, "alias", NameOwner(MODEL)), [no_model_of("alias")]),
        (put(NAMES, "nobody", NameOwner(UNKNOWN)), [no_model_of("nobody")]),
        (replace(MODELS, MODEL, version_count=2), ["versions of model 'support-bot' are not 1 to 2"]),
        (put(VERSIONS, UNKNOWN, 1, ModelVersion(1, "", 1)), [f"version 1 of model {UNKNOWN.hex()} leads nowhere"]),
        (replace(VERSIONS, MODEL, 1, entry_number=9), [
            f"version 1 of model {MODEL.hex()} leads nowhere",
            f"{TWO_SAYS} names a model version that is not its own",
        ]),
        (replace(VERSIONS, MODEL, 1, entry_number=1), [f"{TWO_SAYS} names a model version that is not its own"]),
        (replace(ENTRIES, ONE_ID, model_id=MODEL, model_version=1), [
            f"{ONE_SAYS} names a model version that is not its own",
        ]),
    ],
)  # fmt: skip
def test_each_contradiction_is_named(state: Overlay, corrupt: Corruption, expected: list[str]) -> None:
    assert faults(state) == []
    corrupt(state)
    assert faults(state) == expected


def corrupt_entry(state: Overlay, **changes: object) -> None:
    stored = ENTRIES.get(state, TWO_ID)
    assert stored is not None
    ENTRIES.set(state, TWO_ID, structs.replace(stored, entry=structs.replace(stored.entry, **changes)))


def test_a_changed_entry_no_longer_hashes_to_its_id(state: Overlay) -> None:
    corrupt_entry(state, manifest_root=UNKNOWN)
    assert faults(state) == [f"{TWO_SAYS} hashes otherwise"]


def test_shares_that_do_not_sum_are_named(state: Overlay) -> None:
    corrupt_entry(state, parents=(structs.replace(TWO.parents[0], share_ppb=1),))
    assert faults(state) == [
        f"{TWO_SAYS} hashes otherwise",
        f"{TWO_SAYS}: shares of the parents sum to 1, must be {PPB} parts per billion",
    ]


def test_a_parent_that_came_later_is_named(state: Overlay) -> None:
    corrupt_entry(state, parents=(structs.replace(TWO.parents[0], entry_id=TWO_ID),))
    assert faults(state) == [
        f"{TWO_SAYS} hashes otherwise",
        f"{TWO_SAYS} has a parent that was not recorded before it",
        "parent index 1 leads to entry 2 wrongly",
    ]


def test_an_input_that_does_not_exist_is_named(state: Overlay) -> None:
    corrupt_entry(state, inputs=(structs.replace(ONE.inputs[0], version=9, weight_ppb=1),))
    assert faults(state) == [
        f"{TWO_SAYS} hashes otherwise",
        f"{TWO_SAYS} uses a DataNet version that does not exist",
        f"{TWO_SAYS} is not indexed by its input",
    ]


def test_more_rows_than_a_version_has_are_named(state: Overlay) -> None:
    stored = ENTRIES.get(state, ONE_ID)
    assert stored is not None
    inputs = (structs.replace(ONE.inputs[0], rows_used=10**15),)
    ENTRIES.set(state, ONE_ID, structs.replace(stored, entry=structs.replace(stored.entry, inputs=inputs)))
    assert faults(state) == [f"{ONE_SAYS} hashes otherwise", f"{ONE_SAYS} uses more rows than a DataNet version has"]


def test_an_entry_that_hides_what_is_unknown_below_it_is_named(state: Overlay) -> None:
    stored = ENTRIES.get(state, ONE_ID)
    assert stored is not None
    admission = structs.replace(stored.admission, unknown_below=0)
    ENTRIES.set(state, ONE_ID, structs.replace(stored, admission=admission))
    assert faults(state) == [f"{ONE_SAYS} and its parents disagree on what is unknown below it"]


def test_a_wrong_count_of_undeclared_entries_is_named(state: Overlay) -> None:
    counters = COUNTERS.get(state)
    assert counters is not None
    COUNTERS.set(state, structs.replace(counters, undeclared=0))
    assert faults(state) == ["there are not 0 imports and undeclared entries"]


def test_missing_joined_terms_are_named(state: Overlay) -> None:
    stored = ENTRIES.get(state, TWO_ID)
    assert stored is not None
    admission = structs.replace(stored.admission, joined_terms_id=UNKNOWN)
    ENTRIES.set(state, TWO_ID, structs.replace(stored, admission=admission))
    assert faults(state) == [f"{TWO_SAYS} has no joined terms"]
