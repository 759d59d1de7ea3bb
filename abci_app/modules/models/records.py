"""Records, tables, codes and messages of the models module; its `__init__` has the specification."""

from enum import IntEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from abci_app.errors import Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.module import Message
from abci_app.modules.licences import Outcome, Profile
from abci_app.modules.models import kinds
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.names import NameOwner
from abci_app.state.codec import Record, encode
from abci_app.state.table import HASHED, ID, U64, Index, Item, Map
from abci_app.state.table import U32 as U32_PART
from abci_app.types import (
    U32,
    Bytes32,
    EntryId,
    Flag,
    Height,
    Integer,
    Label,
    Name,
    OptionalBytes32,
    Ppb,
    Seconds,
    SignedInteger,
    Text,
    words,
)

# Frequent retraining is normal; 64 runs of 600 bytes fit into one transaction.
MAX_RUNS = 64
MAX_EVALUATIONS = 64
# Merges of more models and mixes of more DataNets are described in the manifest and recorded in steps.
MAX_PARENTS = 16
MAX_INPUTS = 32
# Units for one input or parent of a run: its record and joined terms of 64 sources, which take long to join; an index.
WEIGHT_MADE_FROM = 6


class Grade(IntEnum):
    """How a repetition compares with the entry."""

    BIT_EXACT = 1
    TRACE_MATCH = 2
    DIFFERS = 3


class Parent(Record, frozen=True, array_like=True, gc=False):
    """An entry that this one was made from, as what ("base", "adapter", ...), and its share among the parents."""

    entry_id: Bytes32
    role: Label
    share_ppb: Ppb


class Input(Record, frozen=True, array_like=True, gc=False):
    """A DataNet version in the mix: its weight, and count and list root ('rows-used') of the rows consumed.

    Without a root the rows are not declared, and the count is 0.
    """

    datanet_id: Bytes32
    version: U32
    weight_ppb: Ppb
    rows_used: Integer
    rows_used_root: OptionalBytes32


class Output(Record, frozen=True, array_like=True, gc=False):
    """A run's output: OpenSSF model-signing root digest, canonical tensor digest, bytes, format ("safetensors")."""

    artefact_digest: Bytes32
    tensor_digest: Bytes32
    byte_count: Integer
    format: Label


class Attribution(Record, frozen=True, array_like=True, gc=False):
    """Attribution method (0 = none) and the root of its commitment (empty without method)."""

    method: Annotated[int, Meta(ge=0, le=255)]
    commitment_root: OptionalBytes32


