"""models: what each message writes, and that nothing else moves."""

import pytest
from msgspec import structs

from abci_app.modules import models
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.join import join, lift
from abci_app.modules.licences.records import JOINED, Outcome, Profile, Stated
from abci_app.modules.licences.view import joined_id_of
from abci_app.modules.models.kinds import EntryKind
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
    Admission,
    Counters,
    CreateModel,
    Entry,
    EntryReference,
    Evaluation,
    EvaluationDraft,
    Grade,
    Model,
    ModelVersion,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    Reproduction,
    StoredEntry,
    StoredRun,
    SupersedeEntry,
    Supersession,
    entry_id_of,
)
from abci_app.names import NameOwner
from abci_app.state.codec import encode
from abci_app.state.table import PRESENT
from tests.kit.modules.drafts import FREE, RUN, digest, entry, new_id, output, run_of, terms
from tests.kit.modules.ledger import BOB, CARL, EVE, Ledger
from tests.kit.modules.provenance import FREE_ID, MODEL, TICKETS, record, start_with_data, stored_entry

FREE_JOINED = lift(FREE_ID, FREE)
TRAINED = entry("trained", data=[(TICKETS, 1)])
TRAINED_ID = entry_id_of(TRAINED)
LATER_RUN = structs.replace(RUN, machine="two H100", quality_value=-5, environment_digest=b"")


@pytest.fixture
def ledger() -> Ledger:
    return start_with_data()


def admitted(
    ledger: Ledger,
    of: Entry,
    number: int,
    outcome: Outcome = Outcome.COMPATIBLE,
    joined_id: bytes | None = None,
    unknown_below: int = 1,
) -> StoredEntry:
    """An entry that Bob recorded in the last block, attached to no model; it does not declare its base."""
    admission = Admission(
        number=number,
        height=ledger.height,
        time_seconds=ledger.seconds,
        recorder=BOB.address,
        profile=Profile.CONSERVATIVE,
        outcome=outcome,
        joined_terms_id=joined_id or joined_id_of(FREE_JOINED),
        unknown_below=unknown_below,
        schedule=models.DEFAULT_SCHEDULE,
    )
    return StoredEntry(of, admission, RUN, b"", 0, b"", BOB.address, 0)


# --- Models


def test_a_model_is_a_record_and_a_name(ledger: Ledger) -> None:
    model_id = new_id("model", EVE.address, 0)
    assert ledger.effects(EVE, CreateModel("other-bot", "Tries")) == {
        MODELS.key(model_id): encode(Model("other-bot", EVE.address, "Tries", ledger.height, ledger.seconds, 0)),
        NAMES.key("other-bot"): encode(NameOwner(model_id)),
    }
    assert ledger.violations() == []


def test_creating_a_model_is_an_event(ledger: Ledger) -> None:
    model_id = new_id("model", EVE.address, 0)
    assert ledger.accept(EVE, CreateModel("other-bot", "")) == [
        ("model_created", {"model_id": model_id.hex(), "name": "other-bot"})
    ]


# --- Entries


def test_a_first_run_writes_the_entry_its_number_and_its_indexes(ledger: Ledger) -> None:
    assert ledger.effects(BOB, RecordRuns((run_of(TRAINED),))) == {
        ENTRIES.key(TRAINED_ID): encode(admitted(ledger, TRAINED, 1)),
        NUMBERS.key(1): encode(EntryReference(TRAINED_ID)),
        BY_INPUT.key(TICKETS, 1, 1): PRESENT,
        COUNTERS.key(): encode(Counters(1, 1, 0)),
    }
    assert ledger.violations() == []


def test_parents_are_indexed_by_number_and_terms_are_joined_over_everything(ledger: Ledger) -> None:
    by_sa = terms(name="CC BY-SA 4.0", spdx="CC-BY-SA-4.0", share_alike=Stated.YES)
    ledger.accept(EVE, RegisterTerms(by_sa))
    first, second = record(ledger, TRAINED, entry("second", data=[(TICKETS, 2)]))
    child = entry("child", kind=EntryKind.MERGE, made_from=[second, first], terms_id=terms_id_of(by_sa))
    joined = join(FREE_JOINED, lift(terms_id_of(by_sa), by_sa))
    assert ledger.effects(BOB, RecordRuns((run_of(child),))) == {
        ENTRIES.key(entry_id_of(child)): encode(admitted(ledger, child, 3, joined_id=joined_id_of(joined))),
        NUMBERS.key(3): encode(EntryReference(entry_id_of(child))),
        BY_PARENT.key(1, 3): PRESENT,
        BY_PARENT.key(2, 3): PRESENT,
        JOINED.key(joined_id_of(joined)): encode(joined),
        COUNTERS.key(): encode(Counters(3, 2, 0)),
    }
    assert ledger.violations() == []


