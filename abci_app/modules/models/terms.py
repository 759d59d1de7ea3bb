"""The licence check of an entry: terms of all inputs, parents and its own, joined and judged.

Run by consensus when an entry is recorded and by the query `models/verdict` before any compute is spent.
"""

from dataclasses import dataclass

from abci_app.bech32 import encode_id
from abci_app.errors import Rejected
from abci_app.modules import datanets, licences
from abci_app.modules.licences import JoinedTerms, Outcome, Profile, first_clash, judge
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.kinds import EntryKind, is_unknown_below
from abci_app.modules.models.records import ENTRIES, Entry, Input, Parent, StoredEntry
from abci_app.state.store import StateView

# Terms named beside a clashing input; more would make the line unreadable.
MAX_NAMES_SHOWN = 3
# Terms under one input or parent that are searched for the two that clash. Each is read and joined twice: with 64 the
# name alone took longer than the whole check, for a run that records nothing. Their names stand in the text anyway.
MAX_TERMS_SEARCHED = 8
# Kinds of entries whose weights are moved by their inputs.
LEARNING_KINDS = (EntryKind.PRETRAIN, EntryKind.LORA, EntryKind.FULL, EntryKind.DISTIL)


@dataclass(frozen=True, slots=True)
class TermsCheck:
    """Outcome of a check. A conflict names two positions among `labels` (the same twice: one alone is the reason)."""

    profile: Profile
    outcome: Outcome
    text: str
    first: str
    second: str
    joined: JoinedTerms
    # Entry numbers of the parents, in the entry's order.
    parent_numbers: tuple[int, ...]
    # The models with which the parents are shown, empty for those that are no version of one.
    parent_model_ids: tuple[bytes, ...]
    # Whether something that the entry or an ancestor of it was made from is not on this chain.
    unknown_below: bool


def judge_terms(view: StateView, entry: Entry, profile: Profile, time_seconds: int) -> TermsCheck:
    """Read what the entry refers to and judge it; raises `Rejected` for anything that does not exist or is revoked."""
    items = [_input_terms(view, item) for item in entry.inputs]
    learned = [licences.learned_from(item, is_model=False) if entry.kind in LEARNING_KINDS else item for item in items]
    numbers: list[int] = []
    model_ids: list[bytes] = []
    unknown_below = is_unknown_below(entry.kind, entry.undeclared)
    for parent in entry.parents:
        stored = _stored_parent(view, parent)
        admission = stored.admission
        numbers.append(admission.number)
        model_ids.append(stored.model_id)
        unknown_below = unknown_below or bool(admission.unknown_below)
        items.append(licences.joined_terms(view, admission.joined_terms_id))
        is_taught = entry.kind == EntryKind.DISTIL
        learned.append(licences.learned_from(items[-1], is_model=True) if is_taught else items[-1])
    if entry.terms_id:
        items.append(_own_terms(view, entry.terms_id))
        learned.append(items[-1])
    joined_terms = licences.join_terms(items)
    judged = joined_terms if learned == items else licences.join_terms(learned)
    outcome, reason = judge(judged, profile, time_seconds)
    if outcome != Outcome.CONFLICT:
        return TermsCheck(
            profile=profile,
            outcome=outcome,
            text=reason,
            first="",
            second="",
            joined=joined_terms,
            parent_numbers=tuple(numbers),
            parent_model_ids=tuple(model_ids),
            unknown_below=unknown_below,
        )
    first, second, why = _name_clash(view, entry, learned, profile, time_seconds)
    text = f"terms clash between {first} and {second}: {why or reason}" if second else f"{first}: {why or reason}"
    return TermsCheck(
        profile=profile,
        outcome=outcome,
        text=text,
        first=first,
        second=second,
        joined=joined_terms,
        parent_numbers=tuple(numbers),
        parent_model_ids=tuple(model_ids),
        unknown_below=unknown_below,
    )


