"""Queries about models, entries and what was said about them; `models_lineage.py` has those that walk the graph.

Pure functions of a state view, so that light clients run them again on proofs. A model is named by its id or by its
name: give one and leave the other empty.
"""

from typing import Annotated

from msgspec import Meta, Struct

from abci_app.errors import Code, Rejected
from abci_app.module import Query
from abci_app.modules import licences
from abci_app.modules.licences import JoinedTerms, Outcome, Profile, TermsView
from abci_app.modules.models.records import (
    EVALUATIONS,
    MODELS,
    NUMBERS,
    REPRODUCTIONS,
    RUNS,
    SUPERSESSIONS,
    VERSIONS,
    Entry,
    Evaluation,
    Model,
    Reproduction,
    StoredEntry,
    StoredRun,
    Supersession,
    check_entry,
)
from abci_app.modules.models.resolve import entry_of_number, read_entry, resolve_model
from abci_app.modules.models.terms import judge_terms
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import U32, Bytes32, Flag, Integer, OptionalBytes32, OptionalName, Seconds, words

# One page of a listing.
MAX_PAGE = 200

PageLimit = Annotated[int, Meta(ge=1, le=MAX_PAGE)]


# --- Arguments


class ModelQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which model: id or name."""

    model_id: OptionalBytes32
    name: OptionalName


class ModelListQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of models in id order, after `after_model_id` (empty = from the start)."""

    after_model_id: OptionalBytes32
    limit: PageLimit


class ModelVersionsQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of a model's versions after `after_version`."""

    model_id: OptionalBytes32
    name: OptionalName
    after_version: U32
    limit: PageLimit


class EntryQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which entry."""

    entry_id: Bytes32


class EntryListQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of all entries beyond number `after_number`; newest first with `reverse` (then 0 = from the newest)."""

    after_number: Integer
    reverse: Flag
    limit: PageLimit


class EntryEventsQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of what was said about an entry, after event `after_event`."""

    entry_id: Bytes32
    after_event: Integer
    limit: PageLimit


class VerdictQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A draft entry, to be judged as if it were recorded at `at_seconds` (Unix time)."""

    entry: Entry
    at_seconds: Seconds


# --- Results


class ModelView(Struct, frozen=True):
    """A model; `latest_entry_id` is empty while it has no version."""

    model_id: bytes
    model: Model
    latest_entry_id: bytes


class ModelPage(Struct, frozen=True):
    """One page; `next_model_id` is empty on the last one."""

    items: tuple[ModelView, ...]
    next_model_id: bytes


class ModelVersionItem(Struct, frozen=True):
    """One version of a model."""

    version: int
    entry_id: bytes
    label: str
    height: int


class ModelVersionsPage(Struct, frozen=True):
    """One page of versions; `next_version` is 0 on the last one."""

    model_id: bytes
    name: str
    versions: tuple[ModelVersionItem, ...]
    next_version: int


class EntryView(Struct, frozen=True):
    """An entry; `supersession` says by what and why it was superseded, if it was."""

    entry_id: bytes
    stored: StoredEntry
    supersession: Supersession | None


class EntryPage(Struct, frozen=True):
    """One page; `next_number` is 0 on the last one."""

    items: tuple[EntryView, ...]
    next_number: int


class NumberedRun(Struct, frozen=True):
    """A further run that gave the same entry."""

    event: int
    run: StoredRun


class RunsPage(Struct, frozen=True):
    """Runs beyond the first, which is in the entry; `next_event` is 0 on the last page."""

    entry_id: bytes
    runs: tuple[NumberedRun, ...]
    next_event: int


class NumberedReproduction(Struct, frozen=True):
    """A repetition."""

    event: int
    reproduction: Reproduction


class ReproductionsPage(Struct, frozen=True):
    """Repetitions of an entry; `next_event` is 0 on the last page."""

    entry_id: bytes
    reproductions: tuple[NumberedReproduction, ...]
    next_event: int


class NumberedEvaluation(Struct, frozen=True):
    """A measurement."""

    event: int
    evaluation: Evaluation


class EvaluationsPage(Struct, frozen=True):
    """Measurements of an entry; `next_event` is 0 on the last page."""

    entry_id: bytes
    evaluations: tuple[NumberedEvaluation, ...]
    next_event: int


class VerdictView(Struct, frozen=True):
    """The licence check of a draft: `licence_join.Profile` and `.Outcome`, why, and the two that clash by name.

    `unknown_below` 1: it speaks of declared sources; the draft or an ancestor has some that are not on this chain.
    """

    profile: Annotated[int, words(Profile)]
    outcome: Annotated[int, words(Outcome)]
    text: str
    first: str
    second: str
    unknown_below: int
    joined: JoinedTerms
    # Every terms record among the joined ones.
    terms: tuple[TermsView, ...]


# --- Queries


def query_model(view: StateView, args: ModelQuery) -> ModelView:
    """One model."""
    return _model_view(view, *resolve_model(view, args.model_id, args.name))


def _model_view(view: StateView, model_id: bytes, model: Model) -> ModelView:
    latest = VERSIONS.get(view, model_id, model.version_count) if model.version_count else None
    return ModelView(model_id, model, entry_of_number(view, latest.entry_number) if latest else b"")


def query_list(view: StateView, args: ModelListQuery) -> ModelPage:
    """A page of all models."""
    if len(args.after_model_id) not in (0, 32):
        raise Rejected(Code.BAD_QUERY, "after_model_id must be empty or 32 bytes")
    items: list[ModelView] = []
    after = (args.after_model_id,) if args.after_model_id else None
    for (model_id,), model in MODELS.iterate(view, after=after):
        if len(items) == args.limit:
            return ModelPage(tuple(items), items[-1].model_id)
        items.append(_model_view(view, model_id, model))
    return ModelPage(tuple(items), b"")


