"""Questions about members and peers."""

from typing import Annotated

from msgspec import Meta, Struct

from abci_app.module import Query
from abci_app.modules.members.records import MEMBERS, OPEN_LIST, PEER_LIST, PEERS, Member, PeerList
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import Bytes32

# One page of a member listing.
MAX_PAGE = 200


class MemberQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which member."""

    address: Bytes32


class MembersQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of members in key order, after the hash of `after_key` (empty = from the start)."""

    after_key: Annotated[bytes, Meta(max_length=32)]
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class PeersQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


class MemberView(Struct, frozen=True):
    """Roles of one address, 0 for a stranger."""

    address: bytes
    roles: int
    name: str
    organisation: int = 0
    box_key: bytes = b""


class MembersPage(Struct, frozen=True):
    """One page; `next_key` is empty on the last one."""

    members: tuple[Member, ...]
    next_key: bytes


def query_member(view: StateView, args: MemberQuery) -> MemberView:
    """Roles of one address."""
    member = MEMBERS.get(view, args.address) or Member(
        address=args.address, roles=0, name="", organisation=0, box_key=b""
    )
    return MemberView(
        address=member.address,
        roles=member.roles,
        name=member.name,
        organisation=member.organisation,
        box_key=member.box_key,
    )


def query_peers(view: StateView, args: PeersQuery) -> PeerList:
    """How many nodes are listed, and whether the chain is closed to all others."""
    return PEER_LIST.get(view) or OPEN_LIST


def query_members(view: StateView, args: MembersQuery) -> MembersPage:
    """A page of all members."""
    start, end = MEMBERS.range()
    if args.after_key:
        start = MEMBERS.prefix + args.after_key + b"\x00"
    page: list[Member] = []
    last_key = b""
    for key, data in view.iterate(start, end):
        if len(page) == args.limit:
            return MembersPage(tuple(page), last_key)
        page.append(MEMBERS.decode_value(data))
        last_key = key[len(MEMBERS.prefix) :]
    return MembersPage(tuple(page), b"")


QUERIES = (
    Query("member", MemberQuery, MemberView, query_member, "roles of an address"),
    Query("peers", PeersQuery, PeerList, query_peers, "how many nodes may connect, and whether no other may"),
    Query("list", MembersQuery, MembersPage, query_members, "all members, paged"),
)


# --- Invariants


def peer_count_matches(view: StateView) -> list[str]:
    """The counter equals the number of listed peers, and a list with peers is closed."""
    stored = PEER_LIST.get(view) or OPEN_LIST
    listed = len(list(PEERS.iterate(view)))
    if stored.count != listed:
        return [f"peer count is {stored.count}, {listed} peers are listed"]
    return [f"{listed} peers are listed and the list is open"] if listed and not stored.closed else []
