"""Conditions that always hold of terms; simulation and `openledger node check` read them."""

from abci_app.modules.licences.handlers import names_of, terms_id_of
from abci_app.modules.licences.join import join_all, lift
from abci_app.modules.licences.records import JOINED, NAMED, TERMS
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
    """The index of names holds exactly the names of the records."""
    wanted = sorted([NAMED.key(name, key) for (key,), terms in TERMS.iterate(view) for name in names_of(terms)])
    found = [NAMED.prefix + hashed + key for hashed, key in NAMED.iterate(view)]
    return [] if wanted == found else [f"{len(found)} names of terms are indexed, the records have {len(wanted)}"]


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
