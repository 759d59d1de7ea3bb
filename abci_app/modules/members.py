"""members: who takes part in this permissioned chain, and in which roles.

    members/member/ | H(address) -> Member(address, roles, name)
    members/peer/ | H(CometBFT node id) -> Peer(node_id, name)
    members/peer-list/value -> PeerList(count, closed)

Registrars (members with that role) set members and allowed peers. They are named by genesis, later by governance: no
registrar makes, changes or removes one, so a stolen registrar's key cannot take the chain. Which message types need a
role stands in the parameters; a type not named there is open to all.

The peer filter is applied by `Application.query`; removal acts on reconnect. A chain that never listed a peer admits
everybody; the first one that is listed closes it for good, and an empty list then admits nobody. Genesis can close it
with `"peers_closed": true`.
"""

from enum import IntEnum
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from abci_app.accounts import show_address
from abci_app.errors import GenesisError, Rejected
from abci_app.genesis_fields import check_name, read_address
from abci_app.module import Context, Event, GenesisContext, GenesisSection, Message, Module, Query
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import HASHED, Item, Map, MutableState
from abci_app.types import U32, Bytes32, Flag, Integer, Text

# One page of a member listing.
MAX_PAGE = 200
# CometBFT node ids: 20 bytes in lower-case hex.
NodeId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{40}\Z")]


class Role(IntEnum):
    """Bits of a member's roles."""

    VALIDATOR = 1
    CONTRIBUTOR = 2
    REVIEWER = 4
    BUILDER = 8
    SERVER = 16
    AUDITOR = 32
    REGISTRAR = 64


ALL_ROLES = 127


