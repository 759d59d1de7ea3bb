"""members: who takes part in this permissioned chain, and in which roles.

    members/member/ | H(address) -> Member(address, roles, name, organisation, box_key)
    members/peer/ | H(CometBFT node id) -> Peer(node_id, name)
    members/peer-list/value -> PeerList(count, closed)

Registrars (members with that role) set members and allowed peers. They are named by genesis, later by governance: no
registrar makes, changes or removes one, so a stolen registrar's key cannot take the chain. Which message types need a
role stands in the parameters; a type not named there is open to all.

`organisation` says which members belong together (0: alone), so that no panel seats two of one house; registrars set
it. `box_key` is an X25519 key that the member itself sets: what is meant for it alone is sealed to that key.

The peer filter is applied by `Application.query`; removal acts on reconnect. Beside listed peers it admits a live
validator's own (`modules/validators`). A chain that never listed a peer admits
everybody; the first one that is listed closes it for good, and an empty list then admits nobody. Genesis can close it
with `"peers_closed": true`.
"""

from abci_app.module import Module
from abci_app.modules.members.genesis import (
    SECTIONS,
    GenesisMember,
    GenesisPeer,
)
from abci_app.modules.members.handlers import (
    execute_set_box_key,
    execute_set_member,
    execute_set_peer,
    peer_is_allowed,
    require_role_for,
    roles_of,
    set_member,
)
from abci_app.modules.members.queries import (
    QUERIES,
    MemberQuery,
    MembersPage,
    MembersQuery,
    MemberView,
    PeersQuery,
    peer_count_matches,
)
from abci_app.modules.members.records import (
    ALL_ROLES,
    MEMBERS,
    PEER_LIST,
    PEERS,
    Member,
    MemberChanged,
    MembersCode,
    NodeId,
    Peer,
    PeerList,
    Role,
    SetBoxKey,
    SetMember,
    SetPeer,
    require_whole_key,
)

__all__ = [
    "ALL_ROLES",
    "MEMBERS",
    "MODULE",
    "PEERS",
    "PEER_LIST",
    "GenesisMember",
    "GenesisPeer",
    "Member",
    "MemberChanged",
    "MemberQuery",
    "MemberView",
    "MembersCode",
    "MembersPage",
    "MembersQuery",
    "NodeId",
    "Peer",
    "PeerList",
    "PeersQuery",
    "Role",
    "SetBoxKey",
    "SetMember",
    "SetPeer",
    "peer_count_matches",
    "peer_is_allowed",
    "require_role_for",
    "require_whole_key",
    "roles_of",
    "set_member",
]

MODULE = Module(
    name="members",
    tables=(MEMBERS, PEERS, PEER_LIST),
    errors=MembersCode,
    messages={SetMember: execute_set_member, SetPeer: execute_set_peer, SetBoxKey: execute_set_box_key},
    events=(MemberChanged,),
    queries=QUERIES,
    genesis=SECTIONS,
    invariants=(peer_count_matches,),
)