class Entry(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The facts that produced a model, immutable; entry id = H('openledger/entry/v1', this record)."""

    kind: Annotated[int, words(EntryKind)]
    parents: Annotated[tuple[Parent, ...], Meta(max_length=MAX_PARENTS)]
    inputs: Annotated[tuple[Input, ...], Meta(max_length=MAX_INPUTS)]
    # Weights and shares that are missing to the whole are the part of what is undeclared.
    undeclared: Annotated[int, words(Undeclared)]
    # Terms of the entry's own: imports and undeclared parts need them.
    terms_id: OptionalBytes32
    manifest_root: Bytes32
    output: Output
    attribution: Attribution


class Run(Record, frozen=True, array_like=True, gc=False):
    """The facts that differ between repetitions, as the sender declares them. Without a measured quality: "" and 0."""

    started_seconds: Seconds
    finished_seconds: Seconds
    environment_digest: OptionalBytes32
    machine: Text
    quality_metric: Text
    quality_value: SignedInteger


class RunDraft(Record, frozen=True, array_like=True, gc=False):
    """One run to record; with `model_id` the entry becomes that model's next version, shown with `label`."""

    entry: Entry
    run: Run
    model_id: OptionalBytes32
    label: Text


class InheritanceSchedule(Record, frozen=True, array_like=True, gc=False):
    """Part of the model's share of fees that ancestors keep: halves every `half_life_versions`, never below floor."""

    ancestors_ppb: Ppb
    half_life_versions: U32
    floor_ppb: Ppb


class Admission(Record, frozen=True, array_like=True, gc=False):
    """Facts that consensus wrote when the entry was recorded first: who, when, and the licence check of that moment."""

    # Entries are numbered from 1 in the order of their recording; a parent's number is smaller than its child's.
    number: Integer
    height: Height
    time_seconds: Seconds
    recorder: Bytes32
    profile: Annotated[int, words(Profile)]
    outcome: Annotated[int, words(Outcome)]
    # Joined terms of all inputs, parents and the entry's own (licences/joined): its outbound duties.
    joined_terms_id: Bytes32
    # 1: of what this entry or an ancestor was made from, something is not on this chain.
    unknown_below: Flag
    schedule: InheritanceSchedule


class StoredEntry(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Entry, admission, first run and what became of it, in one value: lineage reads one key an ancestor."""

    entry: Entry
    admission: Admission
    first_run: Run
    # The owner's model that it was attached to first, and as which version; empty and 0 = none.
    model_id: OptionalBytes32
    model_version: U32
    superseded_by_entry_id: OptionalBytes32
    # Its recorder, or at `claimed_height` (else 0) the account that its manifest names (claims.py).
    owner: Bytes32
    claimed_height: Height


class EntryReference(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The entry behind a number."""

    entry_id: Bytes32


class StoredRun(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A further run that gave the same entry."""

    operator: Bytes32
    run: Run
    height: Height
    time_seconds: Seconds


class Reproduction(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Somebody repeated the run from its manifest and says what came out."""

    reproducer: Bytes32
    grade: Annotated[int, words(Grade)]
    artefact_digest: Bytes32
    tensor_digest: Bytes32
    run: Run
    height: Height
    time_seconds: Seconds


class Evaluation(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A measurement on a benchmark DataNet version; value and interval are scaled integers of the metric's unit."""

    benchmark_datanet_id: Bytes32
    benchmark_version: U32
    metric: Label
    value: SignedInteger
    sample_size: Integer
    # Half the width of the 95 % interval.
    interval: Integer
    evaluator: Bytes32
    height: Height
    time_seconds: Seconds


class Supersession(Record, frozen=True, array_like=True, tag=1, gc=False):
    """An entry was declared wrong or outdated."""

    superseded_by_entry_id: Bytes32
    reason: Text
    sender: Bytes32
    height: Height


class Model(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A model: a name with a growing list of versions."""

    name: Name
    owner: Bytes32
    description: Text
    height: Height
    time_seconds: Seconds
    version_count: U32


class ModelVersion(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One version of a model."""

    entry_number: Integer
    label: Text
    height: Height


class Counters(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Last numbers given out."""

    entries: Integer
    # Entries below which something is unknown by their own record: imports, and what is undeclared.
    undeclared: Integer
    # Runs beyond the first, reproductions and evaluations share one numbering.
    events: Integer


# --- Tables

MODELS = Map("models/model/", (ID,), Model)
NAMES = Map("models/name/", (HASHED,), NameOwner)
VERSIONS = Map("models/version/", (ID, U32_PART), ModelVersion)
ENTRIES = Map("models/entry/", (ID,), StoredEntry)
NUMBERS = Map("models/number/", (U64,), EntryReference)
BY_INPUT = Index("models/by-input/", (ID, U32_PART, U64))
BY_PARENT = Index("models/by-parent/", (U64, U64))
RUNS = Map("models/run/", (U64, U64), StoredRun)
REPRODUCTIONS = Map("models/reproduction/", (U64, U64), Reproduction)
EVALUATIONS = Map("models/evaluation/", (U64, U64), Evaluation)
SUPERSESSIONS = Map("models/supersession/", (U64,), Supersession)
COUNTERS = Item("models/counters/", Counters)


def entry_id_of(entry: Entry) -> EntryId:
    """Content-addressed id: the same run gives the same entry, recorded by anybody on any chain."""
    return EntryId(tagged_hash(TAGS["entry_id"], encode(entry)))


# --- Messages


class CreateModel(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0601):
    """Create a model owned by the sender."""

    weight_each: ClassVar[int] = 7

    name: Name
    description: Text


class RecordRuns(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0602):
    """Record training runs, all or nothing; an item may build on the ones before it. An entry belongs to the account
    that its manifest names as owner, who can claim it; where it names none, to its first recorder, for good."""

    # Of them 4 for judging terms that leave choices of licence: up to sixteen combinations.
    weight_each: ClassVar[int] = 12

    runs: Annotated[tuple[RunDraft, ...], Meta(min_length=1, max_length=MAX_RUNS)]

    def validate(self) -> None:
        """Every entry is well formed by itself."""
        for draft in self.runs:
            check_entry(draft.entry)
            check_run(draft.run)
            if len(draft.model_id) not in (0, 32):
                raise Rejected(ModelsCode.BAD_ENTRY, "model_id must be empty or 32 bytes")
            if draft.label and not draft.model_id:
                raise Rejected(ModelsCode.BAD_ENTRY, "a label needs the model_id whose version it names")

    def list_items(self) -> int:
        """Each run counts."""
        return len(self.runs)

    def weight(self) -> int:
        """Each run by itself, and for what it was made from: terms to read and join, an index to write."""
        made_from = sum([len(draft.entry.inputs) + len(draft.entry.parents) for draft in self.runs])
        return self.weight_each * len(self.runs) + WEIGHT_MADE_FROM * made_from


class RecordReproduction(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0603):
    """Say what repeating an entry's run gave. Grade 1 bit-exact, 2 trace match, 3 differs."""

    weight_each: ClassVar[int] = 6

    entry_id: Bytes32
    grade: Annotated[int, words(Grade)]
    artefact_digest: Bytes32
    tensor_digest: Bytes32
    run: Run

    def validate(self) -> None:
        """The run's times and digests are well formed."""
        check_run(self.run)


class EvaluationDraft(Record, frozen=True, array_like=True, gc=False):
    """One measurement of one entry; see `Evaluation`."""

    entry_id: Bytes32
    benchmark_datanet_id: Bytes32
    benchmark_version: U32
    metric: Label
    value: SignedInteger
    sample_size: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    interval: Integer


class RecordEvaluations(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0604):
    """Record measurements of entries on DataNet versions."""

    weight_each: ClassVar[int] = 5

    evaluations: Annotated[tuple[EvaluationDraft, ...], Meta(min_length=1, max_length=MAX_EVALUATIONS)]

    def list_items(self) -> int:
        """Each measurement counts."""
        return len(self.evaluations)


class SupersedeEntry(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0605):
    """Owner of an entry: point from a wrong entry to the right one. The wrong one stays, visibly superseded."""

    weight_each: ClassVar[int] = 18

    entry_id: Bytes32
    superseded_by_entry_id: Bytes32
    reason: Text

    def validate(self) -> None:
        """An entry cannot replace itself."""
        if self.entry_id == self.superseded_by_entry_id:
            raise Rejected(ModelsCode.BAD_SUPERSESSION, "an entry cannot supersede itself")


def check_run(run: Run) -> None:
    """Times in order, digest empty or whole."""
    if run.finished_seconds < run.started_seconds:
        raise Rejected(
            ModelsCode.BAD_TIMES,
            f"the run finished at {run.finished_seconds}, before it started at {run.started_seconds}",
        )
    if len(run.environment_digest) not in (0, 32):
        raise Rejected(ModelsCode.BAD_ENTRY, "environment_digest must be empty or 32 bytes")


def check_entry(entry: Entry) -> None:
    """All that an entry must fulfil by itself; raises `Rejected`."""
    for field, value in (("terms_id", entry.terms_id), ("commitment_root", entry.attribution.commitment_root)):
        if len(value) not in (0, 32):
            raise Rejected(ModelsCode.BAD_ENTRY, f"{field} must be empty or 32 bytes")
    if bool(entry.attribution.method) != bool(entry.attribution.commitment_root):
        raise Rejected(ModelsCode.BAD_ENTRY, "an attribution needs both its method and its commitment root, or neither")
    kind, undeclared = EntryKind(entry.kind), Undeclared(entry.undeclared)
    fault = kinds.fault_of_structure(kind, [each.role for each in entry.parents], len(entry.inputs), undeclared)
    fault = fault or kinds.fault_of_terms(kind, undeclared, bool(entry.terms_id))
    for item in entry.inputs:
        fault = fault or kinds.fault_of_rows(item.rows_used, item.rows_used_root)
    if fault:
        raise Rejected(ModelsCode.BAD_ENTRY, fault)
    parent_ids = [parent.entry_id for parent in entry.parents]
    if len(frozenset(parent_ids)) != len(parent_ids):
        raise Rejected(ModelsCode.BAD_ENTRY, "a parent is listed twice: add up its shares")
    versions = [(item.datanet_id, item.version) for item in entry.inputs]
    if len(frozenset(versions)) != len(versions):
        raise Rejected(ModelsCode.BAD_ENTRY, "a DataNet version is listed twice: add up its weights")
    _require_sum("weights of the inputs", [item.weight_ppb for item in entry.inputs], undeclared.has_inputs)
    _require_sum("shares of the parents", [parent.share_ppb for parent in entry.parents], undeclared.has_parents)


def _require_sum(what: str, shares: list[int], undeclared: bool) -> None:
    if fault := kinds.fault_of_shares(what, shares, undeclared):
        raise Rejected(ModelsCode.BAD_SHARES, fault)
