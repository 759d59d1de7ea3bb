"""Records, tables, codes and messages of the members."""

from enum import IntEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from abci_app.errors import Rejected
from abci_app.module import Event, Message
from abci_app.state.codec import Record
from abci_app.state.table import HASHED, Item, Map
from abci_app.types import U32, Bytes32, Flag, Integer, OptionalBytes32, Text

# An X25519 key, as an Ed25519 one.
KEY_BYTES = 32
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


class Member(Record, frozen=True, array_like=True, tag=2, gc=False):
    """One member; the address stands in the record because the key holds only its hash."""

    address: Bytes32
    roles: U32
    name: Text
    organisation: U32
    box_key: OptionalBytes32


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
    NOT_A_MEMBER = 205
    INCOMPLETE_KEY = 206


def require_whole_key(field: str, key: bytes) -> None:
    """Raises for a key that is neither empty nor whole."""
    if len(key) not in (0, KEY_BYTES):
        raise Rejected(MembersCode.INCOMPLETE_KEY, f"{field} has {len(key)} bytes: give {KEY_BYTES}, or none")


class SetMember(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0203):
    """Registrar: give `member` exactly these roles and this organisation (0: alone); roles 0 removes the membership."""

    weight_each: ClassVar[int] = 3

    member: Bytes32
    roles: U32
    name: Text
    organisation: U32

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


class SetBoxKey(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0204):
    """Member: receive sealed boxes under this X25519 key; empty for none any more."""

    weight_each: ClassVar[int] = 3

    box_key: OptionalBytes32

    def validate(self) -> None:
        """A whole key or none."""
        require_whole_key("box_key", self.box_key)


class MemberChanged(Event, frozen=True, gc=False):
    """Roles of a member changed."""

    member: bytes
    roles: int
