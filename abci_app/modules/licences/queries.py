"""Queries of the licences module."""

from typing import Annotated

from msgspec import Meta, Struct

from abci_app.bech32 import encode_id
from abci_app.errors import Code, Rejected
from abci_app.module import Query
from abci_app.modules.licences.facts import licence_called, plain_terms
from abci_app.modules.licences.handlers import terms_id_of
from abci_app.modules.licences.records import JOINED, NAMES, TERMS, JoinedTerms, Terms
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import Bytes32

# One page of a listing.
MAX_PAGE = 200


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


def query_terms(view: StateView, args: TermsQuery) -> TermsView:
    """One terms record."""
    terms = TERMS.get(view, args.terms_id)
    if terms is None:
        raise Rejected(Code.NOT_FOUND, f"terms {encode_id('olterms', args.terms_id)} are not registered")
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
    """Id of the terms that a name stands for; raises `Rejected` where there are none.

    The name of a known licence stands for what the table says and nothing more, as soon as that is registered. Every
    other name stands for the terms that had it first: nobody can make a name mean something else, or nothing, later.
    """
    licence = licence_called(name)
    if licence and TERMS.has(view, plain_id := terms_id_of(plain_terms(licence))):
        return plain_id
    owner = NAMES.get(view, licence or name)
    if owner is None and licence:
        raise Rejected(Code.NOT_FOUND, f"{licence} is not registered yet: `openledger terms add {licence}`")
    if owner is None:
        raise Rejected(Code.NOT_FOUND, f"there are no terms named {name!r}: see `openledger terms list`")
    return owner.object_id


QUERIES = (
    Query("terms", TermsQuery, TermsView, query_terms, "one terms record"),
    Query("joined", JoinedTermsQuery, JoinedTermsView, query_joined, "what several terms demand together"),
    Query("list", TermsListQuery, TermsPage, query_list, "all terms, paged"),
)
