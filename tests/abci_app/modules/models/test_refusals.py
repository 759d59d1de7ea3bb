"""models: everything that is refused, with its code, its text, and nothing left behind."""

import pytest
from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.errors import Code
from abci_app.module import Message
from abci_app.modules.datanets.records import RevokeContribution
from abci_app.modules.licences import LicencesCode, RegisterTerms, show_terms, terms_id_of
from abci_app.modules.licences.records import MAX_SOURCES
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.records import (
    MAX_EVALUATIONS,
    MAX_INPUTS,
    MAX_PARENTS,
    MAX_RUNS,
    Attribution,
    CreateModel,
    Entry,
    EvaluationDraft,
    Parent,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    RunDraft,
    SupersedeEntry,
    entry_id_of,
)
from abci_app.modules.models.terms import show_entry
from abci_app.types import PPB
from tests.kit.modules.drafts import FREE, RUN, digest, entry, inputs, parents, run_of, terms
from tests.kit.modules.ledger import BOB, DORA, EVE, Ledger
from tests.kit.modules.provenance import BATCH_IDS, FREE_ID, MODEL, TICKETS, record, start_with_data

UNKNOWN = digest("nothing has this id")
TRAINED = entry("trained", data=[(TICKETS, 1)])
TRAINED_ID = entry_id_of(TRAINED)
(INPUT,), (PARENT,) = inputs((TICKETS, 1)), parents(TRAINED_ID)
OTHER_PARENT = Parent(digest("other parent"), "adapter", 0)
IMPORT = entry("base", kind=EntryKind.IMPORT, terms_id=FREE_ID)


@pytest.fixture
def ledger() -> Ledger:
    return start_with_data()


def recording(drafted: Entry, **changes: object) -> RecordRuns:
    return RecordRuns((structs.replace(run_of(drafted), **changes),))


def with_entry(**changes: object) -> RecordRuns:
    return recording(structs.replace(TRAINED, **changes))


DRAFT = EvaluationDraft(TRAINED_ID, TICKETS, 1, "accuracy", 1, 1, 0)
OUT = TRAINED.output
REPRODUCTION = RecordReproduction(TRAINED_ID, 1, OUT.artefact_digest, OUT.tensor_digest, RUN)


