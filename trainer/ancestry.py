"""Ancestors of recorded entries, and whether an adapter stands on the base that it is used with."""

from dataclasses import dataclass
from typing import Protocol

from openledger.errors import UsageError
from trainer.run_records import EntryRecord

# Longer chains of retrainings exist; a trainer with such a chain names a newer merge as the base.
MAX_ANCESTORS = 4_096


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """An entry as the chain has it."""

    entry_id: bytes
    record: EntryRecord


class ChainEntries(Protocol):
    """Where entries are looked up; `trainer.publish.ClientLedger` fulfils it."""

    def entry(self, reference: str) -> KnownEntry:
        """One provenance entry by id, or by a model's name."""


def ancestors_of(chain: ChainEntries, known: KnownEntry) -> dict[bytes, EntryRecord]:
    """All entries above one, by id; raises `UsageError` beyond `MAX_ANCESTORS`."""
    found: dict[bytes, EntryRecord] = {}
    todo = [parent.entry_id for parent in known.record.parents]
    while todo:
        entry_id = todo.pop()
        if entry_id in found:
            continue
        if len(found) == MAX_ANCESTORS:
            raise UsageError(f"the entry has more than {MAX_ANCESTORS} ancestors: name a newer one")
        found[entry_id] = chain.entry(entry_id.hex()).record
        todo += [parent.entry_id for parent in found[entry_id].parents]
    return found


def check_adapter_stands_on(chain: ChainEntries, adapter: KnownEntry, base: KnownEntry) -> None:
    """The base's tensors are those of an ancestor of the adapter; raises `UsageError`."""
    if base.record.tensor_digest not in {record.tensor_digest for record in ancestors_of(chain, adapter).values()}:
        raise UsageError(
            f"the base {base.entry_id.hex()[:16]}… is not among the ancestors of the adapter "
            f"{adapter.entry_id.hex()[:16]}…: it was trained on another one"
        )
