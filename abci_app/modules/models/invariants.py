"""Invariants of the models module: run by simulation and `openledger node check`, never per block."""

from abci_app.errors import Rejected
from abci_app.modules import datanets, licences
from abci_app.modules.models.claims import ownership_faults
from abci_app.modules.models.kinds import is_unknown_below
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
    Counters,
    StoredEntry,
    check_entry,
    entry_id_of,
)
from abci_app.state.store import StateView
from abci_app.state.table import hash_key_part


def entries_are_sound(view: StateView) -> list[str]:
    """Ids recompute, shares sum, what an entry refers to exists, and parents were recorded before."""
    faults = []
    for (entry_id,), stored in ENTRIES.iterate(view):
        label = f"entry {entry_id.hex()}"
        if entry_id_of(stored.entry) != entry_id:
            faults.append(f"{label} hashes otherwise")
        try:
            check_entry(stored.entry)
        except Rejected as rejection:
            faults.append(f"{label}: {rejection.text}")
        reference = NUMBERS.get(view, stored.admission.number)
        if reference is None or reference.entry_id != entry_id:
            faults.append(f"{label} is not found under its number {stored.admission.number}")
        if licences.find_joined_terms(view, stored.admission.joined_terms_id) is None:
            faults.append(f"{label} has no joined terms")
        faults += [f"{label}: {fault}" for fault in ownership_faults(stored)]
        faults += _reference_faults(view, stored, label)
    return faults


def _reference_faults(view: StateView, stored: StoredEntry, label: str) -> list[str]:
    number = stored.admission.number
    faults = []
    unknown_below = is_unknown_below(stored.entry.kind, stored.entry.undeclared)
    for item in stored.entry.inputs:
        version = datanets.find_version(view, item.datanet_id, item.version)
        if version is None:
            faults.append(f"{label} uses a DataNet version that does not exist")
        elif item.rows_used > version.row_count:
            faults.append(f"{label} uses more rows than a DataNet version has")
        if not BY_INPUT.has(view, item.datanet_id, item.version, number):
            faults.append(f"{label} is not indexed by its input")
    for parent in stored.entry.parents:
        found = ENTRIES.get(view, parent.entry_id)
        unknown_below = unknown_below or (found is not None and bool(found.admission.unknown_below))
        if found is None or found.admission.number >= number:
            faults.append(f"{label} has a parent that was not recorded before it")
        elif not BY_PARENT.has(view, found.admission.number, number):
            faults.append(f"{label} is not indexed by its parent")
    if bool(stored.admission.unknown_below) != unknown_below:
        faults.append(f"{label} and its parents disagree on what is unknown below it")
    if bool(stored.superseded_by_entry_id) != SUPERSESSIONS.has(view, number):
        faults.append(f"{label} and the supersessions disagree")
    return faults


def _entry_of(view: StateView, number: int) -> StoredEntry | None:
    reference = NUMBERS.get(view, number)
    return ENTRIES.get(view, reference.entry_id) if reference else None


def indexes_lead_to_entries(view: StateView) -> list[str]:
    """The reverse: every index entry, run, reproduction, evaluation and supersession belongs to an entry."""
    faults = []
    for datanet_id, version, number in BY_INPUT.iterate(view):
        stored = _entry_of(view, number)
        if stored is None or (datanet_id, version) not in [(i.datanet_id, i.version) for i in stored.entry.inputs]:
            faults.append(f"input index {datanet_id.hex()} version {version} leads to entry {number} wrongly")
    for parent_number, number in BY_PARENT.iterate(view):
        stored, reference = _entry_of(view, number), NUMBERS.get(view, parent_number)
        parents = [parent.entry_id for parent in stored.entry.parents] if stored else []
        if reference is None or reference.entry_id not in parents:
            faults.append(f"parent index {parent_number} leads to entry {number} wrongly")
    for table in (RUNS, REPRODUCTIONS, EVALUATIONS):
        for (number, event), _ in table.iterate(view):
            if _entry_of(view, number) is None:
                faults.append(f"event {event} belongs to no entry")
    for (number,), supersession in SUPERSESSIONS.iterate(view):
        stored = _entry_of(view, number)
        if stored is None or stored.superseded_by_entry_id != supersession.superseded_by_entry_id:
            faults.append(f"supersession of entry {number} differs from the entry")
    return faults


def numbers_are_dense(view: StateView) -> list[str]:
    """Entries are numbered 1 to the counter; event numbers are used once each."""
    counters = COUNTERS.get(view) or Counters(0, 0, 0)
    numbers = [number for (number,), _ in NUMBERS.iterate(view)]
    faults = []
    if numbers != list(range(1, counters.entries + 1)):
        faults.append(f"entries are not numbered 1 to {counters.entries}")
    stored = [record for _, record in ENTRIES.iterate(view)]
    if len(stored) != counters.entries:
        faults.append(f"there are not {counters.entries} entries")
    if sum(is_unknown_below(each.entry.kind, each.entry.undeclared) for each in stored) != counters.undeclared:
        faults.append(f"there are not {counters.undeclared} imports and undeclared entries")
    events = [event for table in (RUNS, REPRODUCTIONS, EVALUATIONS) for (_, event), _ in table.iterate(view)]
    if sorted(events) != list(range(1, counters.events + 1)):
        faults.append(f"events are not numbered 1 to {counters.events}")
    return faults


def models_and_versions_agree(view: StateView) -> list[str]:
    """Names lead to models and back; versions are dense and lead to entries; entries know their first version."""
    faults = []
    for (model_id,), model in MODELS.iterate(view):
        owner = NAMES.get(view, model.name)
        if owner is None or owner.object_id != model_id:
            faults.append(f"model {model_id.hex()} is not found under its name {model.name!r}")
        versions = [version for (_, version), _ in VERSIONS.iterate(view, model_id)]
        if versions != list(range(1, model.version_count + 1)):
            faults.append(f"versions of model {model.name!r} are not 1 to {model.version_count}")
    for (name_hash,), owner in NAMES.iterate(view):
        named = MODELS.get(view, owner.object_id)
        if named is None or hash_key_part(named.name) != name_hash:
            faults.append(f"name {name_hash.hex()} leads to no model of that name")
    for (model_id, version), record in VERSIONS.iterate(view):
        if not MODELS.has(view, model_id) or _entry_of(view, record.entry_number) is None:
            faults.append(f"version {version} of model {model_id.hex()} leads nowhere")
    for (entry_id,), stored in ENTRIES.iterate(view):
        first = VERSIONS.get(view, stored.model_id, stored.model_version) if stored.model_id else None
        if bool(stored.model_id) != (first is not None and first.entry_number == stored.admission.number):
            faults.append(f"entry {entry_id.hex()} names a model version that is not its own")
        shown_with = MODELS.get(view, stored.model_id) if stored.model_id else None
        if shown_with is not None and shown_with.owner != stored.owner:
            faults.append(f"entry {entry_id.hex()} is shown with a model that is not its owner's")
    return faults


INVARIANTS = (entries_are_sound, indexes_lead_to_entries, numbers_are_dense, models_and_versions_agree)