def test_an_entry_may_build_on_earlier_ones_of_the_same_message(ledger: Ledger) -> None:
    chain = [TRAINED]
    for number in range(63):
        chain.append(entry(f"step {number}", made_from=[entry_id_of(chain[-1])]))
    assert ledger.accept(BOB, RecordRuns(tuple([run_of(each) for each in chain]))) == [
        ("runs_recorded", {"entry_id": TRAINED_ID.hex(), "count": "64", "new_entries": "64"})
    ]
    numbers = [stored_entry(ledger, entry_id_of(each)).admission.number for each in chain]
    assert numbers == list(range(1, 65))
    assert ledger.violations() == []


def test_the_same_run_gives_the_same_entry_whoever_records_it_on_whatever_chain(ledger: Ledger) -> None:
    ledger.accept(BOB, RecordRuns((run_of(TRAINED),)))
    effects = ledger.effects(EVE, RecordRuns((run_of(TRAINED, run=LATER_RUN),)))
    assert effects == {
        RUNS.key(1, 1): encode(StoredRun(EVE.address, LATER_RUN, ledger.height, ledger.seconds)),
        COUNTERS.key(): encode(Counters(1, 1, 1)),
    }
    event = {"entry_id": TRAINED_ID.hex(), "count": "1", "new_entries": "0"}
    assert ledger.accept(EVE, RecordRuns((run_of(TRAINED),))) == [("runs_recorded", event)]
    assert ledger.violations() == []


def test_a_run_may_finish_in_the_second_in_which_it_started(ledger: Ledger) -> None:
    run = structs.replace(RUN, finished_seconds=RUN.started_seconds)
    ledger.accept(BOB, RecordRuns((run_of(TRAINED, run=run),)))
    assert stored_entry(ledger, TRAINED_ID).first_run == run


def test_repeating_an_entry_within_one_message_is_a_further_run(ledger: Ledger) -> None:
    ledger.accept(BOB, RecordRuns((run_of(TRAINED), run_of(TRAINED, run=LATER_RUN))))
    assert [run for _, run in RUNS.iterate(ledger.store, 1)] == [
        StoredRun(BOB.address, LATER_RUN, ledger.height, ledger.seconds)
    ]
    assert COUNTERS.get(ledger.store) == Counters(1, 1, 1)


def test_a_new_entry_becomes_the_next_version_of_the_senders_model(ledger: Ledger) -> None:
    before = MODELS.get(ledger.store, MODEL)
    assert before is not None
    effects = ledger.effects(BOB, RecordRuns((run_of(TRAINED, model_id=MODEL, label="v1.0"),)))
    attached = structs.replace(admitted(ledger, TRAINED, 1), model_id=MODEL, model_version=1)
    assert effects == {
        ENTRIES.key(TRAINED_ID): encode(attached),
        NUMBERS.key(1): encode(EntryReference(TRAINED_ID)),
        BY_INPUT.key(TICKETS, 1, 1): PRESENT,
        VERSIONS.key(MODEL, 1): encode(ModelVersion(1, "v1.0", ledger.height)),
        MODELS.key(MODEL): encode(structs.replace(before, version_count=1)),
        COUNTERS.key(): encode(Counters(1, 1, 0)),
    }
    assert ledger.violations() == []


def test_recording_the_latest_version_again_makes_no_further_version_but_an_older_one_does(ledger: Ledger) -> None:
    first, second = run_of(TRAINED, model_id=MODEL), run_of(entry("second"), model_id=MODEL, label="two")
    for runs in ((first,), (first, second), (first,)):
        ledger.accept(BOB, RecordRuns(runs))
    assert [record.entry_number for _, record in VERSIONS.iterate(ledger.store, MODEL)] == [1, 2, 1]
    assert (stored_entry(ledger, TRAINED_ID).model_id, stored_entry(ledger, TRAINED_ID).model_version) == (MODEL, 1)
    assert ledger.violations() == []