def query_versions(view: StateView, args: ModelVersionsQuery) -> ModelVersionsPage:
    """A page of a model's versions, oldest first."""
    model_id, model = resolve_model(view, args.model_id, args.name)
    items: list[ModelVersionItem] = []
    after = (model_id, args.after_version) if args.after_version else None
    for (_, version), record in VERSIONS.iterate(view, model_id, after=after):
        if len(items) == args.limit:
            return ModelVersionsPage(
                model_id=model_id, name=model.name, versions=tuple(items), next_version=items[-1].version
            )
        entry_id = entry_of_number(view, record.entry_number)
        items.append(ModelVersionItem(version=version, entry_id=entry_id, label=record.label, height=record.height))
    return ModelVersionsPage(model_id=model_id, name=model.name, versions=tuple(items), next_version=0)


def query_entry(view: StateView, args: EntryQuery) -> EntryView:
    """One entry."""
    return _entry_view(view, args.entry_id)


def _entry_view(view: StateView, entry_id: bytes) -> EntryView:
    stored = read_entry(view, entry_id)
    superseded = bool(stored.superseded_by_entry_id)
    return EntryView(entry_id, stored, SUPERSESSIONS.get(view, stored.admission.number) if superseded else None)


def query_entries(view: StateView, args: EntryListQuery) -> EntryPage:
    """A page of all entries in the order of their recording, or the reverse."""
    items: list[EntryView] = []
    after = (args.after_number,) if args.after_number else None
    for (number,), reference in NUMBERS.iterate(view, after=after, reverse=bool(args.reverse)):
        if len(items) == args.limit:
            return EntryPage(tuple(items), number + 1 if args.reverse else number - 1)
        items.append(_entry_view(view, reference.entry_id))
    return EntryPage(tuple(items), 0)


def query_runs(view: StateView, args: EntryEventsQuery) -> RunsPage:
    """A page of an entry's further runs."""
    number = read_entry(view, args.entry_id).admission.number
    items: list[NumberedRun] = []
    for (_, event), run in RUNS.iterate(view, number, after=_after(number, args)):
        if len(items) == args.limit:
            return RunsPage(args.entry_id, tuple(items), items[-1].event)
        items.append(NumberedRun(event, run))
    return RunsPage(args.entry_id, tuple(items), 0)


def query_reproductions(view: StateView, args: EntryEventsQuery) -> ReproductionsPage:
    """A page of an entry's repetitions."""
    number = read_entry(view, args.entry_id).admission.number
    items: list[NumberedReproduction] = []
    for (_, event), reproduction in REPRODUCTIONS.iterate(view, number, after=_after(number, args)):
        if len(items) == args.limit:
            return ReproductionsPage(args.entry_id, tuple(items), items[-1].event)
        items.append(NumberedReproduction(event, reproduction))
    return ReproductionsPage(args.entry_id, tuple(items), 0)


def query_evaluations(view: StateView, args: EntryEventsQuery) -> EvaluationsPage:
    """A page of an entry's measurements."""
    number = read_entry(view, args.entry_id).admission.number
    items: list[NumberedEvaluation] = []
    for (_, event), evaluation in EVALUATIONS.iterate(view, number, after=_after(number, args)):
        if len(items) == args.limit:
            return EvaluationsPage(args.entry_id, tuple(items), items[-1].event)
        items.append(NumberedEvaluation(event, evaluation))
    return EvaluationsPage(args.entry_id, tuple(items), 0)


def _after(number: int, args: EntryEventsQuery) -> tuple[int, int] | None:
    return (number, args.after_event) if args.after_event else None


def query_verdict(view: StateView, args: VerdictQuery) -> VerdictView:
    """The licence check that recording this entry would run; nothing is recorded."""
    profile = licences.find_profile(view)
    if profile is None:
        raise Rejected(Code.HEIGHT_UNAVAILABLE, "the chain has not started yet")
    check_entry(args.entry)
    check = judge_terms(view, args.entry, profile, args.at_seconds)
    terms = licences.stored_terms(view, [source.terms_id for source in check.joined.sources])
    return VerdictView(
        profile=int(check.profile),
        outcome=int(check.outcome),
        text=check.text,
        first=check.first,
        second=check.second,
        unknown_below=int(check.unknown_below),
        joined=check.joined,
        terms=terms,
    )


QUERIES = (
    Query("model", ModelQuery, ModelView, query_model, "one model by id or name"),
    Query("list", ModelListQuery, ModelPage, query_list, "all models, paged"),
    Query("versions", ModelVersionsQuery, ModelVersionsPage, query_versions, "versions of a model, paged"),
    Query("entry", EntryQuery, EntryView, query_entry, "one entry: what produced a model, and its licence check"),
    Query("entries", EntryListQuery, EntryPage, query_entries, "all entries in the order of their recording, paged"),
    Query("runs", EntryEventsQuery, RunsPage, query_runs, "further runs that gave the same entry, paged"),
    Query("reproductions", EntryEventsQuery, ReproductionsPage, query_reproductions, "repetitions of an entry, paged"),
    Query("evaluations", EntryEventsQuery, EvaluationsPage, query_evaluations, "measurements of an entry, paged"),
    Query("verdict", VerdictQuery, VerdictView, query_verdict, "licence check of a draft entry; nothing is recorded"),
)