@pytest.mark.parametrize(
    ("message", "code", "log"),
    [
        (with_entry(terms_id=b"short"), ModelsCode.BAD_ENTRY, "terms_id must be empty or 32 bytes"),
        (
            with_entry(attribution=Attribution(1, b"short")),
            ModelsCode.BAD_ENTRY,
            "commitment_root must be empty or 32 bytes",
        ),
        (
            with_entry(attribution=Attribution(1, b"")),
            ModelsCode.BAD_ENTRY,
            "an attribution needs both its method and its commitment root, or neither",
        ),
        (
            with_entry(attribution=Attribution(0, bytes(32))),
            ModelsCode.BAD_ENTRY,
            "an attribution needs both its method and its commitment root, or neither",
        ),
        (
            recording(structs.replace(IMPORT, inputs=(INPUT,))),
            ModelsCode.BAD_ENTRY,
            "an import has no inputs (it came from outside, and nothing below it is known here): choose another kind",
        ),
        (
            recording(structs.replace(IMPORT, parents=(PARENT,))),
            ModelsCode.BAD_ENTRY,
            "an import has no parents (it came from outside, and nothing below it is known here): choose another kind",
        ),
        (
            recording(structs.replace(IMPORT, terms_id=b"")),
            ModelsCode.BAD_ENTRY,
            "an import needs the terms under which the model was received",
        ),
        (
            with_entry(parents=(PARENT, structs.replace(PARENT, role="adapter"))),
            ModelsCode.BAD_ENTRY,
            "a parent is listed twice: add up its shares",
        ),
        (
            with_entry(inputs=(structs.replace(INPUT, weight_ppb=1), structs.replace(INPUT, weight_ppb=PPB - 1))),
            ModelsCode.BAD_ENTRY,
            "a DataNet version is listed twice: add up its weights",
        ),
        (
            with_entry(inputs=(structs.replace(INPUT, weight_ppb=PPB - 1),)),
            ModelsCode.BAD_SHARES,
            f"weights of the inputs sum to {PPB - 1}, must be {PPB} parts per billion",
        ),
        (
            with_entry(parents=(structs.replace(PARENT, share_ppb=0),), undeclared=Undeclared.NOTHING),
            ModelsCode.BAD_SHARES,
            f"shares of the parents sum to 0, must be {PPB} parts per billion",
        ),
        (
            with_entry(parents=(PARENT, structs.replace(OTHER_PARENT, share_ppb=1)), undeclared=Undeclared.NOTHING),
            ModelsCode.BAD_SHARES,
            f"shares of the parents sum to {PPB + 1}, must be {PPB} parts per billion",
        ),
        (
            with_entry(parents=(PARENT,)),
            ModelsCode.BAD_SHARES,
            f"shares of the parents sum to {PPB}: leave a part for those that are undeclared",
        ),
        (
            with_entry(undeclared=Undeclared.PARENTS_AND_INPUTS),
            ModelsCode.BAD_SHARES,
            f"weights of the inputs sum to {PPB}: leave a part for those that are undeclared",
        ),
        (
            with_entry(terms_id=b""),
            ModelsCode.BAD_ENTRY,
            "a lora with undeclared parents or inputs needs the terms under which those were received",
        ),
        (
            with_entry(inputs=(structs.replace(INPUT, rows_used_root=b"short"),)),
            ModelsCode.BAD_ENTRY,
            "rows_used_root must be empty or 32 bytes",
        ),
        (
            with_entry(inputs=(structs.replace(INPUT, rows_used_root=b""),)),
            ModelsCode.BAD_ENTRY,
            "rows_used needs the root of these rows; without a list of rows both stay empty",
        ),
        (
            with_entry(inputs=(structs.replace(INPUT, rows_used=0),)),
            ModelsCode.BAD_ENTRY,
            "an input of which no row was used is none: leave it out",
        ),
        (recording(TRAINED, model_id=b"short"), ModelsCode.BAD_ENTRY, "model_id must be empty or 32 bytes"),
        (
            recording(TRAINED, label="v1"),
            ModelsCode.BAD_ENTRY,
            "a label needs the model_id whose version it names",
        ),
        (
            recording(TRAINED, run=structs.replace(RUN, finished_seconds=1)),
            ModelsCode.BAD_TIMES,
            f"the run finished at 1, before it started at {RUN.started_seconds}",
        ),
        (
            recording(TRAINED, run=structs.replace(RUN, environment_digest=b"short")),
            ModelsCode.BAD_ENTRY,
            "environment_digest must be empty or 32 bytes",
        ),
        (
            structs.replace(REPRODUCTION, run=structs.replace(RUN, finished_seconds=1)),
            ModelsCode.BAD_TIMES,
            f"the run finished at 1, before it started at {RUN.started_seconds}",
        ),
        (
            SupersedeEntry(TRAINED_ID, TRAINED_ID, ""),
            ModelsCode.BAD_SUPERSESSION,
            "an entry cannot supersede itself",
        ),
    ],
)
def test_what_is_wrong_by_itself(ledger: Ledger, message: Message, code: int, log: str) -> None:
    assert ledger.refuse(BOB, message) == (code, log)


TOO_MANY_INPUTS = inputs(*[(TICKETS, number) for number in range(1, MAX_INPUTS + 2)])
TOO_MANY_PARENTS = parents(*[digest(str(number)) for number in range(MAX_PARENTS + 1)])


@pytest.mark.parametrize(
    "message",
    [
        RecordRuns(()),
        RecordRuns((run_of(TRAINED),) * (MAX_RUNS + 1)),
        RecordEvaluations(()),
        RecordEvaluations((DRAFT,) * (MAX_EVALUATIONS + 1)),
        with_entry(inputs=TOO_MANY_INPUTS),
        with_entry(parents=TOO_MANY_PARENTS),
        with_entry(kind=0),
        with_entry(kind=10),
        with_entry(parents=(structs.replace(PARENT, role=""),)),
        with_entry(parents=(structs.replace(PARENT, share_ppb=PPB + 1),)),
        with_entry(inputs=(structs.replace(INPUT, weight_ppb=-1),)),
        with_entry(inputs=(structs.replace(INPUT, rows_used_root=bytes(33)),)),
        with_entry(undeclared=4),
        with_entry(undeclared=-1),
        with_entry(attribution=Attribution(256, bytes(32))),
        with_entry(output=structs.replace(OUT, format="Pickle")),
        recording(TRAINED, run=structs.replace(RUN, quality_value=2**63)),
        recording(TRAINED, run=structs.replace(RUN, machine="x" * 257)),
        recording(TRAINED, model_id=MODEL, label="\u00e9"),
        structs.replace(REPRODUCTION, grade=4),
        RecordEvaluations((structs.replace(DRAFT, sample_size=0),)),
        RecordEvaluations((structs.replace(DRAFT, interval=-1),)),
        RecordEvaluations((structs.replace(DRAFT, metric="Accuracy"),)),
        CreateModel("", ""),
        CreateModel("-bot", ""),
        SupersedeEntry(TRAINED_ID, UNKNOWN, "x" * 257),
    ],
)
def test_what_exceeds_a_limit_is_malformed(ledger: Ledger, message: Message) -> None:
    code, log = ledger.refuse(BOB, message)
    assert (code, log.startswith("transaction is malformed: ")) == (Code.MALFORMED, True)


