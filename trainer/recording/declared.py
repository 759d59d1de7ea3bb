"""Parents and inputs of a run that another tool did, from the names that its owner gives.

    declared = declare(ledger, "lora", base="tiny-llama", data=["garden@2"])

Without a base the parents are undeclared, without data the inputs; then the run comes under `terms`, or, where its
owner does not say which, under terms of which nothing is known. Several DataNets get weights by their rows, as a tool
uses them that puts them one behind the other. A base that is itself an adapter brings its own base along.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from abci_app.integers.shares import largest_remainder
from abci_app.modules.models.kinds import ADAPTER, BASE, RULES, EntryKind, Undeclared
from abci_app.types import PPB
from openledger.data.versions import VersionRecord
from openledger.errors import UsageError
from openledger.references import split_version
from openledger.words import word_of
from trainer.ancestry import KnownEntry
from trainer.record import KINDS
from trainer.run_records import DeclaredInput, ParentRecord

# Nobody knows what these terms permit (licences.toml).
UNKNOWN_TERMS = "LicenseRef-unknown"


class RecordLedger(Protocol):
    """The reads of the chain that declarations need; `trainer.publish.ClientLedger` has them."""

    def entry(self, reference: str) -> KnownEntry:
        """One entry by id, or by a model's name and version."""

    def datanet_version(self, reference: str, version: int) -> VersionRecord:
        """One version with its contributions."""

    def terms(self, reference: str) -> bytes:
        """Id of terms by id, name or licence; a licence that nobody has registered is registered with the record."""


@dataclass(frozen=True, slots=True)
class Declared:
    """Parents, inputs, which of them are undeclared (a word of the chain), and the terms that this brings in."""

    parents: tuple[ParentRecord, ...]
    inputs: tuple[DeclaredInput, ...]
    undeclared: str
    terms_id: bytes


def declare(
    ledger: RecordLedger,
    kind: str,
    *,
    base: str = "",
    data: Sequence[str] = (),
    terms: str = "",
    steps: tuple[str, ...] = (),
) -> Declared:
    """Look up what is named; raises `UsageError` for a form that is none, `QueryFailed` for what does not exist."""
    if kind not in KINDS:
        raise UsageError(f"kind of run {kind!r} is unknown; use one of {', '.join(KINDS)}")
    rule = RULES[EntryKind[kind.upper()]]
    parents = parents_of_base(ledger, base) if base else ()
    inputs = inputs_of(ledger, data, steps)
    no_parents = rule.least_parents > 0 and not parents
    no_inputs = rule.needs_inputs and not inputs
    missing = (Undeclared.PARENTS if no_parents else 0) | (Undeclared.INPUTS if no_inputs else 0)
    terms_id = ledger.terms(terms or UNKNOWN_TERMS) if terms or missing else b""
    return Declared(parents=parents, inputs=inputs, undeclared=word_of("undeclared", missing), terms_id=terms_id)


def parents_of_base(ledger: RecordLedger, base: str) -> tuple[ParentRecord, ...]:
    """The base; for an adapter that is trained further, its base and itself, with equal shares."""
    known = ledger.entry(base)
    if known.record.kind != "lora":
        return (ParentRecord(known.entry_id, BASE, PPB),)
    below = [parent for parent in known.record.parents if parent.role == BASE]
    if len(below) != 1:
        raise UsageError(f"the adapter {base!r} names no base on this chain: name its base, and it with --parent")
    return (ParentRecord(below[0].entry_id, BASE, PPB - PPB // 2), ParentRecord(known.entry_id, ADAPTER, PPB // 2))


def inputs_of(ledger: RecordLedger, data: Sequence[str], steps: tuple[str, ...] = ()) -> tuple[DeclaredInput, ...]:
    """Versions named DATANET@VERSION, weighted by their rows."""
    found = []
    for reference in data:
        name, version = split_version(reference)
        if not version:
            raise UsageError(f"data {reference!r}: write DATANET@VERSION, for example {name}@1")
        found.append(ledger.datanet_version(name, version))
    if len({(item.datanet_id, item.version) for item in found}) < len(found):
        raise UsageError(f"data {', '.join(data)}: one version is named twice")
    rows = [sum(record.commitment.row_count for record in item.contributions) for item in found]
    weights = largest_remainder(rows, [at.to_bytes(2, "big") for at in range(len(rows))], PPB) if rows else ()
    return tuple(
        [
            DeclaredInput(datanet_id=item.datanet_id, version=item.version, weight_ppb=weight, steps=steps)
            for item, weight in zip(found, weights, strict=True)
        ]
    )
