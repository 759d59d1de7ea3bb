"""Chain parameters: ordinary state, so that their live values have proofs (`parameters/value -> ChainParameters`,
`chain/value -> ChainInfo`).

Fees are charged per message type and per transaction byte. `message_roles` says which message types need a role;
a type that is not listed is open to everybody.
"""

from typing import Annotated

from msgspec import Meta

from abci_app.state.codec import Record
from abci_app.state.table import Item
from abci_app.types import U16, U32, ChainId, Height, Nopen, Seconds, Text

# Message types are few; the bound keeps the parameters record small enough to read for every block.
MAX_MESSAGE_TYPES = 256


class MessageFee(Record, frozen=True, array_like=True, gc=False):
    """Fee of one message type, in nopen."""

    message_type: U16
    fee_nopen: Nopen


class MessageRole(Record, frozen=True, array_like=True, gc=False):
    """One message type that only members with one of these roles (bit set of `members.Role`) may send."""

    message_type: U16
    roles: U32


class ChainParameters(Record, frozen=True, array_like=True, tag=1, gc=False):
    """All parameters; `fee_nopen` of a message type without an entry of its own is `default_message_fee_nopen`."""

    fee_per_byte_nopen: Nopen
    default_message_fee_nopen: Nopen
    message_fees: Annotated[tuple[MessageFee, ...], Meta(max_length=MAX_MESSAGE_TYPES)]
    message_roles: Annotated[tuple[MessageRole, ...], Meta(max_length=MAX_MESSAGE_TYPES)]
    # "conservative" or "permissive": how licences.join treats unknown terms.
    licence_policy: Text

    def message_fee_nopen(self, message_type: int) -> int:
        """Fee of one message of this type."""
        for entry in self.message_fees:
            if entry.message_type == message_type:
                return entry.fee_nopen
        return self.default_message_fee_nopen

    def roles_for(self, message_type: int) -> int:
        """Bit set of the roles of which a sender needs one; 0 = open to all."""
        for entry in self.message_roles:
            if entry.message_type == message_type:
                return entry.roles
        return 0


class ChainInfo(Record, frozen=True, array_like=True, tag=1, gc=False):
    """What never changes: written by InitChain."""

    chain_id: ChainId
    initial_height: Height
    genesis_time_seconds: Seconds


# 10 nopen a byte and 1,000 a message: a transfer of 220 bytes costs 3,200 nopen, 0.0000032 OPEN.
DEFAULT_PARAMETERS = ChainParameters(
    fee_per_byte_nopen=10,
    default_message_fee_nopen=1_000,
    message_fees=(),
    message_roles=(),
    licence_policy="conservative",
)

PARAMETERS = Item("parameters/", ChainParameters)
CHAIN = Item("chain/", ChainInfo)
