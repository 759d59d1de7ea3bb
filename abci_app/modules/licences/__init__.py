"""licences: machine-readable terms, and what several of them demand together.

    licences/terms/ | terms id -> Terms           terms id = H('openledger/terms-id/v1', record)
    licences/joined/ | joined id -> JoinedTerms   joined id = H('openledger/joined-terms-id/v1', record)
    licences/name/ | H(name or SPDX name) -> terms id   those registered first; later ones of that name are given by id

Both kinds are content-addressed and never change or go away, so one record serves all chains, versions and runs.
Anybody may register terms; registering the same terms again changes nothing. Their licence is an SPDX expression in
normal form (`expression.py`); what a known licence says (`table.py`, written from `openledger/licences.toml`) they must
say as well (`facts.py`). Joined terms (`join.py`) are written by consensus only: for every DataNet version (over its
contributions) and every entry (over inputs, parents and its own terms); `judgement.py` judges them. The chain parameter
`licence_policy` (conservative or permissive) says how points are judged that terms leave open.

Invariants: every record hashes to its key; every source of joined terms is a stored terms record, and joining the
sources again gives the joined record. Advisory, not legal advice.
"""

from abci_app.module import Module
from abci_app.modules.licences.handlers import (
    LicencesCode,
    RegisterTerms,
    TermsRegistered,
    execute_register_terms,
    terms_id_of,
)
from abci_app.modules.licences.invariants import INVARIANTS
from abci_app.modules.licences.join import learned_from
from abci_app.modules.licences.judgement import first_clash, judge
from abci_app.modules.licences.queries import QUERIES, JoinedTermsView, TermsView, terms_of_name
from abci_app.modules.licences.records import JOINED, NAMES, TERMS, JoinedTerms, Outcome, Profile, Terms
from abci_app.modules.licences.view import (
    PARAMETERS,
    find_joined_terms,
    find_profile,
    find_terms,
    join_terms,
    joined_terms,
    lifted_terms,
    profile_of,
    show_terms,
    store_joined_terms,
    stored_terms,
    terms_exist,
)

__all__ = [
    "MODULE",
    "JoinedTerms",
    "JoinedTermsView",
    "LicencesCode",
    "Outcome",
    "Profile",
    "RegisterTerms",
    "Terms",
    "TermsView",
    "find_joined_terms",
    "find_profile",
    "find_terms",
    "first_clash",
    "join_terms",
    "joined_terms",
    "judge",
    "learned_from",
    "lifted_terms",
    "profile_of",
    "show_terms",
    "store_joined_terms",
    "stored_terms",
    "terms_exist",
    "terms_id_of",
    "terms_of_name",
]

MODULE = Module(
    name="licences",
    tables=(TERMS, JOINED, NAMES),
    errors=LicencesCode,
    messages={RegisterTerms: execute_register_terms},
    events=(TermsRegistered,),
    queries=QUERIES,
    parameters=(PARAMETERS,),
    names={"olterms": terms_of_name},
    invariants=INVARIANTS,
)
