"""Handlers of the messages: checks beside the writes that they protect."""

from dataclasses import dataclass

from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.errors import Rejected
from abci_app.module import Context
from abci_app.modules import datanets, licences
from abci_app.modules.licences import Outcome
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.events import (
    EntrySuperseded,
    EvaluationsRecorded,
    ModelCreated,
    ReproductionRecorded,
    RunsRecorded,
)
from abci_app.modules.models.frozen import parent_models, require_run_possible, require_version_possible
from abci_app.modules.models.kinds import EntryKind, is_unknown_below
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
    EntryReference,
    Evaluation,
    Grade,
    InheritanceSchedule,
    Model,
    ModelVersion,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    Reproduction,
    RunDraft,
    StoredEntry,
    StoredRun,
    SupersedeEntry,
    Supersession,
    entry_id_of,
)
from abci_app.modules.models.terms import judge_terms, show_entry
from abci_app.names import NameOwner
from abci_app.state.store import StateView
from abci_app.types import Address, ModelId

# Ancestors keep 20 % of a model's share, halved every four versions, never below 1 % (until governance sets it).
DEFAULT_SCHEDULE = InheritanceSchedule(200_000_000, 4, 10_000_000)


def execute_create_model(context: Context, message: CreateModel) -> None:
    """The name must be free."""
    state = context.state
    if NAMES.has(state, message.name):
        raise Rejected(ModelsCode.NAME_TAKEN, f"a model named {message.name!r} exists: choose another name")
    model_id = ModelId(context.new_id("model"))
    NAMES.set(state, message.name, NameOwner(model_id))
    model = Model(
        name=message.name,
        owner=context.sender,
        description=message.description,
        height=context.height,
        time_seconds=context.time_seconds,
        version_count=0,
    )
    MODELS.set(state, model_id, model)
    context.emit(ModelCreated(model_id, message.name))


@dataclass(slots=True)
class _Recording:
    """State that the runs of one message share: the numbers given out so far."""

    context: Context
    counters: Counters
    new_entries: int = 0

    def next_entry(self, undeclared: bool) -> int:
        number = self.counters.entries + 1
        undeclared_entries = self.counters.undeclared + int(undeclared)
        self.counters = structs.replace(self.counters, entries=number, undeclared=undeclared_entries)
        self.new_entries += 1
        return number

    def next_event(self) -> int:
        number = self.counters.events + 1
        self.counters = structs.replace(self.counters, events=number)
        return number

    def save(self) -> None:
        COUNTERS.set(self.context.state, self.counters)


def _recording(context: Context) -> _Recording:
    return _Recording(context, COUNTERS.get(context.state) or Counters(0, 0, 0))


def execute_record_runs(context: Context, message: RecordRuns) -> None:
    """Record each run; a rejection names the run where there are several."""
    recording = _recording(context)
    first_id = b""
    for index, draft in enumerate(message.runs):
        try:
            entry_id = _record_run(recording, draft)
        except Rejected as rejection:
            if len(message.runs) == 1:
                raise
            raise Rejected(rejection.code, f"run {index}: {rejection.text}") from rejection
        first_id = first_id or entry_id
    recording.save()
    context.emit(RunsRecorded(first_id, len(message.runs), recording.new_entries))


def _record_run(recording: _Recording, draft: RunDraft) -> bytes:
    """A new entry with its indexes, or one more run of a known one; then the model's next version."""
    context, state = recording.context, recording.context.state
    entry_id = entry_id_of(draft.entry)
    known = ENTRIES.get(state, entry_id)
    if known is not None:
        require_run_possible(state, draft.entry, parent_models(state, draft.entry), context.height)
    stored = known or _admit(recording, draft, entry_id)
    if known is not None:
        run = StoredRun(
            operator=context.sender, run=draft.run, height=context.height, time_seconds=context.time_seconds
        )
        RUNS.set(state, known.admission.number, recording.next_event(), run)
    if draft.model_id:
        stored = _attach(context, stored, draft, entry_id)
    if stored is not known:
        ENTRIES.set(state, entry_id, stored)
    return entry_id


def _admit(recording: _Recording, draft: RunDraft, entry_id: bytes) -> StoredEntry:
    """Check what the entry refers to, join its terms, and write its number and indexes."""
    context, state, entry = recording.context, recording.context.state, draft.entry
    check = judge_terms(state, entry, licences.profile_of(context.block.parameters), context.time_seconds)
    if check.outcome == Outcome.CONFLICT and entry.kind != EntryKind.IMPORT:
        raise Rejected(ModelsCode.TERMS_CLASH, check.text)
    require_run_possible(state, entry, check.parent_model_ids, context.height)
    number = recording.next_entry(is_unknown_below(entry.kind, entry.undeclared))
    NUMBERS.set(state, number, EntryReference(entry_id))
    for item in entry.inputs:
        BY_INPUT.add(state, item.datanet_id, item.version, number)
    for parent_number in check.parent_numbers:
        BY_PARENT.add(state, parent_number, number)
    admission = Admission(
        number=number,
        height=context.height,
        time_seconds=context.time_seconds,
        recorder=context.sender,
        profile=check.profile,
        outcome=check.outcome,
        joined_terms_id=licences.store_joined_terms(state, check.joined),
        unknown_below=int(check.unknown_below),
        schedule=DEFAULT_SCHEDULE,
    )
    return StoredEntry(
        entry=entry,
        admission=admission,
        first_run=draft.run,
        model_id=b"",
        model_version=0,
        superseded_by_entry_id=b"",
        owner=context.sender,
        claimed_height=0,
    )