SHOWN = encode_id("oldata", TICKETS)
NOBODYS = show_entry(UNKNOWN)


@pytest.mark.parametrize(
    ("message", "code", "log"),
    [
        (
            recording(TRAINED, model_id=UNKNOWN),
            ModelsCode.UNKNOWN_MODEL,
            f"there is no model {encode_id('olmodel', UNKNOWN)}",
        ),
        (
            recording(entry("child", made_from=[UNKNOWN])),
            ModelsCode.UNKNOWN_PARENT,
            f"parent entry {NOBODYS} does not exist: record it first",
        ),
        (
            recording(entry("child", data=[(TICKETS, 3)])),
            ModelsCode.UNKNOWN_INPUT,
            f"DataNet {SHOWN} has no version 3: see `openledger data list`",
        ),
        (
            recording(entry("child", data=[(TICKETS, 0)])),
            ModelsCode.UNKNOWN_INPUT,
            f"DataNet {SHOWN} has no version 0: see `openledger data list`",
        ),
        (
            recording(entry("child", data=[(UNKNOWN, 1)])),
            ModelsCode.UNKNOWN_INPUT,
            f"DataNet {encode_id('oldata', UNKNOWN)} has no version 1: see `openledger data list`",
        ),
        (
            recording(entry("child", terms_id=UNKNOWN)),
            ModelsCode.UNKNOWN_TERMS,
            f"terms {show_terms(UNKNOWN)} are not registered: send licences.register_terms first",
        ),
        (structs.replace(REPRODUCTION, entry_id=UNKNOWN), ModelsCode.UNKNOWN_ENTRY, f"there is no entry {NOBODYS}"),
        (
            RecordEvaluations((structs.replace(DRAFT, entry_id=UNKNOWN),)),
            ModelsCode.UNKNOWN_ENTRY,
            f"there is no entry {NOBODYS}",
        ),
        (
            RecordEvaluations((DRAFT, structs.replace(DRAFT, benchmark_version=3))),
            ModelsCode.UNKNOWN_BENCHMARK,
            f"DataNet {SHOWN} has no version 3",
        ),
        (SupersedeEntry(UNKNOWN, TRAINED_ID, ""), ModelsCode.UNKNOWN_ENTRY, f"there is no entry {NOBODYS}"),
        (SupersedeEntry(TRAINED_ID, UNKNOWN, ""), ModelsCode.UNKNOWN_ENTRY, f"there is no entry {NOBODYS}"),
    ],
)
def test_what_refers_to_nothing(ledger: Ledger, message: Message, code: int, log: str) -> None:
    record(ledger, TRAINED)
    assert ledger.refuse(BOB, message) == (code, log)


def test_a_model_name_is_taken_once(ledger: Ledger) -> None:
    assert ledger.refuse(EVE, CreateModel("support-bot", "")) == (
        ModelsCode.NAME_TAKEN,
        "a model named 'support-bot' exists: choose another name",
    )


def test_only_the_owner_adds_versions(ledger: Ledger) -> None:
    assert ledger.refuse(EVE, recording(TRAINED, model_id=MODEL)) == (
        ModelsCode.NOT_OWNER,
        "only the owner of model 'support-bot' adds versions to it",
    )
    record(ledger, TRAINED)
    code, _ = ledger.refuse(EVE, recording(TRAINED, model_id=MODEL))
    assert code == ModelsCode.NOT_OWNER


def test_one_bad_run_of_many_refuses_all_and_is_named_by_its_place(ledger: Ledger) -> None:
    bad = run_of(entry("child", made_from=[UNKNOWN]))
    assert ledger.refuse(BOB, RecordRuns((run_of(TRAINED), bad, run_of(entry("third"))))) == (
        ModelsCode.UNKNOWN_PARENT,
        f"run 1: parent entry {NOBODYS} does not exist: record it first",
    )


def test_an_entry_cannot_build_on_a_later_one_of_the_same_message(ledger: Ledger) -> None:
    child = entry("child", made_from=[TRAINED_ID])
    code, log = ledger.refuse(BOB, RecordRuns((run_of(child), run_of(TRAINED))))
    assert (code, log.startswith("run 0: parent entry")) == (ModelsCode.UNKNOWN_PARENT, True)


def test_a_version_with_a_revoked_contribution_takes_no_new_training(ledger: Ledger) -> None:
    record(ledger, TRAINED)
    ledger.accept(DORA, RevokeContribution(BATCH_IDS[0], 1))
    for version in (1, 2):
        code, log = ledger.refuse(BOB, recording(entry("new", data=[(TICKETS, version)])))
        assert code == ModelsCode.INPUT_REVOKED
        assert log == (
            f"a contribution was revoked since version {version} of DataNet 'support/tickets': "
            "train on version 3 or later (its owner creates it)"
        )
    record(ledger, TRAINED)
    record(ledger, entry("child", made_from=[TRAINED_ID]))
    assert ledger.violations() == []


