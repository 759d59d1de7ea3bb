"""Conditions that always hold of terms; simulation and `openledger node check` read them."""

from abci_app.modules.licences.handlers import names_of, terms_id_of
from abci_app.modules.licences.join import join_all, lift
from abci_app.modules.licences.records import JOINED, NAMES, TERMS
from abci_app.modules.licences.view import joined_id_of
from abci_app.state.store import StateView


def terms_hash_to_their_keys(view: StateView) -> list[str]:
    """Content addresses hold."""
    faults = [f"terms {key.hex()} hash otherwise" for (key,), terms in TERMS.iterate(view) if terms_id_of(terms) != key]
    for (key,), joined in JOINED.iterate(view):
        if joined_id_of(joined) != key:
            faults.append(f"joined terms {key.hex()} hash otherwise")
    return faults


def terms_are_found_by_their_names(view: StateView) -> list[str]:
    """Every name of a record leads to terms that have it, and no other name leads anywhere."""
    named: dict[bytes, list[bytes]] = {}
    for (key,), terms in TERMS.iterate(view):
        for name in names_of(terms):
            named.setdefault(NAMES.key(name), []).append(key)
    found = {NAMES.prefix + hashed: owner.object_id for (hashed,), owner in NAMES.iterate(view)}
    faults = [f"the name under {key.hex()} leads to no terms that have it" for key in found if key not in named]
    for key, holders in named.items():
        if found.get(key) not in holders:
            faults.append(f"the name under {key.hex()}, of terms {holders[0].hex()}, leads to none that have it")
    return faults


def joined_terms_recompute(view: StateView) -> list[str]:
    """Joining the sources again gives the stored record."""
    faults = []
    for (key,), joined in JOINED.iterate(view):
        sources = [(source.terms_id, TERMS.get(view, source.terms_id)) for source in joined.sources]
        known = [lift(terms_id, terms) for terms_id, terms in sources if terms is not None]
        if len(known) != len(sources):
            faults.append(f"joined terms {key.hex()} name terms that are not registered")
        elif join_all(known) != joined:
            faults.append(f"joined terms {key.hex()} do not follow from their sources")
    return faults


INVARIANTS = (terms_hash_to_their_keys, terms_are_found_by_their_names, joined_terms_recompute)
