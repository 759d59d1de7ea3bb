"""licences: machine-readable terms, and what several of them demand together (`join.py` has the rules).

    licences/terms/ | terms id -> Terms           terms id = H('openledger/terms-id/v1', record)
    licences/joined/ | joined id -> JoinedTerms   joined id = H('openledger/joined-terms-id/v1', record)
    licences/named/ | H(name or SPDX name) | terms id     terms have no unique names: one of several must be given by id

Both kinds are content-addressed and never change or go away, so one record serves all chains, versions and runs.
Anybody may register terms; registering the same terms again changes nothing. Joined terms are written by consensus
only: for every DataNet version (over its contributions) and every entry (over inputs, parents and its own terms).
The chain parameter `licence_policy` (conservative or permissive) says how points are judged that terms leave open.

Invariants: every record hashes to its key; every source of joined terms is a stored terms record, and joining the
sources again gives the joined record. Advisory, not legal advice.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from abci_app.bech32 import encode_id
from abci_app.errors import Code, InvariantBroken, Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.module import Context, Event, Message, Module, Query
from abci_app.modules.licences import join as licence_join
from abci_app.modules.licences.join import (
    JoinedTerms,
    Outcome,
    Profile,
    Stated,
    Terms,
    TooManySources,
    first_clash,
    judge,
)
from abci_app.parameters import Choice, Parameter, Parameters, Section, read_parameters
from abci_app.state.codec import Record, encode
from abci_app.state.store import StateView
from abci_app.state.table import HASHED, ID, Index, Map, MutableState
from abci_app.types import Bytes32, TermsId

__all__ = [
    "MODULE",
    "JoinedTerms",
    "JoinedTermsView",
    "Outcome",
    "Profile",
    "Terms",
    "TermsView",
    "find_joined_terms",
    "find_terms",
    "first_clash",
    "join_terms",
    "joined_terms",
    "judge",
    "lifted_terms",
    "profile_of",
    "show_terms",
    "store_joined_terms",
    "stored_terms",
    "terms_exist",
]

# One page of a listing.
MAX_PAGE = 200
# Few differ: most data comes under a few dozen licences. Some 20 MiB at the most.
JOINED_TERMS_REMEMBERED = 1_024
SECTION = "licences"
LICENCE_POLICY = Parameter(
    section=SECTION,
    index=0,
    name="licence_policy",
    unit=Choice("policy", tuple([profile.name.lower() for profile in Profile]), first=Profile.CONSERVATIVE),
    default=Profile.CONSERVATIVE,
    minimum=Profile.CONSERVATIVE,
    maximum=Profile.PERMISSIVE,
    meaning="How points of licence terms are judged that the terms leave open.",
)
PARAMETERS = Section(SECTION, (LICENCE_POLICY,))

TERMS = Map("licences/terms/", (ID,), Terms)
JOINED = Map("licences/joined/", (ID,), JoinedTerms)
NAMED = Index("licences/named/", (HASHED, ID))


class LicencesCode(IntEnum):
    """Codes of the licences module."""

    BAD_TERMS = 400
    UNKNOWN_TERMS = 401
    TOO_MANY_SOURCES = 402


class RegisterTerms(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0401):
    """Make terms known to the chain; free for all to refer to by their id."""

    weight_each: ClassVar[int] = 7

    terms: Terms

    def validate(self) -> None:
        """Named, lists sorted, digests whole."""
        terms = self.terms
        if not terms.name:
            raise Rejected(LicencesCode.BAD_TERMS, "terms need a name that people know them by")
        for field, labels in (("fields_of_use", terms.fields_of_use), ("excluded_domains", terms.excluded_domains)):
            if list(labels) != sorted(frozenset(labels)):
                raise Rejected(LicencesCode.BAD_TERMS, f"{field} must be sorted and unique")
        for field, digest in (("text_digest", terms.text_digest), ("behavioural_digest", terms.behavioural_digest)):
            if len(digest) not in (0, 32):
                raise Rejected(LicencesCode.BAD_TERMS, f"{field} must be empty or 32 bytes")
        if terms.behavioural_digest and terms.behavioural != Stated.YES:
            raise Rejected(LicencesCode.BAD_TERMS, "a behavioural list is given, but behavioural is not 2 (yes)")
        if terms.share_alike == Stated.YES and not terms.spdx:
            raise Rejected(
                LicencesCode.BAD_TERMS, "share-alike terms need an SPDX name: write LicenseRef-... for your own"
            )


class TermsRegistered(Event, frozen=True, gc=False):
    """Terms became known."""

    terms_id: bytes
    name: str


def execute_register_terms(context: Context, message: RegisterTerms) -> None:
    """Store once; the same terms again are accepted and change nothing."""
    terms_id = terms_id_of(message.terms)
    if not TERMS.has(context.state, terms_id):
        TERMS.set(context.state, terms_id, message.terms)
        for name in names_of(message.terms):
            NAMED.add(context.state, name, terms_id)
        context.emit(TermsRegistered(terms_id, message.terms.name))


# --- For other modules


def terms_id_of(terms: Terms) -> TermsId:
    """Content-addressed id of terms."""
    return TermsId(tagged_hash(TAGS["terms_id"], encode(terms)))


def names_of(terms: Terms) -> tuple[str, ...]:
    """What people may call these terms: their name and their SPDX name."""
    return (terms.name,) if terms.spdx in ("", terms.name) else (terms.name, terms.spdx)


def joined_id_of(joined: JoinedTerms) -> bytes:
    """Content-addressed id of joined terms."""
    return tagged_hash(TAGS["joined_terms_id"], encode(joined))


def show_terms(terms_id: bytes) -> str:
    """A terms id as people read it."""
    return encode_id("olterms", terms_id)


def terms_exist(view: StateView, terms_id: bytes) -> bool:
    """Whether these terms are registered."""
    return TERMS.has(view, terms_id)


def find_terms(view: StateView, terms_id: bytes) -> Terms | None:
    """Registered terms, or None."""
    return TERMS.get(view, terms_id)


def find_joined_terms(view: StateView, joined_id: bytes) -> JoinedTerms | None:
    """Stored joined terms, or None."""
    return JOINED.get(view, joined_id)


def lifted_terms(view: StateView, terms_id: bytes) -> JoinedTerms:
    """Joined form of one registered terms record."""
    terms = TERMS.get(view, terms_id)
    if terms is None:
        raise Rejected(
            LicencesCode.UNKNOWN_TERMS, f"terms {show_terms(terms_id)} are not registered: register them first"
        )
    return licence_join.lift(terms_id, terms)


def joined_terms(view: StateView, joined_id: bytes) -> JoinedTerms:
    """Joined terms that a version or an entry refers to."""
    data = view.get(JOINED.key(joined_id))
    if data is None:
        raise InvariantBroken(f"joined terms {joined_id.hex()} are referred to but not stored")
    return _decode_joined(data)


@lru_cache(maxsize=JOINED_TERMS_REMEMBERED)
def _decode_joined(data: bytes) -> JoinedTerms:
    """A pure function of the bytes: a run with 16 parents reads up to 16 such records, mostly equal ones."""
    return JOINED.decode_value(data)


def join_terms(items: Sequence[JoinedTerms]) -> JoinedTerms:
    """Join with the coded rejection for too many sources."""
    try:
        return licence_join.join_all(items)
    except TooManySources as error:
        raise Rejected(LicencesCode.TOO_MANY_SOURCES, f"{error}: use sources that share their terms") from error


def store_joined_terms(state: MutableState, joined: JoinedTerms) -> bytes:
    """Keep joined terms under their id, which is returned."""
    joined_id = joined_id_of(joined)
    if not JOINED.has(state, joined_id):
        JOINED.set(state, joined_id, joined)
    return joined_id


def profile_of(parameters: Parameters) -> Profile:
    """The chain's policy profile."""
    return Profile(parameters[LICENCE_POLICY])