def test_an_entry_keeps_the_first_model_that_it_was_attached_to(ledger: Ledger) -> None:
    ledger.accept(EVE, CreateModel("eve/bot", ""))
    hers = new_id("model", EVE.address, 0)
    ledger.accept(EVE, RecordRuns((run_of(TRAINED, model_id=hers),)))
    ledger.accept(BOB, RecordRuns((run_of(TRAINED, model_id=MODEL),)))
    stored = stored_entry(ledger, TRAINED_ID)
    assert (stored.admission.recorder, stored.model_id, stored.model_version) == (EVE.address, hers, 1)
    assert VERSIONS.get(ledger.store, MODEL, 1) == ModelVersion(1, "", ledger.height)
    assert ledger.violations() == []


def test_an_import_is_recorded_whatever_its_terms_say(ledger: Ledger) -> None:
    closed = terms(name="closed", training=Stated.NO)
    ledger.accept(EVE, RegisterTerms(closed))
    imported = entry("base", kind=EntryKind.IMPORT, terms_id=terms_id_of(closed))
    (entry_id,) = record(ledger, imported)
    joined_id = joined_id_of(lift(terms_id_of(closed), closed))
    assert stored_entry(ledger, entry_id) == admitted(ledger, imported, 1, Outcome.CONFLICT, joined_id)


def test_an_outcome_that_needs_approval_is_recorded_with_the_entry(ledger: Ledger) -> None:
    asking = terms(name="ask first", approval_required=Stated.YES)
    ledger.accept(EVE, RegisterTerms(asking))
    drafted = entry("asking", data=[(TICKETS, 1)], terms_id=terms_id_of(asking))
    (entry_id,) = record(ledger, drafted)
    joined_id = joined_id_of(join(FREE_JOINED, lift(terms_id_of(asking), asking)))
    assert stored_entry(ledger, entry_id) == admitted(ledger, drafted, 1, Outcome.NEEDS_APPROVAL, joined_id)


def test_each_item_of_a_list_counts_for_weight_and_surcharge() -> None:
    draft = EvaluationDraft(TRAINED_ID, TICKETS, 1, "accuracy", 1, 1, 0)
    items = [RecordRuns((run_of(TRAINED),) * 3).list_items(), RecordEvaluations((draft,) * 5).list_items()]
    assert (items, CreateModel("m", "").list_items()) == ([3, 5], 1)


# --- What is said about entries


def reproduction_of(drafted: Entry, grade: Grade = Grade.BIT_EXACT) -> RecordReproduction:
    out = drafted.output
    return RecordReproduction(entry_id_of(drafted), grade, out.artefact_digest, out.tensor_digest, LATER_RUN)


def test_a_bit_exact_reproduction_is_kept_and_the_recorder_finds_it(ledger: Ledger) -> None:
    record(ledger, TRAINED)
    message = reproduction_of(TRAINED)
    effects = ledger.effects(EVE, message)
    kept = Reproduction(
        EVE.address, 1, message.artefact_digest, message.tensor_digest, LATER_RUN, ledger.height, ledger.seconds
    )
    assert effects == {REPRODUCTIONS.key(1, 1): encode(kept), COUNTERS.key(): encode(Counters(1, 1, 1))}
    assert ledger.involved(EVE, message) == [EVE.address, BOB.address]
    assert ledger.accept(CARL, message) == [("reproduction_recorded", {"entry_id": TRAINED_ID.hex(), "grade": "1"})]
    assert ledger.violations() == []


@pytest.mark.parametrize("grade", [Grade.TRACE_MATCH, Grade.DIFFERS])
@pytest.mark.parametrize("field", ["artefact_digest", "tensor_digest"])
def test_a_reproduction_with_other_digests_is_kept_with_its_grade(ledger: Ledger, grade: Grade, field: str) -> None:
    record(ledger, TRAINED)
    message = structs.replace(reproduction_of(TRAINED, grade), **{field: digest("another output")})
    ledger.accept(EVE, message)
    kept = REPRODUCTIONS.get(ledger.store, 1, 1)
    assert kept is not None
    assert (kept.grade, getattr(kept, field)) == (grade, digest("another output"))