class Member(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One member; the address stands in the record because the key holds only its hash."""

    address: Bytes32
    roles: U32
    name: Text


class Peer(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One CometBFT node that may connect."""

    node_id: NodeId
    name: Text


class PeerList(Record, frozen=True, array_like=True, tag=1, gc=False):
    """How many peers are listed, and whether nobody else may connect: an empty list alone opens nothing."""

    count: Integer
    closed: Flag


OPEN_LIST = PeerList(0, 0)


MEMBERS = Map("members/member/", (HASHED,), Member)
PEERS = Map("members/peer/", (HASHED,), Peer)
PEER_LIST = Item("members/peer-list/", PeerList)


class MembersCode(IntEnum):
    """Codes of the members module."""

    NOT_REGISTRAR = 200
    UNKNOWN_ROLE = 201
    ROLE_NEEDED = 202
    UNKNOWN_PEER = 203
    REGISTRAR_PROTECTED = 204


class SetMember(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0201):
    """Registrar: give `member` exactly these roles; 0 removes the membership."""

    weight_each: ClassVar[int] = 3

    member: Bytes32
    roles: U32
    name: Text

    def validate(self) -> None:
        """Only known roles."""
        if self.roles & ~ALL_ROLES:
            raise Rejected(MembersCode.UNKNOWN_ROLE, f"roles {self.roles} has unknown bits; all roles are {ALL_ROLES}")


class SetPeer(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0202):
    """Registrar: allow (1) or remove (0) a CometBFT node id."""

    weight_each: ClassVar[int] = 3

    node_id: NodeId
    allowed: Flag
    name: Text


class MemberChanged(Event, frozen=True, gc=False):
    """Roles of a member changed."""

    member: bytes
    roles: int


def execute_set_member(context: Context, message: SetMember) -> None:
    """Registrars only, every role but theirs, and never on one of them, themselves included."""
    _require_registrar(context)
    if message.roles & Role.REGISTRAR:
        raise Rejected(MembersCode.REGISTRAR_PROTECTED, "no registrar makes another: leave the role registrar out")
    if roles_of(context.state, message.member) & Role.REGISTRAR:
        raise Rejected(
            MembersCode.REGISTRAR_PROTECTED,
            f"{show_address(message.member)} is a registrar: no registrar changes or removes one",
        )
    if message.roles:
        MEMBERS.set(context.state, message.member, Member(message.member, message.roles, message.name))
    else:
        MEMBERS.delete(context.state, message.member)
    context.emit(MemberChanged(message.member, message.roles))


def execute_set_peer(context: Context, message: SetPeer) -> None:
    """Registrars only."""
    _require_registrar(context)
    listed = PEER_LIST.get(context.state) or OPEN_LIST
    known = PEERS.has(context.state, message.node_id)
    if message.allowed:
        PEERS.set(context.state, message.node_id, Peer(message.node_id, message.name))
        PEER_LIST.set(context.state, PeerList(listed.count if known else listed.count + 1, 1))
    elif known:
        PEERS.delete(context.state, message.node_id)
        PEER_LIST.set(context.state, PeerList(listed.count - 1, 1))
    else:
        raise Rejected(MembersCode.UNKNOWN_PEER, f"node {message.node_id} is not on the list")


def _require_registrar(context: Context) -> None:
    if not roles_of(context.state, context.sender) & Role.REGISTRAR:
        raise Rejected(MembersCode.NOT_REGISTRAR, f"{show_address(context.sender)} is not a registrar of this chain")


def roles_of(view: StateView, address: bytes) -> int:
    """Bit set of an address's roles; 0 for a stranger."""
    member = MEMBERS.get(view, address)
    return member.roles if member else 0


def require_role_for(context: Context, message_type: int) -> None:
    """Raises unless the sender may send this message type (parameters of section `roles`)."""
    needed = context.block.parameters.roles_for(message_type)
    if needed and not roles_of(context.state, context.sender) & needed:
        names = " or ".join([role.name.lower() for role in Role if needed & role])
        raise Rejected(
            MembersCode.ROLE_NEEDED,
            f"{show_address(context.sender)} needs the role {names} for this message: ask a registrar",
        )


def peer_is_allowed(view: StateView, node_id: str) -> bool:
    """Whether the chain admits a CometBFT node id: a listed one, or any while it was never closed."""
    return not (PEER_LIST.get(view) or OPEN_LIST).closed or PEERS.has(view, node_id)


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


class MembersPage(Struct, frozen=True):
    """One page; `next_key` is empty on the last one."""

    members: tuple[Member, ...]
    next_key: bytes


def query_member(view: StateView, args: MemberQuery) -> MemberView:
    """Roles of one address."""
    member = MEMBERS.get(view, args.address)
    return MemberView(args.address, member.roles if member else 0, member.name if member else "")


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


class GenesisMember(Struct, frozen=True, forbid_unknown_fields=True):
    """A member of the genesis document; `address` in bech32m or hex."""

    address: str
    roles: tuple[str, ...]
    name: str = ""


class GenesisPeer(Struct, frozen=True, forbid_unknown_fields=True):
    """An allowed CometBFT node of the genesis document."""

    node_id: NodeId
    name: str = ""


Members = tuple[GenesisMember, ...]
Peers = tuple[GenesisPeer, ...]


def genesis_members(members: Members) -> tuple[Member, ...]:
    """Member records of the document; raises `GenesisError`."""
    return tuple(
        [
            Member(
                read_address(f"members[{index}].address", member.address),
                _role_bits(f"members[{index}].roles", member.roles),
                member.name,
            )
            for index, member in enumerate(members)
        ]
    )


def _role_bits(field: str, names: tuple[str, ...]) -> int:
    bits = 0
    for name in names:
        try:
            bits |= Role[name.upper()]
        except KeyError:
            known = ", ".join([role.name.lower() for role in Role])
            raise GenesisError(f"app_state.{field}: no role {name!r}; known: {known}") from None
    return bits


def check_genesis_members(members: Members) -> None:
    """Different addresses, known roles, at least one each."""
    addresses = [member.address for member in genesis_members(members)]
    if len(frozenset(addresses)) != len(addresses):
        raise GenesisError("app_state.members: an address is listed twice")
    for index, member in enumerate(members):
        check_name(f"members[{index}]", member.name)
        if not member.roles:
            raise GenesisError(f"app_state.members[{index}].roles is empty: a member has at least one role")


def check_genesis_peers(peers: Peers) -> None:
    """Different nodes."""
    node_ids = [peer.node_id for peer in peers]
    for index, peer in enumerate(peers):
        check_name(f"peers[{index}]", peer.name)
        if peer.node_id in node_ids[:index]:
            raise GenesisError(f"app_state.peers[{index}]: {peer.node_id} is listed twice")


def write_genesis_members(state: MutableState, members: Members, context: GenesisContext) -> None:
    """Store the members."""
    for member in genesis_members(members):
        MEMBERS.set(state, member.address, member)


def write_genesis_peers(state: MutableState, peers: Peers, context: GenesisContext) -> None:
    """Store the peers; a document that lists some closes the chain to all others."""
    for peer in peers:
        PEERS.set(state, peer.node_id, Peer(peer.node_id, peer.name))
    if peers:
        PEER_LIST.set(state, PeerList(len(peers), 1))


def write_genesis_closed(state: MutableState, closed: bool, context: GenesisContext) -> None:
    """Close the chain to everybody who is not listed, also when nobody is listed."""
    if closed:
        PEER_LIST.set(state, PeerList((PEER_LIST.get(state) or OPEN_LIST).count, 1))


def peer_count_matches(view: StateView) -> list[str]:
    """The counter equals the number of listed peers, and a list with peers is closed."""
    stored = PEER_LIST.get(view) or OPEN_LIST
    listed = len(list(PEERS.iterate(view)))
    if stored.count != listed:
        return [f"peer count is {stored.count}, {listed} peers are listed"]
    return [f"{listed} peers are listed and the list is open"] if listed and not stored.closed else []


MODULE = Module(
    name="members",
    tables=(MEMBERS, PEERS, PEER_LIST),
    errors=MembersCode,
    messages={SetMember: execute_set_member, SetPeer: execute_set_peer},
    events=(MemberChanged,),
    queries=(
        Query("member", MemberQuery, MemberView, query_member, "roles of an address"),
        Query("peers", PeersQuery, PeerList, query_peers, "how many nodes may connect, and whether no other may"),
        Query("list", MembersQuery, MembersPage, query_members, "all members, paged"),
    ),
    genesis=(
        GenesisSection(
            name="members", type=Members, default=(), check=check_genesis_members, write=write_genesis_members
        ),
        GenesisSection(name="peers", type=Peers, default=(), check=check_genesis_peers, write=write_genesis_peers),
        GenesisSection(name="peers_closed", type=bool, default=False, check=lambda _: None, write=write_genesis_closed),
    ),
    invariants=(peer_count_matches,),
)
