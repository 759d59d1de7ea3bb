"""From ids and names to models and entries, for the queries of this module; each refusal is coded and can be proven."""

import re

from abci_app.bech32 import encode_id
from abci_app.errors import Code, InvariantBroken, Rejected
from abci_app.modules.models.records import ENTRIES, MODELS, NAMES, NUMBERS, VERSIONS, Model, StoredEntry
from abci_app.modules.models.terms import show_entry
from abci_app.state.store import StateView

# A version behind a name: at most nine digits, so that it fits into the key, and in one spelling only.
VERSION_PATTERN = re.compile(r"\A[1-9][0-9]{0,8}\Z")


def resolve_model(view: StateView, model_id: bytes, name: str) -> tuple[bytes, Model]:
    """The model behind an id or a name; raises `Rejected`."""
    if bool(model_id) == bool(name) or len(model_id) not in (0, 32):
        raise Rejected(Code.BAD_QUERY, "give the model's id (32 bytes) or its name, and leave the other empty")
    if name:
        owner = NAMES.get(view, name)
        if owner is None:
            raise Rejected(Code.NOT_FOUND, f"there is no model named {name!r}: see `openledger query models list`")
        model_id = owner.object_id
    model = MODELS.get(view, model_id)
    if model is None:
        raise Rejected(Code.NOT_FOUND, f"there is no model {encode_id('olmodel', model_id)}")
    return model_id, model


def resolve_entry(view: StateView, entry_id: bytes, model_name: str, model_version: int) -> bytes:
    """Id behind an entry id, or behind a model's name and version (0 = the latest); raises `Rejected`."""
    if bool(entry_id) == bool(model_name) or len(entry_id) not in (0, 32) or (entry_id and model_version):
        raise Rejected(Code.BAD_QUERY, "give an entry id (32 bytes), or a model's name and a version (0 = the latest)")
    if entry_id:
        return entry_id
    model_id, model = resolve_model(view, b"", model_name)
    version = model_version or model.version_count
    record = VERSIONS.get(view, model_id, version) if version else None
    if record is None:
        raise Rejected(
            Code.NOT_FOUND,
            f"model {model_name!r} has no version {version or 'yet'}; its latest is {model.version_count}",
        )
    return entry_of_number(view, record.entry_number)


def find_model(view: StateView, model_id: bytes) -> Model | None:
    """The record of a model, or None."""
    return MODELS.get(view, model_id)


def find_entry(view: StateView, entry_id: bytes) -> StoredEntry | None:
    """The record of an entry, or None."""
    return ENTRIES.get(view, entry_id)


def model_of_name(view: StateView, name: str) -> bytes:
    """Id of the model with this name; raises `Rejected`."""
    return resolve_model(view, b"", name)[0]


def entry_of_name(view: StateView, text: str) -> bytes:
    """Entry of a model's version: `my-model` is the latest, `my-model@2` the second; raises `Rejected`."""
    name, at, version = text.rpartition("@")
    if not at:
        return resolve_entry(view, b"", text, 0)
    if not name or not VERSION_PATTERN.match(version):
        raise Rejected(Code.BAD_QUERY, f"{text!r}: write MODEL or MODEL@VERSION, for example my-model@3")
    return resolve_entry(view, b"", name, int(version))


def entry_of_number(view: StateView, number: int) -> bytes:
    """Id of the entry that has this number."""
    reference = NUMBERS.get(view, number)
    if reference is None:
        raise InvariantBroken(f"entry number {number} is referred to but not stored")
    return reference.entry_id


def read_entry(view: StateView, entry_id: bytes) -> StoredEntry:
    """The entry; raises `Rejected`."""
    stored = ENTRIES.get(view, entry_id)
    if stored is None:
        raise Rejected(Code.NOT_FOUND, f"there is no entry {show_entry(entry_id)}")
    return stored