def test_evaluations_of_several_entries_are_kept_in_order(ledger: Ledger) -> None:
    first, second = record(ledger, TRAINED, entry("second"))
    drafts = (
        EvaluationDraft(first, TICKETS, 1, "accuracy", 812_000, 500, 3_000),
        EvaluationDraft(second, TICKETS, 2, "loss", -17, 1, 0),
    )
    effects = ledger.effects(EVE, RecordEvaluations(drafts))
    where_and_when = (EVE.address, ledger.height, ledger.seconds)
    assert effects == {
        EVALUATIONS.key(1, 1): encode(Evaluation(TICKETS, 1, "accuracy", 812_000, 500, 3_000, *where_and_when)),
        EVALUATIONS.key(2, 2): encode(Evaluation(TICKETS, 2, "loss", -17, 1, 0, *where_and_when)),
        COUNTERS.key(): encode(Counters(2, 2, 2)),
    }
    assert ledger.accept(EVE, RecordEvaluations(drafts)) == [
        ("evaluations_recorded", {"entry_id": first.hex(), "count": "2"})
    ]
    assert ledger.violations() == []


def test_runs_reproductions_and_evaluations_share_one_numbering(ledger: Ledger) -> None:
    (entry_id,) = record(ledger, TRAINED)
    ledger.accept(EVE, RecordRuns((run_of(TRAINED),)), reproduction_of(TRAINED))
    ledger.accept(EVE, RecordEvaluations((EvaluationDraft(entry_id, TICKETS, 1, "accuracy", 1, 1, 0),)))
    tables = (RUNS, REPRODUCTIONS, EVALUATIONS)
    assert [[event for (_, event), _ in table.iterate(ledger.store)] for table in tables] == [[1], [2], [3]]
    assert ledger.violations() == []


# --- Supersession


def test_a_superseded_entry_stays_and_points_to_the_right_one(ledger: Ledger) -> None:
    wrong, right = record(ledger, TRAINED, entry("right"))
    before = stored_entry(ledger, wrong)
    effects = ledger.effects(BOB, SupersedeEntry(wrong, right, "wrong seed"))
    assert effects == {
        ENTRIES.key(wrong): encode(structs.replace(before, superseded_by_entry_id=right)),
        SUPERSESSIONS.key(1): encode(Supersession(right, "wrong seed", BOB.address, ledger.height)),
    }
    assert ledger.violations() == []


def test_superseding_is_an_event_and_goes_on_along_the_successors(ledger: Ledger) -> None:
    first, second, third = record(ledger, TRAINED, entry("second"), entry("third"))
    event = {"entry_id": first.hex(), "superseded_by_entry_id": second.hex()}
    assert ledger.accept(BOB, SupersedeEntry(first, second, "")) == [("entry_superseded", event)]
    ledger.accept(BOB, SupersedeEntry(second, third, ""))
    assert ledger.violations() == []


def test_a_superseded_entry_can_still_be_built_on_and_repeated(ledger: Ledger) -> None:
    wrong, right = record(ledger, TRAINED, entry("right"))
    ledger.accept(BOB, SupersedeEntry(wrong, right, ""))
    record(ledger, entry("child", made_from=[wrong]), TRAINED)
    assert stored_entry(ledger, wrong).superseded_by_entry_id == right
    assert ledger.violations() == []


# --- Ids


def test_an_entry_id_depends_on_everything_that_the_entry_says() -> None:
    base = entry("base", data=[(TICKETS, 1)], made_from=[TRAINED_ID])
    (item,), (parent,) = base.inputs, base.parents
    changed = [
        structs.replace(base, kind=EntryKind.FULL),
        structs.replace(base, parents=(structs.replace(parent, role="adapter"),)),
        structs.replace(base, inputs=(structs.replace(item, version=2),)),
        structs.replace(base, inputs=(structs.replace(item, rows_used=4),)),
        structs.replace(base, inputs=(structs.replace(item, rows_used_root=digest("other rows")),)),
        structs.replace(base, terms_id=FREE_ID),
        structs.replace(base, manifest_root=digest("other manifest")),
        structs.replace(base, output=output("other")),
    ]
    assert len({entry_id_of(each) for each in [base, *changed]}) == len(changed) + 1
