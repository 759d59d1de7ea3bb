"""Records of runs, as the trainer hands them on to be published."""

from dataclasses import dataclass

from openledger.data.manifest import Manifest

NO_DIGEST = b""


@dataclass(frozen=True, slots=True)
class ParentRecord:
    """An entry that the run started from; shares of all parents sum to 10^9."""

    entry_id: bytes
    role: str
    share_ppb: int


@dataclass(frozen=True, slots=True)
class InputRecord:
    """One DataNet version of the mix; root and count of the different rows that the run consumed.

    Without a root nobody declared the rows, and the count is 0.
    """

    datanet_id: bytes
    version: int
    weight_ppb: int
    rows_used: int
    rows_used_root: bytes


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """The record of a run in an entry: the same run gives the same record, written by anybody."""

    kind: str
    parents: tuple[ParentRecord, ...]
    inputs: tuple[InputRecord, ...]
    manifest_root: bytes
    artefact_digest: bytes
    tensor_digest: bytes
    byte_count: int
    format: str
    # Terms that the entry itself brings in: those under which an import was received, else empty.
    terms_id: bytes = NO_DIGEST
    # What there was of parents and inputs beyond those listed: nothing, parents, inputs, parents-and-inputs.
    undeclared: str = "nothing"
    # What attribution committed to: method number (0: none) and root (attribution.lga.commitment).
    attribution_method: int = 0
    attribution_root: bytes = NO_DIGEST


@dataclass(frozen=True, slots=True)
class RunEventRecord:
    """Facts that differ between repetitions of a run; times are Unix seconds, quality is a loss in micronats or 0."""

    started_seconds: int
    finished_seconds: int
    environment: str
    quality_metric: str
    quality_value: int


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """One measurement on held-out rows of a DataNet version; `of_parent` = of the model that training started from."""

    datanet_id: bytes
    version: int
    metric: str
    value: int
    sample_size: int
    interval: int
    of_parent: bool


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All that is published about one run."""

    model_name: str
    manifest: Manifest
    entry: EntryRecord
    event: RunEventRecord
    evaluations: tuple[EvaluationRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """An input of a run that some other framework did: what its owner says about it, with its steps in words."""

    datanet_id: bytes
    version: int
    weight_ppb: int
    rows_used: int = 0
    rows_used_root: bytes = NO_DIGEST
    steps: tuple[str, ...] = ()