def find_profile(view: StateView) -> Profile | None:
    """The policy profile as a state holds it, or None before genesis."""
    parameters = read_parameters(view, (PARAMETERS,))
    return None if parameters is None else profile_of(parameters)


# --- Queries


class TermsQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which terms."""

    terms_id: Bytes32


class TermsListQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of terms in id order, after `after_terms_id` (empty = from the start)."""

    after_terms_id: Annotated[bytes, Meta(max_length=32)]
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class JoinedTermsQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which joined terms."""

    joined_terms_id: Bytes32


class TermsView(Struct, frozen=True):
    """Terms and their id."""

    terms_id: bytes
    terms: Terms


class TermsPage(Struct, frozen=True):
    """One page; `next_terms_id` is empty on the last one."""

    items: tuple[TermsView, ...]
    next_terms_id: bytes


class JoinedTermsView(Struct, frozen=True):
    """Joined terms and their id."""

    joined_terms_id: bytes
    joined: JoinedTerms


def stored_terms(view: StateView, terms_ids: Iterable[bytes]) -> tuple[TermsView, ...]:
    """Terms records that other records refer to, so that each must exist, in the order given."""
    found = []
    for terms_id in terms_ids:
        terms = TERMS.get(view, terms_id)
        if terms is None:
            raise InvariantBroken(f"terms {terms_id.hex()} are referred to but not stored")
        found.append(TermsView(terms_id, terms))
    return tuple(found)


def query_terms(view: StateView, args: TermsQuery) -> TermsView:
    """One terms record."""
    terms = TERMS.get(view, args.terms_id)
    if terms is None:
        raise Rejected(Code.NOT_FOUND, f"terms {show_terms(args.terms_id)} are not registered")
    return TermsView(args.terms_id, terms)


def query_joined(view: StateView, args: JoinedTermsQuery) -> JoinedTermsView:
    """One joined terms record."""
    joined = JOINED.get(view, args.joined_terms_id)
    if joined is None:
        raise Rejected(Code.NOT_FOUND, f"there are no joined terms {args.joined_terms_id.hex()}")
    return JoinedTermsView(args.joined_terms_id, joined)


def query_list(view: StateView, args: TermsListQuery) -> TermsPage:
    """A page of all terms."""
    if len(args.after_terms_id) not in (0, 32):
        raise Rejected(Code.BAD_QUERY, "after_terms_id must be empty or 32 bytes")
    items: list[TermsView] = []
    after = (args.after_terms_id,) if args.after_terms_id else None
    for (terms_id,), terms in TERMS.iterate(view, after=after):
        if len(items) == args.limit:
            return TermsPage(tuple(items), items[-1].terms_id)
        items.append(TermsView(terms_id, terms))
    return TermsPage(tuple(items), b"")


def terms_of_name(view: StateView, name: str) -> bytes:
    """Id of the terms with this name or SPDX name; raises `Rejected` where there are none, or several."""
    found: list[bytes] = []
    for _, terms_id in NAMED.iterate(view, name):
        if found:
            raise Rejected(
                Code.BAD_QUERY,
                f"several terms are called {name!r}: give the olterms1... id, see `openledger query licences list`",
            )
        found.append(terms_id)
    if not found:
        raise Rejected(Code.NOT_FOUND, f"there are no terms named {name!r}: see `openledger query licences list`")
    return found[0]


# --- Invariants


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
        known = [licence_join.lift(terms_id, terms) for terms_id, terms in sources if terms is not None]
        if len(known) != len(sources):
            faults.append(f"joined terms {key.hex()} name terms that are not registered")
        elif licence_join.join_all(known) != joined:
            faults.append(f"joined terms {key.hex()} do not follow from their sources")
    return faults


MODULE = Module(
    name="licences",
    tables=(TERMS, JOINED, NAMED),
    errors=LicencesCode,
    messages={RegisterTerms: execute_register_terms},
    events=(TermsRegistered,),
    queries=(
        Query("terms", TermsQuery, TermsView, query_terms, "one terms record"),
        Query("joined", JoinedTermsQuery, JoinedTermsView, query_joined, "what several terms demand together"),
        Query("list", TermsListQuery, TermsPage, query_list, "all terms, paged"),
    ),
    parameters=(PARAMETERS,),
    names={"olterms": terms_of_name},
    invariants=(terms_hash_to_their_keys, terms_are_found_by_their_names, joined_terms_recompute),
)
