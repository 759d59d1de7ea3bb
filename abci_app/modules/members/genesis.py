"""Genesis: the first members, and the nodes that may connect."""

from msgspec import Struct

from abci_app.errors import GenesisError
from abci_app.genesis_fields import check_name, read_address
from abci_app.module import GenesisContext, GenesisSection
from abci_app.modules.members.records import (
    MEMBERS,
    OPEN_LIST,
    PEER_LIST,
    PEERS,
    Member,
    NodeId,
    Peer,
    PeerList,
    Role,
)
from abci_app.state.table import MutableState
from abci_app.types import U32


class GenesisMember(Struct, frozen=True, forbid_unknown_fields=True):
    """A member of the genesis document; `address` in bech32m or hex."""

    address: str
    roles: tuple[str, ...]
    name: str = ""
    organisation: U32 = 0


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
                address=read_address(f"members[{index}].address", member.address),
                roles=_role_bits(f"members[{index}].roles", member.roles),
                name=member.name,
                organisation=member.organisation,
                box_key=b"",
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


SECTIONS = (
    GenesisSection(name="members", type=Members, default=(), check=check_genesis_members, write=write_genesis_members),
    GenesisSection(name="peers", type=Peers, default=(), check=check_genesis_peers, write=write_genesis_peers),
    GenesisSection(name="peers_closed", type=bool, default=False, check=lambda _: None, write=write_genesis_closed),
)
