"""Handlers of members' messages, and answers to what other modules ask of members."""

from msgspec import structs

from abci_app.accounts import show_address
from abci_app.errors import Rejected
from abci_app.module import Context, HookContext
from abci_app.modules.members.records import (
    MEMBERS,
    OPEN_LIST,
    PEER_LIST,
    PEERS,
    Member,
    MemberChanged,
    MembersCode,
    Peer,
    PeerList,
    Role,
    SetBoxKey,
    SetMember,
    SetPeer,
)
from abci_app.state.store import StateView
from abci_app.state.table import MutableState


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
    set_member(
        context.state,
        context,
        address=message.member,
        roles=message.roles,
        name=message.name,
        organisation=message.organisation,
    )


def execute_set_box_key(context: Context, message: SetBoxKey) -> None:
    """Members only."""
    member = MEMBERS.get(context.state, context.sender)
    if member is None:
        raise Rejected(
            MembersCode.NOT_A_MEMBER, f"{show_address(context.sender)} is not a member of this chain: ask a registrar"
        )
    MEMBERS.set(context.state, context.sender, structs.replace(member, box_key=message.box_key))


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


# --- For other modules


def set_member(
    state: MutableState, context: Context | HookContext, *, address: bytes, roles: int, name: str, organisation: int
) -> None:
    """Write a membership whole but for the box key, which is the member's; roles 0 ends it.

    Callers have asked whether that sender, or that proposal, may do so.
    """
    if roles:
        known = MEMBERS.get(state, address)
        member = Member(
            address=address,
            roles=roles,
            name=name,
            organisation=organisation,
            box_key=known.box_key if known else b"",
        )
        MEMBERS.set(state, address, member)
    else:
        MEMBERS.delete(state, address)
    context.emit(MemberChanged(address, roles))


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