@pytest.mark.parametrize(
    ("changes", "log"),
    [
        ({"grade": 2}, "the digests equal the entry's: grade 2 does not say so"),
        ({"grade": 3}, "the digests equal the entry's: grade 3 does not say so"),
        ({"tensor_digest": UNKNOWN}, "the digests differ from the entry's: grade 1 does not say so"),
        ({"artefact_digest": UNKNOWN}, "the digests differ from the entry's: grade 1 does not say so"),
    ],
)
def test_a_grade_that_the_digests_contradict(ledger: Ledger, changes: dict[str, object], log: str) -> None:
    record(ledger, TRAINED)
    assert ledger.refuse(EVE, structs.replace(REPRODUCTION, **changes)) == (ModelsCode.BAD_GRADE, log)


def test_an_import_cannot_be_reproduced(ledger: Ledger) -> None:
    (imported,) = record(ledger, IMPORT)
    message = RecordReproduction(imported, 1, IMPORT.output.artefact_digest, IMPORT.output.tensor_digest, RUN)
    assert ledger.refuse(EVE, message) == (
        ModelsCode.BAD_GRADE,
        "an import has no run that could be repeated",
    )


def test_only_its_first_recorder_supersedes_an_entry(ledger: Ledger) -> None:
    wrong, right = record(ledger, TRAINED, entry("right"))
    record(ledger, TRAINED, signer=EVE)
    assert ledger.refuse(EVE, SupersedeEntry(wrong, right, "")) == (
        ModelsCode.NOT_OWNER,
        f"only its owner {encode_id('open', BOB.address)} supersedes an entry",
    )


def test_an_entry_is_superseded_once_and_there_are_no_circles(ledger: Ledger) -> None:
    first, second, third = record(ledger, TRAINED, entry("second"), entry("third"))
    ledger.accept(BOB, SupersedeEntry(first, second, ""))
    assert ledger.refuse(BOB, SupersedeEntry(first, third, "")) == (
        ModelsCode.ALREADY_SUPERSEDED,
        f"this entry is superseded by {show_entry(second)}: supersede that one",
    )
    taken_over = (ModelsCode.BAD_SUPERSESSION, "the entry that is to take over is superseded itself")
    assert ledger.refuse(BOB, SupersedeEntry(third, first, "")) == taken_over
    assert ledger.refuse(BOB, SupersedeEntry(second, first, "")) == taken_over
    ledger.accept(BOB, SupersedeEntry(second, third, ""))
    assert ledger.refuse(BOB, SupersedeEntry(third, second, "")) == taken_over


def test_too_many_different_terms_cannot_meet_in_one_entry(ledger: Ledger) -> None:
    """Imports under merges under one more: no single list is too long, their terms together are."""
    kinds = [terms(name=f"terms {number}") for number in range(MAX_SOURCES)]
    for start in range(0, len(kinds), 16):
        ledger.accept(EVE, *[RegisterTerms(kind) for kind in kinds[start : start + 16]])
    imports = [entry(kind.name, kind=EntryKind.IMPORT, terms_id=terms_id_of(kind)) for kind in kinds]
    ids = record(ledger, *imports)
    merges = [
        entry(f"merge {start}", kind=EntryKind.MERGE, made_from=ids[start : start + 16]) for start in (0, 16, 32, 48)
    ]
    merged = record(ledger, *merges)
    record(ledger, entry("all", kind=EntryKind.MERGE, made_from=merged))
    assert ledger.refuse(BOB, recording(entry("one more", made_from=merged, terms_id=terms_id_of(FREE)))) == (
        LicencesCode.TOO_MANY_SOURCES,
        "65 different terms records meet, at most 64 can be joined: use sources that share their terms",
    )
    assert ledger.violations() == []


def test_the_longest_message_fits_into_a_transaction(ledger: Ledger) -> None:
    """64 runs with three parents and three inputs: what the limits promise together."""
    ledger.accept(BOB, RecordRuns((run_of(TRAINED), run_of(entry("b")), run_of(entry("c")))))
    base = [TRAINED_ID, entry_id_of(entry("b")), entry_id_of(entry("c"))]
    drafts: list[RunDraft] = [
        run_of(entry(f"run {number}", data=[(TICKETS, 1), (TICKETS, 2)], made_from=base)) for number in range(MAX_RUNS)
    ]
    ledger.accept(BOB, RecordRuns(tuple(drafts)))
    assert ledger.violations() == []
