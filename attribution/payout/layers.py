"""Layers of inheritance from the chain's records of entries."""

from collections.abc import Mapping

from abci_app.integers.inheritance import Layer, ParentPart, kept_part
from abci_app.integers.shares import Shares
from abci_app.modules.models.kinds import Undeclared
from abci_app.modules.models.records import StoredEntry
from abci_app.types import PPB
from attribution.errors import AttributionError


def age_versions(child: StoredEntry, parent: StoredEntry) -> int:
    """Versions that lie between an entry and a parent of it, as `abci_app.integers.inheritance` counts them."""
    if child.model_id and child.model_id == parent.model_id:
        return max(0, child.model_version - parent.model_version - 1)
    return max(0, child.model_version - 1)


def layer_of(entry_id: bytes, stored: StoredEntry, parents: Mapping[bytes, StoredEntry], own: Shares | None) -> Layer:
    """A layer from the chain's records; `parents` holds at least the entry's own. Raises `AttributionError`."""
    parts = []
    for parent in stored.entry.parents:
        if parent.entry_id not in parents:
            raise AttributionError("layers", f"parent {parent.entry_id.hex()} of {entry_id.hex()} is missing")
        kept = kept_part(stored.admission.schedule, age_versions(stored, parents[parent.entry_id]))
        parts.append(ParentPart(parent.entry_id, parent.share_ppb, kept))
    undeclared = Undeclared(stored.entry.undeclared)
    declared_ppb = sum(item.weight_ppb for item in stored.entry.inputs)
    return Layer(
        entry_id=entry_id,
        number=stored.admission.number,
        parents=tuple(parts),
        has_data=bool(stored.entry.inputs) or undeclared.has_inputs,
        own=own,
        undeclared_parents=undeclared.has_parents,
        undeclared_kept_ppb=kept_part(stored.admission.schedule, 0) if undeclared.has_parents else 0,
        undeclared_inputs_ppb=PPB - declared_ppb if undeclared.has_inputs else 0,
    )
