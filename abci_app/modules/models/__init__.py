"""models: the provenance log. What produced which model, from which data, under which terms.

    models/entry/ | entry id -> StoredEntry             models/number/ | number -> entry id
    models/by-input/ | datanet | version | number       models/by-parent/ | parent's number | number
    models/model/ | id -> Model                         models/name/ | H(name) -> id
    models/version/ | model | version -> ModelVersion   models/run/ | entry number | event number -> StoredRun
    models/reproduction/ | entry number | event number -> Reproduction
    models/evaluation/ | entry number | event number -> Evaluation
    models/supersession/ | entry number -> Supersession models/counters/value -> Counters

Entry id = H('openledger/entry/v1', Entry): the same run gives the same entry whenever and by whomever it is recorded.
Recording it first writes its admission (number, height, licence check) and first run; recording it again adds a run
and can make it the next version of the sender's model. Parents and input versions must exist, so numbers grow from
parent to child; an import has neither. A clash of terms refuses the entry and names both parents; an import is
recorded in spite of its terms (nothing is made yet), but a run that builds on it is refused. Runs name operator, times
and quality as their sender declares them. An entry belongs to its first recorder, or to the account that its manifest
names, which claims it (claims.py); it is shown with a model of its owner's, and superseded by its owner. Nothing is
iterated when a run is recorded: seven keys and one for every input and parent.

Invariants: ids recompute; numbers are dense; indexes and entries imply each other; weights and shares sum to 10^9;
parents have smaller numbers; model versions are dense and lead to entries; a superseded entry has its supersession; an
entry's owner is its recorder unless it was claimed, and the model that it is shown with is its owner's.
"""

from abci_app.module import Module
from abci_app.modules.models import impact, lineage, queries
from abci_app.modules.models.claims import ClaimEntry, execute_claim_entry
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.events import (
    EntryClaimed,
    EntrySuperseded,
    EvaluationsRecorded,
    ModelCreated,
    ReproductionRecorded,
    RunsRecorded,
)
from abci_app.modules.models.handlers import (
    DEFAULT_SCHEDULE,
    execute_create_model,
    execute_record_evaluations,
    execute_record_reproduction,
    execute_record_runs,
    execute_supersede_entry,
)
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
    CreateModel,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    SupersedeEntry,
)
from abci_app.modules.models.resolve import entry_of_name, find_entry, find_model, model_of_name

__all__ = ["DEFAULT_SCHEDULE", "MODULE", "find_entry", "find_model"]

MODULE = Module(
    name="models",
    tables=(
        MODELS,
        NAMES,
        VERSIONS,
        ENTRIES,
        NUMBERS,
        BY_INPUT,
        BY_PARENT,
        RUNS,
        REPRODUCTIONS,
        EVALUATIONS,
        SUPERSESSIONS,
        COUNTERS,
    ),
    errors=ModelsCode,
    messages={
        CreateModel: execute_create_model,
        RecordRuns: execute_record_runs,
        RecordReproduction: execute_record_reproduction,
        RecordEvaluations: execute_record_evaluations,
        SupersedeEntry: execute_supersede_entry,
        ClaimEntry: execute_claim_entry,
    },
    events=(ModelCreated, RunsRecorded, ReproductionRecorded, EvaluationsRecorded, EntrySuperseded, EntryClaimed),
    names={"olmodel": model_of_name, "olrun": entry_of_name},
    queries=(*queries.QUERIES, *lineage.QUERIES, *impact.QUERIES),
    invariants=INVARIANTS,
)
