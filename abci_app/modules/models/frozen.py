"""Freezes, where models use what may be frozen: inputs, parents, and the model that gets a version."""

from collections.abc import Sequence

from abci_app.bech32 import encode_id
from abci_app.mechanisms.freezes import Freezable, is_frozen, require_not_frozen
from abci_app.modules import datanets
from abci_app.modules.models.records import ENTRIES, MODELS, Entry, Model
from abci_app.modules.models.terms import show_entry
from abci_app.state.store import StateView


def parent_models(view: StateView, entry: Entry) -> tuple[bytes, ...]:
    """The models with which an entry's parents are shown."""
    parents = [ENTRIES.get(view, parent.entry_id) for parent in entry.parents]
    return tuple([parent.model_id for parent in parents if parent is not None])


def require_run_possible(view: StateView, entry: Entry, parent_model_ids: Sequence[bytes], height: int) -> None:
    """Raises `Rejected` while an input, a parent, or the model that a parent is a version of is frozen."""
    for item in entry.inputs:
        if is_frozen(view, Freezable.DATANET, item.datanet_id, height):
            name = f"DataNet {datanets.name_of(view, item.datanet_id)}"
            require_not_frozen(view, Freezable.DATANET, item.datanet_id, height, name)
    for parent in entry.parents:
        if is_frozen(view, Freezable.ENTRY, parent.entry_id, height):
            name = f"parent entry {show_entry(parent.entry_id)}"
            require_not_frozen(view, Freezable.ENTRY, parent.entry_id, height, name)
    for model_id in parent_model_ids:
        if model_id and is_frozen(view, Freezable.MODEL, model_id, height):
            name = f"model {_model_name(view, model_id)}, of which a parent is a version,"
            require_not_frozen(view, Freezable.MODEL, model_id, height, name)


def require_version_possible(view: StateView, model_id: bytes, model: Model, entry_id: bytes, height: int) -> None:
    """Raises `Rejected` while a model is frozen, or the entry that is to be its version."""
    require_not_frozen(view, Freezable.MODEL, model_id, height, f"model {model.name}")
    if is_frozen(view, Freezable.ENTRY, entry_id, height):
        require_not_frozen(view, Freezable.ENTRY, entry_id, height, f"entry {show_entry(entry_id)}")


def _model_name(view: StateView, model_id: bytes) -> str:
    model = MODELS.get(view, model_id)
    return model.name if model else encode_id("olmodel", model_id)
