"""Typed results of the clients."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from abci_app.chain.names import ResolvedName
from abci_app.hashing import TAGS, tagged_hash
from abci_app.state.codec import encode
from openledger.client import rpc_calls as calls

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that a node took; `hash` is CometBFT's, `transaction_id` what the signers signed."""

    hash: str
    transaction_id: str
    sender: bytes
    sequence: int
    chain_id: str
    expiry_height: int
    fee_limit_nopen: int
    raw: bytes = field(repr=False)

    def object_id(self, kind: str, message_index: int = 0) -> bytes:
        """Id of the `kind` (datanet, model) that this transaction's message creates; known before it is committed."""
        return object_id(kind, self.chain_id, self.sender, self.sequence, message_index)


@dataclass(frozen=True, slots=True)
class EventView:
    """One event; bytes are hex."""

    name: str
    attributes: tuple[tuple[str, str], ...]

    def get(self, key: str) -> str:
        """First attribute of this name, or empty."""
        return next((value for name, value in self.attributes if name == key), "")


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction in a block, as the node tells it; code 0 is success."""

    hash: str
    transaction_id: str
    height: int
    index: int
    sender: bytes
    sequence: int
    code: int
    codespace: str
    log: str
    messages: tuple[str, ...]
    events: tuple[EventView, ...]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One page of an account's transactions, newest first."""

    transactions: tuple[Committed, ...]
    page: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A query's result, the height whose state it speaks of, and whether it was proven against signed headers."""

    value: T
    height: int
    verified: bool
    # How it was verified (anchor, headers, witnesses), in words; or why it was not.
    note: str = ""
    # What else the light client says about it (app hash, header time, ...).
    evidence: Any = field(default=None, repr=False, compare=False)
    # What the names in the question stand for at this height.
    names: tuple[ResolvedName, ...] = ()


def object_id(kind: str, chain_id: str, sender: bytes, sequence: int, message_index: int = 0) -> bytes:
    """Id of an object that a message creates: H('openledger/<kind>-id/v1', [chain, sender, sequence, index])."""
    return tagged_hash(TAGS[f"{kind}_id"], encode((chain_id, sender, sequence, message_index)))


def events_of(result: calls.RpcResult) -> tuple[EventView, ...]:
    """Events as CometBFT reports them."""
    return tuple(
        [
            EventView(event.type, tuple([(item.key, item.value or "") for item in event.attributes]))
            for event in result.events or []
        ]
    )