def _attach(context: Context, stored: StoredEntry, draft: RunDraft, entry_id: bytes) -> StoredEntry:
    """Make the entry the next version of the sender's model, unless it is the latest one already.

    The entry is shown with a model of its owner's only: others may run it, too, and name theirs as they like.
    """
    state = context.state
    model = MODELS.get(state, draft.model_id)
    if model is None:
        raise Rejected(ModelsCode.UNKNOWN_MODEL, f"there is no model {encode_id('olmodel', draft.model_id)}")
    if model.owner != context.sender:
        raise Rejected(ModelsCode.NOT_OWNER, f"only the owner of model {model.name!r} adds versions to it")
    require_version_possible(state, draft.model_id, model, entry_id, context.height)
    number = stored.admission.number
    latest = VERSIONS.get(state, draft.model_id, model.version_count) if model.version_count else None
    version = model.version_count
    if latest is None or latest.entry_number != number:
        version += 1
        VERSIONS.set(state, draft.model_id, version, ModelVersion(number, draft.label, context.height))
        MODELS.set(state, draft.model_id, structs.replace(model, version_count=version))
    if stored.model_id or stored.owner != context.sender:
        return stored
    return structs.replace(stored, model_id=draft.model_id, model_version=version)


def execute_record_reproduction(context: Context, message: RecordReproduction) -> None:
    """Keep a repetition; "bit-exact" is what the digests say, not an opinion."""
    stored = _entry(context.state, message.entry_id)
    if stored.entry.kind == EntryKind.IMPORT:
        raise Rejected(ModelsCode.BAD_GRADE, "an import has no run that could be repeated")
    output = stored.entry.output
    equal = (message.artefact_digest, message.tensor_digest) == (output.artefact_digest, output.tensor_digest)
    if equal != (message.grade == Grade.BIT_EXACT):
        said = "differ from" if not equal else "equal"
        raise Rejected(ModelsCode.BAD_GRADE, f"the digests {said} the entry's: grade {message.grade} does not say so")
    recording = _recording(context)
    reproduction = Reproduction(
        reproducer=context.sender,
        grade=message.grade,
        artefact_digest=message.artefact_digest,
        tensor_digest=message.tensor_digest,
        run=message.run,
        height=context.height,
        time_seconds=context.time_seconds,
    )
    REPRODUCTIONS.set(context.state, stored.admission.number, recording.next_event(), reproduction)
    recording.save()
    context.involved.append(Address(stored.owner))
    context.emit(ReproductionRecorded(message.entry_id, message.grade))


def execute_record_evaluations(context: Context, message: RecordEvaluations) -> None:
    """Entry and benchmark version must exist; values are claims of the sender."""
    recording, state = _recording(context), context.state
    for draft in message.evaluations:
        stored = _entry(state, draft.entry_id)
        if datanets.find_version(state, draft.benchmark_datanet_id, draft.benchmark_version) is None:
            raise Rejected(
                ModelsCode.UNKNOWN_BENCHMARK,
                f"DataNet {encode_id('oldata', draft.benchmark_datanet_id)} has no version {draft.benchmark_version}",
            )
        evaluation = Evaluation(
            benchmark_datanet_id=draft.benchmark_datanet_id,
            benchmark_version=draft.benchmark_version,
            metric=draft.metric,
            value=draft.value,
            sample_size=draft.sample_size,
            interval=draft.interval,
            evaluator=context.sender,
            height=context.height,
            time_seconds=context.time_seconds,
        )
        EVALUATIONS.set(state, stored.admission.number, recording.next_event(), evaluation)
    recording.save()
    context.emit(EvaluationsRecorded(message.evaluations[0].entry_id, len(message.evaluations)))


def execute_supersede_entry(context: Context, message: SupersedeEntry) -> None:
    """Once, by its owner, and not by an entry that is superseded itself (so there are no circles)."""
    state = context.state
    stored, successor = _entry(state, message.entry_id), _entry(state, message.superseded_by_entry_id)
    if stored.owner != context.sender:
        raise Rejected(ModelsCode.NOT_OWNER, f"only its owner {encode_id('open', stored.owner)} supersedes an entry")
    if stored.superseded_by_entry_id:
        raise Rejected(
            ModelsCode.ALREADY_SUPERSEDED,
            f"this entry is superseded by {show_entry(stored.superseded_by_entry_id)}: supersede that one",
        )
    if successor.superseded_by_entry_id:
        raise Rejected(ModelsCode.BAD_SUPERSESSION, "the entry that is to take over is superseded itself")
    marked = structs.replace(stored, superseded_by_entry_id=message.superseded_by_entry_id)
    ENTRIES.set(state, message.entry_id, marked)
    supersession = Supersession(
        superseded_by_entry_id=message.superseded_by_entry_id,
        reason=message.reason,
        sender=context.sender,
        height=context.height,
    )
    SUPERSESSIONS.set(state, stored.admission.number, supersession)
    context.emit(EntrySuperseded(message.entry_id, message.superseded_by_entry_id))


def _entry(view: StateView, entry_id: bytes) -> StoredEntry:
    stored = ENTRIES.get(view, entry_id)
    if stored is None:
        raise Rejected(ModelsCode.UNKNOWN_ENTRY, f"there is no entry {show_entry(entry_id)}")
    return stored
