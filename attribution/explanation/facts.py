"""Facts that an explanation starts from: an entry and all its ancestors, from the chain's records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from abci_app.integers.inheritance import MAX_LAYERS
from abci_app.modules.models.records import StoredEntry
from attribution.errors import AttributionError
from attribution.explanation.parts import ChainFacts, LayerFacts
from attribution.payout.layers import layer_of


class EntrySource(Protocol):
    """The chain as explanations see it; `trainer.publish.ClientLedger` fulfils it."""

    @property
    def chain_id(self) -> str:
        """Id of the chain that answers."""

    def entry_id(self, reference: str) -> bytes:
        """Id of an entry by its text, or of a model's version by name."""

    def stored_entry(self, entry_id: bytes) -> StoredEntry:
        """An entry with what the chain wrote beside it."""

    def model_name(self, model_id: bytes) -> str:
        """Name of a model."""


@dataclass(frozen=True)
class KnownEntries:
    """Facts in the form that explanations take, and the records that they come from, by entry id."""

    facts: ChainFacts
    stored: Mapping[bytes, StoredEntry]


def read_facts(source: EntrySource, reference: str) -> KnownEntries:
    """The entry that `reference` names and everything above it; raises `AttributionError` beyond `MAX_LAYERS`."""
    entry_id = source.entry_id(reference)
    stored: dict[bytes, StoredEntry] = {}
    todo = [entry_id]
    while todo:
        wanted = todo.pop()
        if wanted in stored:
            continue
        if len(stored) == MAX_LAYERS:
            raise AttributionError("layers", f"the entry has more than {MAX_LAYERS} ancestors; explain a newer model")
        stored[wanted] = source.stored_entry(wanted)
        todo += [parent.entry_id for parent in stored[wanted].entry.parents]
    layers = {
        each: LayerFacts(
            layer_of(each, record, stored, None),
            record.entry.attribution.method,
            record.entry.attribution.commitment_root,
        )
        for each, record in stored.items()
    }
    own = stored[entry_id]
    name = source.model_name(own.model_id) if own.model_id else "unnamed"
    return KnownEntries(
        ChainFacts(
            chain_id=source.chain_id, entry_id=entry_id, model=name, model_version=own.model_version, layers=layers
        ),
        stored,
    )
