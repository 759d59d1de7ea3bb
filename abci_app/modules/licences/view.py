"""The facts that other modules may know of terms, and how those modules keep joined terms."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from abci_app.bech32 import encode_id
from abci_app.errors import InvariantBroken, Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.modules.licences.handlers import LicencesCode
from abci_app.modules.licences.join import TooManySources, join_all, lift
from abci_app.modules.licences.queries import TermsView
from abci_app.modules.licences.records import JOINED, TERMS, JoinedTerms, Profile, Terms
from abci_app.parameters import ChoiceUnit, Parameter, Parameters, Section, read_parameters
from abci_app.state.codec import encode
from abci_app.state.store import StateView
from abci_app.state.table import MutableState

# Few differ: most data comes under a few dozen licences. Some 20 MiB at the most.
JOINED_TERMS_REMEMBERED = 1_024
SECTION = "licences"
LICENCE_POLICY = Parameter(
    section=SECTION,
    index=0,
    name="licence_policy",
    unit=ChoiceUnit("policy", tuple([profile.name.lower() for profile in Profile]), first=Profile.CONSERVATIVE),
    default=Profile.CONSERVATIVE,
    minimum=Profile.CONSERVATIVE,
    maximum=Profile.PERMISSIVE,
    meaning="How points of licence terms are judged that the terms leave open.",
)
PARAMETERS = Section(SECTION, (LICENCE_POLICY,))


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
    return lift(terms_id, terms)


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
        return join_all(items)
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


def stored_terms(view: StateView, terms_ids: Iterable[bytes]) -> tuple[TermsView, ...]:
    """Terms records that other records refer to, so that each must exist, in the order given."""
    found = []
    for terms_id in terms_ids:
        terms = TERMS.get(view, terms_id)
        if terms is None:
            raise InvariantBroken(f"terms {terms_id.hex()} are referred to but not stored")
        found.append(TermsView(terms_id, terms))
    return tuple(found)