def _input_terms(view: StateView, item: Input) -> JoinedTerms:
    record = datanets.find_version(view, item.datanet_id, item.version)
    if record is None:
        raise Rejected(
            ModelsCode.UNKNOWN_INPUT,
            f"DataNet {encode_id('oldata', item.datanet_id)} has no version {item.version}: see `openledger data list`",
        )
    if not datanets.is_usable(view, item.datanet_id, item.version):
        raise Rejected(
            ModelsCode.INPUT_REVOKED,
            f"a contribution was revoked since version {item.version} of DataNet {_datanet_name(view, item)}: "
            f"train on version {datanets.usable_from_version(view, item.datanet_id)} or later (its owner creates it)",
        )
    if item.rows_used > record.row_count:
        raise Rejected(
            ModelsCode.TOO_MANY_ROWS,
            f"{item.rows_used} rows used of version {item.version} of DataNet {_datanet_name(view, item)}, "
            f"which has {record.row_count}: count different rows",
        )
    return datanets.version_terms(view, record)


def _stored_parent(view: StateView, parent: Parent) -> StoredEntry:
    stored = ENTRIES.get(view, parent.entry_id)
    if stored is None:
        raise Rejected(
            ModelsCode.UNKNOWN_PARENT, f"parent entry {show_entry(parent.entry_id)} does not exist: record it first"
        )
    return stored


def _own_terms(view: StateView, terms_id: bytes) -> JoinedTerms:
    if not licences.terms_exist(view, terms_id):
        raise Rejected(
            ModelsCode.UNKNOWN_TERMS,
            f"terms {licences.show_terms(terms_id)} are not registered: send licences.register_terms first",
        )
    return licences.lifted_terms(view, terms_id)


def _name_clash(
    view: StateView, entry: Entry, items: list[JoinedTerms], profile: Profile, time_seconds: int
) -> tuple[str, str, str]:
    """Names of the two that clash, and why; where one alone does, the two terms inside it (or the one)."""
    clash = first_clash(items, profile, time_seconds)
    if clash is None:
        return "the sources together", "", ""
    first, second, why = clash
    if first != second:
        return _label(view, entry, first, items[first]), _label(view, entry, second, items[second]), why
    inside, sources = None, []
    if len(items[first].sources) <= MAX_TERMS_SEARCHED:
        sources = [licences.lifted_terms(view, source.terms_id) for source in items[first].sources]
        inside = first_clash(sources, profile, time_seconds)
    label = _label(view, entry, first, items[first])
    if inside is None or inside[0] == inside[1]:
        return label, "", why
    names = [_terms_names(view, sources[position]) for position in inside[:2]]
    return f"{label}, terms {names[0]}", f"terms {names[1]} in the same", why


def _label(view: StateView, entry: Entry, position: int, joined: JoinedTerms) -> str:
    """An input, a parent or the entry's own terms, as people know them."""
    names = _terms_names(view, joined)
    if position < len(entry.inputs):
        item = entry.inputs[position]
        return f"DataNet {_datanet_name(view, item)} version {item.version} ({names})"
    position -= len(entry.inputs)
    if position < len(entry.parents):
        parent = entry.parents[position]
        return f"parent {parent.role} {show_entry(parent.entry_id)} ({names})"
    return f"the entry's own terms ({names})"


def _terms_names(view: StateView, joined: JoinedTerms) -> str:
    names = []
    for source in joined.sources[:MAX_NAMES_SHOWN]:
        terms = licences.find_terms(view, source.terms_id)
        names.append(terms.name if terms else licences.show_terms(source.terms_id))
    if len(joined.sources) > MAX_NAMES_SHOWN:
        names.append(f"{len(joined.sources) - MAX_NAMES_SHOWN} more")
    return " + ".join(names) or "no terms"


def _datanet_name(view: StateView, item: Input) -> str:
    datanet = datanets.find_datanet(view, item.datanet_id)
    return f"'{datanet.name}'" if datanet else encode_id("oldata", item.datanet_id)


def show_entry(entry_id: bytes) -> str:
    """An entry id as people read it."""
    return encode_id("olrun", entry_id)
